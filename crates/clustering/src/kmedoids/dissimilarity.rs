//! How unlike two rows are.

use crate::kmeans::directions;
use ndarray::ArrayRef2;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unsup_core::math::{Nearest, squared_distance};
use unsup_core::{Error, Result};

/// A dissimilarity of two rows; 0 for equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Dissimilarity {
    /// √Σ(a − b)²
    #[default]
    Euclidean,
    /// Σ(a − b)²
    SquaredEuclidean,
    /// Σ|a − b|
    Manhattan,
    /// max |a − b|
    Chebyshev,
    /// 1 − cos(a, b)
    Cosine,
}

impl Dissimilarity {
    /// The dissimilarities of all rows of a and b: b's of the first row of a, then those of the second, …
    pub(super) fn table<F: Nearest>(self, a: &ArrayRef2<F>, b: &ArrayRef2<F>) -> Result<Vec<F>> {
        let (a, b) = (self.rows(a)?, self.rows(b)?);
        let d = a.ncols();
        let (a, b) = (a.as_slice().unwrap_or_default(), b.as_slice().unwrap_or_default());
        let count = b.len() / d.max(1);
        let rows = a.len() / d.max(1);
        let mut table: Vec<F> = Vec::new();
        if rows.checked_mul(count).is_none_or(|pairs| table.try_reserve_exact(pairs).is_err()) {
            let problem = format!("{rows} × {count} dissimilarities do not fit into memory");
            return Err(Error::Numerical { method: "k-medoids", problem });
        }
        table.resize(rows * count, F::zero());
        table.par_chunks_mut(count.max(1)).zip(a.par_chunks(d.max(1))).for_each(|(out, row)| {
            Arch::new().dispatch(FromRow { dissimilarity: self, row, others: b, out });
        });
        if let Some(at) = table.iter().position(|v| !v.is_finite()) {
            let problem = format!("rows {} and {} are too far apart for {}", at / count, at % count, F::NAME);
            return Err(Error::Numerical { method: "k-medoids", problem });
        }
        Ok(table)
    }

    /// The rows side by side, of norm 1 for the cosine: half the squared distance of these is 1 − cos.
    fn rows<F: Nearest>(self, x: &ArrayRef2<F>) -> Result<ndarray::Array2<F>> {
        let rows = x.as_standard_layout();
        if self == Dissimilarity::Cosine { directions(&rows) } else { Ok(rows.into_owned()) }
    }
}

struct FromRow<'a, F> {
    dissimilarity: Dissimilarity,
    row: &'a [F],
    others: &'a [F],
    out: &'a mut [F],
}

impl<F: Nearest> WithSimd for FromRow<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let FromRow { dissimilarity, row, others, out } = self;
        for (out, other) in out.iter_mut().zip(others.chunks_exact(row.len())) {
            let differences = row.iter().zip(other).map(|(&a, &b)| (a - b).abs());
            *out = match dissimilarity {
                Dissimilarity::Euclidean => squared_distance(row, other).sqrt(),
                Dissimilarity::SquaredEuclidean => squared_distance(row, other),
                Dissimilarity::Manhattan => differences.sum(),
                Dissimilarity::Chebyshev => differences.fold(F::zero(), F::max),
                Dissimilarity::Cosine => squared_distance(row, other) * F::of(0.5),
            };
        }
    }
}
