//! Means, variances and covariances that keep their accuracy far from the origin.
//!
//! All are computed in two passes: the mean first, then sums of centred products, accumulated in
//! `f64` over chunks. The textbook one-pass formula E\[x²\] − μ² loses every digit when the mean
//! is large beside the spread (at 10⁸, in `f64`; at 10⁴ in `f32`).

use super::chunks::{ROW_TILE, chunks, sum_in_order};
use super::products::centred_tile;
use crate::Float;
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array1, Array2, ArrayRef2, s};
use rayon::prelude::*;

/// The mean of each column. x: [n, d]. Returns [d], in `f64`.
pub fn column_means<F: Float>(x: &ArrayRef2<F>) -> Array1<f64> {
    // A rough mean (of the first row) is taken out first, so that the sum stays small.
    let rough: Vec<f64> =
        x.rows().into_iter().next().map(|r| r.iter().map(|v| v.f64()).collect()).unwrap_or_default();
    let sums = column_sums(x, |j, v| v - rough[j]);
    Array1::from_iter(sums.iter().zip(&rough).map(|(s, r)| r + s / x.nrows() as f64))
}

/// The variance of each column about its mean, divided by n (not n − 1). x: [n, d]. Returns [d].
pub fn column_variances<F: Float>(x: &ArrayRef2<F>, means: &Array1<f64>) -> Array1<f64> {
    let sums = column_sums(x, |j, v| (v - means[j]).powi(2));
    Array1::from(sums) / x.nrows() as f64
}

fn column_sums<F: Float>(x: &ArrayRef2<F>, term: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = chunks(x.nrows(), 64)
        .into_par_iter()
        .map(|range| {
            let mut sums = vec![0.0; x.ncols()];
            for row in x.slice(s![range, ..]).rows() {
                sums.iter_mut().zip(row).enumerate().for_each(|(j, (s, v))| *s += term(j, v.f64()));
            }
            sums
        })
        .collect();
    sum_in_order(parts.iter().map(Vec::as_slice))
}

/// The covariance matrix Σ (x − mean)(x − mean)ᵀ / divisor. x: [n, d]. Returns [d, d], symmetric.
///
/// Only one triangle is computed. Products are formed in the element type over 512 rows at a
/// time and added up in `f64`. Cost: n·d² multiply-adds; memory: a few d × d matrices.
pub fn covariance<F: Float>(x: &ArrayRef2<F>, means: &Array1<f64>, divisor: f64) -> Array2<f64> {
    let (n, d) = x.dim();
    let shift: Vec<F> = means.iter().map(|&m| F::of(m)).collect();
    // what rounding the mean to F leaves behind: Σ(x − m)(x − m)ᵀ = Σ(x − s)(x − s)ᵀ − n·r·rᵀ
    let residue: Vec<f64> = means.iter().zip(&shift).map(|(m, s)| m - s.f64()).collect();
    // as many independent sums as fit a tenth of the data's own memory
    let groups = (n / (20 * d.max(1))).clamp(4, 32);
    let parts: Vec<Vec<f64>> = chunks(n, groups)
        .into_par_iter()
        .map(|range| {
            let (mut tile, mut part, mut total) = (Vec::new(), vec![F::zero(); d * d], vec![0.0; d * d]);
            for start in range.clone().step_by(8 * ROW_TILE) {
                let rows = (8 * ROW_TILE).min(range.end - start);
                centred_tile(x, start..start + rows, &shift, &mut tile);
                let tile = MatRef::from_row_major_slice(&tile, rows, d);
                matmul(
                    MatMut::from_row_major_slice_mut(&mut part, d, d),
                    BlockStructure::TriangularLower,
                    Accum::Replace,
                    tile.transpose(),
                    BlockStructure::Rectangular,
                    tile,
                    BlockStructure::Rectangular,
                    F::one(),
                    Par::Seq,
                );
                for i in 0..d {
                    let row = i * d..i * d + i + 1;
                    total[row.clone()].iter_mut().zip(&part[row]).for_each(|(t, p)| *t += p.f64());
                }
            }
            total
        })
        .collect();
    let total = sum_in_order(parts.iter().map(Vec::as_slice));
    Array2::from_shape_fn((d, d), |(i, j)| {
        let (i, j) = (i.max(j), i.min(j));
        (total[i * d + j] - n as f64 * residue[i] * residue[j]) / divisor
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use approx::assert_relative_eq;

    #[test]
    fn moments_keep_their_digits_far_from_the_origin() {
        let (n, d) = (3000, 9);
        let base = Array2::from_shape_vec((n, d), Seed::new(5).normals(n * d)).unwrap_or_default();
        // powers of two, so that the shifted numbers are rounded once and compared with themselves
        let near = column_means(&base);
        let expected = covariance(&base, &near, n as f64 - 1.0);
        for offset in [2f64.powi(20), 2f64.powi(27)] {
            let x = base.mapv(|v| (v + offset) - offset);
            let far = x.mapv(|v| v + offset);
            let (near, mean) = (column_means(&x), column_means(&far));
            assert_relative_eq!(mean.mapv(|m| m - offset), near, epsilon = 1e-8, max_relative = 1e-6);
            let cov = covariance(&far, &mean, n as f64 - 1.0);
            assert_relative_eq!(
                cov,
                covariance(&x, &near, n as f64 - 1.0),
                epsilon = 1e-12,
                max_relative = 1e-9
            );
            assert_relative_eq!(cov, expected, epsilon = 1e-6);
            let variances = column_variances(&far, &mean) * (n as f64 / (n as f64 - 1.0));
            assert_relative_eq!(variances, cov.diag().to_owned(), max_relative = 1e-10);
        }
    }

    #[test]
    fn single_precision_sums_are_not_single_precision() {
        let n = 2_000_000;
        let x = Array2::from_shape_fn((n, 1), |(i, _)| if i % 2 == 0 { 100.1_f32 } else { 100.3 });
        let mean = column_means(&x);
        let exact = (f64::from(100.1_f32) + f64::from(100.3_f32)) / 2.0;
        assert_relative_eq!(mean[0], exact, max_relative = 1e-14);
        let half = (f64::from(100.3_f32) - f64::from(100.1_f32)) / 2.0;
        assert_relative_eq!(covariance(&x, &mean, n as f64)[[0, 0]], half * half, max_relative = 1e-6);
    }
}
