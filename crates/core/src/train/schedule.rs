//! The learning rate over the course of a training.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A learning rate that depends on the step: a linear warm-up, then constant or half a cosine down
/// to 0 (Loshchilov & Hutter 2017, without restarts).
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
    cosine: bool,
}

impl Schedule {
    /// The same rate at every step.
    pub fn constant(rate: f64) -> Self {
        Schedule { peak: rate, warmup: 0.0, cosine: false }
    }

    /// From `peak` down to 0.
    pub fn cosine(peak: f64) -> Self {
        Schedule { peak, warmup: 0.0, cosine: true }
    }

    /// Rises linearly over this fraction of all steps first.
    #[must_use]
    pub fn warmup(self, fraction: f64) -> Self {
        Schedule { warmup: fraction, ..self }
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
        if !self.cosine {
            return self.peak;
        }
        let progress = (step - warmup) / (total as f64 - warmup).max(1.0);
        self.peak * 0.5 * (1.0 + (PI * progress.min(1.0)).cos())
    }

    /// # Errors
    /// [`Error::Parameter`] for a rate that is negative or not finite, or a warm-up outside [0, 1].
    pub fn check(&self) -> Result<()> {
        if !(self.peak.is_finite() && self.peak >= 0.0) {
            return Err(Error::parameter("learning_rate", self.peak, "a finite number, at least 0"));
        }
        if !(0.0..=1.0).contains(&self.warmup) {
            return Err(Error::parameter("warmup", self.warmup, "a fraction from 0 to 1"));
        }
        Ok(())
    }
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
        assert_eq!(schedule.rate(1000, 40), 0.0);
        assert_eq!(Schedule::constant(0.5).rate(7, 3), 0.5);
        assert_eq!(schedule.rate(0, 0), 2.0);
        assert!(matches!(Schedule::constant(f64::NAN).check(), Err(Error::Parameter { .. })));
        assert!(matches!(schedule.warmup(1.5).check(), Err(Error::Parameter { name: "warmup", .. })));
    }
}
