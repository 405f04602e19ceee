//! How much nearer each row is to its own cluster than to the next one (Rousseeuw 1987).
//!
//! For row i, a is the mean distance to the other rows of its cluster and b the least mean distance to
//! another cluster; its silhouette is (b - a) / max(a, b), 0 in a cluster of one row. Distances are
//! Euclidean, from differences and not from inner products, so that rows far from the origin
//! lose no digits. O(n² d) time in the fused kernel of the nearest
//! centroids, O(n d) memory, all cores; no n x n matrix, and the same bits on any number of threads.

use super::partition::{Partition, unit};
use crate::math::Candidates;
use crate::{Float, Result};
use ndarray::{Array1, ArrayRef1, ArrayRef2};
use rayon::prelude::*;
use std::ops::Range;

/// Rows that share one pass over the data.
const ROWS: usize = 32;
/// Rows of a cluster that are packed together: the distances of a pass to them stay in the first-level cache.
const TILE: usize = 128;

/// The mean of [`silhouette_samples`]: 1 for tight, well-separated clusters, near 0 for overlapping
/// ones, negative for rows in the wrong cluster.
///
/// # Errors
/// As [`silhouette_samples`].
///
/// ```
/// use unsup_core::{data, metrics::silhouette};
/// let iris = data::iris();
/// assert!((silhouette(&iris.x, &iris.labels)? - 0.503_477).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn silhouette<F: Float>(x: &ArrayRef2<F>, labels: &ArrayRef1<usize>) -> Result<f64> {
    let samples = silhouette_samples(x, labels)?;
    Ok(samples.sum() / samples.len() as f64)
}

/// The silhouette of each row, -1 to 1.
///
/// `x`: `[n, d]`, finite. `labels`: one a row, with 2 to n - 1 distinct values.
///
/// # Errors
/// Those of [`validate::table`](crate::validate::table); [`Error::Shape`](crate::Error::Shape) for a wrong number of
/// labels; [`Error::Parameter`](crate::Error::Parameter) for fewer than 2 or more than n - 1 distinct ones.
pub fn silhouette_samples<F: Float>(x: &ArrayRef2<F>, labels: &ArrayRef1<usize>) -> Result<Array1<f64>> {
    let Partition { cluster, sizes } = Partition::of(x, labels)?;
    let n = x.nrows();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| cluster[i]);
    let ranges: Vec<Range<usize>> = sizes
        .iter()
        .scan(0, |start, &size| {
            let range = *start..*start + size as usize;
            *start = range.end;
            Some(range)
        })
        .collect();
    let points = scaled_rows(x, &order);
    let width = x.ncols();
    let clusters: Vec<Cluster> =
        ranges.par_iter().map(|range| Cluster::pack(&points, width, range)).collect();
    let blocks: Vec<Vec<f64>> = points
        .par_chunks(ROWS * width)
        .enumerate()
        .map_init(Vec::new, |distances, (block, rows)| {
            let first = block * ROWS;
            let own: Vec<usize> = (0..rows.len() / width).map(|i| cluster[order[first + i]]).collect();
            block_silhouettes(rows, &own, &clusters, distances)
        })
        .collect();
    let mut samples = Array1::zeros(n);
    for (&row, value) in order.iter().zip(blocks.into_iter().flatten()) {
        samples[row] = value;
    }
    Ok(samples)
}

/// The rows in the given order, one after the other, in units that keep squares from overflowing.
fn scaled_rows<F: Float>(x: &ArrayRef2<F>, order: &[usize]) -> Vec<f64> {
    let scale = unit(x);
    order.iter().flat_map(|&row| x.row(row).into_iter().map(move |v| v.f64() * scale)).collect()
}

/// The rows of one cluster, packed for the kernel a tile at a time.
struct Cluster {
    size: usize,
    tiles: Vec<Candidates<f64>>,
}

impl Cluster {
    fn pack(points: &[f64], width: usize, range: &Range<usize>) -> Self {
        let rows = &points[range.start * width..range.end * width];
        let tiles = rows.chunks(TILE * width).map(|tile| Candidates::pack(tile, width)).collect();
        Cluster { size: range.len(), tiles }
    }
}

