//! Products of tall tables, chunk by chunk.

use super::chunks::{ROW_TILE, chunks};
use super::gemm::{Mat, multiply, multiply_panels};
use super::kernel::Panels;
use crate::{Float, Result, validate};
use ndarray::{Array2, ArrayRef2};
use rayon::prelude::*;
use std::ops::Range;

/// Rows that one product takes at a time: a tile of 128 KiB stays in the second-level cache, where
/// the product finds it right after it was copied; a multiple of what the kernel takes.
fn product_rows<F: Float>(d: usize) -> usize {
    (128 * 1024 / size_of::<F>() / d.max(1) / 12 * 12).clamp(12, 8 * ROW_TILE)
}

/// Copies rows `range` of `x` into `tile`, one after the other, with `shift` subtracted.
///
/// Every kernel works on such tiles: contiguous whatever the layout of `x`, and near the origin
/// whatever the position of the data, without a centred copy of the whole table.
pub fn centred_tile<F: Float>(x: &ArrayRef2<F>, range: Range<usize>, shift: &[F], tile: &mut Vec<F>) {
    centred_rows(x, range, shift, tile);
}

/// The same for any rows of x, in the order given.
pub fn centred_rows<F: Float>(
    x: &ArrayRef2<F>,
    rows: impl ExactSizeIterator<Item = usize>,
    shift: &[F],
    tile: &mut Vec<F>,
) {
    tile.resize(rows.len() * shift.len(), F::zero());
    pulp::Arch::new().dispatch(Centre { x, rows, shift, tile });
}

struct Centre<'a, F, I> {
    x: &'a ArrayRef2<F>,
    rows: I,
    shift: &'a [F],
    tile: &'a mut [F],
}

impl<F: Float, I: Iterator<Item = usize>> pulp::WithSimd for Centre<'_, F, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Centre { x, rows, shift, tile } = self;
        let (d, out) = (shift.len(), tile.chunks_exact_mut(shift.len().max(1)));
        let subtract = |((out, &v), &m): ((&mut F, &F), &F)| *out = v - m;
        if let Some(values) = x.as_slice() {
            for (row, out) in rows.zip(out) {
                out.iter_mut().zip(&values[row * d..][..d]).zip(shift).for_each(subtract);
            }
        } else {
            for (row, out) in rows.zip(out) {
                out.iter_mut().zip(x.row(row)).zip(shift).for_each(subtract);
            }
        }
    }
}

/// The values of up to `rows` rows from `start` on, where x is row-major: what a product fetches ahead.
pub fn following<F: Float>(x: &ArrayRef2<F>, start: usize, rows: usize) -> &[F] {
    let (n, d) = x.dim();
    x.as_slice().map_or(&[], |values| &values[start * d..n.min(start + rows) * d])
}

/// (x − shift) · b. x: `[n, d]`, b: `[d, m]`. Returns `[n, m]`.
pub fn product<F: Float>(x: &ArrayRef2<F>, shift: &[F], b: &Array2<F>) -> Array2<F> {
    product_and_check(x, shift, b).0
}

/// The same for an x, called `what` in an error, that nobody has looked at: every value of it goes into the
/// result, where a NaN or an infinity leaves one. Saves a pass over x. b must be finite.
///
/// # Errors
/// Those of [`validate::table`].
pub fn checked_product<F: Float>(
    x: &ArrayRef2<F>,
    shift: &[F],
    b: &Array2<F>,
    what: &'static str,
) -> Result<Array2<F>> {
    validate::not_empty(x, what)?;
    let (product, finite) = product_and_check(x, shift, b);
    if !finite {
        validate::table(x, what)?;
    }
    Ok(product)
}

/// The product, and whether all of it is finite: each tile is looked at while it is in the cache.
fn product_and_check<F: Float>(x: &ArrayRef2<F>, shift: &[F], b: &Array2<F>) -> (Array2<F>, bool) {
    let ((n, d), m) = (x.dim(), b.ncols());
    let b = b.as_standard_layout();
    let b = Panels::pack(Mat::new(b.as_slice().unwrap_or_default(), d, m));
    let mut out = vec![F::zero(); n * m];
    let step = product_rows::<F>(d);
    let tiles = out.par_chunks_mut(step * m.max(1)).enumerate();
    let finite = tiles.map_init(Vec::new, |tile, (i, out)| {
        let rows = out.len() / m;
        centred_tile(x, i * step..i * step + rows, shift, tile);
        let ahead = following(x, i * step + rows, rows);
        multiply_panels(out, m, false, Mat::new(tile, rows, d), &b, ahead);
        validate::all_finite(out)
    });
    let finite = finite.reduce(|| true, |a, b| a & b);
    (Array2::from_shape_vec((n, m), out).unwrap_or_default(), finite)
}

