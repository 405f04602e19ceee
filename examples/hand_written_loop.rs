//! A training loop without the trainer, from the same parts: batches, schedule, optimizer, clipping, a moving average, a
//! checkpoint, a stop by Ctrl-C. Write one like it when a method has several losses, optimizers or teachers.
//!
//!     cargo run --release --example hand_written_loop            # some seconds
//!     cargo run --release --example hand_written_loop -- --quick # the same in a small form
//!
//! Trains a denoising autoencoder (Vincent et al. 2008) on the bundled digits. Ctrl-C stops it between two steps; run again, it
//! goes on from its checkpoint with the same bits. The last line is JSON.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;
use unsup::candle::{Device, Tensor};
use unsup::core::data::{self, split::train_test_split};
use unsup::core::math::in_pool;
use unsup::core::nn::{Mlp, Mode, Params, backward, ops};
use unsup::core::observe::{Event, Interrupt, Observer, ProgressBar, Silent, Stop};
use unsup::core::store::Record;
use unsup::core::train::{AdamW, Batch, Ema, Optimizer, Schedule, State, batches, clip_gradients};
use unsup::core::{Error, Result, Seed};

// A library must not choose the allocator; a program that trains networks should (docs: performance).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TASK: &str = "denoising autoencoder";
const WIDTHS: [usize; 5] = [64, 128, 16, 128, 64];
const BATCH: usize = 64;
/// Steps between two checkpoints.
const EVERY: usize = 100;
/// The standard deviation of the noise; pixels are from 0 to 1.
const NOISE: f64 = 0.3;

/// The network, its average, and where its training is.
struct Denoiser {
    params: Params,
    network: Mlp,
    average: Mlp,
    ema: Ema,
    step: usize,
}

impl Denoiser {
    fn new(seed: Seed) -> Result<Self> {
        let params = Params::new(seed);
        let network = Mlp::new(&params.scope("network"), &WIDTHS)?;
        let ema = Ema::new(&params.scope("network"), &params.scope("average"), 0.99)?;
        let average = Mlp::new(&params.scope("average"), &WIDTHS)?;
        Ok(Denoiser { params, network, average, ema, step: 0 })
    }

    /// One file, replaced as a whole or not at all.
    fn save(&self, optimizer: &dyn Optimizer, path: &Path) -> Result<()> {
        let record = Record::new("Denoiser").value("step", &self.step)?;
        optimizer.write("optimizer.", State::write(&self.params, "params.", record)?)?.save(path)
    }

    /// Goes back to where the file is, if there is one.
    fn load(&mut self, optimizer: &mut dyn Optimizer, path: &Path) -> Result<()> {
        if path.exists() {
            let record = Record::load(path, "Denoiser")?;
            State::read(&mut self.params, "params.", &record)?;
            optimizer.read("optimizer.", &record)?;
            self.step = record.read_value("step")?;
        }
        Ok(())
    }
}

/// x + noise of one batch: from the seed and the number of the batch, so that no generator has to be saved.
fn noisy(x: &Tensor, seed: Seed) -> Result<Tensor> {
    let noise = Tensor::from_vec(seed.normals(x.elem_count()), x.shape(), x.device())?;
    Ok((x + (noise * NOISE)?.to_dtype(x.dtype())?)?)
}

