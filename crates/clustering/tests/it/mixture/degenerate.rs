//! Collapses, equal rows, numbers at the ends of their range, and the restarts that pass over a collapse.

use super::{FAMILIES, Failure, groups};
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use unsup_clustering::mixture::Start;
use unsup_clustering::{Covariance, GaussianMixture};
use unsup_core::Error;
use unsup_core::estimator::{Fit, LogDensity};
use unsup_core::observe::{Event, Silent};

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
        for exponent in [-1070, -600, 600, 1000] {
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
