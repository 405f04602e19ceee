//! Sample weights, the same for every method that takes them. Numbers in parentheses are those of the list of scikit-learn's test invariants,
//! see `kmeans_invariants`.

use ndarray::{Array1, Array2};
use proptest::prelude::*;
use unsup_core::Seed;

mod counts;
mod every_method;

type Failure = Box<dyn std::error::Error>;

fn rows(n: std::ops::Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    (n, 1usize..5, any::<u64>()).prop_map(|(n, d, seed)| {
        Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
    })
}

/// Weights 0 to 3, not all alike; those of the first two rows are 1 and 2.
fn counts(n: usize, seed: u64) -> Array1<f64> {
    let order = Seed::new(seed).named("counts").permutation(n);
    Array1::from_shape_fn(n, |i| if i < 2 { i as f64 + 1.0 } else { (order[i] % 4) as f64 })
}
