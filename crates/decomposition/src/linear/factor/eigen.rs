//! The leading eigenpairs of Ψ^−½SΨ^−½, from those of the iteration before.

use crate::linear::second_moment::SecondMoment;
use ndarray::{Array1, Array2, Axis};
use unsup_core::math::{self, Eigen};
use unsup_core::{Result, Seed};

/// Directions carried along beyond the factors.
const OVERSAMPLES: usize = 10;
/// Steps made at a time. Where more factors are asked for than stand out of the noise, the last of them would never be found to the
/// end, and hardly matter: what is missing of them comes in the next iterations.
const STEPS: usize = 5;

/// A subspace near the leading eigenvectors.
pub(super) struct Eigenpairs {
    count: usize,
    /// orthonormal `[d, width]`
    basis: Array2<f64>,
}

impl Eigenpairs {
    /// A random subspace.
    pub(super) fn start(count: usize, d: usize, seed: Seed) -> Self {
        // a wide subspace of a small matrix costs more than the whole
        let width = if 3 * (count + OVERSAMPLES) >= d { d } else { count + OVERSAMPLES };
        let draws = seed.named("factor analysis").normals(d * width);
        let basis = math::orthonormal(&Array2::from_shape_vec((d, width), draws).unwrap_or_default());
        Eigenpairs { count, basis }
    }

    /// The leading eigenvalues `[count]` and eigenvectors, one a column `[d, count]`, and whether they are found: ‖Tv − θv‖ is at most
    /// `tolerance` times θ, which is then exact to the square of that. Otherwise the next call goes on. deviations: √ψ.
    pub(super) fn of(
        &mut self,
        moment: &SecondMoment,
        deviations: &Array1<f64>,
        tolerance: f64,
    ) -> Result<(Array1<f64>, Array2<f64>, bool)> {
        let scale = deviations.mapv(|v| 1.0 / v).insert_axis(Axis(1));
        let mut step = 0;
        loop {
            step += 1;
            let moved = moment.times(&(&self.basis * &scale)) * &scale;
            // Rayleigh–Ritz: the eigenpairs of the matrix within the subspace
            let within = self.basis.t().dot(&moved);
            let Eigen { values, vectors } =
                math::leading_eigen(&((&within + &within.t()) / 2.0), self.count)?;
            let ritz = self.basis.dot(&vectors.t());
            let left = moved.dot(&vectors.t()) - &ritz * &values;
            let near = left.columns().into_iter().zip(&values).all(|(r, &value)| {
                // a column almost without noise makes the greatest θ very large, and its rounding what others are left with
                r.dot(&r).sqrt() <= (tolerance * value).max(1e-13 * values[0])
            });
            // the whole space leaves nothing to be found
            let found = near || self.basis.ncols() == self.basis.nrows();
            if !found {
                self.basis = math::orthonormal(&moved);
            }
            if found || step == STEPS {
                return Ok((values, ritz, found));
            }
        }
    }
}
