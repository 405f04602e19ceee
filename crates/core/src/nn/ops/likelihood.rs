//! Log-likelihoods of rows, the reconstruction terms of generative models.
//!
//! | function | log p(x) of a row, in nats |
//! | --- | --- |
//! | [`bernoulli_log_likelihood`] | Σ x·l − log(1 + eˡ), logits l; also the (soft) cross-entropy of x in [0, 1] |
//! | [`gaussian_log_likelihood`] | −½ Σ log 2π + log σ² + (x − μ)²/σ² |
//!
//! Both are sums over all axes but the first, so that they can be set against a Kullback–Leibler
//! divergence; [`bce_with_logits`] and [`mean_squared_error`] are the means over all elements that other libraries have.

use super::activation::logistic;
use super::element::{Element, by_type, float, ours, shaped, tensor, values};
use super::record::record;
use super::reduce::{STRETCH, map_rows, map2, sum};
use crate::math::elementary::Elementary;
use crate::{Error, Float, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::f64::consts::TAU;

fn rows(x: &Tensor) -> Result<(usize, usize)> {
    float(x, "x")?;
    match x.dims() {
        [n, rest @ ..] => Ok((*n, rest.iter().product())),
        [] => Err(Error::shape("x", "at least one axis", "a scalar")),
    }
}

/// log(1 + eˡ), finite for any l.
#[inline(always)]
fn softplus<T: Element>(l: T) -> T {
    let positive = if l > T::zero() { l } else { T::zero() };
    positive + (-l.abs()).fast_exp().fast_ln_1p()
}

/// f summed over each row of some arrays `[n, width]`.
fn row_sums<T: Element, const N: usize>(
    [n, width]: [usize; 2],
    inputs: [&[T]; N],
    f: impl Fn([T; N]) -> T + Sync,
) -> Vec<T> {
    let row = |i: usize| {
        let rows = inputs.map(|x| &x[i * width..][..width]);
        T::of(Arch::new().dispatch(RowSum { rows, width, f: &f }))
    };
    (0..n).into_par_iter().with_min_len((STRETCH / width.max(1)).max(1)).map(row).collect()
}

struct RowSum<'a, T, F, const N: usize> {
    rows: [&'a [T]; N],
    width: usize,
    f: &'a F,
}

impl<T: Element, F: Fn([T; N]) -> T, const N: usize> WithSimd for RowSum<'_, T, F, N> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        const PIECE: usize = 256;
        let (mut terms, mut total) = ([T::zero(); PIECE], 0.0);
        for start in (0..self.width).step_by(PIECE) {
            let length = PIECE.min(self.width - start);
            let rows = self.rows.map(|row| &row[start..start + length]);
            for (at, term) in terms[..length].iter_mut().enumerate() {
                *term = (self.f)(std::array::from_fn(
                    #[inline(always)]
                    |k| rows[k][at],
                ));
            }
            total += sum(
                &terms[..length],
                #[inline(always)]
                |term| term,
            );
        }
        total
    }
}

/// log p(x) of binary x (or x in [0, 1], read as probabilities) under independent logits.
/// x, logits: `[n, …]`, the same shape. Returns `[n]`, in nats. Finite for any finite logit.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types differ.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[0_f64, 1.]], &Device::Cpu)?;
/// let logits = Tensor::new(&[[0_f64, 1e4]], &Device::Cpu)?;
/// let log_p = ops::bernoulli_log_likelihood(&x, &logits)?.to_vec1::<f64>()?;
/// assert!((log_p[0] + 2_f64.ln()).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bernoulli_log_likelihood(x: &Tensor, logits: &Tensor) -> Result<Tensor> {
    let (n, width) = rows(x)?;
    shaped(logits, "logits", x.dims(), x)?;
    if !ours(x) {
        let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
        return Ok(((x * logits)? - softplus)?.reshape((n, width))?.sum(1)?);
    }
    let (x, logits) = (&x.contiguous()?, &logits.contiguous()?);
    Ok(by_type!(x, T => {
        let y = {
            let (x, l) = (values::<T>(x)?, values::<T>(logits)?);
            row_sums([n, width], [&x, &l], #[inline(always)] |[x, l]| x * l - softplus(l))
        };
        record("bernoulli_log_likelihood", [x, logits], (y, n), move |[x, logits], _, dy| {
            let (x_, l_, dy) = (values::<T>(x)?, values::<T>(logits)?, values::<T>(dy)?);
            let dl = map_rows(&l_, width, #[inline(always)] |i, l, dl| {
                let (x, dy) = (&x_[i * width..(i + 1) * width], dy[i]);
                for ((dl, &l), &x) in dl.iter_mut().zip(l).zip(x) {
                    *dl = (x - logistic(l)) * dy;
                }
            });
            let dx = if x.track_op() {
                let dx = map_rows(&l_, width, #[inline(always)] |i, l, dx| dx.iter_mut().zip(l).for_each(|(dx, &l)| *dx = l * dy[i]));
                Some(tensor(dx, x.shape())?)
            } else {
                None
            };
            Ok([dx, Some(tensor(dl, x.shape())?)])
        })
    })?)
}

