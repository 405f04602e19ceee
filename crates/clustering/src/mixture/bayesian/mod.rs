//! Bayesian Gaussian mixtures: priors on weights, means and precisions, a posterior by variational inference.
//!
//! The components that the data do not ask for keep their prior and a weight near zero, so that `components` is an upper bound and
//! not a choice; with few rows the priors keep covariances sound. The objective is the evidence lower bound (ELBO), a true
//! lower bound of log p(x) with all its constants, in nats: it may be compared between families, priors and numbers of
//! components. (scikit-learn's leaves constants out.)
//!
//! **Use it** instead of [`GaussianMixture`](super::GaussianMixture) when the number of groups is unknown or rows are few.
//! **Do not use it** for a quick density of many rows: it needs several times as many iterations to empty a component.
//!
//! Weights are counts of rows: twice the weights are twice the evidence against the priors, and another posterior.
//!
//! Cost: an iteration costs what one of EM does.
//!
//! Sources: Bishop, *Pattern recognition and machine learning* (2006), 10.2; Blei & Jordan, *Variational inference for
//! Dirichlet process mixtures*, Bayesian Analysis 1 (2006). Updates and defaults are scikit-learn's.

mod model;
mod posterior;
mod prior;
mod special;
mod weights;

pub use model::BayesianGaussianMixtureModel;
pub use weights::WeightPrior;

use super::covariance::Covariance;
use super::em::{Limits, alternate};
use super::fit::{best_of, finite_moments};
use super::pass::{Assignment, Rows};
use super::start::Start;
use crate::weights::{RowWeights, weighted_moments};
use ndarray::{Array1, ArrayD, ArrayRef1, ArrayRef2};
use posterior::Posterior;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use unsup_core::estimator::Fit;
use unsup_core::math::Nearest;
use unsup_core::observe::Observer;
use unsup_core::{Result, Seed};

const METHOD: &str = "Bayesian Gaussian mixture";

/// The hyper-parameters of a Gaussian mixture fitted by variational inference: at most so many components, a prior.
///
/// ```
/// use unsup_clustering::BayesianGaussianMixture;
/// use unsup_core::{Seed, data::synthetic, estimator::Fit};
/// let blobs = synthetic::blobs(600, 3, 2, 0.4, Seed::new(4))?;
/// let model = BayesianGaussianMixture::new(8).max_iterations(500).seed(1).fit(&blobs.x)?;
/// assert_eq!(model.active_components(0.02), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BayesianGaussianMixture {
    components: usize,
    covariance: Covariance,
    start: Start,
    restarts: usize,
    max_iterations: usize,
    tolerance: f64,
    covariance_floor: f64,
    weight_prior: WeightPrior,
    weight_concentration: Option<f64>,
    mean_precision: f64,
    mean: Option<Array1<f64>>,
    degrees_of_freedom: Option<f64>,
    covariance_prior: Option<ArrayD<f64>>,
    seed: Seed,
}

impl BayesianGaussianMixture {
    /// At most `components` Gaussians with full covariances under a Dirichlet process, from k-means, one start, at most 100
    /// iterations, a tolerance of 10⁻³ nats, a covariance floor of 10⁻⁶ and seed 0. The priors: a concentration of 1/k, the mean of
    /// the data with a precision of 1, d degrees of freedom, the covariance of the data.
    pub fn new(components: usize) -> Self {
        BayesianGaussianMixture {
            components,
            covariance: Covariance::Full,
            start: Start::default(),
            restarts: 1,
            max_iterations: 100,
            tolerance: 1e-3,
            covariance_floor: 1e-6,
            weight_prior: WeightPrior::default(),
            weight_concentration: None,
            mean_precision: 1.0,
            mean: None,
            degrees_of_freedom: None,
            covariance_prior: None,
            seed: Seed::default(),
        }
    }

    /// Which covariances the posterior may have. The prior is one of full precisions whatever the family; the bound
    /// says what a restriction costs.
    #[must_use]
    pub fn covariance(mut self, covariance: Covariance) -> Self {
        self.covariance = covariance;
        self
    }

    /// The partition that the first posterior is made of; of [`Start::Given`] only the means may be given.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How many starts are made; the one of greatest bound is kept. At least 1. Given means are started from once.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// The most iterations of one start; 0 leaves the posterior of the partition.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// A start has converged when the bound changes by less than this, in nats over all rows. At 0 it never does.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Added to every variance of the data within a component, in squared units. At 0 the bound never falls; the
    /// prior alone keeps covariances from collapsing.
    #[must_use]
    pub fn covariance_floor(mut self, covariance_floor: f64) -> Self {
        self.covariance_floor = covariance_floor;
        self
    }

    /// The prior of the mixing proportions.
    #[must_use]
    pub fn weight_prior(mut self, weight_prior: WeightPrior) -> Self {
        self.weight_prior = weight_prior;
        self
    }

