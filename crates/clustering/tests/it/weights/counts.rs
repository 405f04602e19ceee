//! What a weight means: a weight of w gives what w copies of the row give; batches are drawn by it.

use super::{Failure, counts, rows};
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, concatenate, s};
use proptest::prelude::*;
use unsup_clustering::mixture::Start;
use unsup_clustering::{
    BayesianGaussianMixture, BisectingKMeans, Covariance, Init, KMeans, KMedoids, MedoidInit,
    MiniBatchKMeans, SphericalKMeans, WeightPrior,
};
use unsup_core::data;
use unsup_core::estimator::{Fit, Predict};
use unsup_core::observe::Silent;

/// Each row as many times as it counts.
fn copies(x: &Array2<f64>, counts: &Array1<f64>) -> Array2<f64> {
    let rows: Vec<usize> = (0..x.nrows()).flat_map(|i| std::iter::repeat_n(i, counts[i] as usize)).collect();
    x.select(Axis(0), &rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // (6). Two clusters, each started on a row that counts, never empty: a relocation would take one copy of a row and not all of them
    #[test]
    fn a_weight_of_w_is_w_copies_for_two_centroids(x in rows(10..80), seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let explicit = copies(&x, &weights);
        let start = Init::Centroids(x.slice(s![..2, ..]).to_owned());
        let close = |a: &Array2<f64>, b: &Array2<f64>| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        for tolerance in [0.0, 1e-4] {
            let spec = KMeans::new(2).init(start.clone()).tolerance(tolerance);
            let (one, many) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&explicit)?);
            prop_assert!(close(one.centroids(), many.centroids()), "{} {}", one.centroids(), many.centroids());
            assert_relative_eq!(one.inertia(), many.inertia(), max_relative = 1e-9, epsilon = 1e-12);
            prop_assert_eq!(one.history().iterations(), many.history().iterations());

            // in one dimension both may start in the same direction
            if x.ncols() > 1 {
                let spec = SphericalKMeans::new(2).init(start.clone()).tolerance(tolerance);
                let (one, many) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&explicit)?);
                prop_assert!(close(one.centroids(), many.centroids()), "{} {}", one.centroids(), many.centroids());
            }

            let spec = BisectingKMeans::new(2).init(start.clone()).tolerance(tolerance);
            let (one, many) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&explicit)?);
            prop_assert!(close(one.centroids(), many.centroids()), "{} {}", one.centroids(), many.centroids());
        }
        let spec = MiniBatchKMeans::new(2).init(start).reassignment(0.0);
        let one = spec.start_weighted(&x, &weights)?.partial_fit_weighted(&x, &weights)?;
        let many = spec.start(&explicit)?.partial_fit(&explicit)?;
        prop_assert!(close(one.centroids(), many.centroids()), "{} {}", one.centroids(), many.centroids());
        prop_assert_eq!(one.counts(), many.counts());
        assert_relative_eq!(one.inertia(), many.inertia(), max_relative = 1e-9, epsilon = 1e-12);
        for (a, b) in one.history().objective().iter().zip(many.history().objective()) {
            assert_relative_eq!(a, b, max_relative = 1e-9, epsilon = 1e-12);
        }
    }

    // (6) for any k: both have the same local minima, and a fit that starts in one stays there
    #[test]
    fn centroids_of_weighted_rows_are_centroids_of_their_copies(x in rows(20..80), k in 1usize..6, seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let explicit = copies(&x, &weights);
        let spec = KMeans::new(k).tolerance(0.0).seed(seed);
        let from = |start: &Array2<f64>| spec.clone().init(Init::Centroids(start.clone()));
        let one = spec.fit_weighted(&x, &weights, &mut Silent)?;
        let many = from(one.centroids()).fit(&explicit)?;
        assert_abs_diff_eq!(*one.centroids(), *many.centroids(), epsilon = 1e-9);
        assert_relative_eq!(one.inertia(), many.inertia(), max_relative = 1e-9, epsilon = 1e-12);
        let many = spec.fit(&explicit)?;
        let one = from(many.centroids()).fit_weighted(&x, &weights, &mut Silent)?;
        assert_abs_diff_eq!(*one.centroids(), *many.centroids(), epsilon = 1e-9);
        assert_relative_eq!(one.inertia(), many.inertia(), max_relative = 1e-9, epsilon = 1e-12);
    }

    #[test]
    fn leaves_are_weighted_means_and_their_inertia_is_weighted(x in rows(10..80), k in 2usize..6, seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let model = BisectingKMeans::new(k).tolerance(0.0).seed(seed).fit_weighted(&x, &weights, &mut Silent)?;
        prop_assert_eq!(&model.predict(&x)?, model.labels());
        let (mut inertia, mut masses) = (0.0, Array1::<f64>::zeros(model.centroids().nrows()));
        let mut sums = Array2::<f64>::zeros(model.centroids().raw_dim());
        for ((row, &weight), &label) in x.rows().into_iter().zip(&weights).zip(model.labels()) {
            masses[label] += weight;
            sums.row_mut(label).scaled_add(weight, &row);
            inertia += weight * (&row - &model.centroids().row(label)).mapv(|v| v * v).sum();
        }
        assert_relative_eq!(model.inertia(), inertia, max_relative = 1e-9, epsilon = 1e-12);
        prop_assert!(masses.iter().all(|&m| m > 0.0), "a leaf without a row that counts");
        assert_abs_diff_eq!(sums / masses.insert_axis(Axis(1)), model.centroids().clone(), epsilon = 1e-9);
    }

    // (6) for medoids: copies have the same local minima, whichever of them a start leads to
    #[test]
    fn medoids_of_weighted_rows_are_medoids_of_their_copies(x in rows(8..40), k in 1usize..4, seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let explicit = copies(&x, &weights);
        // the first copy of each row
        let first = |row: usize| weights.iter().take(row).sum::<f64>() as usize;
        let one = KMedoids::new(k).seed(seed).fit_weighted(&x, &weights, &mut Silent)?;
        prop_assert!(one.medoids().iter().all(|&m| weights[m] > 0.0));
        prop_assert_eq!(&one.predict(&x)?, one.labels());
        let start = MedoidInit::Rows(one.medoids().iter().map(|&m| first(m)).collect());
        let many = KMedoids::new(k).init(start).fit(&explicit)?;
        prop_assert_eq!(one.medoid_rows(), many.medoid_rows());
        assert_relative_eq!(one.deviation(), many.deviation(), max_relative = 1e-9, epsilon = 1e-12);

        // from pairs, the same
        let norm = |a: usize, b: usize| (&x.row(a) - &x.row(b)).mapv(|v| v * v).sum().sqrt();
        let pairs = Array2::from_shape_fn((x.nrows(), x.nrows()), |(a, b)| norm(a, b));
        let start = MedoidInit::Rows(one.medoids().to_vec());
        let of_pairs = KMedoids::new(k).init(start).fit_dissimilarities_weighted(&pairs, &weights, &mut Silent)?;
        prop_assert_eq!(of_pairs.medoids(), one.medoids());
        prop_assert_eq!(of_pairs.labels(), one.labels());
    }

    // (6)
    #[test]
    fn a_weight_of_w_is_w_copies_for_the_bayesian_mixture(x in rows(30..100), seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let explicit = copies(&x, &weights);
        for family in [Covariance::Full, Covariance::Tied, Covariance::Diagonal, Covariance::Spherical] {
            for prior in [WeightPrior::DirichletProcess, WeightPrior::Dirichlet] {
                let means = x.slice(s![..3, ..]).to_owned();
                let start = Start::Given { means, weights: None, precisions: None };
                let spec = BayesianGaussianMixture::new(3).covariance(family).weight_prior(prior).start(start);
                let spec = spec.max_iterations(10).tolerance(0.0);
                let (one, many) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&explicit)?);
                assert_relative_eq!(one.elbo(), many.elbo(), max_relative = 1e-7, epsilon = 1e-6);
                assert_abs_diff_eq!(*one.means(), *many.means(), epsilon = 1e-6);
                assert_abs_diff_eq!(*one.weights(), *many.weights(), epsilon = 1e-6);
                assert_abs_diff_eq!(*one.covariances(), *many.covariances(), epsilon = 1e-6);
            }
        }
    }
}

