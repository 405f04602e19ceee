//! What a training reports, where it stops, what it refuses.

use super::super::Sgd;
use super::*;
use crate::observe::{Event, Silent, Stop};
use candle_core::{Device, Var};
use std::ops::ControlFlow;

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
fn a_length_in_steps_ends_in_the_midst_of_an_epoch() -> Result<()> {
    let weight = Var::new(&[1_f64], &Device::Cpu)?;
    let trainer = Trainer::steps("parabola", 7).batch_size(1);
    let mut seen = Vec::new();
    let mut observer = |event: &Event<'_>| {
        match *event {
            Event::Started { total, .. } => seen.push(total),
            Event::Progress { done, .. } => seen.push(done),
            Event::Step { total, .. } => assert_eq!(total, 7),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let (mut rates, mut epochs) = (Vec::new(), Vec::new());
    let history = trainer.run(3, &mut Sgd::new(vec![weight.clone()]), &mut observer, |batch| {
        rates.push(batch.step);
        epochs.push(batch.epoch);
        parabola(&weight)
    })?;
    assert_eq!((rates, epochs), ((0..7).collect(), vec![0, 0, 0, 1, 1, 1, 2]));
    // three reports: after three steps, six, and at the end
    assert_eq!((seen, history.iterations()), (vec![3, 1, 2, 3], 3));
    let every = trainer
        .report_every(2)
        .run(3, &mut Sgd::new(vec![weight.clone()]), &mut Silent, |_| parabola(&weight))?;
    assert_eq!(every.iterations(), 4);
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
    assert_eq!(name(run(Trainer::steps("t", 0), 5)), "steps");
    assert_eq!(name(run(Trainer::new("t", 1).batch_size(0), 5)), "batch_size");
    assert_eq!(name(run(Trainer::new("t", 1).accumulate(0), 5)), "accumulate");
    assert_eq!(name(run(Trainer::new("t", 1).report_every(0), 5)), "report_every");
    assert_eq!(name(run(Trainer::new("t", 1).batch_size(6).drop_last(true), 5)), "batch_size");
    assert_eq!(name(run(Trainer::new("t", 1).schedule(Schedule::constant(-1.0)), 5)), "learning_rate");
    assert!(matches!(run(Trainer::new("t", 1), 0), Err(Error::Empty { what: "the training data", .. })));
}
