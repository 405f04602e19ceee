//! Steps of several batches, modes, what is prepared ahead.

use crate::nn::{Linear, Mode, Params};
use crate::observe::{Event, History, Silent, Stop};
use crate::train::{AdamW, Batch, Loss, Schedule, Sgd, Trainer};
use crate::{Error, Result, Seed};
use candle_core::{DType, Device, Tensor, Var};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

fn table(rows: usize) -> Result<Tensor> {
    Ok(Tensor::from_vec(Seed::new(9).normals(rows * 3), (rows, 3), &Device::Cpu)?)
}

/// Two epochs on 22 rows in double precision; the last batch is smaller.
fn weights(batch_size: usize, accumulate: usize, norm: Option<f64>) -> Result<(Vec<Vec<f64>>, History)> {
    let (x, params) = (table(22)?, Params::on(Seed::new(1), DType::F64, &Device::Cpu));
    let layer = Linear::new(&params, 3, 2)?;
    let mut trainer = Trainer::new("mean", 2).batch_size(batch_size).accumulate(accumulate).seed(4);
    if let Some(norm) = norm {
        trainer = trainer.max_gradient_norm(norm);
    }
    let history = trainer.run(22, &mut Sgd::new(params.trainable()), &mut Silent, |batch| {
        let loss = layer.forward(&batch.select(&x)?)?.sqr()?.mean_all()?;
        Ok(Loss::new(loss.clone()).term("square", &loss))
    })?;
    let values = |(_, tensor): (String, Tensor)| Ok(tensor.flatten_all()?.to_vec1()?);
    Ok((params.named_tensors().into_iter().map(values).collect::<Result<_>>()?, history))
}

