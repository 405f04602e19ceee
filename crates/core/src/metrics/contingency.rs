//! How often each pair of labels occurs: the table that clustering agreement is computed from.

use super::same_length;
use crate::Result;
use ndarray::ArrayRef1;

/// The non-zero cells of the contingency table and its margins. Sparse, so that memory is O(n) however
/// many labels there are.
#[derive(Debug)]
pub(super) struct Contingency {
    /// (row, column, count), sorted by row and column; rows and columns count the distinct labels from 0.
    pub(super) cells: Vec<(usize, usize, u64)>,
    pub(super) rows: Vec<u64>,
    pub(super) columns: Vec<u64>,
    pub(super) n: u64,
}

impl Contingency {
    pub(super) fn new(a: &ArrayRef1<usize>, b: &ArrayRef1<usize>) -> Result<Self> {
        same_length("the second list of labels", b.len(), a.len())?;
        let ((row_of, rows), (column_of, columns)) = (distinct(a), distinct(b));
        let mut pairs: Vec<(usize, usize)> = row_of.into_iter().zip(column_of).collect();
        pairs.sort_unstable();
        let cells = pairs.chunk_by(|p, q| p == q).map(|run| (run[0].0, run[0].1, run.len() as u64)).collect();
        Ok(Contingency { cells, rows, columns, n: a.len() as u64 })
    }

    /// Whether the two partitions are the same up to the names of their labels.
    pub(super) fn is_perfect(&self) -> bool {
        self.cells.len() == self.rows.len() && self.cells.len() == self.columns.len()
    }
}

/// Each label's position among the distinct labels, and how often each of those occurs.
pub(super) fn distinct(labels: &ArrayRef1<usize>) -> (Vec<usize>, Vec<u64>) {
    let names = names(labels.iter().copied());
    let mut counts = vec![0; names.len()];
    let positions = labels
        .iter()
        .map(|label| {
            let at = names.partition_point(|name| name < label);
            counts[at] += 1;
            at
        })
        .collect();
    (positions, counts)
}

/// The distinct labels, ascending.
pub(super) fn names(labels: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut names: Vec<usize> = labels.collect();
    names.sort_unstable();
    names.dedup();
    names
}
