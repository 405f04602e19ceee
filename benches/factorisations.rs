//! NMF, truncated SVD, FastICA, dictionaries, kernel PCA, robust PCA.

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use std::hint::black_box;
use std::time::Duration;
use unsup::core::data::sparse::Sparse;
use unsup::decomposition::Kernel;
use unsup::decomposition::nmf::Loss;
use unsup::prelude::*;
use unsup_benches::blobs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Non-negative rows.
fn positive(n: usize, d: usize) -> Array2<f32> {
    blobs(n, d, 10).mapv_into(f32::abs)
}

fn factorisations(c: &mut Criterion) {
    let mut group = c.benchmark_group("5000x256, f32");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    let (x, y) = (positive(5_000, 256), blobs(5_000, 256, 10));
    for (name, loss) in [("Frobenius", Loss::Frobenius), ("Kullback-Leibler", Loss::KullbackLeibler)] {
        let spec = Nmf::new(20).loss(loss).tolerance(0.0).max_iterations(10);
        group.bench_function(format!("NMF, {name}, 10 iterations"), |b| {
            b.iter(|| spec.fit(black_box(&x)).map(|m| m.divergence()));
        });
    }
    let spec = FastIca::new().components(20).tolerance(0.0).max_iterations(10);
    group.bench_function("FastICA, 20 of them, 10 iterations", |b| {
        b.iter(|| spec.fit(black_box(&y)).map(|m| m.history().iterations()));
    });
    let spec = DictionaryLearning::new(32).tolerance(0.0).max_iterations(2);
    group.bench_function("dictionary of 32 atoms, 2 iterations", |b| {
        b.iter(|| spec.fit(black_box(&y)).map(|m| m.history().iterations()));
    });
    group.finish();
}

fn others(c: &mut Criterion) {
    let mut group = c.benchmark_group("decomposition");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    // one value in twenty is there
    let dense = blobs(20_000, 1_000, 10);
    let thin =
        Array2::from_shape_fn(
            dense.dim(),
            |(i, j)| if (i * 7 + j * 13) % 20 == 0 { dense[[i, j]] } else { 0.0 },
        );
    if let Ok(sparse) = Sparse::from_dense(&thin) {
        let spec = TruncatedSvd::new(20);
        group.bench_function("truncated SVD, 20 of 20000x1000, a twentieth filled", |b| {
            b.iter(|| spec.fit(black_box(&sparse)).map(|m| m.singular_values()[0]));
        });
    }
    let rows = blobs(2_000, 16, 10);
    let spec = KernelPca::new(Kernel::Rbf { gamma: Some(0.05) }).components(10);
    group.bench_function("kernel PCA, 10 of 2000x16", |b| {
        b.iter(|| spec.fit(black_box(&rows)).map(|m| m.eigenvalues()[0]));
    });
    let table = blobs(300, 200, 3);
    group.bench_function("robust PCA of 300x200", |b| {
        b.iter(|| RobustPca::new().fit(black_box(&table)).map(|m| m.history().iterations()));
    });
    let hands = data::hands_3d().joints;
    group.bench_function("Procrustes, 53 hands of 22 joints", |b| {
        b.iter(|| Procrustes::new().fit(black_box(&hands)).map(|m| m.spread()));
    });
    group.bench_function("shape model of the hands", |b| {
        b.iter(|| StatisticalShape::new().fit(black_box(&hands)).map(|m| m.total_variance()));
    });
    group.finish();
}

criterion_group!(benches, factorisations, others);
criterion_main!(benches);
