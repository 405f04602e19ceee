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
mod kernel;
mod model;
mod pass;
mod queries;
mod start;
mod stepwise;
mod tile;

pub use bayesian::{BayesianGaussianMixture, BayesianGaussianMixtureModel, WeightPrior};
pub use covariance::Covariance;
pub use model::GaussianMixtureModel;
pub use start::Start;

use em::{Limits, Parameters, Run, alternate};
use ndarray::{ArrayRef1, ArrayRef2};
use pass::{Assignment, Rows};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::{Moments, Nearest};
use unsup_core::observe::{Observer, Stop};
use unsup_core::{Error, Result, Seed, validate};

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

    /// Learns from rows that count `weights` times each. x: `[n, d]`, weights: `[n]`. A row of weight 0 changes nothing.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit); [`Error::Value`] for a weight that is negative or not finite, or when all
    /// are zero; [`Error::Shape`] when there is not one a row.
    pub fn fit_weighted<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
        observer: &mut dyn Observer,
    ) -> Result<GaussianMixtureModel> {
        validate::weights(weights, x.nrows())?;
        self.run(x, Some(weights), observer)
    }

    /// Goes on from a model: as many iterations of this spec, from its parameters. One iteration and one more give
    /// the bits of two. x: `[n, d]`.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit); [`Error::Shape`] when the model has other components, columns or covariances.
    pub fn fit_from<F: Nearest>(
        &self,
        model: &GaussianMixtureModel,
        x: &ArrayRef2<F>,
        observer: &mut dyn Observer,
    ) -> Result<GaussianMixtureModel> {
        finite_moments(x, METHOD)?;
        let (k, d) = model.means().dim();
        validate::width(x, d, "x")?;
        if (k, model.spec().covariance) != (self.components, self.covariance) {
            let shape = |k: usize, family: Covariance| format!("{k} components of {family:?} covariance");
            let found = shape(k, model.spec().covariance);
            return Err(Error::shape(
                "the model to go on from",
                shape(self.components, self.covariance),
                found,
            ));
        }
        self.check(x)?;
        let start = self.parameters(
            model.parameters().weights.clone(),
            model.parameters().means.clone(),
            model.parameters().covariances.clone(),
        )?;
        let rows = Rows { x, weights: None, shift: model.shift() };
        let run = alternate(&rows, start, self.limits(), observer)?;
        Ok(GaussianMixtureModel::new(self.clone(), model.shift().to_vec(), run, 1))
    }

    fn limits(&self) -> Limits {
        Limits { task: METHOD, max_iterations: self.max_iterations, tolerance: self.tolerance }
    }

    fn parameters(&self, weights: Vec<f64>, means: Vec<f64>, covariances: Vec<f64>) -> Result<Parameters> {
        Parameters::new(self.covariance, weights, means, covariances, self.covariance_floor)
            .map_err(|c| c.error(METHOD, 0))
    }

    fn check<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<()> {
        let (n, d) = x.dim();
        check_common(self.components, self.restarts, self.tolerance, self.covariance_floor)?;
        if !(self.step_exponent > 0.5 && self.step_exponent <= 1.0) {
            return Err(Error::parameter("step_exponent", self.step_exponent, "above 0.5 and at most 1"));
        }
        if n < self.components {
            return Err(Error::TooFewRows { method: METHOD, needed: self.components, found: n });
        }
        self.start.check(self.covariance, self.components, d)
    }

    /// The first parameters of one start.
    fn first<F: Nearest>(
        &self,
        rows: &Rows<'_, F>,
        weights: Option<&ArrayRef1<F>>,
        seed: Seed,
    ) -> Result<Parameters> {
        let d = rows.x.ncols();
        if let Start::Given { means, weights: Some(weights), precisions: Some(_) } = &self.start {
            let covariances = self.start.covariances(self.covariance, d)?.unwrap_or_default();
            return self.parameters(weights.to_vec(), centred(means, rows.shift), covariances);
        }
        let partition = self.start.partition(rows.x, weights, self.components, rows.shift, seed)?;
        let statistics =
            rows.pass(Assignment::Labels(&partition.labels), self.covariance, &partition.centres);
        let of_groups =
            Parameters::of(&statistics, self.covariance, &partition.centres, self.covariance_floor)
                .map_err(|c| c.error(METHOD, 0))?;
        let Start::Given { means, weights, .. } = &self.start else { return Ok(of_groups) };
        let covariances = self.start.covariances(self.covariance, d)?.unwrap_or(of_groups.covariances);
        let weights = weights.as_ref().map_or(of_groups.weights, |w| w.to_vec());
        self.parameters(weights, centred(means, rows.shift), covariances)
    }

    fn run<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: Option<&ArrayRef1<F>>,
        observer: &mut dyn Observer,
    ) -> Result<GaussianMixtureModel> {
        let shift = finite_moments(x, METHOD)?.means.to_vec();
        self.check(x)?;
        let row_weights = weights.map(|w| w.iter().map(|w| w.f64()).collect::<Vec<_>>());
        let rows = Rows { x, weights: row_weights.as_deref(), shift: &shift };
        let restarts = if self.start.is_fixed() { 1 } else { self.restarts };
        let run = best_of(restarts, |restart| {
            let start = self.first(&rows, weights, self.seed.named("mixture").indexed(restart))?;
            alternate(&rows, start, self.limits(), observer)
        })?;
        Ok(GaussianMixtureModel::new(self.clone(), shift, run, 1))
    }
}

