//! The groups that a start begins with: k-means++ seeds, and a few passes of k-means.

use ndarray::{Array1, Array2, ArrayRef2};
use rand::RngExt;
use rayon::prelude::*;
use unsup_core::math::{Candidates, ROW_TILE, chunks, squared_distance, sum_in_order};
use unsup_core::{Float, Result, Seed};

/// Enough to pull seeds to the middle of their groups: EM does the rest.
const PASSES: usize = 10;

/// The group of each row. x: `[n, d]`, valid.
pub(super) fn partition<F: Float>(
    x: &ArrayRef2<F>,
    means: &Array1<f64>,
    k: usize,
    seed: Seed,
) -> Result<Vec<usize>> {
    let (n, d) = x.dim();
    let centred = Array2::from_shape_fn((n, d), |(i, j)| x[[i, j]].f64() - means[j]);
    let rows = centred.as_slice().unwrap_or_default();
    let mut centroids = seeds(rows, d, k, seed);
    let mut labels = vec![0_u32; n];
    for _ in 0..PASSES {
        let candidates = Candidates::pack(&centroids, d);
        labels.par_chunks_mut(ROW_TILE).zip(rows.par_chunks(ROW_TILE * d)).for_each(|(labels, rows)| {
            candidates.nearest(rows, labels);
        });
        let sums = group_sums(rows, &labels, d, k);
        for (centroid, sums) in centroids.chunks_exact_mut(d).zip(sums.chunks_exact(d + 1)) {
            // a group without rows stays where it is
            if sums[d] > 0.0 {
                centroid.iter_mut().zip(sums).for_each(|(c, s)| *c = s / sums[d]);
            }
        }
    }
    Ok(labels.into_iter().map(|label| label as usize).collect())
}

/// For each group the sum of its rows, and their number.
fn group_sums(rows: &[f64], labels: &[u32], d: usize, k: usize) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = chunks(labels.len(), 32)
        .into_par_iter()
        .map(|range| {
            let mut total = vec![0.0; k * (d + 1)];
            for i in range {
                let sums = &mut total[labels[i] as usize * (d + 1)..][..=d];
                sums.iter_mut().zip(&rows[i * d..(i + 1) * d]).for_each(|(s, v)| *s += v);
                sums[d] += 1.0;
            }
            total
        })
        .collect();
    sum_in_order(parts.iter().map(Vec::as_slice))
}

/// Rows drawn with probability proportional to the squared distance from the nearest one drawn before (Arthur & Vassilvitskii 2007).
fn seeds(rows: &[f64], d: usize, k: usize, seed: Seed) -> Vec<f64> {
    let n = rows.len() / d;
    let mut rng = seed.named("seeds").rng();
    let row = |i: usize| &rows[i * d..(i + 1) * d];
    let mut centroids = row(rng.random_range(0..n)).to_vec();
    let mut distances = vec![f64::INFINITY; n];
    for c in 1..k {
        let newest = &centroids[(c - 1) * d..c * d];
        distances.par_iter_mut().enumerate().for_each(|(i, nearest)| {
            *nearest = nearest.min(squared_distance(row(i), newest));
        });
        let mut left = rng.random::<f64>() * distances.iter().sum::<f64>();
        let drawn = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        // fewer distinct rows than groups leave no distance to draw by
        centroids.extend_from_slice(row(drawn.unwrap_or(c % n)));
    }
    centroids
}
