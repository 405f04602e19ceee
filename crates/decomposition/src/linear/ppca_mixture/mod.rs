//! Mixtures of probabilistic PCA: p(x) = Σₖ πₖ N(x | μₖ, WₖWₖᵀ + σₖ²I), local planes with noise around them.
//!
//! EM (Tipping & Bishop 1999b): the responsibilities of the components for each row, then of each component the closed form of
//! [probabilistic PCA](super::ppca) for the covariance of the rows weighted by them: the q leading eigenvectors, and the mean of the
//! other eigenvalues as noise. Each step is exact, so the likelihood never falls; where it ends depends on the start (the groups of a
//! short k-means), hence restarts.
//!
//! **Use it** for data on bent or piecewise flat sheets, as a density where columns are too many for full covariances (k·d·q
//! parameters instead of k·d²/2), for groups that differ in their directions. **Do not use it** for one global map into few
//! dimensions: each component has coordinates of its own.
//!
//! Cost of an iteration, n rows, d columns, k components: k·n·d² multiply-adds for the weighted covariances (of the rows that a component
//! has a share of) and k·d³ for their eigenvectors; memory: 4 to 32 times k·d². Beyond some thousand columns reduce them first
//! by [`Pca`](crate::Pca).
//!
//! Source: Tipping & Bishop, *Mixtures of probabilistic principal component analyzers*, Neural Computation 11 (1999).

mod em;
mod model;
mod start;

pub use model::PpcaMixtureModel;

use super::second_moment::{finite, is_constant};
use ndarray::ArrayRef2;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::Moments;
use unsup_core::observe::{Observer, Stop};
use unsup_core::{Error, Float, Result, Seed};

const METHOD: &str = "mixture of probabilistic PCA";

/// The hyper-parameters of a mixture of probabilistic PCA; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::{Fit, Predict}, metrics};
/// use unsup_decomposition::PpcaMixture;
/// let iris = data::iris();
/// let model = PpcaMixture::new(3, 2).restarts(5).seed(7).fit(&iris.x)?;
/// let labels = model.predict(&iris.x)?;
/// assert!(metrics::adjusted_rand(&iris.labels, &labels)? > 0.7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PpcaMixture {
    components: usize,
    directions: usize,
    restarts: usize,
    max_iterations: usize,
    tolerance: f64,
    noise_floor: f64,
    seed: Seed,
}

impl PpcaMixture {
    /// `components` planes of `directions` dimensions each, one start, at most 200 iterations, a tolerance of 10⁻⁵ nats, a noise floor of
    /// 10⁻⁶ and seed 0.
    pub fn new(components: usize, directions: usize) -> Self {
        PpcaMixture {
            components,
            directions,
            restarts: 1,
            max_iterations: 200,
            tolerance: 1e-5,
            noise_floor: 1e-6,
            seed: Seed::default(),
        }
    }

    /// How many starts are made; the one of greatest likelihood is kept, and one that collapses is passed over as long as another does
    /// not. At least 1.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// The most iterations of one start. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// A start has converged when the mean log-likelihood of a row rises by less than this, in nats. At 0 it never does.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The least σ² of a component, as a share of the mean variance of a column. At 0 a component that is left without noise (few or
    /// equal rows) is an error. A component of hardly more than q rows has no noise but the floor, and the greater a likelihood the lower
    /// that is: raise it where such components win.
    #[must_use]
    pub fn noise_floor(mut self, noise_floor: f64) -> Self {
        self.noise_floor = noise_floor;
        self
    }

    /// Where the starts come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    fn check(&self, n: usize, d: usize) -> Result<()> {
        self.check_alone()?;
        if self.directions >= d {
            return Err(Error::parameter("directions", self.directions, "fewer than the columns"));
        }
        if n < self.components.max(2) {
            return Err(Error::TooFewRows { method: METHOD, needed: self.components.max(2), found: n });
        }
        Ok(())
    }

    /// The checks that need no rows.
    fn check_alone(&self) -> Result<()> {
        for (name, value) in [
            ("components", self.components),
            ("directions", self.directions),
            ("restarts", self.restarts),
            ("max_iterations", self.max_iterations),
        ] {
            if value == 0 {
                return Err(Error::parameter(name, 0, "at least 1"));
            }
        }
        for (name, value) in [("tolerance", self.tolerance), ("noise_floor", self.noise_floor)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::parameter(name, value, "a finite number, at least 0"));
            }
        }
        Ok(())
    }
}

/// x: `[n, d]`, at least as many rows as components.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::TooFewRows`]; [`Error::Parameter`] for a hyper-parameter out of range;
/// [`Error::Numerical`] for constant data, and when a component collapses in every start: the message names the component, the
/// iteration and the cause (no row belongs to it; no noise is left around its plane).
impl<F: Float> Fit<ArrayRef2<F>> for PpcaMixture {
    type Model = PpcaMixtureModel;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<PpcaMixtureModel> {
        let moments = Moments::of(x, "x")?;
        let (n, d) = x.dim();
        self.check(n, d)?;
        let scale = finite(moments.variances.sum())? / d as f64;
        if is_constant::<F>(&moments.variances, &moments.means) {
            let problem = "the data are constant: there is no density".to_owned();
            return Err(Error::Numerical { method: METHOD, problem });
        }
        let mut best: Option<Result<em::Run>> = None;
        for restart in 0..self.restarts {
            let seed = self.seed.named(METHOD).indexed(restart);
            let run = start::partition(x, &moments.means, self.components, seed)
                .and_then(|labels| em::climb(self, x, &moments.means, &labels, scale, observer));
            let interrupted = run.as_ref().is_ok_and(|run| run.history.stop() == Stop::Interrupted);
            let better = match (&best, &run) {
                (Some(Ok(best)), Ok(run)) => run.log_likelihood > best.log_likelihood,
                (Some(Ok(_)), Err(_)) => false,
                _ => true,
            };
            if better {
                best = Some(run);
            }
            if interrupted {
                break;
            }
        }
        let run = best.unwrap_or_else(|| Err(Error::parameter("restarts", 0, "at least 1")))?;
        PpcaMixtureModel::new(self.clone(), run)
    }
}
