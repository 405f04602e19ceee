//! Points that many rows are compared with, packed for the kernels.

use super::{distances, nearest, scores};
use crate::Float;
use pulp::Arch;

/// The element types that have a kernel.
pub trait Nearest: Float {
    #[doc(hidden)]
    fn search(
        candidates: &Candidates<Self>,
        rows: &[Self],
        labels: &mut [u32],
        leads: &mut [Self],
        ahead: &[Self],
    );
    #[doc(hidden)]
    fn squared_distances(candidates: &Candidates<Self>, rows: &[Self], distances: &mut [Self]);
    #[doc(hidden)]
    fn exceed(
        candidates: &Candidates<Self>,
        table: &[Self],
        rows: &[usize],
        thresholds: &[Self],
        exceeds: &mut [bool],
        ahead: &[usize],
    );
    #[doc(hidden)]
    fn lanes() -> usize;
}

/// Candidates (centroids, seeds) packed for the kernel.
#[derive(Debug, Clone)]
pub struct Candidates<F> {
    pub(super) count: usize,
    pub(super) width: usize,
    /// pairs of registers one after the other and the last alone when their number is odd; in each the
    /// coordinates in order, in each as many candidates as the registers hold
    pub(super) packed: Vec<F>,
    /// −½‖c‖², and −∞ for the padding, which therefore never wins
    pub(super) offsets: Vec<F>,
}

impl<F: Nearest> Candidates<F> {
    /// Packs candidates of `width` coordinates (at least 1), given row after row.
    pub fn pack(rows: &[F], width: usize) -> Self {
        let width = width.max(1);
        let count = rows.len() / width;
        let lanes = F::lanes();
        let padded = count.next_multiple_of(lanes);
        let mut packed = vec![F::zero(); padded * width];
        let mut offsets = vec![F::neg_infinity(); padded];
        let paired = padded - padded % (2 * lanes);
        for c in 0..count {
            let row = &rows[c * width..(c + 1) * width];
            let block = if c < paired { 2 * lanes } else { lanes };
            let start = c / block * block * width + c % block;
            for (j, &value) in row.iter().enumerate() {
                packed[start + j * block] = value;
            }
            offsets[c] = F::of(-0.5 * row.iter().map(|v| v.f64() * v.f64()).sum::<f64>());
        }
        Candidates { count, width, packed, offsets }
    }

    /// How many candidates there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes the index of the nearest candidate of each row, for as many rows as both slices hold;
    /// `rows` holds them one after the other, each as wide as a candidate.
    pub fn nearest(&self, rows: &[F], labels: &mut [u32]) {
        self.nearest_ahead(rows, labels, &[]);
    }

    /// The same, while the values `ahead`, which will be read next, are fetched into the cache.
    pub fn nearest_ahead(&self, rows: &[F], labels: &mut [u32], ahead: &[F]) {
        let n = labels.len().min(rows.len() / self.width);
        F::search(self, &rows[..n * self.width], &mut labels[..n], &mut [], ahead);
    }

    /// As [`nearest`](Self::nearest), and by how much each row's best score x·c − ½‖c‖² exceeds its second best
    /// one: half the difference of their squared distances. Infinite when there is one candidate.
    pub fn nearest_with_lead(&self, rows: &[F], labels: &mut [u32], leads: &mut [F]) {
        let n = labels.len().min(leads.len()).min(rows.len() / self.width);
        F::search(self, &rows[..n * self.width], &mut labels[..n], &mut leads[..n], &[]);
    }

    /// Writes the squared distances of each row to every candidate: `distances` has
    /// [`padded`](Self::padded) values a row, of which the first [`len`](Self::len) count, for as many
    /// rows as both slices hold. Computed as Σ(x − c)², exact to rounding wherever the origin is.
    pub fn squared_distances(&self, rows: &[F], distances: &mut [F]) {
        let n = (distances.len() / self.padded().max(1)).min(rows.len() / self.width);
        if n > 0 {
            F::squared_distances(self, &rows[..n * self.width], &mut distances[..n * self.padded()]);
        }
    }

    /// Writes whether the score x·c − ½‖c‖² of any candidate exceeds a row's threshold, for some rows of a table that holds
    /// rows as wide as a candidate, one after the other: as many as all slices hold, up to the first that is not in the table.
    /// Half the work of the distances, and less exact: a candidate at squared distance D² from x scores ½(‖x‖² − D²), but for
    /// rounding. The rows `ahead`, about which the next call will ask, are fetched into the cache meanwhile.
    pub fn exceed(
        &self,
        table: &[F],
        rows: &[usize],
        thresholds: &[F],
        exceeds: &mut [bool],
        ahead: &[usize],
    ) {
        let held = table.len() / self.width;
        let inside = |rows: &[usize]| rows.iter().take_while(|&&row| row < held).count();
        let n = inside(rows).min(thresholds.len()).min(exceeds.len());
        F::exceed(self, table, &rows[..n], &thresholds[..n], &mut exceeds[..n], &ahead[..inside(ahead)]);
    }

    /// The number of candidates rounded up to whole blocks.
    pub fn padded(&self) -> usize {
        self.offsets.len()
    }
}

macro_rules! kernels {
    ($float:ident, $of:ident) => {
        impl Nearest for $float {
            fn search(
                candidates: &Candidates<Self>,
                rows: &[Self],
                labels: &mut [u32],
                leads: &mut [Self],
                ahead: &[Self],
            ) {
                Arch::new().dispatch(nearest::$of::Search { candidates, rows, labels, leads, ahead });
            }
            fn squared_distances(candidates: &Candidates<Self>, rows: &[Self], distances: &mut [Self]) {
                Arch::new().dispatch(distances::$of::Distances { candidates, rows, distances });
            }
            fn exceed(
                candidates: &Candidates<Self>,
                table: &[Self],
                rows: &[usize],
                thresholds: &[Self],
                exceeds: &mut [bool],
                ahead: &[usize],
            ) {
                Arch::new().dispatch(scores::$of::Exceed {
                    candidates,
                    table,
                    rows,
                    thresholds,
                    exceeds,
                    ahead,
                });
            }
            fn lanes() -> usize {
                Arch::new().dispatch(distances::$of::Lanes)
            }
        }
    };
}

kernels!(f32, single);
kernels!(f64, double);

/// Normal numbers for the tests of the kernels.
#[cfg(test)]
pub(super) fn drawn<F: Nearest>(seed: u64, name: &str, len: usize) -> Vec<F> {
    crate::Seed::new(seed).named(name).normals(len).into_iter().map(F::of).collect()
}
