//! Stopped, killed, failed, cut: what a checkpoint must survive.

use super::super::{AdamW, Ema, Loss, Schedule, State};
use super::*;
use crate::Seed;
use crate::nn::{BatchNorm, Conv2d, ConvSpec, Linear, ops};
use crate::observe::{Event, Observer, Silent, Stop};
use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
        let y = ops::relu(&norm.forward(&conv.forward(&batch.select(&x)?)?, batch.mode)?)?;
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

fn stop_at_step(step: usize) -> impl FnMut(&Event<'_>) -> ControlFlow<()> {
    move |event| match event {
        Event::Step { done, .. } if *done == step => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }
}

#[test]
fn a_training_stopped_at_any_step_ends_with_the_same_bits() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
    // four steps an epoch, reports at its end; two steps of two batches, reports elsewhere
    let by_epochs = trainer();
    let by_steps = trainer().report_every(3).validation(0.2).accumulate(2);
    for (name, trainer, last, every) in [("epochs", by_epochs, 20_usize, 4), ("steps", by_steps, 10, 3)] {
        let straight = run(&folder.path().join(name), &mut Silent, &trainer, None)?;
        let history = straight.history?;
        assert_eq!(history.iterations(), last.div_ceil(every));
        assert_eq!(history.validation().is_some(), name == "steps");
        for step in 1..last {
            let path = folder.path().join(format!("{name}{step}"));
            let stopped = run(&path, &mut stop_at_step(step), &trainer, None)?.history?;
            assert_eq!((stopped.iterations(), stopped.stop()), (step / every, Stop::Interrupted));
            let resumed = run(&path, &mut Silent, &trainer, None)?;
            assert_eq!(resumed.history?, history);
            assert_eq!(bits(&resumed.params)?, bits(&straight.params)?, "stopped at {step}");
            // finished: running it again changes nothing
            let again = run(&path, &mut Silent, &trainer, None)?;
            assert_eq!(bits(&again.params)?, bits(&straight.params)?);
        }
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
    let other = trainer().resumable(&path, &params).run(ROWS, &mut AdamW::new(vec![]), &mut Silent, |_| {
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

/// The last two codes, and where the next one goes: what momentum contrast keeps outside of its network.
struct Queue {
    codes: Tensor,
    next: usize,
}

impl State for Queue {
    fn write(&self, prefix: &str, record: Record) -> Result<Record> {
        record.tensor(&format!("{prefix}codes"), &self.codes)?.value(&format!("{prefix}next"), &self.next)
    }

    fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
        let codes = record.read_tensor(&format!("{prefix}codes"))?;
        *self = Queue { codes, next: record.read_value(&format!("{prefix}next"))? };
        Ok(())
    }
}

fn locked<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that a method may keep for itself: an average in a store of its own, a queue, a generator. The loss
/// depends on all three; it fails at the step `fail`. Returns every number at the end.
fn with_states(path: &Path, names: [&str; 3], every: usize, fail: Option<usize>) -> Result<Vec<Vec<f32>>> {
    let x = Tensor::from_iter((0..24).map(|v| v as f32 / 10.0), &Device::Cpu)?.reshape((12, 2))?;
    let (student, teacher) = (Params::new(Seed::new(1)), Params::new(Seed::new(2)));
    let layer = Linear::new(&student, 2, 2)?;
    let ema = Ema::new(&student, &teacher, 0.8)?;
    let target = Linear::new(&teacher, 2, 2)?;
    let codes = Tensor::zeros((2, 2), DType::F32, &Device::Cpu)?;
    let (queue, rng) = (Mutex::new(Queue { codes, next: 0 }), Mutex::new(Seed::new(3).rng()));
    let trainer = Trainer::steps("states", 13).batch_size(3).schedule(Schedule::constant(0.05));
    let training = trainer.resumable(path, &student).every_steps(every);
    let training = training.with(names[0], ema.clone()).with(names[1], &queue).with(names[2], &rng);
    let mut optimizer = AdamW::new(student.trainable());
    training.run(12, &mut optimizer, &mut Silent, |batch| {
        if fail == Some(batch.step) {
            return Err(Error::Empty { what: "the power is gone", shape: vec![] });
        }
        ema.update()?;
        let x = (batch.select(&x)? * locked(&rng).random::<f64>())?;
        let mut queue = locked(&queue);
        let code = layer.forward(&x)?;
        let toward = code.broadcast_sub(&queue.codes.mean_keepdim(0)?)?.sqr()?.mean_all()?;
        let next = target.forward(&x)?.mean_keepdim(0)?;
        let kept = queue.codes.narrow(0, 1 - queue.next, 1)?;
        queue.codes =
            if queue.next == 0 { Tensor::cat(&[next, kept], 0)? } else { Tensor::cat(&[kept, next], 0)? };
        queue.next = 1 - queue.next;
        Ok(Loss::new((toward + (code - target.forward(&x)?)?.sqr()?.mean_all()?)?))
    })?;
    let queue = locked(&queue);
    let mut all = vec![queue.codes.flatten_all()?.to_vec1()?, vec![queue.next as f32, locked(&rng).random()]];
    for params in [&student, &teacher] {
        all.extend(bits(params)?.into_iter().map(|(_, values)| values));
    }
    Ok(all)
}

#[test]
fn averages_queues_and_generators_go_on_with_the_same_bits() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
    let names = ["ema", "queue", "generator"];
    let straight = with_states(&folder.path().join("straight"), names, 1, None)?;
    for (every, fail) in [(1, 1), (1, 7), (4, 7), (5, 12)] {
        let path = folder.path().join(format!("{every} {fail}"));
        let died = with_states(&path, names, every, Some(fail));
        assert!(matches!(died, Err(Error::Empty { .. })), "{died:?}");
        assert_eq!(with_states(&path, names, every, None)?, straight, "died at {fail}");
    }
    let other = with_states(&folder.path().join("straight"), ["ema", "queue", "noise"], 1, None);
    assert!(matches!(&other, Err(Error::File { problem, .. }) if problem.contains("generator")), "{other:?}");
    Ok(())
}