/// (x − shift)ᵀ · (x − shift) · b in one pass over x: the step of a power iteration on the
/// scatter matrix, which is never formed. x: `[n, d]`, b: `[d, m]`. Returns `[d, m]` in `f64`.
pub fn transposed_product<F: Float>(x: &ArrayRef2<F>, shift: &[F], b: &ArrayRef2<f64>) -> Array2<f64> {
    let ((n, d), m) = (x.dim(), b.ncols());
    let b: Vec<F> = b.iter().map(|&v| F::of(v)).collect();
    let b = Panels::pack(Mat::new(&b, d, m));
    let parts: Vec<Vec<f64>> = chunks(n, 16)
        .into_par_iter()
        .map(|range| {
            let (mut tile, mut codes, mut part) = (Vec::new(), Vec::new(), vec![F::zero(); d * m]);
            let mut total = vec![0.0; d * m];
            let (b, step) = (&b, product_rows::<F>(d));
            for start in range.clone().step_by(step) {
                let rows = step.min(range.end - start);
                centred_tile(x, start..start + rows, shift, &mut tile);
                codes.resize(rows * m, F::zero());
                let rows_of_x = Mat::new(&tile, rows, d);
                let ahead = following(x, start + rows, step.min(range.end - start - rows));
                multiply_panels(&mut codes, m, false, rows_of_x, b, ahead);
                multiply(&mut part, m, false, rows_of_x.t(), Mat::new(&codes, rows, m));
                total.iter_mut().zip(&part).for_each(|(t, p)| *t += p.f64());
            }
            total
        })
        .collect();
    let total = super::sum_in_order(parts.iter().map(Vec::as_slice));
    Array2::from_shape_vec((d, m), total).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Seed};
    use approx::assert_abs_diff_eq;

    fn table(name: &str, n: usize, d: usize) -> Array2<f64> {
        Array2::from_shape_vec((n, d), Seed::new(1).named(name).normals(n * d)).unwrap_or_default()
    }

    #[test]
    fn a_value_that_is_not_finite_is_found_wherever_it_is() {
        for (row, column) in [(0, 0), (1498, 31), (700, 16)] {
            for bad in [f64::NAN, f64::INFINITY] {
                let mut x = table("x", 1500, 33);
                x[[row, column]] = bad;
                // a column of the product that does not use it is spoiled all the same
                let found = checked_product(&x, &[0.0; 33], &Array2::zeros((33, 1)), "x");
                let named = matches!(found, Err(Error::NonFinite { row: r, column: c, .. }) if (r, c) == (row, column));
                assert!(named, "{row} {column} {bad}");
            }
        }
        let empty = checked_product(&Array2::<f64>::zeros((0, 3)), &[0.0; 3], &Array2::zeros((3, 1)), "x");
        assert!(matches!(empty, Err(Error::Empty { what: "x", .. })));
    }

    #[test]
    fn products_agree_with_ndarray_for_any_layout_and_number_of_threads() {
        let (x, b) = (table("x", 1500, 33), table("b", 33, 7));
        let shift: Vec<f64> = Seed::new(2).normals(33);
        let centred = &x - &ndarray::Array1::from(shift.clone());
        for view in [x.view(), x.t().as_standard_layout().reversed_axes().view()] {
            assert_abs_diff_eq!(product(&view, &shift, &b), centred.dot(&b), epsilon = 1e-11);
            assert_abs_diff_eq!(
                transposed_product(&view, &shift, &b),
                centred.t().dot(&centred.dot(&b)),
                epsilon = 1e-9
            );
        }
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.map(|p| p.install(|| transposed_product(&x, &shift, &b))).unwrap_or_default()
        };
        assert_eq!(on(1), on(3));
    }
}
