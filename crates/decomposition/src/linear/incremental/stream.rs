//! The rows so far, as their sums, and how a batch is added to them.

use crate::linear::singular;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, concatenate};
use unsup_core::math::{Moments, Scatter};
use unsup_core::{Float, Result};

/// Count, mean and centred products of rows, relative to an origin near them, so that means far from 0 lose nothing when
/// they are merged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stream {
    pub(super) rows: usize,
    /// `[d]`
    pub(super) origin: Array1<f64>,
    /// of the rows less the origin `[d]`
    pub(super) means: Array1<f64>,
    /// Σ (x − mean)² of each column `[d]`
    pub(super) squares: Array1<f64>,
    pub(super) products: Products,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Products {
    /// Σ (x − mean)(x − mean)ᵀ `[d, d]`
    Scatter(Array2<f64>),
    /// B with BᵀB nearly that: singular values times directions
    Factor {
        /// `[at most kept, d]`
        rows: Array2<f64>,
        kept: usize,
    },
}

impl Stream {
    /// No rows yet, and an origin near those to come. `kept`: of a factor.
    pub(super) fn new<F: Float>(origin: &ArrayRef1<F>, kept: Option<usize>) -> Self {
        let d = origin.len();
        let products = match kept {
            None => Products::Scatter(Array2::zeros((d, d))),
            Some(kept) => Products::Factor { rows: Array2::zeros((0, d)), kept },
        };
        Stream {
            rows: 0,
            origin: origin.mapv(|v| v.f64()),
            means: Array1::zeros(d),
            squares: Array1::zeros(d),
            products,
        }
    }

    /// Merges a valid batch into the sums. x: `[m, d]`.
    pub(super) fn add<F: Float>(&mut self, x: &ArrayRef2<F>) -> Result<()> {
        let mut near = x.to_owned();
        near -= &self.origin.mapv(F::of);
        let (before, batch) = (self.rows as f64, x.nrows() as f64);
        let weight = before * batch / (before + batch);
        let (means, squares) = match &mut self.products {
            Products::Scatter(products) => {
                let of_batch = Scatter::of(&near, "x")?;
                let step = &of_batch.means - &self.means;
                *products += &of_batch.products;
                for (mut row, &step_i) in products.rows_mut().into_iter().zip(&step) {
                    row.scaled_add(weight * step_i, &step);
                }
                let squares = of_batch.products.diag().to_owned();
                (of_batch.means, squares)
            }
            Products::Factor { rows, kept } => {
                let Moments { means, variances } = Moments::of(&near, "x")?;
                let between = (&means - &self.means) * weight.sqrt();
                let centred = near.mapv(|v| v.f64()) - &means;
                let stack =
                    concatenate(Axis(0), &[rows.view(), centred.view(), between.insert_axis(Axis(0)).view()])
                        .unwrap_or_default();
                let (values, directions) = singular::leading(&stack, *kept)?;
                *rows = directions * values.insert_axis(Axis(1));
                (means, variances * batch)
            }
        };
        let step = &means - &self.means;
        self.squares += &(squares + &step * &step * weight);
        self.means.scaled_add(batch / (before + batch), &step);
        self.rows += x.nrows();
        Ok(())
    }
}
