//! What a fit remembers of itself: the objective after each iteration, and why it ended.

use super::Curve;
use serde::{Deserialize, Serialize};

/// Why a fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stop {
    /// The change fell below the tolerance, or nothing changed at all.
    Converged,
    /// The limit on iterations, steps or epochs was reached first.
    IterationLimit,
    /// An observer asked for it.
    Interrupted,
    /// The objective on the validation rows had not improved for as long as the patience lasts.
    EarlyStopping,
}

/// The course of one fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    #[serde(flatten)]
    training: Curve,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation: Option<Curve>,
    stop: Stop,
}

impl Default for History {
    fn default() -> Self {
        History { training: Curve::default(), validation: None, stop: Stop::IterationLimit }
    }
}

impl History {
    /// A history with nothing in it yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one iteration. A term that was absent so far is filled up with NaN.
    pub fn record(&mut self, objective: f64, terms: &[(&str, f64)]) {
        self.training.record(objective, terms);
    }

    /// Appends what the validation rows say after an iteration.
    pub fn record_validation(&mut self, objective: f64, terms: &[(&str, f64)]) {
        self.validation.get_or_insert_default().record(objective, terms);
    }

    /// States why the fit ended.
    pub fn finish(&mut self, stop: Stop) {
        self.stop = stop;
    }

    /// The objective after each iteration.
    pub fn objective(&self) -> &[f64] {
        self.training.objective()
    }

    /// One of the objective's terms after each iteration, if there is a term of that name.
    pub fn term(&self, name: &str) -> Option<&[f64]> {
        self.training.term(name)
    }

    /// The names of the terms, in the order they first appeared.
    pub fn term_names(&self) -> impl Iterator<Item = &str> {
        self.training.term_names()
    }

    /// Objective and terms on rows that were not trained on, if the fit kept some aside.
    pub fn validation(&self) -> Option<&Curve> {
        self.validation.as_ref()
    }

    /// How many iterations were made.
    pub fn iterations(&self) -> usize {
        self.training.iterations()
    }

    /// Why the fit ended.
    pub fn stop(&self) -> Stop {
        self.stop
    }

    /// Whether it ended because nothing more was to be gained.
    pub fn converged(&self) -> bool {
        self.stop == Stop::Converged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_survives_json_with_every_bit() -> Result<(), serde_json::Error> {
        let mut history = History::new();
        history.record(0.1 + 0.2, &[]);
        history.record(1.0 / 3.0, &[("kl", 1e-300)]);
        history.record(f64::NEG_INFINITY, &[("kl", f64::INFINITY)]);
        history.finish(Stop::Converged);
        let text = serde_json::to_string(&history)?;
        assert!(!text.contains("validation"), "{text}");
        history.record_validation(0.1, &[("kl", 0.2)]);
        let back: History = serde_json::from_str(&serde_json::to_string(&history)?)?;
        assert_eq!((back.objective(), back.stop()), (history.objective(), Stop::Converged));
        assert!(back.term("kl").is_some_and(|t| t[0].is_nan() && t[1..] == [1e-300, f64::INFINITY]));
        assert_eq!(back.validation().map(Curve::objective), Some(&[0.1][..]));
        Ok(())
    }
}
