//! When to give up: the validation rows have not improved for long enough.

use crate::nn::Params;
use crate::observe::History;
use crate::store::Record;
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// The rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct EarlyStopping {
    pub(super) patience: usize,
    pub(super) min_delta: f64,
}

/// The best network so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Best {
    objective: f64,
    /// Reports made when it was found.
    report: usize,
    #[serde(skip)]
    tensors: Vec<(String, Tensor)>,
}

const BEST: &str = "best.";

impl EarlyStopping {
    pub(super) fn check(&self, validation: Option<f64>) -> Result<()> {
        if self.patience == 0 {
            return Err(Error::parameter("patience", self.patience, "at least 1"));
        }
        if !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            return Err(Error::parameter("min_delta", self.min_delta, "a finite number, at least 0"));
        }
        match validation {
            Some(_) => Ok(()),
            None => Err(Error::parameter("validation", "none", "a fraction of the rows, for early stopping")),
        }
    }

    /// Takes a copy of the network when the last report is the best one.
    pub(super) fn look(&self, best: &mut Option<Best>, history: &History, network: &Params) -> Result<()> {
        let last = history.validation().and_then(|curve| curve.objective().last());
        let Some(&objective) = last else { return Ok(()) };
        if best.as_ref().is_none_or(|best| objective < best.objective - self.min_delta) {
            let tensors = network.snapshot()?.saved_tensors();
            *best = Some(Best { objective, report: history.iterations(), tensors });
        }
        Ok(())
    }

    /// Whether patience is at its end.
    pub(super) fn is_over(&self, best: Option<&Best>, history: &History) -> bool {
        best.is_some_and(|best| history.iterations().saturating_sub(best.report) >= self.patience)
    }
}

impl Best {
    /// Makes the network what it was at its best.
    pub(super) fn restore(self, network: &Params) -> Result<()> {
        network.load(self.tensors)
    }

    pub(super) fn write(&self, record: Record) -> Result<Record> {
        let mut tensors = self.tensors.iter();
        tensors.try_fold(record, |record, (name, tensor)| record.tensor(&format!("{BEST}{name}"), tensor))
    }

    /// Takes the tensors of a network of this form from a record.
    pub(super) fn read(&mut self, network: &Params, record: &Record) -> Result<()> {
        let read = |(name, target): (String, Tensor)| {
            let tensor = super::state::read_like(&target, &format!("{BEST}{name}"), record)?;
            Ok((name, tensor))
        };
        self.tensors = network.named_tensors().into_iter().map(read).collect::<Result<_>>()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
