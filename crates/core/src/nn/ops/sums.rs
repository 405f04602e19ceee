//! Sums and means over any axes.
//!
//! Neighbouring axes of one kind, summed or kept, are taken together; the runs of summed axes are then
//! summed one after the other, from the last to the first, in pieces of fixed size that threads
//! share. Totals are `f64`.

use super::element::{Backend, Element, by_type, float, ours, tensor, values};
use super::record::record1;
use super::reduce::{STRETCH, pieces};
use crate::{Error, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Values that are summed as one piece.
const PIECE: usize = 1 << 16;
/// Columns that are summed side by side, which their totals are kept in the first-level cache for.
const COLUMNS: usize = 512;

/// The sum over some axes, which are removed. x: any shape; axes: different numbers below its rank, in any
/// order. No axes leave x as it is; all of them give a scalar. The sum of nothing is 0.
///
/// # Errors
/// [`Error::Shape`] when x does not hold `f32` or `f64`, [`Error::Parameter`] for an axis that is not
/// there or stands twice.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[[1_f64, 2.], [3., 4.]], [[5., 6.], [7., 8.]]], &Device::Cpu)?;
/// assert_eq!(ops::sum_axes(&x, &[0, 2])?.to_vec1::<f64>()?, [14., 22.]);
/// assert_eq!(ops::sum_axes(&x, &[0, 1, 2])?.to_scalar::<f64>()?, 36.);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sum_axes(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let plan = Plan::new(x, axes)?;
    if axes.is_empty() {
        return Ok(x.clone());
    }
    if !ours(x) {
        return Ok(x.sum(axes)?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => plan.reduce::<T>("sum_axes", x, 1.0))?)
}

/// The mean over some axes, which are removed; otherwise as [`sum_axes`].
///
/// # Errors
/// As [`sum_axes`], and [`Error::Empty`] for a mean over no values.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[1_f32, 2.], [3., 6.]], &Device::Cpu)?;
/// assert_eq!(ops::mean_axes(&x, &[0])?.to_vec1::<f32>()?, [2., 4.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mean_axes(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let plan = Plan::new(x, axes)?;
    if axes.is_empty() {
        return Ok(x.clone());
    }
    let count: usize = axes.iter().map(|&axis| x.dims()[axis]).product();
    if count == 0 {
        return Err(Error::Empty { what: "x", shape: x.dims().to_vec() });
    }
    if !ours(x) {
        return Ok(x.mean(axes)?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => plan.reduce::<T>("mean_axes", x, count as f64))?)
}

/// Neighbouring axes of one kind.
#[derive(Debug, Clone, Copy)]
struct Run {
    size: usize,
    summed: bool,
}

/// How a tensor is summed.
#[derive(Debug, Clone)]
struct Plan {
    runs: Vec<Run>,
    /// The shape of the result.
    kept: Vec<usize>,
}

impl Plan {
    fn new(x: &Tensor, axes: &[usize]) -> Result<Self> {
        float(x, "x")?;
        let twice = axes.iter().enumerate().any(|(i, axis)| axes[..i].contains(axis));
        if twice || axes.iter().any(|&axis| axis >= x.rank()) {
            return Err(Error::parameter("axes", format!("{axes:?}"), "different axes below the rank of x"));
        }
        let mut plan = Plan { runs: Vec::new(), kept: Vec::new() };
        for (axis, &size) in x.dims().iter().enumerate() {
            let summed = axes.contains(&axis);
            if !summed {
                plan.kept.push(size);
            }
            match plan.runs.last_mut() {
                Some(run) if run.summed == summed => run.size *= size,
                _ => plan.runs.push(Run { size, summed }),
            }
        }
        Ok(plan)
    }

    /// The sums divided by `divisor`, recorded.
    fn reduce<T: Element>(self, name: &'static str, x: &Tensor, divisor: f64) -> Backend<Tensor> {
        let totals = self.totals(&values::<T>(x)?);
        let y = totals.into_iter().map(|total| T::of(total / divisor)).collect();
        let kept = self.kept.clone();
        record1::<T>(name, x, (y, kept), move |x, _, dy| {
            let dx = self.spread(&values::<T>(dy)?, T::of(1.0 / divisor), x.elem_count());
            tensor(dx, x.shape()).map(Some)
        })
    }

