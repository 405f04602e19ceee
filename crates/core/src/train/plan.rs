//! The course of a training, known before its first step: which rows each batch holds, and where reports are made.

use super::batch::{Batch, batches};
use super::trainer::{Length, Trainer};
use crate::data::split::{Split, train_test_split};
use crate::nn::Mode;
use crate::{Error, Result};

/// A trainer's settings on so many rows.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    trainer: &'a Trainer,
    split: Split,
    batches_an_epoch: usize,
    steps_an_epoch: usize,
    pub(super) steps: usize,
}

/// One batch of the plan.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) rows: Vec<usize>,
    epoch: usize,
    pub(super) step: usize,
    number: usize,
    mode: Mode,
    /// Its rows among those of its step.
    pub(super) share: f64,
    /// Whether it is the last of its step.
    pub(super) ends_step: bool,
}

impl Planned {
    pub(super) fn batch(&self) -> Batch<'_> {
        let Planned { ref rows, epoch, step, number, mode, .. } = *self;
        Batch { indices: rows, epoch, step, number, mode }
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(trainer: &'a Trainer, rows: usize) -> Result<Self> {
        let split = match trainer.validation {
            None => Split { train: (0..rows).collect(), test: Vec::new() },
            Some(fraction) if fraction > 0.0 && fraction < 1.0 => {
                train_test_split(rows, fraction, trainer.seed.named("validation"))?
            }
            Some(fraction) => {
                return Err(Error::parameter("validation", fraction, "a fraction above 0 and below 1"));
            }
        };
        trainer.check_rows(split.train.len())?;
        let rows = split.train.len();
        let (whole, rest) = (rows / trainer.batch_size, rows % trainer.batch_size);
        let batches_an_epoch = whole + usize::from(rest > 0 && !trainer.drop_last);
        let steps_an_epoch = batches_an_epoch.div_ceil(trainer.accumulate);
        let steps = match trainer.length {
            Length::Epochs(epochs) => epochs.saturating_mul(steps_an_epoch),
            Length::Steps(steps) => steps,
        };
        Ok(Plan { trainer, split, batches_an_epoch, steps_an_epoch, steps })
    }

    fn report_every(&self) -> usize {
        self.trainer.report_every.unwrap_or(self.steps_an_epoch)
    }

    /// How many reports there will be.
    pub(super) fn reports(&self) -> usize {
        self.steps.div_ceil(self.report_every())
    }

    /// Whether a report follows when so many steps are done.
    pub(super) fn is_report(&self, done: usize) -> bool {
        done.is_multiple_of(self.report_every()) || done == self.steps
    }

    /// The batches of every step from `step` on, those of validation where a report is made.
    pub(super) fn from(&self, step: usize) -> impl Iterator<Item = Planned> {
        (step / self.steps_an_epoch..self.steps.div_ceil(self.steps_an_epoch))
            .flat_map(|epoch| self.epoch(epoch))
            .skip_while(move |batch| batch.step < step)
            .take_while(|batch| batch.step < self.steps)
            .flat_map(|batch| {
                let done = batch.step + 1;
                let report = batch.ends_step && self.is_report(done);
                let epoch = batch.epoch;
                let evaluation = report.then(|| self.validation(epoch, done)).into_iter().flatten();
                std::iter::once(batch).chain(evaluation)
            })
    }

    fn epoch(&self, epoch: usize) -> Vec<Planned> {
        let Trainer { batch_size, drop_last, accumulate, seed, .. } = *self.trainer;
        let order = batches(self.split.train.len(), batch_size, drop_last, seed.indexed(epoch));
        let mut planned = Vec::with_capacity(order.len());
        for (i, step) in order.chunks(accumulate).enumerate() {
            let rows: usize = step.iter().map(Vec::len).sum();
            for (j, batch) in step.iter().enumerate() {
                planned.push(Planned {
                    rows: batch.iter().map(|&row| self.split.train[row]).collect(),
                    epoch,
                    step: epoch * self.steps_an_epoch + i,
                    number: epoch * self.batches_an_epoch + i * accumulate + j,
                    mode: Mode::Train,
                    share: batch.len() as f64 / rows as f64,
                    ends_step: j + 1 == step.len(),
                });
            }
        }
        planned
    }

