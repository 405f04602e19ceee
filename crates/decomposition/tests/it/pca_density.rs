//! PCA as a Gaussian, the number of its components, and the accuracy of its routes. Numbers in parentheses are those of scikit-learn's
//! own tests, as a list of invariants.

use crate::ROUTES;
use crate::oracle::{self, Failure};
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, s};
use proptest::prelude::*;
use unsup_core::contract;
use unsup_core::estimator::{Fit, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::{Error, Seed, data};
use unsup_decomposition::ppca::Solver;
use unsup_decomposition::{FactorAnalysis, IncrementalPca, Pca, PpcaMixture, ProbabilisticPca, Route};

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

/// Rows of q directions of decreasing variance with noise around them.
fn plane_with_noise(seed: u64, n: usize, d: usize, q: usize, noise: f64) -> Array2<f64> {
    let scales = Array1::from_shape_fn(q, |k| 4.0 / (k + 1) as f64);
    (table(seed, n, q) * &scales).dot(&table(seed ^ 1, q, d)) + table(seed ^ 2, n, d) * noise
}

#[test]
fn the_density_is_that_of_maximum_likelihood_by_every_route() -> Result<(), Failure> {
    let oracle = oracle::read()?;
    assert_eq!(oracle.ppca.len(), 7);
    for case in &oracle.ppca {
        let x = oracle.table(&case.data);
        // enough iterations for the gap after the last component of these data
        let randomized = Route::Randomized { oversamples: 20, iterations: 60 };
        for route in [Route::Covariance, Route::Gram, Route::Svd, randomized] {
            let model = Pca::new().components(case.components).route(route).fit(&x)?;
            // the routes that square the table have variances to the rounding of the greatest
            let condition = model.explained_variance()[0] / case.noise;
            let tolerance = 1e-8 + if route == Route::Svd { 0.0 } else { 20.0 * f64::EPSILON * condition };
            assert_relative_eq!(model.noise_variance(), case.noise, max_relative = tolerance);
            assert_abs_diff_eq!(
                model.log_density(&x)?,
                Array1::from(case.log_density.clone()),
                epsilon = tolerance
            );
        }
    }
    // the noise of wide data, 20 × 50, is a mean over all 47 left-out eigenvalues, most of which are zero; scikit-learn's over 17
    let wide = oracle.ppca.iter().find(|c| c.data == "wide").ok_or("a wide case")?;
    let theirs = oracle.scikit_learn_wide_noise * (19.0 / 20.0) * (17.0 / 47.0);
    assert_relative_eq!(wide.noise, theirs, max_relative = 1e-10);
    Ok(())
}

#[test]
fn iris_has_its_published_likelihoods() -> Result<(), Failure> {
    let x = data::iris().x;
    for (q, expected) in [(1, -3.137796), (2, -2.699752), (3, -2.532764), (4, -2.532764)] {
        let mean = Pca::new().components(q).fit(&x)?.log_density(&x)?.mean();
        assert_abs_diff_eq!(mean.unwrap_or_default(), expected, epsilon = 5e-7);
    }
    Ok(())
}

#[test]
fn the_most_probable_dimension_is_that_of_scikit_learn() -> Result<(), Failure> {
    let oracle = oracle::read()?;
    assert_eq!((oracle.mle["iris"], oracle.mle["digits"]), (3, 61));
    for (name, &expected) in &oracle.mle {
        for route in [Route::Auto, Route::Covariance, Route::Svd] {
            let model = Pca::new().most_probable_components().route(route).fit(&oracle.table(name))?;
            assert_eq!(model.components().nrows(), expected, "{name}");
        }
    }
    // (39, in the form of an exact answer) a plane with noise has its own dimension, any shift and unit changes nothing
    let x = plane_with_noise(3, 400, 12, 4, 0.3);
    for x in [x.clone(), &x * 1e-6 + 1e3, &x * 1e6 - 1e7] {
        assert_eq!(Pca::new().most_probable_components().fit(&x)?.components().nrows(), 4);
    }
    // without noise its dimension is its rank; constant data keep one direction
    assert_eq!(
        Pca::new().most_probable_components().fit(&plane_with_noise(3, 60, 7, 3, 0.0))?.components().nrows(),
        3
    );
    assert_eq!(
        Pca::new().most_probable_components().fit(&Array2::<f64>::ones((9, 3)))?.components().nrows(),
        1
    );
    assert_eq!(Pca::new().most_probable_components().fit(&table(1, 9, 1))?.components().nrows(), 1);
    let wide = Pca::new().most_probable_components().fit(&table(1, 5, 9));
    assert!(matches!(wide, Err(Error::Parameter { name: "components", .. })));
    Ok(())
}

// (37) both ways round
#[test]
fn no_noise_is_left_where_every_component_is_kept() -> Result<(), Failure> {
    for (n, d) in [(100, 20), (20, 100), (6, 6)] {
        for route in ROUTES {
            let x = table(5, n, d);
            let model = Pca::new().components(n.min(d)).route(route).fit(&x)?;
            assert_eq!(model.noise_variance(), 0.0);
            if n > d {
                // a full Gaussian
                assert!(model.log_density(&x)?.iter().all(|v| v.is_finite()));
            } else {
                let named =
                    |error| matches!(error, Some(Error::Numerical { method: "PCA as a density", .. }));
                assert!(named(model.log_density(&x).err()), "{route:?} {n} {d}");
                assert!(named(model.sample(1, Seed::new(1)).err()));
                assert!(named(model.covariance().err()) && named(model.precision().err()));
            }
        }
    }
    Ok(())
}

#[test]
fn data_without_noise_have_no_density_by_any_route() -> Result<(), Failure> {
    let flat = [plane_with_noise(1, 50, 8, 3, 0.0), plane_with_noise(1, 6, 9, 2, 0.0), Array2::ones((9, 4))];
    for x in flat {
        for route in ROUTES {
            for k in [3, 4] {
                let model = Pca::new().components(k).route(route).fit(&x)?;
                assert_eq!(model.noise_variance(), 0.0, "{route:?} {k}");
                assert!(matches!(model.log_density(&x), Err(Error::Numerical { .. })), "{route:?} {k}");
            }
        }
    }
    Ok(())
}

#[test]
fn constant_data_have_no_density_whatever_their_value() -> Result<(), Failure> {
    // the mean of a number that is not a sum of few powers of two is rounded, and so is every distance from it
    for (n, values) in
        [(37_usize, [0.1_f64, 7.3, -1e7 / 3.0, 1e-9]), (3, [1e3 / 7.0; 4]), (64, [0.7, 0.7, 1e5 / 9.0, 0.0])]
    {
        let x = Array2::from_shape_fn((n, 4), |(_, j)| values[j]);
        let single = x.mapv(|v| v as f32);
        for route in ROUTES {
            for k in [1, 3] {
                let spec = Pca::new().components(k).route(route).whiten(true);
                let (double, single_model) = (spec.fit(&x)?, spec.fit(&single)?);
                assert!(matches!(double.log_density(&x), Err(Error::Numerical { .. })), "{route:?} {n} {k}");
                assert!(
                    matches!(single_model.log_density(&single), Err(Error::Numerical { .. })),
                    "{route:?} {n} {k}"
                );
                assert!(
                    (double.inverse_transform(&double.transform(&x)?)? - &x).iter().all(|v| v.abs() < 1e-8)
                );
            }
        }
        assert_eq!(Pca::new().most_probable_components().fit(&x).map_or(1, |m| m.components().nrows()), 1);
        for solver in [Solver::Auto, Solver::Em] {
            let spec = ProbabilisticPca::new(1).solver(solver);
            assert!(matches!(spec.fit(&x), Err(Error::Numerical { .. })), "{n} {solver:?}");
            assert!(matches!(spec.fit(&single), Err(Error::Numerical { .. })), "{n} {solver:?}");
        }
        let mut holes = x.clone();
        holes[[0, 1]] = f64::NAN;
        assert!(
            matches!(ProbabilisticPca::new(1).missing(true).fit(&holes), Err(Error::Numerical { .. })),
            "{n}"
        );
        assert!(matches!(FactorAnalysis::new(1).fit(&x), Err(Error::Numerical { .. })), "{n}");
        assert!(matches!(FactorAnalysis::new(1).fit(&single), Err(Error::Numerical { .. })), "{n}");
        assert!(matches!(PpcaMixture::new(2, 1).fit(&x), Err(Error::Numerical { .. })), "{n}");
        assert!(matches!(PpcaMixture::new(2, 1).fit(&single), Err(Error::Numerical { .. })), "{n}");
        let stream = IncrementalPca::new(1).batch(2).fit(&x)?;
        assert!(matches!(stream.log_density(&x), Err(Error::Numerical { .. })), "{n}");
    }
    Ok(())
}

// (39) the likelihood of rows that were not fitted is greatest at the true number of directions
#[test]
fn rows_not_seen_are_most_likely_at_the_true_dimension() -> Result<(), Failure> {
    let x = plane_with_noise(8, 800, 10, 3, 1.0);
    let (seen, unseen) = x.view().split_at(Axis(0), 400);
    let score = |k: usize| -> Result<f64, Failure> {
        Ok(Pca::new().components(k).fit(&seen)?.log_density(&unseen)?.mean().unwrap_or(f64::NAN))
    };
    let scores = (1..10).map(score).collect::<Result<Vec<_>, _>>()?;
    let best = (0..9).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    assert_eq!(best, Some(2), "{scores:?}");
    Ok(())
}

// (40)
#[test]
fn a_fraction_of_the_variance_finds_the_dimension() -> Result<(), Failure> {
    let mut x = table(4, 300, 5);
    for (j, mut column) in x.columns_mut().into_iter().enumerate() {
        column *= [10.0, 5.0, 3.0, 0.1, 0.1][j];
    }
    assert_eq!(Pca::new().variance(0.95).fit(&x)?.components().nrows(), 3);
    assert_eq!(Pca::new().variance(0.01).fit(&x)?.components().nrows(), 1);
    Ok(())
}

#[test]
fn samples_have_the_mean_and_covariance_of_the_model() -> Result<(), Failure> {
    let model = Pca::new().components(2).fit(&data::iris().x)?;
    contract::check_sampler(&model);
    let drawn = model.sample(200_000, Seed::new(5))?;
    assert_abs_diff_eq!(drawn.mean_axis(Axis(0)).unwrap_or_default(), model.mean().clone(), epsilon = 0.02);
    let again = Pca::new().fit(&drawn)?;
    assert_abs_diff_eq!(again.covariance()?, model.covariance()?, epsilon = 0.03);
    assert_eq!(drawn.slice(s![..3, ..]), model.sample(200_000, Seed::new(5))?.slice(s![..3, ..]));
    Ok(())
}

#[test]
fn residuals_bound_the_error_of_the_randomized_route() -> Result<(), Failure> {
    let x = data::digits().x;
    let exact = Pca::new().fit(&x)?;
    assert!(exact.residuals(&x)?.iter().all(|r| *r < 1e-11 * exact.explained_variance()[0]));
    let crude =
        Pca::new().components(8).route(Route::Randomized { oversamples: 2, iterations: 0 }).fit(&x)?;
    let residuals = crude.residuals(&x)?;
    assert!(residuals[0] > 1e-3 * crude.explained_variance()[0], "{residuals}");
    for (variance, residual) in crude.explained_variance().iter().zip(&residuals) {
        // an eigenvalue of the covariance lies within the residual of each variance
        let nearest =
            exact.explained_variance().iter().map(|v| (v - variance).abs()).fold(f64::INFINITY, f64::min);
        assert!(nearest <= residual * (1.0 + 1e-9), "{variance}: {nearest} > {residual}");
    }
    // the tolerance is met, and not by the limit on iterations
    let mut iterations = Vec::new();
    for tolerance in [1e-2, 1e-4, 1e-8] {
        let spec = Pca::new().components(8).route(Route::Randomized { oversamples: 10, iterations: 500 });
        let mut seen = 0;
        let mut count = |event: &unsup_core::observe::Event<'_>| {
            if let unsup_core::observe::Event::Progress { done, .. } = event {
                seen = *done;
            }
            std::ops::ControlFlow::Continue(())
        };
        let model = spec.tolerance(tolerance).fit_observed(&x, &mut count)?;
        let worst = (model.residuals(&x)? / model.explained_variance()).fold(0.0_f64, |m, v| m.max(*v));
        assert!(worst <= tolerance, "{worst} at {tolerance}");
        iterations.push(seen);
    }
    assert!(
        iterations[0] < iterations[1] && iterations[1] < iterations[2] && iterations[2] < 500,
        "{iterations:?}"
    );
    for tolerance in [-1.0, f64::NAN, f64::INFINITY] {
        let bad = Pca::new().tolerance(tolerance).fit(&x);
        assert!(matches!(bad, Err(Error::Parameter { name: "tolerance", .. })));
    }
    Ok(())
}

