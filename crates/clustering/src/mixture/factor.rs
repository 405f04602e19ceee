//! The factor of a precision that densities, draws and divergences are computed from.

use super::covariance::{Collapse, Covariance};
use ndarray::ArrayView2;
use rayon::prelude::*;
use unsup_core::{Result, math};

/// For each component a lower triangular T with TᵀT = Σ⁻¹: ‖T(x − μ)‖² is the squared Mahalanobis distance.
/// Laid out as the covariances are; of a diagonal family the reciprocals of the standard deviations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Factor {
    pub(super) family: Covariance,
    pub(super) d: usize,
    pub(super) values: Vec<f64>,
}

impl Factor {
    /// The factor of k covariances. A variance that is nothing but the rounding of its mean, or that vanishes once
    /// the columns before it are known, is a collapse. covariances: as stored, means: `[k, d]`.
    pub(super) fn new(
        family: Covariance,
        covariances: &[f64],
        means: &[f64],
        d: usize,
    ) -> Result<Self, Collapse> {
        let rounding = |c: usize, j: usize| {
            let worst = |means: &[f64]| means.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            let mean = match family {
                Covariance::Full | Covariance::Diagonal => means[c * d + j].abs(),
                Covariance::Spherical => worst(&means[c * d..][..d]),
                Covariance::Tied => worst(&means.iter().skip(j).step_by(d).copied().collect::<Vec<_>>()),
            };
            (8.0 * f64::EPSILON * mean).powi(2)
        };
        let count = covariances.len() / family.len(1, d);
        let parts: Vec<Result<Vec<f64>, Collapse>> = (0..count)
            .into_par_iter()
            .map(|c| {
                let collapse = |cause| Collapse { component: c, cause };
                let numbers = &covariances[family.range(c, d)];
                let variances = || match family {
                    Covariance::Full | Covariance::Tied => numbers.iter().step_by(d + 1),
                    Covariance::Diagonal | Covariance::Spherical => numbers.iter().step_by(1),
                };
                if let Some(j) =
                    variances().enumerate().position(|(j, &v)| !(v > rounding(c, j) && v.is_finite()))
                {
                    let value = variances().nth(j).copied().unwrap_or(f64::NAN);
                    return Err(collapse(format!("its variance in column {j} is {value:e}")));
                }
                match family {
                    Covariance::Full | Covariance::Tied => factor_of_matrix(numbers, d).map_err(collapse),
                    Covariance::Diagonal | Covariance::Spherical => {
                        Ok(numbers.iter().map(|v| 1.0 / v.sqrt()).collect())
                    }
                }
            })
            .collect();
        let values = parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Factor { family, d, values })
    }

    pub(super) fn of(&self, c: usize) -> &[f64] {
        &self.values[self.family.range(c, self.d)]
    }

    /// log det T, half of log det Σ⁻¹.
    pub(super) fn log_det(&self, c: usize) -> f64 {
        match self.family {
            Covariance::Full | Covariance::Tied => {
                self.of(c).iter().step_by(self.d + 1).map(|v| v.ln()).sum()
            }
            Covariance::Diagonal => self.of(c).iter().map(|v| v.ln()).sum(),
            Covariance::Spherical => self.d as f64 * self.of(c)[0].ln(),
        }
    }

    /// T·v.
    pub(super) fn whiten(&self, c: usize, v: &[f64]) -> Vec<f64> {
        let (t, d) = (self.of(c), self.d);
        match self.family {
            Covariance::Full | Covariance::Tied => {
                let dot = |i: usize| t[i * d..][..=i].iter().zip(v).map(|(t, v)| t * v).sum();
                (0..d).map(dot).collect()
            }
            Covariance::Diagonal => v.iter().zip(t).map(|(v, t)| v * t).collect(),
            Covariance::Spherical => v.iter().map(|v| v * t[0]).collect(),
        }
    }

    /// T⁻¹·z: of a standard normal z a draw with the covariance Σ.
    pub(super) fn unwhiten(&self, c: usize, z: &mut [f64]) {
        let (t, d) = (self.of(c), self.d);
        match self.family {
            Covariance::Full | Covariance::Tied => {
                for i in 0..d {
                    let known: f64 = t[i * d..][..i].iter().zip(&*z).map(|(t, z)| t * z).sum();
                    z[i] = (z[i] - known) / t[i * d + i];
                }
            }
            Covariance::Diagonal => z.iter_mut().zip(t).for_each(|(z, t)| *z /= t),
            Covariance::Spherical => z.iter_mut().for_each(|z| *z /= t[0]),
        }
    }

    /// tr(V·TᵀT) for one covariance V of the same family.
    pub(super) fn trace(&self, c: usize, v: &[f64]) -> f64 {
        let (t, d) = (self.of(c), self.d);
        match self.family {
            Covariance::Full | Covariance::Tied => {
                let row = |i: usize| {
                    let t = &t[i * d..][..=i];
                    let image = |j: usize| t.iter().zip(&v[j * d..]).map(|(t, v)| t * v).sum::<f64>();
                    t.iter().enumerate().map(|(j, t)| t * image(j)).sum::<f64>()
                };
                (0..d).map(row).sum()
            }
            Covariance::Diagonal => t.iter().zip(v).map(|(t, v)| t * t * v).sum(),
            Covariance::Spherical => d as f64 * t[0] * t[0] * v[0],
        }
    }

    /// The precisions TᵀT, as stored.
    pub(super) fn precisions(&self) -> Vec<f64> {
        let d = self.d;
        match self.family {
            Covariance::Full | Covariance::Tied => {
                self.values.chunks_exact(d * d).flat_map(|t| gram(t, d)).collect()
            }
            Covariance::Diagonal | Covariance::Spherical => self.values.iter().map(|t| t * t).collect(),
        }
    }
}

