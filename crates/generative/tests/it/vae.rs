//! The VAE keeps the contract of every estimator: bits, files, interruption, bad input.

use std::ops::ControlFlow;
use unsup_core::candle::{DType, Device, Tensor};
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::observe::{Event, Silent, Stop};
use unsup_core::store::Persist;
use unsup_core::{Error, Seed, data};
use unsup_generative::{Likelihood, Vae, VaeModel, Variance};

type Failure = Box<dyn std::error::Error>;

fn digits(n: usize) -> Result<Tensor, Failure> {
    let pixels = data::digits().x.iter().take(64 * n).map(|v| *v as f32 / 16.0).collect::<Vec<_>>();
    Ok(Tensor::from_vec(pixels, (n, 1, 8, 8), &Device::Cpu)?)
}

/// Odd sizes and two channels.
fn odd_images(n: usize) -> Result<Tensor, Failure> {
    let pixels: Vec<f32> =
        Seed::new(8).normals(n * 2 * 11 * 7).into_iter().map(|v| (1.0 / (1.0 + (-v).exp())) as f32).collect();
    Ok(Tensor::from_vec(pixels, (n, 2, 11, 7), &Device::Cpu)?)
}

fn specs() -> [Vae; 4] {
    let few = |spec: Vae| spec.epochs(2).batch_size(16).importance_samples(4).seed(3);
    [
        few(Vae::dense(&[20], 3)),
        few(Vae::convolutional(&[4, 6], 3)),
        few(Vae::dense(&[], 2)).likelihood(Likelihood::Gaussian(Variance::Shared)),
        few(Vae::convolutional(&[5], 2)).likelihood(Likelihood::Gaussian(Variance::PerPixel)).beta(2.0),
    ]
}

fn values(x: &Tensor) -> Result<Vec<f32>, Failure> {
    Ok(x.flatten_all()?.to_vec1()?)
}

/// Every answer of a model, as bits.
fn answers(model: &VaeModel, x: &Tensor) -> Result<Vec<u64>, Failure> {
    let posterior = model.encode(x)?;
    let elbo = model.elbo(x, Seed::new(5), 2)?;
    let tensors =
        [posterior.mean, posterior.log_variance, model.reconstruct(x)?, model.sample(5, Seed::new(6))?];
    let mut bits = vec![elbo.reconstruction.to_bits(), elbo.kl.to_bits()];
    for tensor in tensors {
        bits.extend(values(&tensor)?.iter().map(|v| u64::from(v.to_bits())));
    }
    bits.extend(model.log_density(x)?.iter().map(|v| v.to_bits()));
    Ok(bits)
}

#[test]
fn one_seed_gives_the_same_bits_on_one_thread_and_on_two() -> Result<(), Failure> {
    for images in [digits(40)?, odd_images(40)?] {
        for spec in specs() {
            let on = |threads: usize| -> Result<Vec<u64>, Failure> {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
                let fit = || -> Result<Vec<u64>, Failure> { answers(&spec.fit(&images)?, &images) };
                pool.install(|| fit().map_err(|e| e.to_string())).map_err(Failure::from)
            };
            let once = on(1)?;
            assert_eq!(once, on(2)?, "{spec:?}");
            assert_eq!(once, on(1)?, "{spec:?}");
        }
    }
    Ok(())
}

#[test]
fn a_saved_model_gives_the_same_bits_and_a_cut_file_is_refused() -> Result<(), Failure> {
    fn shareable<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let images = odd_images(20)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("vae");
    for spec in specs() {
        let model = spec.fit(&images)?;
        shareable(&model);
        model.save(&path)?;
        let loaded = VaeModel::load(&path)?;
        assert_eq!(answers(&loaded, &images)?, answers(&model, &images)?);
        assert_eq!((loaded.spec(), loaded.history()), (&spec, model.history()));
        let bytes = std::fs::read(&path)?;
        for length in [0, 100, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length])?;
            assert!(matches!(VaeModel::load(&path), Err(Error::File { .. })));
        }
    }
    Ok(())
}

#[test]
fn parts_add_up() -> Result<(), Failure> {
    let images = digits(60)?;
    let model = Vae::dense(&[32], 4).epochs(30).seed(1).fit(&images)?;
    let elbo = model.elbo(&images, Seed::new(1), 4)?;
    assert!((elbo.total() - (elbo.reconstruction - elbo.kl)).abs() < 1e-12);
    assert!(elbo.kl >= 0.0);
    // more importance samples tighten the bound (Burda et al. 2016, theorem 1), in expectation
    let bound = |k: usize, seed: u64| {
        model.log_density_bound(&images, Seed::new(seed), k).map(|b| b.mean().unwrap_or(f64::NAN))
    };
    let one = (0..200).map(|seed| bound(1, seed)).sum::<unsup_core::Result<f64>>()? / 200.0;
    let many = bound(200, 1)?;
    assert!(one < many && elbo.total() < many, "{one} {} {many}", elbo.total());
    assert_eq!(model.anomaly_score(&images)?, -model.log_density(&images)?);
    let code = model.transform(&images)?;
    assert_eq!(values(&model.inverse_transform(&code)?)?, values(&model.reconstruct(&images)?)?);
    assert!(values(&model.sample(9, Seed::new(3))?)?.iter().all(|p| (0.0..=1.0).contains(p)));
    let history = model.history();
    let sum = history.term("kl").zip(history.term("reconstruction")).map(|(kl, r)| kl[29] - r[29]);
    assert!(sum.is_some_and(|s| (s - history.objective()[29]).abs() < 1e-4 * s.abs()));
    assert!(history.objective()[29] < history.objective()[0]);
    // β presses the code: its KL falls
    let pressed = Vae::dense(&[32], 4).beta(20.0).epochs(30).seed(1).fit(&images)?;
    assert!(pressed.elbo(&images, Seed::new(1), 4)?.kl < elbo.kl);
    Ok(())
}

