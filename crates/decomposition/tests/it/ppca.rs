//! Probabilistic PCA: EM against the closed form, missing values, the contract, what holds for all data.

use crate::oracle::{self, Failure};
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use proptest::prelude::*;
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::{Error, Float, Seed, data};
use unsup_decomposition::ppca::Solver;
use unsup_decomposition::{Pca, ProbabilisticPca, ProbabilisticPcaModel};

fn questions<F: Float>() -> Questions<ProbabilisticPcaModel, F> {
    Questions {
        answer: |model, x| {
            let codes = model.transform(x)?;
            let rebuilt = model.inverse_transform(&codes)?;
            let scores = model.anomaly_score(x)?.insert_axis(Axis(1));
            Ok(concatenate(Axis(1), &[codes.view(), rebuilt.view(), scores.view()]).unwrap_or_default())
        },
        history: |model| (model.history().iterations() > 0).then(|| model.history()),
    }
}

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

fn plane_with_noise(seed: u64, n: usize, d: usize, q: usize, noise: f64) -> Array2<f64> {
    let scales = Array1::from_shape_fn(q, |k| 4.0 / (k + 1) as f64);
    (table(seed, n, q) * &scales).dot(&table(seed ^ 1, q, d)) + table(seed ^ 2, n, d) * noise
}

/// The same table with a share of its values missing at random, every column and every row keeping some.
fn with_holes(x: &Array2<f64>, share: f64, seed: u64) -> Array2<f64> {
    let draws = Seed::new(seed).named("holes").normals(x.len());
    let quantile = draws.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sorted = draws.clone();
    sorted.sort_by(f64::total_cmp);
    let limit = sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or(quantile);
    let mut holes = x.clone();
    for ((at, value), draw) in holes.indexed_iter_mut().zip(&draws) {
        if *draw < limit && at.0 % x.ncols() != at.1 {
            *value = f64::NAN;
        }
    }
    holes
}

#[test]
fn the_estimator_contract() {
    let x = plane_with_noise(1, 200, 9, 2, 0.5);
    for spec in [ProbabilisticPca::new(2), ProbabilisticPca::new(2).solver(Solver::Em).seed(3)] {
        contract::check(&spec, &x, 1e-4, &questions(), &questions());
    }
}

#[test]
fn both_solvers_give_the_density_of_the_definition() -> Result<(), Failure> {
    let oracle = oracle::read()?;
    for case in oracle.ppca.iter().filter(|c| c.data != "wine") {
        let x = oracle.table(&case.data);
        for solver in [Solver::ClosedForm, Solver::Em] {
            let spec = ProbabilisticPca::new(case.components).solver(solver);
            let model = spec.max_iterations(20_000).tolerance(1e-14).fit(&x)?;
            assert_relative_eq!(model.noise_variance(), case.noise, max_relative = 1e-5);
            let exact = solver == Solver::ClosedForm;
            let tolerance = if exact { 1e-8 } else { 1e-4 };
            assert_abs_diff_eq!(
                model.log_density(&x)?,
                Array1::from(case.log_density.clone()),
                epsilon = tolerance
            );
        }
    }
    Ok(())
}

#[test]
fn em_reaches_the_subspace_and_the_noise_of_the_closed_form() -> Result<(), Failure> {
    // tall: the covariance is formed; wide: it is not
    for (n, d) in [(300, 12), (30, 80)] {
        // EM needs some λ/σ² iterations for the last digits of a variance λ
        let x = plane_with_noise(4, n, d, 3, if n > d { 0.5 } else { 3.0 }) + 1e4;
        let closed = ProbabilisticPca::new(3).fit(&x)?;
        let em = ProbabilisticPca::new(3)
            .solver(Solver::Em)
            .tolerance(0.0)
            .max_iterations(20_000)
            .seed(9)
            .fit(&x)?;
        assert_relative_eq!(em.noise_variance(), closed.noise_variance(), max_relative = 1e-8);
        let cosines = em.components().dot(&closed.components().t());
        assert_abs_diff_eq!(cosines, Array2::eye(3), epsilon = 1e-6);
        assert_relative_eq!(em.variances(), closed.variances(), max_relative = 1e-7);
        // the plane is that of PCA
        let pca = Pca::new().components(3).fit(&x)?;
        assert_abs_diff_eq!(closed.components(), pca.components(), epsilon = 1e-8);
        assert_relative_eq!(closed.noise_variance(), pca.noise_variance(), max_relative = 1e-12);
        assert_abs_diff_eq!(closed.log_density(&x)?, pca.log_density(&x)?, epsilon = 1e-7);
    }
    Ok(())
}

