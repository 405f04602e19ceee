//! The training loop: shuffle, cut into batches, loss, backward, step, report.

use super::optimizer::{Optimizer, clip_gradients};
use super::schedule::Schedule;
use crate::nn::backward;
use crate::observe::{Event, History, Observer, Stop};
use crate::{Error, Result, Seed};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

/// The rows `0..rows` in random order, cut into batches; the rows that are left over make a smaller last batch,
/// or are dropped. Use another seed each epoch (`seed.indexed(epoch)`).
pub fn batches(rows: usize, size: usize, drop_last: bool, seed: Seed) -> Vec<Vec<usize>> {
    let order = seed.named("batches").permutation(rows);
    let size = size.max(1);
    let whole = if drop_last { rows / size * size } else { rows };
    order[..whole].chunks(size).map(<[usize]>::to_vec).collect()
}

/// The rows one step learns from.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Which rows of the data.
    pub indices: &'a [usize],
    /// The pass over the data, from 0.
    pub epoch: usize,
    /// The optimisation step, from 0.
    pub step: usize,
}

impl Batch<'_> {
    /// The rows of `x` that are in this batch. x: `[n, …]`. Returns `[batch, …]`.
    ///
    /// # Errors
    /// When x has fewer rows than the data.
    pub fn select(&self, x: &Tensor) -> Result<Tensor> {
        let indices: Vec<u32> = self.indices.iter().map(|&i| i as u32).collect();
        let count = indices.len();
        Ok(x.index_select(&Tensor::from_vec(indices, count, &Device::Cpu)?.to_device(x.device())?, 0)?)
    }
}

/// What a step minimises: a scalar, and the named terms it is made of, for the record.
#[derive(Debug, Clone)]
pub struct Loss {
    total: Tensor,
    terms: Vec<(&'static str, Tensor)>,
}

impl Loss {
    /// A scalar to minimise.
    pub fn new(total: Tensor) -> Self {
        Loss { total, terms: Vec::new() }
    }

    /// Adds a term to be reported; it must be part of the total already.
    #[must_use]
    pub fn term(mut self, name: &'static str, value: &Tensor) -> Self {
        self.terms.push((name, value.detach()));
        self
    }
}

impl From<Tensor> for Loss {
    fn from(total: Tensor) -> Self {
        Loss::new(total)
    }
}

/// Epochs over seeded batches, with a schedule, an observer and a history.
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
    task: String,
    pub(super) epochs: usize,
    batch_size: usize,
    drop_last: bool,
    schedule: Schedule,
    max_gradient_norm: Option<f64>,
    seed: Seed,
}

impl Trainer {
    /// `epochs` passes over the data in batches of 128, at a constant rate of 1e-3. `task` is what
    /// observers are told.
    pub fn new(task: &str, epochs: usize) -> Self {
        Trainer {
            task: task.to_owned(),
            epochs,
            batch_size: 128,
            drop_last: false,
            schedule: Schedule::constant(1e-3),
            max_gradient_norm: None,
            seed: Seed::default(),
        }
    }

    /// Rows a step.
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

    /// The learning rate.
    #[must_use]
    pub fn schedule(self, schedule: Schedule) -> Self {
        Trainer { schedule, ..self }
    }

    /// Scales gradients whose joint norm is larger.
    #[must_use]
    pub fn max_gradient_norm(self, norm: f64) -> Self {
        Trainer { max_gradient_norm: Some(norm), ..self }
    }

    /// The seed of the order of rows.
    #[must_use]
    pub fn seed(self, seed: impl Into<Seed>) -> Self {
        Trainer { seed: seed.into(), ..self }
    }