    /// How many batches the validation rows make.
    pub(super) fn validation_batches(&self) -> usize {
        self.validation_rows().chunks(self.trainer.batch_size).len()
    }

    /// Incomplete batches are dropped here too, unless there is no other.
    fn validation_rows(&self) -> &[usize] {
        let (rows, size) = (&self.split.test, self.trainer.batch_size);
        let whole = rows.len() / size * size;
        if self.trainer.drop_last && whole > 0 { &rows[..whole] } else { rows }
    }

    fn validation(&self, epoch: usize, step: usize) -> impl Iterator<Item = Planned> {
        let parts = self.validation_rows().chunks(self.trainer.batch_size).enumerate();
        parts.map(move |(number, rows)| Planned {
            rows: rows.to_vec(),
            epoch,
            step,
            number,
            mode: Mode::Eval,
            share: 1.0,
            ends_step: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn validation_rows_are_in_no_batch_to_learn_from() -> Result<()> {
        let trainer = Trainer::new("t", 3).batch_size(4).validation(0.3).seed(5);
        let plan = Plan::new(&trainer, 20)?;
        let rows = |mode: Mode, epoch: usize| -> HashSet<usize> {
            let chosen = |b: &Planned| b.mode == mode && b.epoch == epoch;
            plan.from(0).filter(chosen).flat_map(|b| b.rows).collect()
        };
        for epoch in 0..3 {
            assert_eq!((rows(Mode::Train, epoch).len(), rows(Mode::Eval, epoch).len()), (14, 6));
            assert!(rows(Mode::Train, epoch).is_disjoint(&rows(Mode::Eval, epoch)));
            assert_eq!(rows(Mode::Eval, epoch), rows(Mode::Eval, 0));
        }
        let other = trainer.clone().seed(6);
        let other = Plan::new(&other, 20)?;
        assert_ne!(other.split.test, plan.split.test);
        Ok(())
    }

    #[test]
    fn a_plan_from_its_midst_is_the_rest_of_the_whole() -> Result<()> {
        for drop_last in [false, true] {
            let trainer = Trainer::steps("t", 11)
                .batch_size(3)
                .accumulate(2)
                .report_every(4)
                .validation(0.2)
                .drop_last(drop_last);
            let plan = Plan::new(&trainer, 27)?;
            // 22 rows to learn from, 8 or 7 batches, 4 steps an epoch
            assert_eq!((plan.steps_an_epoch, plan.steps, plan.reports()), (4, 11, 3));
            let key = |b: Planned| (b.step, b.number, b.mode == Mode::Train, b.rows);
            let whole: Vec<_> = plan.from(0).map(key).collect();
            let learned: HashSet<usize> = whole.iter().filter(|b| b.2).map(|b| b.0).collect();
            assert_eq!(learned, (0..11).collect());
            assert_eq!(whole.iter().filter(|b| !b.2).count(), 3 * plan.validation_batches());
            for step in 0..=11 {
                let rest: Vec<_> = plan.from(step).map(key).collect();
                assert!(whole.ends_with(&rest) && rest.first().is_none_or(|b| b.0 == step && b.2));
                let skipped = &whole[..whole.len() - rest.len()];
                assert!(skipped.iter().all(|b| if b.2 { b.0 < step } else { b.0 <= step }));
            }
        }
        Ok(())
    }

    #[test]
    fn shares_of_a_step_sum_to_one_and_numbers_count_batches() -> Result<()> {
        let trainer = Trainer::new("t", 2).batch_size(4).accumulate(3);
        let plan = Plan::new(&trainer, 30)?;
        let all: Vec<Planned> = plan.from(0).collect();
        assert!(all.iter().map(|b| b.number).eq(0..16));
        for step in 0..plan.steps {
            let of_step: Vec<&Planned> = all.iter().filter(|b| b.step == step).collect();
            assert!((of_step.iter().map(|b| b.share).sum::<f64>() - 1.0).abs() < 1e-15);
            assert_eq!(of_step.iter().filter(|b| b.ends_step).count(), 1);
        }
        // 30 rows are 8 batches, the last of 2 rows, in 3 steps of 12, 12 and 6 rows
        assert_eq!((plan.steps, all[7].share), (6, 2.0 / 6.0));
        Ok(())
    }
}
