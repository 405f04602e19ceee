//! The contract, the number of threads, bad input by name.

use super::{FAMILIES, Failure, groups};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, IxDyn, array, concatenate, s};
use unsup_clustering::mixture::Start;
use unsup_clustering::{GaussianMixture, GaussianMixtureModel};
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, LogDensity, Predict};
use unsup_core::math::Nearest;
use unsup_core::observe::Silent;
use unsup_core::store::Persist;
use unsup_core::{Error, data};

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

#[test]
fn given_precisions_must_be_symmetric() {
    let x = groups(60, 2, 16);
    let precisions = array![[[2.0, 0.1], [0.9, 2.0]], [[2.0, 0.0], [0.0, 2.0]]].into_dyn();
    let start =
        Start::Given { means: x.slice(s![..2, ..]).to_owned(), weights: None, precisions: Some(precisions) };
    let fit = GaussianMixture::new(2).start(start).fit(&x);
    assert!(matches!(fit, Err(Error::Value { what: "initial precisions", index: 1, .. })));
}