#[test]
fn an_observer_that_breaks_gets_a_usable_model() -> Result<(), Failure> {
    let images = digits(40)?;
    let mut epochs = 0;
    let mut observer = |event: &Event<'_>| match event {
        Event::Progress { terms, .. } => {
            epochs += 1;
            assert_eq!(terms.iter().map(|t| t.0).collect::<Vec<_>>(), ["reconstruction", "kl"]);
            if epochs == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        _ => ControlFlow::Continue(()),
    };
    let model = Vae::dense(&[16], 2).epochs(1000).fit_observed(&images, &mut observer)?;
    assert_eq!((model.history().iterations(), model.history().stop()), (3, Stop::Interrupted));
    assert!(model.elbo(&images, Seed::new(1), 1)?.total().is_finite());
    Ok(())
}

#[test]
fn bad_input_is_named() -> Result<(), Failure> {
    let images = digits(10)?;
    let spec = Vae::dense(&[8], 2).epochs(1);
    let fit = |x: &Tensor| spec.fit_observed(x, &mut Silent).err();
    let with = |value: f32| -> Result<Tensor, Failure> {
        let mut pixels = values(&images)?;
        pixels[64 * 3 + 5] = value;
        Ok(Tensor::from_vec(pixels, (10, 1, 8, 8), &Device::Cpu)?)
    };
    for bad in [f32::NAN, f32::INFINITY] {
        assert!(matches!(fit(&with(bad)?), Some(Error::NonFinite { row: 3, column: 5, .. })));
    }
    assert!(matches!(fit(&with(1.5)?), Some(Error::Value { what: "x", index: 197, .. })));
    assert!(matches!(fit(&images.flatten_from(1)?), Some(Error::Shape { what: "x", .. })));
    assert!(matches!(fit(&images.to_dtype(DType::F64)?), Some(Error::Shape { what: "x", .. })));
    assert!(matches!(
        fit(&Tensor::zeros((0, 1, 8, 8), DType::F32, &Device::Cpu)?),
        Some(Error::Empty { .. })
    ));
    let named = |spec: Vae| match spec.fit(&images) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    for (spec, name) in [
        (Vae::dense(&[8, 0], 2), "hidden"),
        (Vae::convolutional(&[0], 2), "channels"),
        (Vae::dense(&[8], 0), "latent"),
        (Vae::dense(&[8], 2).epochs(0), "epochs"),
        (Vae::dense(&[8], 2).batch_size(0), "batch_size"),
        (Vae::dense(&[8], 2).beta(-1.0), "beta"),
        (Vae::dense(&[8], 2).learning_rate(f64::NAN), "learning_rate"),
        (Vae::dense(&[8], 2).importance_samples(0), "importance_samples"),
        (Vae::dense(&[8], 2).likelihood(Likelihood::Gaussian(Variance::Fixed(0.0))), "variance"),
    ] {
        assert_eq!(named(spec), name);
    }
    let model = spec.fit(&images)?;
    assert!(matches!(model.transform(&odd_images(2)?), Err(Error::Shape { what: "x", .. })));
    let wide = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    assert!(matches!(model.inverse_transform(&wide), Err(Error::Shape { what: "z", .. })));
    for n in [0, 1 << 50, usize::MAX] {
        assert!(matches!(model.sample(n, Seed::new(1)), Err(Error::Parameter { name: "n", .. })));
    }
    assert!(matches!(model.elbo(&images, Seed::new(1), 0), Err(Error::Parameter { name: "samples", .. })));
    // a learning rate that makes the loss overflow ends in an error, not in a model of NaN
    let wild = Vae::dense(&[8], 2)
        .epochs(200)
        .learning_rate(1e6)
        .likelihood(Likelihood::Gaussian(Variance::Fixed(1e-3)));
    match wild.fit(&images) {
        Err(Error::NonFiniteLoss { .. }) => {}
        Ok(model) => assert!(values(&model.reconstruct(&images)?)?.iter().all(|v| v.is_finite())),
        Err(other) => panic!("{other}"),
    }
    Ok(())
}

#[test]
fn a_fit_that_was_stopped_goes_on_from_its_checkpoint_with_the_same_bits() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    for (i, spec) in specs().into_iter().enumerate() {
        let (spec, images) = (spec.epochs(3), odd_images(40)?);
        let [straight, stopped, checkpoint] =
            ["straight", "stopped", "checkpoint"].map(|name| folder.path().join(format!("{name}{i}")));
        spec.fit(&images)?.save(&straight)?;
        let mut stop = |event: &Event<'_>| match event {
            Event::Progress { done: 1, .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        assert_eq!(spec.fit_resumable(&images, &checkpoint, &mut stop)?.history().iterations(), 1);
        spec.fit_resumable(&images, &checkpoint, &mut Silent)?.save(&stopped)?;
        assert!(std::fs::read(&straight)? == std::fs::read(&stopped)?, "{spec:?}");
        let other = spec.clone().beta(3.0).fit_resumable(&images, &checkpoint, &mut Silent);
        assert!(matches!(&other, Err(Error::File { problem, .. }) if problem.contains("other settings")));
    }
    Ok(())
}
