//! Sample weights, the same for every method that takes them: what copies give, rows of weight zero, common factors, bad weights.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use proptest::prelude::*;
use unsup_clustering::mixture::Start;
use unsup_clustering::{
    BayesianGaussianMixture, BisectingKMeans, Covariance, Cut, Dissimilarity, GaussianMixture, Init, KMeans,
    KMedoids, MedoidInit, MiniBatchKMeans, SphericalKMeans, WeightPrior,
};
use unsup_core::estimator::{Fit, Predict};
use unsup_core::observe::Silent;
use unsup_core::{Error, Result, Seed, data};

type Failure = Box<dyn std::error::Error>;

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

fn rows(n: std::ops::Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    (n, 1usize..5, any::<u64>()).prop_map(|(n, d, seed)| {
        Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
    })
}

/// Weights 0 to 3, not all alike; those of the first two rows are 1 and 2.
fn counts(n: usize, seed: u64) -> Array1<f64> {
    let order = Seed::new(seed).named("counts").permutation(n);
    Array1::from_shape_fn(n, |i| if i < 2 { i as f64 + 1.0 } else { (order[i] % 4) as f64 })
}

/// Each row as many times as it counts.
fn copies(x: &Array2<f64>, counts: &Array1<f64>) -> Array2<f64> {
    let rows: Vec<usize> = (0..x.nrows()).flat_map(|i| std::iter::repeat_n(i, counts[i] as usize)).collect();
    x.select(Axis(0), &rows)
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

    // (6). Two clusters, each started on a row that counts, never empty: a relocation would take one copy of a row and not all of them
    #[test]
    fn a_weight_of_w_is_w_copies_for_two_centroids(x in rows(10..80), seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let explicit = copies(&x, &weights);
        let start = Init::Centroids(x.slice(s![..2, ..]).to_owned());
        let close = |a: &Array2<f64>, b: &Array2<f64>| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        for tolerance in [0.0, 1e-4] {
            let spec = KMeans::new(2).init(start.clone()).tolerance(tolerance);
            let (one, many) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&explicit)?);
            prop_assert!(close(one.centroids(), many.centroids()), "{} {}", one.centroids(), many.centroids());
            assert_relative_eq!(one.inertia(), many.inertia(), max_relative = 1e-9, epsilon = 1e-12);
            prop_assert_eq!(one.history().iterations(), many.history().iterations());

            // in one dimension both may start in the same direction
            if x.ncols() > 1 {
                let spec = SphericalKMeans::new(2).init(start.clone()).tolerance(tolerance);
                let (one, many) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&explicit)?);
                prop_assert!(close(one.centroids(), many.centroids()), "{} {}", one.centroids(), many.centroids());
            }

            let spec = BisectingKMeans::new(2).init(start.clone()).tolerance(tolerance);
            let (one, many) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&explicit)?);
            prop_assert!(close(one.centroids(), many.centroids()), "{} {}", one.centroids(), many.centroids());
        }
        let spec = MiniBatchKMeans::new(2).init(start).reassignment(0.0);
        let one = spec.start_weighted(&x, &weights)?.partial_fit_weighted(&x, &weights)?;
        let many = spec.start(&explicit)?.partial_fit(&explicit)?;
        prop_assert!(close(one.centroids(), many.centroids()), "{} {}", one.centroids(), many.centroids());
        prop_assert_eq!(one.counts(), many.counts());
        assert_relative_eq!(one.inertia(), many.inertia(), max_relative = 1e-9, epsilon = 1e-12);
        for (a, b) in one.history().objective().iter().zip(many.history().objective()) {
            assert_relative_eq!(a, b, max_relative = 1e-9, epsilon = 1e-12);
        }
    }

    // (6) for any k: both have the same local minima, and a fit that starts in one stays there
    #[test]
    fn centroids_of_weighted_rows_are_centroids_of_their_copies(x in rows(20..80), k in 1usize..6, seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let explicit = copies(&x, &weights);
        let spec = KMeans::new(k).tolerance(0.0).seed(seed);
        let from = |start: &Array2<f64>| spec.clone().init(Init::Centroids(start.clone()));
        let one = spec.fit_weighted(&x, &weights, &mut Silent)?;
        let many = from(one.centroids()).fit(&explicit)?;
        assert_abs_diff_eq!(*one.centroids(), *many.centroids(), epsilon = 1e-9);
        assert_relative_eq!(one.inertia(), many.inertia(), max_relative = 1e-9, epsilon = 1e-12);
        let many = spec.fit(&explicit)?;
        let one = from(many.centroids()).fit_weighted(&x, &weights, &mut Silent)?;
        assert_abs_diff_eq!(*one.centroids(), *many.centroids(), epsilon = 1e-9);
        assert_relative_eq!(one.inertia(), many.inertia(), max_relative = 1e-9, epsilon = 1e-12);
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

    #[test]
    fn leaves_are_weighted_means_and_their_inertia_is_weighted(x in rows(10..80), k in 2usize..6, seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let model = BisectingKMeans::new(k).tolerance(0.0).seed(seed).fit_weighted(&x, &weights, &mut Silent)?;
        prop_assert_eq!(&model.predict(&x)?, model.labels());
        let (mut inertia, mut masses) = (0.0, Array1::<f64>::zeros(model.centroids().nrows()));
        let mut sums = Array2::<f64>::zeros(model.centroids().raw_dim());
        for ((row, &weight), &label) in x.rows().into_iter().zip(&weights).zip(model.labels()) {
            masses[label] += weight;
            sums.row_mut(label).scaled_add(weight, &row);
            inertia += weight * (&row - &model.centroids().row(label)).mapv(|v| v * v).sum();
        }
        assert_relative_eq!(model.inertia(), inertia, max_relative = 1e-9, epsilon = 1e-12);
        prop_assert!(masses.iter().all(|&m| m > 0.0), "a leaf without a row that counts");
        assert_abs_diff_eq!(sums / masses.insert_axis(Axis(1)), model.centroids().clone(), epsilon = 1e-9);
    }

    // (6) for medoids: copies have the same local minima, whichever of them a start leads to
    #[test]
    fn medoids_of_weighted_rows_are_medoids_of_their_copies(x in rows(8..40), k in 1usize..4, seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let explicit = copies(&x, &weights);
        // the first copy of each row
        let first = |row: usize| weights.iter().take(row).sum::<f64>() as usize;
        let one = KMedoids::new(k).seed(seed).fit_weighted(&x, &weights, &mut Silent)?;
        prop_assert!(one.medoids().iter().all(|&m| weights[m] > 0.0));
        prop_assert_eq!(&one.predict(&x)?, one.labels());
        let start = MedoidInit::Rows(one.medoids().iter().map(|&m| first(m)).collect());
        let many = KMedoids::new(k).init(start).fit(&explicit)?;
        prop_assert_eq!(one.medoid_rows(), many.medoid_rows());
        assert_relative_eq!(one.deviation(), many.deviation(), max_relative = 1e-9, epsilon = 1e-12);

        // from pairs, the same
        let norm = |a: usize, b: usize| (&x.row(a) - &x.row(b)).mapv(|v| v * v).sum().sqrt();
        let pairs = Array2::from_shape_fn((x.nrows(), x.nrows()), |(a, b)| norm(a, b));
        let start = MedoidInit::Rows(one.medoids().to_vec());
        let of_pairs = KMedoids::new(k).init(start).fit_dissimilarities_weighted(&pairs, &weights, &mut Silent)?;
        prop_assert_eq!(of_pairs.medoids(), one.medoids());
        prop_assert_eq!(of_pairs.labels(), one.labels());
    }

    // (6)
    #[test]
    fn a_weight_of_w_is_w_copies_for_the_bayesian_mixture(x in rows(30..100), seed in any::<u64>()) {
        let weights = counts(x.nrows(), seed);
        let explicit = copies(&x, &weights);
        for family in [Covariance::Full, Covariance::Tied, Covariance::Diagonal, Covariance::Spherical] {
            for prior in [WeightPrior::DirichletProcess, WeightPrior::Dirichlet] {
                let means = x.slice(s![..3, ..]).to_owned();
                let start = Start::Given { means, weights: None, precisions: None };
                let spec = BayesianGaussianMixture::new(3).covariance(family).weight_prior(prior).start(start);
                let spec = spec.max_iterations(10).tolerance(0.0);
                let (one, many) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&explicit)?);
                assert_relative_eq!(one.elbo(), many.elbo(), max_relative = 1e-7, epsilon = 1e-6);
                assert_abs_diff_eq!(*one.means(), *many.means(), epsilon = 1e-6);
                assert_abs_diff_eq!(*one.weights(), *many.weights(), epsilon = 1e-6);
                assert_abs_diff_eq!(*one.covariances(), *many.covariances(), epsilon = 1e-6);
            }
        }
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
fn weights_of_the_bayesian_mixture_are_counts() -> Result<(), Failure> {
    let x = data::iris().x;
    let fit = |weight: f64| {
        let weights = Array1::from_elem(150, weight);
        BayesianGaussianMixture::new(3).seed(1).fit_weighted(&x, &weights, &mut Silent)
    };
    // each component has met its prior's one row at the mean, and all rows as often as they count
    for weight in [0.5, 1.0, 4.0] {
        let total: f64 = fit(weight)?.mean_precisions().iter().sum();
        assert_relative_eq!(total, 3.0 + 150.0 * weight, max_relative = 1e-9);
    }
    // weights far below one are a prior and no data, and still a model
    let vague = fit(1e-9)?;
    assert!(vague.elbo().is_finite());
    assert_relative_eq!(vague.weights().sum(), 1.0, max_relative = 1e-12);
    Ok(())
}

