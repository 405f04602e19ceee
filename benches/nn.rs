//! Convolutions by size and stride, normalisation, losses, and whole training steps.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use unsup::Seed;
use unsup::core::candle::{Device, Tensor, Var};
use unsup::core::math::in_pool;
use unsup::core::nn::backward;
use unsup::core::nn::ops::{self, ConvOptions};
use unsup_benches::nn::{Arrays, Step, dcgan, dense_autoencoder, resnet18, vae};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 64;

fn normals(shape: &[usize]) -> unsup::Result<Tensor> {
    let values = Seed::new(1).normals(shape.iter().product()).into_iter().map(|v| v as f32);
    Ok(Tensor::from_vec(values.collect::<Vec<_>>(), shape, &Device::Cpu)?)
}

fn settings(
    c: &mut Criterion,
    name: &str,
    f: impl FnOnce(&mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>) -> unsup::Result<()>,
) {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    if let Err(error) = f(&mut group) {
        panic!("{name}: {error}");
    }
    group.finish();
}

/// (inputs, outputs, side, kernel, stride, padding)
const CONVOLUTIONS: [[usize; 6]; 7] = [
    [32, 64, 28, 3, 1, 1],
    [64, 128, 32, 3, 1, 1],
    [64, 64, 32, 3, 1, 1],
    [512, 512, 4, 3, 1, 1],
    [64, 128, 32, 3, 2, 1],
    [64, 128, 16, 4, 2, 1],
    [256, 1, 4, 4, 1, 0],
];

fn convolutions(c: &mut Criterion) {
    for pass in ["forward", "input gradient", "weight gradient"] {
        settings(c, &format!("conv2d {pass}"), |group| {
            for [inputs, outputs, side, kernel, stride, padding] in CONVOLUTIONS {
                let out = (side + 2 * padding - kernel) / stride + 1;
                let x = normals(&[BATCH, inputs, side, side])?;
                let weight = normals(&[outputs, inputs, kernel, kernel])?;
                let y = normals(&[BATCH, outputs, out, out])?;
                let options = ConvOptions::new().stride(stride).padding(padding);
                group.throughput(Throughput::Elements((y.elem_count() * inputs * kernel * kernel) as u64));
                let id = BenchmarkId::from_parameter(format!(
                    "{inputs}→{outputs} at {side}², {kernel}x{kernel}, stride {stride}"
                ));
                group.bench_function(id, |b| {
                    b.iter(|| match pass {
                        "forward" => ops::conv2d_with(black_box(&x), &weight, None, options),
                        "input gradient" => {
                            ops::conv2d_input_gradient(black_box(&y), &weight, [side; 2], options)
                        }
                        _ => ops::conv2d_weight_gradient_with(black_box(&x), &y, [kernel; 2], options),
                    });
                });
            }
            Ok(())
        });
    }
}

fn backward_passes(c: &mut Criterion) {
    settings(c, "backward of a sum", |group| {
        let mut bench = |name: &str, shape: &[usize], f: &dyn Fn(&Tensor) -> unsup::Result<Tensor>| {
            let (x, shift) = (normals(shape)?, Var::from_tensor(&normals(&shape[1..2])?)?);
            let axes: Vec<usize> = (0..shape.len()).collect();
            let graph = || ops::sum_axes(&f(&ops::add_channels(&x, &shift)?)?, &axes);
            graph()?;
            group.bench_function(name, |b| {
                b.iter_batched(graph, |y| y.and_then(|y| backward(&y)).map(drop), BatchSize::PerIteration);
            });
            Ok(())
        };
        let (gamma, beta) = (Var::from_tensor(&normals(&[64])?)?, Var::from_tensor(&normals(&[64])?)?);
        bench("batch norm 64x64x28²", &[BATCH, 64, 28, 28], &|x| {
            Ok(ops::batch_norm(x, &gamma, &beta, 1e-5, 1.0)?.0)
        })?;
        bench("batch norm and ReLU", &[BATCH, 64, 28, 28], &|x| {
            Ok(ops::batch_norm(x, &gamma, &beta, 1e-5, 0.0)?.0)
        })?;
        bench("max pool 2x2 of 64x64x32²", &[BATCH, 64, 32, 32], &|x| ops::max_pool2d(x, 2, 2))?;
        bench("average pool 2x2", &[BATCH, 64, 32, 32], &|x| ops::avg_pool2d(x, 2, 2))?;
        bench("log-softmax 4096x1000", &[4096, 1000], &ops::log_softmax)?;
        bench("sigmoid 4096x1000", &[4096, 1000], &ops::sigmoid)?;
        bench("tanh 4096x1000", &[4096, 1000], &ops::tanh)?;
        bench("silu 4096x1000", &[4096, 1000], &ops::silu)?;
        bench("gelu 4096x1000", &[4096, 1000], &ops::gelu)
    });
}

fn steps(c: &mut Criterion) {
    settings(c, "training step", |group| {
        type Make = fn(Arrays<'_>) -> unsup::Result<Step>;
        let makers: [(&str, Make); 4] = [
            ("ResNet-18, CIFAR stem, batch 64, SGD", resnet18),
            ("DCGAN, 64…1 at 32², batch 64", dcgan),
            ("autoencoder 784-512-256-32, batch 128, AdamW", dense_autoencoder),
            ("VAE 784-400-20, batch 128, AdamW", vae),
        ];
        for (name, make) in makers {
            let mut step = make(Arrays::Drawn)?;
            // as the trainer does
            in_pool(&mut step)?;
            group.bench_function(name, |b| b.iter(|| in_pool(&mut step)));
        }
        Ok(())
    });
}

criterion_group!(benches, convolutions, backward_passes, steps);
criterion_main!(benches);
