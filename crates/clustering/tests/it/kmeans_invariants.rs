//! The invariants that scikit-learn's own tests state (numbers are those of the project's list), and the edges of the input.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, s};
use proptest::prelude::*;
use unsup_clustering::{Algorithm, Init, KMeans};
use unsup_core::estimator::{Fit, Predict};
use unsup_core::observe::{Silent, Stop};
use unsup_core::{Seed, data};

type Failure = Box<dyn std::error::Error>;

fn normals(n: usize, d: usize, seed: u64) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
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
fn invariant_8_unit_weights_change_no_bit() -> Result<(), Failure> {
    let x = data::iris().x;
    let spec = KMeans::new(4).init(Init::Centroids(x.slice(s![..;40, ..]).to_owned()));
    let (plain, weighted) = (spec.fit(&x)?, spec.fit_weighted(&x, &Array1::ones(x.nrows()), &mut Silent)?);
    assert_eq!(plain, weighted);
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
    let model = KMeans::new(5).init(Init::Centroids(start)).fit(&x)?;
    assert_eq!((model.distinct_clusters(), model.inertia()), (4, 0.0));
    assert_eq!(model.labels(), &model.predict(&x)?);
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

    #[test]
    fn single_precision_is_within_a_thousandth_of_double(n in 20usize..300, d in 1usize..8, k in 1usize..8, seed in any::<u64>()) {
        let x = normals(n, d, seed).mapv(|v| v as f32);
        let wide = x.mapv(f64::from);
        // one pass from the same start: labels differ only where a row is on a boundary
        let spec = KMeans::new(k).init(Init::Centroids(wide.slice(s![..k, ..]).to_owned())).max_iterations(1);
        let (single, double) = (spec.fit(&x)?, spec.fit(&wide)?);
        prop_assert!((single.inertia() - double.inertia()).abs() <= 1e-3 * double.inertia());
    }

    #[test]
    fn data_a_million_away_give_the_labels_of_data_near_the_origin(n in 30usize..300, d in 1usize..6, k in 1usize..8, seed in any::<u64>()) {
        // numbers that survive the shift exactly
        let x = normals(n, d, seed).mapv(|v| (v * 1024.0).round() / 1024.0);
        let spec = KMeans::new(k).init(Init::Random).max_iterations(30).seed(seed);
        let (near, far) = (spec.fit(&x)?, spec.fit(&x.mapv(|v| v + 1e6))?);
        prop_assert!((near.inertia() - far.inertia()).abs() <= 1e-6 * near.inertia(), "{} {}", near.inertia(), far.inertia());
    }
}