#[test]
fn em_on_a_complete_table_does_not_care_whether_values_may_be_missing() -> Result<(), Failure> {
    let x = plane_with_noise(6, 150, 8, 2, 0.4);
    let mut holes = x.clone();
    holes[[3, 2]] = f64::NAN;
    let spec = ProbabilisticPca::new(2).tolerance(1e-13).max_iterations(5000);
    let (whole, may_miss) = (spec.clone().fit(&x)?, spec.clone().missing(true).fit(&x)?);
    assert_eq!(whole.loadings(), may_miss.loadings());
    // questions go row by row then, to the same answers
    assert_abs_diff_eq!(whole.transform(&x)?, may_miss.transform(&x)?, epsilon = 1e-10);
    assert_abs_diff_eq!(whole.log_density(&x)?, may_miss.log_density(&x)?, epsilon = 1e-9);
    // one value in 1200 moves little
    let one = spec.missing(true).fit(&holes)?;
    assert_abs_diff_eq!(one.loadings(), whole.loadings(), epsilon = 0.05);
    assert!(one.history().converged());
    Ok(())
}

#[test]
fn data_far_from_the_origin_give_what_they_give_near_it() -> Result<(), Failure> {
    for (n, d) in [(80, 6), (20, 50)] {
        let x = plane_with_noise(5, n, d, 2, 0.5);
        // what is far is also rounded: the comparison is with the same rounded numbers
        let far = x.mapv(|v| v + 1e7);
        let near = far.mapv(|v| v - 1e7);
        let single = x.mapv(|v| (v + 1e3) as f32);
        let near_single = single.mapv(|v| f64::from(v) - 1e3);
        let spec = ProbabilisticPca::new(2).tolerance(0.0).max_iterations(50);
        for (spec, holes) in [
            (spec.clone(), 0.0),
            (spec.clone().solver(Solver::Em), 0.0),
            (spec.missing(true).solver(Solver::Em), 0.2),
        ] {
            let (far, near) = (with_holes(&far, holes, 3), with_holes(&near, holes, 3));
            let (of_far, of_near) = (spec.fit(&far)?, spec.fit(&near)?);
            assert_relative_eq!(of_far.noise_variance(), of_near.noise_variance(), max_relative = 1e-7);
            assert_abs_diff_eq!(of_far.log_density(&far)?, of_near.log_density(&near)?, epsilon = 1e-5);
            let near = with_holes(&near_single, holes, 3);
            let single = ndarray::Zip::from(&single)
                .and(&near)
                .map_collect(|&s, n| if n.is_nan() { f32::NAN } else { s });
            let (of_single, of_near) = (spec.fit(&single)?, spec.fit(&near)?);
            assert_relative_eq!(of_single.noise_variance(), of_near.noise_variance(), max_relative = 1e-4);
        }
    }
    Ok(())
}

#[test]
fn missing_values_are_filled_from_what_was_observed() -> Result<(), Failure> {
    let x = plane_with_noise(2, 400, 10, 2, 0.05) + 1e5;
    let holes = with_holes(&x, 0.3, 5);
    let model = ProbabilisticPca::new(2).missing(true).fit(&holes)?;
    let filled = model.impute(&holes)?;
    let (mut ours, mut of_means, mut count) = (0.0, 0.0, 0.0);
    for (j, column) in holes.columns().into_iter().enumerate() {
        let seen: Vec<f64> = column.iter().copied().filter(|v| !v.is_nan()).collect();
        let mean = seen.iter().sum::<f64>() / seen.len() as f64;
        for (i, value) in column.iter().enumerate() {
            if value.is_nan() {
                ours += (filled[[i, j]] - x[[i, j]]).powi(2);
                of_means += (mean - x[[i, j]]).powi(2);
                count += 1.0;
            } else {
                assert_eq!(filled[[i, j]], *value);
            }
        }
    }
    assert!(count > 800.0);
    // noise of 0.05 can be known to little more than that
    assert!((ours / count).sqrt() < 0.08 && (of_means / count).sqrt() > 2.0, "{}", (ours / count).sqrt());
    assert_relative_eq!(model.noise_variance().sqrt(), 0.05, max_relative = 0.05);
    Ok(())
}

