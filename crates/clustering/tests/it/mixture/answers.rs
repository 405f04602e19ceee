//! What a model says of itself and of rows: moments, parameters, densities, samples, labels.

use super::{FAMILIES, Failure, groups};
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, s};
use unsup_clustering::GaussianMixture;
use unsup_clustering::mixture::Start;
use unsup_core::contract;
use unsup_core::estimator::{AnomalyScore, Fit, LogDensity, Predict, Sample};
use unsup_core::observe::Stop;
use unsup_core::{Result, Seed, data};

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
        let (rows, components) = model.sample_labelled(60_000, Seed::new(5))?;
        assert_eq!(rows, model.sample(60_000, Seed::new(5))?);
        assert_eq!((rows.nrows(), model.sample(0, Seed::new(1))?.nrows()), (60_000, 0));
        contract::check_sampler(&model);
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
