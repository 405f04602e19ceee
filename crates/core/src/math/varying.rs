//! The columns of a table that are not constant.
//!
//! Images have borders, volumes a background: pixels of one value in every row. Such a column has no part in a covariance
//! matrix, and one in which a third of the columns is constant costs less than half of the products. What reads a table for its
//! products reads the others only, and puts zeros where these belong.

use super::chunks::chunks;
use crate::Float;
use ndarray::{Array1, ArrayRef1, ArrayRef2};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Rows that are looked at first: they tell nearly all the columns that vary.
const FIRST: usize = 256;
/// All columns are taken where fewer than one in so many is constant.
const ONE_IN: usize = 16;

/// Which columns vary.
pub(super) struct Varying {
    /// their numbers, rising
    columns: Vec<usize>,
    /// the same, as runs of neighbours
    runs: Vec<Range<usize>>,
}

impl Varying {
    /// The columns of x that hold something else than these values. Those which hold nothing else may be among them when they are
    /// few. x: `[n, d]`, values: `[d]`.
    pub(super) fn about<F: Float>(x: &ArrayRef2<F>, values: &[f64]) -> Self {
        let (n, d) = x.dim();
        // a difference of infinities is not 0 either
        let differs = |row: &ArrayRef1<F>, column: usize| row[column].f64() - values[column] != 0.0;
        let still = |same: &mut Vec<usize>, i: usize| {
            let row = x.row(i);
            if same.iter().any(|&column| differs(&row, column)) {
                same.retain(|&column| !differs(&row, column));
            }
            same.len() * ONE_IN >= d
        };
        let mut same: Vec<usize> = (0..d).collect();
        let first = (0..n).step_by(n.div_ceil(FIRST).max(1));
        if !first.into_iter().all(|i| still(&mut same, i)) {
            return Self::new(0..d);
        }
        let of_chunk = |rows: Range<usize>| {
            let mut same = same.clone();
            rows.into_iter().all(|i| still(&mut same, i)).then_some(same)
        };
        let same: Option<Vec<Vec<usize>>> = chunks(n, 64).into_par_iter().map(of_chunk).collect();
        let mut constant = vec![0; d];
        let parts = same.as_ref().map_or(0, Vec::len);
        same.iter().flatten().flatten().for_each(|&column| constant[column] += 1);
        Self::new((0..d).filter(|&column| parts == 0 || constant[column] < parts))
    }

    fn new(columns: impl Iterator<Item = usize>) -> Self {
        let columns: Vec<usize> = columns.collect();
        let runs = columns.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[run.len() - 1] + 1).collect();
        Varying { columns, runs }
    }

    /// Their numbers, rising.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Their values among those of all columns. `[d]`. Returns `[columns]`.
    pub(super) fn of<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.columns.iter().map(|&column| values[column]).collect()
    }

    /// Copies their values in some rows of x into `tile`, rows `stride` values apart, with `shift` taken off.
    /// shift: `[columns]`.
    pub(super) fn rows<F: Float>(
        &self,
        x: &ArrayRef2<F>,
        rows: Range<usize>,
        shift: &[F],
        stride: usize,
        tile: &mut Vec<F>,
    ) {
        tile.resize(rows.len() * stride, F::zero());
        Arch::new().dispatch(Rows { x, rows, runs: &self.runs, shift, stride, tile });
    }
}

struct Rows<'a, F> {
    x: &'a ArrayRef2<F>,
    rows: Range<usize>,
    runs: &'a [Range<usize>],
    shift: &'a [F],
    stride: usize,
    tile: &'a mut [F],
}

impl<F: Float> WithSimd for Rows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Rows { x, rows, runs, shift, stride, tile } = self;
        let d = x.ncols();
        let subtract = |((out, &v), &m): ((&mut F, &F), &F)| *out = v - m;
        for (i, out) in rows.zip(tile.chunks_exact_mut(stride.max(1))) {
            let mut start = 0;
            for run in runs {
                let columns = start..start + run.len();
                let moved = out[columns.clone()].iter_mut();
                match x.as_slice() {
                    Some(values) => {
                        let values = &values[i * d..][run.clone()];
                        moved.zip(values).zip(&shift[columns.clone()]).for_each(subtract);
                    }
                    None => {
                        let row = x.row(i);
                        let values = run.clone().map(|column| &row[column]);
                        moved.zip(values).zip(&shift[columns.clone()]).for_each(subtract);
                    }
                }
                start = columns.end;
            }
        }
    }
}

/// Values of all columns where some have been found anew.
pub(super) fn replaced(
    all: &Array1<f64>,
    columns: &[usize],
    values: impl Iterator<Item = f64>,
) -> Array1<f64> {
    let mut all = all.clone();
    columns.iter().zip(values).for_each(|(&column, value)| all[column] = value);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use ndarray::Array2;

    fn bordered(n: usize, d: usize, varies: impl Fn(usize) -> bool) -> Array2<f64> {
        let values = Seed::new(3).normals(n * d);
        Array2::from_shape_fn((n, d), |(i, j)| if varies(j) { values[i * d + j] } else { 3.5 })
    }

    #[test]
    fn the_columns_that_vary_are_found_even_by_a_single_row() {
        for (n, d) in [(1, 1), (5, 40), (3000, 40), (3000, 17)] {
            let mut x = bordered(n, d, |j| j % 4 > 1);
            let expected = |x: &Array2<f64>| -> Vec<usize> {
                (0..d).filter(|&j| x.column(j).iter().any(|&v| v != 3.5)).collect()
            };
            assert_eq!(Varying::about(&x, &vec![3.5; d]).columns, expected(&x), "{n} x {d}");
            x[[n - 1, 0]] = 4.0;
            let found = Varying::about(&x, &vec![3.5; d]);
            assert_eq!(found.columns, expected(&x), "{n} x {d}");
            assert_eq!(found.runs.iter().cloned().flatten().collect::<Vec<_>>(), found.columns);
        }
    }

    #[test]
    fn few_constant_columns_are_not_worth_it_and_what_is_not_finite_is_no_constant() {
        let mut x = bordered(500, 40, |j| j > 1);
        assert_eq!(Varying::about(&x, &[3.5; 40]).columns.len(), 40);
        x.fill(f64::INFINITY);
        assert_eq!(Varying::about(&x, &[f64::INFINITY; 40]).columns.len(), 40);
        x.fill(0.0);
        assert!(Varying::about(&x, &[0.0; 40]).columns.is_empty());
    }

    #[test]
    fn rows_are_theirs_in_any_layout() {
        let x = bordered(70, 12, |j| ![0, 5, 6, 11].contains(&j));
        let varying = Varying::about(&x, &[3.5; 12]);
        let shift: Vec<f64> = varying.columns.iter().map(|&c| c as f64).collect();
        let turned = x.t().as_standard_layout().into_owned();
        for x in [x.view(), turned.t()] {
            let mut tile = Vec::new();
            varying.rows(&x, 3..60, &shift, 9, &mut tile);
            for (i, row) in tile.chunks(9).enumerate() {
                for (k, &column) in varying.columns.iter().enumerate() {
                    assert_eq!(row[k], x[[3 + i, column]] - column as f64);
                }
            }
        }
    }
}
