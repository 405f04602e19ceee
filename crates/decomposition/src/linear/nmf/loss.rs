//! The β-divergences: how far a table is from its approximation.

use super::tiles::{Tiles, floor};
use ndarray::{Array2, ArrayRef2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use unsup_core::data::Sparse;
use unsup_core::math::{Mat, multiply};
use unsup_core::{Error, Float, Result, validate};

/// What NMF minimises: a β-divergence (Févotte & Idier 2011), summed over all values.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Loss {
    /// ½(x − y)², β = 2: errors of equal size matter equally; Gaussian noise.
    #[default]
    Frobenius,
    /// x·ln(x/y) − x + y, β = 1: counts; Poisson noise.
    KullbackLeibler,
    /// x/y − ln(x/y) − 1, β = 0: only ratios matter; spectrograms. Needs values above 0.
    ItakuraSaito,
    /// Any other β: (x^β + (β − 1)y^β − βxy^(β−1)) / (β(β − 1)). Needs values above 0 when β ≤ 0.
    Beta(f64),
}

impl Loss {
    /// Its β.
    pub fn beta(self) -> f64 {
        match self {
            Loss::Frobenius => 2.0,
            Loss::KullbackLeibler => 1.0,
            Loss::ItakuraSaito => 0.0,
            Loss::Beta(beta) => beta,
        }
    }

    /// The divergence of one value x from its approximation y > 0.
    ///
    /// ```
    /// use unsup_decomposition::nmf::Loss;
    /// assert_eq!(Loss::Frobenius.of(3.0, 1.0), 2.0);
    /// assert_eq!(Loss::KullbackLeibler.of(0.0, 1.5), 1.5);
    /// assert!((Loss::Beta(1.0 + 1e-7).of(3.0, 1.0) - Loss::KullbackLeibler.of(3.0, 1.0)).abs() < 1e-6);
    /// ```
    pub fn of(self, x: f64, y: f64) -> f64 {
        match self.beta() {
            2.0 => 0.5 * (x - y).powi(2),
            1.0 => (if x > 0.0 { x * (x / y).ln() } else { 0.0 }) - x + y,
            0.0 => x / y - (x / y).ln() - 1.0,
            beta => {
                (x.powf(beta) + (beta - 1.0) * y.powf(beta) - beta * x * y.powf(beta - 1.0))
                    / (beta * (beta - 1.0))
            }
        }
    }

    /// The weights of a multiplicative update: x·y^(β−2) in place of x and y^(β−1) in place of y.
    pub(super) fn weigh<F: Float>(self, x: &[F], y: &mut [F], p: &mut Vec<F>) {
        let floor = floor::<F>();
        y.iter_mut().for_each(|y| *y = y.max(floor));
        p.clear();
        match self.beta() {
            2.0 => p.extend_from_slice(x),
            1.0 => p.extend(x.iter().zip(y.iter()).map(|(&x, &y)| x / y)),
            0.0 => {
                p.extend(x.iter().zip(y.iter()).map(|(&x, &y)| x / (y * y)));
                y.iter_mut().for_each(|y| *y = F::one() / *y);
            }
            beta => {
                let (one, two) = (F::of(beta - 1.0), F::of(beta - 2.0));
                p.extend(x.iter().zip(y.iter()).map(|(&x, &y)| x * num_powf(y, two)));
                y.iter_mut().for_each(|y| *y = num_powf(*y, one));
            }
        }
    }

    /// The power of a multiplicative step with which the divergence cannot rise (Févotte & Idier 2011).
    pub(super) fn exponent(self) -> f64 {
        match self.beta() {
            beta if beta < 1.0 => 1.0 / (2.0 - beta),
            beta if beta > 2.0 => 1.0 / (beta - 1.0),
            _ => 1.0,
        }
    }

    /// Σ d(x | wh) over all values. x: `[n, d]`, w: `[n, k]`, h: `[k, d]`, all at least 0.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Empty`], [`Error::NonFinite`], [`Error::Cell`] for a negative value.
    pub fn divergence<F: Float>(self, x: &ArrayRef2<F>, w: &ArrayRef2<F>, h: &ArrayRef2<F>) -> Result<f64> {
        let (w, h) = (factor(w, "w")?, factor(h, "h")?);
        check_shapes(x.dim(), &w, &h)?;
        Ok(self.sum(&factor(x, "x")?, &w, &h))
    }

