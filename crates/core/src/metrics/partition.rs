//! Rows in clusters, as the metrics without a truth take them.

use super::contingency::distinct;
use super::same_length;
use crate::{Error, Float, Result, validate};
use ndarray::{ArrayRef1, ArrayRef2};

/// Clusters numbered from 0, and how many rows each has.
pub(super) struct Partition {
    pub(super) cluster: Vec<usize>,
    pub(super) sizes: Vec<u64>,
}

impl Partition {
    /// A valid table and 2 to n - 1 distinct labels.
    pub(super) fn of<F: Float>(x: &ArrayRef2<F>, labels: &ArrayRef1<usize>) -> Result<Self> {
        validate::table(x, "x")?;
        same_length("labels", labels.len(), x.nrows())?;
        let (cluster, sizes) = distinct(labels);
        let (n, k) = (x.nrows(), sizes.len());
        if k < 2 || k >= n {
            let value = format!("{k} distinct on {n} rows");
            return Err(Error::parameter("labels", value, "2 to n - 1 distinct labels"));
        }
        Ok(Partition { cluster, sizes })
    }
}

/// A power of two that brings the largest value near 1: it leaves every digit as it is and keeps squares from
/// overflowing. The metrics have no unit.
pub(super) fn unit<F: Float>(x: &ArrayRef2<F>) -> f64 {
    let largest = x.iter().fold(0.0_f64, |m, v| m.max(v.f64().abs()));
    if largest > 0.0 { (-largest.log2().floor()).clamp(-1000.0, 1000.0).exp2() } else { 1.0 }
}
