//! The alternation of E and M step, for point estimates and for posteriors alike.

use super::covariance::{Collapse, Covariance};
use super::factor::Factor;
use super::kernel::Kernel;
use super::pass::{Assignment, Rows, Statistics, layout};
use ndarray::Array2;
use std::ops::ControlFlow;
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Float, Result};

/// What the two steps need of an estimate.
pub(super) trait Estimate: Sized {
    fn family(&self) -> Covariance;
    /// The means, relative to the shift: the reference of the sums. `[k, d]`
    fn means(&self) -> &[f64];
    /// The (expected) log-density of every component, for the E step.
    fn kernel(&self) -> &Kernel;
    /// The M step.
    fn maximization(&self, statistics: &Statistics) -> Result<Self, Collapse>;
    /// The objective, of Σ w·log Σₖ under this estimate and of Σ w.
    fn bound(&self, log_likelihood: f64, total_weight: f64) -> f64;
}

/// When to stop, and under what name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) task: &'static str,
    pub(super) max_iterations: usize,
    pub(super) tolerance: f64,
}

/// Where one start ended. The bound is that of the estimate returned.
#[derive(Debug)]
pub(super) struct Run<E> {
    pub(super) estimate: E,
    pub(super) bound: f64,
    pub(super) history: History,
}

/// E and M steps in turn. An E step follows every M step, so each bound belongs to the estimate that the M step of its iteration
/// made (in scikit-learn it belongs to the one before).
pub(super) fn alternate<E: Estimate, F: Float>(
    rows: &Rows<'_, F>,
    start: E,
    limits: Limits,
    observer: &mut dyn Observer,
) -> Result<Run<E>> {
    let Limits { task, max_iterations, tolerance } = limits;
    let _ = observer.observe(&Event::Started { task, total: max_iterations });
    let total_weight = rows.total_weight();
    let expectation = |e: &E| rows.pass(Assignment::Posterior(e.kernel()), e.family(), e.means());
    let mut estimate = start;
    let mut statistics = expectation(&estimate);
    let mut bound = estimate.bound(statistics.log_likelihood, total_weight);
    let mut history = History::new();
    for iteration in 1..=max_iterations {
        estimate = estimate.maximization(&statistics).map_err(|c| c.error(task, iteration))?;
        statistics = expectation(&estimate);
        let before = std::mem::replace(&mut bound, estimate.bound(statistics.log_likelihood, total_weight));
        history.record(bound, &[]);
        let event = Event::Progress { task, done: iteration, objective: bound, terms: &[] };
        if observer.observe(&event) == ControlFlow::Break(()) {
            history.finish(Stop::Interrupted);
            break;
        }
        if (bound - before).abs() < tolerance {
            history.finish(Stop::Converged);
            break;
        }
    }
    let _ = observer.observe(&Event::Finished { task, stop: history.stop() });
    Ok(Run { estimate, bound, history })
}

/// The weighted moments of each component: counts, means and covariances about them.
#[derive(Debug, Clone)]
pub(super) struct ComponentMoments {
    /// Σ w·r `[k]`
    pub(super) counts: Vec<f64>,
    /// relative to the shift `[k, d]`
    pub(super) means: Vec<f64>,
    /// as stored, the floor on their diagonals
    pub(super) covariances: Vec<f64>,
}

impl ComponentMoments {
    /// Sums about `reference` become moments about the means. A component without rows keeps its reference.
    pub(super) fn of(statistics: &Statistics, family: Covariance, reference: &[f64], floor: f64) -> Self {
        let counts = statistics.counts.clone();
        let (k, d) = (counts.len(), reference.len() / counts.len());
        let per = |sum: f64, count: f64| if count > 0.0 { sum / count } else { 0.0 };
        let steps: Vec<f64> =
            statistics.sums.iter().enumerate().map(|(i, &s)| per(s, counts[i / d])).collect();
        let means = reference.iter().zip(&steps).map(|(r, s)| r + s).collect();
        let squares = &statistics.squares;
        let variance = |c: usize, j: usize| {
            let step = steps[c * d + j];
            (per(squares[c * d + j], counts[c]) - step * step).max(0.0)
        };
        let lower = |m: &[f64], i: usize, j: usize| m[i.max(j) * d + i.min(j)];
        let mut covariances: Vec<f64> = match family {
            Covariance::Full => (0..k * d * d)
                .map(|at| {
                    let (c, i, j) = (at / (d * d), at / d % d, at % d);
                    let step = &steps[c * d..];
                    per(lower(&squares[c * d * d..], i, j), counts[c]) - step[i] * step[j]
                })
                .collect(),
            Covariance::Tied => {
                let total: f64 = counts.iter().sum();
                let between = |i: usize, j: usize| -> f64 {
                    (0..k).map(|c| counts[c] * steps[c * d + i] * steps[c * d + j]).sum()
                };
                (0..d * d)
                    .map(|at| per(lower(squares, at / d, at % d) - between(at / d, at % d), total))
                    .collect()
            }
            Covariance::Diagonal => (0..k * d).map(|at| variance(at / d, at % d)).collect(),
            Covariance::Spherical => {
                (0..k).map(|c| (0..d).map(|j| variance(c, j)).sum::<f64>() / d as f64).collect()
            }
        };
        family.add_to_diagonal(&mut covariances, d, floor);
        ComponentMoments { counts, means, covariances }
    }

