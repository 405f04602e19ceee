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
    /// Bounds on the distances; rows in doubt are searched among all centroids (Hamerly 2010).
    Hamerly,
    /// Bounds, and a search among the few centroids that moved farthest where it is enough (Ding et al. 2015).
    Yinyang,
}