// (33), with scikit-learn's 1e-10 near the origin, and with every case far from it and in f32
#[test]
fn cases_by_routes() -> Result<(), Failure> {
    let nearly_constant =
        &table(3, 60, 12) * 1e-3 + &Array1::from_shape_fn(12, |j| if j == 4 { 1.0 } else { 0.0 });
    let cases = [
        ("tall", table(1, 100, 8), 8),
        ("wide", table(1, 8, 100), 7),
        ("square", table(1, 9, 9), 8),
        ("tall, of rank 3", plane_with_noise(2, 100, 8, 3, 0.0), 3),
        ("wide, of rank 3", plane_with_noise(2, 8, 100, 3, 0.0), 3),
        ("nearly constant", nearly_constant, 12),
        (
            "a constant column",
            {
                let mut x = table(1, 40, 5);
                x.column_mut(2).fill(3.0);
                x
            },
            4,
        ),
        ("two rows", table(1, 2, 5), 1),
        ("one column", table(1, 30, 1), 1),
    ];
    for (name, x, rank) in cases {
        let scale = x.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let spread = Pca::new().fit(&x)?.explained_variance()[0].sqrt();
        for offset in [0.0, 1e7 * spread] {
            // what is far is rounded; both fits are of the rounded numbers, but a mean out there is known to 1e-9 of the spread
            let (of_variances, of_codes) = if offset == 0.0 { (1e-10, 1e-8) } else { (1e-7, 1e-5) };
            let far = x.mapv(|v| v + offset);
            let near = far.mapv(|v| v - offset);
            for whiten in [false, true] {
                let spec = Pca::new().components(rank).whiten(whiten).seed(1);
                let expected = spec.clone().route(Route::Svd).fit(&near)?;
                for route in ROUTES {
                    let model = spec.clone().route(route).fit(&far)?;
                    let what = format!("{name}, {route:?}, offset {offset:e}");
                    let (ours, theirs) = (model.explained_variance(), expected.explained_variance());
                    let worst = (ours / theirs - 1.0).fold(0.0_f64, |m, v| m.max(v.abs()));
                    assert!(worst < of_variances, "{what}: {worst:e}");
                    let codes = (model.transform(&far)? - expected.transform(&near)?)
                        .fold(0.0_f64, |m, v| m.max(v.abs()));
                    let unit = if whiten { 1.0 } else { spread };
                    assert!(codes < of_codes * unit, "{what}: codes {codes:e}");
                    let rebuilt = model.inverse_transform(&model.transform(&far)?)?;
                    let worst = (&rebuilt - &far).fold(0.0_f64, |m, v| m.max(v.abs()));
                    assert!(worst < 1e-8 * scale + 1e-15 * offset * 8.0, "{what}: rebuilt {worst:e}");
                    let unit = model.components().dot(&model.components().t()) - Array2::<f64>::eye(rank);
                    assert!(unit.iter().all(|v| v.abs() < 1e-12), "{what}: orthonormal");
                }
            }
        }
        let far = x.mapv(|v| (v + 1e3 * spread) as f32);
        let expected = Pca::new().components(rank).route(Route::Svd).fit(&far.mapv(f64::from))?;
        for route in ROUTES {
            let model = Pca::new().components(rank).route(route).fit(&far)?;
            let worst = (model.explained_variance() - expected.explained_variance())
                .mapv(|v| v.abs() / spread.powi(2));
            assert!(worst.iter().all(|&v| v < 1e-5), "{name}, {route:?}, f32: {worst}");
        }
    }
    Ok(())
}

