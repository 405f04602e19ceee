//! The invariants that scikit-learn's own tests state, by their numbers in the project's list, and the edges of the input.
//!
//! | number | scikit-learn's test | here |
//! | --- | --- | --- |
//! | 1 | `test_kmeans_results` | `kmeans::weighted_rows_worked_out_by_hand` |
//! | 2 | `test_relocate_empty_clusters` | `invariant_2_…`; the sums themselves: `lloyd::tests` |
//! | 3, 9 | `test_kmeans_relocated_clusters`, `test_kmeans_empty_cluster_relocated` | `kmeans::an_empty_cluster_gets_the_farthest_row` |
//! | 4 | `test_kmeans_elkan_results` | `kmeans_bounds` (bits instead of 1e-6) |
//! | 5 | `test_kmeans_convergence` | `invariant_5_…` |
//! | 6, 7, 8 | `test_weighted_vs_repeated`, `test_scaled_weights`, `test_unit_weights_vs_no_weights` | `weights` |
//! | 10 | `test_kmeans_1_iteration` | `invariant_10_…` |
//! | 11 | `test_kmeans_init_fitted_centers` | `invariant_11_…` |
//! | 12 | `test_relocating_with_duplicates` | `invariant_12_…` |
//! | 13 | `test_sample_weight_zero` | `weights`, `kmeans_family`, `seeding::tests` |
//! | 14 | `test_float_precision` | `invariant_14_…` |
//! | 15 | `test_result_equal_in_diff_n_threads` | `invariant_15_…` |
//! | 16 | `test_predict_does_not_change_cluster_centers` | `invariant_16_…` |
//! | 17 | `test_minibatch_reassign` | `kmeans_family::reassignment_leaves_perfect_centroids_alone_…` |
//! | 18 | `test_no_crash_on_empty_bisections`, `test_fit_predict` | `kmeans_family::bisecting_stops_where_nothing_is_left_to_cut`, `kmeans_family::each_cut_…` |
//! | 19 | `test_monotonic_likelihood` | `mixture::properties::the_likelihood_never_falls_without_a_floor` |
//! | 20 | the same of the variational bound | `bayesian_mixture::the_bound_never_falls_without_a_floor` |
//! | 21 | `test_bic_1d_1component` | `mixture::answers::one_component_is_the_mean_and_the_covariance` |
//! | 22 | `test_gaussian_mixture_n_parameters` | `mixture::answers::free_parameters_are_counted` |
//! | 23 | `test_regularisation` | `mixture::degenerate::a_collapse_is_an_error_…` |
//! | 24 | `test_warm_start` | `mixture::streaming::one_iteration_and_one_more_are_two` |
//! | 25, 26, 28 | fitted precisions, `test_gaussian_mixture_precisions_init`, `test_max_iter_zero` | `mixture::answers::precisions_are_inverse_covariances_…` |
//! | 27 | `test_sample` | `mixture::answers::samples_have_the_moments_of_the_mixture` |
//! | 29 | `test_gaussian_mixture_fit_predict` | `mixture::answers::labels_are_those_of_the_final_parameters_…` |
//! | 30 | `test_compare_covar_type` | `bayesian_mixture::after_one_step_tied_is_the_mean_of_full_…` |
//! | 31 | `test_invariant_translation` | `bayesian_mixture::a_translation_moves_the_means_alone` |
//! | 73, 74, 75 | the metrics | `unsup-core`: `metrics::agreement`, `metrics::silhouette`, `tests/it/metrics.rs` |

use crate::degenerate::warnings;
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, s};
use proptest::prelude::*;
use unsup_clustering::{Algorithm, BisectingKMeans, Init, KMeans, MiniBatchKMeans, SphericalKMeans};
use unsup_core::estimator::{Fit, Predict, Transform};
use unsup_core::observe::{Silent, Stop};
use unsup_core::store::Persist;
use unsup_core::{Seed, data};

type Failure = Box<dyn std::error::Error>;

fn normals(n: usize, d: usize, seed: u64) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

#[test]
fn invariant_2_empty_clusters_take_the_farthest_rows_out_of_their_donor() -> Result<(), Failure> {
    let x = array![[-10.0], [-9.5], [-9.0], [-8.5], [-8.0], [-1.0], [1.0], [9.0], [9.5], [10.0]];
    let spec = KMeans::new(3).init(Init::Centroids(array![[-10.0], [-10.0], [-10.0]])).tolerance(0.0);
    // all rows are the first cluster's; one update leaves it 8 of them, the sums are -36, 10 and 9.5
    let model = spec.max_iterations(1).fit(&x)?;
    assert_abs_diff_eq!(*model.centroids(), array![[-36.0 / 8.0], [10.0], [9.5]], epsilon = 1e-12);
    Ok(())
}

