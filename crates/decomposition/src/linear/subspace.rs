//! The leading singular vectors of a table that is only ever multiplied: subspace iteration from a random start.

use ndarray::{Array1, Array2, ArrayRef2, Axis, s};
use std::ops::ControlFlow;
use unsup_core::data::Sparse;
use unsup_core::math::{self, Svd};
use unsup_core::{Float, Result, Seed};

/// A table X `[n, d]` as a subspace iteration sees it.
pub(crate) trait Operator {
    /// n and d.
    fn dim(&self) -> (usize, usize);
    /// X·b. b: `[d, m]`. Returns `[n, m]`.
    fn times(&self, b: &Array2<f64>) -> Array2<f64>;
    /// Xᵀ·X·b. b: `[d, m]`. Returns `[d, m]`.
    fn scattered(&self, b: &Array2<f64>) -> Array2<f64>;
}

/// A dense table with a row taken off each of its rows on the fly.
pub(crate) struct Shifted<'a, F> {
    pub(crate) x: &'a ArrayRef2<F>,
    pub(crate) shift: Vec<F>,
    /// XᵀX, where it was formed
    pub(crate) products: Option<Array2<f64>>,
}

impl<F: Float> Operator for Shifted<'_, F> {
    fn dim(&self) -> (usize, usize) {
        self.x.dim()
    }

    fn times(&self, b: &Array2<f64>) -> Array2<f64> {
        math::product(self.x, &self.shift, &b.mapv(F::of)).mapv(F::f64)
    }

    fn scattered(&self, b: &Array2<f64>) -> Array2<f64> {
        match &self.products {
            Some(products) => math::product(products, &vec![0.0; products.nrows()], b),
            None => math::transposed_product(self.x, &self.shift, b),
        }
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
}

/// An orthonormal basis `[d, width]` of about the leading right singular vectors of X: Q ← orth(XᵀX Q) from a Gaussian start
/// (Halko, Martinsson & Tropp 2011, algorithm 4.4). `progress` hears, before each of at most `passes` steps, its number, Q and XᵀXQ, and
/// may make that step the last.
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
    for pass in 1..=passes {
        let scattered = x.scattered(&basis);
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