    /// The γ of the prior of the proportions: smaller leaves fewer components in use. Above 0; by default 1/k.
    #[must_use]
    pub fn weight_concentration(mut self, concentration: f64) -> Self {
        self.weight_concentration = Some(concentration);
        self
    }

    /// The β₀ of the prior of the means: as many rows at m₀. Above 0.
    #[must_use]
    pub fn mean_precision(mut self, mean_precision: f64) -> Self {
        self.mean_precision = mean_precision;
        self
    }

    /// The m₀ of the prior of the means, `[d]`; by default the mean of the data.
    #[must_use]
    pub fn mean_prior(mut self, mean: Array1<f64>) -> Self {
        self.mean = Some(mean);
        self
    }

    /// The ν₀ of the prior of the precisions: as many rows of covariance W₀⁻¹ / ν₀. Above d − 1; by default d.
    #[must_use]
    pub fn degrees_of_freedom(mut self, degrees_of_freedom: f64) -> Self {
        self.degrees_of_freedom = Some(degrees_of_freedom);
        self
    }

    /// The W₀⁻¹ of the prior of the precisions: `[d, d]` for full and tied covariances, `[d]` for diagonal, `[1]` for
    /// spherical ones; by default that of the data (divided by Σ w − 1, or Σ w / 2 where that is more), with the covariance floor on its diagonal where
    /// it is singular.
    #[must_use]
    pub fn covariance_prior(mut self, covariance: ArrayD<f64>) -> Self {
        self.covariance_prior = Some(covariance);
        self
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    /// Learns from rows that count `weights` times each. x: `[n, d]`, weights: `[n]`. A row of weight 0 is as good as not there.
    ///
    /// ```
    /// use ndarray::{Array1, s};
    /// use unsup_clustering::BayesianGaussianMixture;
    /// use unsup_core::{data, observe::Silent};
    /// let x = data::iris().x;
    /// let weights = Array1::from_shape_fn(150, |i| if i < 50 { 3.0 } else { 1.0 });
    /// let model = BayesianGaussianMixture::new(2).seed(1).fit_weighted(&x, &weights, &mut Silent)?;
    /// // 150 of 250 are setosas
    /// assert!(model.weights().iter().any(|w| (w - 0.6).abs() < 0.02));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`fit`](Fit::fit), for the rows of positive weight; [`Error::Value`](unsup_core::Error::Value) for a weight that is
    /// negative or not finite, or when all are zero; [`Error::Shape`](unsup_core::Error::Shape) when there is not one a row.
    pub fn fit_weighted<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
        observer: &mut dyn Observer,
    ) -> Result<BayesianGaussianMixtureModel> {
        let weights = RowWeights::of(weights, x.nrows())?;
        self.run(&weights.select(x)?, weights.values.as_deref(), observer)
    }

    fn run<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: Option<&[f64]>,
        observer: &mut dyn Observer,
    ) -> Result<BayesianGaussianMixtureModel> {
        // the mean, since the prior's is that of the data
        let mut shift = finite_moments(x, METHOD)?.means.to_vec();
        if let Some(weights) = weights {
            shift = weighted_moments(x, weights, &shift).means.to_vec();
        }
        let rows = Rows { x, weights, shift: &shift };
        self.check(x)?;
        let prior = Arc::new(self.prior(&rows)?);
        let limits = Limits { task: METHOD, max_iterations: self.max_iterations, tolerance: self.tolerance };
        let restarts = if self.start.is_fixed() { 1 } else { self.restarts };
        let run = best_of(restarts, |restart| {
            let seed = self.seed.named("mixture").indexed(restart);
            let partition = self.start.partition(&rows, self.components, seed)?;
            let statistics =
                rows.pass(Assignment::Labels(&partition.labels), self.covariance, &partition.centres);
            let start =
                Posterior::of(&prior, &statistics, &partition.centres).map_err(|c| c.error(METHOD, 0))?;
            alternate(&rows, start, limits, observer)
        })?;
        Ok(BayesianGaussianMixtureModel::new(self.clone(), shift, run))
    }
}

/// x: `[n, d]`.
///
/// # Errors
/// Those of [`GaussianMixture`](super::GaussianMixture), except that no component collapses as long as the prior's covariance is
/// positive definite: [`Error::Numerical`](unsup_core::Error::Numerical) when it is not (constant data and a floor of 0).
///
/// With fewer distinct rows than components, the components without rows keep their prior. Squares below the floor, such as those of
/// denormals, are those of equal rows.
impl<F: Nearest> Fit<ArrayRef2<F>> for BayesianGaussianMixture {
    type Model = BayesianGaussianMixtureModel;

    fn fit_observed(
        &self,
        x: &ArrayRef2<F>,
        observer: &mut dyn Observer,
    ) -> Result<BayesianGaussianMixtureModel> {
        self.run(x, None, observer)
    }
}
