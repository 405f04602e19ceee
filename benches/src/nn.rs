//! The workloads of the group `nn`: operations forward and backward, and whole training steps.
//!
//! Each is prepared once from the arrays that the harness wrote (so that both sides hold the same
//! numbers) and then run again and again; only the part that its name says is on the clock.

use std::path::Path;
use std::time::Instant;
use unsup::core::candle::{DType, Device, Tensor, Var};
use unsup::core::data::npy;
use unsup::core::math::in_pool;
use unsup::core::nn::{
    BatchNorm, Conv2d, ConvSpec, ConvTranspose2d, Linear, Mlp, Mode, Params, ResNet, ResNetSpec, backward,
    ops,
};
use unsup::core::train::{AdamW, Optimizer, Sgd};
use unsup::generative::loss::{kl_standard_normal, reparameterize};
use unsup::prelude::*;

/// One run: the seconds on the clock, and a number that shows that the result is right.
pub type Run = Box<dyn FnMut() -> unsup::Result<(f64, f64)>>;

const NO_GRADIENT: unsup::Error = unsup::Error::Empty { what: "gradient", shape: vec![] };

/// The workload of this name; its arrays lie in `folder`.
///
/// # Errors
/// When the name is unknown or an array is missing.
pub fn prepare(name: &str, folder: &Path) -> unsup::Result<Run> {
    let arrays = |array: &str| read(folder, name, array);
    match name {
        "conv_32_64_fwd" | "conv_64_128_fwd" => {
            let (x, weight) = (arrays("x")?, arrays("weight")?);
            Ok(forward(move || ops::conv2d(&x, &weight, None, 1, 1)))
        }
        "conv_32_64_bwd" | "conv_64_128_bwd" => {
            let weight = variable(arrays("weight")?)?;
            gradient(arrays("x")?, move |x| ops::conv2d(x, &weight, None, 1, 1))
        }
        "batch_norm_bwd" | "batch_norm_relu_bwd" => {
            let slope = if name == "batch_norm_relu_bwd" { 0.0 } else { 1.0 };
            let x = arrays("x")?;
            let gamma = variable(Tensor::ones(x.dim(1)?, x.dtype(), x.device())?)?;
            let beta = variable(Tensor::zeros(x.dim(1)?, x.dtype(), x.device())?)?;
            let norm = move |x: &Tensor| Ok(ops::batch_norm(x, &gamma, &beta, 1e-5, slope)?.0);
            // a shift of a channel changes nothing: what is compared is the gradient of Σ y·x² in x
            let leaf = variable(x.clone())?;
            let gradients = backward(&(norm(&leaf)? * x.sqr()?)?.sum_all()?)?;
            let of_x = gradients.get(&leaf).ok_or(NO_GRADIENT)?;
            let compared = square_sum(of_x)?;
            let mut run = gradient(x, norm)?;
            Ok(Box::new(move || Ok((run()?.0, compared))))
        }
        "max_pool_bwd" => gradient(arrays("x")?, |x| ops::max_pool2d(x, 2, 2)),
        "avg_pool_bwd" => gradient(arrays("x")?, |x| ops::avg_pool2d(x, 2, 2)),
        "log_softmax_bwd" => gradient(arrays("x")?, ops::log_softmax),
        "resnet18_step" => step(resnet18(Arrays::Written(folder))?),
        "dense_ae_step" => step(dense_autoencoder(Arrays::Written(folder))?),
        "vae_step" => step(vae(Arrays::Written(folder))?),
        "dcgan_step" => step(dcgan(Arrays::Written(folder))?),
        other => Err(unsup::Error::parameter("row", other, "a workload of the group nn")),
    }
}

fn read(folder: &Path, name: &str, array: &str) -> unsup::Result<Tensor> {
    let array = npy::read_as::<f32>(folder.join(format!("{name}.{array}.npy")))?;
    let shape = array.shape().to_vec();
    Ok(Tensor::from_vec(array.into_iter().collect(), shape, &Device::Cpu)?)
}

fn variable(x: Tensor) -> unsup::Result<Var> {
    Ok(Var::from_tensor(&x)?)
}

fn square_sum(x: &Tensor) -> unsup::Result<f64> {
    Ok(f64::from(x.sqr()?.mean_all()?.to_scalar::<f32>()?))
}

fn forward(run: impl Fn() -> unsup::Result<Tensor> + 'static) -> Run {
    Box::new(move || {
        let start = Instant::now();
        let y = run()?;
        Ok((start.elapsed().as_secs_f64(), square_sum(&y)?))
    })
}

