//! Gaussian mixtures by EM: the contract, invariants as properties, bad input. Numbers in parentheses are those of the shared list of
//! scikit-learn's test invariants.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, IxDyn, array, concatenate, s};
use proptest::prelude::*;
use unsup_clustering::mixture::Start;
use unsup_clustering::{Covariance, GaussianMixture, GaussianMixtureModel};
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, LogDensity, Predict, Sample};
use unsup_core::math::Nearest;
use unsup_core::observe::{Event, Silent, Stop};
use unsup_core::store::Persist;
use unsup_core::{Error, Result, Seed, data};

type Failure = Box<dyn std::error::Error>;

const FAMILIES: [Covariance; 4] =
    [Covariance::Full, Covariance::Tied, Covariance::Diagonal, Covariance::Spherical];

fn questions<F: Nearest>() -> Questions<GaussianMixtureModel, F> {
    Questions {
        answer: |model, x| {
            let labels = model.predict(x)?.mapv(|l| l as f64).insert_axis(Axis(1));
            let shares = model.responsibilities(x)?;
            let scores = model.anomaly_score(x)?.insert_axis(Axis(1));
            Ok(concatenate(Axis(1), &[labels.view(), shares.view(), scores.view()]).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

#[test]
fn the_estimator_contract() {
    let x = data::iris().x;
    let given = Start::Given { means: x.slice(s![..;50, ..]).to_owned(), weights: None, precisions: None };
    // to the end: a row that lies between two means may start with either, by the rounding of the element type
    let spec = GaussianMixture::new(3).restarts(2).tolerance(1e-9).max_iterations(1000).seed(5);
    for start in [Start::KMeans, Start::KMeansPlusPlus, Start::RandomRows, given] {
        for family in FAMILIES {
            let spec = spec.clone().covariance(family).start(start.clone());
            contract::check(&spec, &x, 1e-3, &questions(), &questions());
        }
    }
}

/// Rows of a mixture of three overlapping groups of different shape.
fn groups(n: usize, d: usize, seed: u64) -> Array2<f64> {
    let seed = Seed::new(seed);
    let (noise, centres) = (seed.named("noise").normals(n * d), seed.named("centres").normals(3 * d));
    Array2::from_shape_fn((n, d), |(i, j)| {
        let c = i % 3;
        2.0 * centres[c * d + j]
            + noise[i * d + j] * (0.5 + c as f64 * 0.4)
            + 0.3 * noise[i * d + (j + 1) % d]
    })
}

fn rows(n: std::ops::Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    (n, 1usize..6, any::<u64>()).prop_map(|(n, d, seed)| groups(n, d, seed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // (19)
    #[test]
    fn the_likelihood_never_falls_without_a_floor(x in rows(60..300), seed in any::<u64>()) {
        for family in FAMILIES {
            let spec = GaussianMixture::new(3).covariance(family).covariance_floor(0.0).tolerance(0.0);
            let model = spec.max_iterations(40).seed(seed).fit(&x)?;
            let objective = model.history().objective();
            prop_assert_eq!(objective.len(), 40);
            prop_assert!(objective.windows(2).all(|w| w[1] >= w[0] - 1e-9 * w[0].abs().max(1.0)), "{:?}", objective);
            let mean = model.log_density(&x)?.mean().unwrap_or(f64::NAN);
            prop_assert!((model.lower_bound() - mean).abs() < 1e-10 * mean.abs().max(1.0), "the bound is that of the model");
        }
    }

    #[test]
    fn responsibilities_sum_to_one_and_weights_are_their_means(x in rows(60..300), k in 1usize..5) {
        for family in FAMILIES {
            let model = GaussianMixture::new(k).covariance(family).max_iterations(300).tolerance(1e-12).fit(&x)?;
            let shares = model.responsibilities(&x)?;
            prop_assert!(shares.sum_axis(Axis(1)).iter().all(|s| (s - 1.0).abs() < 1e-12));
            assert_relative_eq!(model.weights().sum(), 1.0, max_relative = 1e-12);
            if model.history().converged() {
                let means = shares.mean_axis(Axis(0)).unwrap_or_default();
                assert_abs_diff_eq!(means, *model.weights(), epsilon = 1e-3);
            }
            let labels = model.predict(&x)?;
            for (row, &label) in shares.rows().into_iter().zip(&labels) {
                prop_assert!(row.iter().all(|&s| s <= row[label]));
            }
        }
    }

    #[test]
    fn a_weight_of_w_is_w_copies_and_a_row_of_weight_zero_changes_nothing(x in rows(60..150), seed in any::<u64>()) {
        let counts = Array1::from_shape_fn(x.nrows(), |i| ((i * 7 + seed as usize % 5) % 4) as f64);
        let repeated: Vec<usize> = (0..x.nrows()).flat_map(|i| std::iter::repeat_n(i, counts[i] as usize)).collect();
        for family in FAMILIES {
            let means = x.slice(s![..3, ..]).to_owned();
            let start = Start::Given { means, weights: None, precisions: None };
            let spec = GaussianMixture::new(3).covariance(family).start(start).max_iterations(10).tolerance(0.0);
            let weighted = spec.fit_weighted(&x, &counts, &mut Silent);
            let explicit = spec.fit(&x.select(Axis(0), &repeated));
            let (weighted, explicit) = match (weighted, explicit) {
                (Ok(weighted), Ok(explicit)) => (weighted, explicit),
                // a group of nothing but rows without weight collapses, whichever way it is written
                (weighted, explicit) => {
                    prop_assert!(weighted.is_err() && explicit.is_err());
                    continue;
                }
            };
            assert_relative_eq!(weighted.lower_bound(), explicit.lower_bound(), max_relative = 1e-6, epsilon = 1e-6);
            assert_abs_diff_eq!(*weighted.means(), *explicit.means(), epsilon = 1e-5);
            assert_abs_diff_eq!(*weighted.covariances(), *explicit.covariances(), epsilon = 1e-5);
        }
    }

    // one feature a million times another: full and diagonal mixtures are the same in any units
    #[test]
    fn units_of_columns_change_nothing_but_the_units(x in rows(80..200)) {
        let units = Array1::from_shape_fn(x.ncols(), |j| if j == 0 { 1_048_576.0 } else { 1.0 });
        for family in [Covariance::Full, Covariance::Diagonal] {
            let fit = |x: &Array2<f64>| {
                let start = Start::Given {
                    means: means_of_thirds(x),
                    weights: Some(Array1::from_elem(3, 1.0 / 3.0)),
                    precisions: Some(precisions(x, family)),
                };
                let spec = GaussianMixture::new(3).covariance(family).start(start).covariance_floor(0.0);
                spec.tolerance(0.0).max_iterations(8).fit(x)
            };
            let (near, far) = (fit(&x)?, fit(&(&x * &units))?);
            let expected = near.lower_bound() - 1_048_576_f64.ln();
            assert_relative_eq!(far.lower_bound(), expected, max_relative = 1e-7, epsilon = 1e-7);
            assert_abs_diff_eq!(*near.weights(), *far.weights(), epsilon = 1e-7);
            assert_abs_diff_eq!(*near.means(), far.means() / &units, epsilon = 1e-6);
        }
    }
}

/// The means of every third row.
fn means_of_thirds(x: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn((3, x.ncols()), |(c, j)| x.slice(s![c..;3, j]).mean().unwrap_or_default())
}

/// The inverse variances of the columns, for every component.
fn precisions(x: &Array2<f64>, family: Covariance) -> ArrayD<f64> {
    let d = x.ncols();
    let variances = x.var_axis(Axis(0), 0.0);
    if family == Covariance::Diagonal {
        return Array2::from_shape_fn((3, d), |(_, j)| 1.0 / variances[j]).into_dyn();
    }
    Array3::from_shape_fn((3, d, d), |(_, i, j)| if i == j { 1.0 / variances[i] } else { 0.0 }).into_dyn()
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() -> Result<(), Failure> {
    let x = groups(20_000, 7, 15);
    for family in FAMILIES {
        let spec = GaussianMixture::new(4).covariance(family).max_iterations(5).seed(1);
        let on = |threads: usize| -> Result<_, Failure> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let model = pool.install(|| spec.fit(&x))?;
            let density = pool.install(|| model.log_density(&x))?;
            Ok((model.means().clone(), model.covariances().clone(), model.history().clone(), density))
        };
        let one = on(1)?;
        assert!(on(2)? == one && on(8)? == one, "{family:?}");
    }
    Ok(())
}

// (21), and one component is the moments of the data
#[test]
fn one_component_is_the_mean_and_the_covariance() -> Result<(), Failure> {
    let x = data::iris().x;
    let model = GaussianMixture::new(1).covariance_floor(0.0).fit(&x)?;
    let mean = x.mean_axis(Axis(0)).ok_or("a mean")?;
    let centred = &x - &mean;
    let covariance = centred.t().dot(&centred) / 150.0;
    assert_abs_diff_eq!(model.means().row(0), mean, epsilon = 1e-12);
    assert_abs_diff_eq!(model.covariance_matrices().index_axis(Axis(0), 0), covariance, epsilon = 1e-12);
    let column = x.slice(s![.., ..1]);
    let bics: Vec<f64> = FAMILIES
        .iter()
        .map(|&family| GaussianMixture::new(1).covariance(family).fit(&column)?.bic(&column))
        .collect::<Result<_>>()?;
    bics.iter().for_each(|b| assert_relative_eq!(*b, bics[0], max_relative = 1e-12));
    Ok(())
}

// (22)
#[test]
fn free_parameters_are_counted() -> Result<(), Failure> {
    let x = groups(60, 5, 1);
    for (family, expected) in FAMILIES.into_iter().zip([41, 26, 21, 13]) {
        assert_eq!(GaussianMixture::new(2).covariance(family).fit(&x)?.free_parameters(), expected);
    }
    Ok(())
}

// (23)
#[test]
fn a_collapse_is_an_error_that_names_the_component_and_the_cause_and_a_floor_prevents_it() {
    // two groups without any spread
    let x = Array2::from_shape_fn((40, 3), |(i, j)| if i % 2 == 0 { 0.1 } else { 5.3 + j as f64 });
    for family in FAMILIES {
        let spec = GaussianMixture::new(2).covariance(family);
        match spec.clone().covariance_floor(0.0).fit(&x) {
            Err(Error::Numerical { method: "Gaussian mixture", problem }) => {
                assert!(
                    problem.contains("component 0 collapsed in iteration 0: its variance in column 0"),
                    "{problem}"
                );
            }
            other => panic!("{family:?}: {other:?}"),
        }
        let model = spec.fit(&x).unwrap_or_else(|e| panic!("{e}"));
        assert!(model.log_density(&x).is_ok_and(|l| l.iter().all(|v| v.is_finite())));
    }
    // a column that is the sum of the two others, in a group of its own
    let mut line = groups(90, 3, 3);
    for mut row in line.rows_mut() {
        row[2] = row[0] + row[1];
    }
    for family in [Covariance::Full, Covariance::Tied] {
        match GaussianMixture::new(2).covariance(family).covariance_floor(0.0).fit(&line) {
            Err(Error::Numerical { problem, .. }) => {
                assert!(problem.contains("its covariance is singular"), "{problem}");
            }
            other => panic!("{family:?}: {other:?}"),
        }
        assert!(
            GaussianMixture::new(2).covariance(family).fit(&line).is_ok_and(|m| m.lower_bound().is_finite())
        );
    }
}

#[test]
fn equal_rows_and_fewer_distinct_rows_than_components() {
    // one component on equal rows is the row and the floor; a second has no row
    let equal = Array2::<f32>::from_elem((20, 2), 3.5);
    let model = GaussianMixture::new(1).fit(&equal).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(*model.means(), array![[3.5, 3.5]]);
    assert_abs_diff_eq!(model.covariance_matrices()[[0, 1, 1]], 1e-6, epsilon = 1e-20);
    let distinct = array![[0.0, 1.0], [0.0, 1.0], [2.0, 2.0], [2.0, 2.0], [9.0, 1.0]];
    for (x, k) in [(equal.mapv(f64::from), 2), (distinct, 4)] {
        match GaussianMixture::new(k).restarts(3).fit(&x) {
            Err(Error::Numerical { problem, .. }) => {
                assert!(problem.contains("no row belongs to it"), "{problem}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn constant_columns_tiny_numbers_and_rows_far_away() -> Result<(), Failure> {
    let mut x = groups(90, 3, 4);
    x.column_mut(1).fill(7.0);
    for family in FAMILIES {
        let model = GaussianMixture::new(3).covariance(family).fit(&x)?;
        assert!(model.means().column(1).iter().all(|m| (m - 7.0).abs() < 1e-9));
        assert!(model.lower_bound().is_finite());
    }
    // denormal numbers are below the floor: nothing but the floor is left of their spread
    let tiny = groups(90, 2, 5).mapv(|v| v * 1e-310);
    let model = GaussianMixture::new(1).fit(&tiny)?;
    assert_abs_diff_eq!(model.covariance_matrices()[[0, 0, 0]], 1e-6, epsilon = 1e-20);
    assert!(matches!(GaussianMixture::new(1).covariance_floor(0.0).fit(&tiny), Err(Error::Numerical { .. })));
    // squares that overflow
    let huge = array![[1e200], [-1e200]];
    assert!(matches!(
        GaussianMixture::new(1).fit(&huge),
        Err(Error::Numerical { method: "Gaussian mixture", .. })
    ));
    // a row infinitely far from every component belongs to all alike
    let model = GaussianMixture::new(2).fit(&groups(90, 2, 6))?;
    let far = array![[1e300, 0.0]];
    assert_eq!(model.log_density(&far)?[0], f64::NEG_INFINITY);
    assert_eq!(model.responsibilities(&far)?, array![[0.5, 0.5]]);
    Ok(())
}

// (24)
#[test]
fn one_iteration_and_one_more_are_two() -> Result<(), Failure> {
    let x = groups(200, 4, 7);
    for family in FAMILIES {
        let spec = GaussianMixture::new(3).covariance(family).tolerance(0.0).seed(2);
        let two = spec.clone().max_iterations(2).fit(&x)?;
        let one = spec.clone().max_iterations(1);
        let again = one.fit_from(&one.fit(&x)?, &x, &mut Silent)?;
        assert_eq!(
            (again.means(), again.covariances(), again.weights()),
            (two.means(), two.covariances(), two.weights())
        );
        assert_eq!(again.lower_bound(), two.lower_bound());
        let other = GaussianMixture::new(2).covariance(family);
        assert!(matches!(other.fit_from(&two, &x, &mut Silent), Err(Error::Shape { .. })));
    }
    Ok(())
}

// (25), (26), (28)
#[test]
fn precisions_are_inverse_covariances_and_given_parameters_are_kept_without_an_iteration()
-> Result<(), Failure> {
    let x = data::iris().x;
    for family in FAMILIES {
        let model = GaussianMixture::new(3).covariance(family).seed(3).fit(&x)?;
        let start = Start::Given {
            means: model.means().clone(),
            weights: Some(model.weights().clone()),
            precisions: Some(model.precisions()),
        };
        let same = GaussianMixture::new(3).covariance(family).start(start).max_iterations(0).fit(&x)?;
        assert_abs_diff_eq!(*same.covariances(), *model.covariances(), epsilon = 1e-10);
        assert_abs_diff_eq!(same.precisions(), model.precisions(), epsilon = 1e-6);
        assert_abs_diff_eq!(*same.means(), *model.means(), epsilon = 1e-12);
        assert_relative_eq!(same.lower_bound(), model.lower_bound(), max_relative = 1e-9);
        assert_eq!((same.history().iterations(), same.history().stop()), (0, Stop::IterationLimit));
    }
    let model = GaussianMixture::new(3).fit(&x)?;
    let precisions = model.precisions();
    for c in 0..3 {
        let covariance = model.covariance_matrices().index_axis(Axis(0), c).to_owned();
        let precision = precisions.index_axis(Axis(0), c).into_dimensionality::<ndarray::Ix2>()?;
        assert_abs_diff_eq!(covariance.dot(&precision), Array2::eye(4), epsilon = 1e-10);
    }
    Ok(())
}

// (27)
#[test]
fn samples_have_the_moments_of_the_mixture() -> Result<(), Failure> {
    let x = groups(300, 3, 8);
    for family in FAMILIES {
        let model = GaussianMixture::new(3).covariance(family).seed(1).fit(&x)?;
        let (rows, components) = model.sample_labelled(60_000, Seed::new(5));
        assert_eq!(rows, model.sample(60_000, Seed::new(5))?);
        assert_eq!((rows.nrows(), model.sample(0, Seed::new(1))?.nrows()), (60_000, 0));
        for c in 0..3 {
            let of: Vec<usize> = (0..rows.nrows()).filter(|&i| components[i] == c).collect();
            assert_relative_eq!(of.len() as f64 / 60_000.0, model.weights()[c], epsilon = 0.01);
            let own = rows.select(Axis(0), &of);
            let mean = own.mean_axis(Axis(0)).ok_or("a mean")?;
            assert_abs_diff_eq!(mean, model.means().row(c), epsilon = 0.05);
            let centred = &own - &mean;
            let covariance = centred.t().dot(&centred) / of.len() as f64;
            assert_abs_diff_eq!(
                covariance,
                model.covariance_matrices().index_axis(Axis(0), c),
                epsilon = 0.1
            );
        }
    }
    Ok(())
}

// (29)
#[test]
fn labels_are_those_of_the_final_parameters_after_any_number_of_iterations() -> Result<(), Failure> {
    let x = groups(150, 2, 9);
    for iterations in [0, 1, 5, 100] {
        let model = GaussianMixture::new(3).max_iterations(iterations).seed(4).fit(&x)?;
        let shares = model.responsibilities(&x)?;
        let best = |row: ndarray::ArrayView1<'_, f64>| {
            (0..3).fold(0, |best, c| if row[c] > row[best] { c } else { best })
        };
        assert_eq!(model.predict(&x)?, shares.rows().into_iter().map(best).collect::<Array1<usize>>());
        let density = model.log_density(&x)?;
        assert_relative_eq!(density.mean().ok_or("rows")?, model.lower_bound(), max_relative = 1e-12);
        assert_eq!(model.anomaly_score(&x)?, -density);
    }
    Ok(())
}

#[test]
fn densities_are_those_of_the_definition_at_any_width() -> Result<(), Failure> {
    for (n, d) in [(30, 1), (70, 3), (200, 17), (130, 64)] {
        let x = groups(n, d, 10);
        for family in FAMILIES {
            let model = GaussianMixture::new(2).covariance(family).covariance_floor(0.1).seed(1).fit(&x)?;
            let (matrices, density) = (model.covariance_matrices(), model.log_density(&x)?);
            for (row, found) in x.rows().into_iter().zip(&density).step_by(7) {
                let of = |c: usize| -> Result<f64> {
                    let eigen = unsup_core::math::symmetric_eigen(&matrices.index_axis(Axis(0), c))?;
                    let z = eigen.vectors.dot(&(&row - &model.means().row(c)));
                    let square = (&z * &z / &eigen.values).sum();
                    let log_det: f64 = eigen.values.iter().map(|v| v.ln()).sum();
                    let normal = d as f64 * std::f64::consts::TAU.ln();
                    Ok(model.weights()[c].ln() - 0.5 * (square + log_det + normal))
                };
                let (a, b) = (of(0)?, of(1)?);
                let expected = a.max(b) + (-(a - b).abs()).exp().ln_1p();
                assert_relative_eq!(*found, expected, max_relative = 1e-9);
            }
        }
    }
    Ok(())
}

#[test]
fn batches_approach_the_fit_of_all_rows_and_resume_with_the_same_bits() -> Result<(), Failure> {
    let x = groups(6000, 3, 11);
    for family in FAMILIES {
        let spec = GaussianMixture::new(3).covariance(family).step_exponent(0.7).seed(1);
        let whole = spec.clone().tolerance(1e-8).max_iterations(500).fit(&x)?;
        let mut model = spec.clone().fit(&x.slice(s![..300, ..]))?;
        let folder = tempfile::tempdir()?;
        let mut resumed = None;
        for round in 0..3 {
            for start in (0..6000).step_by(300) {
                model = model.partial_fit(&x.slice(s![start..start + 300, ..]))?;
                if (round, start) == (1, 3000) {
                    model.save(folder.path().join("model"))?;
                    resumed = Some(GaussianMixtureModel::load(folder.path().join("model"))?);
                } else if let Some(other) = resumed.take() {
                    resumed = Some(other.partial_fit(&x.slice(s![start..start + 300, ..]))?);
                }
            }
        }
        let resumed = resumed.ok_or("a resumed model")?;
        assert_eq!((resumed.means(), resumed.covariances()), (model.means(), model.covariances()));
        assert_eq!((resumed.history(), resumed.batches()), (model.history(), 61));
        let found = model.log_density(&x)?.mean().ok_or("rows")?;
        assert!(found > whole.lower_bound() - 0.02, "{family:?}: {found} and {}", whole.lower_bound());
    }
    // at an exponent of 1 and with parameters that assign every row alike, the running average is the average of all rows
    let spec = GaussianMixture::new(1).step_exponent(1.0);
    let (first, second) = (x.slice(s![..100, ..]), x.slice(s![100..200, ..]));
    let model = spec.fit(&first)?.partial_fit(&second)?;
    let both = spec.fit(&x.slice(s![..200, ..]))?;
    assert_abs_diff_eq!(*model.means(), *both.means(), epsilon = 1e-12);
    assert_abs_diff_eq!(*model.covariances(), *both.covariances(), epsilon = 1e-10);
    assert!(matches!(model.partial_fit(&array![[1.0, 2.0]]), Err(Error::Shape { .. })));
    assert!(matches!(model.partial_fit(&array![[1.0, 2.0, f64::NAN]]), Err(Error::NonFinite { .. })));
    Ok(())
}

#[test]
fn the_best_restart_is_kept_and_collapsed_ones_are_passed_over() -> Result<(), Failure> {
    let x = groups(300, 2, 12);
    let spec = GaussianMixture::new(4).start(Start::RandomRows).seed(3);
    let mut stops = Vec::new();
    let mut bounds = vec![f64::NEG_INFINITY];
    let mut observer = |event: &Event<'_>| {
        match event {
            Event::Started { .. } => bounds.push(f64::NEG_INFINITY),
            Event::Progress { objective, .. } => *bounds.last_mut().unwrap_or(&mut 0.0) = *objective,
            Event::Finished { stop, .. } => stops.push(*stop),
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    };
    let model = spec.restarts(8).fit_observed(&x, &mut observer)?;
    assert_eq!(stops.len(), 8);
    assert_eq!(model.lower_bound(), bounds.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v)));

    // three distinct rows: a start that draws one of them twice leaves a component without rows
    let repeated = Array2::from_shape_fn((30, 1), |(i, _)| (i % 3) as f64 * 4.0);
    let spec = GaussianMixture::new(3).start(Start::RandomRows);
    let single: Vec<bool> = (0..20_u64).map(|s| spec.clone().seed(s).fit(&repeated).is_ok()).collect();
    assert!(single.contains(&true) && single.contains(&false), "{single:?}");
    let model = spec.restarts(20).fit(&repeated)?;
    assert_abs_diff_eq!(*model.weights(), Array1::from_elem(3, 1.0 / 3.0), epsilon = 1e-12);
    Ok(())
}

#[test]
fn bad_hyper_parameters_and_bad_data_are_named() {
    let x = groups(30, 2, 13);
    let parameter = |spec: GaussianMixture| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(parameter(GaussianMixture::new(0)), "components");
    assert_eq!(parameter(GaussianMixture::new(1).restarts(0)), "restarts");
    assert_eq!(parameter(GaussianMixture::new(1).tolerance(-1.0)), "tolerance");
    assert_eq!(parameter(GaussianMixture::new(1).covariance_floor(f64::NAN)), "covariance_floor");
    assert_eq!(parameter(GaussianMixture::new(1).step_exponent(0.5)), "step_exponent");
    assert!(matches!(GaussianMixture::new(31).fit(&x), Err(Error::TooFewRows { needed: 31, found: 30, .. })));

    let means = x.slice(s![..2, ..]).to_owned();
    let given = |means: &Array2<f64>, weights: Option<Array1<f64>>, precisions: Option<ArrayD<f64>>| {
        let start = Start::Given { means: means.clone(), weights, precisions };
        GaussianMixture::new(2).start(start).fit(&x).map(|m| m.lower_bound())
    };
    assert!(matches!(
        given(&array![[0.0, 1.0]], None, None),
        Err(Error::Shape { what: "initial means", .. })
    ));
    let nan = array![[0.0, 1.0], [0.0, f64::NAN]];
    assert!(matches!(given(&nan, None, None), Err(Error::NonFinite { row: 1, column: 1, .. })));
    let short = given(&means, Some(array![1.0]), None);
    assert!(matches!(short, Err(Error::Shape { what: "initial weights", .. })));
    let negative = given(&means, Some(array![1.5, -0.5]), None);
    assert!(matches!(negative, Err(Error::Value { what: "initial weights", index: 1, .. })));
    assert!(matches!(given(&means, Some(array![0.5, 0.6]), None), Err(Error::Parameter { .. })));
    let flat = given(&means, None, Some(ArrayD::ones(IxDyn(&[2]))));
    assert!(matches!(flat, Err(Error::Shape { what: "initial precisions", .. })));
    let singular = given(&means, None, Some(ArrayD::ones(IxDyn(&[2, 2, 2]))));
    assert!(matches!(singular, Err(Error::Numerical { method: "Gaussian mixture", .. })));

    for weights in [array![1.0, -1.0], array![0.0, 0.0], array![f64::NAN, 1.0]] {
        let fit = GaussianMixture::new(1).fit_weighted(&x.slice(s![..2, ..]), &weights, &mut Silent);
        assert!(matches!(fit, Err(Error::Value { what: "weights", .. })));
    }
    let short = GaussianMixture::new(1).fit_weighted(&x, &array![1.0], &mut Silent);
    assert!(matches!(short, Err(Error::Shape { what: "weights", .. })));
}

// rows of weight 0 may hold anything finite: what they are far from must not take the digits of the others
#[test]
fn rows_of_weight_zero_change_no_bit_wherever_they_are_and_the_unit_of_weights_nothing() -> Result<(), Failure>
{
    let x = groups(90, 2, 15);
    let weights = Array1::from_shape_fn(90, |i| 0.5 + (i % 4) as f64);
    for family in FAMILIES {
        let spec = GaussianMixture::new(3).covariance(family).tolerance(0.0).max_iterations(20).seed(3);
        let alone = spec.fit_weighted(&x, &weights, &mut Silent)?;
        for garbage in [1e30, 1e200] {
            let rows = Array2::from_elem((10, 2), garbage);
            let all = concatenate(Axis(0), &[rows.view(), x.view()])?;
            let zeros = concatenate(Axis(0), &[Array1::zeros(10).view(), weights.view()])?;
            let model = spec.fit_weighted(&all, &zeros, &mut Silent)?;
            assert_eq!((model.means(), model.covariances()), (alone.means(), alone.covariances()));
            assert_eq!(model.lower_bound(), alone.lower_bound());
        }
        let start = Start::Given { means: x.slice(s![..3, ..]).to_owned(), weights: None, precisions: None };
        let spec = spec.start(start);
        let plain = spec.fit_weighted(&x, &weights, &mut Silent)?;
        for exponent in [-1070, -600, 600, 1020] {
            // by halves: 2^−1070 is no normal number
            let unit = 2_f64.powi(exponent / 2) * 2_f64.powi(exponent - exponent / 2);
            let model = spec.fit_weighted(&x, &(&weights * unit), &mut Silent)?;
            assert_abs_diff_eq!(*model.means(), *plain.means(), epsilon = 1e-12);
            assert_abs_diff_eq!(*model.covariances(), *plain.covariances(), epsilon = 1e-12);
            assert_relative_eq!(model.lower_bound(), plain.lower_bound(), max_relative = 1e-12);
        }
    }
    let mut bad = x.clone();
    bad[[40, 1]] = f64::NAN;
    let mut weights = weights;
    weights.slice_mut(s![..50]).fill(0.0);
    let nan = GaussianMixture::new(1).fit_weighted(&bad, &weights, &mut Silent);
    assert!(matches!(nan, Err(Error::NonFinite { row: 40, column: 1, .. })));
    let few = GaussianMixture::new(41).fit_weighted(&x, &weights, &mut Silent);
    assert!(matches!(few, Err(Error::TooFewRows { needed: 41, found: 40, .. })));
    Ok(())
}

#[test]
fn given_precisions_must_be_symmetric() {
    let x = groups(60, 2, 16);
    let precisions = array![[[2.0, 0.1], [0.9, 2.0]], [[2.0, 0.0], [0.0, 2.0]]].into_dyn();
    let start =
        Start::Given { means: x.slice(s![..2, ..]).to_owned(), weights: None, precisions: Some(precisions) };
    let fit = GaussianMixture::new(2).start(start).fit(&x);
    assert!(matches!(fit, Err(Error::Value { what: "initial precisions", index: 1, .. })));
}

#[test]
fn a_file_whose_parts_do_not_fit_is_refused() -> Result<(), Failure> {
    let model = GaussianMixture::new(2).fit(&groups(60, 2, 14))?;
    let record = model.to_record()?;
    let bad = record.clone().array("weights", &array![0.5, 0.3, 0.2]);
    assert!(matches!(GaussianMixtureModel::from_record(&bad), Err(Error::File { .. })));
    let bad = record.clone().array("covariances", &Array3::<f64>::ones((2, 2, 2)));
    assert!(matches!(GaussianMixtureModel::from_record(&bad), Err(Error::File { .. })));
    let bad = record.clone().array("shift", &array![0.0]);
    assert!(matches!(GaussianMixtureModel::from_record(&bad), Err(Error::File { .. })));
    let bad = record.clone().array("weights", &array![0.5, 0.7]);
    assert!(matches!(GaussianMixtureModel::from_record(&bad), Err(Error::File { .. })));
    for batches in [0, usize::MAX] {
        let bad = record.clone().value("batches", &batches)?;
        assert!(matches!(GaussianMixtureModel::from_record(&bad), Err(Error::File { .. })));
    }
    for spec in [GaussianMixture::new(3), GaussianMixture::new(2).step_exponent(-2.0)] {
        let bad = record.clone().value("spec", &spec)?;
        assert!(matches!(GaussianMixtureModel::from_record(&bad), Err(Error::File { .. })));
    }
    assert!(GaussianMixtureModel::from_record(&record).is_ok_and(|m| m.means() == model.means()));
    Ok(())
}
