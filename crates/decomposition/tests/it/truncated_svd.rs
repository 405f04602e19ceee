//! Truncated SVD: scikit-learn's numbers (`oracles/truncated_svd.py`), the contract, sparse as dense, bad input.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, concatenate};
use proptest::prelude::*;
use serde::Deserialize;
use unsup_core::contract::{self, Questions};
use unsup_core::data::{self, Sparse};
use unsup_core::estimator::{Fit, InverseTransform, Transform};
use unsup_core::{Error, Float, Seed};
use unsup_decomposition::{Pca, Route, TruncatedSvd, TruncatedSvdModel};

type Failure = Box<dyn std::error::Error>;

fn questions<F: Float>() -> Questions<TruncatedSvdModel<F>, F> {
    Questions {
        answer: |model, x| {
            let codes = model.transform(x)?;
            let rebuilt = model.inverse_transform(&codes)?.mapv(|v| v.f64());
            Ok(concatenate(Axis(1), &[codes.mapv(|v| v.f64()).view(), rebuilt.view()]).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

/// Columns that fall by half from one to the next, two thirds of the values zero.
fn mostly_zero(seed: u64, n: usize, d: usize) -> Array2<f64> {
    let values = Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default();
    values.mapv(|v| if v > 0.4 { v } else { 0.0 }) * &Array1::from_shape_fn(d, |j| 0.5_f64.powi(j as i32))
}

#[derive(Deserialize)]
struct Oracle {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    components: usize,
    singular_values: Vec<f64>,
    vectors: Vec<Vec<f64>>,
    explained_variance: Vec<f64>,
    explained_variance_ratio: Vec<f64>,
    pca_variance: Vec<f64>,
    pca_ratio: Vec<f64>,
    pca_vectors: Vec<Vec<f64>>,
}

/// The same directions, whatever their signs.
fn same_directions(ours: &Array2<f64>, theirs: &[Vec<f64>]) {
    for (ours, theirs) in ours.rows().into_iter().zip(theirs) {
        let cosine = ours.dot(&Array1::from(theirs.clone()));
        assert!((cosine.abs() - 1.0).abs() < 1e-8, "cosine {cosine}");
    }
}

#[test]
fn sparse_and_dense_tables_have_the_numbers_of_scikit_learn() -> Result<(), Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/truncated_svd.json");
    let oracle: Oracle = serde_json::from_slice(&std::fs::read(path)?)?;
    assert_eq!(oracle.cases.len(), 3);
    for case in oracle.cases {
        let x = match case.data.as_str() {
            "digits" => data::digits().x,
            "wine" => data::wine().x,
            _ => data::iris().x,
        };
        let sparse = Sparse::from_dense(&x)?;
        let spec = TruncatedSvd::new(case.components).iterations(30).seed(2);
        for model in [spec.fit(&x)?, spec.fit(&sparse)?] {
            assert_relative_eq!(
                *model.singular_values(),
                Array1::from(case.singular_values.clone()),
                max_relative = 1e-9
            );
            let variance = Array1::from(case.explained_variance.clone());
            assert_relative_eq!(*model.explained_variance(), variance, max_relative = 1e-7);
            let ratio = Array1::from(case.explained_variance_ratio.clone());
            assert_relative_eq!(model.explained_variance_ratio(), ratio, max_relative = 1e-7);
            same_directions(model.components(), &case.vectors);
        }
        let spec = spec.centred(true);
        for model in [spec.fit(&x)?, spec.fit(&sparse)?] {
            let variance = Array1::from(case.pca_variance.clone());
            assert_relative_eq!(*model.explained_variance(), variance, max_relative = 1e-8);
            assert_relative_eq!(
                model.explained_variance_ratio(),
                Array1::from(case.pca_ratio.clone()),
                max_relative = 1e-8
            );
            same_directions(model.components(), &case.pca_vectors);
        }
    }
    Ok(())
}

#[test]
fn the_estimator_contract() {
    for centred in [false, true] {
        let spec = TruncatedSvd::new(2).centred(centred).seed(4);
        contract::check(&spec, &data::iris().x, 2e-5, &questions(), &questions());
        contract::check(&spec, &mostly_zero(1, 700, 12), 2e-5, &questions(), &questions());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn invariant_41_sparse_is_dense(n in 2usize..80, d in 1usize..12, k in 1usize..12, seed in any::<u64>()) {
        let x = mostly_zero(seed, n, d);
        let sparse = Sparse::from_dense(&x)?;
        let k = k.min(n).min(d);
        for centred in [false, true] {
            let spec = TruncatedSvd::new(k).centred(centred).seed(seed);
            let (of_dense, of_sparse) = (spec.fit(&x)?, spec.fit(&sparse)?);
            assert_abs_diff_eq!(of_sparse.singular_values(), of_dense.singular_values(), epsilon = 1e-8);
            assert_abs_diff_eq!(of_sparse.explained_variance(), of_dense.explained_variance(), epsilon = 1e-8);
            assert_abs_diff_eq!(of_sparse.mean(), of_dense.mean(), epsilon = 1e-13);
            // what the components keep is the same, and either kind of table has the same codes
            let codes = of_sparse.transform(&sparse)?;
            assert_abs_diff_eq!(of_sparse.transform(&x)?, codes, epsilon = 1e-11);
            prop_assert!(((&codes * &codes).sum() - of_sparse.singular_values().mapv(|s| s * s).sum()).abs() < 1e-7);
            if centred {
                let pca = Pca::new().components(k).route(Route::Svd).fit(&x)?;
                assert_abs_diff_eq!(of_sparse.explained_variance(), pca.explained_variance(), epsilon = 1e-8);
            }
            if k == n.min(d) {
                assert_abs_diff_eq!(of_sparse.inverse_transform(&codes)?, x, epsilon = 1e-6);
            }
        }
    }
}

#[test]
fn constant_and_rank_deficient_tables() -> Result<(), Failure> {
    let constant = Array2::from_elem((30, 4), 7.5);
    let model = TruncatedSvd::new(2).centred(true).fit(&Sparse::from_dense(&constant)?)?;
    assert!(model.singular_values().iter().all(|&s| s < 1e-10), "{}", model.singular_values());
    assert_eq!(model.explained_variance_ratio(), Array1::<f64>::zeros(2));
    let model = TruncatedSvd::new(2).fit(&Sparse::from_dense(&constant)?)?;
    assert_relative_eq!(model.singular_values()[0], 7.5 * 120_f64.sqrt(), max_relative = 1e-12);
    let rank_two = mostly_zero(3, 60, 2).dot(&mostly_zero(4, 2, 9));
    let model = TruncatedSvd::new(4).fit(&Sparse::from_dense(&rank_two)?)?;
    let s = model.singular_values();
    assert!(s[1] > 1e-3 * s[0] && s[2] < 1e-7 * s[0], "{s}");
    assert!(model.components().iter().all(|v| v.is_finite()));
    // nothing is stored at all
    let empty_rows = Sparse::new(3, vec![0; 6], vec![], Vec::<f64>::new())?;
    assert_eq!(*TruncatedSvd::new(1).fit(&empty_rows)?.singular_values(), Array1::<f64>::zeros(1));
    Ok(())
}

#[test]
fn bad_hyper_parameters_and_bad_tables_are_named() -> Result<(), Failure> {
    let x = mostly_zero(1, 6, 4);
    let sparse = Sparse::from_dense(&x)?;
    for k in [0, 5] {
        let spec = TruncatedSvd::new(k);
        assert!(matches!(spec.fit(&x), Err(Error::Parameter { name: "components", .. })));
        assert!(matches!(spec.fit(&sparse), Err(Error::Parameter { name: "components", .. })));
    }
    let one = mostly_zero(1, 1, 4);
    assert!(matches!(TruncatedSvd::new(1).centred(true).fit(&one), Err(Error::TooFewRows { needed: 2, .. })));
    let length = (&one * &one).sum().sqrt();
    assert_relative_eq!(TruncatedSvd::new(1).fit(&one)?.singular_values()[0], length, max_relative = 1e-12);
    let narrow = Sparse::from_dense(&mostly_zero(1, 6, 3))?;
    let model = TruncatedSvd::new(2).fit(&sparse)?;
    assert!(matches!(model.transform(&narrow), Err(Error::Shape { what: "x", .. })));
    Ok(())
}
