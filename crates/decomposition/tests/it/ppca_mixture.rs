//! Mixtures of probabilistic PCA: the contract, EM, collapse, one component against the closed form.

use crate::oracle::Failure;
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, concatenate};
use proptest::prelude::*;
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, LogDensity, Predict, Sample, Transform};
use unsup_core::store::Persist;
use unsup_core::{Error, Float, Seed, data, metrics};
use unsup_decomposition::{PpcaMixture, PpcaMixtureModel, ProbabilisticPca};

fn questions<F: Float>() -> Questions<PpcaMixtureModel, F> {
    Questions {
        answer: |model, x| {
            let labels = model.predict(x)?.mapv(|l| l as f64).insert_axis(Axis(1));
            let shares = model.responsibilities(x)?;
            let codes = model.transform(x)?;
            let scores = model.anomaly_score(x)?.insert_axis(Axis(1));
            let parts = [labels.view(), shares.view(), codes.view(), scores.view()];
            Ok(concatenate(Axis(1), &parts).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

/// Rows of k planes of q dimensions with noise of 0.2, one after the other, `apart` from each other.
fn planes(seed: u64, n: usize, d: usize, k: usize, q: usize, apart: f64) -> (Array2<f64>, Array1<usize>) {
    let centres = table(seed ^ 77, k, d) * apart;
    let mut x = table(seed ^ 5, n, d) * 0.2;
    for c in 0..k {
        let within = table(seed ^ (9 + c as u64), n, q).dot(&table(seed ^ (900 + c as u64), q, d));
        for i in (c..n).step_by(k) {
            let mut row = x.row_mut(i);
            row += &within.row(i);
            row += &centres.row(c);
        }
    }
    (x, Array1::from_shape_fn(n, |i| i % k))
}

#[test]
fn the_estimator_contract() {
    let (x, _) = planes(1, 300, 6, 3, 1, 3.0);
    let spec = PpcaMixture::new(3, 1).restarts(2).tolerance(1e-10).max_iterations(500).seed(4);
    contract::check(&spec, &x, 1e-4, &questions(), &questions());
    contract::check(&PpcaMixture::new(2, 2).tolerance(1e-9).seed(1), &x, 1e-3, &questions(), &questions());
}

#[test]
fn one_component_is_probabilistic_pca() -> Result<(), Failure> {
    for offset in [0.0, 1e7] {
        let x = data::iris().x + offset;
        let single = PpcaMixture::new(1, 2).noise_floor(0.0).fit(&x)?;
        let closed = ProbabilisticPca::new(2).fit(&x)?;
        assert_relative_eq!(single.noise_variances()[0], closed.noise_variance(), max_relative = 1e-7);
        assert_abs_diff_eq!(single.log_density(&x)?, closed.log_density(&x)?, epsilon = 1e-6);
        assert_abs_diff_eq!(single.transform(&x)?, closed.transform(&x)?, epsilon = 1e-6);
        assert!(single.history().converged() && single.predict(&x)?.iter().all(|&l| l == 0));
        assert_relative_eq!(
            single.log_likelihood(),
            single.log_density(&x)?.mean().unwrap_or(0.0),
            max_relative = 1e-10
        );
    }
    Ok(())
}

#[test]
fn planes_that_cross_are_told_apart_by_their_directions() -> Result<(), Failure> {
    // two lines through the origin: no distance from a centroid tells them apart
    let (x, truth) = planes(3, 600, 5, 2, 1, 0.0);
    let model = PpcaMixture::new(2, 1).restarts(8).seed(2).fit(&x)?;
    let score = metrics::adjusted_rand(&truth, &model.predict(&x)?)?;
    assert!(score > 0.6, "{score}");
    assert!(model.noise_variances().iter().all(|v| (v - 0.04).abs() < 0.01), "{}", model.noise_variances());
    // what a plane leaves of a row is its noise: 4 of 5 directions
    let left = &model.reconstruct(&x)? - &x;
    assert!(((&left * &left).sum() / 600.0 - 4.0 * 0.04).abs() < 0.03);
    // the numbers of planes and of directions that the rows were drawn with are the most likely, parameters charged for
    let bic = |k: usize, q: usize| -> Result<f64, Failure> {
        // a plane through a few rows would have no noise but the floor
        Ok(PpcaMixture::new(k, q).noise_floor(1e-2).restarts(4).seed(2).fit(&x)?.bic(&x)?)
    };
    assert!(bic(2, 1)? < bic(1, 1)? && bic(2, 1)? < bic(3, 1)? && bic(2, 1)? < bic(2, 2)?);
    Ok(())
}

#[test]
fn samples_follow_the_mixture() -> Result<(), Failure> {
    let (x, _) = planes(6, 400, 4, 2, 1, 4.0);
    let model = PpcaMixture::new(2, 1).restarts(3).fit(&x)?;
    contract::check_sampler(&model);
    let drawn = model.sample(100_000, Seed::new(4))?;
    let mean = model.weights().dot(&model.means());
    assert_abs_diff_eq!(drawn.mean_axis(Axis(0)).unwrap_or_default(), mean, epsilon = 0.05);
    let shares = model.predict(&drawn)?.iter().filter(|&&l| l == 0).count() as f64 / 1e5;
    assert_abs_diff_eq!(shares, model.weights()[0], epsilon = 0.02);
    let (ours, theirs) = (model.log_density(&drawn)?.mean(), model.log_density(&x)?.mean());
    assert_abs_diff_eq!(ours.unwrap_or_default(), theirs.unwrap_or_default(), epsilon = 0.3);
    let first = model.covariance_matrices().index_axis(Axis(0), 0).to_owned();
    let own: f64 = model.variances().row(0).sum() + 3.0 * model.noise_variances()[0];
    assert_relative_eq!(first.diag().sum(), own, max_relative = 1e-12);
    Ok(())
}

#[test]
fn a_collapse_and_bad_input_are_named() -> Result<(), Failure> {
    let (x, _) = planes(1, 40, 4, 2, 1, 3.0);
    let named = |spec: PpcaMixture| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(PpcaMixture::new(0, 1)), "components");
    assert_eq!(named(PpcaMixture::new(2, 0)), "directions");
    assert_eq!(named(PpcaMixture::new(2, 4)), "directions");
    assert_eq!(named(PpcaMixture::new(2, 1).restarts(0)), "restarts");
    assert_eq!(named(PpcaMixture::new(2, 1).max_iterations(0)), "max_iterations");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(named(PpcaMixture::new(2, 1).tolerance(bad)), "tolerance");
        assert_eq!(named(PpcaMixture::new(2, 1).noise_floor(bad)), "noise_floor");
    }
    assert!(matches!(PpcaMixture::new(50, 1).fit(&x), Err(Error::TooFewRows { needed: 50, found: 40, .. })));
    let constant = Array2::<f64>::ones((9, 4)) * 1e7;
    assert!(matches!(PpcaMixture::new(1, 1).fit(&constant), Err(Error::Numerical { .. })));
    // three distinct rows: without a floor three components have no noise, more have no rows
    let few = Array2::from_shape_fn((30, 4), |(i, j)| ((i % 3) * (j + 1)) as f64);
    for k in [3, 5] {
        let collapsed = PpcaMixture::new(k, 1).noise_floor(0.0).restarts(3).fit(&few);
        let says = |e: &Error| matches!(e, Error::Numerical { problem, .. } if problem.contains("collapsed in iteration"));
        assert!(collapsed.as_ref().err().is_some_and(says), "{collapsed:?}");
    }
    assert!(PpcaMixture::new(3, 1).fit(&few)?.log_density(&few)?.iter().all(|v| v.is_finite()));
    let record = PpcaMixture::new(2, 1).fit(&x)?.to_record()?;
    let bad = record.array("noise variances", &Array1::<f64>::zeros(2));
    assert!(matches!(PpcaMixtureModel::from_record(&bad), Err(Error::File { .. })));
    Ok(())
}

#[test]
fn one_row_one_column_and_a_column_that_is_constant() -> Result<(), Failure> {
    for k in [1, 2] {
        let spec = PpcaMixture::new(k, 1);
        assert!(matches!(spec.fit(&table(1, 1, 4)), Err(Error::TooFewRows { needed: 2, found: 1, .. })));
        // one column leaves no direction to noise
        assert!(matches!(spec.fit(&table(1, 30, 1)), Err(Error::Parameter { name: "directions", .. })));
        let (mut x, _) = planes(1, 200, 4, 2, 1, 3.0);
        x.column_mut(2).fill(7.3);
        let model = spec.restarts(3).fit(&x)?;
        assert!(model.log_density(&x)?.iter().all(|v| v.is_finite()));
        assert!(model.means().column(2).iter().all(|v| (v - 7.3).abs() < 1e-12), "{}", model.means());
        assert!(model.reconstruct(&x)?.column(2).iter().all(|v| (v - 7.3).abs() < 1e-9));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_likelihood_never_falls(n in 60usize..200, d in 2usize..8, k in 1usize..4, seed in any::<u64>()) {
        let (x, _) = planes(seed, n, d, 3, 1, 1.0);
        // with a floor and without
        for floor in [0.0, 1e-2] {
            let spec = PpcaMixture::new(k, 1).noise_floor(floor).tolerance(0.0).max_iterations(30).seed(seed);
            let model = match spec.fit(&x) {
                Ok(model) => model,
                // without a floor the likelihood has no bound
                Err(Error::Numerical { .. }) if floor == 0.0 => continue,
                Err(other) => return Err(other.into()),
            };
            let history = model.history().objective();
            prop_assert!(history.windows(2).all(|w| w[1] >= w[0] - 1e-9 * w[0].abs().max(1.0)), "{:?}", history);
            let mean = model.log_density(&x)?.mean().unwrap_or(f64::NAN);
            prop_assert!((history[history.len() - 1] - mean).abs() < 1e-9 * mean.abs().max(1.0));
            prop_assert!((model.weights().sum() - 1.0).abs() < 1e-12);
            let shares = model.responsibilities(&x)?;
            prop_assert!(shares.sum_axis(Axis(1)).iter().all(|s| (s - 1.0).abs() < 1e-12));
            // no direction has less than the noise, and the floor holds
            for (variances, noise) in model.variances().rows().into_iter().zip(&model.noise_variances()) {
                prop_assert!(variances.iter().all(|v| v >= noise));
                prop_assert!(*noise >= floor * x.var_axis(Axis(0), 0.0).mean().unwrap_or(0.0) * (1.0 - 1e-9));
            }
        }
    }
}
