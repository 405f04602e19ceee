//! The training loop: loss, backward, step, report.

use super::ahead::ahead;
use super::batch::Batch;
use super::checkpoint::Progress;
use super::early::EarlyStopping;
use super::loss::{Loss, Means};
use super::optimizer::{Optimizer, clip_gradients};
use super::plan::{Plan, Planned};
use super::trainer::Trainer;
use super::training::{Every, Training};
use crate::math::in_pool;
use crate::nn::backward;
use crate::observe::{Event, History, Observer, Stop};
use crate::{Error, Result};
use candle_core::Var;
use candle_core::backprop::GradStore;

impl<'a> Training<'a> {
    /// Trains as [`Trainer::run`](super::Trainer::run) does, from the checkpoint if there is one: parameters, optimiser and history are
    /// those of a training that was never stopped, to the last bit. A finished training is not run again.
    ///
    /// # Errors
    /// Those of [`Trainer::run`](super::Trainer::run); [`Error::Parameter`] for early stopping without validation rows; [`Error::File`] when the
    /// checkpoint is truncated, foreign, or of a training with other settings, another network or another number of rows (it is
    /// left as it is); [`Error::Io`] when it cannot be read or written. A loss that is not finite leaves the last good
    /// checkpoint.
    pub fn run(
        mut self,
        rows: usize,
        optimizer: &mut dyn Optimizer,
        observer: &mut dyn Observer,
        mut loss: impl FnMut(&Batch<'_>) -> Result<Loss> + Send,
    ) -> Result<History> {
        let plan = self.plan(rows)?;
        let progress = self.restore(&plan, rows, optimizer)?;
        let mut batches = plan.from(progress.step).map(|planned| (planned, Ok(())));
        let mut loss = |(), batch: &Batch<'_>| loss(batch);
        let (batches, loss): (&mut dyn Iterator<Item = _>, _) = (&mut batches, &mut loss);
        Run { training: &self, plan: &plan, rows, progress, batches, loss }.finish(optimizer, observer)
    }

    /// The same, with a part of each batch prepared by a thread that runs a few batches ahead: what is read from files,
    /// what is augmented. `loss` gets what `prepare` returned for its batch, with the same bits as if it had asked itself:
    /// noise in `prepare` must come from the batch's number, not from a generator.
    ///
    /// Inside a rayon pool, whose size is the number of threads that the caller allows, batches are prepared in between.
    ///
    /// ```
    /// use unsup_core::Seed;
    /// use unsup_core::candle::{Device, Tensor};
    /// use unsup_core::nn::{Linear, Params};
    /// use unsup_core::observe::Silent;
    /// use unsup_core::train::{AdamW, Loss, Trainer};
    /// let params = Params::new(Seed::new(7));
    /// let layer = Linear::new(&params, 3, 3)?;
    /// let x = Tensor::from_vec((0..60).map(|v| v as f32 / 60.0).collect(), (20, 3), &Device::Cpu)?;
    /// let noisy = |batch: &unsup_core::train::Batch<'_>| {
    ///     let x = batch.select(&x)?;
    ///     let noise = Seed::new(1).indexed(batch.number).normals(x.elem_count());
    ///     let noise = Tensor::from_vec(noise, x.shape(), x.device())?.to_dtype(x.dtype())?;
    ///     Ok(((&x + (noise * 0.1)?)?, x))
    /// };
    /// let mut optimizer = AdamW::new(params.trainable());
    /// Trainer::new("denoise", 5).on(&params).run_prepared(20, &mut optimizer, &mut Silent, noisy, |(seen, x), _| {
    ///     Ok(Loss::new((layer.forward(&seen)? - x)?.sqr()?.mean_all()?))
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and whatever `prepare` returns.
    pub fn run_prepared<T: Send>(
        mut self,
        rows: usize,
        optimizer: &mut dyn Optimizer,
        observer: &mut dyn Observer,
        prepare: impl Fn(&Batch<'_>) -> Result<T> + Send,
        mut loss: impl FnMut(T, &Batch<'_>) -> Result<Loss> + Send,
    ) -> Result<History> {
        let plan = self.plan(rows)?;
        let progress = self.restore(&plan, rows, optimizer)?;
        let loss = &mut loss;
        ahead(plan.from(progress.step), prepare, |batches| {
            Run { training: &self, plan: &plan, rows, progress, batches, loss }.finish(optimizer, observer)
        })
    }

    /// Every setting checked, once.
    fn plan(&self, rows: usize) -> Result<Plan<'a>> {
        self.early_stopping.map_or(Ok(()), |rule| rule.check(self.trainer.validation))?;
        Plan::new(self.trainer, rows)
    }
}

/// A training between its first and its last step. T is what is prepared of each batch.
pub(super) struct Run<'r, T> {
    pub(super) training: &'r Training<'r>,
    pub(super) plan: &'r Plan<'r>,
    pub(super) rows: usize,
    pub(super) progress: Progress,
    /// The rest of the plan.
    pub(super) batches: &'r mut dyn Iterator<Item = (Planned, Result<T>)>,
    pub(super) loss: &'r mut (dyn FnMut(T, &Batch<'_>) -> Result<Loss> + Send),
}

