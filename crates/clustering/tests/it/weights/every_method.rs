//! What holds for every method alike: unit weights, rows of weight zero, common factors, bad weights.

use super::{Failure, counts, rows};
use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, s};
use proptest::prelude::*;
use unsup_clustering::{
    BayesianGaussianMixture, BisectingKMeans, Covariance, Cut, Dissimilarity, GaussianMixture, Init, KMeans,
    KMedoids, MedoidInit, MiniBatchKMeans, SphericalKMeans,
};
use unsup_core::estimator::{Fit, Predict};
use unsup_core::observe::Silent;
use unsup_core::{Error, Result, data};

/// What a fit learned: its parameters, its objective where a common factor multiplies it, and the labels of its rows.
#[derive(Debug, PartialEq)]
struct Learned {
    parameters: Vec<f64>,
    objective: f64,
    labels: Array1<usize>,
}

type Fitted = fn(&Array2<f64>, Option<&Array1<f64>>, u64) -> Result<Learned>;

fn bits(tables: &[&Array2<f64>]) -> Vec<f64> {
    tables.iter().flat_map(|t| t.iter().copied()).collect()
}

/// Fits with or without weights.
macro_rules! fit {
    ($spec:expr, $x:expr, $weights:expr) => {
        match $weights {
            Some(weights) => $spec.fit_weighted($x, weights, &mut Silent),
            None => $spec.fit($x),
        }
    };
}

/// Every method from random starts with its default tolerance, two clusters each.
const METHODS: [(&str, Fitted); 10] = [
    ("k-means", |x, weights, seed| {
        let model = fit!(KMeans::new(2).restarts(2).seed(seed), x, weights)?;
        Ok(Learned {
            parameters: bits(&[model.centroids()]),
            objective: model.inertia(),
            labels: model.labels().clone(),
        })
    }),
    ("k-means from random rows", |x, weights, seed| {
        let model = fit!(KMeans::new(2).init(Init::Random).seed(seed), x, weights)?;
        Ok(Learned {
            parameters: bits(&[model.centroids()]),
            objective: model.inertia(),
            labels: model.labels().clone(),
        })
    }),
    ("k-means‖", |x, weights, seed| {
        let model = fit!(KMeans::new(2).init(Init::PARALLEL).seed(seed), x, weights)?;
        Ok(Learned {
            parameters: bits(&[model.centroids()]),
            objective: model.inertia(),
            labels: model.labels().clone(),
        })
    }),
    ("spherical k-means", |x, weights, seed| {
        let model = fit!(SphericalKMeans::new(2).restarts(2).seed(seed), x, weights)?;
        Ok(Learned {
            parameters: bits(&[model.centroids()]),
            objective: model.inertia(),
            labels: model.labels().clone(),
        })
    }),
    ("mini-batch k-means", |x, weights, seed| {
        let model = fit!(MiniBatchKMeans::new(2).batch(16).epochs(3).seed(seed), x, weights)?;
        let counts = model.counts().clone().insert_axis(Axis(0));
        Ok(Learned {
            parameters: bits(&[model.centroids(), &counts]),
            objective: model.inertia(),
            labels: model.labels().clone(),
        })
    }),
    ("a stream", |x, weights, seed| {
        let spec = MiniBatchKMeans::new(2).reassignment(0.3).seed(seed);
        let model = match weights {
            Some(weights) => spec.start_weighted(x, weights)?.partial_fit_weighted(x, weights)?,
            None => spec.start(x)?.partial_fit(x)?,
        };
        Ok(Learned {
            parameters: bits(&[model.centroids()]),
            objective: model.inertia(),
            labels: model.labels().clone(),
        })
    }),
    ("bisecting k-means", |x, weights, seed| {
        let cut = if seed % 2 == 0 { Cut::LargestCluster } else { Cut::LargestInertia };
        let model = fit!(BisectingKMeans::new(4).cut(cut).seed(seed), x, weights)?;
        Ok(Learned {
            parameters: bits(&[model.centroids()]),
            objective: model.inertia(),
            labels: model.labels().clone(),
        })
    }),
    ("k-medoids", |x, weights, seed| {
        let model = fit!(KMedoids::new(2).restarts(2).seed(seed), x, weights)?;
        Ok(Learned {
            parameters: bits(&[model.medoid_rows()]),
            objective: model.deviation(),
            labels: model.labels().clone(),
        })
    }),
    ("k-medoids from PAM's BUILD", |x, weights, _| {
        let spec = KMedoids::new(2).dissimilarity(Dissimilarity::Manhattan).init(MedoidInit::Build);
        let model = fit!(spec, x, weights)?;
        Ok(Learned {
            parameters: bits(&[model.medoid_rows()]),
            objective: model.deviation(),
            labels: model.labels().clone(),
        })
    }),
    ("Gaussian mixture", |x, weights, seed| {
        let spec = GaussianMixture::new(2).covariance(Covariance::Diagonal).max_iterations(5).seed(seed);
        let model = fit!(spec, x, weights)?;
        let shares = model.weights().clone().insert_axis(Axis(0));
        Ok(Learned {
            parameters: bits(&[model.means(), &shares]),
            // a mean over rows, which a common factor does not multiply
            objective: 0.0,
            labels: model.predict(x)?,
        })
    }),
];

