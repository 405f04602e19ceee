//! Columns whose numbers have little to do with each other, and numbers near the ends of their type.

use ndarray::{Array1, Array2, Axis, array, s};
use unsup_core::estimator::{Fit, Transform};
use unsup_core::{Error, Seed};
use unsup_decomposition::{
    DictionaryLearning, FactorAnalysis, IncrementalPca, Nmf, Pca, PpcaMixture, ProbabilisticPca, Route,
    SparsePca,
};

type Anyhow = Result<(), Box<dyn std::error::Error>>;

const ROUTES: [Route; 4] = [Route::Covariance, Route::Gram, Route::Svd, Route::RANDOMIZED];

fn normals(n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(7).normals(n * d)).unwrap_or_default()
}

/// A map of diffusion coefficients beside a constant b-value: what varies is less than the rounding of what does not.
#[test]
fn a_large_constant_column_hides_nothing() -> Anyhow {
    let small = normals(100, 3) * &array![1e-4, 2e-4, 3e-4] + 1e-3;
    for (constant, precise) in [(30_000.0, false), (1e12, true)] {
        let mut x = Array2::from_elem((100, 4), constant);
        x.slice_mut(s![.., 1..]).assign(&small);
        for route in ROUTES {
            let pca = Pca::new().components(2).route(route);
            let of = |x: &Array2<f64>| -> Result<Array1<f64>, Error> {
                Ok(match precise {
                    true => pca.fit(x)?.explained_variance().to_owned(),
                    false => pca.fit(&x.mapv(|v| v as f32))?.explained_variance().to_owned(),
                })
            };
            let (found, expected) = (of(&x)?, of(&small)?);
            approx::assert_relative_eq!(found, expected, max_relative = if precise { 1e-9 } else { 1e-4 });
        }
        assert!(ProbabilisticPca::new(1).fit(&x).is_ok());
        // and a table without any variance has none
        x.fill(constant);
        assert_eq!(Pca::new().components(2).fit(&x)?.explained_variance().sum(), 0.0);
    }
    Ok(())
}

#[test]
fn variances_that_overflow_are_an_error_that_says_so() -> Anyhow {
    let overflows = |found: Option<Error>| match found {
        Some(Error::Numerical { problem, .. }) => problem.contains("scale the columns down"),
        _ => false,
    };
    for scale in [1e154, 1e160, 1e200, 1e300] {
        let x = normals(40, 5) * &array![1.0, 2.0, 3.0, 4.0, 5.0] * scale;
        for route in ROUTES {
            assert!(overflows(Pca::new().components(2).route(route).fit(&x).err()), "{route:?} {scale:e}");
        }
        assert!(overflows(IncrementalPca::new(2).fit(&x).err()), "{scale:e}");
        assert!(overflows(FactorAnalysis::new(2).fit(&x).err()), "{scale:e}");
        assert!(overflows(PpcaMixture::new(2, 1).fit(&x).err()), "{scale:e}");
    }
    // well before that, and where squares are denormal, directions are those of other units
    let x = normals(40, 5) * &array![1.0, 2.0, 3.0, 4.0, 5.0];
    for route in ROUTES {
        let pca = Pca::new().components(2).route(route);
        let expected = pca.fit(&x)?;
        for scale in [2f64.powi(490), 2f64.powi(-490)] {
            let found = pca.fit(&(&x * scale))?;
            approx::assert_abs_diff_eq!(found.components(), expected.components(), epsilon = 1e-9);
            approx::assert_relative_eq!(
                found.explained_variance().mapv(|v| v / scale / scale),
                expected.explained_variance().to_owned(),
                max_relative = 1e-9
            );
        }
    }
    Ok(())
}

#[test]
fn more_components_than_memory_holds_are_an_error() {
    let x = normals(20, 6).mapv(f64::abs);
    for k in [1 << 45, usize::MAX] {
        let of_parameter =
            |found: Option<Error>| matches!(found, Some(Error::Parameter { name: "components", .. }));
        assert!(of_parameter(Nmf::new(k).fit(&x).err()));
        assert!(of_parameter(unsup_decomposition::MiniBatchNmf::new(k).fit(&x).err()));
        assert!(of_parameter(SparsePca::new(k).fit(&x).err()));
        assert!(of_parameter(DictionaryLearning::new(k).fit(&x).err()));
    }
    let route = Route::Randomized { oversamples: usize::MAX, iterations: 2 };
    let codes = Pca::new().components(2).route(route).fit(&x).and_then(|pca| pca.transform(&x));
    assert_eq!(codes.map(|codes| codes.len_of(Axis(1))).ok(), Some(2));
}
