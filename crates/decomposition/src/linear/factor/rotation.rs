//! Rotations of the factors: towards loadings of which few are large.
//!
//! Orthogonal rotations R change neither WWᵀ nor the likelihood. The orthomax criteria reward squares of loadings W R that are uneven:
//! Σₖ [Σⱼ (WR)ⱼₖ⁴ − γ/d (Σⱼ (WR)ⱼₖ²)²] with γ = 1 for varimax (uneven within a factor) and γ = 0 for quartimax (uneven within a column of
//! the data). Each step takes the best rotation for the criterion's gradient, an SVD of q × q (Kaiser 1958; Horst 1965).

use crate::linear::signs::fix_signs;
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::math::{self, Svd};
use unsup_core::{Result, validate};

/// How the loadings are rotated; see [`rotate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Rotation {
    /// Not: WᵀΨ⁻¹W is diagonal.
    #[default]
    None,
    /// Few large loadings a factor.
    Varimax,
    /// Few large loadings a column of the data.
    Quartimax,
}

/// Loadings in the rotation that maximises the criterion, in at most 1000 steps; [`Rotation::None`] leaves them as they are.
/// loadings: `[d, q]`. Returns `[d, q]`.
///
/// ```
/// use ndarray::array;
/// use unsup_decomposition::factor::{Rotation, rotate};
/// // two factors of which each concerns two columns, seen at an angle
/// let mixed = array![[0.8, 0.6], [0.4, 0.3], [-0.6, 0.8], [-0.3, 0.4]];
/// let clear = rotate(&mixed, Rotation::Varimax)?;
/// assert!(clear.iter().all(|v| v.abs() < 1e-6 || v.abs() > 0.4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Empty`](unsup_core::Error::Empty), [`Error::NonFinite`](unsup_core::Error::NonFinite).
pub fn rotate(loadings: &ArrayRef2<f64>, rotation: Rotation) -> Result<Array2<f64>> {
    validate::table(loadings, "loadings")?;
    let gamma = match rotation {
        Rotation::None => return Ok(loadings.to_owned()),
        Rotation::Varimax => 1.0,
        Rotation::Quartimax => 0.0,
    };
    let d = loadings.nrows() as f64;
    let (mut rotated, mut criterion) = (loadings.to_owned(), 0.0);
    for _ in 0..1000 {
        let mean_squares = (&rotated * &rotated).sum_axis(Axis(0)) * (gamma / d);
        let gradient = loadings.t().dot(&(&rotated * &rotated * &rotated - &rotated * &mean_squares));
        let Svd { u, s, vt } = math::svd(&gradient)?;
        rotated = loadings.dot(&u.dot(&vt));
        let before = std::mem::replace(&mut criterion, s.sum());
        if criterion <= before * (1.0 + 1e-12) {
            break;
        }
    }
    Ok(rotated)
}

/// The same loadings such that WᵀΨ⁻¹W is diagonal, or rotated; factors from the greatest down, the largest loading of each positive.
pub(super) fn readable(
    loadings: &Array2<f64>,
    noise: &Array1<f64>,
    rotation: Rotation,
) -> Result<Array2<f64>> {
    let deviations = noise.mapv(f64::sqrt).insert_axis(Axis(1));
    let Svd { u, s, .. } = math::svd(&(loadings / &deviations))?;
    let mut factors = rotate(&(u * &s * &deviations), rotation)?.reversed_axes();
    if rotation != Rotation::None {
        let lengths: Vec<f64> = factors.rows().into_iter().map(|w| w.dot(&w)).collect();
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by(|&a, &b| lengths[b].total_cmp(&lengths[a]));
        factors = factors.select(Axis(0), &order);
    }
    Ok(fix_signs(factors.as_standard_layout().into_owned()).reversed_axes().as_standard_layout().into_owned())
}