impl<T: Send> Run<'_, T> {
    pub(super) fn finish(
        mut self,
        optimizer: &mut dyn Optimizer,
        observer: &mut dyn Observer,
    ) -> Result<History> {
        let (task, total) = (self.training.trainer.task.as_str(), self.plan.steps);
        let started = Event::Started { task, total: self.plan.reports() };
        let mut stopped = observer.observe(&started).is_break();
        while !stopped && !self.is_over() {
            self.step(optimizer)?;
            let done = self.progress.step;
            stopped = observer.observe(&Event::Step { task, done, total }).is_break();
            let report = self.plan.is_report(done);
            if report {
                stopped |= self.report(observer)?;
            }
            if stopped || self.is_over() || self.is_due(report) {
                self.training.keep(&self.progress, self.rows, optimizer)?;
            }
        }
        let stop = match stopped {
            true => Stop::Interrupted,
            false if self.progress.step < total => Stop::EarlyStopping,
            false => Stop::IterationLimit,
        };
        let Progress { mut history, best, .. } = self.progress;
        best.map_or(Ok(()), |best| best.restore(&self.training.params))?;
        history.finish(stop);
        let _ = observer.observe(&Event::Finished { task, stop });
        Ok(history)
    }

    /// One change of the parameters, by the gradient of the mean over the rows of all batches of the step.
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        let Trainer { max_gradient_norm, schedule, .. } = self.training.trainer;
        let rate = schedule.rate(self.progress.step, self.plan.steps);
        let (mut sum, mut more) = (None, true);
        while more {
            let (planned, prepared) = self.next()?;
            let (loss, means) = (&mut *self.loss, &mut self.progress.means);
            more = !planned.ends_step;
            in_pool(|| -> Result<()> {
                let loss = loss(prepared, &planned.batch())?;
                means.add(&loss, planned.rows.len(), planned.step, "")?;
                let share = if planned.share < 1.0 { (loss.total * planned.share)? } else { loss.total };
                sum = Some(add(sum.take(), backward(&share)?, optimizer.parameters())?);
                match &mut sum {
                    Some(gradients) if !more => {
                        if let Some(norm) = *max_gradient_norm {
                            clip_gradients(gradients, optimizer.parameters(), norm)?;
                        }
                        optimizer.step(gradients, rate)
                    }
                    _ => Ok(()),
                }
            })?;
        }
        self.progress.step += 1;
        Ok(())
    }

    /// Makes an entry of the history and tells of it; whether the observer breaks.
    fn report(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let task = self.training.trainer.task.as_str();
        let means = std::mem::take(&mut self.progress.means);
        let (objective, terms) = (means.objective(), &means.terms());
        let evaluated = self.evaluate()?;
        let Progress { history, best, .. } = &mut self.progress;
        history.record(objective, terms);
        let done = history.iterations();
        let mut stopped = observer.observe(&Event::Progress { task, done, objective, terms }).is_break();
        if let Some(means) = evaluated {
            let (objective, terms) = (means.objective(), &means.terms());
            history.record_validation(objective, terms);
            stopped |= observer.observe(&Event::Validated { task, done, objective, terms }).is_break();
            if let Some(rule) = self.training.early_stopping {
                rule.look(best, history, &self.training.params)?;
            }
        }
        Ok(stopped)
    }

    /// The means over the validation rows, if there are any.
    fn evaluate(&mut self) -> Result<Option<Means>> {
        let mut means = None;
        for _ in 0..self.plan.validation_batches() {
            let (planned, prepared) = self.next()?;
            let loss = (self.loss)(prepared, &planned.batch())?;
            let means: &mut Means = means.get_or_insert_default();
            means.add(&loss, planned.rows.len(), planned.step, "validation ")?;
        }
        Ok(means)
    }

    /// The next batch, and what was prepared of it.
    fn next(&mut self) -> Result<(Planned, T)> {
        let Some((planned, prepared)) = self.batches.next() else {
            let problem = "the thread that prepares them has panicked".to_owned();
            return Err(Error::Numerical { method: "preparing batches", problem });
        };
        Ok((planned, prepared?))
    }

    fn is_over(&self) -> bool {
        let Progress { history, step, best, .. } = &self.progress;
        let out_of_patience = |rule: EarlyStopping| rule.is_over(best.as_ref(), history);
        *step >= self.plan.steps || self.training.early_stopping.is_some_and(out_of_patience)
    }

    /// Whether it is time for a checkpoint.
    fn is_due(&self, report: bool) -> bool {
        match self.training.every {
            Every::Reports(reports) => report && self.progress.history.iterations().is_multiple_of(reports),
            Every::Steps(steps) => self.progress.step.is_multiple_of(steps),
        }
    }
}

fn add(sum: Option<GradStore>, gradients: GradStore, parameters: &[Var]) -> Result<GradStore> {
    let Some(mut sum) = sum else { return Ok(gradients) };
    for parameter in parameters {
        if let Some(gradient) = gradients.get(parameter) {
            let both = match sum.remove(parameter) {
                Some(before) => (before + gradient)?,
                None => gradient.clone(),
            };
            sum.insert(parameter, both.detach());
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
