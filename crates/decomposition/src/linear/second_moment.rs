//! The covariance matrix of a table as something that blocks of directions are multiplied by.
//!
//! EM of the linear models needs nothing of the data but S·B, S = X_cᵀX_c / n and B of few columns. Where there are more rows than
//! columns S is formed once and an iteration costs d²·q; otherwise the rows are multiplied, 2·n·d·q, and S is never formed.

use ndarray::{Array1, Array2, ArrayRef2};
use rayon::prelude::*;
use unsup_core::math::{self, Mat, Moments, ROW_TILE, Scatter};
use unsup_core::{Error, Float, Result};

/// S is formed up to so many columns.
const MOST_COLUMNS: usize = 4096;

pub(super) struct SecondMoment {
    pub(super) rows: usize,
    /// `[d]`
    pub(super) means: Array1<f64>,
    /// the diagonal of S `[d]`
    pub(super) variances: Array1<f64>,
    /// whether they are nothing but rounding
    pub(super) is_constant: bool,
    form: Form,
}

enum Form {
    /// S `[d, d]`
    Matrix(Array2<f64>),
    /// X_c, widened `[n, d]`
    Rows(Array2<f64>),
}

impl SecondMoment {
    /// # Errors
    /// Those of [`validate::table`](unsup_core::validate::table).
    pub(super) fn of<F: Float>(x: &ArrayRef2<F>) -> Result<Self> {
        let (n, d) = x.dim();
        if d <= n && d <= MOST_COLUMNS {
            let scatter = Scatter::of(x, "x")?;
            let matrix = scatter.covariance(n as f64);
            let variances = matrix.diag().mapv(|v| v.max(0.0));
            let (means, form) = (scatter.means, Form::Matrix(matrix));
            let is_constant = is_constant::<F>(&variances, &means);
            return Ok(SecondMoment { rows: n, means, variances, is_constant, form });
        }
        let Moments { means, variances } = Moments::of(x, "x")?;
        finite(variances.sum())?;
        let centred = Array2::from_shape_fn((n, d), |(i, j)| x[[i, j]].f64() - means[j]);
        let is_constant = is_constant::<F>(&variances, &means);
        Ok(SecondMoment { rows: n, means, variances, is_constant, form: Form::Rows(centred) })
    }

    pub(super) fn total(&self) -> f64 {
        self.variances.sum()
    }

    /// S·b. b: `[d, m]`. Returns `[d, m]`.
    pub(super) fn times(&self, b: &Array2<f64>) -> Array2<f64> {
        match &self.form {
            Form::Matrix(matrix) => symmetric_product(matrix, b),
            Form::Rows(rows) => {
                math::transposed_product(rows, &vec![0.0; self.means.len()], b) / self.rows as f64
            }
        }
    }
}

/// s·b, a band of rows of s at a time, which are not copied. s: `[d, d]`, b: `[d, m]`. Returns `[d, m]`.
fn symmetric_product(s: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    let ((d, m), b) = (b.dim(), b.as_standard_layout());
    let left = Mat::new(s.as_slice().unwrap_or_default(), d, d);
    let right = Mat::new(b.as_slice().unwrap_or_default(), d, m);
    let mut out = vec![0.0; d * m];
    out.par_chunks_mut(ROW_TILE * m).enumerate().for_each(|(band, out)| {
        let start = band * ROW_TILE;
        math::multiply(out, m, false, left.rows(start..start + out.len() / m), right);
    });
    Array2::from_shape_vec((d, m), out).unwrap_or_default()
}

/// Whether the variances of all columns are nothing but what rounding makes of constant columns with these means.
pub(super) fn is_constant<F: Float>(variances: &Array1<f64>, means: &Array1<f64>) -> bool {
    variances.iter().zip(means).all(|(variance, mean)| *variance <= (2.0 * F::EPS * mean).powi(2))
}

/// The total variance, when it is a number.
///
/// # Errors
/// [`Error::Numerical`] when squares of the values overflow.
pub(super) fn finite(total_variance: f64) -> Result<f64> {
    if total_variance.is_finite() {
        return Ok(total_variance);
    }
    let problem = "squares of the values overflow; scale the columns down".to_owned();
    Err(Error::Numerical { method: "variance", problem })
}
