//! What a factorisation asks of its table, dense or sparse.

use super::descent::{self, Pass, Penalty};
use super::loss::{Loss, values};
use super::multiplicative::{self, Parts};
use crate::linear::subspace::{Operator, Shifted};
use ndarray::{Array2, ArrayRef2, Axis};
use rayon::prelude::*;
use unsup_core::Float;

/// A non-negative table X `[n, d]`. w: `[n, k]` and h: `[k, d]` are row-major.
pub(super) trait Table<F: Float> {
    /// n and d.
    fn dim(&self) -> (usize, usize);

    /// Of all values.
    fn mean(&self) -> f64;

    /// Σx².
    fn squares(&self) -> f64;

    /// The table as the SVD of a start sees it.
    fn operator(&self) -> Box<dyn Operator + '_>;

    /// The codes' turn of coordinate descent, and the sums for the components'.
    fn descend(&self, w: &mut Array2<F>, h: &Array2<F>, penalty: Penalty) -> Pass;

    /// The codes' turn of multiplicative updates, and the parts of the components' gradient at the new codes.
    fn multiply(&self, loss: Loss, w: &mut Array2<F>, h: &Array2<F>, penalty: Penalty) -> Parts;

    /// Σ d(x | wh).
    fn divergence(&self, loss: Loss, w: &Array2<F>, h: &Array2<F>) -> f64;
}

/// A dense table, row-major.
pub(super) struct Dense<'a, F>(pub(super) &'a ArrayRef2<F>);

impl<F: Float> Table<F> for Dense<'_, F> {
    fn dim(&self) -> (usize, usize) {
        self.0.dim()
    }

    fn mean(&self) -> f64 {
        self.0.sum_axis(Axis(0)).iter().map(|v| v.f64()).sum::<f64>() / self.0.len() as f64
    }

    fn squares(&self) -> f64 {
        // chunks of fixed length: the same bits on any number of threads
        let parts: Vec<f64> = values(self.0)
            .par_chunks(1 << 14)
            .map(|part| part.iter().map(|v| v.f64().powi(2)).sum())
            .collect();
        parts.iter().sum()
    }

    fn operator(&self) -> Box<dyn Operator + '_> {
        Box::new(Shifted { x: self.0, shift: vec![F::zero(); self.0.ncols()] })
    }

    fn descend(&self, w: &mut Array2<F>, h: &Array2<F>, penalty: Penalty) -> Pass {
        descent::codes_turn(self.0, w, h, penalty)
    }

    fn multiply(&self, loss: Loss, w: &mut Array2<F>, h: &Array2<F>, penalty: Penalty) -> Parts {
        multiplicative::codes_turn(loss, self.0, w, h, penalty)
    }

    fn divergence(&self, loss: Loss, w: &Array2<F>, h: &Array2<F>) -> f64 {
        loss.sum(self.0, w, h)
    }
}