    fn totals<T: Element>(&self, x: &[T]) -> Vec<f64> {
        let size = |runs: &[Run]| runs.iter().map(|run| run.size).product::<usize>();
        let mut totals: Option<Vec<f64>> = None;
        let mut inner = 1;
        for (i, run) in self.runs.iter().enumerate().rev() {
            if run.summed {
                let shape = [size(&self.runs[..i]), run.size, inner];
                totals = Some(match totals {
                    Some(totals) => sum_middle(&totals, shape),
                    None => sum_middle(x, shape),
                });
            } else {
                inner *= run.size;
            }
        }
        totals.unwrap_or_default()
    }

    /// Copies each gradient, scaled, to all the `len` values that went into its sum.
    fn spread<T: Element>(&self, dy: &[T], scale: T, len: usize) -> Vec<T> {
        let Some((last, before)) = self.runs.split_last() else { return vec![dy[0] * scale; len] };
        if last.summed && before.is_empty() {
            return pieces(len, STRETCH, |_, dx| dx.fill(dy[0] * scale));
        }
        let width = last.size.max(1);
        let rows = (STRETCH / width).max(1);
        pieces(len, rows * width, |i, dx| {
            for (j, dx) in dx.chunks_exact_mut(width).enumerate() {
                // the row's place among the kept runs
                let (mut row, mut at, mut stride) = (i * rows + j, 0, 1);
                for run in before.iter().rev() {
                    if !run.summed {
                        at += row % run.size * stride;
                        stride *= run.size;
                    }
                    row /= run.size;
                }
                if last.summed {
                    dx.fill(dy[at] * scale);
                } else {
                    dx.iter_mut().zip(&dy[at * width..]).for_each(|(dx, &dy)| *dx = dy * scale);
                }
            }
        })
    }
}

/// x `[outer, middle, inner]` summed over its middle axis: `[outer, inner]`.
fn sum_middle<T: Element>(x: &[T], [outer, middle, inner]: [usize; 3]) -> Vec<f64> {
    if outer * middle * inner == 0 {
        return vec![0.0; outer * inner];
    }
    // rows of the middle axis that make a piece
    let rows = if inner == 1 { PIECE } else { (PIECE / inner.min(COLUMNS)).max(128) };
    let pieces = middle.div_ceil(rows);
    let at_least = (STRETCH / (rows.min(middle) * inner)).max(1);
    let mut parts = vec![0.0; outer * pieces * inner];
    parts.par_chunks_mut(inner).with_min_len(at_least).enumerate().for_each(|(i, totals)| {
        let (start, piece) = (i / pieces * middle, i % pieces * rows);
        let x = &x[(start + piece) * inner..(start + middle.min(piece + rows)) * inner];
        if inner <= COLUMNS {
            Arch::new().dispatch(AddRows { x, inner, first: 0, totals });
        } else {
            totals.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, totals)| {
                Arch::new().dispatch(AddRows { x, inner, first: block * COLUMNS, totals });
            });
        }
    });
    if pieces == 1 {
        return parts;
    }
    let mut totals = vec![0.0; outer * inner];
    for (totals, parts) in totals.chunks_exact_mut(inner).zip(parts.chunks_exact(pieces * inner)) {
        for part in parts.chunks_exact(inner) {
            totals.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
    }
    totals
}

/// Adds the rows of x `[rows, inner]`, from the column `first` on, to `totals`.
struct AddRows<'a, T> {
    x: &'a [T],
    inner: usize,
    first: usize,
    totals: &'a mut [f64],
}

impl<T: Element> WithSimd for AddRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if self.inner == 1 {
            self.totals[0] = total(self.x);
            return;
        }
        for row in self.x.chunks_exact(self.inner) {
            let row = &row[self.first..][..self.totals.len()];
            self.totals.iter_mut().zip(row).for_each(|(total, v)| *total += v.f64());
        }
    }
}

/// The sum in sixteen lanes of `f64`.
#[inline(always)]
fn total<T: Element>(x: &[T]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let whole = x.chunks_exact(LANES);
    let rest = whole.remainder();
    for chunk in whole {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += v.f64();
        }
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, v)| *lane += v.f64());
    lanes.iter().sum()
}
