//! Whitening by principal components: coordinates of mean 0 and covariance I.

use super::METHOD;
use ndarray::{Array1, Array2, ArrayRef2, Axis, s};
use unsup_core::math::{self, Svd};
use unsup_core::{Error, Float, Result};

/// z = diag(1/σ)·V·(x − mean).
pub(super) struct Whitening {
    pub(super) mean: Array1<f64>,
    /// V, orthonormal rows from the greatest variance down, the first loading that is not zero positive. `[k, d]`
    pub(super) directions: Array2<f64>,
    /// σ, divided by n. `[k]`
    pub(super) deviations: Array1<f64>,
}

impl Whitening {
    /// Of a valid table of at least two rows; by the SVD of its triangular factor, never by its covariance, so that directions of
    /// little variance keep their digits.
    pub(super) fn of<F: Float>(x: &ArrayRef2<F>, mean: Array1<f64>, count: Option<usize>) -> Result<Self> {
        let (n, d) = x.dim();
        let design = if n > d {
            math::triangular_factor(x, &mean)
        } else {
            Array2::from_shape_fn((n, d), |(i, j)| x[[i, j]].f64() - mean[j])
        };
        let Svd { s: spectrum, vt, .. } = math::svd(&design)?;
        // what the rounding of the rows themselves leaves in a direction that has no variance
        let size = mean.iter().fold(spectrum[0], |m, v| m.max(v.abs() * (n as f64).sqrt()));
        let floor = size * F::EPS * n.max(d) as f64;
        let rank = spectrum.iter().filter(|&&s| s > floor).count();
        let k = count.unwrap_or(rank);
        if rank == 0 || k > rank {
            let problem = format!("the data vary in {rank} directions, too few for {} components", k.max(1));
            return Err(Error::Numerical { method: METHOD, problem });
        }
        let mut directions = vt.slice(s![..k, ..]).to_owned();
        for mut direction in directions.rows_mut() {
            // a loading of rounding size, of a column that is constant, has no sign
            if direction.iter().find(|v| v.abs() > 1e-9).is_some_and(|v| *v < 0.0) {
                direction.mapv_inplace(|v| -v);
            }
        }
        let deviations = spectrum.slice(s![..k]).mapv(|s| s / (n as f64).sqrt());
        Ok(Whitening { mean, directions, deviations })
    }

    /// K = diag(1/σ)·V. `[k, d]`
    pub(super) fn matrix(&self) -> Array2<f64> {
        &self.directions / &self.deviations.view().insert_axis(Axis(1))
    }

    /// x: `[n, d]`. Returns `[n, k]`.
    pub(super) fn whiten<F: Float>(&self, x: &ArrayRef2<F>) -> Array2<F> {
        let shift: Vec<F> = self.mean.iter().map(|&m| F::of(m)).collect();
        let mut z = math::product(x, &shift, &self.matrix().t().mapv(F::of));
        // in f32 the rounded mean is not the mean
        let rest = math::column_means(&z).mapv(F::of);
        z -= &rest;
        z
    }
}
