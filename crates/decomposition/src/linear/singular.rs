//! The leading singular values and right singular vectors of a table, without its covariance.

use ndarray::{Array1, Array2, s};
use rayon::prelude::*;
use unsup_core::Result;
use unsup_core::math::{self, Mat, ROW_TILE, Svd};

/// The `count` largest singular values, and an orthonormal direction for each whatever the rank. a: `[n, d]`. Returns `[count]` and
/// `[count, d]`, fewer when min(n, d) is.
///
/// For a wide table by the eigenvectors u of a·aᵀ, mapped back by aᵀu = σv. For a small σ that quotient would be noise, of no length
/// and not orthogonal to the others. So the mapped vectors are not divided but factored as a table of their own: its left singular
/// vectors are orthonormal.
pub(super) fn leading(a: &Array2<f64>, count: usize) -> Result<(Array1<f64>, Array2<f64>)> {
    let (n, d) = a.dim();
    if n > d {
        let Svd { s, vt, .. } = math::svd(&math::triangular_factor(a, &Array1::zeros(d)))?;
        let count = count.min(d);
        return Ok((s.slice(s![..count]).to_owned(), vt.slice(s![..count, ..]).to_owned()));
    }
    let a = a.as_standard_layout().into_owned();
    let vectors = math::leading_eigen(&products_of_rows(&a), count)?.vectors;
    let mapped = math::product(&vectors, &vec![0.0; n], &a).reversed_axes();
    let basis = math::orthonormal(&mapped);
    let Svd { u, s, .. } = math::svd(&basis.t().dot(&mapped))?;
    Ok((s, u.t().dot(&basis.t())))
}

/// The lower triangle of a·aᵀ, and some of what is above it. a: `[n, d]`, row-major.
fn products_of_rows(a: &Array2<f64>) -> Array2<f64> {
    let (n, d) = a.dim();
    let all = Mat::new(a.as_slice().unwrap_or_default(), n, d);
    let mut out = vec![0.0; n * n];
    out.par_chunks_mut(ROW_TILE * n).enumerate().for_each(|(tile, out)| {
        let rows = tile * ROW_TILE..(tile * ROW_TILE + out.len() / n);
        math::multiply(out, n, false, all.rows(rows.clone()), all.rows(0..rows.end).t());
    });
    Array2::from_shape_vec((n, n), out).unwrap_or_default()
}
