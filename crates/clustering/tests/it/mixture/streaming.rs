//! Fits that go on: from a model, and batch by batch.

use super::{FAMILIES, Failure, groups};
use approx::assert_abs_diff_eq;
use ndarray::{Array2, array, s};
use unsup_clustering::{Covariance, GaussianMixture, GaussianMixtureModel};
use unsup_core::estimator::{Fit, LogDensity};
use unsup_core::observe::Silent;
use unsup_core::store::Persist;
use unsup_core::{Error, data};

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
fn a_bound_that_is_minus_infinity_is_saved_and_read_back() -> Result<(), Failure> {
    let spec = GaussianMixture::new(1).covariance(Covariance::Diagonal);
    let first = spec.fit(&(data::iris().x * 1e-3))?;
    // in standard deviations the squared distance of this row overflows, its square does not
    let model = first.partial_fit(&Array2::from_elem((1, 4), 1e152))?;
    assert_eq!(model.lower_bound(), f64::NEG_INFINITY);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    model.save(&path)?;
    let loaded = GaussianMixtureModel::load(&path)?;
    assert_eq!(loaded.lower_bound(), f64::NEG_INFINITY);
    assert_eq!(loaded.history(), model.history());
    assert_eq!(model.history().objective().last(), Some(&f64::NEG_INFINITY));
    Ok(())
}
