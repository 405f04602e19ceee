//! Probabilistic PCA: the linear-Gaussian latent model x = Wz + μ + ε, z ~ N(0, I), ε ~ N(0, σ²I).
//!
//! Every row is a point of a q-dimensional plane and isotropic noise; so p(x) = N(μ, WWᵀ + σ²I). Its maximum of likelihood is known
//! (Tipping & Bishop 1999, equations 7 and 8): W spans the q leading eigenvectors of the covariance, λₖ − σ² are the squared
//! lengths of its columns, and σ² is the mean of the d − q eigenvalues that are left out.
//!
//! * [`Solver::ClosedForm`]: that solution, by [`Pca`].
//! * [`Solver::Em`]: expectation-maximisation (equations 29 and 30 there). Each iteration costs d²·q where n ≥ d (the covariance is
//!   formed once), else 2·n·d·q, and needs no d × d matrix then. The likelihood never falls; convergence is linear, and slow where σ² is
//!   close to the variances that are kept.
//!
//! With [`missing`](ProbabilisticPca::missing) a NaN is a value that was not observed. Rows contribute the marginal density of what was
//! observed of them, and EM takes the expectation over z row by row (n·d·q² multiply-adds an iteration); μ is
//! estimated along with W. That assumes that values are missing at random: whether one is missing may depend on what was observed,
//! not on its own value.
//!
//! **Use it** for a density or samples where columns are many and directions few, and to fill in missing values. **Do not use it** where
//! the noise differs from column to column (factor analysis), or where rows form groups (a mixture of them).
//!
//! W is given in principal axes, from the longest down, a direction's largest loading positive: EM's own W is any rotation of that.
//! Source: Tipping & Bishop, *Probabilistic principal component analysis*, JRSS B 61 (1999).

mod em;
mod missing;
mod model;

pub use model::ProbabilisticPcaModel;

use crate::linear::pca::Pca;
use em::Parameters;
use ndarray::ArrayRef2;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::observe::{History, Observer};
use unsup_core::{Error, Float, Result, Seed, validate};

const METHOD: &str = "probabilistic PCA";

/// How the maximum of likelihood is found; see the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Solver {
    /// In closed form, and by EM when values are missing.
    #[default]
    Auto,
    /// From the eigenvectors of the covariance; an error when values are missing.
    ClosedForm,
    /// By expectation-maximisation.
    Em,
}

/// The hyper-parameters of probabilistic PCA; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::{Fit, LogDensity}};
/// use unsup_decomposition::ProbabilisticPca;
/// let iris = data::iris();
/// let model = ProbabilisticPca::new(2).fit(&iris.x)?;
/// let mean = model.log_density(&iris.x)?.mean().unwrap_or_default();
/// assert!((mean + 2.699752).abs() < 1e-6);
///
/// let mut holes = iris.x.clone();
/// holes[[7, 2]] = f64::NAN;
/// let model = ProbabilisticPca::new(2).missing(true).fit(&holes)?;
/// assert!((model.impute(&holes)?[[7, 2]] - iris.x[[7, 2]]).abs() < 0.2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbabilisticPca {
    directions: usize,
    solver: Solver,
    missing: bool,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

impl ProbabilisticPca {
    /// `directions` latent dimensions, in closed form where there is one; of EM at most 1000 iterations, a tolerance of 10⁻⁷ nats and seed
    /// 0. NaN is an error.
    pub fn new(directions: usize) -> Self {
        ProbabilisticPca {
            directions,
            solver: Solver::Auto,
            missing: false,
            max_iterations: 1000,
            tolerance: 1e-7,
            seed: Seed::default(),
        }
    }

    /// How the maximum of likelihood is found.
    #[must_use]
    pub fn solver(mut self, solver: Solver) -> Self {
        self.solver = solver;
        self
    }

    /// Whether NaN stands for a value that was not observed, here and in every question to the model. A row without any value is
    /// allowed: it says nothing, its code is 0 and its log-density 0.
    #[must_use]
    pub fn missing(mut self, missing: bool) -> Self {
        self.missing = missing;
        self
    }

    /// The most iterations of EM. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// EM has converged when the mean log-likelihood of a row rises by less than this, in nats. At 0 it never does.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Where EM starts on complete data.
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
        if self.directions >= d || self.directions > n {
            let allowed = "fewer than the columns, and at most the rows";
            return Err(Error::parameter("directions", self.directions, allowed));
        }
        Ok(())
    }

    /// The checks that need no rows.
    fn check_alone(&self) -> Result<()> {
        if self.directions == 0 {
            return Err(Error::parameter("directions", 0, "at least 1"));
        }
        if self.max_iterations == 0 {
            return Err(Error::parameter("max_iterations", 0, "at least 1"));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::parameter("tolerance", self.tolerance, "a finite number, at least 0"));
        }
        Ok(())
    }

    fn closed_form<F: Float>(&self, x: &ArrayRef2<F>) -> Result<(Parameters, History)> {
        let pca = Pca::new().components(self.directions).fit(x)?;
        Ok((Parameters::of_pca(&pca, x.nrows()), History::new()))
    }
}

/// x: `[n, d]`, n ≥ 2; NaN where [`missing`](ProbabilisticPca::missing) says so. The history holds the mean log-likelihood of a row after
/// each iteration of EM, in nats, and nothing for the closed form.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::TooFewRows`] when n = 1; [`Error::Parameter`] for a hyper-parameter out of range;
/// [`Error::Value`] for a column without any value; [`Error::Numerical`] when no noise is left around the plane (data of rank q
/// or less, constant data): there is no density.
impl<F: Float> Fit<ArrayRef2<F>> for ProbabilisticPca {
    type Model = ProbabilisticPcaModel;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        validate::not_empty(x, "x")?;
        let holes = if self.missing {
            missing::check(x)?
        } else {
            validate::table(x, "x")?;
            false
        };
        self.check(x.nrows(), x.ncols())?;
        let (parameters, history) = match (self.solver, holes) {
            (Solver::ClosedForm, true) => {
                return Err(Error::parameter("solver", "ClosedForm", "Auto or Em where values are missing"));
            }
            (_, true) => missing::fit(self, x, observer)?,
            (Solver::Em, false) => em::fit(self, x, observer)?,
            (Solver::Auto | Solver::ClosedForm, false) => self.closed_form(x)?,
        };
        ProbabilisticPcaModel::new(self.clone(), parameters.in_principal_axes()?, history)
    }
}
