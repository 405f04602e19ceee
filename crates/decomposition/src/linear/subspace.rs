//! The leading singular vectors of a table that is only ever multiplied: subspace iteration from a random start.

use ndarray::{Array1, Array2, ArrayRef2, Axis, s};
use std::ops::ControlFlow;
use unsup_core::data::Sparse;
use unsup_core::math::{self, Scatter, Svd};
use unsup_core::{Float, Result, Seed};

/// A table X `[n, d]` as a subspace iteration sees it.
pub(crate) trait Operator {
    /// n and d.
    fn dim(&self) -> (usize, usize);
    /// X·b. b: `[d, m]`. Returns `[n, m]`.
    fn times(&self, b: &Array2<f64>) -> Array2<f64>;
    /// Xᵀ·X·b. b: `[d, m]`. Returns `[d, m]`.
    fn scattered(&self, b: &Array2<f64>) -> Array2<f64>;
    /// Xᵀ·X, `[d, d]`, where it takes less to form it than to multiply so many columns by X and Xᵀ.
    fn products(&self, columns: usize) -> Result<Option<Array2<f64>>>;
}

/// A dense table with a row taken off each of its rows on the fly.
pub(crate) struct Shifted<'a, F> {
    pub(crate) x: &'a ArrayRef2<F>,
    pub(crate) shift: Vec<F>,
}

impl<F: Float> Operator for Shifted<'_, F> {
    fn dim(&self) -> (usize, usize) {
        self.x.dim()
    }

    fn times(&self, b: &Array2<f64>) -> Array2<f64> {
        math::product(self.x, &self.shift, &b.mapv(F::of)).mapv(F::f64)
    }

    fn scattered(&self, b: &Array2<f64>) -> Array2<f64> {
        math::transposed_product(self.x, &self.shift, b)
    }

    /// n·d²/2 multiply-adds against 2·n·d a column.
    fn products(&self, columns: usize) -> Result<Option<Array2<f64>>> {
        /// No larger matrix is formed.
        const MOST_COLUMNS: usize = 4096;
        let d = self.x.ncols();
        if d > MOST_COLUMNS || d / 4 >= columns {
            return Ok(None);
        }
        let Scatter { rows, means, mut products } = Scatter::of(self.x, "x")?;
        // about the shift s rather than the mean: (x̄ − s)(x̄ − s)ᵀ more for each row
        let step: Vec<f64> = means.iter().zip(&self.shift).map(|(m, s)| m - s.f64()).collect();
        for (mut row, a) in products.rows_mut().into_iter().zip(&step) {
            row.iter_mut().zip(&step).for_each(|(p, b)| *p += rows as f64 * a * b);
        }
        Ok(Some(products))
    }
}

/// A sparse table with its mean row taken off by a rank-one correction.
pub(crate) struct Corrected<'a, F> {
    pub(crate) x: &'a Sparse<F>,
    pub(crate) transposed: &'a Sparse<F>,
    pub(crate) mean: Array1<f64>,
}

impl<F: Float> Operator for Corrected<'_, F> {
    fn dim(&self) -> (usize, usize) {
        self.x.dim()
    }

    fn times(&self, b: &Array2<f64>) -> Array2<f64> {
        // the widths fit: both come from the same table
        self.x.times(b).unwrap_or_default() - self.mean.dot(b)
    }

    fn scattered(&self, b: &Array2<f64>) -> Array2<f64> {
        let codes = self.times(b);
        let sums = codes.sum_axis(Axis(0)).insert_axis(Axis(0));
        let mean = self.mean.view().insert_axis(Axis(1));
        self.transposed.times(&codes).unwrap_or_default() - mean.dot(&sums)
    }

    /// Never: it is not sparse.
    fn products(&self, _: usize) -> Result<Option<Array2<f64>>> {
        Ok(None)
    }
}

/// An orthonormal basis `[d, width]` of about the leading right singular vectors of X: Q ← orth(XᵀX Q) from a Gaussian start
/// (Halko, Martinsson & Tropp 2011, algorithm 4.4). XᵀX is formed once where that pays. `progress` hears, before each of at most
/// `passes` steps, its number, Q and XᵀXQ, and may make that step the last.
pub(crate) fn iterate(
    x: &dyn Operator,
    width: usize,
    passes: usize,
    seed: Seed,
    mut progress: impl FnMut(usize, &Array2<f64>, &Array2<f64>) -> Result<ControlFlow<()>>,
) -> Result<Array2<f64>> {
    let (_, d) = x.dim();
    let start = Array2::from_shape_vec((d, width), seed.normals(d * width)).unwrap_or_default();
    let mut basis = math::orthonormal(&start);
    let products = x.products(width.saturating_mul(passes))?;
    let unmoved = vec![0.0; d];
    for pass in 1..=passes {
        let scattered = match &products {
            Some(products) => math::product(products, &unmoved, &basis),
            None => x.scattered(&basis),
        };
        let go_on = progress(pass, &basis, &scattered)?;
        basis = math::orthonormal(&scattered);
        if go_on.is_break() {
            break;
        }
    }
    Ok(basis)
}

/// The `k` leading singular triples of X, k ≤ min(n, d): a basis of k + `oversamples` columns by [`iterate`], then the SVD of X
/// within the subspace (Halko, Martinsson & Tropp 2011, algorithm 5.1). When the
/// subspace is as wide as min(n, d) the result is exact. `progress` hears ‖XQ‖² after each of `iterations` + 1 passes
/// and may break.
pub(crate) fn leading_svd(
    x: &dyn Operator,
    k: usize,
    oversamples: usize,
    iterations: usize,
    seed: Seed,
    mut progress: impl FnMut(usize, f64) -> ControlFlow<()>,
) -> Result<Svd> {
    let (n, d) = x.dim();
    let width = k.saturating_add(oversamples).min(n.min(d));
    let basis = iterate(x, width, iterations + 1, seed, |pass, basis, scattered| {
        Ok(progress(pass, (basis * scattered).sum()))
    })?;
    let codes = x.times(&basis);
    let factor = math::triangular_factor(&codes, &Array1::zeros(width));
    let (s, vt) = math::right_singular(&factor)?;
    let (s, vt) = (s.slice(s![..k]).to_owned(), vt.slice(s![..k, ..]).to_owned());
    let mut u = math::product(&codes, &vec![0.0; width], &vt.t().to_owned());
    for (mut column, &s) in u.axis_iter_mut(Axis(1)).zip(&s) {
        column.mapv_inplace(|v| if s > 0.0 { v / s } else { 0.0 });
    }
    Ok(Svd { u, s, vt: vt.dot(&basis.t()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn products_are_formed_about_any_shift_and_only_where_that_pays() -> Result<()> {
        let (n, d) = (300, 24);
        let mut x = Array2::from_shape_vec((n, d), Seed::new(1).normals(n * d)).unwrap_or_default() + 3.0;
        x.column_mut(5).fill(2.0);
        for shift in [vec![0.0; d], (0..d).map(|j| j as f64).collect()] {
            let table = Shifted { x: &x, shift };
            assert!(table.products(d / 4)?.is_none());
            let products = table.products(d)?.unwrap_or_default();
            let expected = table.scattered(&Array2::eye(d));
            assert_abs_diff_eq!(products, expected, epsilon = 1e-9 * expected.diag().sum());
        }
        Ok(())
    }
}
