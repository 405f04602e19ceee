//! The settings of a training: how long, in which batches, at which rate.

use super::batch::Batch;
use super::loss::Loss;
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use crate::nn::Params;
use crate::observe::{History, Observer};
use crate::{Error, Result, Seed};
use serde::{Deserialize, Serialize};

/// Steps over seeded batches, with a schedule, an observer and a history.
///
/// A *step* is one change of the parameters, an *epoch* one pass over the data, a *report* one entry of the history: after
/// each epoch, or after so many steps ([`report_every`](Self::report_every)).
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{Device, Tensor, Var};
/// use unsup_core::observe::Silent;
/// use unsup_core::train::{Loss, Schedule, Sgd, Trainer};
///
/// // the mean of some numbers, by gradient descent on the squared error
/// let x = Tensor::new(&[1_f32, 2., 3., 6.], &Device::Cpu)?;
/// let mean = Var::zeros(1, x.dtype(), x.device())?;
/// let trainer = Trainer::new("mean", 50).batch_size(2).schedule(Schedule::cosine(0.2)).seed(7);
/// let mut optimizer = Sgd::new(vec![mean.clone()]);
/// let history = trainer.run(4, &mut optimizer, &mut Silent, |batch| {
///     let error = batch.select(&x)?.broadcast_sub(&mean)?;
///     Ok(Loss::new((error.sqr()?.mean_all()? * 0.5)?))
/// })?;
/// assert!((mean.to_vec1::<f32>()?[0] - 3.0).abs() < 0.1);
/// assert_eq!(history.iterations(), 50);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trainer {
    pub(super) task: String,
    pub(super) length: Length,
    pub(super) batch_size: usize,
    pub(super) drop_last: bool,
    pub(super) accumulate: usize,
    /// In steps; epochs when there is none.
    pub(super) report_every: Option<usize>,
    /// The share of the rows that is kept aside.
    pub(super) validation: Option<f64>,
    pub(super) schedule: Schedule,
    pub(super) max_gradient_norm: Option<f64>,
    pub(super) seed: Seed,
}

/// How long a training is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Length {
    Epochs(usize),
    Steps(usize),
}

impl Trainer {
    /// `epochs` passes over the data in batches of 128, at a constant rate of 1e-3. `task` is what
    /// observers are told.
    pub fn new(task: &str, epochs: usize) -> Self {
        Trainer {
            task: task.to_owned(),
            length: Length::Epochs(epochs),
            batch_size: 128,
            drop_last: false,
            accumulate: 1,
            report_every: None,
            validation: None,
            schedule: Schedule::constant(1e-3),
            max_gradient_norm: None,
            seed: Seed::default(),
        }
    }

    /// The same for `steps` steps, in as many epochs as it takes; the last one may stay incomplete.
    pub fn steps(task: &str, steps: usize) -> Self {
        Trainer { length: Length::Steps(steps), ..Self::new(task, 0) }
    }

    /// How many passes over the data.
    #[must_use]
    pub fn epochs(self, epochs: usize) -> Self {
        Trainer { length: Length::Epochs(epochs), ..self }
    }

