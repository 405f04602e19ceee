//! Gaussian mixtures by EM. Numbers in parentheses are those of the list of scikit-learn's test invariants, see `kmeans_invariants`.

use ndarray::Array2;
use unsup_clustering::Covariance;
use unsup_core::Seed;

mod answers;
mod contract;
mod degenerate;
mod properties;
mod streaming;

type Failure = Box<dyn std::error::Error>;

const FAMILIES: [Covariance; 4] =
    [Covariance::Full, Covariance::Tied, Covariance::Diagonal, Covariance::Spherical];

/// Rows of a mixture of three overlapping groups of different shape.
fn groups(n: usize, d: usize, seed: u64) -> Array2<f64> {
    let seed = Seed::new(seed);
    let (noise, centres) = (seed.named("noise").normals(n * d), seed.named("centres").normals(3 * d));
    Array2::from_shape_fn((n, d), |(i, j)| {
        let c = i % 3;
        2.0 * centres[c * d + j]
            + noise[i * d + j] * (0.5 + c as f64 * 0.4)
            + 0.3 * noise[i * d + (j + 1) % d]
    })
}
