//! Columns brought to a common scale.
//!
//! Distances and variances add columns up, so that a column in millimetres outweighs one in metres.
//! [`StandardScaler`] gives every column mean 0 and standard deviation 1, [`MinMaxScaler`] a
//! common range. Scale when units differ; do not when they agree and their sizes mean something
//! (pixels, genotypes, distances in space). Outliers squeeze what [`MinMaxScaler`] leaves of the rest.
//!
//! Fitting costs O(n d) in two passes over the rows, both accumulated in `f64` relative to the first row, so that a
//! column at 1e8 with deviations of 1 loses nothing. Fitted numbers do not depend on the number
//! of threads.

mod min_max;
mod standard;

pub use min_max::{MinMaxScaler, MinMaxScalerModel};
pub use standard::{StandardScaler, StandardScalerModel};

use crate::{Float, Result, validate};
use ndarray::{Array1, Array2, ArrayRef2};

/// The affine map of each column that both models are: code = (x - centre) / unit + offset.
/// Computed in `f64`, rounded once.
fn encode<F: Float>(
    x: &ArrayRef2<F>,
    centre: &Array1<f64>,
    unit: &Array1<f64>,
    offset: f64,
) -> Result<Array2<F>> {
    validate::table_of_width(x, centre.len(), "x")?;
    let mut code = x.to_owned();
    for mut row in code.rows_mut() {
        row.iter_mut().zip(centre).zip(unit).for_each(|((v, c), u)| *v = F::of((v.f64() - c) / u + offset));
    }
    Ok(code)
}

/// The inverse of [`encode`].
fn decode<F: Float>(
    z: &ArrayRef2<F>,
    centre: &Array1<f64>,
    unit: &Array1<f64>,
    offset: f64,
) -> Result<Array2<F>> {
    validate::table_of_width(z, centre.len(), "z")?;
    let mut x = z.to_owned();
    for mut row in x.rows_mut() {
        row.iter_mut().zip(centre).zip(unit).for_each(|((v, c), u)| *v = F::of((v.f64() - offset) * u + c));
    }
    Ok(x)
}
