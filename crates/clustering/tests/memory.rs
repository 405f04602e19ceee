//! What a fit of k-means adds to the memory of its data, by an allocator that counts. Alone in its process.

use ndarray::Array2;
use unsup_clustering::KMeans;
use unsup_clustering::kmeans::{Algorithm, Init, greedy_kmeans_plus_plus};
use unsup_core::Seed;
use unsup_core::contract::memory::{self, Counting};
use unsup_core::estimator::Fit;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes beside the data at the peak of a fit, beyond what it returns; and what it returns.
fn beside(x: &Array2<f32>, k: usize, algorithm: Algorithm) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let start = Array2::from_shape_fn((k, x.ncols()), |(c, j)| f64::from(x[[c, j]]));
    let spec =
        KMeans::new(k).algorithm(algorithm).init(Init::Centroids(start)).max_iterations(3).tolerance(0.0);
    let (model, used) = memory::of(|| spec.fit(x));
    assert_eq!(model?.labels().len(), x.nrows());
    let data = (x.len() * size_of::<f32>()) as f64;
    Ok(((used.peak - used.kept) as f64 / data, used.kept as f64 / data))
}

/// One test, since the allocator counts what the whole process does.
#[test]
fn memory_is_what_the_book_says() -> Result<(), Box<dyn std::error::Error>> {
    lloyd_works_in_a_tenth_of_the_memory_of_its_data()?;
    seeding_copies_short_rows_alone()
}

/// The four workloads of `benches/peers`, a fifth as many rows where that changes no share.
fn lloyd_works_in_a_tenth_of_the_memory_of_its_data() -> Result<(), Box<dyn std::error::Error>> {
    for (n, d, k) in [(12_000, 784, 10), (40_000, 32, 20), (200_000, 16, 51), (100_000, 128, 1000)] {
        let noise = Seed::new(1).normals(100 * d);
        let x =
            Array2::from_shape_fn((n, d), |(i, j)| noise[(i % 100) * d + j] as f32 + (i % 977) as f32 * 0.01);
        let iterations =
            if k == 1000 { &[Algorithm::Lloyd][..] } else { &[Algorithm::Lloyd, Algorithm::Hamerly] };
        for &algorithm in iterations {
            let (working, returned) = beside(&x, k, algorithm)?;
            println!(
                "{n} × {d}, k = {k}, {algorithm:?}: {:.1} % + {:.1} % returned",
                100.0 * working,
                100.0 * returned
            );
            // bounds are two numbers a row more
            let allowed = if algorithm == Algorithm::Lloyd { 0.1 } else { 0.1 + 2.0 / d as f64 };
            assert!(working <= allowed, "{n} × {d}, k = {k}, {algorithm:?}: {working}");
        }
    }
    Ok(())
}

/// Greedy k-means++: a distance, a seed and the trials of a step a row, and a copy of the table where rows are short.
fn seeding_copies_short_rows_alone() -> Result<(), Box<dyn std::error::Error>> {
    for (n, d, k) in [(12_000, 784, 10), (40_000, 32, 20), (200_000, 16, 51), (20_000, 128, 200)] {
        let noise = Seed::new(1).normals(100 * d);
        let x =
            Array2::from_shape_fn((n, d), |(i, j)| noise[(i % 100) * d + j] as f32 + (i % 977) as f32 * 0.01);
        let (seeds, used) = memory::of(|| greedy_kmeans_plus_plus(&x, k, 1.into()));
        assert_eq!(seeds?.len(), k);
        let share = used.peak as f64 / (x.len() * size_of::<f32>()) as f64;
        println!("{n} × {d}, k = {k}, k-means++: {:.0} %", 100.0 * share);
        let trials = 2.0 + (k as f64).ln().floor();
        // the lists of the trials grow by doubling
        let lists = (4.0 + 2.0 * (trials + 1.0)) / d as f64;
        let allowed = if d <= 32 { 1.0 + lists } else { lists };
        assert!(share <= allowed + 0.02, "{n} × {d}, k = {k}: {share}, not {allowed}");
    }
    Ok(())
}