#[test]
fn accumulated_batches_make_the_step_of_one_large_batch() -> Result<()> {
    for norm in [None, Some(0.01)] {
        // 22 rows: steps of 12 and 10 rows, from batches of 4, 4, 4 and 4, 4, 2
        let (large, small) = (weights(12, 1, norm)?, weights(4, 3, norm)?);
        for (a, b) in large.0.iter().flatten().zip(small.0.iter().flatten()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        for (a, b) in large.1.objective().iter().zip(small.1.objective()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        let untied = weights(4, 1, norm)?;
        assert!(large.0.iter().flatten().zip(untied.0.iter().flatten()).any(|(a, b)| (a - b).abs() > 1e-4));
    }
    Ok(())
}

#[test]
fn validation_rows_are_asked_about_in_their_own_mode_and_recorded_apart() -> Result<()> {
    let weight = Var::new(&[1_f64], &Device::Cpu)?;
    let trainer = Trainer::new("modes", 3).batch_size(4).validation(0.25).schedule(Schedule::constant(0.1));
    let (mut learned, mut asked, mut told) = (0, Vec::new(), Vec::new());
    let mut observer = |event: &Event<'_>| {
        if let Event::Validated { done, objective, terms, .. } = event {
            told.push((*done, *objective, terms.len()));
        }
        ControlFlow::Continue(())
    };
    let history = trainer.run(20, &mut Sgd::new(vec![weight.clone()]), &mut observer, |batch| {
        let loss = weight.sqr()?.sum_all()?;
        Ok(match batch.mode {
            Mode::Train => {
                learned += batch.indices.len();
                Loss::new(loss)
            }
            Mode::Eval => {
                asked.push((batch.step, batch.number, batch.indices.len()));
                Loss::new((&loss * 10.0)?).term("square", &loss)
            }
        })
    })?;
    assert_eq!(learned, 3 * 15);
    // five rows in batches of 4 and 1, after 4, 8 and 12 steps
    assert_eq!(asked, [(4, 0, 4), (4, 1, 1), (8, 0, 4), (8, 1, 1), (12, 0, 4), (12, 1, 1)]);
    let curve = history.validation().ok_or(Error::Empty { what: "the curve", shape: vec![] })?;
    assert_eq!((curve.iterations(), history.iterations(), history.term("square")), (3, 3, None));
    assert_eq!(told, (0..3).map(|i| (i + 1, curve.objective()[i], 1)).collect::<Vec<_>>());
    let end = weight.to_vec1::<f64>()?[0];
    assert!((curve.objective()[2] - 10.0 * end * end).abs() < 1e-15);
    assert!(curve.term("square").is_some_and(|t| (t[2] - end * end).abs() < 1e-15));
    Ok(())
}

#[test]
fn a_validation_loss_that_is_not_finite_is_named() -> Result<()> {
    let weight = Var::new(&[1_f64], &Device::Cpu)?;
    let failed = Trainer::new("t", 3).validation(0.5).run(
        4,
        &mut Sgd::new(vec![weight.clone()]),
        &mut Silent,
        |batch| {
            let loss = weight.sqr()?.sum_all()?;
            Ok(Loss::new(if batch.mode == Mode::Eval { (loss / 0.0)? } else { loss }))
        },
    );
    assert!(
        matches!(&failed, Err(Error::NonFiniteLoss { step: 1, term, .. }) if term == "validation total"),
        "{failed:?}"
    );
    Ok(())
}

/// A denoiser with noise that is made ahead or in the loss; `fail` makes it or the loss fail at a batch.
fn denoise(
    ahead: bool,
    fail: [Option<usize>; 2],
    stop: usize,
    prepared: &AtomicUsize,
) -> Result<(Vec<f32>, History)> {
    let (x, params) = (table(40)?.to_dtype(DType::F32)?, Params::new(Seed::new(1)));
    let layer = Linear::new(&params, 3, 3)?;
    let trainer = Trainer::new("denoise", 6).batch_size(4).validation(0.2).accumulate(2);
    let fails = |at: Option<usize>, batch: &Batch<'_>, what| match at == Some(batch.number) {
        true => Err(Error::Empty { what, shape: vec![] }),
        false => Ok(()),
    };
    let prepare = |batch: &Batch<'_>| {
        prepared.fetch_add(1, Ordering::Relaxed);
        fails(fail[0], batch, "preparing")?;
        let x = batch.select(&x)?;
        let noise = Seed::new(5).indexed(batch.number).normals(x.elem_count());
        Ok((&x + Tensor::from_vec(noise, x.shape(), x.device())?.to_dtype(DType::F32)?)?)
    };
    let loss = |noisy: Tensor, batch: &Batch<'_>| {
        fails(fail[1], batch, "the loss")?;
        Ok(Loss::new((layer.forward(&noisy)? - batch.select(&x)?)?.sqr()?.mean_all()?))
    };
    let mut observer = |event: &Event<'_>| match event {
        Event::Step { done, .. } if *done == stop => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let mut optimizer = AdamW::new(params.trainable());
    let training = trainer.on(&params);
    let history = if ahead {
        training.run_prepared(40, &mut optimizer, &mut observer, prepare, loss)?
    } else {
        training.run(40, &mut optimizer, &mut observer, |batch| loss(prepare(batch)?, batch))?
    };
    let values = |(_, tensor): (String, Tensor)| Ok(tensor.flatten_all()?.to_vec1::<f32>()?);
    let values: Vec<Vec<f32>> = params.named_tensors().into_iter().map(values).collect::<Result<_>>()?;
    Ok((values.concat(), history))
}

#[test]
fn batches_prepared_ahead_give_the_same_bits() -> Result<()> {
    let count = AtomicUsize::new(0);
    let straight = denoise(false, [None; 2], 0, &count)?;
    assert_eq!(denoise(true, [None; 2], 0, &count)?, straight);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|e| Error::Backend(Box::new(e)))?;
    assert_eq!(pool.install(|| denoise(true, [None; 2], 0, &count))?, straight);
    Ok(())
}

#[test]
fn what_is_prepared_ahead_ends_with_the_training() -> Result<()> {
    let what = |result: Result<_>| match result {
        Err(Error::Empty { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let count = || AtomicUsize::new(0);
    // 8 batches an epoch, 6 epochs, and two batches of validation after each
    assert_eq!(what(denoise(true, [Some(11), None], 0, &count())), "preparing");
    for failing in [[None, Some(11)], [None, None]] {
        let prepared = count();
        let result = denoise(true, failing, 7, &prepared);
        match failing[1] {
            Some(_) => assert_eq!(what(result), "the loss"),
            None => assert_eq!(result?.1.stop(), Stop::Interrupted),
        }
        // at most those that wait, and the one at work, were in vain
        let prepared = prepared.into_inner();
        assert!((12..=21).contains(&prepared), "{prepared}");
    }
    Ok(())
}
