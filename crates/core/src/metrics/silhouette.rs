//! How much nearer each row is to its own cluster than to the next one (Rousseeuw 1987).
//!
//! For row i, a is the mean distance to the other rows of its cluster and b the least mean distance to
//! another cluster; its silhouette is (b - a) / max(a, b), 0 in a cluster of one row. Distances are
//! Euclidean, from differences and not from inner products, so that rows far from the origin
//! lose no digits. O(n² d) time, O(n d) memory, all cores; no n x n matrix, and the same bits
//! on any number of threads.

use super::partition::{Partition, unit};
use crate::{Float, Result};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};
use rayon::prelude::*;
use std::ops::Range;

/// Rows that share one pass over the data.
const ROWS: usize = 16;
/// Columns of the transposed data that are summed at once: with ROWS rows they stay in the first-level cache.
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
    let points = scaled_transpose(x, &order);
    let blocks: Vec<Vec<f64>> = (0..n.div_ceil(ROWS))
        .into_par_iter()
        .map(|block| {
            let rows = block * ROWS..n.min((block + 1) * ROWS);
            let own: Vec<usize> = rows.clone().map(|row| cluster[order[row]]).collect();
            block_silhouettes(&points, rows, &own, &ranges)
        })
        .collect();
    let mut samples = Array1::zeros(n);
    for (&row, value) in order.iter().zip(blocks.into_iter().flatten()) {
        samples[row] = value;
    }
    Ok(samples)
}

/// The rows in the given order as the columns of a `[d, n]` matrix, in units that keep squares from overflowing.
fn scaled_transpose<F: Float>(x: &ArrayRef2<F>, order: &[usize]) -> Array2<f64> {
    let scale = unit(x);
    Array2::from_shape_fn((x.ncols(), order.len()), |(feature, at)| x[[order[at], feature]].f64() * scale)
}

/// The silhouettes of a few consecutive rows, whose own clusters are given.
fn block_silhouettes(
    points: &Array2<f64>,
    rows: Range<usize>,
    own: &[usize],
    ranges: &[Range<usize>],
) -> Vec<f64> {
    let mut within = vec![0.0; rows.len()];
    let mut nearest = vec![f64::INFINITY; rows.len()];
    for (cluster, range) in ranges.iter().enumerate() {
        let sums =
            pulp::Arch::new().dispatch(SummedDistances { points, rows: rows.clone(), others: range.clone() });
        for (i, &sum) in sums[..rows.len()].iter().enumerate() {
            if own[i] == cluster {
                within[i] = sum / (range.len() - 1) as f64;
            } else {
                nearest[i] = nearest[i].min(sum / range.len() as f64);
            }
        }
    }
    let silhouette = |i: usize| match within[i].max(nearest[i]) {
        _ if ranges[own[i]].len() == 1 => 0.0,
        0.0 => 0.0,
        larger => (nearest[i] - within[i]) / larger,
    };
    (0..rows.len()).map(silhouette).collect()
}

/// The distances from each of a few columns of `points` to a run of others, added up, compiled for the widest
/// registers that the machine has. Neighbouring lanes hold different points, so that the width changes no bit.
struct SummedDistances<'a> {
    points: &'a Array2<f64>,
    rows: Range<usize>,
    others: Range<usize>,
}

impl pulp::WithSimd for SummedDistances<'_> {
    type Output = [f64; ROWS];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> [f64; ROWS] {
        let n = self.points.ncols();
        let Some(points) = self.points.as_slice() else { return [0.0; ROWS] };
        let mut sums = [0.0; ROWS];
        for start in self.others.clone().step_by(TILE) {
            let tile = start..self.others.end.min(start + TILE);
            for (sum, row) in sums.iter_mut().zip(self.rows.clone()) {
                let mut square = [0.0; TILE];
                for feature in points.chunks_exact(n) {
                    let value = feature[row];
                    for (s, &other) in square.iter_mut().zip(&feature[tile.clone()]) {
                        *s += (value - other) * (value - other);
                    }
                }
                // The unused end of the last tile holds zeros.
                let mut lanes = [0.0; 8];
                for eight in square.chunks_exact(8) {
                    lanes.iter_mut().zip(eight).for_each(|(lane, s)| *lane += s.sqrt());
                }
                *sum += lanes.iter().sum::<f64>();
            }
        }
        sums
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
