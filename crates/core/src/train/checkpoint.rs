//! Training that can be stopped, or can die, and goes on with the same bits.

use super::optimizer::Optimizer;
use super::trainer::{Batch, Loss, Trainer};
use crate::nn::Params;
use crate::observe::{History, Observer};
use crate::store::Record;
use crate::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

const KIND: &str = "Checkpoint";
const OPTIMIZER: &str = "optimizer.";

/// A [`Trainer`] that keeps a checkpoint, made by [`Trainer::resumable`].
///
/// The checkpoint is one file, replaced as a whole or not at all: parameters and buffers, the state of the
/// optimiser, the history, and the settings of the training. Batches, schedule and noise follow from the
/// seed and the step, so there is no generator to save. What else must survive a stop (the averages of an [`Ema`](super::Ema), a
/// queue of keys) belongs into the `Params` as a buffer.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::{Linear, Params};
/// use unsup_core::observe::{Event, Silent};
/// use unsup_core::train::{AdamW, Loss, Trainer};
/// use std::ops::ControlFlow;
///
/// let folder = tempfile::tempdir()?;
/// let x = Tensor::from_vec(Seed::new(1).normals(60), (20, 3), &Device::Cpu)?.to_dtype(candle_core::DType::F32)?;
/// let train = |path: &str, observer: &mut dyn unsup_core::observe::Observer| -> unsup_core::Result<_> {
///     let params = Params::new(Seed::new(7));
///     let layer = Linear::new(&params, 3, 3)?;
///     let trainer = Trainer::new("identity", 6).batch_size(8);
///     let mut optimizer = AdamW::new(params.trainable());
///     trainer.resumable(folder.path().join(path), &params).run(20, &mut optimizer, observer, |batch| {
///         let x = batch.select(&x)?;
///         Ok(Loss::new((layer.forward(&x)? - x)?.sqr()?.mean_all()?))
///     })
/// };
/// let straight = train("straight", &mut Silent)?;
/// // stopped after the second epoch, then run again
/// let mut stop = |event: &Event<'_>| match event {
///     Event::Progress { done: 2, .. } => ControlFlow::Break(()),
///     _ => ControlFlow::Continue(()),
/// };
/// assert_eq!(train("stopped", &mut stop)?.iterations(), 2);
/// assert_eq!(train("stopped", &mut Silent)?, straight);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Resumable<'a> {
    trainer: &'a Trainer,
    params: &'a Params,
    /// Nothing is kept when there is none.
    path: Option<PathBuf>,
    every: usize,
    about: serde_json::Value,
}

impl Trainer {
    /// This training with a checkpoint at `path` after every epoch. When there is one already, training goes on from it.
    pub fn resumable<'a>(&'a self, path: impl AsRef<Path>, params: &'a Params) -> Resumable<'a> {
        self.resumable_if(Some(path.as_ref()), params)
    }

    /// The same for a caller that may want no checkpoint.
    pub fn resumable_if<'a>(&'a self, path: Option<&Path>, params: &'a Params) -> Resumable<'a> {
        let path = path.map(Path::to_owned);
        Resumable { trainer: self, params, path, every: 1, about: serde_json::Value::Null }
    }
}

