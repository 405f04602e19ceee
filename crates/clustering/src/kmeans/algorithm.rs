//! Which way of assigning rows.

use serde::{Deserialize, Serialize};

/// How k-means assigns rows to centroids. All give the same labels and centroids, to the bit; they differ in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// Chosen by n, d and k, from measurements.
    #[default]
    Auto,
    /// All distances, in one fused pass.
    Lloyd,
    /// Bounds.
    Hamerly,
    /// Bounds and balls.
    Exponion,
}
