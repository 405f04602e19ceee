//! Small symmetric positive definite matrices: their factor, their inverse and their determinant.

use ndarray::{Array1, Array2, ArrayRef1};
use unsup_core::{Result, math};

/// A Cholesky factor L with L·Lᵀ = A.
pub(super) struct Positive(Array2<f64>);

impl Positive {
    /// # Errors
    /// [`Error::Numerical`](unsup_core::Error::Numerical) when `a` is not positive definite.
    pub(super) fn of(a: &Array2<f64>) -> Result<Self> {
        math::cholesky(a).map(Positive)
    }

    pub(super) fn log_det(&self) -> f64 {
        2.0 * self.0.diag().mapv(f64::ln).sum()
    }

    /// A⁻¹·b.
    pub(super) fn solve(&self, b: &ArrayRef1<f64>) -> Array1<f64> {
        let (l, q) = (&self.0, self.0.nrows());
        let mut x = b.to_owned();
        for i in 0..q {
            let known: f64 = (0..i).map(|j| l[[i, j]] * x[j]).sum();
            x[i] = (x[i] - known) / l[[i, i]];
        }
        for i in (0..q).rev() {
            let known: f64 = (i + 1..q).map(|j| l[[j, i]] * x[j]).sum();
            x[i] = (x[i] - known) / l[[i, i]];
        }
        x
    }

    pub(super) fn inverse(&self) -> Array2<f64> {
        let q = self.0.nrows();
        let mut inverse = Array2::eye(q);
        for mut row in inverse.rows_mut() {
            let column = self.solve(&row);
            row.assign(&column);
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unsup_core::Seed;

    #[test]
    fn inverse_and_determinant() -> Result<()> {
        let a = Array2::from_shape_vec((5, 5), Seed::new(3).normals(25)).unwrap_or_default();
        let a = a.dot(&a.t()) + Array2::<f64>::eye(5);
        let positive = Positive::of(&a)?;
        approx::assert_abs_diff_eq!(positive.inverse().dot(&a), Array2::eye(5), epsilon = 1e-12);
        let values = math::symmetric_eigen(&a)?.values;
        approx::assert_abs_diff_eq!(positive.log_det(), values.mapv(f64::ln).sum(), epsilon = 1e-12);
        assert!(Positive::of(&-a).is_err());
        Ok(())
    }
}