/// The mean binary cross-entropy with logits over all elements, in nats. logits, targets (in
/// [0, 1]): any shape, the same. Returns a scalar; finite for any finite logit.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types differ, [`Error::Empty`] for no elements.
pub fn bce_with_logits(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let count = logits.elem_count();
    if count == 0 {
        return Err(Error::Empty { what: "logits", shape: logits.dims().to_vec() });
    }
    let total = bernoulli_log_likelihood(targets, logits)?.sum_all()?;
    Ok((total * (-1.0 / count as f64))?)
}

/// The mean of (x − target)² over all elements. x, target: any shape, the same. Returns a scalar.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types differ, [`Error::Empty`] for no elements.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let (x, target) = (Tensor::new(&[1_f64, 5.], &Device::Cpu)?, Tensor::new(&[0_f64, 2.], &Device::Cpu)?);
/// assert_eq!(ops::mean_squared_error(&x, &target)?.to_scalar::<f64>()?, 5.);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mean_squared_error(x: &Tensor, target: &Tensor) -> Result<Tensor> {
    let count = x.elem_count();
    float(x, "x")?;
    shaped(target, "target", x.dims(), x)?;
    if count == 0 {
        return Err(Error::Empty { what: "x", shape: x.dims().to_vec() });
    }
    if !ours(x) {
        return Ok((x - target)?.sqr()?.mean_all()?);
    }
    let (x, target) = (&x.contiguous()?, &target.contiguous()?);
    Ok(by_type!(x, T => {
        let total = {
            let (x, target) = (values::<T>(x)?, values::<T>(target)?);
            let square = |[x, t]: [T; 2]| (x - t) * (x - t);
            let sum = |(x, t): (&[T], &[T])| Arch::new().dispatch(RowSum { rows: [x, t], width: x.len(), f: &square });
            let sums: Vec<f64> = x.par_chunks(STRETCH).zip(target.par_chunks(STRETCH)).with_min_len(4).map(sum).collect();
            sums.into_iter().sum::<f64>()
        };
        record("mean_squared_error", [x, target], (vec![T::of(total / count as f64)], ()), move |[x, target], _, dy| {
            let scale = T::of(2.0 / count as f64) * values::<T>(dy)?[0];
            let difference = |a: &Tensor, b: &Tensor| {
                let d = map2(&values::<T>(a)?, &values::<T>(b)?, #[inline(always)] move |a, b| scale * (a - b));
                tensor(d, x.shape()).map(Some)
            };
            let dx = if x.track_op() { difference(x, target)? } else { None };
            Ok([dx, if target.track_op() { difference(target, x)? } else { None }])
        })
    })?)
}

/// log p(x) of x under independent normal distributions. x, mean, log_variance: `[n, …]`, the same
/// shape. Returns `[n]`, in nats.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types differ.
pub fn gaussian_log_likelihood(x: &Tensor, mean: &Tensor, log_variance: &Tensor) -> Result<Tensor> {
    let (n, width) = rows(x)?;
    shaped(mean, "mean", x.dims(), x)?;
    shaped(log_variance, "log_variance", x.dims(), x)?;
    let constant = TAU.ln();
    if !ours(x) {
        let squares = ((x - mean)?.sqr()? * log_variance.neg()?.exp()?)?;
        let terms = ((squares + log_variance)? + constant)?;
        return Ok((terms.reshape((n, width))?.sum(1)? * -0.5)?);
    }
    let (x, mean, log_variance) = (&x.contiguous()?, &mean.contiguous()?, &log_variance.contiguous()?);
    Ok(by_type!(x, T => {
        let half = T::of(0.5);
        let y = {
            let (x, m, s) = (values::<T>(x)?, values::<T>(mean)?, values::<T>(log_variance)?);
            row_sums([n, width], [&x, &m, &s], #[inline(always)] |[x, m, s]| {
                let d = x - m;
                -half * (T::of(constant) + s + d * d * (-s).fast_exp())
            })
        };
        let name = "gaussian_log_likelihood";
        record(name, [x, mean, log_variance], (y, n), move |[x, mean, log_variance], _, dy| {
            let (x_, m, s, dy) =
                (values::<T>(x)?, values::<T>(mean)?, values::<T>(log_variance)?, values::<T>(dy)?);
            // (d, precision) of each element, with the row's gradient
            let gradient = |f: fn(T, T) -> T| {
                let out = map_rows(&x_, width, #[inline(always)] |i, x, out| {
                    let (at, dy) = (i * width..(i + 1) * width, dy[i]);
                    for ((out, &x), (&m, &s)) in out.iter_mut().zip(x).zip(m[at.clone()].iter().zip(&s[at])) {
                        *out = f(x - m, (-s).fast_exp()) * dy;
                    }
                });
                tensor(out, x.shape()).map(Some)
            };
            let dx = if x.track_op() { gradient(|d, p| -d * p)? } else { None };
            let dm = if mean.track_op() { gradient(|d, p| d * p)? } else { None };
            let half_excess = |d: T, p: T| T::of(0.5) * (d * d * p - T::of(1.0));
            let ds = if log_variance.track_op() { gradient(half_excess)? } else { None };
            Ok([dx, dm, ds])
        })
    })?)
}
