//! SimCLR and the supervised baseline keep the contract: bits, files, interruption, bad input.

use ndarray::{Array1, Array2};
use std::ops::ControlFlow;
use unsup_core::candle::{DType, Device, Tensor};
use unsup_core::estimator::{Fit, Predict, Transform};
use unsup_core::nn::ResNetSpec;
use unsup_core::observe::{Event, Silent, Stop};
use unsup_core::store::Persist;
use unsup_core::{Error, Seed, data, metrics};
use unsup_selfsup::{LinearProbe, SimClr, SimClrModel, Supervised, SupervisedModel, Views};

type Failure = Box<dyn std::error::Error>;

fn digits(n: usize) -> Result<(Tensor, Array1<usize>), Failure> {
    let digits = data::digits();
    let pixels: Vec<f32> = digits.x.iter().take(64 * n).map(|v| *v as f32 / 16.0).collect();
    Ok((
        Tensor::from_vec(pixels, (n, 1, 8, 8), &Device::Cpu)?,
        digits.labels.slice(ndarray::s![..n]).to_owned(),
    ))
}

fn spec() -> SimClr {
    SimClr::new(ResNetSpec::new(1).widths([6, 10])).projection(12, 8).epochs(2).batch_size(16).seed(3)
}

fn on<T: Send>(threads: usize, work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?
        .install(|| work().map_err(|e| e.to_string()))
        .map_err(Failure::from)
}

