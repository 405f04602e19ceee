//! PCA by each route, the projection, incremental PCA, and the probabilistic models.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use unsup::decomposition::Route;
use unsup::decomposition::factor::Method;
use unsup::prelude::*;
use unsup_benches::blobs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn routes(c: &mut Criterion) {
    let mut group = c.benchmark_group("pca, 50 components");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for (n, d) in [(60_000, 784), (100_000, 128), (2_000, 2_000)] {
        let x = blobs(n, d, 10);
        for (name, route) in
            [("covariance", Route::Covariance), ("svd", Route::Svd), ("randomized", Route::RANDOMIZED)]
        {
            let spec = Pca::new().components(50).route(route);
            group.bench_function(BenchmarkId::new(name, format!("{n}x{d}")), |b| {
                b.iter(|| spec.fit(black_box(&x)).map(|m| m.total_variance()));
            });
        }
    }
    group.finish();
}

fn transform(c: &mut Criterion) {
    let x = blobs(60_000, 784, 10);
    let model = Pca::new().components(50).fit(&x).ok();
    c.bench_function("pca, transform 60000x784 to 50", |b| {
        b.iter(|| model.as_ref().map(|m| m.transform(black_box(&x)).map(|z| z[[0, 0]])));
    });
}

fn probabilistic(c: &mut Criterion) {
    let mut group = c.benchmark_group("10000x784, f32");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let x = blobs(10_000, 784, 10);
    let spec = IncrementalPca::new(50).batch(1000);
    group.bench_function("incremental PCA, batches of 1000", |b| {
        b.iter(|| spec.fit(black_box(&x)).and_then(|m| m.pca().map(|m| m.total_variance())));
    });
    for (name, method) in [("SVD", Method::Svd), ("EM", Method::Em)] {
        let spec = FactorAnalysis::new(20).method(method).tolerance(0.0).max_iterations(20);
        group.bench_function(format!("factor analysis by {name}, 20 iterations"), |b| {
            b.iter(|| spec.fit(black_box(&x)).map(|m| m.history().iterations()));
        });
    }
    let model = Pca::new().components(20).fit(&x).ok();
    group.bench_function("log-density of PCA, 20 components", |b| {
        b.iter(|| model.as_ref().map(|m| m.log_density(black_box(&x)).map(|v| v[0])));
    });
    let few = x.slice(ndarray::s![.., ..64]).to_owned();
    let spec = PpcaMixture::new(5, 4).tolerance(0.0).max_iterations(5);
    group.bench_function("mixture of 5 planes, 5 iterations, 64 columns", |b| {
        b.iter(|| spec.fit(black_box(&few)).map(|m| m.log_likelihood()));
    });
    group.finish();
}

criterion_group!(benches, routes, transform, probabilistic);
criterion_main!(benches);