    /// The sums about the means that have these moments: the inverse of [`of`](Self::of) without a floor.
    pub(super) fn statistics(&self, family: Covariance, d: usize) -> Statistics {
        let stored = layout(family);
        let total: f64 = self.counts.iter().sum();
        let squares = (0..stored.len(self.counts.len(), d))
            .map(|at| match family {
                Covariance::Full => self.covariances[at] * self.counts[at / (d * d)],
                Covariance::Tied => self.covariances[at] * total,
                Covariance::Diagonal => self.covariances[at] * self.counts[at / d],
                Covariance::Spherical => self.covariances[at / d] * self.counts[at / d],
            })
            .collect();
        let sums = vec![0.0; self.means.len()];
        Statistics { log_likelihood: 0.0, counts: self.counts.clone(), sums, squares }
    }
}

/// The point estimate of maximum likelihood: weights, means, covariances.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) factor: Factor,
    kernel: Kernel,
    pub(super) weights: Vec<f64>,
    /// relative to the shift `[k, d]`
    pub(super) means: Vec<f64>,
    /// as stored, the floor included
    pub(super) covariances: Vec<f64>,
    floor: f64,
}

impl Parameters {
    pub(super) fn new(
        family: Covariance,
        weights: Vec<f64>,
        means: Vec<f64>,
        covariances: Vec<f64>,
        floor: f64,
    ) -> Result<Self, Collapse> {
        let d = means.len() / weights.len();
        let factor = Factor::new(family, &covariances, &means, d)?;
        let normal = -0.5 * d as f64 * std::f64::consts::TAU.ln();
        let constant = |(c, w): (usize, &f64)| w.ln() + factor.log_det(c) + normal;
        let constants = weights.iter().enumerate().map(constant).collect();
        let kernel = Kernel::new(&factor, constants, &means);
        Ok(Parameters { factor, kernel, weights, means, covariances, floor })
    }

    /// The parameters of greatest likelihood for these sums about `reference`.
    pub(super) fn of(
        statistics: &Statistics,
        family: Covariance,
        reference: &[f64],
        floor: f64,
    ) -> Result<Self, Collapse> {
        let ComponentMoments { counts, means, covariances } =
            ComponentMoments::of(statistics, family, reference, floor);
        let total: f64 = counts.iter().sum();
        // less than this is what rounding leaves of a component
        if let Some(component) = counts.iter().position(|&n| n <= 10.0 * f64::EPSILON * total) {
            return Err(Collapse { component, cause: "no row belongs to it".to_owned() });
        }
        Self::new(family, counts.iter().map(|n| n / total).collect(), means, covariances, floor)
    }

    /// The means, which are relative to the shift, where the data are. `[k, d]`
    pub(super) fn means_with(&self, shift: &[f64]) -> Array2<f64> {
        let (k, d) = (self.weights.len(), shift.len());
        Array2::from_shape_fn((k, d), |(c, j)| self.means[c * d + j] + shift[j])
    }

    /// The counts, means and covariances (without the floor) of one row on average.
    pub(super) fn moments(&self) -> ComponentMoments {
        let mut covariances = self.covariances.clone();
        self.family().add_to_diagonal(&mut covariances, self.factor.d, -self.floor);
        ComponentMoments { counts: self.weights.clone(), means: self.means.clone(), covariances }
    }
}

impl Estimate for Parameters {
    fn family(&self) -> Covariance {
        self.factor.family
    }

    fn means(&self) -> &[f64] {
        &self.means
    }

    fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    fn maximization(&self, statistics: &Statistics) -> Result<Self, Collapse> {
        Parameters::of(statistics, self.family(), &self.means, self.floor)
    }

    /// The mean log-likelihood of a row, in nats.
    fn bound(&self, log_likelihood: f64, total_weight: f64) -> f64 {
        log_likelihood / total_weight
    }
}