#[test]
fn a_density_of_single_precision_keeps_its_digits_far_from_the_origin() -> Result<(), Failure> {
    for (n, d) in [(200, 6), (20, 60)] {
        // noise of 0.01 at a mean of 1000: a rounded mean would be off by a hundredth of it
        let far = plane_with_noise(6, n, d, 2, 0.01).mapv(|v| (v + 1e3) as f32);
        let near = far.mapv(|v| f64::from(v) - 1e3);
        for route in [Route::Svd, Route::Gram] {
            let (single, double) = (
                Pca::new().components(2).route(route).fit(&far)?,
                Pca::new().components(2).route(route).fit(&near)?,
            );
            assert_relative_eq!(single.noise_variance(), double.noise_variance(), max_relative = 1e-6);
            assert_abs_diff_eq!(single.log_density(&far)?, double.log_density(&near)?, epsilon = 1e-3);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // (32) and (38)
    #[test]
    fn covariance_and_precision_are_inverse_and_no_direction_has_less_than_the_noise(n in 12usize..60, d in 2usize..30, k in 1usize..30, seed in any::<u64>()) {
        let x = table(seed, n, d);
        let k = k.min(d).min(n - 2);
        for route in ROUTES {
            let model = Pca::new().components(k).route(route).seed(seed).fit(&x)?;
            let least = model.explained_variance()[k - 1] * (n as f64 - 1.0) / n as f64;
            prop_assert!(least >= model.noise_variance() * (1.0 - 1e-12));
            let (covariance, precision) = (model.covariance()?, model.precision()?);
            let condition = model.explained_variance()[0] / if k == d { least } else { model.noise_variance() };
            let unit = covariance.dot(&precision) - Array2::<f64>::eye(d);
            prop_assert!(unit.iter().all(|v| v.abs() < 1e-14 * condition + 1e-12), "{:e}", condition);
            // the trace of the fitted covariance is the variance of the data
            let total = model.total_variance() * (n as f64 - 1.0) / n as f64;
            prop_assert!((covariance.diag().sum() - total).abs() < 1e-10 * total);
        }
    }

    #[test]
    fn the_reconstruction_error_is_the_sum_of_what_is_left_out(n in 8usize..60, d in 3usize..20, seed in any::<u64>()) {
        let x = table(seed, n, d);
        for route in ROUTES {
            let model = Pca::new().components(2).route(route).seed(seed).fit(&x)?;
            let left = (model.total_variance() - model.explained_variance().sum()) * (n as f64 - 1.0) / n as f64;
            prop_assert!((model.reconstruction_error(&x)? - left).abs() < 1e-9 * model.total_variance());
            let noise = model.noise_variance() * (d - 2) as f64;
            prop_assert!((noise - left).abs() < 1e-9 * model.total_variance());
        }
    }

    #[test]
    fn the_fitted_gaussian_is_likelier_than_one_with_another_noise_or_directions(n in 20usize..60, seed in any::<u64>()) {
        // a model of the same family fitted to other rows cannot be likelier on these
        let (x, other) = (table(seed, n, 6), table(seed ^ 9, n, 6));
        let own = Pca::new().components(2).fit(&x)?.log_density(&x)?.sum();
        let foreign = Pca::new().components(2).fit(&other)?.log_density(&x)?.sum();
        prop_assert!(own >= foreign - 1e-9);
    }
}
