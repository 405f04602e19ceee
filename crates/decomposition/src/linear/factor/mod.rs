//! Factor analysis: x = Wz + μ + ε with z ~ N(0, I) and noise ε ~ N(0, Ψ) of its own variance in every column.
//!
//! What columns have in common goes into the loadings W `[d, q]`, what each has alone into Ψ = diag(ψ₁ … ψ_d): p(x) = N(μ, WWᵀ + Ψ).
//! Unlike the components of PCA the fit does not depend on the units of the columns. There is no closed form; two iterations climb to
//! a maximum of the likelihood:
//!
//! * [`Method::Svd`]: for given Ψ the best W is known, Ψ^½ V(Θ − I)₊^½ with the q leading eigenpairs of Ψ^−½SΨ^−½; then
//!   ψ = diag(S − WWᵀ) (Barber 2012, 21.2.2; scikit-learn's). Few iterations.
//! * [`Method::Em`]: expectation-maximisation (Rubin & Thayer 1982). Cheaper iterations, more of them.
//!
//! Both never lower the likelihood, and both need of the data nothing but S times a block of directions: where n ≥ d, d² numbers
//! are formed once and an iteration costs d²·q, some times over for the eigenpairs (by subspace iteration from those of the iteration before;
//! Halko, Martinsson & Tropp 2011); otherwise 2·n·d·q and nothing of size d². The rows are read once.
//!
//! W is only known up to a rotation of z. It is given such that WᵀΨ⁻¹W is diagonal, from the greatest down, or rotated by a
//! [`Rotation`] towards loadings that are easier to read.
//!
//! **Use it** where the noise differs between columns, to find what columns share. **Do not use it** to compress (that is PCA), or to
//! read causes into factors: rotations of z fit as well.
//!
//! Sources: Rubin & Thayer, *EM algorithms for ML factor analysis*, Psychometrika 47 (1982); Barber, *Bayesian reasoning and machine
//! learning* (2012), 21.2; Kaiser, *The varimax criterion for analytic rotation in factor analysis*, Psychometrika 23 (1958).

mod eigen;
mod em;
mod model;
mod rotation;

pub use model::FactorAnalysisModel;
pub use rotation::{Rotation, rotate};

use crate::linear::second_moment::SecondMoment;
use ndarray::ArrayRef2;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::observe::Observer;
use unsup_core::{Error, Float, Result, Seed, validate};

const METHOD: &str = "factor analysis";

/// How the likelihood is climbed; see the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Method {
    /// The best loadings for the noise, then the noise.
    #[default]
    Svd,
    /// Expectation-maximisation.
    Em,
}

/// The hyper-parameters of factor analysis; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::{Fit, Transform}};
/// use unsup_decomposition::{FactorAnalysis, factor::Rotation};
/// let wine = data::wine();
/// let model = FactorAnalysis::new(3).rotation(Rotation::Varimax).fit(&wine.x)?;
/// assert_eq!(model.loadings().dim(), (13, 3));
/// assert_eq!(model.transform(&wine.x)?.dim(), (178, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactorAnalysis {
    factors: usize,
    method: Method,
    rotation: Rotation,
    max_iterations: usize,
    tolerance: f64,
    noise_floor: f64,
    seed: Seed,
}

impl FactorAnalysis {
    /// `factors` of them, by [`Method::Svd`], not rotated, at most 1000 iterations, a tolerance of 10⁻⁶ nats, a noise floor of 10⁻¹² and
    /// seed 0.
    pub fn new(factors: usize) -> Self {
        FactorAnalysis {
            factors,
            method: Method::Svd,
            rotation: Rotation::None,
            max_iterations: 1000,
            tolerance: 1e-6,
            noise_floor: 1e-12,
            seed: Seed::default(),
        }
    }

    /// How the likelihood is climbed.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// How the loadings are rotated in the end.
    #[must_use]
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// The most iterations. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// The fit has converged when the mean log-likelihood of a row rises by less than this, in nats. At 0 it never does.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The least noise of a column, as a share of the mean variance of all. A column that the factors explain wholly, or a
    /// constant one, ends there (a Heywood case): without a floor its density would have no bound. Above 0.
    #[must_use]
    pub fn noise_floor(mut self, noise_floor: f64) -> Self {
        self.noise_floor = noise_floor;
        self
    }

    /// Where the search for eigenvectors starts.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    fn check(&self, n: usize, d: usize) -> Result<()> {
        self.check_alone()?;
        if n < 2 {
            return Err(Error::TooFewRows { method: METHOD, needed: 2, found: n });
        }
        if self.factors > n.min(d) {
            let allowed = "at least 1 and at most the smaller of rows and columns";
            return Err(Error::parameter("factors", self.factors, allowed));
        }
        Ok(())
    }

    /// The checks that need no rows.
    fn check_alone(&self) -> Result<()> {
        for (name, value) in [("factors", self.factors), ("max_iterations", self.max_iterations)] {
            if value == 0 {
                return Err(Error::parameter(name, 0, "at least 1"));
            }
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::parameter("tolerance", self.tolerance, "a finite number, at least 0"));
        }
        if !(self.noise_floor > 0.0 && self.noise_floor < 1.0) {
            return Err(Error::parameter("noise_floor", self.noise_floor, "above 0 and below 1"));
        }
        Ok(())
    }
}

/// x: `[n, d]`, n ≥ 2. The history holds the mean log-likelihood of a row after each iteration, in nats, under the parameters of that
/// iteration: the last one is that of the model.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::TooFewRows`] when n = 1; [`Error::Parameter`] for a hyper-parameter out of range;
/// [`Error::Numerical`] for constant data.
impl<F: Float> Fit<ArrayRef2<F>> for FactorAnalysis {
    type Model = FactorAnalysisModel;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<FactorAnalysisModel> {
        validate::not_empty(x, "x")?;
        let moment = SecondMoment::of(x)?;
        self.check(x.nrows(), x.ncols())?;
        let (loadings, noise, history) = em::fit(self, &moment, observer)?;
        let rotated = rotation::readable(&loadings, &noise, self.rotation)?;
        FactorAnalysisModel::new(self.clone(), moment.means, rotated, noise, history)
    }
}