/// The covariances of given precisions, both as stored.
pub(super) fn covariances_of(family: Covariance, precisions: &[f64], d: usize) -> Result<Vec<f64>, String> {
    match family {
        Covariance::Full | Covariance::Tied => {
            let invert = |p: &[f64]| Ok(gram(&factor_of_matrix(p, d)?, d));
            Ok(precisions.chunks_exact(d * d).map(invert).collect::<Result<Vec<_>, String>>()?.concat())
        }
        Covariance::Diagonal | Covariance::Spherical => match precisions.iter().find(|&&p| p <= 0.0) {
            Some(p) => Err(format!("a precision is {p:e}")),
            None => Ok(precisions.iter().map(|p| 1.0 / p).collect()),
        },
    }
}

/// TᵀT of a lower triangular T.
fn gram(t: &[f64], d: usize) -> Vec<f64> {
    let mut product = vec![0.0; d * d];
    let t = math::Mat::new(t, d, d);
    math::multiply(&mut product, d, false, t.t(), t);
    product
}

/// The inverse of the Cholesky factor.
fn factor_of_matrix(matrix: &[f64], d: usize) -> Result<Vec<f64>, String> {
    let matrix = ArrayView2::from_shape((d, d), matrix).map_err(|e| e.to_string())?;
    let l = math::cholesky(&matrix).map_err(|_| "its covariance is singular".to_owned())?;
    // what the columns before leave of a variance must be more than its rounding
    let vanishes = |j: usize| l[[j, j]].powi(2) <= d as f64 * f64::EPSILON * matrix[[j, j]];
    if let Some(j) = (0..d).find(|&j| vanishes(j)) {
        return Err(format!("its covariance is singular (column {j} follows from those before it)"));
    }
    Ok(inverse_of_lower(l.as_slice().unwrap_or_default(), d))
}

/// L⁻¹, row by row: L⁻¹ᵢ = (eᵢ − Σ_p Lᵢₚ L⁻¹ₚ) / Lᵢᵢ.
fn inverse_of_lower(l: &[f64], d: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; d * d];
    for i in 0..d {
        let (above, row) = inverse.split_at_mut(i * d);
        let row = &mut row[..=i];
        row[i] = 1.0;
        for (p, known) in above.chunks_exact(d).enumerate() {
            let factor = l[i * d + p];
            row.iter_mut().zip(&known[..=p]).for_each(|(r, k)| *r -= factor * k);
        }
        row.iter_mut().for_each(|r| *r /= l[i * d + i]);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use ndarray::Array2;
    use unsup_core::Seed;

    #[test]
    fn factors_whiten_and_precisions_invert() -> Result<(), String> {
        for d in [1, 2, 5, 17] {
            let a = Seed::new(d as u64).normals(d * d);
            let mut matrix = gram(&a, d);
            Covariance::Full.add_to_diagonal(&mut matrix, d, 0.5);
            let factor = Factor::new(Covariance::Tied, &matrix, &vec![0.0; d], d).map_err(|c| c.cause)?;
            let precision = Covariance::Tied.expand(&factor.precisions(), d);
            let covariance = Covariance::Tied.expand(&matrix, d);
            assert_abs_diff_eq!(precision.dot(&covariance), Array2::eye(d), epsilon = 1e-11);
            let back = covariances_of(Covariance::Tied, &factor.precisions(), d)?;
            assert_abs_diff_eq!(Covariance::Tied.expand(&back, d), covariance, epsilon = 1e-10);
            assert_abs_diff_eq!(factor.trace(0, &matrix), d as f64, epsilon = 1e-10);
            let v = Seed::new(9).normals(d);
            let mut round = factor.whiten(0, &v);
            let length: f64 = round.iter().map(|w| w * w).sum();
            let v1 = ndarray::Array1::from(v.clone());
            assert_abs_diff_eq!(length, v1.dot(&precision.dot(&v1)), epsilon = 1e-10);
            factor.unwhiten(0, &mut round);
            assert_abs_diff_eq!(ndarray::Array1::from(round), v1, epsilon = 1e-11);
        }
        Ok(())
    }
}
