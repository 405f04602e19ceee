//! Collapses, equal rows, numbers at the ends of their range, and the restarts that pass over a collapse.

use super::{FAMILIES, Failure, groups};
use approx::assert_abs_diff_eq;
use ndarray::{Array1, Array2, array};
use unsup_clustering::mixture::Start;
use unsup_clustering::{Covariance, GaussianMixture};
use unsup_core::Error;
use unsup_core::estimator::{Fit, LogDensity};
use unsup_core::observe::Event;

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
