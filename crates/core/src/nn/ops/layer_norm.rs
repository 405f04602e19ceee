//! Layer normalisation (Ba, Kiros & Hinton 2016): each row by its own moments.
//!
//! y = weight·(x − μ)/√(σ² + ε) + bias, with μ and σ² of the row. Moments are two-pass and summed in `f64`.

use super::element::{Element, by_type, float, ours, shaped, tensor, values};
use super::record::record;
use super::reduce::{STRETCH, sum, sum_parts, sums2};
use crate::{Error, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Normalises over the last axis. x: `[…, d]`; weight, bias: `[d]`. Returns the shape of x. The
/// variance is divided by d; `epsilon` is added to it, so that a constant row becomes `bias`.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit or rows are empty, [`Error::Parameter`] for
/// an epsilon that is negative or not finite.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[1_f64, 3.], [7., 7.]], &Device::Cpu)?;
/// let (weight, bias) = (Tensor::new(&[2_f64, 2.], &Device::Cpu)?, Tensor::new(&[0_f64, 1.], &Device::Cpu)?);
/// let y = ops::layer_norm(&x, &weight, &bias, 1e-12)?.to_vec2::<f64>()?;
/// assert!((y[0][0] + 2.).abs() < 1e-11 && (y[0][1] - 3.).abs() < 1e-11);
/// assert_eq!(y[1], [0., 1.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    float(x, "x")?;
    let d = match x.dims() {
        [.., d] if *d > 0 => *d,
        other => return Err(Error::shape("x", "shape […, d] with d > 0", format!("shape {other:?}"))),
    };
    shaped(weight, "weight", &[d], x)?;
    shaped(bias, "bias", &[d], x)?;
    check_epsilon(epsilon)?;
    if !ours(x) {
        return composed(x, weight, bias, epsilon);
    }
    let (x, weight, bias) = (&x.contiguous()?, &weight.contiguous()?, &bias.contiguous()?);
    Ok(by_type!(x, T => {
        let (y, moments) = forward::<T>(&values(x)?, &values(weight)?, &values(bias)?, epsilon);
        record("layer_norm", [x, weight, bias], (y, x.shape()), move |[x, weight, _], _, dy| {
            let (dx, dw, db) = backward::<T>(&values(x)?, &values(weight)?, &values(dy)?, &moments);
            Ok([Some(tensor(dx, x.shape())?), Some(tensor(dw, d)?), Some(tensor(db, d)?)])
        })
    })?)
}

pub(super) fn check_epsilon(epsilon: f64) -> Result<()> {
    if epsilon >= 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(Error::parameter("epsilon", epsilon, "a finite number of at least 0"))
}

/// The same from the backend's own operations, for devices other than the CPU.
pub(super) fn composed(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    Ok(standardized(x, epsilon)?.broadcast_mul(weight)?.broadcast_add(bias)?)
}

/// (x − μ)/√(σ² + ε) over the last axis, composed.
pub(super) fn standardized(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let axis = x.rank() - 1;
    let centred = x.broadcast_sub(&x.mean_keepdim(axis)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(axis)? + epsilon)?.sqrt()?;
    Ok(centred.broadcast_div(&deviation)?)
}

/// μ and 1/√(σ² + ε) of some values.
#[inline(always)]
pub(super) fn moments_of<T: Element>(x: &[T], epsilon: f64) -> (f64, f64) {
    let count = x.len() as f64;
    let mean = sum(x, |v| v) / count;
    let centre = T::of(mean);
    let variance = sum(x, |v| (v - centre) * (v - centre)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// Rows that one thread takes at a time, whose weight gradients are summed apart.
fn rows_at_a_time(d: usize) -> usize {
    (STRETCH / d).clamp(16, 256)
}

/// The result, and (μ, 1/√(σ² + ε)) of each row.
fn forward<T: Element>(x: &[T], weight: &[T], bias: &[T], epsilon: f64) -> (Vec<T>, Vec<(f64, f64)>) {
    let d = weight.len();
    let rows = rows_at_a_time(d);
    let mut y = vec![T::zero(); x.len()];
    let mut moments = vec![(0.0, 0.0); x.len() / d];
    let chunks = y.par_chunks_mut(rows * d).zip(moments.par_chunks_mut(rows)).zip(x.par_chunks(rows * d));
    chunks.for_each(|((y, moments), x)| {
        Arch::new().dispatch(Forward { x, weight, bias, epsilon, y, moments });
    });
    (y, moments)
}

struct Forward<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    bias: &'a [T],
    epsilon: f64,
    y: &'a mut [T],
    moments: &'a mut [(f64, f64)],
}

impl<T: Element> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let d = self.weight.len();
        let rows = self.y.chunks_exact_mut(d).zip(self.x.chunks_exact(d)).zip(self.moments);
        for ((y, x), moments) in rows {
            *moments = moments_of(x, self.epsilon);
            let (centre, scale) = (T::of(moments.0), T::of(moments.1));
            for ((y, &x), (&w, &b)) in y.iter_mut().zip(x).zip(self.weight.iter().zip(self.bias)) {
                *y = (x - centre) * scale * w + b;
            }
        }
    }
}

/// The gradients of x, weight and bias.
fn backward<T: Element>(x: &[T], weight: &[T], dy: &[T], moments: &[(f64, f64)]) -> (Vec<T>, Vec<T>, Vec<T>) {
    let d = weight.len();
    let rows = rows_at_a_time(d);
    let mut dx = vec![T::zero(); x.len()];
    let inputs = x.par_chunks(rows * d).zip(dy.par_chunks(rows * d)).zip(moments.par_chunks(rows));
    // the gradients of weight, then of bias, of each chunk of rows
    let parts: Vec<Vec<T>> = dx
        .par_chunks_mut(rows * d)
        .zip(inputs)
        .map(|(dx, ((x, dy), moments))| {
            let mut part = vec![T::zero(); 2 * d];
            Arch::new().dispatch(Backward { x, weight, dy, moments, dx, part: &mut part });
            part
        })
        .collect();
    let mut dw = sum_parts(&parts, 2 * d);
    let db = dw.split_off(d);
    (dx, dw, db)
}

struct Backward<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    dy: &'a [T],
    moments: &'a [(f64, f64)],
    dx: &'a mut [T],
    part: &'a mut [T],
}

impl<T: Element> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let d = self.weight.len();
        let (dw, db) = self.part.split_at_mut(d);
        let inputs = self.x.chunks_exact(d).zip(self.dy.chunks_exact(d)).zip(self.moments);
        for (dx, ((x, dy), &(mean, inverse))) in self.dx.chunks_exact_mut(d).zip(inputs) {
            let (centre, scale) = (T::of(mean), T::of(inverse));
            for ((g, &dy), &w) in dx.iter_mut().zip(dy).zip(self.weight) {
                *g = dy * w;
            }
            let [total, along] = sums2(
                dx,
                x,
                #[inline(always)]
                |g, x| [g, g * (x - centre)],
            );
            let (offset, slope) = (T::of(total / d as f64), T::of(along * inverse * inverse / d as f64));
            for (g, &x) in dx.iter_mut().zip(x) {
                *g = scale * (*g - offset - slope * (x - centre));
            }
            for ((dw, db), (&x, &dy)) in dw.iter_mut().zip(db.iter_mut()).zip(x.iter().zip(dy)) {
                *dw += dy * (x - centre) * scale;
                *db += dy;
            }
        }
    }
}