#[test]
fn batches_are_drawn_in_proportion_to_the_weights() -> Result<(), Failure> {
    // rows at 0 and at 100, of weight 9 and 1: nine of ten rows drawn lie at 0
    let x = Array2::from_shape_fn((400, 1), |(i, _)| if i % 2 == 0 { 0.0 } else { 100.0 });
    let weights = Array1::from_shape_fn(400, |i| if i % 2 == 0 { 9.0 } else { 1.0 });
    let spec = MiniBatchKMeans::new(2).batch(100).epochs(50).patience(1000).seed(3);
    let model = spec.fit_weighted(&x, &weights, &mut Silent)?;
    let of_zero = model.labels()[0];
    // 20 000 draws: a standard deviation of 0.002
    assert_relative_eq!(model.counts()[of_zero] / model.counts().sum(), 0.9, epsilon = 0.01);
    assert_eq!((model.counts().sum(), model.inertia()), (20_000.0, 0.0));
    // one centroid moves to the weighted mean
    let model = MiniBatchKMeans::new(1).batch(100).epochs(50).patience(1000).fit_weighted(
        &x,
        &weights,
        &mut Silent,
    )?;
    assert_relative_eq!(model.centroids()[[0, 0]], 10.0, epsilon = 1.0);
    let c: f64 = model.centroids()[[0, 0]];
    assert_relative_eq!(model.inertia(), 200.0 * (9.0 * c * c + (100.0 - c).powi(2)), max_relative = 1e-9);
    Ok(())
}

#[test]
fn the_tolerance_is_relative_to_the_weighted_variance() -> Result<(), Failure> {
    // two rows that hardly count lie far away: unweighted, their variance would end the fit after one iteration
    let near = data::iris().x;
    let x = concatenate(Axis(0), &[near.view(), (&near.slice(s![..2, ..]) + 1e4).view()])?;
    let weights = Array1::from_shape_fn(152, |i| if i < 150 { 1.0 } else { 1e-12 });
    let spec = KMeans::new(3).init(Init::Centroids(near.slice(s![..3, ..]).to_owned()));
    let (with, without) = (spec.fit_weighted(&x, &weights, &mut Silent)?, spec.fit(&near)?);
    assert_eq!(with.history().iterations(), without.history().iterations());
    assert_eq!(with.labels().slice(s![..150]), without.labels());
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