/// The gradient of the sum of the result. As in a network x is the result of another operation, a cheap one: a shift of
/// each channel, whose gradient is the one that is compared.
fn gradient(x: Tensor, run: impl Fn(&Tensor) -> unsup::Result<Tensor> + 'static) -> unsup::Result<Run> {
    let shift = Var::zeros(x.dim(1)?, x.dtype(), x.device())?;
    Ok(Box::new(move || {
        let y = run(&ops::add_channels(&x, &shift)?)?;
        let y = ops::sum_axes(&y, &(0..y.rank()).collect::<Vec<_>>())?;
        let start = Instant::now();
        let gradients = backward(&y)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((seconds, square_sum(gradients.get(&shift).ok_or(NO_GRADIENT)?)?))
    }))
}

/// A training step: forward, loss, backward, update. Returns the loss.
pub type Step = Box<dyn FnMut() -> unsup::Result<f64> + Send>;

fn step(mut step: Step) -> unsup::Result<Run> {
    let mut loss = 0.0;
    for _ in 0..3 {
        loss = in_pool(&mut step)?;
    }
    Ok(Box::new(move || {
        let start = Instant::now();
        // as the trainer does
        in_pool(&mut step)?;
        Ok((start.elapsed().as_secs_f64(), loss))
    }))
}

/// Where a training step has its arrays from.
#[derive(Debug, Clone, Copy)]
pub enum Arrays<'a> {
    /// The harness wrote them here, so that both sides hold the same numbers.
    Written(&'a Path),
    /// Normal numbers; parameters start as they are initialised.
    Drawn,
}

impl Arrays<'_> {
    fn get(self, row: &str, name: &str, shape: &[usize]) -> unsup::Result<Tensor> {
        let Arrays::Written(folder) = self else {
            let values = Seed::new(1).named(name).normals(shape.iter().product());
            let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            return Ok(Tensor::from_vec(values, shape, &Device::Cpu)?);
        };
        read(folder, row, name)
    }

    /// The parameters, at their start.
    fn start(self, row: &str, name: &str, params: &Params) -> unsup::Result<Vec<Var>> {
        match self {
            Arrays::Written(folder) => start(params, &read(folder, row, name)?),
            Arrays::Drawn => Ok(params.trainable()),
        }
    }
}

/// Parameters that start at the values the harness wrote, one after the other.
fn start(params: &Params, weights: &Tensor) -> unsup::Result<Vec<Var>> {
    let variables = params.trainable();
    let mut at = 0;
    for variable in &variables {
        variable.set(&weights.narrow(0, at, variable.elem_count())?.reshape(variable.shape())?)?;
        at += variable.elem_count();
    }
    if at != weights.elem_count() {
        let (expected, found) = (format!("{at} weights"), format!("{}", weights.elem_count()));
        return Err(unsup::Error::shape("the weights", expected, found));
    }
    Ok(variables)
}

fn value(loss: &Tensor) -> unsup::Result<f64> {
    Ok(f64::from(loss.to_scalar::<f32>()?))
}

/// ResNet-18 with the CIFAR stem, batch 64, SGD with momentum. For the row of its memory too.
///
/// # Errors
/// When an array is missing.
pub fn resnet18(arrays: Arrays<'_>) -> unsup::Result<Step> {
    const ROW: &str = "resnet18_step";
    let x = arrays.get(ROW, "x", &[64, 3, 32, 32])?;
    let labels = match arrays {
        Arrays::Written(folder) => read(folder, ROW, "labels")?.to_dtype(DType::U32)?,
        Arrays::Drawn => Tensor::zeros(64, DType::U32, &Device::Cpu)?,
    };
    let params = Params::new(Seed::new(0));
    let net = ResNet::new(&params, &ResNetSpec::new(3).widths([64, 128, 256, 512]).blocks(2))?;
    let head = Linear::new(&params.scope("head"), net.features(), 10)?;
    let mut optimizer = Sgd::new(arrays.start(ROW, "weights", &params)?).momentum(0.9);
    Ok(Box::new(move || {
        let logits = head.forward(&net.forward(&x, Mode::Train)?)?;
        let loss = ops::cross_entropy(&logits, &labels)?;
        optimizer.step(&backward(&loss)?, 0.01)?;
        value(&loss)
    }))
}

/// 784-512-256-32 and back, squared error, batch 128, AdamW.
///
/// # Errors
/// When an array is missing.
pub fn dense_autoencoder(arrays: Arrays<'_>) -> unsup::Result<Step> {
    const ROW: &str = "dense_ae_step";
    let x = arrays.get(ROW, "x", &[128, 784])?;
    let params = Params::new(Seed::new(0));
    let net = Mlp::new(&params, &[784, 512, 256, 32, 256, 512, 784])?;
    let mut optimizer = AdamW::new(arrays.start(ROW, "weights", &params)?);
    Ok(Box::new(move || {
        let loss = ops::mean_squared_error(&net.forward(&x, Mode::Train)?, &x)?;
        optimizer.step(&backward(&loss)?, 1e-3)?;
        value(&loss)
    }))
}

