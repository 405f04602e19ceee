//! EM for probabilistic PCA on complete data.
//!
//! With M = WᵀW + σ²I the expectation and the maximisation are one update (Tipping & Bishop 1999, equations 29 and 30),
//!
//! W ← SW (σ²I + M⁻¹WᵀSW)⁻¹ and σ² ← tr(S − SW M⁻¹ Wᵀ)/d with the W on the left, the new one, in the last factor,
//!
//! which asks of the data nothing but SW.

use super::{METHOD, ProbabilisticPca};
use crate::linear::pca::PcaModel;
use crate::linear::positive::Positive;
use crate::linear::second_moment::SecondMoment;
use crate::linear::signs::fix_signs;
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use std::ops::ControlFlow;
use unsup_core::math::{self, Svd};
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result};

/// μ, W and σ².
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    /// `[d]`
    pub(super) mean: Array1<f64>,
    /// `[d, q]`
    pub(super) loadings: Array2<f64>,
    pub(super) noise: f64,
}

impl Parameters {
    /// The closed form: W = V(Λ − σ²I)^½ with variances of maximum likelihood.
    pub(super) fn of_pca<F: Float>(pca: &PcaModel<F>, rows: usize) -> Self {
        let (noise, scale) = (pca.noise_variance(), (rows as f64 - 1.0) / rows as f64);
        let lengths = pca.explained_variance().mapv(|v| (v * scale - noise).max(0.0).sqrt());
        let components = pca.components().map(|v| v.f64());
        Parameters { mean: pca.centre().clone(), loadings: &components.t() * &lengths, noise }
    }

    /// The same density with orthogonal loadings from the longest down, their signs fixed. A rotation of z changes nothing else.
    pub(super) fn in_principal_axes(self) -> Result<Self> {
        let Svd { u, s, .. } = math::svd(&self.loadings)?;
        let axes = fix_signs(u.reversed_axes().as_standard_layout().into_owned());
        Ok(Parameters { loadings: (axes * s.insert_axis(Axis(1))).reversed_axes(), ..self })
    }
}

/// The rise of the objective from iteration to iteration, told to an observer, until it ends.
pub(super) struct Course<'a> {
    observer: &'a mut dyn Observer,
    tolerance: f64,
    last: f64,
    pub(super) history: History,
}

impl<'a> Course<'a> {
    pub(super) fn start(spec: &ProbabilisticPca, observer: &'a mut dyn Observer) -> Self {
        let _ = observer.observe(&Event::Started { task: METHOD, total: spec.max_iterations });
        Course { observer, tolerance: spec.tolerance, last: f64::NEG_INFINITY, history: History::new() }
    }

    /// Whether to go on after an iteration that ended with this log-likelihood.
    pub(super) fn goes_on(&mut self, objective: f64) -> bool {
        self.history.record(objective, &[]);
        let done = self.history.iterations();
        let event = Event::Progress { task: METHOD, done, objective, terms: &[] };
        let rise = objective - std::mem::replace(&mut self.last, objective);
        if self.observer.observe(&event) == ControlFlow::Break(()) {
            self.history.finish(Stop::Interrupted);
        } else if rise.abs() < self.tolerance {
            self.history.finish(Stop::Converged);
        } else {
            return true;
        }
        false
    }

    pub(super) fn finish(self) -> History {
        let _ = self.observer.observe(&Event::Finished { task: METHOD, stop: self.history.stop() });
        self.history
    }
}

pub(super) fn fit<F: Float>(
    spec: &ProbabilisticPca,
    x: &ArrayRef2<F>,
    observer: &mut dyn Observer,
) -> Result<(Parameters, History)> {
    let moment = SecondMoment::of(x)?;
    let (d, q) = (x.ncols(), spec.directions);
    let scale = moment.total() / d as f64;
    check_noise(if moment.is_constant { 0.0 } else { scale }, 0.0, d)?;
    // random directions, each as long as a column varies
    let start = spec.seed.named(METHOD).normals(d * q);
    let loadings = Array2::from_shape_vec((d, q), start).unwrap_or_default() * (scale / d as f64).sqrt();
    let mut state = State::new(&moment, loadings, scale)?;
    let mut course = Course::start(spec, observer);
    for _ in 0..spec.max_iterations {
        let (loadings, noise) = state.update(&moment)?;
        check_noise(noise, scale, d)?;
        state = State::new(&moment, loadings, noise)?;
        if !course.goes_on(state.log_likelihood) {
            break;
        }
    }
    let State { loadings, noise, .. } = state;
    Ok((Parameters { mean: moment.means, loadings, noise }, course.finish()))
}

/// A noise that is nothing but rounding beside the mean variance of a column is no density.
pub(super) fn check_noise(noise: f64, scale: f64, d: usize) -> Result<()> {
    if noise > 4.0 * f64::EPSILON * scale * d as f64 {
        return Ok(());
    }
    let problem = "no noise is left around the plane: the likelihood has no bound; ask for fewer directions";
    Err(Error::Numerical { method: METHOD, problem: problem.to_owned() })
}

/// W and σ² with what the next step and the likelihood share.
struct State {
    loadings: Array2<f64>,
    noise: f64,
    /// SW `[d, q]`
    moved: Array2<f64>,
    /// WᵀSW `[q, q]`
    within: Array2<f64>,
    /// M = WᵀW + σ²I `[q, q]`
    precision: Array2<f64>,
    /// of a row on average, in nats
    log_likelihood: f64,
}

impl State {
    fn new(moment: &SecondMoment, loadings: Array2<f64>, noise: f64) -> Result<Self> {
        let (d, q) = loadings.dim();
        let moved = moment.times(&loadings);
        let within = loadings.t().dot(&moved);
        let precision = loadings.t().dot(&loadings) + Array2::<f64>::eye(q) * noise;
        let factor = Positive::of(&precision)?;
        let explained = (factor.inverse() * &within).sum();
        let log_det = (d - q) as f64 * noise.ln() + factor.log_det();
        let distance = (moment.total() - explained) / noise;
        let log_likelihood = -0.5 * (d as f64 * std::f64::consts::TAU.ln() + log_det + distance);
        Ok(State { loadings, noise, moved, within, precision, log_likelihood })
    }

    /// The W and σ² of greatest expected likelihood. (σ²I + M⁻¹A)⁻¹ is written (σ²M + A)⁻¹M, whose first factor is symmetric.
    fn update(&self, moment: &SecondMoment) -> Result<(Array2<f64>, f64)> {
        let symmetric = |a: Array2<f64>| (&a + &a.t()) / 2.0;
        let inner = Positive::of(&symmetric(&self.precision * self.noise + &self.within))?;
        let loadings = self.moved.dot(&inner.inverse().dot(&self.precision));
        let inverse = Positive::of(&self.precision)?.inverse();
        let explained = (self.moved.dot(&inverse) * &loadings).sum();
        Ok((loadings, (moment.total() - explained) / moment.means.len() as f64))
    }
}
