//! Factor analysis against scikit-learn 1.9.1 and R, what holds for all data, the contract. Numbers in parentheses are those of
//! scikit-learn's own tests, as a list of invariants.

use crate::oracle::{self, Failure, table as rows};
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use proptest::prelude::*;
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::store::Persist;
use unsup_core::{Error, Float, Seed};
use unsup_decomposition::factor::{Method, Rotation, rotate};
use unsup_decomposition::{FactorAnalysis, FactorAnalysisModel};

fn questions<F: Float>() -> Questions<FactorAnalysisModel, F> {
    Questions {
        answer: |model, x| {
            let codes = model.transform(x)?;
            let rebuilt = model.inverse_transform(&codes)?;
            let scores = model.anomaly_score(x)?.insert_axis(Axis(1));
            Ok(concatenate(Axis(1), &[codes.view(), rebuilt.view(), scores.view()]).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

/// Rows of q factors, with noise that differs from column to column.
fn factors(seed: u64, n: usize, d: usize, q: usize) -> Array2<f64> {
    let noise = Array1::from_shape_fn(d, |j| 0.3 + 0.2 * (j % 5) as f64);
    let strength = Array1::from_shape_fn(q, |k| 2.0 / (k + 1) as f64);
    (table(seed, n, q) * &strength).dot(&table(seed ^ 1, q, d)) + table(seed ^ 2, n, d) * &noise
}

const METHODS: [Method; 2] = [Method::Svd, Method::Em];

#[test]
fn the_estimator_contract() {
    let x = factors(1, 300, 10, 2);
    for spec in [
        FactorAnalysis::new(2).max_iterations(200),
        FactorAnalysis::new(2).rotation(Rotation::Varimax).max_iterations(200),
        FactorAnalysis::new(2).method(Method::Em).max_iterations(50),
    ] {
        contract::check(&spec, &x, 1e-4, &questions(), &questions());
    }
    // fewer rows than columns, and a subspace instead of all directions
    let wide = factors(2, 40, 90, 2);
    contract::check(&FactorAnalysis::new(2).max_iterations(30), &wide, 1e-3, &questions(), &questions());
    let tall = factors(3, 200, 80, 3);
    contract::check(&FactorAnalysis::new(3).max_iterations(30), &tall, 1e-3, &questions(), &questions());
}

#[test]
fn both_methods_reach_the_maximum_of_scikit_learn() -> Result<(), Failure> {
    let oracle = oracle::read()?;
    assert_eq!(oracle.factor_analysis.len(), 3);
    for case in &oracle.factor_analysis {
        let x = oracle.table(&case.data);
        for method in METHODS {
            let spec =
                FactorAnalysis::new(case.factors).method(method).tolerance(1e-14).max_iterations(100_000);
            let model = spec.fit(&x)?;
            let expected = Array1::from(case.log_density.clone());
            let (ours, theirs) = (model.log_density(&x)?, expected.mean().unwrap_or_default());
            let what = format!("{} {} {method:?}", case.data, case.factors);
            assert!(
                (ours.mean().unwrap_or_default() - theirs).abs() < 1e-6,
                "{what}: {:?} {theirs}",
                ours.mean()
            );
            assert!((&ours - &expected).iter().all(|v| v.abs() < 2e-3), "{what}");
            if method == Method::Svd {
                let largest = rows(&case.loadings).iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                agree(model.loadings(), &rows(&case.loadings), 1e-3 * largest, &what);
                for (rotation, expected) in
                    [(Rotation::Varimax, &case.varimax), (Rotation::Quartimax, &case.quartimax)]
                {
                    agree(&rotate(&rows(&case.loadings), rotation)?, &rows(expected), 1e-5 * largest, &what);
                    let spec = FactorAnalysis::new(case.factors).rotation(rotation);
                    let rotated = spec.tolerance(1e-14).max_iterations(100_000).fit(&x)?;
                    agree(rotated.loadings(), &rows(expected), 1e-3 * largest, &what);
                }
                let codes = model.transform(&x)?;
                let theirs = rows(&case.codes);
                for k in 0..case.factors {
                    let sign = codes[[0, k]].signum() * theirs[[0, k]].signum();
                    for i in 0..5 {
                        assert!((codes[[i, k]] * sign - theirs[[i, k]]).abs() < 1e-2, "{what}");
                    }
                }
            }
        }
    }
    Ok(())
}

/// The same columns up to their order and signs.
fn agree(ours: &Array2<f64>, theirs: &Array2<f64>, tolerance: f64, what: &str) {
    for column in theirs.columns() {
        let off = |candidate: ndarray::ArrayView1<'_, f64>| {
            let (same, opposite) = (&candidate - &column, &candidate + &column);
            let worst = |a: &Array1<f64>| a.fold(0.0_f64, |m, v| m.max(v.abs()));
            worst(&same).min(worst(&opposite))
        };
        let nearest = ours.columns().into_iter().map(off).fold(f64::INFINITY, f64::min);
        assert!(nearest < tolerance, "{what}: {nearest}");
    }
}

// (47) the rotation that R's psych::principal finds, as scikit-learn's test has it
#[test]
fn varimax_is_that_of_r() -> Result<(), Failure> {
    let factors = array![
        [0.89421016, -0.35854928],
        [-0.45081822, -0.89132754],
        [0.99500666, -0.02031465],
        [0.96822861, -0.06299656]
    ];
    let expected = array![[0.962, 0.052], [-0.141, 0.989], [0.949, -0.300], [0.937, -0.251]];
    let rotated = rotate(&factors, Rotation::Varimax)?.mapv(f64::abs);
    assert_abs_diff_eq!(rotated, expected.mapv(f64::abs), epsilon = 1e-3);
    assert_eq!(rotate(&factors, Rotation::None)?, factors);
    assert!(matches!(rotate(&Array2::zeros((0, 2)), Rotation::Varimax), Err(Error::Empty { .. })));
    Ok(())
}

#[test]
fn noise_of_its_own_is_found_in_every_column() -> Result<(), Failure> {
    let (n, d) = (20_000, 8);
    let x = factors(5, n, d, 2) + 1e4;
    for method in METHODS {
        let model = FactorAnalysis::new(2).method(method).tolerance(1e-9).fit(&x)?;
        let expected = Array1::from_shape_fn(d, |j| (0.3 + 0.2 * (j % 5) as f64).powi(2));
        assert_relative_eq!(*model.noise_variance(), expected, max_relative = 0.05);
        assert!(model.history().converged());
        contract::check_sampler(&model);
        let drawn = model.sample(100_000, Seed::new(2))?;
        let covariance = model.covariance();
        let centred = &drawn - &drawn.mean_axis(Axis(0)).unwrap_or_default();
        let largest = covariance.diag().fold(0.0_f64, |m, v| m.max(*v));
        assert_abs_diff_eq!(centred.t().dot(&centred) / 1e5, covariance, epsilon = 0.03 * largest);
        let shared = model.communalities();
        assert!(shared.iter().all(|v| (0.0..1.0).contains(v)), "{shared}");
    }
    Ok(())
}

#[test]
fn a_subspace_gives_what_all_directions_give() -> Result<(), Failure> {
    // (47) the randomized search against the exact one: 3·(2 + 10) < 100 columns against a table of 30 of them
    for (n, d) in [(400, 100), (60, 100)] {
        let x = factors(7, n, d, 2);
        let model = FactorAnalysis::new(2).max_iterations(200).tolerance(0.0).fit(&x)?;
        let history = model.history().objective();
        assert!(history.windows(2).all(|w| w[1] >= w[0] - 1e-9 * w[0].abs()), "{history:?}");
        // the same iteration, written with dense matrices
        let centred = &x - &x.mean_axis(Axis(0)).unwrap_or_default();
        let moment = centred.t().dot(&centred) / n as f64;
        let (mut noise, mut loadings) = (moment.diag().to_owned(), Array2::<f64>::zeros((d, 2)));
        for iteration in 0..=200 {
            if iteration > 0 {
                noise = moment.diag().to_owned() - (&loadings * &loadings).sum_axis(Axis(1));
            }
            let deviations = noise.mapv(f64::sqrt);
            let scaled = &moment / &deviations / deviations.view().insert_axis(Axis(1));
            let found = unsup_core::math::leading_eigen(&scaled, 2)?;
            let lengths = found.values.mapv(|v| (v - 1.0).max(0.0).sqrt());
            loadings = &found.vectors.t() * &lengths * &deviations.insert_axis(Axis(1));
        }
        assert_relative_eq!(*model.noise_variance(), noise, max_relative = 1e-6);
        assert_abs_diff_eq!(
            model.covariance(),
            loadings.dot(&loadings.t()) + Array2::from_diag(&noise),
            epsilon = 1e-5
        );
    }
    Ok(())
}

#[test]
fn more_factors_than_stand_out_of_the_noise_end_where_em_does() -> Result<(), Failure> {
    let x = factors(9, 300, 80, 1);
    let fit = |method: Method, iterations: usize| {
        FactorAnalysis::new(6).method(method).tolerance(0.0).max_iterations(iterations).fit(&x)
    };
    let (ours, em) = (fit(Method::Svd, 1500)?, fit(Method::Em, 30_000)?);
    for model in [&ours, &em] {
        let history = model.history().objective();
        assert!(history.windows(2).all(|w| w[1] >= w[0] - 1e-9 * w[0].abs()));
    }
    let last = |model: &FactorAnalysisModel| model.history().objective().last().copied().unwrap_or(f64::NAN);
    assert!((last(&ours) - last(&em)).abs() < 1e-5, "{} and {}", last(&ours), last(&em));
    Ok(())
}

#[test]
fn data_far_from_the_origin_give_what_they_give_near_it() -> Result<(), Failure> {
    for (n, d) in [(120, 6), (30, 50)] {
        let x = factors(4, n, d, 2);
        // what is far is also rounded: the comparison is with the same rounded numbers
        let far = x.mapv(|v| v + 1e7);
        let near = far.mapv(|v| v - 1e7);
        let single = x.mapv(|v| (v + 1e3) as f32);
        let near_single = single.mapv(|v| f64::from(v) - 1e3);
        for method in METHODS {
            let spec =
                FactorAnalysis::new(2).method(method).noise_floor(1e-4).tolerance(0.0).max_iterations(30);
            let (of_far, of_near) = (spec.fit(&far)?, spec.fit(&near)?);
            assert_abs_diff_eq!(of_far.log_density(&far)?, of_near.log_density(&near)?, epsilon = 1e-5);
            assert_relative_eq!(*of_far.noise_variance(), of_near.noise_variance(), max_relative = 1e-6);
            let (of_single, of_near) = (spec.fit(&single)?, spec.fit(&near_single)?);
            assert_relative_eq!(*of_single.noise_variance(), of_near.noise_variance(), max_relative = 1e-3);
            assert_abs_diff_eq!(
                of_single.log_density(&single)?,
                of_near.log_density(&near_single)?,
                epsilon = 1e-2
            );
        }
    }
    Ok(())
}

#[test]
fn columns_without_noise_end_at_the_floor() -> Result<(), Failure> {
    let mut x = factors(8, 200, 6, 2);
    x.column_mut(3).fill(5.0);
    let copy = x.column(0).to_owned();
    x.column_mut(5).assign(&copy);
    for method in METHODS {
        let model = FactorAnalysis::new(2).method(method).noise_floor(1e-6).fit(&x)?;
        let total = x.var_axis(Axis(0), 0.0).mean().unwrap_or_default();
        let least = model.noise_variance().fold(f64::INFINITY, |m, v| m.min(*v));
        assert!(least >= 1e-6 * total * (1.0 - 1e-12));
        assert_relative_eq!(model.noise_variance()[3], 1e-6 * total, max_relative = 1e-9);
        assert!(model.loadings().row(3).iter().all(|v| v.abs() < 1e-9));
        assert!(model.log_density(&x)?.iter().all(|v| v.is_finite()));
    }
    Ok(())
}

#[test]
fn bad_hyper_parameters_and_bad_data_are_named() -> Result<(), Failure> {
    let x = table(1, 6, 4);
    let named = |spec: FactorAnalysis| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(FactorAnalysis::new(0)), "factors");
    assert_eq!(named(FactorAnalysis::new(5)), "factors");
    assert_eq!(named(FactorAnalysis::new(2).max_iterations(0)), "max_iterations");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(named(FactorAnalysis::new(2).tolerance(bad)), "tolerance");
        assert_eq!(named(FactorAnalysis::new(2).noise_floor(bad)), "noise_floor");
    }
    assert!(matches!(FactorAnalysis::new(1).fit(&table(1, 1, 4)), Err(Error::TooFewRows { .. })));
    assert!(matches!(
        FactorAnalysis::new(1).fit(&(Array2::<f64>::ones((9, 4)) * 1e7)),
        Err(Error::Numerical { .. })
    ));
    // one column, two rows, as many factors as columns: models all the same
    for (x, q) in [(table(2, 30, 1), 1), (table(2, 2, 5), 2), (table(2, 30, 3), 3)] {
        assert!(FactorAnalysis::new(q).fit(&x)?.log_density(&x)?.iter().all(|v| v.is_finite()));
    }
    let record = FactorAnalysis::new(2).fit(&x)?.to_record()?;
    let bad = record.array("noise variance", &Array1::<f64>::zeros(4));
    assert!(matches!(FactorAnalysisModel::from_record(&bad), Err(Error::File { .. })));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // (47)
    #[test]
    fn the_likelihood_never_falls_and_its_last_value_is_that_of_the_rows(n in 10usize..80, d in 3usize..60, seed in any::<u64>()) {
        let x = factors(seed, n, d, 2);
        for method in METHODS {
            let model = FactorAnalysis::new(2).method(method).noise_floor(1e-6).tolerance(0.0).max_iterations(40).fit(&x)?;
            let history = model.history().objective();
            prop_assert!(history.windows(2).all(|w| w[1] >= w[0] - 1e-9 * w[0].abs().max(1.0)), "{:?}", history);
            let (last, sum) = (history[history.len() - 1] * n as f64, model.log_density(&x)?.sum());
            prop_assert!((last - sum).abs() < 1e-8 * sum.abs().max(1.0), "{} and {}", last, sum);
        }
    }

    #[test]
    fn units_of_columns_change_nothing_but_the_units(n in 40usize..100, seed in any::<u64>()) {
        let x = factors(seed, n, 6, 2);
        let units = array![1.0, 1024.0, 1.0, 0.0625, 1.0, 4.0];
        for method in METHODS {
            // a floor far below: it is in the units of all columns
            let spec = FactorAnalysis::new(2).method(method).noise_floor(1e-14).tolerance(0.0).max_iterations(10);
            let (near, far) = (spec.fit(&x)?, spec.fit(&(&x * &units))?);
            let expected = near.log_density(&x)? - units.mapv(f64::ln).sum();
            assert_abs_diff_eq!(far.log_density(&(&x * &units))?, expected, epsilon = 1e-6);
            assert_relative_eq!(*far.noise_variance(), near.noise_variance() * &units * &units, max_relative = 1e-6);
        }
    }

    #[test]
    fn covariance_and_precision_are_inverse_and_rotations_change_neither(n in 40usize..100, d in 3usize..12, seed in any::<u64>()) {
        let x = factors(seed, n, d, 2);
        let spec = FactorAnalysis::new(2).noise_floor(1e-4).max_iterations(20);
        let plain = spec.fit(&x)?;
        let unit = plain.covariance().dot(&plain.precision()) - Array2::<f64>::eye(d);
        prop_assert!(unit.iter().all(|v| v.abs() < 1e-8));
        for rotation in [Rotation::Varimax, Rotation::Quartimax] {
            let rotated = spec.clone().rotation(rotation).fit(&x)?;
            assert_abs_diff_eq!(rotated.covariance(), plain.covariance(), epsilon = 1e-8);
            assert_abs_diff_eq!(rotated.log_density(&x)?, plain.log_density(&x)?, epsilon = 1e-6);
            let rebuilt = rotated.inverse_transform(&rotated.transform(&x)?)?;
            assert_abs_diff_eq!(rebuilt, plain.inverse_transform(&plain.transform(&x)?)?, epsilon = 1e-6);
        }
        let first = plain.loadings().slice(s![.., 0]).to_owned();
        prop_assert!(first.iter().any(|v| *v > 0.0));
    }
}