    /// Rows a batch.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        Trainer { batch_size, ..self }
    }

    /// Whether rows that do not fill a batch are left out of an epoch (others each time). Losses that
    /// compare the rows of a batch, and batch statistics, want batches of one size.
    #[must_use]
    pub fn drop_last(self, drop_last: bool) -> Self {
        Trainer { drop_last, ..self }
    }

    /// Batches a step (1): the gradient is that of the mean over the rows of all of them, at the memory of one. The same step
    /// as with one batch so many times as large, unless the loss compares the rows of a batch with each other.
    #[must_use]
    pub fn accumulate(self, batches: usize) -> Self {
        Trainer { accumulate: batches, ..self }
    }

    /// Reports after every so many steps, and after the last, rather than after each epoch: for epochs of hours.
    #[must_use]
    pub fn report_every(self, steps: usize) -> Self {
        Trainer { report_every: Some(steps), ..self }
    }

    /// Keeps this share of the rows aside, at random. They are in no batch that is learned from; at each report the loss is
    /// asked about them in batches whose mode is [`Mode::Eval`](crate::nn::Mode::Eval), and the means are
    /// [`History::validation`].
    #[must_use]
    pub fn validation(self, fraction: f64) -> Self {
        Trainer { validation: Some(fraction), ..self }
    }

    /// The same with batches of no more than all of so many rows.
    #[must_use]
    pub fn within(self, rows: usize) -> Self {
        Trainer { batch_size: self.batch_size.min(rows), ..self }
    }

    /// The largest learning rate; its course stays as it is.
    #[must_use]
    pub fn learning_rate(self, rate: f64) -> Self {
        Trainer { schedule: self.schedule.with_peak(rate), ..self }
    }

    /// The learning rate over the course of the training.
    #[must_use]
    pub fn schedule(self, schedule: Schedule) -> Self {
        Trainer { schedule, ..self }
    }

    /// Scales gradients whose joint norm is larger.
    #[must_use]
    pub fn max_gradient_norm(self, norm: f64) -> Self {
        Trainer { max_gradient_norm: Some(norm), ..self }
    }

    /// The seed of the order of rows, and of the choice of those that are kept aside.
    #[must_use]
    pub fn seed(self, seed: impl Into<Seed>) -> Self {
        Trainer { seed: seed.into(), ..self }
    }

    /// Trains on rows `0..rows`. `loss` gets the rows of each batch and returns what to minimise; the observer is told of each
    /// step, and of the means of total and terms at each report. When it breaks, the parameters stay as they are then and the
    /// history says so.
    ///
    /// [`on`](Self::on) does more: checkpoints, early stopping, batches that are prepared ahead.
    ///
    /// # Errors
    /// [`Error::Parameter`] for hyper-parameters out of range, [`Error::Empty`] for no rows, [`Error::TooFewRows`] for
    /// one row where some are kept aside, [`Error::NonFiniteLoss`] when the loss or a term is not finite (the
    /// parameters are those before that step), and whatever `loss` returns.
    pub fn run(
        &self,
        rows: usize,
        optimizer: &mut dyn Optimizer,
        observer: &mut dyn Observer,
        loss: impl FnMut(&Batch<'_>) -> Result<Loss> + Send,
    ) -> Result<History> {
        self.on(&Params::frozen([])).run(rows, optimizer, observer, loss)
    }

    /// Every setting within its range, and batches of at least so many rows: 2 for batch statistics and for losses that
    /// compare rows. For a method whose spec holds its trainer; [`run`](Self::run) checks by itself.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn check(&self, least_batch: usize) -> Result<()> {
        self.schedule.check()?;
        let length = match self.length {
            Length::Epochs(epochs) => ("epochs", epochs),
            Length::Steps(steps) => ("steps", steps),
        };
        let positive =
            [length, ("accumulate", self.accumulate), ("report_every", self.report_every.unwrap_or(1))];
        if let Some((name, value)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(Error::parameter(name, value, "at least 1"));
        }
        if self.batch_size < least_batch.max(1) {
            let allowed = if least_batch > 1 { "at least 2" } else { "at least 1" };
            return Err(Error::parameter("batch_size", self.batch_size, allowed));
        }
        Ok(())
    }

    /// Every setting within its range, for so many rows to learn from.
    pub(super) fn check_rows(&self, rows: usize) -> Result<()> {
        self.check(1)?;
        if rows == 0 {
            return Err(Error::Empty { what: "the training data", shape: vec![0] });
        }
        if self.drop_last && self.batch_size > rows {
            let allowed = "at most the number of rows when incomplete batches are dropped";
            return Err(Error::parameter("batch_size", self.batch_size, allowed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
