//! PCA by each route, and the projection.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use unsup::decomposition::{Pca, Route};
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

criterion_group!(benches, routes, transform);
criterion_main!(benches);
