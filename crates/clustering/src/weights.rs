//! Sample weights at the door: how many times each row counts, the same way for every method.
//!
//! A row of weight zero is as good as not there: it is left out before anything is computed, so a fit has the bits of one without it, and
//! only its label is asked for afterwards. (k-medoids, whose table of pairs holds all rows, passes over it instead, with the same bits.)
//! Unit weights are no weights, to the bit.

use ndarray::{Array1, ArrayRef1, ArrayRef2, Axis};
use rayon::prelude::*;
use std::borrow::Cow;
use unsup_core::math::{Moments, chunks, sum_in_order};
use unsup_core::{Error, Float, Result, validate};

/// Which rows count, and how many times.
#[derive(Debug)]
pub(crate) struct RowWeights {
    /// of the rows that count, above zero; none when each counts once
    pub(crate) values: Option<Vec<f64>>,
    /// the rows that count; none when all do
    pub(crate) rows: Option<Vec<usize>>,
}

impl RowWeights {
    /// Checks the weights of `n` rows.
    pub(crate) fn of<F: Float>(weights: &ArrayRef1<F>, n: usize) -> Result<Self> {
        let mut values = checked(weights, n)?;
        let mut rows = None;
        if values.contains(&0.0) {
            rows = Some((0..n).filter(|&i| values[i] > 0.0).collect());
            values.retain(|&w| w > 0.0);
        }
        let unit = values.iter().all(|&w| w == 1.0);
        Ok(RowWeights { values: (!unit).then_some(values), rows })
    }

    /// The rows that count. Where some do not, the table is checked as a whole: afterwards no error could name their numbers.
    pub(crate) fn select<'a, F: Float>(&self, x: &'a ArrayRef2<F>) -> Result<Cow<'a, ArrayRef2<F>>> {
        let Some(rows) = &self.rows else { return Ok(Cow::Borrowed(x)) };
        validate::table(x, "x")?;
        Ok(Cow::Owned(x.select(Axis(0), rows)))
    }
}

/// The weights of `n` rows: finite and not negative, with a sum that is finite and above zero.
pub(crate) fn checked<F: Float>(weights: &ArrayRef1<F>, n: usize) -> Result<Vec<f64>> {
    validate::weights(weights, n)?;
    let values: Vec<f64> = weights.iter().map(|w| w.f64()).collect();
    if values.iter().sum::<f64>().is_finite() {
        return Ok(values);
    }
    let index = (1..n).fold(0, |most, i| if values[i] > values[most] { i } else { most });
    let allowed = "numbers whose sum is finite";
    Err(Error::Value { what: "weights", index, value: weights[index].to_string(), allowed })
}

/// The weight of a row: 1 where all count the same.
#[inline(always)]
pub(crate) fn at(weights: Option<&[f64]>, row: usize) -> f64 {
    weights.map_or(1.0, |weights| weights[row])
}

/// The weights where some differ: rows are drawn by equal weights as by none, so that a common factor changes nothing.
pub(crate) fn uneven(weights: Option<&[f64]>) -> Option<&[f64]> {
    weights.filter(|weights| weights.iter().any(|w| *w != weights[0]))
}

/// Σ w·v.
pub(crate) fn weighted_sum(values: &Array1<f64>, weights: Option<&[f64]>) -> f64 {
    match weights {
        Some(weights) => values.iter().zip(weights).map(|(v, w)| v * w).sum(),
        None => values.sum(),
    }
}

/// The weighted mean of each column and the variance about it, divided by Σ w, in two passes. x: `[n, d]`, weights: `[n]`, `near`: a
/// point near the mean `[d]`.
pub(crate) fn weighted_moments<F: Float>(x: &ArrayRef2<F>, weights: &[f64], near: &[f64]) -> Moments {
    let total: f64 = weights.iter().sum();
    let mean_about = |centre: &[f64], power: i32| -> Vec<f64> {
        let part = |range: std::ops::Range<usize>| {
            let mut sums = vec![0.0; centre.len()];
            for row in range {
                for ((sum, v), c) in sums.iter_mut().zip(x.row(row)).zip(centre) {
                    *sum += weights[row] * (v.f64() - c).powi(power);
                }
            }
            sums
        };
        let parts: Vec<Vec<f64>> = chunks(x.nrows(), 64).into_par_iter().map(part).collect();
        sum_in_order(parts.iter().map(Vec::as_slice)).iter().map(|sum| sum / total).collect()
    };
    let means: Vec<f64> = near.iter().zip(mean_about(near, 1)).map(|(n, step)| n + step).collect();
    let variances = mean_about(&means, 2).into();
    Moments { means: means.into(), variances }
}
