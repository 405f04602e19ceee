//! NMF of sparse tables: the dense table's factors and codes, without its zeros.

use approx::assert_relative_eq;
use ndarray::{Array2, array};
use proptest::prelude::*;
use unsup_core::data::{self, Sparse};
use unsup_core::estimator::{Fit, Transform};
use unsup_core::observe::Stop;
use unsup_core::{Error, Seed};
use unsup_decomposition::Nmf;
use unsup_decomposition::nmf::{Loss, NmfModel, Solver, Start};

type Failure = Box<dyn std::error::Error>;

/// |N(0, 1)| where it is above 0.6 (about half of the values), else 0.
fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    let values = Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default();
    values.mapv(|v| if v.abs() > 0.6 { v.abs() } else { 0.0 })
}

/// How far two tables are apart, relative to the largest value.
fn apart(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let size = b.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    (a - b).iter().fold(0.0_f64, |m, v| m.max(v.abs())) / size
}

fn specs(k: usize) -> [Nmf; 5] {
    let nmf = || Nmf::new(k).start(Start::Random).seed(3);
    [
        nmf(),
        nmf().alpha_codes(1e-3).alpha_components(2e-3).l1_ratio(0.5),
        nmf().solver(Solver::Multiplicative),
        nmf().loss(Loss::KullbackLeibler),
        nmf().loss(Loss::Beta(1.0)).alpha_codes(1e-3).l1_ratio(1.0),
    ]
}

fn same(dense: &NmfModel<f64>, sparse: &NmfModel<f64>, tolerance: f64) {
    assert!(apart(sparse.components(), dense.components()) < tolerance);
    assert!(apart(sparse.codes(), dense.codes()) < tolerance);
    assert_eq!(sparse.history().iterations(), dense.history().iterations());
    for (a, b) in sparse.history().objective().iter().zip(dense.history().objective()) {
        assert_relative_eq!(a, b, max_relative = tolerance, epsilon = tolerance);
    }
    assert_relative_eq!(
        sparse.divergence(),
        dense.divergence(),
        max_relative = tolerance,
        epsilon = tolerance
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_sparse_table_has_the_factors_of_the_dense_one(n in 5usize..200, d in 3usize..30, k in 1usize..4, seed in any::<u64>()) {
        let dense = table(seed, n, d) + &Array2::from_shape_fn((n, d), |(i, j)| if i % d == j { 1.0 } else { 0.0 });
        let sparse = Sparse::from_dense(&dense)?;
        for spec in specs(k) {
            let spec = spec.max_iterations(12).tolerance(0.0);
            let (of_dense, of_sparse) = (spec.fit(&dense)?, spec.fit(&sparse)?);
            same(&of_dense, &of_sparse, 1e-9);
            let (codes, expected): (Array2<f64>, Array2<f64>) = (of_dense.transform(&sparse)?, of_dense.transform(&dense)?);
            prop_assert!(apart(&codes, &expected) < 1e-9);
        }
    }
}

#[test]
fn half_of_the_digits_pixels_are_zero_and_need_not_be_there() -> Result<(), Failure> {
    let dense = data::digits().x;
    let sparse = Sparse::from_dense(&dense)?;
    for loss in [Loss::Frobenius, Loss::KullbackLeibler] {
        let spec = Nmf::new(8).loss(loss).max_iterations(40);
        let (of_dense, of_sparse) = (spec.fit(&dense)?, spec.fit(&sparse)?);
        same(&of_dense, &of_sparse, 1e-7);
        // the divergence is that of the tables themselves
        let divergence = loss.sparse_divergence(&sparse, of_sparse.codes(), of_sparse.components())?;
        assert_relative_eq!(of_sparse.divergence(), divergence, max_relative = 1e-10);
    }
    // in f32 the two sum in other orders
    let (narrow, sparse) = (dense.mapv(|v| v as f32), Sparse::from_dense(&dense.mapv(|v| v as f32))?);
    let spec = Nmf::new(4).max_iterations(20);
    let (a, b) = (spec.fit(&narrow)?, spec.fit(&sparse)?);
    assert_relative_eq!(a.divergence(), b.divergence(), max_relative = 1e-3);
    Ok(())
}

#[test]
fn any_number_of_threads_gives_the_same_bits() -> Result<(), Failure> {
    let sparse = Sparse::from_dense(&table(5, 700, 40))?;
    for spec in specs(3) {
        let fit = |threads: usize| -> Result<NmfModel<f64>, Failure> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            Ok(pool.install(|| spec.clone().max_iterations(5).fit(&sparse))?)
        };
        assert_eq!(fit(1)?, fit(3)?);
    }
    Ok(())
}

#[test]
fn what_is_exact_is_found_and_what_is_wrong_is_named() -> Result<(), Failure> {
    let parts = array![[1.0, 0.0, 2.0, 0.0], [0.0, 3.0, 0.0, 1.0]];
    let exact = array![[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 1.0]].dot(&parts);
    let model = Nmf::new(2).tolerance(1e-10).max_iterations(5000).fit(&Sparse::from_dense(&exact)?)?;
    assert!(model.reconstruction_error() < 1e-6 && model.history().stop() == Stop::Converged);
    // a row without values, and a table of zeros
    let empty = Sparse::new(4, vec![0, 0, 1], vec![2], vec![1.0])?;
    let codes: Array2<f64> = model.transform(&empty)?;
    assert!(codes.row(0).iter().all(|&v| v == 0.0) && codes.iter().all(|v| v.is_finite()));
    for loss in [Loss::Frobenius, Loss::KullbackLeibler] {
        let zeros = Nmf::new(2).loss(loss).fit(&Sparse::<f64>::new(3, vec![0, 0, 0], vec![], vec![])?)?;
        assert_eq!(zeros.divergence(), 0.0);
    }
    let negative = Sparse::new(4, vec![0, 1, 2], vec![2, 3], vec![1.0, -1.0])?;
    assert!(matches!(Nmf::new(1).fit(&negative), Err(Error::Cell { row: 1, column: 3, .. })));
    assert!(matches!(model.transform(&negative), Err(Error::Cell { .. })));
    let narrow = Sparse::new(2, vec![0, 1], vec![1], vec![1.0])?;
    assert!(matches!(model.transform(&narrow), Err(Error::Shape { what: "x", .. })));
    for loss in [Loss::ItakuraSaito, Loss::Beta(1.5)] {
        let refused = Nmf::new(1).loss(loss).fit(&empty);
        assert!(matches!(refused, Err(Error::Parameter { name: "loss", .. })), "{loss:?}");
    }
    Ok(())
}