/// The loop. Everything that follows from seed and step needs no saving: the order of the rows, the noise, the rate.
fn train(x: &Tensor, steps: usize, path: &Path, observer: &mut dyn Observer) -> Result<(Denoiser, Stop)> {
    let seed = Seed::new(7);
    let mut model = Denoiser::new(seed)?;
    let mut optimizer = AdamW::new(model.params.trainable()).weight_decay(1e-4);
    let schedule = Schedule::cosine(3e-3).warmup(0.05);
    model.load(&mut optimizer, path)?;

    let rows = x.dim(0)?;
    let steps_an_epoch = rows.div_ceil(BATCH);
    let mut stop = Stop::IterationLimit;
    let _ = observer.observe(&Event::Started { task: TASK, total: steps.div_ceil(EVERY) });
    'training: for epoch in model.step / steps_an_epoch.. {
        let order = batches(rows, BATCH, false, seed.indexed(epoch));
        for indices in &order[model.step % steps_an_epoch..] {
            if model.step >= steps {
                break 'training;
            }
            let step = model.step;
            let batch = Batch { indices, epoch, step, number: step, mode: Mode::Train };
            let clean = batch.select(x)?;
            let seen = noisy(&clean, seed.named("noise").indexed(batch.number))?;
            // one entry into the pool of threads for all the short parallel pieces of a step
            let value = in_pool(|| -> Result<f64> {
                let loss = ops::mean_squared_error(&model.network.forward(&seen, batch.mode)?, &clean)?;
                let value = f64::from(loss.to_scalar::<f32>()?);
                if !value.is_finite() {
                    return Err(Error::NonFiniteLoss { step, term: "total".to_owned(), value });
                }
                let mut gradients = backward(&loss)?;
                clip_gradients(&mut gradients, optimizer.parameters(), 1.0)?;
                optimizer.step(&gradients, schedule.rate(step, steps))?;
                model.ema.update()?;
                Ok(value)
            })?;
            model.step += 1;

            let done = model.step;
            let mut told = observer.observe(&Event::Step { task: TASK, done, total: steps });
            if done.is_multiple_of(EVERY) || done == steps {
                let done = done.div_ceil(EVERY);
                let progress = Event::Progress { task: TASK, done, objective: value, terms: &[] };
                told = if told.is_break() { told } else { observer.observe(&progress) };
                model.save(&optimizer, path)?;
            }
            if told.is_break() {
                model.save(&optimizer, path)?;
                stop = Stop::Interrupted;
                break 'training;
            }
        }
    }
    let _ = observer.observe(&Event::Finished { task: TASK, stop });
    Ok((model, stop))
}

/// Mean squared error a pixel on digits that were not trained on.
fn error(denoised: &Tensor, clean: &Tensor) -> Result<f64> {
    Ok(f64::from((denoised - clean)?.sqr()?.mean_all()?.to_scalar::<f32>()?))
}

fn main() -> std::result::Result<(), unsup_examples::Failure> {
    let start = Instant::now();
    let steps = if unsup_examples::quick()? { 300 } else { 4000 };
    let folder = unsup_examples::folder("hand_written_loop")?;

    // Ctrl-C turns the switch; the loop looks at it between two steps. Pressed again, it ends the process.
    let interrupt = Interrupt::new();
    let switch = interrupt.clone();
    ctrlc::set_handler(move || match switch.is_stopped() {
        true => std::process::exit(130),
        false => switch.stop(),
    })?;

    let digits = data::digits().x.mapv(|v| v as f32 / 16.0);
    let split = train_test_split(digits.nrows(), 0.2, Seed::new(1))?;
    let table = |rows: &[usize]| -> Result<Tensor> {
        let pixels = rows.iter().flat_map(|&row| digits.row(row).to_vec()).collect();
        Ok(Tensor::from_vec(pixels, (rows.len(), 64), &Device::Cpu)?)
    };
    let (x, unseen) = (table(&split.train)?, table(&split.test)?);

    let path = folder.join(format!("{steps} steps.safetensors"));
    let mut observer = (ProgressBar::new(), interrupt);
    let (model, stop) = train(&x, steps, &path, &mut observer)?;
    if stop == Stop::Interrupted {
        println!("stopped after step {}; run again to go on from {}", model.step, path.display());
        println!("{}", serde_json::json!({ "steps": model.step, "finished": false }));
        return Ok(());
    }
    std::fs::remove_file(&path)?;

    // the claim, tried: a training that was stopped at an odd place ends with the same bits
    let path = folder.join("stopped.safetensors");
    let mut stop = |event: &Event<'_>| match *event {
        Event::Step { done, total, .. } if done == total / 2 + 7 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    train(&x, steps, &path, &mut stop)?;
    let (resumed, _) = train(&x, steps, &path, &mut Silent)?;
    std::fs::remove_file(&path)?;
    let values = |model: &Denoiser| -> Result<Vec<Vec<f32>>> {
        let tensors = model.params.named_tensors().into_iter();
        tensors.map(|(_, tensor)| Ok(tensor.flatten_all()?.to_vec1()?)).collect()
    };
    let same = values(&resumed)? == values(&model)?;

    let seen = noisy(&unseen, Seed::new(2))?;
    let figures = serde_json::json!({
        "steps": model.step,
        "finished": true,
        "noise": error(&seen, &unseen)?,
        "error": error(&model.network.forward(&seen, Mode::Eval)?, &unseen)?,
        "error_of_average": error(&model.average.forward(&seen, Mode::Eval)?, &unseen)?,
        "resumed_with_the_same_bits": same,
        "seconds": start.elapsed().as_secs_f64(),
    });
    println!("mean squared error a pixel on unseen digits: {}", figures["error"]);
    println!("{figures}");
    Ok(())
}
