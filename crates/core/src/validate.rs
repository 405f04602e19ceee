//! The checks made once, at the door of every public function.
//!
//! Past this door an algorithm may assume what it needs: non-empty, finite, of the right width.

use crate::{Error, Float, Result};
use ndarray::{ArrayRef1, ArrayRef2};
use rayon::prelude::*;

/// A table with at least one row and one column.
///
/// # Errors
/// [`Error::Empty`].
pub fn not_empty<F>(x: &ArrayRef2<F>, what: &'static str) -> Result<()> {
    if x.is_empty() { Err(Error::Empty { what, shape: x.shape().to_vec() }) } else { Ok(()) }
}

/// A table with at least one row and one column, all of it finite.
///
/// # Errors
/// [`Error::Empty`], or [`Error::NonFinite`] with the first offending row and column.
pub fn table<F: Float>(x: &ArrayRef2<F>, what: &'static str) -> Result<()> {
    not_empty(x, what)?;
    let finite = |row: ndarray::ArrayView1<'_, F>| match row.as_slice() {
        Some(values) => all_finite(values),
        None => row.iter().all(|v| v.is_finite()),
    };
    let bad_row = (0..x.nrows()).into_par_iter().with_min_len(256).position_first(|i| !finite(x.row(i)));
    match bad_row {
        None => Ok(()),
        Some(row) => {
            let (column, value) = x
                .row(row)
                .iter()
                .enumerate()
                .find(|(_, v)| !v.is_finite())
                .map_or((0, f64::NAN), |(j, v)| (j, v.f64()));
            Err(Error::NonFinite { what, row, column, value })
        }
    }
}

/// A valid [`table`] all of whose values are allowed.
///
/// # Errors
/// Those of [`table`], and [`Error::Cell`] with the first row and column for which `is_allowed` does not hold.
pub fn table_where<F: Float>(
    x: &ArrayRef2<F>,
    what: &'static str,
    allowed: &'static str,
    is_allowed: impl Fn(F) -> bool + Sync,
) -> Result<()> {
    table(x, what)?;
    let bad_row = (0..x.nrows())
        .into_par_iter()
        .with_min_len(256)
        .position_first(|i| !x.row(i).iter().all(|&v| is_allowed(v)));
    let Some(row) = bad_row else { return Ok(()) };
    let (column, value) = x
        .row(row)
        .iter()
        .enumerate()
        .find(|(_, v)| !is_allowed(**v))
        .map_or((0, f64::NAN), |(j, v)| (j, v.f64()));
    Err(Error::Cell { what, row, column, value, allowed })
}

/// Whether no value is NaN or infinite.
pub(crate) fn all_finite<F: Float>(values: &[F]) -> bool {
    pulp::Arch::new().dispatch(Finite(values))
}

struct Finite<'a, F>(&'a [F]);

impl<F: Float> pulp::WithSimd for Finite<'_, F> {
    type Output = bool;

    /// x·0 is 0 for a finite x and NaN otherwise; sixteen sums side by side.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> bool {
        let (blocks, rest) = self.0.as_chunks::<16>();
        let mut lanes = [F::zero(); 16];
        blocks.iter().for_each(|block| (0..16).for_each(|l| lanes[l] += block[l] * F::zero()));
        lanes.iter().chain(rest).all(|v| v.is_finite())
    }
}

/// A valid [`table`] that also has the width the model was fitted on.
///
/// # Errors
/// Those of [`table`], and [`Error::Shape`].
pub fn table_of_width<F: Float>(x: &ArrayRef2<F>, columns: usize, what: &'static str) -> Result<()> {
    width(x, columns, what)?;
    table(x, what)
}

/// The width the model was fitted on.
///
/// # Errors
/// [`Error::Shape`].
pub fn width<F: Float>(x: &ArrayRef2<F>, width: usize, what: &'static str) -> Result<()> {
    if x.ncols() == width {
        Ok(())
    } else {
        Err(Error::shape(what, format!("{width} columns"), format!("{} columns", x.ncols())))
    }
}

/// A batch of images `[n, c, h, w]`: `f32`, not empty, finite. Returns c, h and w. `expected` says in words what
/// shape is wanted; a `NonFinite` error counts images as rows and positions within an image as columns.
///
/// # Errors
/// [`Error::Shape`] for another rank or element type, [`Error::Empty`], [`Error::NonFinite`].
#[cfg(feature = "nn")]
pub fn images(x: &candle_core::Tensor, what: &'static str, expected: &str) -> Result<[usize; 3]> {
    let misfit = || Error::shape(what, expected, format!("{:?} values of shape {:?}", x.dtype(), x.dims()));
    let &[n, c, h, w] = x.dims() else {
        return Err(misfit());
    };
    if x.dtype() != candle_core::DType::F32 {
        return Err(misfit());
    }
    if n * c * h * w == 0 {
        return Err(Error::Empty { what, shape: x.dims().to_vec() });
    }
    finite_rows(x, c * h * w, what)?;
    Ok([c, h, w])
}

