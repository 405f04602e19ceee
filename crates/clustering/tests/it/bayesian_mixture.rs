//! Variational mixtures: the contract, the bound, what priors do, bad input.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn, array, concatenate, s};
use proptest::prelude::*;
use unsup_clustering::mixture::Start;
use unsup_clustering::{BayesianGaussianMixture, BayesianGaussianMixtureModel, Covariance, WeightPrior};
use unsup_core::contract::{self, Questions};
use unsup_core::data::{self, synthetic};
use unsup_core::estimator::{AnomalyScore, Fit, LogDensity, Predict, Sample};
use unsup_core::math::Nearest;
use unsup_core::store::Persist;
use unsup_core::{Error, Seed};

type Failure = Box<dyn std::error::Error>;

const FAMILIES: [Covariance; 4] =
    [Covariance::Full, Covariance::Tied, Covariance::Diagonal, Covariance::Spherical];
const PRIORS: [WeightPrior; 2] = [WeightPrior::DirichletProcess, WeightPrior::Dirichlet];

fn questions<F: Nearest>() -> Questions<BayesianGaussianMixtureModel, F> {
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
    for prior in PRIORS {
        for family in FAMILIES {
            let spec =
                BayesianGaussianMixture::new(4).covariance(family).weight_prior(prior).restarts(2).seed(5);
            contract::check(&spec, &x, 1e-3, &questions(), &questions());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    // (20), for every family: the restricted posteriors ascend the same bound
    #[test]
    fn the_bound_never_falls_without_a_floor(n in 40usize..200, d in 1usize..5, seed in any::<u64>()) {
        let blobs = synthetic::blobs(n, 3, d, 2.5, Seed::new(seed))?;
        for prior in PRIORS {
            for family in FAMILIES {
                let spec = BayesianGaussianMixture::new(5).covariance(family).weight_prior(prior).covariance_floor(0.0);
                let model = spec.tolerance(0.0).max_iterations(40).seed(seed).fit(&blobs.x)?;
                let objective = model.history().objective();
                prop_assert_eq!(objective.len(), 40);
                prop_assert!(
                    objective.windows(2).all(|w| w[1] >= w[0] - 1e-10 * w[0].abs().max(1.0)),
                    "{:?} {:?} {:?}", family, prior, objective
                );
                prop_assert_eq!(model.elbo(), objective[39]);
            }
        }
    }
}

#[test]
fn the_bound_of_one_component_is_the_evidence() -> Result<(), Failure> {
    // with one component mean field leaves nothing out: log p(x) in closed form, by the chain of predictive densities
    let x = data::iris().x.slice(s![..30, ..2]).to_owned();
    let prior = BayesianGaussianMixture::new(1)
        .weight_prior(WeightPrior::Dirichlet)
        .mean_prior(array![5.0, 3.0])
        .mean_precision(0.5)
        .degrees_of_freedom(4.0)
        .covariance_prior(array![[1.0, 0.2], [0.2, 2.0]].into_dyn())
        .covariance_floor(0.0);
    let mut evidence = 0.0;
    for i in 1..30 {
        let model = prior.fit(&x.slice(s![..i, ..]))?;
        evidence += model.log_density(&x.slice(s![i..i + 1, ..]))?[0];
    }
    // the first row, under the prior itself: a Student with ν₀ − d + 1 = 3 degrees of freedom
    let off = array![x[[0, 0]] - 5.0, x[[0, 1]] - 3.0];
    let (a, b, c) = (1.0, 0.2, 2.0);
    let det: f64 = a * c - b * b;
    let inverse = array![[c, -b], [-b, a]] / det;
    // scale matrix: W₀⁻¹ (1 + β₀) / (β₀ (ν₀ + 1 − d))
    let (nu, scale) = (3.0_f64, 1.5 / (0.5 * 3.0));
    let square = off.dot(&inverse.dot(&off)) / scale;
    // Γ((ν + 2)/2) / Γ(ν/2) = ν/2
    let first = (nu / 2.0).ln()
        - (nu * std::f64::consts::PI).ln()
        - 0.5 * (det * scale * scale).ln()
        - 0.5 * (nu + 2.0) * (1.0 + square / nu).ln();
    assert_relative_eq!(prior.fit(&x)?.elbo(), first + evidence, max_relative = 1e-10);
    Ok(())
}

#[test]
fn components_that_are_not_needed_empty_themselves() -> Result<(), Failure> {
    let centers = array![[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]];
    let blobs = synthetic::blobs_around(&centers, 600, 1.0, Seed::new(4))?;
    for prior in PRIORS {
        for family in FAMILIES {
            let spec =
                BayesianGaussianMixture::new(8).covariance(family).weight_prior(prior).max_iterations(2000);
            let model = spec.weight_concentration(1e-3).tolerance(1e-6).seed(1).fit(&blobs.x)?;
            assert_eq!(model.active_components(0.01), 3, "{family:?} {prior:?}: {}", model.weights());
            let used = model.predict(&blobs.x)?;
            let ari = unsup_core::metrics::adjusted_rand(&blobs.labels, &used)?;
            assert!(ari > 0.99, "{family:?} {prior:?}: {ari}");
            assert_relative_eq!(model.weights().sum(), 1.0, max_relative = 1e-12);
        }
    }
    Ok(())
}

// (30)
#[test]
fn after_one_step_tied_is_the_mean_of_full_diagonal_its_diagonal_and_spherical_the_mean_of_that()
-> Result<(), Failure> {
    let x = data::iris().x;
    let scatter = |family: Covariance| {
        let spec = BayesianGaussianMixture::new(2).covariance(family).covariance_floor(0.0).max_iterations(0);
        // W⁻¹ = ν · covariance, for the prior of one family: the identity
        let identity = match family {
            Covariance::Full | Covariance::Tied => Array2::<f64>::eye(4).into_dyn(),
            Covariance::Diagonal => ArrayD::ones(IxDyn(&[4])),
            _ => ArrayD::ones(IxDyn(&[1])),
        };
        let model = spec.covariance_prior(identity).seed(1).fit(&x)?;
        let mut matrices = model.covariance_matrices();
        for (mut matrix, &nu) in matrices.outer_iter_mut().zip(model.degrees_of_freedom()) {
            matrix *= nu;
        }
        Ok::<_, Error>(matrices)
    };
    let full = scatter(Covariance::Full)?;
    let (tied, diagonal, spherical) =
        (scatter(Covariance::Tied)?, scatter(Covariance::Diagonal)?, scatter(Covariance::Spherical)?);
    assert_abs_diff_eq!(tied.index_axis(Axis(0), 0), full.mean_axis(Axis(0)).ok_or("two")?, epsilon = 1e-9);
    for c in 0..2 {
        let of_full = full.index_axis(Axis(0), c).diag().to_owned();
        assert_abs_diff_eq!(diagonal.index_axis(Axis(0), c).diag(), of_full, epsilon = 1e-9);
        assert_abs_diff_eq!(spherical[[c, 2, 2]], of_full.mean().ok_or("four")?, epsilon = 1e-9);
    }
    Ok(())
}

// (31)
#[test]
fn a_translation_moves_the_means_alone() -> Result<(), Failure> {
    let x = data::iris().x;
    for prior in PRIORS {
        for family in FAMILIES {
            let fit = |offset: f64| {
                let x = x.mapv(|v| (v + 1_048_576.0) - 1_048_576.0 + offset);
                let means = x.slice(s![10..;50, ..]).to_owned();
                let start = Start::Given { means, weights: None, precisions: None };
                let spec =
                    BayesianGaussianMixture::new(3).covariance(family).weight_prior(prior).start(start);
                spec.max_iterations(30).tolerance(0.0).fit(&x)
            };
            let near = fit(0.0)?;
            for offset in [128.0, 1_048_576.0] {
                let far = fit(offset)?;
                assert_abs_diff_eq!(far.means().mapv(|m| m - offset), near.means(), epsilon = 1e-7);
                assert_abs_diff_eq!(*far.covariances(), *near.covariances(), epsilon = 1e-7);
                assert_abs_diff_eq!(*far.weights(), *near.weights(), epsilon = 1e-7);
                assert_relative_eq!(far.elbo(), near.elbo(), max_relative = 1e-9);
            }
        }
    }
    Ok(())
}

#[test]
fn the_predictive_density_integrates_to_one_and_samples_come_from_it() -> Result<(), Failure> {
    let x = data::iris().x.slice(s![..12, ..1]).to_owned();
    let model = BayesianGaussianMixture::new(2).seed(1).fit(&x)?;
    // the tails of a Student reach far
    let step = 0.01;
    let grid = Array2::from_shape_fn((400_001, 1), |(i, _)| 5.0 + (i as f64 - 200_000.0) * step);
    let density = model.log_density(&grid)?.mapv(f64::exp);
    assert_relative_eq!(density.sum() * step, 1.0, epsilon = 1e-3);
    contract::check_sampler(&model);
    let sample = model.sample(40_000, Seed::new(3))?;
    for quantile in [4.6, 4.9, 5.0, 5.3, 6.0] {
        let expected: f64 =
            grid.column(0).iter().zip(&density).filter(|(x, _)| **x < quantile).map(|(_, p)| p * step).sum();
        let found = sample.iter().filter(|v| **v < quantile).count() as f64 / 40_000.0;
        assert_relative_eq!(found, expected, epsilon = 0.015);
    }
    Ok(())
}

#[test]
fn few_and_degenerate_rows_are_held_up_by_the_prior() -> Result<(), Failure> {
    // equal rows: the prior is the floor
    let equal = Array2::<f32>::from_elem((20, 3), 2.5);
    let constant = {
        let mut x = data::iris().x;
        x.column_mut(1).fill(1.0);
        x
    };
    let few = array![[0.0, 1.0], [0.0, 1.0], [2.0, 2.0], [2.0, 2.0], [9.0, 1.0]];
    for family in FAMILIES {
        let spec = BayesianGaussianMixture::new(4).covariance(family);
        let model = spec.fit(&equal)?;
        assert!(model.elbo().is_finite());
        assert!(model.means().iter().all(|m| (m - 2.5).abs() < 1e-12), "{}", model.means());
        assert!(spec.fit(&constant)?.log_density(&constant)?.iter().all(|v| v.is_finite()));
        let model = spec.fit(&few)?;
        assert!(model.elbo().is_finite());
        assert!(model.weights().iter().all(|w| *w > 0.0));
        assert!(matches!(spec.clone().covariance_floor(0.0).fit(&equal), Err(Error::Numerical { .. })));
        let single = BayesianGaussianMixture::new(1).covariance(family).fit(&array![[3.0, 4.0]])?;
        assert_eq!(*single.means(), array![[3.0, 4.0]]);
    }
    Ok(())
}

#[test]
fn bad_priors_are_named() {
    let x = data::iris().x;
    let spec = || BayesianGaussianMixture::new(3);
    let parameter = |spec: BayesianGaussianMixture| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(parameter(BayesianGaussianMixture::new(0)), "components");
    assert_eq!(parameter(spec().restarts(0)), "restarts");
    assert_eq!(parameter(spec().tolerance(f64::INFINITY)), "tolerance");
    assert_eq!(parameter(spec().covariance_floor(-1.0)), "covariance_floor");
    assert_eq!(parameter(spec().weight_concentration(0.0)), "weight_concentration");
    assert_eq!(parameter(spec().mean_precision(-1.0)), "mean_precision");
    assert_eq!(parameter(spec().degrees_of_freedom(3.0)), "degrees_of_freedom");
    let means = x.slice(s![..3, ..]).to_owned();
    let start = Start::Given { means, weights: Some(Array1::from_elem(3, 1.0 / 3.0)), precisions: None };
    assert_eq!(parameter(spec().start(start)), "start");
    assert!(matches!(spec().mean_prior(array![0.0]).fit(&x), Err(Error::Shape { what: "mean_prior", .. })));
    let flat = spec().covariance_prior(ArrayD::ones(IxDyn(&[4])));
    assert!(matches!(flat.fit(&x), Err(Error::Shape { what: "covariance_prior", .. })));
    let singular = spec().covariance_prior(ArrayD::ones(IxDyn(&[4, 4])));
    assert!(matches!(singular.fit(&x), Err(Error::Numerical { .. })));
    let mut skew = Array2::<f64>::eye(4);
    skew[[0, 1]] = 0.5;
    let skew = spec().covariance_prior(skew.into_dyn());
    assert!(matches!(skew.fit(&x), Err(Error::Value { what: "covariance_prior", index: 1, .. })));
    assert!(matches!(BayesianGaussianMixture::new(151).fit(&x), Err(Error::TooFewRows { needed: 151, .. })));
}

#[test]
fn a_file_whose_prior_is_out_of_range_is_refused() -> Result<(), Failure> {
    let model = BayesianGaussianMixture::new(2).fit(&data::iris().x)?;
    let record = model.to_record()?;
    for bad in [
        record.clone().value("concentration", &-1.0)?,
        record.clone().value("prior degrees of freedom", &1.0)?,
        record.clone().value("spec", &BayesianGaussianMixture::new(3))?,
        record.clone().array("mean precisions", &array![1.0, 0.0]),
    ] {
        assert!(matches!(BayesianGaussianMixtureModel::from_record(&bad), Err(Error::File { .. })));
    }
    assert!(BayesianGaussianMixtureModel::from_record(&record).is_ok_and(|m| m.means() == model.means()));
    Ok(())
}
