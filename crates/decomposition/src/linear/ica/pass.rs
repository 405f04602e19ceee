//! The contrasts, and one step of the fixed point in one pass over the whitened rows.

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unsup_core::math::{Elementary, Mat, ROW_TILE, chunks, multiply, sum_in_order};
use unsup_core::{Error, Float, Result};

/// The function G whose mean measures how far from Gaussian a source is; its derivative g drives the fixed point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Contrast {
    /// log cosh(αu)/α, g = tanh(αu), α from 1 to 2: for sources of all kinds.
    LogCosh(f64),
    /// −exp(−u²/2), g = u·exp(−u²/2): for heavy tails, least moved by outliers.
    Exp,
    /// u⁴/4, g = u³ (kurtosis): for light tails without outliers.
    Cube,
}

impl Default for Contrast {
    fn default() -> Self {
        Contrast::LogCosh(1.0)
    }
}

impl Contrast {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Contrast::LogCosh(alpha) if !(1.0..=2.0).contains(&alpha) => {
                Err(Error::parameter("contrast", format!("LogCosh({alpha})"), "an α from 1 to 2"))
            }
            _ => Ok(()),
        }
    }
}

/// E\[g(Wz)zᵀ\] − diag(E\[g′(Wz)\])W. z: `[n, k]` row-major, w: `[m, k]`. Returns `[m, k]`.
pub(super) fn fixed_point<F: Float + Elementary>(
    z: &Array2<F>,
    w: &Array2<f64>,
    contrast: Contrast,
) -> Array2<f64> {
    /// Rows of a product.
    const ROWS: usize = 4 * ROW_TILE;
    let ((n, k), m) = (z.dim(), w.nrows());
    let values = z.as_slice().unwrap_or_default();
    let unmixing: Vec<F> = w.iter().map(|&v| F::of(v)).collect();
    // the sums of g(y)·zᵀ, then those of g′(y)
    let parts: Vec<Vec<f64>> = chunks(n, 32)
        .into_par_iter()
        .map(|range| {
            let (mut y, mut part) = (vec![F::zero(); m * ROWS], vec![F::zero(); m * k]);
            let mut total = vec![0.0; m * k + m];
            for start in range.clone().step_by(ROWS) {
                let rows = ROWS.min(range.end - start);
                let tile = Mat::new(&values[start * k..(start + rows) * k], rows, k);
                let y = &mut y[..m * rows];
                multiply(y, rows, false, Mat::new(&unmixing, m, k), tile.t());
                let (products, slopes) = total.split_at_mut(m * k);
                pulp::Arch::new().dispatch(Nonlinearity { y, rows, slopes, contrast });
                multiply(&mut part, k, false, Mat::new(y, m, rows), tile);
                products.iter_mut().zip(&part).for_each(|(t, p)| *t += p.f64());
            }
            total
        })
        .collect();
    let total = sum_in_order(parts.iter().map(Vec::as_slice));
    let n = n as f64;
    Array2::from_shape_fn((m, k), |(i, j)| (total[i * k + j] - total[m * k + i] * w[[i, j]]) / n)
}

/// y ← g(y) for `[m, rows]` values, and the sums of g′ over each of the m rows.
struct Nonlinearity<'a, F> {
    y: &'a mut [F],
    rows: usize,
    slopes: &'a mut [f64],
    contrast: Contrast,
}

/// Sums side by side, so that they become one vector.
const LANES: usize = 16;

impl<F: Float + Elementary> pulp::WithSimd for Nonlinearity<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Nonlinearity { y, rows, slopes, contrast } = self;
        for (y, slope) in y.chunks_exact_mut(rows).zip(slopes) {
            *slope += match contrast {
                Contrast::LogCosh(alpha) => {
                    let a = F::of(alpha);
                    apply(y, |u| {
                        let t = (a * u).fast_tanh();
                        (t, a * (F::one() - t * t))
                    })
                }
                Contrast::Exp => apply(y, |u| {
                    let square = u * u;
                    let e = (-square / (F::one() + F::one())).fast_exp();
                    (u * e, (F::one() - square) * e)
                }),
                Contrast::Cube => apply(y, |u| {
                    let square = u * u;
                    (u * square, square + square + square)
                }),
            };
        }
    }
}

/// Replaces each value by the first of f, and sums the second.
#[inline(always)]
fn apply<F: Float>(y: &mut [F], f: impl Fn(F) -> (F, F)) -> f64 {
    let mut lanes = [F::zero(); LANES];
    let (blocks, rest) = y.as_chunks_mut::<LANES>();
    for block in blocks {
        for l in 0..LANES {
            let (value, slope) = f(block[l]);
            block[l] = value;
            lanes[l] += slope;
        }
    }
    let mut sum: f64 = lanes.iter().map(|v| v.f64()).sum();
    for v in rest {
        let (value, slope) = f(*v);
        *v = value;
        sum += slope.f64();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use unsup_core::Seed;

    #[test]
    fn a_step_is_that_of_the_definition_for_every_contrast_and_number_of_threads() {
        let (n, k, m) = (1500, 5, 3);
        let draw = |seed: u64, r: usize, c: usize| {
            Array2::from_shape_vec((r, c), Seed::new(seed).normals(r * c)).unwrap_or_default()
        };
        let (z, w) = (draw(1, n, k), draw(2, m, k));
        for contrast in [Contrast::LogCosh(1.3), Contrast::Exp, Contrast::Cube] {
            let g = |u: f64| match contrast {
                Contrast::LogCosh(a) => (a * u).tanh(),
                Contrast::Exp => u * (-u * u / 2.0).exp(),
                Contrast::Cube => u.powi(3),
            };
            let y = w.dot(&z.t());
            // the derivative by central differences
            let slope = y.mapv(|u| (g(u + 1e-5) - g(u - 1e-5)) / 2e-5).mean_axis(ndarray::Axis(1));
            let slope = slope.unwrap_or_default().insert_axis(ndarray::Axis(1));
            let expected = y.mapv(g).dot(&z) / n as f64 - &(&slope * &w);
            let found = fixed_point(&z, &w, contrast);
            approx::assert_abs_diff_eq!(found, expected, epsilon = 1e-8);
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.map(|p| p.install(|| fixed_point(&z, &w, contrast))).unwrap_or_default()
            };
            assert_eq!(on(1), on(3));
        }
    }
}