#[test]
fn invariant_5_a_tolerance_of_zero_still_ends_before_the_limit() -> Result<(), Failure> {
    let x = normals(5000, 10, 2);
    for algorithm in [Algorithm::Lloyd, Algorithm::Hamerly, Algorithm::Yinyang] {
        let model = KMeans::new(5).algorithm(algorithm).tolerance(0.0).max_iterations(300).seed(1).fit(&x)?;
        assert_eq!(model.history().stop(), Stop::Converged);
        assert!(model.history().iterations() < 300, "{}", model.history().iterations());
    }
    Ok(())
}

#[test]
fn invariant_10_one_iteration_is_assign_move_assign() -> Result<(), Failure> {
    let x = normals(100, 5, 7);
    let start = x.slice(s![..5, ..]).to_owned();
    let model =
        KMeans::new(5).init(Init::Centroids(start.clone())).max_iterations(1).tolerance(0.0).fit(&x)?;
    let nearest = |centroids: &Array2<f64>| -> Vec<usize> {
        let distance = |i: usize, c: usize| (&x.row(i) - &centroids.row(c)).mapv(|v| v * v).sum();
        (0..100)
            .map(|i| (1..5).fold(0, |best, c| if distance(i, c) < distance(i, best) { c } else { best }))
            .collect()
    };
    let first = nearest(&start);
    let mut means = Array2::zeros((5, 5));
    for c in 0..5 {
        let rows: Vec<usize> = (0..100).filter(|&i| first[i] == c).collect();
        means.row_mut(c).assign(&(x.select(Axis(0), &rows).sum_axis(Axis(0)) / rows.len() as f64));
    }
    assert_abs_diff_eq!(*model.centroids(), means, epsilon = 1e-12);
    assert_eq!(model.labels().to_vec(), nearest(&means));
    assert_eq!((model.history().iterations(), model.history().stop()), (1, Stop::IterationLimit));
    Ok(())
}

#[test]
fn invariant_12_relocation_copes_with_duplicates() -> Result<(), Failure> {
    // scikit-learn's test_relocating_with_duplicates: five centroids, four distinct rows
    let x = array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]];
    let start = array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, -1.0]];
    let spec = KMeans::new(5).init(Init::Centroids(start));
    let model = spec.fit(&x)?;
    assert_eq!((model.distinct_clusters(), model.inertia()), (4, 0.0));
    assert_eq!((model.labels(), model.history().iterations()), (&model.predict(&x)?, 1));
    assert_eq!(warnings(&spec, &x)?, ["k-means: only 4 of 5 clusters have a row"]);
    Ok(())
}

#[test]
fn invariant_14_single_precision_gives_the_same_clusters() -> Result<(), Failure> {
    let x = data::digits().x;
    for algorithm in [Algorithm::Lloyd, Algorithm::Hamerly, Algorithm::Yinyang] {
        let spec = KMeans::new(10)
            .init(Init::Centroids(x.slice(s![..10, ..]).to_owned()))
            .algorithm(algorithm)
            .max_iterations(20);
        let (double, single) = (spec.fit(&x)?, spec.fit(&x.mapv(|v| v as f32))?);
        assert_eq!(double.labels(), single.labels());
        assert_relative_eq!(double.inertia(), single.inertia(), max_relative = 1e-4);
        assert_abs_diff_eq!(*double.centroids(), single.centroids().mapv(f64::from), epsilon = 1e-3);
    }
    Ok(())
}

fn file<M: Persist>(model: &M) -> Result<Vec<u8>, Failure> {
    let folder = tempfile::tempdir()?;
    model.save(folder.path().join("model"))?;
    Ok(std::fs::read(folder.path().join("model"))?)
}

