//! Gaussian mixtures: p(x) = Σₖ πₖ N(x | μₖ, Σₖ), fitted by EM or by variational inference.
//!
//! EM alternates two exact steps. E: the responsibilities rᵢₖ = πₖ N(xᵢ | μₖ, Σₖ) / p(xᵢ), by log-sum-exp. M: weights,
//! means and covariances of the rows, each counted rᵢₖ times in component k. Neither can lower the likelihood; where it ends depends on
//! the start, hence restarts. [`BayesianGaussianMixture`] puts priors on all parameters and empties the components that
//! the data do not ask for.
//!
//! **Use it** for elongated, overlapping or unequal groups, for soft assignments, as a density (anomalies, sampling), and to
//! choose the number of groups by [`bic`](GaussianMixtureModel::bic). **Do not use it** for groups that are bent or nested; with
//! full covariances on few rows in many columns (fewer than about d rows a component: take a simpler [`Covariance`]); or where
//! rows number in the hundreds of millions and groups are round (k-means is cheaper).
//!
//! Cost of an iteration, n rows, d columns, k components: n·k·d²/2 multiply-adds for full covariances and as many again for
//! the rows that a component has a share of, n·d·(d/2 + k) for tied, n·k·d for diagonal and spherical. Memory beside the data:
//! some k·d² sums. Rows are moved near the origin on the fly, all arithmetic is in `f64` over fixed chunks, and covariances are
//! taken about the means, never as E\[x²\] − μ²: data at 10⁶ from the origin give what they give near it, and the result has
//! the same bits on any number of threads.
//!
//! Sources: Dempster, Laird & Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, JRSS B 39 (1977);
//! Bishop, *Pattern recognition and machine learning* (2006), 9.2 and 10.2; Cappé & Moulines, *On-line
//! expectation-maximization*, JRSS B 71 (2009), for [`partial_fit`](GaussianMixtureModel::partial_fit). Defaults are scikit-learn's.

mod bayesian;
mod covariance;
mod em;
mod factor;
mod fit;
mod kernel;
#[doc(hidden)]
pub mod markov;
mod model;
mod normalize;
mod pass;
mod queries;
mod start;
mod stepwise;
mod tile;

pub use bayesian::{BayesianGaussianMixture, BayesianGaussianMixtureModel, WeightPrior};
pub use covariance::Covariance;
pub use model::GaussianMixtureModel;
pub use start::Start;

use serde::{Deserialize, Serialize};
use unsup_core::Seed;

const METHOD: &str = "Gaussian mixture";

/// The hyper-parameters of a Gaussian mixture fitted by EM; see the [module](self).
///
/// ```
/// use unsup_clustering::GaussianMixture;
/// use unsup_core::{data, estimator::{Fit, Predict}, metrics};
/// let iris = data::iris();
/// let model = GaussianMixture::new(3).restarts(3).seed(7).fit(&iris.x)?;
/// let labels = model.predict(&iris.x)?;
/// assert!(metrics::adjusted_rand(&iris.labels, &labels)? > 0.85);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaussianMixture {
    components: usize,
    covariance: Covariance,
    start: Start,
    restarts: usize,
    max_iterations: usize,
    tolerance: f64,
    covariance_floor: f64,
    step_exponent: f64,
    seed: Seed,
}

impl GaussianMixture {
    /// A mixture of `components` Gaussians with full covariances, from k-means, one start, at most 100 iterations, a tolerance
    /// of 10⁻³ nats, a covariance floor of 10⁻⁶, a step exponent of 0.6 and seed 0.
    pub fn new(components: usize) -> Self {
        GaussianMixture {
            components,
            covariance: Covariance::Full,
            start: Start::default(),
            restarts: 1,
            max_iterations: 100,
            tolerance: 1e-3,
            covariance_floor: 1e-6,
            step_exponent: 0.6,
            seed: Seed::default(),
        }
    }

    /// Which covariances the components may have.
    #[must_use]
    pub fn covariance(mut self, covariance: Covariance) -> Self {
        self.covariance = covariance;
        self
    }

    /// How the first parameters are chosen.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How many starts are made; the one of greatest likelihood is kept, and one that collapses is passed over as long as
    /// another does not. At least 1. Given parameters are started from once.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// The most iterations of one start; 0 leaves the first parameters as they are.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// A start has converged when the mean log-likelihood of a row changes by less than this, in nats. At 0 it never does.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Added to every variance, in squared units of the data, so that no component shrinks onto a single row. At 0 the
    /// likelihood never falls, and a component that collapses is an error.
    #[must_use]
    pub fn covariance_floor(mut self, covariance_floor: f64) -> Self {
        self.covariance_floor = covariance_floor;
        self
    }

    /// The α of [`partial_fit`](GaussianMixtureModel::partial_fit), whose t-th batch counts (t + 1)^−α: in (0.5, 1]. At 1
    /// all batches count alike in the end; smaller values forget the first ones faster.
    #[must_use]
    pub fn step_exponent(mut self, step_exponent: f64) -> Self {
        self.step_exponent = step_exponent;
        self
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }
}