/// Codes `[n, width]`: `f32`, not empty, finite.
///
/// # Errors
/// [`Error::Shape`] for another shape or element type, [`Error::Empty`], [`Error::NonFinite`].
#[cfg(feature = "nn")]
pub fn codes(z: &candle_core::Tensor, width: usize, what: &'static str) -> Result<()> {
    if z.rank() != 2 || z.dim(1)? != width || z.dtype() != candle_core::DType::F32 {
        let found = format!("{:?} values of shape {:?}", z.dtype(), z.dims());
        return Err(Error::shape(what, format!("f32 codes [n, {width}]"), found));
    }
    if z.elem_count() == 0 {
        return Err(Error::Empty { what, shape: z.dims().to_vec() });
    }
    finite_rows(z, width, what)
}

#[cfg(feature = "nn")]
fn finite_rows(x: &candle_core::Tensor, width: usize, what: &'static str) -> Result<()> {
    let values = x.to_device(&candle_core::Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(at) => {
            Err(Error::NonFinite { what, row: at / width, column: at % width, value: f64::from(values[at]) })
        }
    }
}

/// Memory for `n` rows of `width` numbers of eight bytes: all that is held at once. Rows that a caller only counts (samples to be
/// drawn) would otherwise end the process.
///
/// # Errors
/// [`Error::Parameter`] of this name when the system has not so much.
///
/// ```
/// use unsup_core::validate::room;
/// assert!(room("n", 1000, 64).is_ok() && room("n", usize::MAX, 64).is_err());
/// ```
pub fn room(name: &'static str, n: usize, width: usize) -> Result<()> {
    // asked for and given back untouched
    let fits = |numbers| Vec::<f64>::new().try_reserve_exact(numbers).is_ok();
    match n.checked_mul(width.max(1)) {
        Some(numbers) if fits(numbers) => Ok(()),
        _ => Err(Error::parameter(name, n, "as many as memory holds")),
    }
}

/// One finite, non-negative weight a row, not all of them zero.
///
/// # Errors
/// [`Error::Shape`] for a wrong length, [`Error::Value`] for a weight that is negative or not finite
/// or when all are zero.
pub fn weights<F: Float>(weights: &ArrayRef1<F>, rows: usize) -> Result<()> {
    if weights.len() != rows {
        return Err(Error::shape(
            "weights",
            format!("{rows} values, one a row"),
            format!("{} values", weights.len()),
        ));
    }
    let bad = |index: usize, value: F| Error::Value {
        what: "weights",
        index,
        value: value.to_string(),
        allowed: "finite, non-negative numbers that are not all zero",
    };
    if let Some((index, &value)) =
        weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= F::zero()))
    {
        return Err(bad(index, value));
    }
    if weights.iter().all(|w| w.is_zero()) {
        return Err(bad(0, F::zero()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn the_first_bad_value_is_named_with_row_and_column() {
        let mut x = Array2::<f32>::ones((300, 7));
        x[[211, 3]] = f32::INFINITY;
        x[[250, 0]] = f32::NAN;
        for view in [x.view(), x.t().reversed_axes()] {
            match table(&view, "x") {
                Err(Error::NonFinite { what: "x", row: 211, column: 3, value }) => {
                    assert!(value.is_infinite());
                }
                other => panic!("{other:?}"),
            }
        }
        // a column-major table takes the other path through the check
        match table(&x.slice(ndarray::s![.., 3..;2]), "x") {
            Err(Error::NonFinite { row: 211, column: 0, .. }) => {}
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_value_that_is_not_allowed_is_named() {
        let mut x = Array2::<f64>::ones((300, 7));
        x[[299, 6]] = -1.0;
        assert!(table_where(&x, "x", "less than 2", |v| v < 2.0).is_ok());
        let found = table_where(&x, "x", "at least 0", |v| v >= 0.0);
        assert!(matches!(found, Err(Error::Cell { row: 299, column: 6, value: -1.0, .. })), "{found:?}");
    }

    #[test]
    fn large_finite_values_pass() {
        assert!(table(&array![[f32::MAX, f32::MAX], [f32::MAX, f32::MIN]], "x").is_ok());
    }

    #[test]
    fn more_than_memory_is_an_error() {
        assert!(room("n", 0, 0).is_ok() && room("n", 1000, 1000).is_ok());
        for (n, width) in [(usize::MAX, 0), (1 << 50, 1), (1 << 40, 1 << 30)] {
            assert!(matches!(room("n", n, width), Err(Error::Parameter { name: "n", .. })), "{n} × {width}");
        }
    }

    #[test]
    fn weights_must_be_finite_non_negative_and_not_all_zero() {
        assert!(weights(&array![0.0, 2.0], 2).is_ok());
        for bad in [array![0.0, 0.0], array![1.0, -1.0], array![1.0, f64::NAN], array![f64::INFINITY, 1.0]] {
            assert!(matches!(weights(&bad, 2), Err(Error::Value { what: "weights", .. })), "{bad}");
        }
        assert!(matches!(weights(&array![1.0], 2), Err(Error::Shape { .. })));
    }
}
