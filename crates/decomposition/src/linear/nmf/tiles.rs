//! How rows are cut: chunks for threads, tiles for the cache; both a function of the table's shape alone.

use std::ops::Range;
use unsup_core::Float;
use unsup_core::math::{ROW_TILE, chunks};

/// The smallest number that something is divided by, near the rounding of 1.
pub(super) fn floor<F: Float>() -> F {
    F::of(F::EPS)
}

/// The cut of a table.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    n: usize,
    groups: usize,
    step: usize,
}

/// The rows of one chunk.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) rows: Range<usize>,
    step: usize,
}

impl Tiles {
    /// As many chunks as have sums `[k, d]` that fit a tenth of the data's own memory, within 4 to 16; tiles of 256 KiB, which
    /// the second product of a tile finds in the cache.
    pub(super) fn new<F>(n: usize, d: usize, k: usize) -> Self {
        let step = (256 * 1024 / size_of::<F>() / d.max(1) / 12 * 12).clamp(12, 8 * ROW_TILE);
        Tiles { n, groups: (n / (10 * k.max(1))).clamp(4, 16), step }
    }

    pub(super) fn chunks(self) -> Vec<Chunk> {
        let step = self.step;
        chunks(self.n, self.groups).into_iter().map(|rows| Chunk { rows, step }).collect()
    }

    /// Rows of every chunk but the last.
    pub(super) fn size(self) -> usize {
        chunks(self.n, self.groups).first().map_or(1, |rows| rows.len().max(1))
    }
}

impl Chunk {
    pub(super) fn tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, step) = (self.rows.clone(), self.step);
        rows.clone().step_by(step).map(move |start| start..(start + step).min(rows.end))
    }
}
