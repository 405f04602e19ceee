//! The linear probe: its optimum, its invariances, bad input.

use approx::assert_abs_diff_eq;
use ndarray::{Array1, Array2, array, s};
use unsup_core::estimator::Predict;
use unsup_core::store::Persist;
use unsup_core::{Error, data, metrics};
use unsup_selfsup::{LinearProbe, LinearProbeModel};

type Failure = Box<dyn std::error::Error>;

#[test]
fn the_optimum_satisfies_the_normal_equations_of_logistic_regression() -> Result<(), Failure> {
    let wine = data::wine();
    let probe = LinearProbe::new().penalty(0.5).tolerance(1e-10).fit(&wine.x, &wine.labels)?;
    assert!(probe.history().converged());
    // at the optimum: Σ (p − 1[y]) z = −penalty·W and Σ (p − 1[y]) = 0, class by class
    let mut residuals = probe.probabilities(&wine.x)?;
    wine.labels.iter().enumerate().for_each(|(i, &l)| residuals[[i, l]] -= 1.0);
    let mean = wine.x.mean_axis(ndarray::Axis(0)).unwrap_or_default();
    let z = (&wine.x - &mean) / &wine.x.std_axis(ndarray::Axis(0), 0.0);
    assert_abs_diff_eq!(residuals.t().dot(&z), probe.weights() * -0.5, epsilon = 1e-6);
    assert_abs_diff_eq!(residuals.sum_axis(ndarray::Axis(0)), Array1::zeros(3), epsilon = 1e-6);
    assert_abs_diff_eq!(
        probe.probabilities(&wine.x)?.sum_axis(ndarray::Axis(1)),
        Array1::ones(178),
        epsilon = 1e-12
    );
    Ok(())
}

#[test]
fn scaling_and_shifting_the_features_changes_nothing() -> Result<(), Failure> {
    let iris = data::iris();
    let moved = &iris.x * &array![1e3, 1e-3, 1.0, 7.0] + &array![5.0, -1e4, 0.0, 1e6];
    let (a, b) =
        (LinearProbe::new().fit(&iris.x, &iris.labels)?, LinearProbe::new().fit(&moved, &iris.labels)?);
    assert_abs_diff_eq!(a.probabilities(&iris.x)?, b.probabilities(&moved)?, epsilon = 1e-4);
    Ok(())
}

#[test]
fn few_labels_are_enough_for_digits_and_the_model_survives_its_file() -> Result<(), Failure> {
    let digits = data::digits();
    let x = digits.x.mapv(|v| v as f32);
    let (train, test) = (x.slice(s![..180, ..]), x.slice(s![180.., ..]));
    let probe = LinearProbe::new().fit(&train, &digits.labels.slice(s![..180]).to_owned())?;
    let accuracy = metrics::accuracy(&digits.labels.slice(s![180..]).to_owned(), &probe.predict(&test)?)?;
    // scikit-learn 1.9.1: StandardScaler and LogisticRegression(C=1) fitted on the same rows
    assert_abs_diff_eq!(accuracy, 0.802_721_088_435_374_2, epsilon = 1e-3);
    let folder = tempfile::tempdir()?;
    probe.save(folder.path().join("probe"))?;
    let loaded = LinearProbeModel::<f32>::load(folder.path().join("probe"))?;
    assert_eq!(loaded.probabilities(&test)?, probe.probabilities(&test)?);
    assert_eq!(loaded.history(), probe.history());
    Ok(())
}

#[test]
fn bad_input_is_named() {
    let (x, labels) = (array![[0.0, 1.0], [1.0, 0.0]], array![0, 1]);
    let fit = |x: &Array2<f64>, labels: &Array1<usize>| LinearProbe::new().fit(x, labels).err();
    assert!(matches!(fit(&x, &array![0]), Some(Error::Shape { what: "labels", .. })));
    assert!(matches!(fit(&x, &array![0, usize::MAX]), Some(Error::Value { what: "labels", index: 1, .. })));
    assert!(matches!(
        fit(&array![[0.0, 1.0], [f64::NAN, 0.0]], &labels),
        Some(Error::NonFinite { row: 1, column: 0, .. })
    ));
    assert!(matches!(fit(&Array2::zeros((0, 2)), &array![]), Some(Error::Empty { .. })));
    for (spec, name) in
        [(LinearProbe::new().penalty(0.0), "penalty"), (LinearProbe::new().tolerance(f64::NAN), "tolerance")]
    {
        assert!(matches!(spec.fit(&x, &labels), Err(Error::Parameter { name: n, .. }) if n == name));
    }
    // one class, constant features: every row is of that class
    let probe = LinearProbe::new().fit(&Array2::<f64>::ones((3, 2)), &array![0, 0, 0]);
    assert_eq!(probe.and_then(|p| p.predict(&Array2::zeros((2, 2)))).unwrap_or_default(), array![0, 0]);
}
