//! A few hundred rows near the origin and in `f64`, row by row and column by column.

use ndarray::{ArrayRef2, s};
use std::ops::Range;
use unsup_core::Float;

/// A multiple of four registers on every machine.
pub(super) const LANES: usize = 32;

/// Between the columns, so that the same rows of several columns do not compete for one set of the first-level cache.
const GAP: usize = 8;

/// A row fills whole registers of at most so many values.
const PITCH: usize = 8;

/// Rows that are turned into columns together.
const TURNED: usize = 8;

/// No tile holds more rows.
const MOST_ROWS: usize = 512;

/// The buffer that rows are read into.
#[derive(Debug)]
pub(super) struct Tile {
    count: usize,
    d: usize,
    room: usize,
    /// `[count, pitch]`, zero from column d on
    rows: Vec<f64>,
    /// `[d, stride]`; what lies beyond `count` is finite and means nothing
    columns: Vec<f64>,
}

impl Tile {
    /// Room for as many rows of d columns as stay in the second-level cache.
    pub(super) fn new(d: usize) -> Self {
        let room = (32 * 1024 / d.max(1)).next_multiple_of(64).clamp(64, MOST_ROWS);
        let rows = vec![0.0; room * d.next_multiple_of(PITCH)];
        Tile { count: 0, d, room, rows, columns: vec![0.0; (room + GAP) * d] }
    }

    /// Reads rows `range` of x, with `shift` subtracted.
    pub(super) fn load<F: Float>(&mut self, x: &ArrayRef2<F>, range: Range<usize>, shift: &[f64]) {
        self.count = range.len();
        let (d, pitch) = (self.d, self.pitch());
        for (i, row) in x.slice(s![range, ..]).rows().into_iter().enumerate() {
            let out = &mut self.rows[i * pitch..][..d];
            match row.as_slice() {
                Some(values) => {
                    out.iter_mut().zip(values).zip(shift).for_each(|((o, v), m)| *o = v.f64() - m);
                }
                None => out.iter_mut().zip(&row).zip(shift).for_each(|((o, v), m)| *o = v.f64() - m),
            }
        }
        self.turn();
    }

    /// Rows to columns, a few rows at a time, which stay in the first-level cache.
    fn turn(&mut self) {
        let (d, pitch, stride) = (self.d, self.pitch(), self.stride());
        let whole = self.count / TURNED * TURNED;
        for (b, rows) in self.rows[..whole * pitch].chunks_exact(TURNED * pitch).enumerate() {
            for j in 0..d {
                let turned: [f64; TURNED] = std::array::from_fn(|r| rows[r * pitch + j]);
                self.columns[j * stride + b * TURNED..][..TURNED].copy_from_slice(&turned);
            }
        }
        for i in whole..self.count {
            (0..d).for_each(|j| self.columns[j * stride + i] = self.rows[i * pitch + j]);
        }
    }

    /// How many rows it holds.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many it has room for.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// From one column to the next.
    pub(super) fn stride(&self) -> usize {
        self.room + GAP
    }

    /// The count, rounded up to whole registers.
    pub(super) fn padded(&self) -> usize {
        self.count.next_multiple_of(LANES)
    }

    /// The row, then zeros up to whole registers.
    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.pitch()..][..self.pitch()]
    }

    /// From one row to the next.
    fn pitch(&self) -> usize {
        self.d.next_multiple_of(PITCH)
    }

    pub(super) fn columns(&self) -> &[f64] {
        &self.columns
    }
}
