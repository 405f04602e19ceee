//! Rows whose image in the feature space is near a code.

use super::Kernel;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unsup_core::math;
use unsup_core::{Error, Result};

/// How codes are turned into rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PreImage {
    /// The fixed point z = Σ γᵢ k(z, xᵢ) xᵢ / Σ γᵢ k(z, xᵢ) of Mika et al., from the training row of nearest code; for the RBF kernel. A
    /// weighted mean of training rows, which needs no learning.
    FixedPoint {
        /// At most so many iterations, at least 1; it ends when a row moves less than 10⁻¹⁰ of its distance from the mean.
        iterations: usize,
    },
    /// Kernel ridge regression from the codes of the training rows to the rows about their mean, with the same kernel (Bakır, Weston & Schölkopf).
    Ridge {
        /// The ridge, above 0, in units of the kernel.
        alpha: f64,
    },
}

impl PreImage {
    pub(super) fn check(self, kernel: Kernel) -> Result<()> {
        match self {
            _ if kernel == Kernel::Precomputed => Err(Error::parameter(
                "pre_image",
                "given",
                "none: the rows of a precomputed kernel are not known",
            )),
            PreImage::FixedPoint { .. } if !matches!(kernel, Kernel::Rbf { .. }) => {
                Err(Error::parameter("pre_image", "a fixed point", "ridge regression for this kernel"))
            }
            PreImage::FixedPoint { iterations: 0 } => Err(Error::parameter("iterations", 0, "at least 1")),
            PreImage::Ridge { alpha } if !(alpha > 0.0 && alpha.is_finite()) => {
                Err(Error::parameter("alpha", alpha, "a finite number above 0"))
            }
            _ => Ok(()),
        }
    }
}

/// (K + αI)⁻¹·rows, where K is the kernel of the codes. `[n, d]`
pub(super) fn regression(
    kernel: Kernel,
    gamma: f64,
    codes: &Array2<f64>,
    rows: &Array2<f64>,
    alpha: f64,
) -> Result<Array2<f64>> {
    let mut matrix = kernel.matrix(gamma, codes, codes);
    matrix.diag_mut().mapv_inplace(|v| v + alpha);
    let factor = math::cholesky(&matrix)?;
    let mut solution = rows.clone();
    let n = solution.nrows();
    for i in 0..n {
        let known = factor.slice(ndarray::s![i, ..i]).dot(&solution.slice(ndarray::s![..i, ..]));
        let mut row = solution.row_mut(i);
        row -= &known;
        row /= factor[[i, i]];
    }
    for i in (0..n).rev() {
        let known = factor.slice(ndarray::s![i + 1.., i]).dot(&solution.slice(ndarray::s![i + 1.., ..]));
        let mut row = solution.row_mut(i);
        row -= &known;
        row /= factor[[i, i]];
    }
    Ok(solution)
}

/// The fixed points of codes z `[m, k]`. rows: `[n, d]`, about their mean; codes: those of the rows, `[n, k]`; directions: `[k, n]`, of
/// length 1 in the feature space.
pub(super) fn fixed_points(
    gamma: f64,
    rows: &Array2<f64>,
    codes: &Array2<f64>,
    directions: &Array2<f64>,
    z: &Array2<f64>,
    iterations: usize,
) -> Array2<f64> {
    let (n, d) = rows.dim();
    let found: Vec<Array1<f64>> = (0..z.nrows())
        .into_par_iter()
        .map(|i| {
            let code = z.row(i);
            // the projection is the mean of all φ plus that of the centred part
            let mut weights = code.dot(directions);
            let rest = (1.0 - weights.sum()) / n as f64;
            weights += rest;
            fixed_point(gamma, rows, &weights, rows.row(nearest(codes, code)).to_owned(), iterations)
        })
        .collect();
    let mut out = Array2::zeros((z.nrows(), d));
    out.axis_iter_mut(Axis(0)).zip(&found).for_each(|(mut out, row)| out.assign(row));
    out
}

fn nearest(codes: &Array2<f64>, code: ArrayView1<'_, f64>) -> usize {
    let distance =
        |row: ArrayView1<'_, f64>| row.iter().zip(&code).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let distances = codes.rows().into_iter().map(distance).enumerate();
    distances.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(i, _)| i)
}

fn fixed_point(
    gamma: f64,
    rows: &Array2<f64>,
    weights: &Array1<f64>,
    mut z: Array1<f64>,
    iterations: usize,
) -> Array1<f64> {
    for _ in 0..iterations {
        let (mut sum, mut total) = (0.0, Array1::<f64>::zeros(z.len()));
        for (row, weight) in rows.rows().into_iter().zip(weights) {
            let distance: f64 = row.iter().zip(&z).map(|(a, b)| (a - b).powi(2)).sum();
            let share = weight * (-gamma * distance).exp();
            sum += share;
            total.scaled_add(share, &row);
        }
        let next = total / sum;
        // a code that is far from all φ can have no fixed point: the last row that is one is kept
        if next.iter().any(|v| !v.is_finite()) {
            return z;
        }
        let (moved, length) =
            (&next - &z).iter().zip(&next).fold((0.0, 0.0), |(m, l), (a, b)| (m + a * a, l + b * b));
        z = next;
        if moved <= 1e-20 * length {
            return z;
        }
    }
    z
}