#[test]
fn invariant_15_the_bits_of_every_variant_are_the_same_on_any_number_of_threads() -> Result<(), Failure> {
    // rows for several chunks of every pass
    let (n, d) = (12_000, 4);
    let x = normals(n, d, 6) + Array2::from_shape_fn((n, d), |(i, j)| 4.0 * ((i * (j + 3)) % 7) as f64);
    let weights = Array1::from_shape_fn(n, |i| (i % 4) as f64);
    let fits = || -> Result<_, Failure> {
        let mut files = Vec::new();
        let kmeans = KMeans::new(20).max_iterations(10).seed(2);
        for algorithm in [Algorithm::Auto, Algorithm::Lloyd, Algorithm::Hamerly, Algorithm::Yinyang] {
            files.push(file(&kmeans.clone().algorithm(algorithm).fit(&x)?)?);
        }
        for init in [Init::PlainKMeansPlusPlus, Init::PARALLEL, Init::Random] {
            let spec = kmeans.clone().init(init).restarts(2);
            files.push(file(&spec.fit_weighted(&x, &weights, &mut Silent)?)?);
        }
        let spherical = SphericalKMeans::new(20).max_iterations(10).seed(2);
        let batches = MiniBatchKMeans::new(20).batch(500).epochs(2).reassignment(0.1).seed(2);
        let bisecting = BisectingKMeans::new(20).seed(2);
        files.push(file(&spherical.fit(&x)?)?);
        files.push(file(&spherical.fit_weighted(&x, &weights, &mut Silent)?)?);
        files.push(file(&batches.fit(&x)?)?);
        files.push(file(&batches.fit_weighted(&x, &weights, &mut Silent)?)?);
        files.push(file(&batches.start(&x)?.partial_fit_weighted(&x, &weights)?)?);
        files.push(file(&bisecting.fit(&x)?)?);
        files.push(file(&bisecting.fit_weighted(&x, &weights, &mut Silent)?)?);
        Ok(files)
    };
    let on = |threads: usize| -> Result<_, Failure> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| fits().map_err(|e| e.to_string())).map_err(Failure::from)
    };
    let one = on(1)?;
    assert_eq!(one.len(), 14);
    for threads in [2, 3, 8] {
        for (variant, (a, b)) in one.iter().zip(&on(threads)?).enumerate() {
            assert!(a == b, "variant {variant} on {threads} threads");
        }
    }
    Ok(())
}

#[test]
fn invariant_16_asking_a_model_does_not_change_it() -> Result<(), Failure> {
    let x = data::iris().x;
    let model = KMeans::new(3).fit(&x)?;
    let before = model.clone();
    let score = model.score(&x)?;
    model.predict(&x)?;
    assert_eq!(model, before);
    assert_relative_eq!(score, -model.inertia(), max_relative = 1e-12);
    Ok(())
}