fn bits(table: &Array2<f32>) -> Vec<u32> {
    table.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn one_seed_gives_the_same_bits_on_one_thread_and_on_two() -> Result<(), Failure> {
    let (x, labels) = digits(50)?;
    let pretrain = || -> Result<Vec<u32>, Failure> {
        let model = spec().fit(&x)?;
        Ok([bits(&model.transform(&x)?), bits(&model.project(&x)?)].concat())
    };
    let once = on(1, pretrain)?;
    assert_eq!(once, on(2, pretrain)?);
    assert_eq!(once, on(1, pretrain)?);
    let supervise = || -> Result<Vec<f64>, Failure> {
        let spec = Supervised::new(ResNetSpec::new(1).widths([6, 10]))
            .views(Views::digits())
            .epochs(2)
            .batch_size(16);
        Ok(spec.fit(&x, &labels, &mut Silent)?.history().objective().to_vec())
    };
    assert_eq!(on(1, supervise)?, on(2, supervise)?);
    Ok(())
}

#[test]
fn features_do_not_depend_on_batch_mates_and_survive_a_file() -> Result<(), Failure> {
    fn shareable<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let (x, labels) = digits(60)?;
    let model = spec().fit(&x)?;
    shareable(&model);
    let features = model.transform(&x)?;
    assert_eq!(features.dim(), (60, 10));
    assert_eq!(model.project(&x)?.dim(), (60, 8));
    let alone = model.transform(&x.narrow(0, 7, 1)?)?;
    alone.iter().zip(features.row(7)).for_each(|(a, b)| assert!((a - b).abs() < 1e-5));

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    model.save(&path)?;
    let loaded = SimClrModel::load(&path)?;
    assert_eq!(bits(&loaded.transform(&x)?), bits(&features));
    assert_eq!((loaded.spec(), loaded.history()), (model.spec(), model.history()));
    assert!(matches!(SupervisedModel::load(&path), Err(Error::File { .. })), "another kind of model");
    let bytes = std::fs::read(&path)?;
    std::fs::write(&path, &bytes[..bytes.len() - 1])?;
    assert!(matches!(SimClrModel::load(&path), Err(Error::File { .. })));

    let network = Supervised::new(ResNetSpec::new(1).widths([8])).epochs(3).fit(&x, &labels, &mut Silent)?;
    shareable(&network);
    network.save(&path)?;
    assert_eq!(SupervisedModel::load(&path)?.predict(&x)?, network.predict(&x)?);
    Ok(())
}

#[test]
fn pretraining_lowers_the_loss_and_its_features_tell_digits_apart() -> Result<(), Failure> {
    let (x, labels) = digits(400)?;
    let trained =
        SimClr::new(ResNetSpec::new(1).widths([8, 16])).epochs(25).batch_size(64).seed(1).fit(&x)?;
    let objective = trained.history().objective();
    // log(2·64 − 1) = 4.84 is the loss of codes that say nothing
    assert!(objective[24] < objective[0] - 0.5 && objective[0] < 5.2, "{objective:?}");
    let accuracy = |model: &SimClrModel| -> Result<f64, Failure> {
        let features = model.transform(&x)?;
        let (few, rest) = (features.slice(ndarray::s![..40, ..]), features.slice(ndarray::s![40.., ..]));
        let probe = LinearProbe::new().fit(&few, &labels.slice(ndarray::s![..40]).to_owned())?;
        Ok(metrics::accuracy(&labels.slice(ndarray::s![40..]).to_owned(), &probe.predict(&rest)?)?)
    };
    let untrained =
        SimClr::new(ResNetSpec::new(1).widths([8, 16])).epochs(1).learning_rate(1e-12).seed(1).fit(&x)?;
    let (after, before) = (accuracy(&trained)?, accuracy(&untrained)?);
    assert!(after > before + 0.1, "{before} before, {after} after");
    Ok(())
}

#[test]
fn an_observer_that_breaks_gets_a_usable_model() -> Result<(), Failure> {
    let (x, _) = digits(40)?;
    let mut observer = |event: &Event<'_>| match event {
        Event::Progress { done: 2, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let model = spec().epochs(1000).fit_observed(&x, &mut observer)?;
    assert_eq!((model.history().iterations(), model.history().stop()), (2, Stop::Interrupted));
    assert!(model.transform(&x)?.iter().all(|v| v.is_finite()));
    Ok(())
}

#[test]
fn bad_input_is_named() -> Result<(), Failure> {
    let (x, labels) = digits(12)?;
    let named = |spec: SimClr| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(spec().temperature(0.0)), "temperature");
    assert_eq!(named(spec().batch_size(1)), "batch_size");
    assert_eq!(named(spec().epochs(0)), "epochs");
    assert_eq!(named(spec().projection(0, 8)), "projection");
    assert_eq!(named(spec().learning_rate(-1.0)), "learning_rate");
    assert_eq!(named(spec().weight_decay(f64::NAN)), "weight_decay");
    assert_eq!(named(SimClr::new(ResNetSpec::new(1).widths([0]))), "widths");

    let fit = |x: &Tensor| spec().fit(x).err();
    assert!(matches!(
        fit(&Tensor::zeros((0, 1, 8, 8), DType::F32, &Device::Cpu)?),
        Some(Error::Empty { .. })
    ));
    assert!(matches!(
        fit(&Tensor::zeros((4, 3, 8, 8), DType::F32, &Device::Cpu)?),
        Some(Error::Shape { .. })
    ));
    assert!(matches!(fit(&x.flatten_from(1)?), Some(Error::Shape { .. })));
    assert!(matches!(fit(&x.to_dtype(DType::F64)?), Some(Error::Shape { .. })));
    assert!(matches!(fit(&x.narrow(0, 0, 1)?), Some(Error::TooFewRows { needed: 2, found: 1, .. })));
    let mut pixels = x.flatten_all()?.to_vec1::<f32>()?;
    pixels[64 * 2 + 9] = f32::NAN;
    let bad = Tensor::from_vec(pixels, (12, 1, 8, 8), &Device::Cpu)?;
    assert!(matches!(fit(&bad), Some(Error::NonFinite { row: 2, column: 9, .. })));
    let model = spec().fit(&x)?;
    assert!(matches!(model.transform(&bad), Err(Error::NonFinite { row: 2, column: 9, .. })));
    assert!(matches!(
        model.transform(&Tensor::zeros((4, 3, 8, 8), DType::F32, &Device::Cpu)?),
        Err(Error::Shape { .. })
    ));

    let supervised = Supervised::new(ResNetSpec::new(1).widths([4])).epochs(1);
    let fit = |labels: &Array1<usize>| supervised.fit(&x, labels, &mut Silent).err();
    assert!(matches!(
        fit(&labels.slice(ndarray::s![..5]).to_owned()),
        Some(Error::Shape { what: "labels", .. })
    ));
    assert!(matches!(fit(&(labels + usize::from(u16::MAX))), Some(Error::Value { what: "labels", .. })));
    Ok(())
}

#[test]
fn views_of_other_seeds_are_other_views() -> Result<(), Failure> {
    let (x, _) = digits(4)?;
    let seen = |seed: u64| -> Result<Vec<f32>, Failure> {
        Ok(Views::digits().apply(&x, Seed::new(seed))?.flatten_all()?.to_vec1()?)
    };
    assert_ne!(seen(1)?, seen(2)?);
    Ok(())
}

#[test]
fn a_fit_that_was_stopped_goes_on_from_its_checkpoint_with_the_same_bits() -> Result<(), Failure> {
    fn stop_at_once(event: &Event<'_>) -> ControlFlow<()> {
        if matches!(event, Event::Progress { .. }) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
    let ((x, labels), folder) = (digits(50)?, tempfile::tempdir()?);
    let file = |name: &str| folder.path().join(name);
    let spec = spec().views(Views::digits()).epochs(3);
    spec.fit(&x)?.save(file("straight"))?;
    spec.fit_resumable(&x, file("checkpoint"), &mut stop_at_once)?;
    spec.fit_resumable(&x, file("checkpoint"), &mut Silent)?.save(file("stopped"))?;
    assert!(std::fs::read(file("straight"))? == std::fs::read(file("stopped"))?);
    let other = spec.temperature(0.3).fit_resumable(&x, file("checkpoint"), &mut Silent);
    assert!(matches!(&other, Err(Error::File { problem, .. }) if problem.contains("other settings")));

    let spec =
        Supervised::new(ResNetSpec::new(1).widths([6])).views(Views::digits()).epochs(3).batch_size(16);
    spec.fit(&x, &labels, &mut Silent)?.save(file("labelled"))?;
    spec.fit_resumable(&x, &labels, file("supervised"), &mut stop_at_once)?;
    spec.fit_resumable(&x, &labels, file("supervised"), &mut Silent)?.save(file("labelled, stopped"))?;
    assert!(std::fs::read(file("labelled"))? == std::fs::read(file("labelled, stopped"))?);
    Ok(())
}