#[test]
fn the_density_of_a_row_with_holes_is_the_marginal_one() -> Result<(), Failure> {
    let x = data::iris().x;
    let model = ProbabilisticPca::new(2).missing(true).fit(&x)?;
    let row = array![[5.0, f64::NAN, 4.0, f64::NAN]];
    let (mean, covariance) = (model.mean(), model.covariance());
    // by the 2 × 2 matrix of the two columns that were observed
    let (a, b) = (5.0 - mean[0], 4.0 - mean[2]);
    let (aa, ab, bb) = (covariance[[0, 0]], covariance[[0, 2]], covariance[[2, 2]]);
    let determinant = aa * bb - ab * ab;
    let distance = (a * a * bb - 2.0 * a * b * ab + b * b * aa) / determinant;
    let expected = -0.5 * (2.0 * std::f64::consts::TAU.ln() + determinant.ln() + distance);
    assert_abs_diff_eq!(model.log_density(&row)?[0], expected, epsilon = 1e-10);
    // a regression on them fills the others
    let weights = |j: usize| {
        let (c, d) = (covariance[[0, j]], covariance[[2, j]]);
        ((c * bb - d * ab) * a + (d * aa - c * ab) * b) / determinant + mean[j]
    };
    let filled = model.impute(&row)?;
    assert_abs_diff_eq!(filled, array![[5.0, weights(1), 4.0, weights(3)]], epsilon = 1e-10);
    // a row without any value says nothing
    let nothing = Array2::from_elem((1, 4), f64::NAN);
    assert_abs_diff_eq!(model.log_density(&nothing)?[0], 0.0, epsilon = 1e-12);
    assert_eq!(model.transform(&nothing)?, Array2::<f64>::zeros((1, 2)));
    assert_abs_diff_eq!(model.impute(&nothing)?.row(0), mean.view(), epsilon = 1e-12);
    let mut with_nothing = x.clone();
    with_nothing.row_mut(9).fill(f64::NAN);
    let without = concatenate(Axis(0), &[x.slice(s![..9, ..]), x.slice(s![10.., ..])])?;
    let spec = ProbabilisticPca::new(2).missing(true).tolerance(1e-13).max_iterations(20_000);
    let (fitted, expected) = (spec.fit(&with_nothing)?, spec.fit(&without)?);
    assert_relative_eq!(fitted.noise_variance(), expected.noise_variance(), max_relative = 1e-4);
    Ok(())
}

#[test]
fn samples_have_the_covariance_of_the_model() -> Result<(), Failure> {
    let model = ProbabilisticPca::new(2).fit(&data::iris().x)?;
    contract::check_sampler(&model);
    let drawn = model.sample(200_000, Seed::new(8))?;
    let again = ProbabilisticPca::new(2).fit(&drawn)?;
    assert_abs_diff_eq!(again.covariance(), model.covariance(), epsilon = 0.03);
    assert_abs_diff_eq!(again.mean(), model.mean(), epsilon = 0.02);
    let unit = model.covariance().dot(&model.precision());
    assert_abs_diff_eq!(unit, Array2::eye(4), epsilon = 1e-12);
    Ok(())
}

#[test]
fn bad_hyper_parameters_and_bad_data_are_named() {
    let x = table(1, 6, 4);
    let named = |spec: ProbabilisticPca, x: &Array2<f64>| match spec.fit(x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(ProbabilisticPca::new(0), &x), "directions");
    assert_eq!(named(ProbabilisticPca::new(4), &x), "directions");
    assert_eq!(named(ProbabilisticPca::new(4), &table(1, 3, 9)), "directions");
    assert_eq!(named(ProbabilisticPca::new(2).max_iterations(0), &x), "max_iterations");
    for tolerance in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(named(ProbabilisticPca::new(2).tolerance(tolerance), &x), "tolerance");
    }
    let holes = with_holes(&x, 0.3, 1);
    assert_eq!(named(ProbabilisticPca::new(2).missing(true).solver(Solver::ClosedForm), &holes), "solver");
    assert!(matches!(ProbabilisticPca::new(2).fit(&holes), Err(Error::NonFinite { .. })));
    let mut infinite = holes.clone();
    infinite[[1, 3]] = f64::INFINITY;
    let spec = ProbabilisticPca::new(2).missing(true);
    assert!(matches!(spec.fit(&infinite), Err(Error::NonFinite { row: 1, column: 3, .. })));
    let mut blind = x.clone();
    blind.column_mut(2).fill(f64::NAN);
    assert!(matches!(spec.fit(&blind), Err(Error::Value { what: "columns of x", index: 2, .. })));
    assert!(matches!(spec.fit(&table(1, 1, 4)), Err(Error::TooFewRows { .. })));
    // no noise around the plane: no density
    for spec in [ProbabilisticPca::new(2), ProbabilisticPca::new(2).solver(Solver::Em)] {
        assert!(matches!(spec.fit(&Array2::<f64>::ones((9, 4))), Err(Error::Numerical { .. })));
        let flat = plane_with_noise(1, 40, 6, 2, 0.0);
        assert!(matches!(
            spec.max_iterations(100_000).tolerance(0.0).fit(&flat),
            Err(Error::Numerical { .. })
        ));
    }
}

