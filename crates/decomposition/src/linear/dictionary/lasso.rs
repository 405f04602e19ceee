//! The lasso of one row by coordinate descent: min ½‖x − zD‖² + α‖z‖₁, from the Gram matrix of the atoms.

/// One row's problem.
pub(super) struct Lasso<'a> {
    /// DDᵀ, `[k, k]`
    pub(super) gram: &'a [f64],
    /// Dx, `[k]`
    pub(super) correlations: &'a [f64],
    /// ‖x‖²
    pub(super) squares: f64,
    pub(super) alpha: f64,
    /// the duality gap at which it ends, as a share of ½‖x‖²
    pub(super) tolerance: f64,
    pub(super) iterations: usize,
    /// the codes, from where they are `[k]`
    pub(super) z: &'a mut [f64],
    /// room for Dx − DDᵀz, `[k]`
    pub(super) left: &'a mut [f64],
}

impl pulp::WithSimd for Lasso<'_> {
    type Output = ();

    /// Plain loops, compiled for the instruction set at hand. Sweeps never raise the objective, wherever they start.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Lasso { gram, correlations, squares, alpha, tolerance, iterations, z, left } = self;
        let k = z.len();
        left.copy_from_slice(correlations);
        for (t, &value) in z.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            subtract(left, &gram[t * k..(t + 1) * k], value);
        }
        for _ in 0..iterations {
            let mut moved = false;
            for t in 0..k {
                let row = &gram[t * k..(t + 1) * k];
                let (curvature, old) = (row[t], z[t]);
                // an atom that is zero codes nothing
                let target = left[t] + curvature * old;
                let new = if curvature > 0.0 { shrink(target, alpha) / curvature } else { 0.0 };
                if new != old {
                    subtract(left, row, new - old);
                    z[t] = new;
                    moved = true;
                }
            }
            if !moved || gap(correlations, squares, alpha, z, left) <= tolerance * 0.5 * squares {
                return;
            }
        }
    }
}

#[inline(always)]
fn subtract(left: &mut [f64], row: &[f64], factor: f64) {
    left.iter_mut().zip(row).for_each(|(l, g)| *l -= factor * g);
}

#[inline(always)]
fn shrink(value: f64, by: f64) -> f64 {
    if value > by {
        value - by
    } else if value < -by {
        value + by
    } else {
        0.0
    }
}

/// How far the objective can be from its minimum: primal minus dual value, the dual point being the residual, shrunk until it
/// is feasible.
#[inline(always)]
fn gap(correlations: &[f64], squares: f64, alpha: f64, z: &[f64], left: &[f64]) -> f64 {
    let (mut explained, mut quadratic, mut norm, mut most) = (0.0, 0.0, 0.0, 0.0_f64);
    for ((&z, &c), &l) in z.iter().zip(correlations).zip(left) {
        explained += z * c;
        quadratic += z * (c - l);
        norm += z.abs();
        most = most.max(l.abs());
    }
    let residual = squares - 2.0 * explained + quadratic;
    let primal = 0.5 * residual + alpha * norm;
    let scale = if most > alpha { alpha / most } else { 1.0 };
    let dual = scale * (squares - explained) - 0.5 * scale * scale * residual;
    primal - dual
}
