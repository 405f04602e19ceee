//! The leading eigenpairs of Ψ^−½SΨ^−½, from those of the iteration before.

use crate::linear::second_moment::SecondMoment;
use ndarray::{Array1, Array2, Axis};
use unsup_core::math::{self, Eigen};
use unsup_core::{Result, Seed};

/// Directions carried along beyond the factors.
const OVERSAMPLES: usize = 10;
/// Ψ changes little from one iteration to the next: more steps are needed in the first one only.
const MOST_STEPS: usize = 300;

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

    /// The leading eigenvalues `[count]` and eigenvectors, one a column `[d, count]`. deviations: √ψ. A pair is found when
    /// ‖Tv − θv‖ is at most `tolerance` times the greatest θ: θ is then exact to the square of that.
    pub(super) fn of(
        &mut self,
        moment: &SecondMoment,
        deviations: &Array1<f64>,
        tolerance: f64,
    ) -> Result<(Array1<f64>, Array2<f64>)> {
        let scale = deviations.mapv(|v| 1.0 / v).insert_axis(Axis(1));
        for step in 1.. {
            let moved = moment.times(&(&self.basis * &scale)) * &scale;
            // Rayleigh–Ritz: the eigenpairs of the matrix within the subspace
            let within = self.basis.t().dot(&moved);
            let Eigen { values, vectors } =
                math::leading_eigen(&((&within + &within.t()) / 2.0), self.count)?;
            let ritz = self.basis.dot(&vectors.t());
            let left = moved.dot(&vectors.t()) - &ritz * &values;
            let worst = left.columns().into_iter().map(|r| r.dot(&r)).fold(0.0, f64::max).sqrt();
            // the whole space leaves nothing to be found
            let complete = self.basis.ncols() == self.basis.nrows();
            if complete || worst <= tolerance * values[0] || step == MOST_STEPS {
                return Ok((values, ritz));
            }
            self.basis = math::orthonormal(&moved);
        }
        unreachable!("the last step returns")
    }
}
