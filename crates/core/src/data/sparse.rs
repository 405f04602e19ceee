//! Sparse tables: rows that are mostly zero, as counts of words, clicks and genes are.
//!
//! A [`Sparse`] table stores, row after row, the columns and values that are there (compressed sparse rows). It is
//! checked once, when it is made, and immutable after.
//!
//! ```
//! use ndarray::array;
//! use unsup_core::data::Sparse;
//! // | 0 5 0 |
//! // | 1 0 2 |
//! let x = Sparse::new(3, vec![0, 1, 3], vec![1, 0, 2], vec![5.0, 1.0, 2.0])?;
//! assert_eq!(x.to_dense(), array![[0.0, 5.0, 0.0], [1.0, 0.0, 2.0]]);
//! assert_eq!(x, Sparse::from_dense(&x.to_dense())?);
//! assert_eq!(x.transpose().dim(), (3, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{Error, Float, Result, validate};
use ndarray::{Array1, Array2, ArrayRef2};
use rayon::prelude::*;

/// Rows that are handled by one task.
const ROWS: usize = 64;

/// A table `[n, d]` in compressed sparse rows; see the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub struct Sparse<F> {
    columns: usize,
    /// where each row begins, and where the last one ends; `[n + 1]`
    starts: Vec<usize>,
    indices: Vec<usize>,
    values: Vec<F>,
}

impl<F: Float> Sparse<F> {
    /// A table of `columns` columns. Row i holds `values[starts[i]..starts[i + 1]]` in the columns `indices` of the same
    /// range, which rise within a row.
    ///
    /// # Errors
    /// [`Error::Empty`] without a row or a column; [`Error::Shape`] when lengths do not fit each other; [`Error::Value`] for starts
    /// that fall, or for a column that is not below `columns` or does not rise; [`Error::NonFinite`].
    pub fn new(columns: usize, starts: Vec<usize>, indices: Vec<usize>, values: Vec<F>) -> Result<Self> {
        let rows = starts.len().saturating_sub(1);
        if rows == 0 || columns == 0 {
            return Err(Error::Empty { what: "the sparse table", shape: vec![rows, columns] });
        }
        if indices.len() != values.len() || starts[rows] != values.len() || starts[0] != 0 {
            let expected = "as many indices as values, and starts from 0 to their number";
            let found = format!(
                "{} indices, {} values, starts from {} to {}",
                indices.len(),
                values.len(),
                starts[0],
                starts[rows]
            );
            return Err(Error::shape("the sparse table", expected, found));
        }
        let value = |what, index, value: usize, allowed| Error::Value {
            what,
            index,
            value: value.to_string(),
            allowed,
        };
        if let Some(row) = (0..rows).find(|&i| starts[i] > starts[i + 1]) {
            return Err(value("starts", row + 1, starts[row + 1], "no less than the one before"));
        }
        for row in 0..rows {
            for at in starts[row]..starts[row + 1] {
                if indices[at] >= columns || (at > starts[row] && indices[at] <= indices[at - 1]) {
                    let allowed = "columns of the table, rising within a row";
                    return Err(value("indices", at, indices[at], allowed));
                }
                if !values[at].is_finite() {
                    let (column, value) = (indices[at], values[at].f64());
                    return Err(Error::NonFinite { what: "the sparse table", row, column, value });
                }
            }
        }
        Ok(Sparse { columns, starts, indices, values })
    }

    /// The values of a dense table that are not zero. x: `[n, d]`.
    ///
    /// # Errors
    /// Those of [`validate::table`].
    pub fn from_dense(x: &ArrayRef2<F>) -> Result<Self> {
        validate::table(x, "x")?;
        let (mut starts, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in x.rows() {
            for (j, &v) in row.iter().enumerate().filter(|(_, v)| !v.is_zero()) {
                indices.push(j);
                values.push(v);
            }
            starts.push(values.len());
        }
        Ok(Sparse { columns: x.ncols(), starts, indices, values })
    }

    /// The same table with its zeros. `[n, d]`
    pub fn to_dense(&self) -> Array2<F> {
        let mut dense = Array2::zeros(self.dim());
        for (i, mut out) in dense.rows_mut().into_iter().enumerate() {
            self.row(i).for_each(|(j, v)| out[j] = v);
        }
        dense
    }

    /// Rows and columns.
    pub fn dim(&self) -> (usize, usize) {
        (self.starts.len() - 1, self.columns)
    }

    /// How many values are stored.
    pub fn stored(&self) -> usize {
        self.values.len()
    }

    /// The columns and values of row i, none when there is no such row.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, F)> + '_ {
        let range = match self.starts.get(i..).unwrap_or_default() {
            [start, end, ..] => *start..*end,
            _ => 0..0,
        };
        self.indices[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }

    /// The transposed table, `[d, n]`.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let (n, d) = self.dim();
        let mut starts = vec![0; d + 1];
        self.indices.iter().for_each(|&j| starts[j + 1] += 1);
        (0..d).for_each(|j| starts[j + 1] += starts[j]);
        let mut next = starts.clone();
        let (mut indices, mut values) = (vec![0; self.stored()], vec![F::zero(); self.stored()]);
        for i in 0..n {
            for (j, v) in self.row(i) {
                (indices[next[j]], values[next[j]]) = (i, v);
                next[j] += 1;
            }
        }
        Sparse { columns: n, starts, indices, values }
    }