impl Resumable<'_> {
    /// Writes after every so many epochs only, after the last, and when an observer breaks. What dies in between
    /// loses the epochs since.
    #[must_use]
    pub fn every(self, epochs: usize) -> Self {
        Resumable { every: epochs.max(1), ..self }
    }

    /// Settings that the trainer does not know (a method's spec): a checkpoint of other settings is refused.
    ///
    /// # Errors
    /// [`Error::Numerical`] when they have no JSON form.
    pub fn about(self, settings: &impl Serialize) -> Result<Self> {
        let about = serde_json::to_value(settings).map_err(|e| Error::Numerical {
            method: "a checkpoint",
            problem: format!("the settings have no JSON form: {e}"),
        })?;
        Ok(Resumable { about, ..self })
    }

    /// Trains as [`Trainer::run`] does, from the checkpoint if there is one: parameters, optimiser and history are
    /// those of a training that was never stopped, to the last bit. A finished training is not run again.
    ///
    /// # Errors
    /// Those of [`Trainer::run`]; [`Error::File`] when the file is truncated, foreign, or of a training with other settings,
    /// another network or another number of rows (it is left as it is); [`Error::Io`] when it cannot be read or
    /// written. A loss that is not finite leaves the last good checkpoint.
    pub fn run(
        &self,
        rows: usize,
        optimizer: &mut dyn Optimizer,
        observer: &mut dyn Observer,
        mut loss: impl FnMut(&Batch<'_>) -> Result<Loss>,
    ) -> Result<History> {
        let history = self.restore(rows, optimizer)?;
        let keep = &mut |history: &History, optimizer: &dyn Optimizer, last: bool| match &self.path {
            Some(path) if last || history.iterations().is_multiple_of(self.every) => {
                self.record(rows, history, optimizer)?.save(path)
            }
            _ => Ok(()),
        };
        self.trainer.run_from(history, rows, optimizer, observer, &mut loss, keep)
    }

    fn restore(&self, rows: usize, optimizer: &mut dyn Optimizer) -> Result<History> {
        let path = match &self.path {
            Some(path) if path.try_exists().map_err(|e| Error::io(path, e))? => path,
            _ => return Ok(History::new()),
        };
        let record = Record::load(path, KIND)?;
        let (trainer, known): (Trainer, usize) = (record.read_value("trainer")?, record.read_value("rows")?);
        record
            .require(&trainer == self.trainer, &format!("of a training with other settings: {trainer:?}"))?;
        let about: serde_json::Value = record.read_value("about")?;
        record.require(about == self.about, &format!("of a training with other settings: {about}"))?;
        record.require(known == rows, &format!("of a training on {known} rows, not {rows}"))?;
        let history: History = record.read_value("history")?;
        record.require(history.iterations() <= trainer.epochs, "more epochs than the training has")?;
        let saved = Params::read(&record)?;
        optimizer.read(OPTIMIZER, &record)?;
        let loaded = self.params.load(saved.saved_tensors());
        record.require(loaded.is_ok(), "of a training of another network")?;
        Ok(history)
    }

    fn record(&self, rows: usize, history: &History, optimizer: &dyn Optimizer) -> Result<Record> {
        let record = Record::new(KIND)
            .value("trainer", self.trainer)?
            .value("about", &self.about)?
            .value("rows", &rows)?
            .value("history", history)?;
        optimizer.write(OPTIMIZER, self.params.write(record)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AdamW, Ema, Schedule};
    use super::*;
    use crate::Seed;
    use crate::nn::{BatchNorm, Conv2d, ConvSpec, Linear, Mode, ops};
    use crate::observe::{Event, Silent};
    use candle_core::{DType, Device, Tensor};
    use std::ops::ControlFlow;

    const ROWS: usize = 23;

    struct Run {
        params: Params,
        history: Result<History>,
    }

    fn trainer() -> Trainer {
        Trainer::new("small", 5).batch_size(7).schedule(Schedule::cosine(1e-2).warmup(0.2)).seed(3)
    }

    /// A network with batch statistics and an average of its weights; `spoil` makes the loss infinite at a step.
    fn run(path: &Path, observer: &mut dyn Observer, trainer: &Trainer, spoil: Option<usize>) -> Result<Run> {
        let values: Vec<f32> = Seed::new(2).normals(ROWS * 36).into_iter().map(|v| v as f32).collect();
        let x = Tensor::from_vec(values, (ROWS, 1, 6, 6), &Device::Cpu)?;
        let params = Params::new(Seed::new(1));
        let network = params.scope("network");
        let conv = Conv2d::new(&network.scope("conv"), 1, 4, ConvSpec::new(3).padding(1).bias(false))?;
        let norm = BatchNorm::new(&network.scope("norm"), 4)?;
        let head = Linear::new(&network.scope("head"), 4, 2)?;
        let ema = Ema::new(&network, &params.scope("average"), 0.9)?;
        let mut optimizer = AdamW::new(params.trainable()).weight_decay(0.01);
        let history = trainer.resumable(path, &params).run(ROWS, &mut optimizer, observer, |batch| {
            ema.update()?;
            let y = ops::relu(&norm.forward(&conv.forward(&batch.select(&x)?)?, Mode::Train)?)?;
            let y = head.forward(&ops::global_average_pool(&y)?)?;
            let loss = y.sqr()?.sum_all()?;
            Ok(Loss::new(if spoil == Some(batch.step) { (loss / 0.0)? } else { loss }))
        });
        Ok(Run { params, history })
    }

    fn bits(params: &Params) -> Result<Vec<(String, Vec<f32>)>> {
        let values = |(name, tensor): (String, Tensor)| Ok((name, tensor.flatten_all()?.to_vec1()?));
        params.named_tensors().into_iter().map(values).collect()
    }

    fn stop_after(epochs: usize) -> impl FnMut(&Event<'_>) -> ControlFlow<()> {
        move |event| match event {
            Event::Progress { done, .. } if *done == epochs => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    #[test]
    fn a_training_stopped_anywhere_ends_with_the_same_bits() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
        let straight = run(&folder.path().join("straight"), &mut Silent, &trainer(), None)?;
        for epochs in 1..=4 {
            let path = folder.path().join(epochs.to_string());
            let stopped = run(&path, &mut stop_after(epochs), &trainer(), None)?;
            assert_eq!(stopped.history?.iterations(), epochs);
            let resumed = run(&path, &mut Silent, &trainer(), None)?;
            assert_eq!(
                resumed.history?,
                *straight
                    .history
                    .as_ref()
                    .map_err(|e| Error::io("run", std::io::Error::other(e.to_string())))?
            );
            assert_eq!(bits(&resumed.params)?, bits(&straight.params)?, "stopped after {epochs}");
            // finished: running it again changes nothing
            let again = run(&path, &mut Silent, &trainer(), None)?;
            assert_eq!(bits(&again.params)?, bits(&straight.params)?);
        }
        Ok(())
    }

    #[test]
    fn a_loss_that_is_not_finite_leaves_the_last_good_checkpoint() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
        let path = folder.path().join("run");
        let straight = run(&folder.path().join("straight"), &mut Silent, &trainer(), None)?;
        // four steps an epoch: the third epoch fails
        let failed = run(&path, &mut Silent, &trainer(), Some(9))?;
        assert!(matches!(failed.history, Err(Error::NonFiniteLoss { step: 9, .. })));
        let resumed = run(&path, &mut Silent, &trainer(), None)?;
        assert_eq!(bits(&resumed.params)?, bits(&straight.params)?);
        Ok(())
    }

    #[test]
    fn a_truncated_foreign_or_lying_file_is_an_error_and_stays() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
        let path = folder.path().join("run");
        run(&path, &mut stop_after(2), &trainer(), None)?.history?;
        let whole = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        for length in [0, 8, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).map_err(|e| Error::io(&path, e))?;
            let refused = run(&path, &mut Silent, &trainer(), None)?.history;
            assert!(matches!(refused, Err(Error::File { .. })), "{length} bytes: {refused:?}");
            assert_eq!(std::fs::read(&path).ok().map(|b| b.len()), Some(length));
        }
        Record::new("KMeansModel").save(&path)?;
        assert!(matches!(run(&path, &mut Silent, &trainer(), None)?.history, Err(Error::File { .. })));
        std::fs::write(&path, &whole).map_err(|e| Error::io(&path, e))?;
        let other = run(&path, &mut Silent, &trainer().batch_size(8), None)?.history;
        assert!(
            matches!(&other, Err(Error::File { problem, .. }) if problem.contains("other settings")),
            "{other:?}"
        );
        let params = Params::new(Seed::new(1));
        Linear::new(&params, 3, 3)?;
        let other =
            trainer().resumable(&path, &params).run(ROWS, &mut AdamW::new(vec![]), &mut Silent, |_| {
                Err(Error::Empty { what: "never called", shape: vec![] })
            });
        assert!(
            matches!(&other, Err(Error::File { problem, .. }) if problem.contains("another network")),
            "{other:?}"
        );
        Ok(())
    }

    #[test]
    fn a_sparse_checkpoint_is_written_when_somebody_stops() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
        let path = folder.path().join("run");
        let fit = |observer: &mut dyn Observer| {
            let params = Params::new(Seed::new(1));
            let layer = Linear::new(&params, 3, 1)?;
            let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
            let mut optimizer = AdamW::new(params.trainable());
            let trainer = Trainer::new("sparse", 5).batch_size(5);
            trainer.resumable(&path, &params).every(3).run(5, &mut optimizer, observer, |batch| {
                Ok(Loss::new(layer.forward(&batch.select(&x)?)?.sqr()?.mean_all()?))
            })
        };
        assert_eq!(fit(&mut stop_after(2))?.iterations(), 2);
        let mut first = None;
        let mut observer = |event: &Event<'_>| {
            if let Event::Progress { done, .. } = event {
                first.get_or_insert(*done);
            }
            ControlFlow::Continue(())
        };
        assert_eq!((fit(&mut observer)?.iterations(), first), (5, Some(3)));
        Ok(())
    }

    #[test]
    fn double_precision_keeps_its_bits() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
        let path = folder.path().join("run");
        let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
        let layer = Linear::new(&params, 3, 2)?;
        let saved = layer.forward(&Tensor::ones((1, 3), DType::F64, &Device::Cpu)?)?.to_vec2::<f64>()?;
        params.write(Record::new("Example"))?.save(&path)?;
        let read = Params::read(&Record::load(&path, "Example")?)?;
        let layer = Linear::new(&read, 3, 2)?;
        assert_eq!(layer.forward(&Tensor::ones((1, 3), DType::F64, &Device::Cpu)?)?.to_vec2::<f64>()?, saved);
        Ok(())
    }
}
