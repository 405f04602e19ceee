//! Spread within clusters against spread between them: Calinski–Harabasz and Davies–Bouldin.
//!
//! Both look at centroids alone, so they cost O(n d) where a silhouette costs O(n² d), and both favour round clusters.
//! Rows are taken relative to the first one, sums over fixed chunks: the same bits on any number of threads,
//! and rows far from the origin lose no digits.

use super::partition::{Partition, unit};
use crate::math::{chunks, sum_in_order};
use crate::{Float, Result};
use ndarray::{ArrayRef1, ArrayRef2};
use rayon::prelude::*;

/// The variance ratio (Caliński & Harabasz 1974): \[B / (k − 1)\] / \[W / (n − k)\], with W = Σ‖x − c‖² within
/// clusters and B = Σ nⱼ‖cⱼ − m‖² between them. Larger is better. Infinite when W = 0 and B is not
/// (scikit-learn says 1), 1 when both are 0. O(n d).
///
/// `x`: `[n, d]`, finite. `labels`: one a row, with 2 to n - 1 distinct values.
///
/// # Errors
/// Those of [`silhouette_samples`](super::silhouette_samples).
///
/// ```
/// use unsup_core::{data, metrics::calinski_harabasz};
/// let iris = data::iris();
/// assert!((calinski_harabasz(&iris.x, &iris.labels)? - 487.330_9).abs() < 1e-4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn calinski_harabasz<F: Float>(x: &ArrayRef2<F>, labels: &ArrayRef1<usize>) -> Result<f64> {
    let groups = Groups::of(x, labels)?;
    let (k, d) = (groups.sizes.len(), x.ncols());
    let within: f64 = groups.spread(x, |square| square).iter().sum();
    let mean = groups.mean();
    let between: f64 = groups
        .centroids
        .chunks_exact(d)
        .zip(&groups.sizes)
        .map(|(centroid, size)| size * squared_distance(centroid, &mean))
        .sum();
    if within == 0.0 && between == 0.0 {
        return Ok(1.0);
    }
    Ok(between * (x.nrows() - k) as f64 / (within * (k - 1) as f64))
}

/// The mean over clusters of the worst (sᵢ + sⱼ) / ‖cᵢ − cⱼ‖, with s the mean distance of a cluster's rows to its
/// centroid (Davies & Bouldin 1979). At least 0, less is better; infinite when centroids of clusters with any
/// spread coincide (scikit-learn leaves such pairs out). O(n d + k² d).
///
/// `x`: `[n, d]`, finite. `labels`: one a row, with 2 to n - 1 distinct values.
///
/// # Errors
/// Those of [`silhouette_samples`](super::silhouette_samples).
///
/// ```
/// use unsup_core::{data, metrics::davies_bouldin};
/// let iris = data::iris();
/// assert!((davies_bouldin(&iris.x, &iris.labels)? - 0.751_371).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn davies_bouldin<F: Float>(x: &ArrayRef2<F>, labels: &ArrayRef1<usize>) -> Result<f64> {
    let groups = Groups::of(x, labels)?;
    let (k, d) = (groups.sizes.len(), x.ncols());
    let spread = groups.spread(x, f64::sqrt);
    let spread: Vec<f64> = spread.iter().zip(&groups.sizes).map(|(s, n)| s / n).collect();
    let centroid = |c: usize| &groups.centroids[c * d..(c + 1) * d];
    let similarity = |i: usize, j: usize| match spread[i] + spread[j] {
        0.0 => 0.0,
        sum => sum / squared_distance(centroid(i), centroid(j)).sqrt(),
    };
    let worst = |i: usize| (0..k).filter(|&j| j != i).map(|j| similarity(i, j)).fold(0.0, f64::max);
    let worst: Vec<f64> = (0..k).into_par_iter().map(worst).collect();
    Ok(worst.iter().sum::<f64>() / k as f64)
}

/// Clusters by their sizes and centroids.
struct Groups {
    cluster: Vec<usize>,
    sizes: Vec<f64>,
    /// relative to the shift, in units of `unit` `[k, d]`
    centroids: Vec<f64>,
    shift: Vec<f64>,
    unit: f64,
}

impl Groups {
    fn of<F: Float>(x: &ArrayRef2<F>, labels: &ArrayRef1<usize>) -> Result<Self> {
        let Partition { cluster, sizes } = Partition::of(x, labels)?;
        let (d, unit) = (x.ncols(), unit(x));
        let mut groups = Groups {
            cluster,
            sizes: sizes.iter().map(|&size| size as f64).collect(),
            centroids: Vec::new(),
            shift: x.row(0).iter().map(|v| v.f64() * unit).collect(),
            unit,
        };
        groups.centroids = groups.sums(x, d, |sums, row, _| {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        });
        groups.centroids.iter_mut().enumerate().for_each(|(i, sum)| *sum /= groups.sizes[i / d]);
        Ok(groups)
    }

    /// The mean of all rows, relative to the shift.
    fn mean(&self) -> Vec<f64> {
        let (n, d) = (self.sizes.iter().sum::<f64>(), self.shift.len());
        let sum =
            |j: usize| self.sizes.iter().enumerate().map(|(c, size)| size * self.centroids[c * d + j]).sum();
        (0..d).map(sum).map(|sum: f64| sum / n).collect()
    }

    /// The sum over the rows of each cluster of f(‖x − c‖²). `[k]`
    fn spread<F: Float>(&self, x: &ArrayRef2<F>, f: impl Fn(f64) -> f64 + Sync) -> Vec<f64> {
        let d = x.ncols();
        self.sums(x, 1, |sum, row, c| sum[0] += f(squared_distance(row, &self.centroids[c * d..(c + 1) * d])))
    }