#[test]
fn constant_columns_denormals_and_very_unequal_columns() -> Result<(), Failure> {
    let x = normals(200, 3, 5);
    let spec = KMeans::new(4).seed(3);
    // a constant column, far away, changes no label
    let mut constant = Array2::from_elem((200, 4), 1e6);
    constant.slice_mut(s![.., ..3]).assign(&x);
    let (plain, with) = (spec.fit(&x)?, spec.fit(&constant)?);
    assert_eq!(plain.labels(), with.labels());
    assert!(with.centroids().column(3).iter().all(|&v| v == 1e6));
    // columns of denormals are as good as none
    let mut denormal = Array2::from_shape_fn((200, 4), |(i, _)| (i % 7) as f64 * 1e-320);
    denormal.slice_mut(s![.., ..3]).assign(&x);
    assert_eq!(plain.labels(), spec.fit(&denormal)?.labels());
    // one column a million times another decides alone
    let mut large = x.clone();
    large.column_mut(1).mapv_inplace(|v| v * 1e6);
    let model = spec.clone().restarts(5).fit(&large)?;
    let alone = spec.restarts(5).fit(&large.slice(s![.., 1..2]))?;
    assert_relative_eq!(model.inertia(), alone.inertia(), max_relative = 1e-3);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Inertia is found from the sums of the clusters, or from the rows where clusters are tight: the same, whichever it is.
    #[test]
    fn inertia_is_that_of_the_definition_however_tight_the_clusters(n in 6usize..200, d in 1usize..12, k in 1usize..6, spread in -9i32..1, weighted in any::<bool>(), seed in any::<u64>()) {
        let noise = normals(n, d, seed) * 10.0_f64.powi(spread);
        let x = Array2::from_shape_fn((n, d), |(i, j)| (10 * (i % k) + j) as f64 + noise[[i, j]]);
        let weights = Array1::from_shape_fn(n, |i| if weighted { (1 + i % 3) as f64 } else { 1.0 });
        for algorithm in [Algorithm::Lloyd, Algorithm::Hamerly] {
            let spec = KMeans::new(k).algorithm(algorithm).seed(seed);
            let model = if weighted { spec.fit_weighted(&x, &weights, &mut Silent)? } else { spec.fit(&x)? };
            let rows = x.rows().into_iter().zip(model.labels()).zip(&weights);
            let expected: f64 = rows.map(|((row, &label), weight)| weight * (&row - &model.centroids().row(label)).mapv(|v| v * v).sum()).sum();
            // a difference of coordinates of size 60 is off by 1e-14 itself, in f64
            let rounding = 4e-14 * (expected * (n * d) as f64).sqrt() + (n * d) as f64 * 1e-27;
            let error = (model.inertia() - expected).abs();
            prop_assert!(error <= 1e-9 * expected + rounding, "{} for {expected}", model.inertia());
        }
    }

    #[test]
    fn invariant_11_a_fit_from_the_centroids_of_a_converged_one_changes_nothing(n in 10usize..300, d in 1usize..6, k in 1usize..8, seed in any::<u64>()) {
        // scikit-learn's test_kmeans_init_fitted_centers; no row is as near to one centroid as to another
        let x = normals(n, d, seed);
        for algorithm in [Algorithm::Auto, Algorithm::Lloyd, Algorithm::Hamerly, Algorithm::Yinyang] {
            let spec = KMeans::new(k).algorithm(algorithm).seed(seed);
            let model = spec.clone().tolerance(0.0).fit(&x)?;
            prop_assert_eq!(model.history().stop(), Stop::Converged);
            let again = spec.init(Init::Centroids(model.centroids().clone())).fit(&x)?;
            prop_assert_eq!(again.centroids(), model.centroids());
            prop_assert_eq!((again.labels(), again.inertia()), (model.labels(), model.inertia()));
            prop_assert_eq!((again.history().iterations(), again.history().stop()), (1, Stop::Converged));
        }
    }

    #[test]
    fn single_precision_is_double_up_to_its_rounding(n in 20usize..300, d in 1usize..8, k in 1usize..8, seed in any::<u64>()) {
        let x = normals(n, d, seed).mapv(|v| v as f32);
        let wide = x.mapv(f64::from);
        let start = Init::Centroids(wide.slice(s![..k, ..]).to_owned());
        let model = KMeans::new(k).init(start).tolerance(0.0).fit(&x)?;
        // by the definition, in double precision, for the centroids that single precision found
        let centroids = model.centroids().mapv(f64::from);
        let squared = |i: usize, c: usize| (&wide.row(i) - &centroids.row(c)).mapv(|v| v * v).sum();
        let mut inertia = 0.0;
        for (i, &label) in model.labels().iter().enumerate() {
            let least = (0..k).map(|c| squared(i, c)).fold(f64::INFINITY, f64::min);
            // another label only where a row is on a boundary
            prop_assert!(squared(i, label) <= least + 1e-4 * (1.0 + least), "{} {}", squared(i, label), least);
            inertia += least;
        }
        prop_assert!((model.inertia() - inertia).abs() <= 1e-4 * (1.0 + inertia), "{} {}", model.inertia(), inertia);
        for c in (0..k).filter(|_| model.history().converged()) {
            let rows: Vec<usize> = (0..n).filter(|&i| model.labels()[i] == c).collect();
            let mean = wide.select(Axis(0), &rows).mean_axis(Axis(0)).unwrap_or_default();
            prop_assert!(centroids.row(c).iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-5), "{} {}", centroids.row(c), mean);
        }
    }

    #[test]
    fn data_a_million_away_give_the_labels_of_data_near_the_origin(n in 30usize..300, d in 1usize..6, k in 1usize..8, seed in any::<u64>()) {
        // numbers that survive the shift exactly, on a grid so fine that no row lies halfway between two others
        let grid = 2f64.powi(32);
        let x = normals(n, d, seed).mapv(|v| (v * grid).round() / grid);
        let spec = KMeans::new(k).init(Init::Random).max_iterations(30).seed(seed);
        let far_rows = x.mapv(|v| v + 1e6);
        let (near, far) = (spec.fit(&x)?, spec.fit(&far_rows)?);
        prop_assert!((near.inertia() - far.inertia()).abs() <= 1e-6 * near.inertia(), "{} {}", near.inertia(), far.inertia());
        prop_assert_eq!(&far.predict(&far_rows)?, far.labels());
        for (i, mut distances) in near.transform(&x)?.rows().into_iter().map(|row| row.to_vec()).enumerate() {
            distances.sort_unstable_by(f64::total_cmp);
            // on a boundary the rounding of the mean decides
            if k == 1 || distances[1] - distances[0] > 1e-6 {
                prop_assert_eq!(far.labels()[i], near.labels()[i], "row {}", i);
            }
        }
    }
}
