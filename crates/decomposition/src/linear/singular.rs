//! The leading singular values and right singular vectors of a table, without its covariance.

use ndarray::{Array1, Array2, ArrayRef2, s};
use rayon::prelude::*;
use unsup_core::math::{self, Mat, ROW_TILE};
use unsup_core::{Float, Result};

/// Rows widened and centred exactly. In f32 the rounded mean differs from the mean; the difference would be a rank-one term that
/// belongs to no direction of the data.
pub(super) fn centred<F: Float>(x: &ArrayRef2<F>, means: &Array1<f64>) -> Array2<f64> {
    Array2::from_shape_fn(x.dim(), |(i, j)| x[[i, j]].f64() - means[j])
}

/// All min(n, d) singular values and right vectors of the centred rows: of their triangular factor where there are more rows than
/// columns, since R of X_c = QR has the same.
pub(super) fn of_centred<F: Float>(
    x: &ArrayRef2<F>,
    means: &Array1<f64>,
) -> Result<(Array1<f64>, Array2<f64>)> {
    let (n, d) = x.dim();
    math::right_singular(&if n > d { math::triangular_factor(x, means) } else { centred(x, means) })
}

/// The `count` largest singular values, and an orthonormal direction for each whatever the rank. a: `[n, d]`. Returns `[count]` and
/// `[count, d]`, fewer when min(n, d) is.
///
/// For a wide table by the eigenvectors u of a·aᵀ, mapped back by aᵀu = σv. For a small σ that quotient would be noise, of no length
/// and not orthogonal to the others. So the mapped vectors are not divided but factored as a table of their own: its singular
/// vectors are orthonormal.
pub(super) fn leading(a: &Array2<f64>, count: usize) -> Result<(Array1<f64>, Array2<f64>)> {
    let (n, d) = a.dim();
    if n > d {
        let (s, vt) = of_centred(a, &Array1::zeros(d))?;
        let count = count.min(d);
        return Ok((s.slice(s![..count]).to_owned(), vt.slice(s![..count, ..]).to_owned()));
    }
    let a = a.as_standard_layout().into_owned();
    let vectors = math::leading_eigen(&products_of_rows(&a), count)?.vectors;
    let mapped = math::product(&vectors, &vec![0.0; n], &a).reversed_axes();
    let basis = math::orthonormal(&mapped);
    let (s, vt) = math::right_singular(&mapped.t().dot(&basis))?;
    Ok((s, vt.dot(&basis.t())))
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