    /// For each cluster `width` sums, to which `add` adds one row (relative to the shift) of the cluster with this number.
    fn sums<F: Float>(
        &self,
        x: &ArrayRef2<F>,
        width: usize,
        add: impl Fn(&mut [f64], &[f64], usize) + Sync,
    ) -> Vec<f64> {
        let (n, k) = (x.nrows(), self.sizes.len());
        // the sums of all chunks together stay a fraction of the data
        let parts: Vec<Vec<f64>> = chunks(n, (n / (40 * k)).clamp(1, 64))
            .into_par_iter()
            .map(|rows| {
                let (mut sums, mut row) = (vec![0.0; k * width], vec![0.0; x.ncols()]);
                for i in rows {
                    for ((value, v), shift) in row.iter_mut().zip(x.row(i)).zip(&self.shift) {
                        *value = v.f64() * self.unit - shift;
                    }
                    let c = self.cluster[i];
                    add(&mut sums[c * width..(c + 1) * width], &row, c);
                }
                sums
            })
            .collect();
        sum_in_order(parts.iter().map(Vec::as_slice))
    }
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Seed};
    use ndarray::{Array1, Array2, array};
    use proptest::prelude::*;

    #[test]
    fn small_cases_by_hand() -> Result<()> {
        // four pairs at the corners of a square: centroids √12.5 from the mean, each row √½ from its own
        let x = array![[0., 0.], [1., 1.], [0., 5.], [1., 6.], [5., 0.], [6., 1.], [5., 5.], [6., 6.]];
        let ratio = calinski_harabasz(&x, &array![0, 0, 1, 1, 2, 2, 3, 3])?;
        assert!((ratio - (8.0 * 12.5 / 3.0) / (8.0 * 0.5 / 4.0)).abs() < 1e-12, "{ratio}");
        let index = davies_bouldin(&x, &array![0, 0, 1, 1, 2, 2, 3, 3])?;
        assert!((index - 2.0 * 0.5_f64.sqrt() / 5.0).abs() < 1e-15, "{index}");
        let two = array![[0., 0.], [1., 1.], [3., 3.], [4., 4.]];
        assert!((davies_bouldin(&two, &array![0, 0, 1, 1])? - 1.0 / 3.0).abs() < 1e-15);
        Ok(())
    }

    #[test]
    fn no_spread_within_is_infinite_and_zero_and_coinciding_centroids_are_infinitely_alike() -> Result<()> {
        let x = array![[1.0], [1.0], [5.0], [5.0]];
        assert_eq!(calinski_harabasz(&x, &array![0, 0, 1, 1])?, f64::INFINITY);
        assert_eq!(calinski_harabasz(&(&x * 0.0), &array![0, 0, 1, 1])?, 1.0);
        assert_eq!(davies_bouldin(&x, &array![0, 0, 1, 1])?, 0.0);
        assert_eq!(davies_bouldin(&x, &array![0, 1, 0, 1])?, f64::INFINITY);
        assert_eq!(calinski_harabasz(&x, &array![0, 1, 0, 1])?, 0.0);
        Ok(())
    }

    proptest! {
        #[test]
        fn position_scale_order_and_names_change_nothing(
            n in 5_usize..300, d in 1_usize..5, k in 2_usize..5, seed: u64,
        ) {
            let values = Seed::new(seed).normals(n * d);
            // exact at 1e6 and beyond
            let x = Array2::from_shape_fn((n, d), |(i, j)| (values[i * d + j] * 256.0).round() / 256.0);
            let labels = Array1::from_shape_fn(n, |i| i % k);
            let order = Seed::new(!seed).permutation(n);
            let shuffled = x.select(ndarray::Axis(0), &order);
            let names: Array1<usize> = order.iter().map(|&i| 90 - 7 * labels[i]).collect();
            for metric in [calinski_harabasz::<f64>, davies_bouldin::<f64>] {
                let value = metric(&x, &labels)?;
                let same = |other: f64| (other - value).abs() <= 1e-11 * value;
                prop_assert!(value >= 0.0);
                prop_assert!(same(metric(&(&x + 1e6), &labels)?));
                prop_assert!(same(metric(&(&x * 2_f64.powi(900)), &labels)?));
                prop_assert!(same(metric(&(&x * 2_f64.powi(-900)), &labels)?));
                prop_assert!(same(metric(&shuffled, &names)?));
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() -> Result<(), Box<dyn std::error::Error>> {
        let digits = crate::data::digits();
        let on = |threads| -> Result<[f64; 2], Box<dyn std::error::Error>> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let both = || -> Result<[f64; 2]> {
                Ok([
                    calinski_harabasz(&digits.x, &digits.labels)?,
                    davies_bouldin(&digits.x, &digits.labels)?,
                ])
            };
            Ok(pool.install(both)?)
        };
        assert_eq!(on(1)?, on(3)?);
        Ok(())
    }

    #[test]
    fn the_number_of_clusters_must_be_between_two_and_n_minus_one() {
        let x = array![[0.0], [1.0], [2.0]];
        for metric in [calinski_harabasz::<f64>, davies_bouldin::<f64>] {
            for labels in [array![1, 1, 1], array![0, 1, 2]] {
                assert!(matches!(metric(&x, &labels), Err(Error::Parameter { name: "labels", .. })));
            }
            assert!(matches!(metric(&x, &array![0, 1]), Err(Error::Shape { what: "labels", .. })));
            let nan = array![[0.0], [f64::NAN], [1.0]];
            assert!(matches!(metric(&nan, &array![0, 1, 1]), Err(Error::NonFinite { row: 1, .. })));
        }
    }
}
