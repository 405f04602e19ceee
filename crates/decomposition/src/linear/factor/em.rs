//! The two climbs of the likelihood.

use super::eigen::Eigenpairs;
use super::{FactorAnalysis, METHOD, Method};
use crate::linear::positive::Positive;
use crate::linear::second_moment::SecondMoment;
use ndarray::{Array1, Array2, Axis};
use std::ops::ControlFlow;
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Result};

/// Loadings and noise, and how likely they are.
struct State {
    /// `[d, q]`
    loadings: Array2<f64>,
    /// ψ `[d]`
    noise: Array1<f64>,
    /// of a row on average, in nats
    log_likelihood: f64,
    /// SΨ⁻¹W `[d, q]` and M = I + WᵀΨ⁻¹W `[q, q]`, which EM goes on from
    moved: Array2<f64>,
    precision: Array2<f64>,
}

pub(super) fn fit(
    spec: &FactorAnalysis,
    moment: &SecondMoment,
    observer: &mut dyn Observer,
) -> Result<(Array2<f64>, Array1<f64>, History)> {
    let d = moment.means.len();
    let scale = moment.total() / d as f64;
    if moment.is_constant {
        let problem = "the data are constant: there is no density".to_owned();
        return Err(Error::Numerical { method: METHOD, problem });
    }
    let floor = spec.noise_floor * scale;
    let at_least_floor = |v: Array1<f64>| v.mapv(|v| v.max(floor));
    let mut pairs = Eigenpairs::start(spec.factors, d, spec.seed);
    let _ = observer.observe(&Event::Started { task: METHOD, total: spec.max_iterations });
    let mut history = History::new();
    // all of a column's variance as its noise: the fit does not depend on units then
    let noise = at_least_floor(moment.variances.clone());
    let mut state = best_loadings(moment, &noise, 1e-3, f64::NEG_INFINITY, &mut pairs)?;
    for iteration in 1..=spec.max_iterations {
        let before = state.log_likelihood;
        state = match spec.method {
            Method::Svd => {
                let common = (&state.loadings * &state.loadings).sum_axis(Axis(1));
                let noise = at_least_floor(&moment.variances - &common);
                // the better the noise is known, the better must its eigenvectors be
                let change = (&noise / &state.noise - 1.0).fold(0.0_f64, |m, v| m.max(v.abs()));
                best_loadings(moment, &noise, (0.1 * change).clamp(1e-11, 1e-3), before, &mut pairs)?
            }
            Method::Em => {
                let (loadings, noise) = expectation_maximization(moment, &state)?;
                State::new(moment, loadings, at_least_floor(noise))?
            }
        };
        let objective = state.log_likelihood;
        history.record(objective, &[]);
        let event = Event::Progress { task: METHOD, done: iteration, objective, terms: &[] };
        if observer.observe(&event) == ControlFlow::Break(()) {
            history.finish(Stop::Interrupted);
            break;
        }
        if (objective - before).abs() < spec.tolerance {
            history.finish(Stop::Converged);
            break;
        }
    }
    let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
    Ok((state.loadings, state.noise, history))
}

/// The loadings of greatest likelihood for a noise, Ψ^½ V(Θ − I)₊^½: as near to them as `tolerance` says, or near enough not to be less
/// likely than `before`.
fn best_loadings(
    moment: &SecondMoment,
    noise: &Array1<f64>,
    tolerance: f64,
    before: f64,
    pairs: &mut Eigenpairs,
) -> Result<State> {
    /// Rounding of a likelihood keeps nobody from going on.
    const MOST_CALLS: usize = 60;
    let deviations = noise.mapv(f64::sqrt);
    let mut calls = 0;
    loop {
        calls += 1;
        let (values, vectors, found) = pairs.of(moment, &deviations, tolerance)?;
        let lengths = values.mapv(|v| (v - 1.0).max(0.0).sqrt());
        let loadings = vectors * &lengths * deviations.view().insert_axis(Axis(1));
        let state = State::new(moment, loadings, noise.clone())?;
        if found || state.log_likelihood >= before || calls == MOST_CALLS {
            return Ok(state);
        }
    }
}

impl State {
    /// log|C| = log|Ψ| + log|M| and tr C⁻¹S = tr Ψ⁻¹S − tr M⁻¹(Ψ⁻¹W)ᵀS(Ψ⁻¹W).
    fn new(moment: &SecondMoment, loadings: Array2<f64>, noise: Array1<f64>) -> Result<Self> {
        let (d, q) = loadings.dim();
        let scaled = &loadings / &noise.view().insert_axis(Axis(1));
        let precision = loadings.t().dot(&scaled) + Array2::<f64>::eye(q);
        let moved = moment.times(&scaled);
        let factor = Positive::of(&precision)?;
        let explained = (factor.inverse() * scaled.t().dot(&moved)).sum();
        let distance = (&moment.variances / &noise).sum() - explained;
        let log_det = noise.mapv(f64::ln).sum() + factor.log_det();
        let log_likelihood = -0.5 * (d as f64 * std::f64::consts::TAU.ln() + log_det + distance);
        Ok(State { loadings, noise, log_likelihood, moved, precision })
    }
}

/// Rubin & Thayer 1982: with β = M⁻¹WᵀΨ⁻¹ the regression of x on E z is W ← Sβᵀ(I − βW + βSβᵀ)⁻¹, and it leaves
/// ψ ← diag(S − WβS). Here I − βW = M⁻¹.
fn expectation_maximization(moment: &SecondMoment, state: &State) -> Result<(Array2<f64>, Array1<f64>)> {
    let inverse = Positive::of(&state.precision)?.inverse();
    let scaled = &state.loadings / &state.noise.view().insert_axis(Axis(1));
    let with_codes = state.moved.dot(&inverse);
    let codes = &inverse + &inverse.dot(&scaled.t().dot(&with_codes));
    let loadings = with_codes.dot(&Positive::of(&((&codes + &codes.t()) / 2.0))?.inverse());
    let common = (&loadings * &with_codes).sum_axis(Axis(1));
    Ok((loadings, &moment.variances - &common))
}