    /// The same for a sparse x, of which only some rows are ever filled up with their zeros.
    ///
    /// # Errors
    /// As [`divergence`](Self::divergence).
    pub fn sparse_divergence<F: Float>(
        self,
        x: &Sparse<F>,
        w: &ArrayRef2<F>,
        h: &ArrayRef2<F>,
    ) -> Result<f64> {
        let (w, h) = (factor(w, "w")?, factor(h, "h")?);
        check_shapes(x.dim(), &w, &h)?;
        non_negative(x)?;
        let d = x.dim().1;
        Ok(self.sum_of_tiles(&w, &h, |rows, sum| {
            let mut tile = vec![F::zero(); rows.len() * d];
            for (row, out) in rows.zip(tile.chunks_exact_mut(d)) {
                x.row(row).for_each(|(j, v)| out[j] = v);
            }
            sum(&tile)
        }))
    }

    /// Σ d(x | wh) of row-major tables.
    pub(super) fn sum<F: Float>(self, x: &ArrayRef2<F>, w: &Array2<F>, h: &Array2<F>) -> f64 {
        let (d, x) = (x.ncols(), values(x));
        self.sum_of_tiles(w, h, |rows, sum| sum(&x[rows.start * d..rows.end * d]))
    }

    /// Σ d(x | wh), where `tile` gives the values of some rows of x to a function.
    fn sum_of_tiles<F: Float>(
        self,
        w: &Array2<F>,
        h: &Array2<F>,
        tile: impl Fn(Range<usize>, &mut dyn FnMut(&[F]) -> f64) -> f64 + Sync,
    ) -> f64 {
        let (n, (k, d)) = (w.nrows(), h.dim());
        let (w, h) = (values(w), values(h));
        let floor = floor::<F>().f64();
        let parts: Vec<f64> = Tiles::new::<F>(n, d, k)
            .chunks()
            .into_par_iter()
            .map(|chunk| {
                let (mut y, mut total) = (Vec::new(), 0.0);
                for rows in chunk.tiles() {
                    y.resize(rows.len() * d, F::zero());
                    let codes = Mat::new(&w[rows.start * k..rows.end * k], rows.len(), k);
                    multiply(&mut y, d, false, codes, Mat::new(h, k, d));
                    total += tile(rows, &mut |x| {
                        if self == Loss::Frobenius {
                            0.5 * x.iter().zip(&y).map(|(x, y)| (x.f64() - y.f64()).powi(2)).sum::<f64>()
                        } else {
                            x.iter().zip(&y).map(|(x, y)| self.of(x.f64(), y.f64().max(floor))).sum()
                        }
                    });
                }
                total
            })
            .collect();
        // rounding can leave a divergence of zero slightly negative
        parts.iter().sum::<f64>().max(0.0)
    }
}

/// A sparse table without negative values.
pub(super) fn non_negative<F: Float>(x: &Sparse<F>) -> Result<()> {
    for row in 0..x.dim().0 {
        if let Some((column, value)) = x.row(row).find(|(_, v)| *v < F::zero()) {
            return Err(Error::Cell { what: "x", row, column, value: value.f64(), allowed: ALLOWED });
        }
    }
    Ok(())
}

const ALLOWED: &str = "numbers of at least 0";

/// A valid table without negative values, row-major.
fn factor<F: Float>(table: &ArrayRef2<F>, what: &'static str) -> Result<Array2<F>> {
    validate::table_where(table, what, ALLOWED, |v| v >= F::zero())?;
    Ok(table.as_standard_layout().into_owned())
}

fn check_shapes<F: Float>((n, d): (usize, usize), w: &Array2<F>, h: &Array2<F>) -> Result<()> {
    if w.nrows() == n && h.ncols() == d && w.ncols() == h.nrows() {
        return Ok(());
    }
    let found = format!("{} × {} and {} × {}", w.nrows(), w.ncols(), h.nrows(), h.ncols());
    Err(Error::shape("w and h", format!("{n} × k and k × {d}"), found))
}

fn num_powf<F: Float>(value: F, power: F) -> F {
    F::of(value.f64().powf(power.f64()))
}

/// The values of a row-major table.
pub(super) fn values<F>(table: &ArrayRef2<F>) -> &[F] {
    table.as_slice().unwrap_or_default()
}
