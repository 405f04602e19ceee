//! Lloyd's iteration and greedy k-means++, by rows, columns and clusters.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::s;
use std::hint::black_box;
use std::time::Duration;
use unsup::clustering::kmeans::{Algorithm, Init, KMeans, greedy_kmeans_plus_plus};
use unsup::prelude::*;
use unsup_benches::blobs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHAPES: [(usize, usize, usize); 4] =
    [(60_000, 784, 10), (200_000, 32, 100), (1_000_000, 16, 256), (100_000, 128, 1000)];

fn lloyd(c: &mut Criterion) {
    let mut group = c.benchmark_group("lloyd, 5 iterations");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for (n, d, k) in SHAPES {
        let x = blobs(n, d, k);
        let start = x.slice(s![..k, ..]).mapv(f64::from);
        let spec = KMeans::new(k)
            .init(Init::Centroids(start))
            .algorithm(Algorithm::Lloyd)
            .max_iterations(5)
            .tolerance(0.0);
        // multiply-adds of the assignments: five iterations and the last, which fits the labels to the centroids
        group.throughput(Throughput::Elements((6 * n * d * k) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{n}x{d}, k={k}")), |b| {
            b.iter(|| spec.fit(black_box(&x)).map(|m| m.inertia()));
        });
    }
    group.finish();
}

fn algorithms(c: &mut Criterion) {
    let mut group = c.benchmark_group("to convergence");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for (n, d, k) in [(20_000, 8, 20), (20_000, 32, 100), (10_000, 128, 300)] {
        let x = blobs(n, d, k);
        for algorithm in [Algorithm::Lloyd, Algorithm::Hamerly, Algorithm::Yinyang, Algorithm::Auto] {
            let spec = KMeans::new(k).init(Init::Random).algorithm(algorithm).tolerance(0.0).seed(1);
            group.bench_function(
                BenchmarkId::new(format!("{algorithm:?}"), format!("{n}x{d}, k={k}")),
                |b| {
                    b.iter(|| spec.fit(black_box(&x)).map(|m| m.inertia()));
                },
            );
        }
    }
    group.finish();
}

fn seeding(c: &mut Criterion) {
    let mut group = c.benchmark_group("greedy k-means++");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for (n, d, k) in SHAPES {
        let x = blobs(n, d, k);
        let k = k.min(100);
        group.bench_function(BenchmarkId::from_parameter(format!("{n}x{d}, k={k}")), |b| {
            b.iter(|| greedy_kmeans_plus_plus(black_box(&x), k, Seed::new(1)));
        });
    }
    group.finish();
}

criterion_group!(benches, lloyd, algorithms, seeding);
criterion_main!(benches);
