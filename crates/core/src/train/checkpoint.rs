//! The file from which a training goes on with the same bits.

use super::early::Best;
use super::loss::Means;
use super::optimizer::Optimizer;
use super::plan::Plan;
use super::trainer::Trainer;
use super::training::Training;
use crate::nn::Params;
use crate::observe::History;
use crate::store::Record;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

const KIND: &str = "Checkpoint";
const OPTIMIZER: &str = "optimizer.";

/// How far a training is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) history: History,
    /// Steps made.
    pub(super) step: usize,
    /// Of the steps since the last report.
    pub(super) means: Means,
    pub(super) best: Option<Best>,
}

impl Training<'_> {
    /// Where the checkpoint ends, or the start.
    pub(super) fn restore(
        &mut self,
        plan: &Plan<'_>,
        rows: usize,
        optimizer: &mut dyn Optimizer,
    ) -> Result<Progress> {
        let path = match &self.path {
            Some(path) if path.try_exists().map_err(|e| Error::io(path, e))? => path,
            _ => return Ok(Progress::default()),
        };
        let record = Record::load(path, KIND)?;
        self.require_same(&record, rows)?;
        let mut progress: Progress = record.read_value("progress")?;
        record.require(progress.step <= plan.steps, "more steps than the training has")?;
        if let Some(best) = &mut progress.best {
            best.read(&self.params, &record)?;
        }
        optimizer.read(OPTIMIZER, &record)?;
        for (name, state) in &mut self.states {
            state.read(&prefix(name), &record)?;
        }
        let loaded = self.params.load(Params::read(&record)?.saved_tensors());
        record.require(loaded.is_ok(), "of a training of another network")?;
        Ok(progress)
    }

    fn require_same(&self, record: &Record, rows: usize) -> Result<()> {
        let other = |what: &dyn std::fmt::Debug| format!("of a training with other settings: {what:?}");
        let trainer: Trainer = record.read_value("trainer")?;
        record.require(&trainer == self.trainer, &other(&trainer))?;
        let rule = record.read_value("early stopping")?;
        record.require(self.early_stopping == rule, &other(&rule))?;
        let about: serde_json::Value = record.read_value("about")?;
        record.require(about == self.about, &format!("of a training with other settings: {about}"))?;
        let known: usize = record.read_value("rows")?;
        record.require(known == rows, &format!("of a training on {known} rows, not {rows}"))?;
        let states: Vec<String> = record.read_value("states")?;
        record.require(self.names().eq(&states), &format!("of a training with the states {states:?}"))
    }

    /// Writes the checkpoint, if one is wanted.
    pub(super) fn keep(&self, progress: &Progress, rows: usize, optimizer: &dyn Optimizer) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let record = Record::new(KIND)
            .value("trainer", self.trainer)?
            .value("early stopping", &self.early_stopping)?
            .value("about", &self.about)?
            .value("rows", &rows)?
            .value("states", &self.names().collect::<Vec<_>>())?
            .value("progress", progress)?;
        let record = optimizer.write(OPTIMIZER, self.params.write(record)?)?;
        let record = progress.best.iter().try_fold(record, |record, best| best.write(record))?;
        let mut states = self.states.iter();
        states.try_fold(record, |record, (name, state)| state.write(&prefix(name), record))?.save(path)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.states.iter().map(|(name, _)| name)
    }
}

fn prefix(name: &str) -> String {
    format!("state.{name}.")
}

#[cfg(test)]
mod tests;