    /// Trains on rows `0..rows`. `loss` gets the rows of each step and returns what to minimise;
    /// the observer is told the means of total and terms after each epoch. When it breaks, the
    /// parameters stay as they are then and the history says so.
    ///
    /// # Errors
    /// [`Error::Parameter`] for hyper-parameters out of range, [`Error::Empty`] for no rows,
    /// [`Error::NonFiniteLoss`] when the loss or a term is not finite (the parameters are those before
    /// that step), and whatever `loss` returns.
    pub fn run(
        &self,
        rows: usize,
        optimizer: &mut dyn Optimizer,
        observer: &mut dyn Observer,
        mut loss: impl FnMut(&Batch<'_>) -> Result<Loss>,
    ) -> Result<History> {
        self.run_from(History::new(), rows, optimizer, observer, &mut loss, &mut |_, _, _| Ok(()))
    }

    /// Goes on where `history` ends. `keep` is told of every epoch, and whether it is the last.
    pub(super) fn run_from(
        &self,
        mut history: History,
        rows: usize,
        optimizer: &mut dyn Optimizer,
        observer: &mut dyn Observer,
        loss: &mut dyn FnMut(&Batch<'_>) -> Result<Loss>,
        keep: &mut dyn FnMut(&History, &dyn Optimizer, bool) -> Result<()>,
    ) -> Result<History> {
        self.check(rows)?;
        let (task, total) = (self.task.as_str(), self.epochs);
        let mut stop = Stop::IterationLimit;
        if observer.observe(&Event::Started { task, total }).is_break() {
            stop = Stop::Interrupted;
        }
        let steps_an_epoch = batches(rows, self.batch_size, self.drop_last, self.seed).len();
        let steps = self.epochs * steps_an_epoch;
        let mut step = history.iterations() * steps_an_epoch;
        for epoch in history.iterations()..self.epochs {
            if stop == Stop::Interrupted {
                break;
            }
            let mut means = Means::default();
            for indices in batches(rows, self.batch_size, self.drop_last, self.seed.indexed(epoch)) {
                let loss = loss(&Batch { indices: &indices, epoch, step })?;
                means.add(&loss, indices.len(), step)?;
                let mut gradients = backward(&loss.total)?;
                if let Some(norm) = self.max_gradient_norm {
                    clip_gradients(&mut gradients, optimizer.parameters(), norm)?;
                }
                optimizer.step(&gradients, self.schedule.rate(step, steps))?;
                step += 1;
            }
            let (objective, terms) = means.finish();
            history.record(objective, &terms);
            let event = Event::Progress { task, done: epoch + 1, objective, terms: &terms };
            if observer.observe(&event).is_break() {
                stop = Stop::Interrupted;
            }
            keep(&history, optimizer, stop == Stop::Interrupted || epoch + 1 == self.epochs)?;
        }
        history.finish(stop);
        let _ = observer.observe(&Event::Finished { task, stop });
        Ok(history)
    }

    fn check(&self, rows: usize) -> Result<()> {
        self.schedule.check()?;
        if rows == 0 {
            return Err(Error::Empty { what: "the training data", shape: vec![0] });
        }
        if self.epochs == 0 {
            return Err(Error::parameter("epochs", self.epochs, "at least 1"));
        }
        if self.batch_size == 0 {
            return Err(Error::parameter("batch_size", self.batch_size, "at least 1"));
        }
        if self.drop_last && self.batch_size > rows {
            let allowed = "at most the number of rows when incomplete batches are dropped";
            return Err(Error::parameter("batch_size", self.batch_size, allowed));
        }
        Ok(())
    }
}

/// Means over the rows of an epoch.
#[derive(Default)]
struct Means {
    rows: f64,
    total: f64,
    terms: Vec<(&'static str, f64)>,
}

impl Means {
    fn add(&mut self, loss: &Loss, rows: usize, step: usize) -> Result<()> {
        let rows = rows as f64;
        self.rows += rows;
        self.total += rows * scalar(&loss.total, "total", step)?;
        for &(name, ref value) in &loss.terms {
            let value = rows * scalar(value, name, step)?;
            match self.terms.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += value,
                None => self.terms.push((name, value)),
            }
        }
        Ok(())
    }

    fn finish(self) -> (f64, Vec<(&'static str, f64)>) {
        let terms = self.terms.into_iter().map(|(name, sum)| (name, sum / self.rows)).collect();
        (self.total / self.rows, terms)
    }
}

fn scalar(x: &Tensor, term: &str, step: usize) -> Result<f64> {
    let value = x.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Error::NonFiniteLoss { step, term: term.to_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sgd;
    use super::*;
    use crate::observe::Silent;
    use candle_core::Var;
    use std::ops::ControlFlow;

    #[test]
    fn every_epoch_sees_every_row_once_in_another_order() {
        let first = batches(103, 10, false, Seed::new(1).indexed(0));
        let second = batches(103, 10, false, Seed::new(1).indexed(1));
        assert_ne!(first, second);
        for epoch in [first, second] {
            assert_eq!((epoch.len(), epoch[10].len()), (11, 3));
            let mut rows: Vec<usize> = epoch.into_iter().flatten().collect();
            rows.sort_unstable();
            assert!(rows.into_iter().eq(0..103));
        }
        assert_eq!(batches(103, 10, true, Seed::new(1)).len(), 10);
    }

    fn parabola(weight: &Var) -> Result<Loss> {
        let square = weight.sqr()?.sum_all()?;
        Ok(Loss::new((&square * 2.0)?).term("half", &square))
    }

    #[test]
    fn an_observer_that_breaks_keeps_the_parameters_of_that_epoch() -> Result<()> {
        let weight = Var::new(&[1_f64], &Device::Cpu)?;
        let trainer = Trainer::new("parabola", 100).batch_size(4).schedule(Schedule::constant(0.1));
        let mut seen = Vec::new();
        let mut observer = |event: &Event<'_>| {
            if let Event::Progress { done, objective, terms, .. } = event {
                seen.push((*done, *objective, terms.to_vec().len()));
            }
            if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut sgd = Sgd::new(vec![weight.clone()]).momentum(0.0);
        let history = trainer.run(4, &mut sgd, &mut observer, |_| parabola(&weight))?;
        assert_eq!((history.iterations(), history.stop()), (2, Stop::Interrupted));
        // p ← p − 0.1·4p, twice; losses 2p² before each step
        assert!((weight.to_vec1::<f64>()?[0] - 0.36).abs() < 1e-12);
        assert!((history.objective()[1] - 2.0 * 0.36).abs() < 1e-12);
        assert_eq!(history.term("half").map(|t| t[0]), Some(1.0));
        assert_eq!(seen.len(), 2);
        Ok(())
    }

    #[test]
    fn a_loss_that_is_not_finite_is_named_and_changes_nothing() -> Result<()> {
        let weight = Var::new(&[1_f64], &Device::Cpu)?;
        let trainer = Trainer::new("parabola", 5).batch_size(1);
        let failed = trainer.run(3, &mut Sgd::new(vec![weight.clone()]), &mut Silent, |batch| {
            let loss = parabola(&weight)?;
            let bad = (&loss.total / if batch.step == 1 { 0.0 } else { 1.0 })?;
            Ok(loss.term("kl", &bad))
        });
        assert!(
            matches!(&failed, Err(Error::NonFiniteLoss { step: 1, term, value }) if term == "kl" && value.is_infinite()),
            "{failed:?}"
        );
        assert!((weight.to_vec1::<f64>()?[0] - 0.996).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn bad_settings_are_named() {
        let run = |trainer: Trainer, rows| {
            trainer.run(rows, &mut Sgd::new(vec![]), &mut Silent, |_| {
                Err(Error::Empty { what: "never called", shape: vec![] })
            })
        };
        let name = |result| match result {
            Err(Error::Parameter { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(run(Trainer::new("t", 0), 5)), "epochs");
        assert_eq!(name(run(Trainer::new("t", 1).batch_size(0), 5)), "batch_size");
        assert_eq!(name(run(Trainer::new("t", 1).batch_size(6).drop_last(true), 5)), "batch_size");
        assert_eq!(name(run(Trainer::new("t", 1).schedule(Schedule::constant(-1.0)), 5)), "learning_rate");
        assert!(matches!(run(Trainer::new("t", 1), 0), Err(Error::Empty { what: "the training data", .. })));
    }
}