#[test]
fn one_row_one_column_and_a_column_that_is_constant() -> Result<(), Failure> {
    let mut x = plane_with_noise(2, 60, 5, 1, 0.3);
    x.column_mut(3).fill(7.3);
    let mut holes = x.clone();
    (holes[[4, 1]], holes[[9, 3]]) = (f64::NAN, f64::NAN);
    let spec = ProbabilisticPca::new(1).tolerance(1e-13).max_iterations(5000);
    for (spec, x) in [
        (spec.clone(), &x),
        (spec.clone().solver(Solver::Em), &x),
        (spec.clone().missing(true).solver(Solver::Em), &holes),
    ] {
        let few = spec.fit(&table(1, 1, 5));
        assert!(matches!(few, Err(Error::TooFewRows { needed: 2, found: 1, .. })), "{few:?}");
        // two rows lie on a line, one column leaves no direction to noise
        assert!(matches!(spec.fit(&table(1, 2, 5)), Err(Error::Numerical { .. })));
        assert!(matches!(spec.fit(&table(1, 30, 1)), Err(Error::Parameter { name: "directions", .. })));
        let model = spec.fit(x)?;
        assert!(model.log_density(x)?.iter().all(|v| v.is_finite()));
        let rebuilt = model.inverse_transform(&model.transform(x)?)?;
        assert!(rebuilt.column(3).iter().all(|v| (v - 7.3).abs() < 1e-9), "{}", rebuilt.column(3));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_likelihood_of_what_was_observed_never_falls(n in 10usize..60, d in 3usize..12, share in 0.0..0.5f64, seed in any::<u64>()) {
        let x = plane_with_noise(seed, n, d, 2, 0.5) + 100.0;
        let holes = with_holes(&x, share, seed);
        let spec = ProbabilisticPca::new(2).tolerance(0.0).max_iterations(60).seed(seed);
        for (spec, x) in [(spec.clone().solver(Solver::Em), &x), (spec.missing(true).solver(Solver::Em), &holes)] {
            let model = match spec.fit(x) {
                Ok(model) => model,
                // few values in many columns may be met by a plane exactly
                Err(Error::Numerical { .. }) => continue,
                Err(other) => return Err(other.into()),
            };
            let history = model.history().objective();
            prop_assert!(history.windows(2).all(|w| w[1] >= w[0] - 1e-9 * w[0].abs().max(1.0)), "{:?}", history);
            let last = history[history.len() - 1];
            let mean = model.log_density(x)?.mean().unwrap_or(f64::NAN);
            prop_assert!((last - mean).abs() < 1e-8 * mean.abs().max(1.0), "{} and {}", last, mean);
        }
    }

    #[test]
    fn the_code_of_a_row_shrinks_towards_the_origin(n in 20usize..60, d in 4usize..10, seed in any::<u64>()) {
        let x = plane_with_noise(seed, n, d, 2, 0.5);
        let model = ProbabilisticPca::new(2).fit(&x)?;
        let pca = Pca::new().components(2).whiten(true).fit(&x)?;
        let (ours, whitened) = (model.transform(&x)?, pca.transform(&x)?);
        // |E z| ≤ |coordinate| / standard deviation, with the divisor n of maximum likelihood
        let factor = (n as f64 / (n as f64 - 1.0)).sqrt();
        for (a, b) in ours.iter().zip(&whitened) {
            prop_assert!(a.abs() <= b.abs() * factor * (1.0 + 1e-6) + 1e-9);
        }
    }
}
