//! A few hundred rows near the origin and in `f64`, row by row and column by column.

use ndarray::{ArrayRef2, s};
use std::ops::Range;
use unsup_core::Float;

/// A multiple of two registers on every machine.
const LANES: usize = 16;

/// No tile holds more rows.
pub(super) const MOST_ROWS: usize = 512;

/// The buffer that rows are read into.
#[derive(Debug)]
pub(super) struct Tile {
    count: usize,
    d: usize,
    stride: usize,
    /// `[count, d]`
    rows: Vec<f64>,
    /// `[d, stride]`; what lies beyond `count` is finite and means nothing
    columns: Vec<f64>,
}

impl Tile {
    /// Room for as many rows of d columns as stay in the second-level cache.
    pub(super) fn new(d: usize) -> Self {
        let stride = (32 * 1024 / d.max(1)).next_multiple_of(64).clamp(64, MOST_ROWS);
        Tile { count: 0, d, stride, rows: vec![0.0; stride * d], columns: vec![0.0; stride * d] }
    }

    /// Reads rows `range` of x, with `shift` subtracted.
    pub(super) fn load<F: Float>(&mut self, x: &ArrayRef2<F>, range: Range<usize>, shift: &[f64]) {
        self.count = range.len();
        let (d, stride) = (self.d, self.stride);
        for (i, row) in x.slice(s![range, ..]).rows().into_iter().enumerate() {
            let out = &mut self.rows[i * d..][..d];
            match row.as_slice() {
                Some(values) => {
                    out.iter_mut().zip(values).zip(shift).for_each(|((o, v), m)| *o = v.f64() - m);
                }
                None => out.iter_mut().zip(&row).zip(shift).for_each(|((o, v), m)| *o = v.f64() - m),
            }
        }
        for j in 0..d {
            let column = &mut self.columns[j * stride..][..self.count];
            column.iter_mut().zip(self.rows[j..].iter().step_by(d)).for_each(|(c, v)| *c = *v);
        }
    }

    /// How many rows it holds.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many it has room for.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The count, rounded up to whole registers.
    pub(super) fn padded(&self) -> usize {
        self.count.next_multiple_of(LANES)
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.d..][..self.d]
    }

    pub(super) fn columns(&self) -> &[f64] {
        &self.columns
    }
}
