//! Workloads that the benches share.
//!
//! `cargo bench -p unsup-benches` runs the criterion benches; `benches/peers/run` compares with other
//! libraries in one run.

pub mod mixtures;
pub mod nn;

use unsup::Seed;
use unsup::ndarray::Array2;

/// `n` rows of `d` numbers around `k` centres N(0, 9 I) with unit noise: the workload of the peers
/// comparison, from our own seeds.
pub fn blobs(n: usize, d: usize, k: usize) -> Array2<f32> {
    let normals = |name: &str, len: usize| Seed::new(0).named(name).normals(len);
    let (centres, noise) = (normals("centres", k * d), normals("noise", n * d));
    let order = Seed::new(0).named("order").permutation(n);
    Array2::from_shape_fn((n, d), |(i, j)| (3.0 * centres[order[i] % k * d + j] + noise[i * d + j]) as f32)
}
