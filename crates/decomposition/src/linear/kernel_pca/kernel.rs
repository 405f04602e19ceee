//! The kernels: inner products in a space that the rows are thought to be mapped to.

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unsup_core::math::{self, Elementary};
use unsup_core::{Error, Result};

/// A kernel k(a, b) of two rows. Where γ is not given it is 1/d.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Kernel {
    /// a·b: ordinary PCA.
    #[default]
    Linear,
    /// exp(−γ‖a − b‖²).
    Rbf {
        /// γ > 0, in inverse squared units of the data.
        gamma: Option<f64>,
    },
    /// (γ a·b + c)^degree.
    Polynomial {
        /// γ > 0.
        gamma: Option<f64>,
        /// At least 1.
        degree: i32,
        /// c ≥ 0.
        offset: f64,
    },
    /// tanh(γ a·b + c), which is no inner product for all data: eigenvalues can be negative.
    Sigmoid {
        /// γ > 0.
        gamma: Option<f64>,
        /// c.
        offset: f64,
    },
    /// a·b / (‖a‖‖b‖), 0 for a row of zeros.
    Cosine,
    /// The tables that are given hold the values of the kernel: `[n, n]` for a fit, `[m, n]` for new rows.
    Precomputed,
}

impl Kernel {
    pub(super) fn check(self) -> Result<()> {
        let gamma = match self {
            Kernel::Rbf { gamma } | Kernel::Polynomial { gamma, .. } | Kernel::Sigmoid { gamma, .. } => gamma,
            Kernel::Linear | Kernel::Cosine | Kernel::Precomputed => None,
        };
        if let Some(gamma) = gamma.filter(|g| !(*g > 0.0 && g.is_finite())) {
            return Err(Error::parameter("gamma", gamma, "a finite number above 0"));
        }
        match self {
            Kernel::Polynomial { degree, .. } if degree < 1 => {
                Err(Error::parameter("degree", degree, "at least 1"))
            }
            Kernel::Polynomial { offset, .. } if !(offset >= 0.0 && offset.is_finite()) => {
                Err(Error::parameter("offset", offset, "a finite number of at least 0"))
            }
            Kernel::Sigmoid { offset, .. } if !offset.is_finite() => {
                Err(Error::parameter("offset", offset, "a finite number"))
            }
            _ => Ok(()),
        }
    }

    /// Whether taking the same row off all rows changes nothing once the kernel is centred: then it is taken off before anything
    /// is multiplied, so that data far from the origin keep their digits.
    pub(super) fn ignores_translation(self) -> bool {
        matches!(self, Kernel::Linear | Kernel::Rbf { .. })
    }

    /// The γ that it has on d columns.
    pub(super) fn gamma(self, d: usize) -> f64 {
        match self {
            Kernel::Rbf { gamma } | Kernel::Polynomial { gamma, .. } | Kernel::Sigmoid { gamma, .. } => {
                gamma.unwrap_or(1.0 / d as f64)
            }
            Kernel::Linear | Kernel::Cosine | Kernel::Precomputed => 1.0,
        }
    }

    /// k(a, b) of all rows of either. a: `[m, d]`, b: `[n, d]`. Returns `[m, n]`; of a precomputed kernel a itself.
    pub(super) fn matrix(self, gamma: f64, a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
        if self == Kernel::Precomputed {
            return a.clone();
        }
        let mut products = math::product(a, &vec![0.0; a.ncols()], &b.t().to_owned());
        let squares = |x: &Array2<f64>| x.mapv(|v| v * v).sum_axis(Axis(1));
        let (of_a, of_b) = (squares(a), squares(b));
        let of_b = of_b.as_slice().unwrap_or_default();
        let n = of_b.len();
        products.as_slice_mut().unwrap_or_default().par_chunks_mut(n).zip(of_a.to_vec()).for_each(
            |(row, of_a)| match self {
                Kernel::Linear | Kernel::Precomputed => {}
                Kernel::Rbf { .. } => {
                    for (v, of_b) in row.iter_mut().zip(of_b) {
                        *v = (-gamma * (of_a + of_b - 2.0 * *v).max(0.0)).fast_exp();
                    }
                }
                Kernel::Polynomial { degree, offset, .. } => {
                    row.iter_mut().for_each(|v| *v = (gamma * *v + offset).powi(degree));
                }
                Kernel::Sigmoid { offset, .. } => {
                    row.iter_mut().for_each(|v| *v = (gamma * *v + offset).fast_tanh());
                }
                Kernel::Cosine => {
                    for (v, of_b) in row.iter_mut().zip(of_b) {
                        let lengths = (of_a * of_b).sqrt();
                        *v = if lengths > 0.0 { *v / lengths } else { 0.0 };
                    }
                }
            },
        );
        products
    }
}