/// 784-400-20, Bernoulli pixels, batch 128, AdamW.
///
/// # Errors
/// When an array is missing.
pub fn vae(arrays: Arrays<'_>) -> unsup::Result<Step> {
    const ROW: &str = "vae_step";
    let (x, noise) = (arrays.get(ROW, "x", &[128, 784])?, arrays.get(ROW, "noise", &[128, 20])?);
    let params = Params::new(Seed::new(0));
    let encoder = Mlp::new(&params.scope("encoder"), &[784, 400, 40])?;
    let decoder = Mlp::new(&params.scope("decoder"), &[20, 400, 784])?;
    let mut optimizer = AdamW::new(arrays.start(ROW, "weights", &params)?);
    Ok(Box::new(move || {
        let moments = encoder.forward(&x, Mode::Train)?;
        let (mean, log_variance) = (moments.narrow(1, 0, 20)?, moments.narrow(1, 20, 20)?);
        let code = reparameterize(&mean.contiguous()?, &log_variance.contiguous()?, &noise)?;
        let output = decoder.forward(&code, Mode::Train)?;
        let kl = kl_standard_normal(&mean.contiguous()?, &log_variance.contiguous()?)?;
        let loss = (kl.mean(0)? - ops::bernoulli_log_likelihood(&x, &output)?.mean(0)?)?;
        optimizer.step(&backward(&loss)?, 1e-3)?;
        value(&loss)
    }))
}

/// Generator 64 → 256 x 4² → 128 x 8² → 64 x 16² → 1 x 32² and the discriminator that mirrors it
/// (Radford et al. 2016): one step of each, batch 64, Adam.
///
/// # Errors
/// When an array is missing.
pub fn dcgan(arrays: Arrays<'_>) -> unsup::Result<Step> {
    const ROW: &str = "dcgan_step";
    const WIDTHS: [usize; 4] = [256, 128, 64, 1];
    let (x, noise) = (arrays.get(ROW, "x", &[64, 1, 32, 32])?, arrays.get(ROW, "noise", &[64, 64])?);
    let params = [Params::new(Seed::new(0)), Params::new(Seed::new(1))];
    let (first, halving) = (ConvSpec::new(4).bias(false), ConvSpec::new(4).stride(2).padding(1).bias(false));
    let mut up = Vec::new();
    for (i, (&from, &to)) in [64].iter().chain(&WIDTHS).zip(&WIDTHS).enumerate() {
        let scope = params[0].scope(i);
        let conv = ConvTranspose2d::new(&scope, from, to, if i == 0 { first } else { halving })?;
        up.push((conv, if to > 1 { Some(BatchNorm::new(&scope, to)?) } else { None }));
    }
    let mut down = Vec::new();
    for (i, (&from, &to)) in WIDTHS.iter().rev().zip(WIDTHS[..3].iter().rev().chain(&[1])).enumerate() {
        let scope = params[1].scope(i);
        let conv = Conv2d::new(&scope, from, to, if i == 3 { first } else { halving })?;
        let norm = if 0 < i && i < 3 { Some(BatchNorm::new(&scope, to)?) } else { None };
        down.push((conv, norm));
    }
    let generate = move |z: &Tensor| {
        let mut x = z.reshape((z.dim(0)?, 64, 1, 1))?;
        for (conv, norm) in &up {
            x = conv.forward(&x)?;
            x = match norm {
                Some(norm) => norm.forward_relu(&x, Mode::Train)?,
                None => ops::tanh(&x)?,
            };
        }
        Ok::<_, unsup::Error>(x)
    };
    let judge = move |x: &Tensor| {
        let mut x = x.clone();
        for (i, (conv, norm)) in down.iter().enumerate() {
            x = conv.forward(&x)?;
            x = match norm {
                Some(norm) => norm.forward_leaky_relu(&x, 0.2, Mode::Train)?,
                None if i < 3 => ops::leaky_relu(&x, 0.2)?,
                None => x,
            };
        }
        Ok::<_, unsup::Error>(x.flatten_all()?)
    };
    let [generator, discriminator] = [("generator", 0), ("discriminator", 1)].map(|(name, i)| {
        arrays
            .start(ROW, name, &params[i])
            .map(|variables| AdamW::new(variables).betas(0.5, 0.999).weight_decay(0.0))
    });
    let (mut generator, mut discriminator) = (generator?, discriminator?);
    let (ones, zeros) = (Tensor::ones(64, x.dtype(), x.device())?, Tensor::zeros(64, x.dtype(), x.device())?);
    Ok(Box::new(move || {
        let fake = generate(&noise)?;
        let real_loss = ops::bce_with_logits(&judge(&x)?, &ones)?;
        let fake_loss = ops::bce_with_logits(&judge(&fake.detach())?, &zeros)?;
        let loss = (real_loss + fake_loss)?;
        discriminator.step(&backward(&loss)?, 2e-4)?;
        let fooled = ops::bce_with_logits(&judge(&fake)?, &ones)?;
        generator.step(&backward(&fooled)?, 2e-4)?;
        Ok(value(&loss)? + value(&fooled)?)
    }))
}
