//! Iterations of EM and of variational inference, by the family of covariances.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::s;
use std::hint::black_box;
use std::time::Duration;
use unsup::prelude::*;
use unsup_benches::{blobs, mixtures};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHAPES: [(usize, usize, usize); 2] = [(50_000, 16, 10), (20_000, 64, 5)];
const ITERATIONS: usize = 5;

fn mixture(c: &mut Criterion) {
    let mut group = c.benchmark_group("mixtures, 5 iterations");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for (n, d, k) in SHAPES {
        let x = blobs(n, d, k).mapv(f64::from);
        let start = x.slice(s![..k, ..]).to_owned();
        group.throughput(Throughput::Elements((ITERATIONS * n) as u64));
        for (name, family) in mixtures::FAMILIES {
            let em = mixtures::em(start.clone(), family, ITERATIONS);
            group.bench_function(BenchmarkId::new(format!("EM, {name}"), format!("{n}x{d}, k={k}")), |b| {
                b.iter(|| em.fit(black_box(&x)).map(|m| m.lower_bound()));
            });
        }
        let family = mixtures::family("full");
        let variational = mixtures::variational(start, family, ITERATIONS);
        group.bench_function(BenchmarkId::new("variational, full", format!("{n}x{d}, k={k}")), |b| {
            b.iter(|| variational.fit(black_box(&x)).map(|m| m.elbo()));
        });
    }
    group.finish();
}

criterion_group!(benches, mixture);
criterion_main!(benches);
