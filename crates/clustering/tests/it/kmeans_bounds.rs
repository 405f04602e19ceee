//! The bound-based algorithms give Lloyd's result to the bit: labels, centroids, inertia, history.

use ndarray::{Array1, Array2};
use proptest::prelude::*;
use unsup_clustering::{Algorithm, Init, KMeans, KMeansModel};
use unsup_core::Seed;
use unsup_core::estimator::Fit;
use unsup_core::math::Nearest;
use unsup_core::observe::Silent;

/// Groups of rows; on a grid there are ties and duplicates without number.
fn table(n: usize, d: usize, groups: usize, grid: f64, offset: f64, seed: u64) -> Array2<f64> {
    let draw = |name: &str, len: usize| Seed::new(seed).named(name).normals(len);
    let (centres, noise) = (draw("centres", groups * d), draw("noise", n * d));
    Array2::from_shape_fn((n, d), |(i, j)| {
        let value = 3.0 * centres[i * 31 % groups * d + j] + noise[i * d + j];
        (if grid > 0.0 { (value / grid).round() * grid } else { value }) + offset
    })
}

fn same<F: Nearest>(a: &KMeansModel<F>, b: &KMeansModel<F>, what: &str) {
    assert_eq!(a.labels(), b.labels(), "labels of {what}");
    assert_eq!(a.centroids(), b.centroids(), "centroids of {what}");
    assert_eq!(a.inertia().to_bits(), b.inertia().to_bits(), "inertia of {what}");
    assert_eq!(a.history(), b.history(), "history of {what}");
}

fn check<F: Nearest>(x: &Array2<F>, spec: &KMeans, weights: Option<&Array1<F>>) {
    let fit = |algorithm| {
        let spec = spec.clone().algorithm(algorithm);
        match weights {
            Some(weights) => spec.fit_weighted(x, weights, &mut Silent),
            None => spec.fit(x),
        }
        .unwrap_or_else(|e| panic!("{e}"))
    };
    let lloyd = fit(Algorithm::Lloyd);
    for algorithm in [Algorithm::Hamerly, Algorithm::Yinyang, Algorithm::Auto] {
        same(&fit(algorithm), &lloyd, &format!("{algorithm:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_algorithm_gives_lloyds_bits(
        // a quarter of the rows weighs nothing: of 60, 45 count
        n in 60usize..1500,
        d in 1usize..20,
        k in 1usize..45,
        grid in prop::sample::select(vec![0.0, 0.5, 2.0]),
        offset in prop::sample::select(vec![0.0, 1e6]),
        tolerance in prop::sample::select(vec![0.0, 1e-4]),
        restarts in 1usize..3,
        seed in any::<u64>(),
    ) {
        let x = table(n, d, 1 + k / 2, grid, offset, seed);
        let spec = KMeans::new(k).init(Init::Random).restarts(restarts).tolerance(tolerance).max_iterations(60).seed(seed);
        check(&x, &spec, None);
        let single = x.mapv(|v| v as f32);
        check(&single, &spec, None);
        let weights = Array1::from_shape_fn(n, |i| ((i * 7 + seed as usize % 11) % 4) as f64);
        check(&x, &spec, Some(&weights));
        check(&single, &spec, Some(&weights.mapv(|w| w as f32)));
    }

    #[test]
    fn relocated_clusters_change_nothing(n in 50usize..400, d in 1usize..5, seed in any::<u64>()) {
        // many starts coincide far away: their clusters are empty and are given rows
        let x = table(n, d, 5, 0.5, 0.0, seed);
        let start = Array2::from_shape_fn((24, d), |(c, j)| if c < 4 { x[[c, j]] } else { 500.0 });
        check(&x, &KMeans::new(24).init(Init::Centroids(start)).tolerance(0.0), None);
    }
}

#[test]
fn many_clusters_over_several_chunks_give_lloyds_bits_on_any_number_of_threads() {
    let x = table(20_000, 8, 150, 0.0, 0.0, 3).mapv(|v| v as f32);
    let spec = KMeans::new(200).init(Init::Random).tolerance(0.0).max_iterations(40).seed(1);
    let lloyd = spec.clone().algorithm(Algorithm::Lloyd).fit(&x).unwrap_or_else(|e| panic!("{e}"));
    // five threads are more than the four chunks that so many clusters leave
    for threads in [1, 2, 5] {
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap_or_else(|e| panic!("{e}"));
        for algorithm in [Algorithm::Lloyd, Algorithm::Hamerly, Algorithm::Yinyang, Algorithm::Auto] {
            let model =
                pool.install(|| spec.clone().algorithm(algorithm).fit(&x)).unwrap_or_else(|e| panic!("{e}"));
            // the spec is part of a model but not of this question
            same(&model, &lloyd, &format!("{algorithm:?} on {threads} threads"));
        }
    }
}

#[test]
fn denormal_and_unequal_scales_give_lloyds_bits() {
    for scale in [1e-42, 1e-30, 1e-20, 1e15] {
        let x = table(600, 3, 6, 0.0, 0.0, 9).mapv(|v| (v * scale) as f32);
        check(&x, &KMeans::new(9).init(Init::Random).tolerance(0.0).seed(4), None);
    }
    for scale in [1e-310, 1e-160, 1e-150] {
        let x = table(600, 3, 6, 0.0, 0.0, 9).mapv(|v| v * scale);
        check(&x, &KMeans::new(9).init(Init::Random).tolerance(0.0).seed(4), None);
    }
    let mut x = table(600, 3, 6, 0.0, 0.0, 9).mapv(|v| v as f32);
    x.column_mut(1).mapv_inplace(|v| v * 1e6);
    check(&x, &KMeans::new(9).init(Init::Random).tolerance(0.0).seed(4), None);
}
