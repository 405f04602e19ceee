//! When it stops, what it leaves, and that a stop in between changes nothing.

use crate::nn::{BatchNorm, Init, Mode, Params};
use crate::observe::{Event, History, Observer, Silent, Stop};
use crate::train::{Loss, Schedule, Sgd, Trainer};
use crate::{Error, Result, Seed};
use candle_core::{DType, Device, Tensor};
use std::ops::ControlFlow;
use std::path::Path;

/// A weight that moves by 1 a step, and a validation loss (weight − 6)²: best after six steps, worse from there. Batch
/// statistics are a buffer that training changes too.
fn descend(
    path: Option<&Path>,
    observer: &mut dyn Observer,
    patience: usize,
    min_delta: f64,
) -> Result<(Vec<f32>, History)> {
    let params = Params::new(Seed::new(1));
    let weight = params.trained("weight", &[1], Init::ZEROS)?;
    let norm = BatchNorm::new(&params.scope("norm"), 1)?;
    let x = Tensor::from_iter((0..10).map(|v| v as f32), &Device::Cpu)?.reshape((10, 1))?;
    let trainer =
        Trainer::new("parabola", 30).batch_size(8).validation(0.2).schedule(Schedule::constant(1.0));
    let training = trainer.resumable_if(path, &params).every(4).early_stopping(patience, min_delta);
    let mut optimizer = Sgd::new(params.trainable()).momentum(0.0);
    let history = training.run(10, &mut optimizer, observer, |batch| {
        let rows = batch.select(&x)?;
        let unused = (norm.forward(&rows, batch.mode)?.sum_all()? * 0.0)?;
        let loss = match batch.mode {
            Mode::Train => (weight.sum_all()? * -1.0)?,
            Mode::Eval => (&weight - 6.0)?.sqr()?.sum_all()?,
        };
        Ok(Loss::new((loss + unused.detach())?))
    })?;
    let values = |(_, tensor): (String, Tensor)| Ok(tensor.flatten_all()?.to_vec1::<f32>()?);
    let values: Vec<Vec<f32>> = params.named_tensors().into_iter().map(values).collect::<Result<_>>()?;
    Ok((values.concat(), history))
}

#[test]
fn the_best_parameters_and_buffers_come_back() -> Result<()> {
    let (values, history) = descend(None, &mut Silent, 3, 0.0)?;
    assert_eq!((values[0], history.iterations(), history.stop()), (6.0, 9, Stop::EarlyStopping));
    assert!(!history.converged());
    let curve = history.validation().map(|curve| curve.objective().to_vec());
    assert_eq!(curve, Some(vec![25.0, 16.0, 9.0, 4.0, 1.0, 0.0, 1.0, 4.0, 9.0]));
    // the buffers are those after six steps, not after nine
    let mut stop_after_six = |event: &Event<'_>| match event {
        Event::Progress { done: 6, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let (six, history) = descend(None, &mut stop_after_six, 3, 0.0)?;
    assert_eq!((six, history.stop()), (values.clone(), Stop::Interrupted));
    // steps of 9, 7, 5, 3, 1: with a least improvement of 4 the fourth report is the best
    let (values, history) = descend(None, &mut Silent, 2, 4.0)?;
    assert_eq!((values[0], history.iterations()), (4.0, 6));
    // patience beyond the end
    let (values, history) = descend(None, &mut Silent, 100, 0.0)?;
    assert_eq!((values[0], history.iterations(), history.stop()), (6.0, 30, Stop::IterationLimit));
    Ok(())
}

#[test]
fn a_stop_in_between_changes_nothing() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
    let straight = descend(Some(&folder.path().join("straight")), &mut Silent, 3, 0.0)?;
    for step in 1..=9 {
        let path = folder.path().join(step.to_string());
        let mut stop = |event: &Event<'_>| match event {
            Event::Step { done, .. } if *done == step => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        assert_eq!(descend(Some(&path), &mut stop, 3, 0.0)?.1.stop(), Stop::Interrupted);
        assert_eq!(descend(Some(&path), &mut Silent, 3, 0.0)?, straight, "stopped at {step}");
        assert_eq!(descend(Some(&path), &mut Silent, 3, 0.0)?, straight, "run again");
        let other = descend(Some(&path), &mut Silent, 4, 0.0);
        assert!(
            matches!(&other, Err(Error::File { problem, .. }) if problem.contains("other settings")),
            "{other:?}"
        );
    }
    Ok(())
}

#[test]
fn bad_rules_are_named() -> Result<()> {
    let params = Params::on(Seed::new(1), DType::F32, &Device::Cpu);
    let name = |trainer: &Trainer, patience, min_delta| {
        let training = trainer.on(&params).early_stopping(patience, min_delta);
        let never = |_: &crate::train::Batch<'_>| Err(Error::Empty { what: "never called", shape: vec![] });
        match training.run(10, &mut Sgd::new(vec![]), &mut Silent, never) {
            Err(Error::Parameter { name, .. }) => name,
            other => panic!("{other:?}"),
        }
    };
    let trainer = Trainer::new("t", 1);
    assert_eq!(name(&trainer, 3, 0.0), "validation");
    assert_eq!(name(&trainer.clone().validation(0.2), 0, 0.0), "patience");
    assert_eq!(name(&trainer.clone().validation(0.2), 3, f64::NAN), "min_delta");
    for fraction in [0.0, 1.0, -0.5, f64::NAN] {
        assert_eq!(name(&trainer.clone().validation(fraction), 3, 0.0), "validation");
    }
    Ok(())
}
