//! Whitening by principal components: coordinates of mean 0 and covariance I.

use super::METHOD;
use crate::linear::singular;
use ndarray::{Array1, Array2, ArrayRef2, Axis, s};
use unsup_core::math::{self, Eigen, Moments, Scatter};
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
    /// Of a valid table of at least two rows.
    pub(super) fn of<F: Float>(x: &ArrayRef2<F>, count: Option<usize>) -> Result<Self> {
        let (n, d) = x.dim();
        let (mean, spectrum, vt) = match by_covariance(x)? {
            Some(found) => found,
            None => by_rows(x)?,
        };
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

/// Rows a column from which there are many.
const MANY: usize = 4;

/// Rounding of the products, as a share of the greatest variance, shall be no more than 10⁻⁹ of the least.
const CONDITION: f64 = 1e9;

/// Mean, singular values and right singular vectors of the centred rows.
type Spectrum = (Array1<f64>, Array1<f64>, Array2<f64>);

/// From the eigenvectors of the covariance, the cheaper way for many rows; none where a direction of little variance would lose
/// digits that matter: the least variance must be 10⁹ ε of the greatest, ε the rounding of the element type. Nothing in `f32` is.
fn by_covariance<F: Float>(x: &ArrayRef2<F>) -> Result<Option<Spectrum>> {
    let (n, d) = x.dim();
    let bound = CONDITION * F::EPS;
    if n < MANY * d || bound >= 1.0 {
        return Ok(None);
    }
    let Scatter { means, products, .. } = match Scatter::of(x, "x") {
        // products overflow where rows do not
        Err(Error::Numerical { .. }) => return Ok(None),
        scatter => scatter?,
    };
    let Eigen { values, vectors } = math::symmetric_eigen(&products)?;
    let well_conditioned = values[d - 1] > bound * values[0];
    Ok(well_conditioned.then(|| (means, values.mapv(f64::sqrt), vectors)))
}

/// By the SVD of the rows, or of their triangular factor, which keeps the digits of every direction.
fn by_rows<F: Float>(x: &ArrayRef2<F>) -> Result<Spectrum> {
    let mean = Moments::of(x, "x")?.means;
    let (s, vt) = singular::of_centred(x, &mean)?;
    Ok((mean, s, vt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{assert_abs_diff_eq, assert_relative_eq};
    use unsup_core::Seed;

    /// Rows whose deviations fall from 1 to `least`, turned at random and far from the origin.
    fn rows(n: usize, d: usize, least: f64) -> Array2<f64> {
        let draw = |name: &str, n: usize| {
            Array2::from_shape_vec((n, d), Seed::new(4).named(name).normals(n * d)).unwrap_or_default()
        };
        let deviations = Array1::from_shape_fn(d, |j| least.powf(j as f64 / (d - 1) as f64));
        (draw("rows", n) * deviations).dot(&math::orthonormal(&draw("basis", d))) + 10.0
    }

    #[test]
    fn both_ways_agree_to_eight_digits_wherever_the_covariance_is_taken() -> Result<()> {
        for least in [0.5, 0.1, 1e-2, 1e-3] {
            let x = rows(3000, 8, least);
            let (mean, spectrum, directions) =
                by_covariance(&x)?.ok_or_else(|| Error::parameter("least", least, "well-conditioned"))?;
            let (expected_mean, expected, theirs) = by_rows(&x)?;
            assert_abs_diff_eq!(mean, expected_mean, epsilon = 1e-12);
            assert_relative_eq!(spectrum, expected, max_relative = 1e-8);
            for (a, b) in directions.rows().into_iter().zip(theirs.rows()) {
                assert_abs_diff_eq!(&a * a.dot(&b).signum(), b, epsilon = 1e-8);
            }
        }
        Ok(())
    }

    #[test]
    fn what_would_lose_digits_is_left_to_the_rows() -> Result<()> {
        assert!(by_covariance(&rows(3000, 8, 1e-4))?.is_none());
        assert!(by_covariance(&rows(3000, 8, 0.5).mapv(|v| v as f32))?.is_none());
        assert!(by_covariance(&rows(31, 8, 0.5))?.is_none());
        assert!(by_covariance(&Array2::<f64>::ones((100, 3)))?.is_none());
        let (near, scale) = (rows(100, 3, 0.5), 2f64.powi(530));
        let far = &near * scale;
        assert!(by_covariance(&far)?.is_none());
        assert_abs_diff_eq!(
            Whitening::of(&far, None)?.whiten(&far),
            Whitening::of(&near, None)?.whiten(&near),
            epsilon = 1e-9
        );
        Ok(())
    }
}
