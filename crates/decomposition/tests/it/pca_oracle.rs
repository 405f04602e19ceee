//! PCA by every route against scikit-learn 1.9.1's full SVD (`oracles/pca.py`).

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, s};
use serde::Deserialize;
use std::collections::BTreeMap;
use unsup_core::data;
use unsup_core::estimator::{Fit, InverseTransform, Transform};
use unsup_decomposition::{Pca, Route};

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Oracle {
    cases: Vec<Case>,
    fractions: BTreeMap<String, BTreeMap<String, usize>>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    components: usize,
    whiten: bool,
    vectors: Vec<Vec<f64>>,
    explained_variance: Vec<f64>,
    explained_variance_ratio: Vec<f64>,
    singular_values: Vec<f64>,
    codes_first_rows: Vec<Vec<f64>>,
    rebuilt_first_rows: Vec<Vec<f64>>,
}

fn table(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn oracle() -> Result<Oracle, Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/pca.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn named(name: &str) -> Array2<f64> {
    match name {
        "digits" => data::digits().x,
        "digits_wide" => data::digits().x.slice(s![..40, ..]).to_owned(),
        "iris" => data::iris().x,
        "wine" => data::wine().x,
        _ => data::breast_cancer().x,
    }
}

/// +1 where a direction agrees with the oracle's, −1 where it is its opposite.
fn signs(ours: &Array2<f64>, theirs: &Array2<f64>) -> Array1<f64> {
    (ours * theirs).sum_axis(ndarray::Axis(1)).mapv(f64::signum)
}

#[test]
fn every_route_gives_the_components_of_scikit_learn() -> Result<(), Failure> {
    let oracle = oracle()?;
    assert_eq!(oracle.cases.len(), 10);
    for case in oracle.cases {
        let x = named(&case.data);
        let routes = [
            Route::Auto,
            Route::Covariance,
            Route::Gram,
            Route::Svd,
            // enough iterations for the gap after the last component of these data
            Route::Randomized { oversamples: 20, iterations: 60 },
        ];
        for route in routes {
            let model =
                Pca::new().components(case.components).whiten(case.whiten).route(route).seed(3).fit(&x)?;
            let signs = signs(model.components(), &table(&case.vectors)).insert_axis(ndarray::Axis(1));
            assert_abs_diff_eq!(model.components() * &signs, table(&case.vectors), epsilon = 1e-6);
            for (ours, theirs) in [
                (model.explained_variance().clone(), &case.explained_variance),
                (model.explained_variance_ratio(), &case.explained_variance_ratio),
                (model.singular_values(), &case.singular_values),
            ] {
                assert_relative_eq!(ours, Array1::from(theirs.clone()), max_relative = 1e-8);
            }
            let codes = model.transform(&x)?;
            let first = codes.slice(s![..5, ..]).to_owned() * signs.t();
            let scale = table(&case.codes_first_rows).iter().fold(1.0_f64, |m, v| m.max(v.abs()));
            assert_abs_diff_eq!(first, table(&case.codes_first_rows), epsilon = 1e-6 * scale);
            let rebuilt = model.inverse_transform(&codes)?;
            assert_abs_diff_eq!(
                rebuilt.slice(s![..5, ..]),
                table(&case.rebuilt_first_rows),
                epsilon = 1e-6 * scale
            );
        }
    }
    Ok(())
}

#[test]
fn a_fraction_of_the_variance_keeps_as_many_components_as_scikit_learn() -> Result<(), Failure> {
    for (name, fractions) in oracle()?.fractions {
        let x = named(&name);
        for (fraction, count) in fractions {
            for route in [Route::Covariance, Route::Svd] {
                let model = Pca::new().variance(fraction.parse()?).route(route).fit(&x)?;
                assert_eq!(model.components().nrows(), count, "{name} at {fraction}");
            }
        }
    }
    Ok(())
}

#[test]
fn iris_has_its_published_spectrum() -> Result<(), Failure> {
    let model = Pca::new().fit(&data::iris().x)?;
    let variances = ndarray::array![4.2282417, 0.2426707, 0.0782095, 0.0238351];
    assert_abs_diff_eq!(*model.explained_variance(), variances, epsilon = 5e-8);
    assert_abs_diff_eq!(
        model.singular_values(),
        ndarray::array![25.09996, 6.01315, 3.41368, 1.88452],
        epsilon = 5e-6
    );
    let first = ndarray::array![0.361387, -0.084523, 0.856671, 0.358289];
    assert_abs_diff_eq!(model.components().row(0).to_owned(), first, epsilon = 5e-7);
    Ok(())
}
