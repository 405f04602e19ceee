//! The learning rate over the course of a training.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A learning rate that depends on the step: a linear warm-up, then one of four courses.
///
/// Warm up when the first steps would be too large: large batches, attention, batch statistics
/// that have not settled. End in a cosine when the number of steps is known; it nearly always beats a constant rate.
///
/// ```
/// use unsup_core::train::Schedule;
/// let schedule = Schedule::cosine(0.1).warmup(0.1);
/// assert_eq!(schedule.rate(0, 100), 0.01);
/// assert_eq!(schedule.rate(9, 100), 0.1);
/// assert!((schedule.rate(55, 100) - 0.05).abs() < 1e-12);
/// assert!(schedule.rate(99, 100) < 1e-4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    peak: f64,
    warmup: f64,
    course: Course,
}

/// How the rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Course {
    Constant,
    Cosine,
    Step { every: f64, factor: f64 },
    OneCycle { rise: f64, start: f64, end: f64 },
}

impl Schedule {
    /// The same rate at every step.
    pub fn constant(rate: f64) -> Self {
        Schedule { peak: rate, warmup: 0.0, course: Course::Constant }
    }

    /// From `peak` at the first step down to 0 after the last along half a cosine (Loshchilov & Hutter 2017, without restarts).
    pub fn cosine(peak: f64) -> Self {
        Schedule { course: Course::Cosine, ..Self::constant(peak) }
    }

    /// Multiplied by `factor` each time another fraction `every` of the steps after the warm-up is done:
    /// `step(0.1, 1.0 / 3.0, 0.1)` is 0.1, 0.01 and 0.001 over a third of the training each.
    pub fn step(peak: f64, every: f64, factor: f64) -> Self {
        Schedule { course: Course::Step { every, factor }, ..Self::constant(peak) }
    }

    /// From `peak` / 25 up to `peak` at 30 % of the steps, then down to `peak` / 250,000 at the last one,
    /// both along half a cosine (Smith & Topin 2019, with the numbers of PyTorch). Takes no warm-up besides.
    pub fn one_cycle(peak: f64) -> Self {
        let course = Course::OneCycle { rise: 0.3, start: 1.0 / 25.0, end: 1.0 / 250_000.0 };
        Schedule { course, ..Self::constant(peak) }
    }

    /// Rises linearly over this fraction of all steps first.
    #[must_use]
    pub fn warmup(self, fraction: f64) -> Self {
        Schedule { warmup: fraction, ..self }
    }

    /// The same course with another largest rate.
    #[must_use]
    pub fn with_peak(self, peak: f64) -> Self {
        Schedule { peak, ..self }
    }

    /// The largest rate.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// The rate at `step` (from 0) of `total`.
    pub fn rate(&self, step: usize, total: usize) -> f64 {
        let warmup = (self.warmup * total as f64).round();
        let step = step as f64;
        if step < warmup {
            return self.peak * (step + 1.0) / warmup;
        }
        let progress = ((step - warmup) / (total as f64 - warmup).max(1.0)).min(1.0);
        self.peak
            * match self.course {
                Course::Constant => 1.0,
                Course::Cosine => between(1.0, 0.0, progress),
                // a hair is added so that a third of 99 steps is over at step 33
                Course::Step { every, factor } => factor.powf((progress / every + 1e-9).floor()),
                Course::OneCycle { rise, start, end } => {
                    let last = (total as f64 - 1.0).max(1.0);
                    let top = (rise * total as f64 - 1.0).clamp(0.0, last);
                    if step <= top {
                        between(start, 1.0, if top > 0.0 { step / top } else { 1.0 })
                    } else {
                        between(1.0, end, ((step - top) / (last - top)).min(1.0))
                    }
                }
            }
    }

    /// # Errors
    /// [`Error::Parameter`] for a rate that is negative or not finite, a warm-up outside [0, 1], or steps outside (0, 1]
    /// or with a factor that is not positive.
    pub fn check(&self) -> Result<()> {
        if !(self.peak.is_finite() && self.peak >= 0.0) {
            return Err(Error::parameter("learning_rate", self.peak, "a finite number, at least 0"));
        }
        let allowed = if matches!(self.course, Course::OneCycle { .. }) { 0.0..=0.0 } else { 0.0..=1.0 };
        if !allowed.contains(&self.warmup) {
            return Err(Error::parameter("warmup", self.warmup, "a fraction from 0 to 1; 0 for one cycle"));
        }
        match self.course {
            Course::Step { every, .. } if !(every > 0.0 && every <= 1.0) => {
                Err(Error::parameter("every", every, "a fraction above 0, at most 1"))
            }
            Course::Step { factor, .. } if !(factor > 0.0 && factor.is_finite()) => {
                Err(Error::parameter("factor", factor, "a positive number"))
            }
            _ => Ok(()),
        }
    }
}

/// From `a` to `b` along half a cosine.
fn between(a: f64, b: f64, progress: f64) -> f64 {
    let weight = 0.5 * (1.0 + (PI * progress).cos());
    if progress >= 1.0 { b } else { weight * a + (1.0 - weight) * b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_then_fall_and_never_leave_the_range() {
        let schedule = Schedule::cosine(2.0).warmup(0.25);
        let rates: Vec<f64> = (0..40).map(|step| schedule.rate(step, 40)).collect();
        assert!(rates[..10].windows(2).all(|w| w[0] < w[1]) && rates[9] == 2.0);
        assert!(rates[10..].windows(2).all(|w| w[0] > w[1]) && rates[39] > 0.0);
        assert_eq!((rates[10], schedule.rate(40, 40)), (2.0, 0.0), "exact at both ends");
        assert_eq!(schedule.rate(1000, 40), 0.0);
        assert_eq!(Schedule::constant(0.5).rate(7, 3), 0.5);
        assert_eq!(schedule.rate(0, 0), 2.0);
        assert!(matches!(Schedule::constant(f64::NAN).check(), Err(Error::Parameter { .. })));
        assert!(matches!(schedule.warmup(1.5).check(), Err(Error::Parameter { name: "warmup", .. })));
    }

    #[test]
    fn steps_fall_where_they_should_and_one_cycle_is_exact_at_its_ends() {
        let thirds = Schedule::step(1.0, 1.0 / 3.0, 0.1);
        let rates: Vec<f64> = (0..99).map(|step| thirds.rate(step, 99)).collect();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(rates.iter().enumerate().all(|(i, &r)| close(r, 0.1_f64.powi(i as i32 / 33))), "{rates:?}");
        let cycle = Schedule::one_cycle(2.0);
        assert!(cycle.check().is_ok() && cycle.warmup(0.1).check().is_err());
        assert_eq!((cycle.rate(0, 100), cycle.rate(29, 100)), (2.0 / 25.0, 2.0));
        assert_eq!(cycle.rate(99, 100), 2.0 / 250_000.0);
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=2, total_steps=100) at steps 10 and 50
        assert!(close(cycle.rate(10, 100), 0.590_327_896_928_201_5), "{}", cycle.rate(10, 100));
        assert!(close(cycle.rate(50, 100), 1.587_786_901_151_464), "{}", cycle.rate(50, 100));
        for total in [1, 2, 3] {
            assert!((0..total).all(|step| cycle.rate(step, total).is_finite()));
        }
        assert!(matches!(Schedule::step(1.0, 0.0, 0.1).check(), Err(Error::Parameter { name: "every", .. })));
        assert!(matches!(
            Schedule::step(1.0, 0.5, -1.0).check(),
            Err(Error::Parameter { name: "factor", .. })
        ));
    }
}
