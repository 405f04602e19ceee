//! The gap statistic: the inertia against what it would be without any clusters (Tibshirani, Walther & Hastie 2001).

use crate::KMeans;
use ndarray::{Array2, ArrayRef2};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::{Nearest, Scatter, product, symmetric_eigen};
use unsup_core::{Result, Seed};

/// Where the reference rows of the gap statistic, which have no clusters, are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reference {
    /// Uniformly over the box of the columns' ranges (choice a of the paper).
    BoundingBox,
    /// Uniformly over the box of the ranges along the principal axes of the data (choice b): a box that follows elongated data,
    /// whatever its direction.
    #[default]
    PrincipalAxes,
}

/// A gap and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The mean of log W over the references minus log W of the data, in nats.
    pub gap: f64,
    /// sd · √(1 + 1/B), with the standard deviation of log W over the B references (divided by B).
    pub standard_error: f64,
}

/// Gap(k) = E*\[log W\] − log W, with W the inertia of k clusters and E* over the references (equation 3 of the paper and
/// its step 2). Infinite when the data's inertia is 0 and the references' is not.
///
/// ```
/// use unsup_clustering::selection::gap_statistic;
/// let e = std::f64::consts::E;
/// let gap = gap_statistic(1.0, &[e, e * e * e]);
/// assert!((gap.gap - 2.0).abs() < 1e-15 && (gap.standard_error - 1.5_f64.sqrt()).abs() < 1e-15);
/// ```
pub fn gap_statistic(inertia: f64, references: &[f64]) -> Gap {
    let count = references.len() as f64;
    let logs: Vec<f64> = references.iter().map(|w| w.ln()).collect();
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / count;
    Gap { gap: mean - inertia.ln(), standard_error: variance.sqrt() * (1.0 + 1.0 / count).sqrt() }
}

/// The first k with Gap(k) ≥ Gap(k + 1) − s(k + 1).
pub(super) fn first_within_one_error(gaps: &[f64], errors: &[f64]) -> Option<usize> {
    (1..gaps.len()).find(|&next| gaps[next - 1] >= gaps[next] - errors[next]).map(|next| next - 1)
}

/// The box that references are drawn from: `low + (high − low)·u` in each column.
pub(super) struct Null<F> {
    rows: usize,
    low: Vec<F>,
    high: Vec<F>,
}

impl<F: Nearest> Null<F> {
    /// x: `[n, d]`, valid. A box along the principal axes is left in their coordinates: k-means does not see a rotation.
    pub(super) fn of(x: &ArrayRef2<F>, reference: Reference) -> Result<Self> {
        let Scatter { means, products, .. } = Scatter::of(x, "x")?;
        let shift: Vec<F> = means.iter().map(|&m| F::of(m)).collect();
        let (mut low, mut high) = (vec![F::infinity(); x.ncols()], vec![F::neg_infinity(); x.ncols()]);
        let mut cover = |j: usize, value: F| {
            low[j] = low[j].min(value);
            high[j] = high[j].max(value);
        };
        match reference {
            // about the mean, where k-means works as well
            Reference::BoundingBox => {
                x.indexed_iter().for_each(|((_, j), &value)| cover(j, value - shift[j]));
            }
            Reference::PrincipalAxes => {
                let axes = symmetric_eigen(&products)?.vectors.reversed_axes().mapv(F::of);
                product(x, &shift, &axes).indexed_iter().for_each(|((_, j), &value)| cover(j, value));
            }
        }
        Ok(Null { rows: x.nrows(), low, high })
    }

    /// One table without clusters, `[n, d]`.
    pub(super) fn draw(&self, seed: Seed) -> Array2<F> {
        let mut rng = seed.rng();
        Array2::from_shape_fn((self.rows, self.low.len()), |(_, j)| {
            let (low, high) = (self.low[j].f64(), self.high[j].f64());
            F::of(low + (high - low) * rng.random::<f64>())
        })
    }

    /// The gap of k clusters, of which `kmeans` found this inertia in the data. The references are the same for every k.
    pub(super) fn gap(&self, kmeans: &KMeans, inertia: f64, references: usize, seed: Seed) -> Result<Gap> {
        let inertias = (0..references)
            .into_par_iter()
            .map(|b| Ok(kmeans.fit(&self.draw(seed.named("reference").indexed(b)))?.inertia()))
            .collect::<Result<Vec<f64>>>()?;
        Ok(gap_statistic(inertia, &inertias))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Axis;

    #[test]
    fn references_fill_the_box_of_the_data_along_either_axes() -> Result<()> {
        // a thin diagonal band: the bounding box is a square, the principal box is the band
        let noise = Seed::new(1).normals(4000);
        let x = Array2::from_shape_fn((2000, 2), |(i, j)| {
            let (along, across) = (i as f64 / 100.0, 0.1 * noise[2 * i]);
            1e6 + along + if j == 0 { across } else { -across }
        });
        let extent = |reference: Reference| -> Result<[f64; 2]> {
            let drawn = Null::of(&x, reference)?.draw(Seed::new(3));
            let range = |j: usize| {
                let column = drawn.index_axis(Axis(1), j);
                column.iter().copied().fold(f64::NEG_INFINITY, f64::max)
                    - column.iter().copied().fold(f64::INFINITY, f64::min)
            };
            Ok([range(0), range(1)])
        };
        let [a, b] = extent(Reference::BoundingBox)?;
        assert!((19.0..21.0).contains(&a) && (19.0..21.0).contains(&b), "{a} {b}");
        let [a, b] = extent(Reference::PrincipalAxes)?;
        assert!((27.0..29.0).contains(&a) && (0.5..1.5).contains(&b), "{a} {b}");
        Ok(())
    }

    #[test]
    fn the_first_k_within_one_error_of_the_next_is_chosen_and_the_last_cannot_be() {
        let errors = [0.1; 4];
        assert_eq!(first_within_one_error(&[0.5, 0.4, 0.9, 0.9], &errors), Some(0));
        assert_eq!(first_within_one_error(&[0.1, 0.4, 0.9, 0.95], &errors), Some(2));
        assert_eq!(first_within_one_error(&[0.1, 0.4, 0.9, 1.95], &errors), None);
        assert_eq!(first_within_one_error(&[0.1], &errors), None);
    }
}
