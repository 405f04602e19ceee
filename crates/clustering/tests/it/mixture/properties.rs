//! What holds for all data: the likelihood, responsibilities, weights, units.

use super::{FAMILIES, groups};
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, s};
use proptest::prelude::*;
use unsup_clustering::mixture::Start;
use unsup_clustering::{Covariance, GaussianMixture};
use unsup_core::Error;
use unsup_core::estimator::{Fit, LogDensity, Predict};
use unsup_core::observe::{Event, Silent};

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
            let mut objective = Vec::new();
            let mut note = |event: &Event<'_>| {
                if let Event::Progress { objective: value, .. } = event {
                    objective.push(*value);
                }
                std::ops::ControlFlow::Continue(())
            };
            let fit = spec.max_iterations(40).seed(seed).fit_observed(&x, &mut note);
            prop_assert!(objective.windows(2).all(|w| w[1] >= w[0] - 1e-9 * w[0].abs().max(1.0)), "{:?}", objective);
            let model = match fit {
                Ok(model) => model,
                // without a floor the likelihood has no bound: a component may shrink onto a row, up to which it never fell
                Err(Error::Numerical { problem, .. }) => {
                    let at = |iteration: usize| problem.contains(&format!("collapsed in iteration {iteration}:"));
                    prop_assert!(at(objective.len() + 1) || objective.is_empty() && at(0), "{}, after {:?}", problem, objective);
                    continue;
                }
                Err(other) => return Err(other.into()),
            };
            prop_assert_eq!(objective.len(), 40);
            prop_assert_eq!(model.history().objective(), &objective);
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
