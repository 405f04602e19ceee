//! Means, variances and covariances that keep their accuracy far from the origin.
//!
//! Sums are of centred products, accumulated in `f64` over chunks. The textbook one-pass formula E\[x²\] − μ² loses every digit when the mean
//! is large beside the spread (at 10⁸, in `f64`; at 10⁴ in `f32`).

use super::chunks::{ROW_TILE, chunks, sum_in_order};
use super::products::centred_tile;
use crate::{Float, Result};
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array1, Array2, ArrayRef2};
use rayon::prelude::*;

/// The mean and the variance of each column.
#[derive(Debug, Clone)]
pub struct Moments {
    /// `[d]`
    pub means: Array1<f64>,
    /// About the mean, divided by n (not n − 1). `[d]`
    pub variances: Array1<f64>,
}

impl Moments {
    /// Both moments of a valid table, in one pass over it: the sums of a tile that is in the cache are
    /// taken about its own mean, and tiles are merged (Chan, Golub & LeVeque 1983). x: `[n, d]`.
    ///
    /// # Errors
    /// Those of [`validate::table`](crate::validate::table), found on the way.
    pub fn of<F: Float>(x: &ArrayRef2<F>, what: &'static str) -> Result<Moments> {
        if x.is_empty() {
            crate::validate::table(x, what)?;
        }
        let parts: Vec<Partial> =
            chunks(x.nrows(), 64).into_par_iter().map(|range| partial(x, range)).collect();
        let mut total = Partial::new(x.ncols());
        parts.iter().for_each(|part| total.merge(part));
        // a NaN or an infinity spoils its column's mean: only then is the culprit looked for
        if total.means.iter().chain(&total.squares).any(|v| !v.is_finite()) {
            crate::validate::table(x, what)?;
        }
        let means = total.means.iter().zip(x.row(0)).map(|(mean, origin)| origin.f64() + mean).collect();
        Ok(Moments { means, variances: Array1::from(total.squares) / total.count })
    }
}

/// The mean of each column. x: `[n, d]`. Returns `[d]`, in `f64`.
pub fn column_means<F: Float>(x: &ArrayRef2<F>) -> Array1<f64> {
    Moments::of(x, "x").map_or_else(|_| Array1::from_elem(x.ncols(), f64::NAN), |moments| moments.means)
}

/// Count, means, and sums of squares about the means.
struct Partial {
    count: f64,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Partial {
    fn new(d: usize) -> Self {
        Partial { count: 0.0, means: vec![0.0; d], squares: vec![0.0; d] }
    }

    #[inline(always)]
    fn merge(&mut self, other: &Partial) {
        let count = self.count + other.count;
        let (share, weight) = (other.count / count, self.count * other.count / count);
        for ((mean, square), (&m, &s)) in
            self.means.iter_mut().zip(&mut self.squares).zip(other.means.iter().zip(&other.squares))
        {
            let step = m - *mean;
            *mean += share * step;
            *square += s + weight * step * step;
        }
        self.count = count;
    }
}

/// The moments of some rows, about the first row of all, so that means far from the origin keep
/// their last digits.
fn partial<F: Float>(x: &ArrayRef2<F>, range: std::ops::Range<usize>) -> Partial {
    let origin: Vec<F> = x.row(0).to_vec();
    let (mut total, mut of_tile, mut tile) = (Partial::new(x.ncols()), Partial::new(x.ncols()), Vec::new());
    for start in range.clone().step_by(ROW_TILE) {
        let rows = ROW_TILE.min(range.end - start);
        centred_tile(x, start..start + rows, &origin, &mut tile);
        pulp::Arch::new().dispatch(Accumulate { tile: &tile, of_tile: &mut of_tile, total: &mut total });
    }
    total
}

struct Accumulate<'a, F> {
    tile: &'a [F],
    of_tile: &'a mut Partial,
    total: &'a mut Partial,
}

impl<F: Float> pulp::WithSimd for Accumulate<'_, F> {
    type Output = ();

    /// Plain loops, compiled for the instruction set at hand.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Accumulate { tile, of_tile, total } = self;
        let d = of_tile.means.len();
        of_tile.count = (tile.len() / d) as f64;
        of_tile.means.fill(0.0);
        of_tile.squares.fill(0.0);
        for row in tile.chunks_exact(d) {
            of_tile.means.iter_mut().zip(row).for_each(|(sum, v)| *sum += v.f64());
        }
        of_tile.means.iter_mut().for_each(|sum| *sum /= of_tile.count);
        for row in tile.chunks_exact(d) {
            for ((square, mean), v) in of_tile.squares.iter_mut().zip(&of_tile.means).zip(row) {
                let difference = v.f64() - mean;
                *square += difference * difference;
            }
        }
        total.merge(of_tile);
    }
}

/// The covariance matrix Σ (x − mean)(x − mean)ᵀ / divisor. x: `[n, d]`. Returns `[d, d]`, symmetric.
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
            let variances = Moments::of(&far, "x").map(|m| m.variances * (n as f64 / (n as f64 - 1.0)));
            assert_relative_eq!(variances.unwrap_or_default(), cov.diag().to_owned(), max_relative = 1e-10);
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
