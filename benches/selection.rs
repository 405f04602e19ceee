//! The metrics of a clustering without a truth, and the segmentation of a slice.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array1;
use std::hint::black_box;
use unsup::clustering::HiddenMarkovRandomField;
use unsup::clustering::segmentation::Image;
use unsup::prelude::*;
use unsup_benches::blobs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn clusterings(c: &mut Criterion) {
    let mut group = c.benchmark_group("metrics of a clustering");
    group.sample_size(10);
    for (n, d, k) in [(10_000, 50, 10), (10_000, 4, 100)] {
        let x = blobs(n, d, k).mapv(f64::from);
        let labels = Array1::from_shape_fn(n, |i| i % k);
        group.throughput(Throughput::Elements(n as u64));
        let shape = format!("{n}x{d}, k={k}");
        group.bench_function(BenchmarkId::new("silhouette", &shape), |b| {
            b.iter(|| metrics::silhouette(black_box(&x), &labels));
        });
        group.bench_function(BenchmarkId::new("Davies-Bouldin", &shape), |b| {
            b.iter(|| metrics::davies_bouldin(black_box(&x), &labels));
        });
    }
    group.finish();
}

fn segmentation(c: &mut Criterion) {
    let slice = data::mni_slice();
    let mask = slice.t1.mapv(|v| v > 0.0);
    let spec = HiddenMarkovRandomField::new(3).restarts(1).max_iterations(10).tolerance(0.0);
    let mut group = c.benchmark_group("segmentation");
    group.sample_size(10);
    group.bench_function("Markov random field, MNI152 slice, 10 iterations", |b| {
        b.iter(|| Image::new(black_box(&slice.t1), &mask).and_then(|image| spec.fit(&image)));
    });
    group.finish();
}

criterion_group!(benches, clusterings, segmentation);
criterion_main!(benches);