/// The silhouettes of a few rows, whose own clusters are given.
fn block_silhouettes(
    rows: &[f64],
    own: &[usize],
    clusters: &[Cluster],
    distances: &mut Vec<f64>,
) -> Vec<f64> {
    let mut within = vec![0.0; own.len()];
    let mut nearest = vec![f64::INFINITY; own.len()];
    for (c, cluster) in clusters.iter().enumerate() {
        let mut sums = [0.0; ROWS];
        for tile in &cluster.tiles {
            distances.resize(own.len() * tile.padded(), 0.0);
            tile.squared_distances(rows, distances);
            for (sum, squares) in sums.iter_mut().zip(distances.chunks_exact(tile.padded())) {
                *sum += pulp::Arch::new().dispatch(SumOfRoots(&squares[..tile.len()]));
            }
        }
        for (i, &sum) in sums[..own.len()].iter().enumerate() {
            if own[i] == c {
                within[i] = sum / (cluster.size - 1) as f64;
            } else {
                nearest[i] = nearest[i].min(sum / cluster.size as f64);
            }
        }
    }
    let silhouette = |i: usize| match within[i].max(nearest[i]) {
        _ if clusters[own[i]].size == 1 => 0.0,
        0.0 => 0.0,
        larger => (nearest[i] - within[i]) / larger,
    };
    (0..own.len()).map(silhouette).collect()
}

/// Σ√s in sixteen lanes, compiled for the widest registers that the machine has; the order is the same on each.
struct SumOfRoots<'a>(&'a [f64]);

impl pulp::WithSimd for SumOfRoots<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> f64 {
        let (blocks, rest) = self.0.as_chunks::<16>();
        let mut lanes = [0.0; 16];
        blocks.iter().for_each(|block| (0..16).for_each(|l| lanes[l] += block[l].sqrt()));
        lanes.iter_mut().zip(rest).for_each(|(lane, square)| *lane += square.sqrt());
        lanes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn a_cluster_of_one_scores_zero() -> Result<()> {
        // scikit-learn's test_cluster_size_1
        let x = array![[0.0], [1.0], [1.0], [2.0], [3.0], [3.0]];
        let samples = silhouette_samples(&x, &array![0, 1, 1, 1, 2, 2])?;
        assert_eq!(samples, array![0.0, 0.5, 0.5, 0.0, 1.0, 1.0]);
        Ok(())
    }

    #[test]
    fn position_scale_and_width_of_the_type_change_nothing() -> Result<()> {
        let iris = crate::data::iris();
        let x = iris.x.mapv(|v| (v * 64.0).round() / 64.0); // exact at 1e8 and in f32
        let plain = silhouette_samples(&x, &iris.labels)?;
        assert_eq!(plain, silhouette_samples(&(&x + 1e8), &iris.labels)?);
        assert_eq!(plain, silhouette_samples(&(&x * 2_f64.powi(1000)), &iris.labels)?);
        assert_eq!(plain, silhouette_samples(&(&x * 2_f64.powi(-900)), &iris.labels)?);
        assert_eq!(plain, silhouette_samples(&x.mapv(|v| v as f32), &iris.labels)?);
        Ok(())
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() -> Result<(), Box<dyn std::error::Error>> {
        let digits = crate::data::digits();
        let on = |threads| -> Result<Array1<f64>, Box<dyn std::error::Error>> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            Ok(pool.install(|| silhouette_samples(&digits.x, &digits.labels))?)
        };
        assert_eq!(on(1)?, on(3)?);
        Ok(())
    }

    #[test]
    fn the_number_of_clusters_must_be_between_two_and_n_minus_one() {
        let x = array![[0.0], [1.0], [2.0]];
        for labels in [array![1, 1, 1], array![0, 1, 2]] {
            let result = silhouette(&x, &labels);
            assert!(matches!(result, Err(Error::Parameter { name: "labels", .. })));
        }
        assert!(matches!(silhouette(&x, &array![0, 1]), Err(Error::Shape { what: "labels", .. })));
    }
}