/// The start of greatest bound. A start that failed counts only when all did.
fn best_of<E>(restarts: usize, mut run: impl FnMut(usize) -> Result<Run<E>>) -> Result<Run<E>> {
    let mut best: Result<Run<E>> = Err(Error::parameter("restarts", 0, "at least 1"));
    for restart in 0..restarts {
        let run = run(restart);
        let interrupted = run.as_ref().is_ok_and(|r| r.history.stop() == Stop::Interrupted);
        match (&best, &run) {
            (Ok(best), Ok(run)) if run.bound <= best.bound => {}
            (Ok(_), Err(_)) => {}
            _ => best = run,
        }
        if interrupted {
            break;
        }
    }
    best
}

fn check_common(components: usize, restarts: usize, tolerance: f64, floor: f64) -> Result<()> {
    if components == 0 {
        return Err(Error::parameter("components", 0, "at least 1"));
    }
    if restarts == 0 {
        return Err(Error::parameter("restarts", 0, "at least 1"));
    }
    let not_negative = |v: f64| v.is_finite() && v >= 0.0;
    if !not_negative(tolerance) {
        return Err(Error::parameter("tolerance", tolerance, "a finite number, at least 0"));
    }
    if !not_negative(floor) {
        return Err(Error::parameter("covariance_floor", floor, "a finite number, at least 0"));
    }
    Ok(())
}

/// Rows relative to the shift, one after the other.
fn centred(rows: &ArrayRef2<f64>, shift: &[f64]) -> Vec<f64> {
    rows.rows()
        .into_iter()
        .flat_map(|row| row.iter().zip(shift).map(|(v, m)| v - m).collect::<Vec<_>>())
        .collect()
}

/// The moments of a valid table whose squared distances fit `f64`.
fn finite_moments<F: Nearest>(x: &ArrayRef2<F>, method: &'static str) -> Result<Moments> {
    let moments = Moments::of(x, "x")?;
    let farthest = 2.0 * x.nrows() as f64 * moments.variances.sum();
    if farthest.is_finite() {
        return Ok(moments);
    }
    let problem = "squared distances overflow f64; scale the columns down".to_owned();
    Err(Error::Numerical { method, problem })
}

/// x: `[n, d]`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`] (with row and column); [`Error::TooFewRows`] when k > n;
/// [`Error::Parameter`] for a hyper-parameter out of range; [`Error::Shape`] and [`Error::Value`] for given parameters that do
/// not fit; [`Error::Numerical`] when squared distances overflow, and when a component collapses in every start: the
/// message names the component, the iteration and the cause (no row belongs to it, as with fewer distinct rows than k;
/// a variance that is zero; a covariance that is singular).
impl<F: Nearest> Fit<ArrayRef2<F>> for GaussianMixture {
    type Model = GaussianMixtureModel;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<GaussianMixtureModel> {
        self.run(x, None, observer)
    }
}