    /// X·b, in `f64`. b: `[d, m]`. Returns `[n, m]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when b has not d rows.
    pub fn times(&self, b: &Array2<f64>) -> Result<Array2<f64>> {
        let ((n, d), m) = (self.dim(), b.ncols());
        if b.nrows() != d {
            return Err(Error::shape("b", format!("{d} rows"), format!("{} rows", b.nrows())));
        }
        let b = b.as_standard_layout();
        let right = b.as_slice().unwrap_or_default();
        let mut out = vec![0.0; n * m];
        out.par_chunks_mut(ROWS * m.max(1)).enumerate().for_each(|(block, out)| {
            for (i, out) in out.chunks_exact_mut(m).enumerate() {
                for (j, v) in self.row(block * ROWS + i) {
                    let v = v.f64();
                    out.iter_mut().zip(&right[j * m..(j + 1) * m]).for_each(|(out, b)| *out += v * b);
                }
            }
        });
        Ok(Array2::from_shape_vec((n, m), out).unwrap_or_default())
    }

    /// The mean of each column and its variance about it, divided by n. `[d]` each, in `f64`.
    pub fn moments(&self) -> (Array1<f64>, Array1<f64>) {
        let (n, d) = (self.dim().0 as f64, self.columns);
        let (mut means, mut counts) = (Array1::<f64>::zeros(d), Array1::<f64>::zeros(d));
        for (&j, v) in self.indices.iter().zip(&self.values) {
            means[j] += v.f64() / n;
            counts[j] += 1.0;
        }
        // zeros that are not stored are as far from the mean as the mean from zero
        let mut squares: Array1<f64> = (&means * &means) * (n - &counts);
        for (&j, v) in self.indices.iter().zip(&self.values) {
            squares[j] += (v.f64() - means[j]).powi(2);
        }
        (means, squares / n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Seed, math::Moments};
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    /// About a third of the values are there.
    fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
        let values = Seed::new(seed).normals(n * d);
        Array2::from_shape_vec((n, d), values).unwrap_or_default().mapv(|v| if v > 0.4 { v } else { 0.0 })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_sparse_table_answers_as_the_dense_one(n in 1usize..150, d in 1usize..12, m in 1usize..5, seed in any::<u64>()) {
            let dense = table(seed, n, d);
            let sparse = Sparse::from_dense(&dense)?;
            prop_assert_eq!(sparse.to_dense(), dense.clone());
            prop_assert_eq!(sparse.transpose().to_dense(), dense.t().to_owned());
            prop_assert_eq!(sparse.transpose().transpose(), sparse.clone());
            let b = table(seed ^ 1, d, m);
            assert_abs_diff_eq!(sparse.times(&b)?, dense.dot(&b), epsilon = 1e-12);
            let (means, variances) = sparse.moments();
            let expected = Moments::of(&dense, "x")?;
            assert_abs_diff_eq!(means, expected.means, epsilon = 1e-12);
            assert_abs_diff_eq!(variances, expected.variances, epsilon = 1e-12);
        }
    }

    #[test]
    fn what_is_no_table_is_named() {
        let new = |starts: &[usize], indices: &[usize], values: &[f64]| {
            Sparse::new(3, starts.to_vec(), indices.to_vec(), values.to_vec())
        };
        assert!(new(&[0, 1, 3], &[2, 0, 1], &[1.0, 2.0, 3.0]).is_ok());
        assert!(matches!(new(&[0], &[], &[]), Err(Error::Empty { .. })));
        assert!(matches!(Sparse::<f64>::new(3, vec![], vec![], vec![]), Err(Error::Empty { .. })));
        assert!(matches!(Sparse::<f64>::new(0, vec![0, 0], vec![], vec![]), Err(Error::Empty { .. })));
        for (starts, indices) in [(&[0, 2][..], &[0][..]), (&[1, 1], &[0]), (&[0, 2], &[0, 1])] {
            assert!(matches!(new(starts, indices, &[1.0]), Err(Error::Shape { .. })));
        }
        let values = [1.0, 2.0, 3.0];
        assert!(matches!(
            new(&[0, 5, 3], &[0, 1, 2], &values),
            Err(Error::Value { what: "starts", index: 2, .. })
        ));
        for indices in [[0, 3, 0], [1, 1, 0], [2, 1, 0]] {
            assert!(matches!(
                new(&[0, 2, 3], &indices, &values),
                Err(Error::Value { what: "indices", index: 1, .. })
            ));
        }
        let found = new(&[0, 2, 3], &[0, 1, 2], &[1.0, 2.0, f64::NAN]);
        assert!(matches!(found, Err(Error::NonFinite { row: 1, column: 2, .. })));
        let x = Sparse::from_dense(&table(1, 4, 3)).and_then(|x| x.times(&Array2::zeros((2, 2))));
        assert!(matches!(x, Err(Error::Shape { what: "b", .. })));
    }
}
