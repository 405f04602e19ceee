//! From a spec and rows to a model: the checks at the door, the first parameters, the restarts.

use super::em::{Limits, Parameters, Run, alternate};
use super::pass::{Assignment, Rows};
use super::{Covariance, GaussianMixture, GaussianMixtureModel, METHOD, Start};
use crate::weights::RowWeights;
use ndarray::{ArrayRef1, ArrayRef2};
use unsup_core::estimator::Fit;
use unsup_core::math::{Moments, Nearest};
use unsup_core::observe::{Observer, Stop};
use unsup_core::{Error, Result, Seed, validate};

impl GaussianMixture {
    /// Learns from rows that count `weights` times each. x: `[n, d]`, weights: `[n]`. A row of weight 0 is as good as not there; a
    /// factor that all weights share changes nothing.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit), for the rows of positive weight; [`Error::Value`] for a weight that is negative or not finite, or when all
    /// are zero; [`Error::Shape`] when there is not one a row.
    pub fn fit_weighted<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
        observer: &mut dyn Observer,
    ) -> Result<GaussianMixtureModel> {
        let weights = RowWeights::of(weights, x.nrows())?;
        self.run(&weights.select(x)?, weights.values.as_deref(), observer)
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

    pub(super) fn parameters(
        &self,
        weights: Vec<f64>,
        means: Vec<f64>,
        covariances: Vec<f64>,
    ) -> Result<Parameters> {
        Parameters::new(self.covariance, weights, means, covariances, self.covariance_floor)
            .map_err(|c| c.error(METHOD, 0))
    }

    /// The checks that need no rows.
    pub(super) fn check_alone(&self) -> Result<()> {
        check_common(self.components, self.restarts, self.tolerance, self.covariance_floor)?;
        if !(self.step_exponent > 0.5 && self.step_exponent <= 1.0) {
            return Err(Error::parameter("step_exponent", self.step_exponent, "above 0.5 and at most 1"));
        }
        Ok(())
    }

    fn check<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<()> {
        let (n, d) = x.dim();
        self.check_alone()?;
        if n < self.components {
            return Err(Error::TooFewRows { method: METHOD, needed: self.components, found: n });
        }
        self.start.check(self.covariance, self.components, d)
    }

    /// The first parameters of one start.
    fn first<F: Nearest>(&self, rows: &Rows<'_, F>, seed: Seed) -> Result<Parameters> {
        let d = rows.x.ncols();
        if let Start::Given { means, weights: Some(weights), precisions: Some(_) } = &self.start {
            let covariances = self.start.covariances(self.covariance, d)?.unwrap_or_default();
            return self.parameters(weights.to_vec(), centred(means, rows.shift), covariances);
        }
        let partition = self.start.partition(rows, self.components, seed)?;
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
        weights: Option<&[f64]>,
        observer: &mut dyn Observer,
    ) -> Result<GaussianMixtureModel> {
        let shift = finite_moments(x, METHOD)?.means.to_vec();
        self.check(x)?;
        let weights = weights.map(near_one);
        let rows = Rows { x, weights: weights.as_deref(), shift: &shift };
        let restarts = if self.start.is_fixed() { 1 } else { self.restarts };
        let run = best_of(restarts, |restart| {
            let start = self.first(&rows, self.seed.named("mixture").indexed(restart))?;
            alternate(&rows, start, self.limits(), observer)
        })?;
        Ok(GaussianMixtureModel::new(self.clone(), shift, run, 1))
    }
}

/// The start of greatest bound. A start that failed counts only when all did.
pub(super) fn best_of<E>(restarts: usize, mut run: impl FnMut(usize) -> Result<Run<E>>) -> Result<Run<E>> {
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

pub(super) fn check_common(components: usize, restarts: usize, tolerance: f64, floor: f64) -> Result<()> {
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

/// Weights in a unit in which the greatest lies in [1, 2): neither their sum nor a denormal one loses anything. The unit is a power
/// of two, so that nothing else is rounded.
fn near_one(weights: &[f64]) -> Vec<f64> {
    let greatest = weights.iter().fold(0.0_f64, |most, &w| most.max(w));
    let unit = (-greatest.log2().floor()).clamp(-1022.0, 1022.0).exp2();
    weights.iter().map(|w| w * unit).collect()
}

/// Rows relative to the shift, one after the other.
fn centred(rows: &ArrayRef2<f64>, shift: &[f64]) -> Vec<f64> {
    rows.rows()
        .into_iter()
        .flat_map(|row| row.iter().zip(shift).map(|(v, m)| v - m).collect::<Vec<_>>())
        .collect()
}

/// The moments of a valid table whose squared distances fit `f64`.
pub(super) fn finite_moments<F: Nearest>(x: &ArrayRef2<F>, method: &'static str) -> Result<Moments> {
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