/// The Bayesian mixture apart: its weights are counts, so that a common factor does change it.
fn bayesian(x: &Array2<f64>, weights: Option<&Array1<f64>>, seed: u64) -> Result<Learned> {
    let spec = BayesianGaussianMixture::new(2).max_iterations(5).seed(seed);
    let model = fit!(spec, x, weights)?;
    let shares = model.weights().clone().insert_axis(Axis(0));
    Ok(Learned {
        parameters: bits(&[model.means(), &shares]),
        objective: model.elbo(),
        labels: model.predict(x)?,
    })
}

fn all() -> Vec<(&'static str, Fitted)> {
    METHODS.into_iter().chain([("Bayesian mixture", bayesian as Fitted)]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // (8)
    #[test]
    fn unit_weights_change_no_bit(x in rows(12..150), seed in any::<u64>()) {
        let ones = Array1::ones(x.nrows());
        for (name, fit) in all() {
            prop_assert_eq!(fit(&x, None, seed)?, fit(&x, Some(&ones), seed)?, "{}", name);
        }
    }

    // (13), in the strong form: no bit of the fit depends on them, so no seed, shift, tolerance or prior does
    #[test]
    fn a_row_of_weight_zero_is_as_good_as_not_there(x in rows(12..150), every in 2usize..6, unit in any::<bool>(), seed in any::<u64>()) {
        let own = if unit { Array1::ones(x.nrows()) } else { counts(x.nrows(), seed).mapv(|w| w + 0.5) };
        // rows far away among the others
        let kept: Vec<usize> = (0..x.nrows()).map(|i| i + i / every).collect();
        let n = kept[kept.len() - 1] + 2;
        let (mut with, mut weights) = (Array2::from_shape_fn((n, x.ncols()), |(i, j)| 1e6 + (i * j) as f64), Array1::zeros(n));
        for (i, &at) in kept.iter().enumerate() {
            with.row_mut(at).assign(&x.row(i));
            weights[at] = own[i];
        }
        for (name, fit) in all() {
            let (with, without) = (fit(&with, Some(&weights), seed)?, fit(&x, Some(&own), seed)?);
            prop_assert_eq!(with.labels.len(), n);
            prop_assert_eq!(with.labels.select(Axis(0), &kept), without.labels, "{}", name);
            prop_assert_eq!(with.parameters, without.parameters, "{}", name);
            prop_assert_eq!(with.objective, without.objective, "{}", name);
        }
    }

    // (7); a power of two, so that no rounding differs
    #[test]
    fn a_common_factor_changes_no_bit(x in rows(12..150), exponent in -40..40, seed in any::<u64>()) {
        let (weights, factor) = (counts(x.nrows(), seed), 2f64.powi(exponent));
        for (name, fit) in METHODS {
            let (plain, scaled) = (fit(&x, Some(&weights), seed)?, fit(&x, Some(&(&weights * factor)), seed)?);
            prop_assert_eq!(plain.objective * factor, scaled.objective, "{}", name);
            prop_assert_eq!((plain.parameters, plain.labels), (scaled.parameters, scaled.labels), "{}", name);
        }
    }

    // (7) for any factor, up to rounding
    #[test]
    fn a_common_factor_changes_nothing(x in rows(10..60), factor in 1e-3..1e3, seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let spec = KMeans::new(3).init(Init::Centroids(x.slice(s![..3, ..]).to_owned())).tolerance(0.0);
        let plain = spec.fit_weighted(&x, &weights, &mut Silent)?;
        let scaled = spec.fit_weighted(&x, &weights.mapv(|w| w * factor), &mut Silent)?;
        assert_relative_eq!(plain.inertia() * factor, scaled.inertia(), max_relative = 1e-9, epsilon = 1e-12);
        assert_abs_diff_eq!(*plain.centroids(), *scaled.centroids(), epsilon = 1e-9);
    }
}

#[test]
fn equal_weights_give_the_clusters_of_none() -> Result<(), Failure> {
    let x = data::iris().x;
    for (name, fit) in METHODS {
        let (plain, equal) = (fit(&x, None, 3)?, fit(&x, Some(&Array1::from_elem(150, 0.3)), 3)?);
        assert_eq!(plain.labels, equal.labels, "{name}");
        assert_relative_eq!(0.3 * plain.objective, equal.objective, max_relative = 1e-9);
    }
    Ok(())
}

#[test]
fn bad_weights_are_named_by_every_method() -> Result<(), Failure> {
    let x = data::iris().x.slice(s![..20, ..]).to_owned();
    let but_one = |bad: f64| Array1::from_shape_fn(20, |i| if i == 7 { bad } else { 1.0 });
    for (name, fit) in all() {
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            let error = fit(&x, Some(&but_one(bad)), 1);
            assert!(
                matches!(error, Err(Error::Value { what: "weights", index: 7, .. })),
                "{name}: {error:?}"
            );
        }
        let zero = fit(&x, Some(&Array1::zeros(20)), 1);
        assert!(matches!(zero, Err(Error::Value { what: "weights", .. })), "{name}");
        let short = fit(&x, Some(&Array1::ones(19)), 1);
        assert!(matches!(short, Err(Error::Shape { what: "weights", .. })), "{name}");
        // each is finite, their sum is not
        let huge = fit(&x, Some(&Array1::from_elem(20, f64::MAX)), 1);
        assert!(matches!(huge, Err(Error::Value { what: "weights", index: 0, .. })), "{name}");
        // a single row that counts is too few for two clusters
        let one = Array1::from_shape_fn(20, |i| if i == 7 { 2.0 } else { 0.0 });
        let few = fit(&x, Some(&one), 1);
        assert!(matches!(few, Err(Error::TooFewRows { found: 1, .. })), "{name}: {few:?}");
        // a row that does not count must still be a row of numbers
        let mut nan = x.clone();
        nan[[9, 1]] = f64::NAN;
        let found =
            fit(&nan, Some(&Array1::from_shape_fn(20, |i| if i == 9 || i == 2 { 0.0 } else { 1.0 })), 1);
        assert!(matches!(found, Err(Error::NonFinite { row: 9, column: 1, .. })), "{name}: {found:?}");
    }
    // the product of weight and squared distance
    let heavy = KMeans::new(1).fit_weighted(&(&x * 1e10), &Array1::from_elem(20, 1e300), &mut Silent);
    assert!(matches!(heavy, Err(Error::Numerical { method: "k-means", .. })));
    let start = KMedoids::new(1).init(MedoidInit::Rows(vec![7]));
    let error = start.fit_weighted(&x, &but_one(0.0), &mut Silent);
    assert!(matches!(error, Err(Error::Value { what: "initial medoids", index: 0, .. })));
    let model = MiniBatchKMeans::new(2).start(&x)?;
    for bad in [-1.0, f64::NAN] {
        let error = model.clone().partial_fit_weighted(&x, &but_one(bad));
        assert!(matches!(error, Err(Error::Value { what: "weights", index: 7, .. })));
    }
    let narrow = model.partial_fit_weighted(&array![[1.0]], &array![1.0]);
    assert!(matches!(narrow, Err(Error::Shape { what: "x", .. })));
    Ok(())
}