#[test]
fn weights_of_the_bayesian_mixture_are_counts() -> Result<(), Failure> {
    let x = data::iris().x;
    let fit = |weight: f64| {
        let weights = Array1::from_elem(150, weight);
        BayesianGaussianMixture::new(3).seed(1).fit_weighted(&x, &weights, &mut Silent)
    };
    // each component has met its prior's one row at the mean, and all rows as often as they count
    for weight in [0.5, 1.0, 4.0] {
        let total: f64 = fit(weight)?.mean_precisions().iter().sum();
        assert_relative_eq!(total, 3.0 + 150.0 * weight, max_relative = 1e-9);
    }
    // weights far below one are a prior and no data, and still a model
    let vague = fit(1e-9)?;
    assert!(vague.elbo().is_finite());
    assert_relative_eq!(vague.weights().sum(), 1.0, max_relative = 1e-12);
    Ok(())
}

#[test]
fn batches_are_drawn_in_proportion_to_the_weights() -> Result<(), Failure> {
    // rows at 0 and at 100, of weight 9 and 1: nine of ten rows drawn lie at 0
    let x = Array2::from_shape_fn((400, 1), |(i, _)| if i % 2 == 0 { 0.0 } else { 100.0 });
    let weights = Array1::from_shape_fn(400, |i| if i % 2 == 0 { 9.0 } else { 1.0 });
    let spec = MiniBatchKMeans::new(2).batch(100).epochs(50).patience(1000).seed(3);
    let model = spec.fit_weighted(&x, &weights, &mut Silent)?;
    let of_zero = model.labels()[0];
    // 20 000 draws: a standard deviation of 0.002
    assert_relative_eq!(model.counts()[of_zero] / model.counts().sum(), 0.9, epsilon = 0.01);
    assert_eq!((model.counts().sum(), model.inertia()), (20_000.0, 0.0));
    // one centroid moves to the weighted mean
    let model = MiniBatchKMeans::new(1).batch(100).epochs(50).patience(1000).fit_weighted(
        &x,
        &weights,
        &mut Silent,
    )?;
    assert_relative_eq!(model.centroids()[[0, 0]], 10.0, epsilon = 1.0);
    let c: f64 = model.centroids()[[0, 0]];
    assert_relative_eq!(model.inertia(), 200.0 * (9.0 * c * c + (100.0 - c).powi(2)), max_relative = 1e-9);
    Ok(())
}

#[test]
fn the_tolerance_is_relative_to_the_weighted_variance() -> Result<(), Failure> {
    // two rows that hardly count lie far away: unweighted, their variance would end the fit after one iteration
    let near = data::iris().x;
    let x = concatenate(Axis(0), &[near.view(), (&near.slice(s![..2, ..]) + 1e4).view()])?;
    let weights = Array1::from_shape_fn(152, |i| if i < 150 { 1.0 } else { 1e-12 });
    let spec = KMeans::new(3).init(Init::Centroids(near.slice(s![..3, ..]).to_owned()));
    let (with, without) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&near)?);
    assert_eq!(with.history().iterations(), without.history().iterations());
    assert_eq!(with.labels().slice(s![..150]), without.labels());
    Ok(())
}
