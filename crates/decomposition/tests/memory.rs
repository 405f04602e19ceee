//! What a fit adds to the memory of its data, by an allocator that counts. Alone in its process, and one after the other.

use ndarray::Array2;
use std::sync::Mutex;
use unsup_core::Seed;
use unsup_core::contract::memory::{self, Counting};
use unsup_core::data::Sparse;
use unsup_core::estimator::{Fit, Transform};
use unsup_decomposition::nmf::{Loss, Start};
use unsup_decomposition::{Nmf, Pca, Route};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A table of the size of MNIST, 50 components, by every route that such a table can take.
#[test]
fn pca_works_in_a_fifth_of_the_memory_of_its_data() -> Result<(), Box<dyn std::error::Error>> {
    let _alone = ONE_AT_A_TIME.lock();
    let (n, d) = (60_000, 784);
    let noise = Seed::new(1).normals(100 * d);
    let x = Array2::from_shape_fn((n, d), |(i, j)| {
        noise[(i % 100) * d + j] as f32 + ((i * (j + 7)) % 977) as f32 * 0.01
    });
    let randomized = Route::Randomized { oversamples: 10, iterations: 1 };
    for route in [Route::Auto, Route::Covariance, randomized, Route::Svd] {
        let (model, used) = memory::of(|| Pca::new().components(50).route(route).fit(&x));
        let working = used.peak as f64 / (x.len() * size_of::<f32>()) as f64;
        println!("{route:?}: {:.1} %", 100.0 * working);
        assert_eq!(model?.components().dim(), (50, d));
        assert!(working <= 0.2, "{route:?}: {working} of the data");
    }
    Ok(())
}

/// A table of a thousandth of its size: 20,000 × 10,000 with 10 values a row.
#[test]
fn nmf_of_a_sparse_table_never_fills_in_its_zeros() -> Result<(), Box<dyn std::error::Error>> {
    let _alone = ONE_AT_A_TIME.lock();
    let (n, d, each, k) = (20_000, 10_000, 10, 5);
    let starts = (0..=n).map(|i| i * each).collect();
    let indices = (0..n * each).map(|at| (at % each) * (d / each) + (at / each * 7) % (d / each)).collect();
    let values = (0..n * each).map(|at| 1.0 + (at % 5) as f64).collect();
    let x = Sparse::new(d, starts, indices, values)?;
    for loss in [Loss::Frobenius, Loss::KullbackLeibler] {
        let spec = Nmf::new(k).loss(loss).start(Start::Random).max_iterations(2);
        let (model, used) = memory::of(|| spec.fit(&x));
        let codes: Result<Array2<f64>, _> = model?.transform(&x);
        assert_eq!(codes?.dim(), (n, k));
        let working = used.peak as f64 / (n * d * size_of::<f64>()) as f64;
        println!("{loss:?}: {:.2} % of the dense table", 100.0 * working);
        // the transposed table, and some tables of n·k and d·k numbers
        assert!(working <= 0.01, "{loss:?}: {working} of the dense table");
    }
    Ok(())
}
