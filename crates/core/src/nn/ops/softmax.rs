//! Log-softmax, cross-entropy and rows of unit length.

use super::element::{Element, by_type, float, ours, tensor, values};
use super::record::record1;
use super::reduce::{map_rows, sum};
use crate::math::elementary::Elementary;
use crate::{Error, Float, Result};
use candle_core::{DType, Tensor};

fn table(x: &Tensor, what: &'static str) -> Result<(usize, usize)> {
    float(x, what)?;
    match *x.dims() {
        [n, d] if d > 0 => Ok((n, d)),
        _ => Err(Error::shape(what, "shape [n, k] with k > 0", format!("shape {:?}", x.dims()))),
    }
}

/// The largest value of a row, in sixteen lanes.
#[inline(always)]
fn largest<T: Element>(row: &[T]) -> T {
    const LANES: usize = 16;
    #[inline(always)]
    fn larger<T: Element>(a: T, b: T) -> T {
        if b > a { b } else { a }
    }
    let whole = row.chunks_exact(LANES);
    let rest = whole.remainder().iter().fold(T::neg_infinity(), |a, &b| larger(a, b));
    let mut lanes = [T::neg_infinity(); LANES];
    for chunk in whole {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, v);
        }
    }
    lanes.into_iter().fold(rest, larger)
}

/// log Σ exp(x) of a row.
#[inline(always)]
fn log_sum_exp<T: Element>(row: &[T]) -> f64 {
    let max = largest(row);
    if max.is_infinite() {
        return max.f64();
    }
    max.f64()
        + sum(
            row,
            #[inline(always)]
            |v| (v - max).fast_exp(),
        )
        .ln()
}

/// x − log Σ exp(x), row by row: log-probabilities in nats. x: `[n, k]`. Returns `[n, k]`.
///
/// # Errors
/// [`Error::Shape`] when x is not a table of floating point numbers.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let (_, k) = table(x, "x")?;
    if !ours(x) {
        let shifted = x.broadcast_sub(&x.max_keepdim(1)?.detach())?;
        return Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let y = map_rows(&values::<T>(x)?, k, #[inline(always)] |_, x, y| {
            let total = T::of(log_sum_exp(x));
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - total);
        });
        record1("log_softmax", x, (y, x.shape()), move |_, y, dy| {
            let dy = values::<T>(dy)?;
            let dx = map_rows(&values::<T>(y)?, k, #[inline(always)] |i, y, dx| {
                let dy = &dy[i * k..(i + 1) * k];
                let total = T::of(sum(dy, #[inline(always)] |g| g));
                for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
                    *dx = dy - y.fast_exp() * total;
                }
            });
            tensor(dx, y.shape()).map(Some)
        })
    })?)
}

/// The mean negative log-probability of the labels, in nats. logits: `[n, k]`, labels: `u32` `[n]`.
/// Returns a scalar.
///
/// # Errors
/// [`Error::Shape`] when shapes do not fit, [`Error::Empty`] for no rows, [`Error::Value`] for a
/// label of k or more.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let logits = Tensor::new(&[[0_f64, 0.], [1e4, 0.]], &Device::Cpu)?;
/// let labels = Tensor::new(&[1_u32, 0], &Device::Cpu)?;
/// let loss = ops::cross_entropy(&logits, &labels)?.to_scalar::<f64>()?;
/// assert!((loss - 2_f64.ln() / 2.0).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (n, k) = table(logits, "logits")?;
    if labels.dims() != [n] || labels.dtype() != DType::U32 {
        let found = format!("{} values of shape {:?}", labels.dtype().as_str(), labels.dims());
        return Err(Error::shape("labels", format!("u32 values of shape [{n}]"), found));
    }
    if n == 0 {
        return Err(Error::Empty { what: "logits", shape: vec![n, k] });
    }
    let chosen = labels.to_vec1::<u32>()?;
    if let Some((index, &label)) = chosen.iter().enumerate().find(|&(_, &label)| label as usize >= k) {
        let (what, allowed) = ("labels", "a class below the number of columns");
        return Err(Error::Value { what, index, value: label.to_string(), allowed });
    }
    if !ours(logits) {
        let picked = log_softmax(logits)?.gather(&labels.unsqueeze(1)?, 1)?;
        return Ok(picked.mean_all()?.neg()?);
    }
    let logits = &logits.contiguous()?;
    Ok(by_type!(logits, T => {
        let x = values::<T>(logits)?;
        let totals: Vec<f64> = x.chunks_exact(k).map(log_sum_exp).collect();
        let picked = x.chunks_exact(k).zip(&chosen).map(|(row, &label)| row[label as usize].f64());
        let loss = totals.iter().zip(picked).map(|(total, picked)| total - picked).sum::<f64>() / n as f64;
        drop(x);
        record1("cross_entropy", logits, (vec![T::of(loss)], ()), move |logits, _, dy| {
            let weight = T::of(values::<T>(dy)?[0].f64() / n as f64);
            let dx = map_rows(&values::<T>(logits)?, k, #[inline(always)] |i, x, dx| {
                let total = T::of(totals[i]);
                dx.iter_mut().zip(x).for_each(#[inline(always)] |(dx, &x)| *dx = (x - total).fast_exp() * weight);
                dx[chosen[i] as usize] -= weight;
            });
            tensor(dx, logits.shape()).map(Some)
        })
    })?)
}

/// Each row divided by its length √(‖x‖² + 10⁻²⁴), so that a row of zeros stays one. x: `[n, d]`. Returns `[n, d]`.
///
/// # Errors
/// [`Error::Shape`] when x is not a table of floating point numbers.
pub fn normalize_rows(x: &Tensor) -> Result<Tensor> {
    const TINY: f64 = 1e-24;
    let (_, d) = table(x, "x")?;
    if !ours(x) {
        return Ok(x.broadcast_div(&(x.sqr()?.sum_keepdim(1)? + TINY)?.sqrt()?)?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let inverse_length = |row: &[T]| {
            T::of(1.0 / (sum(row, #[inline(always)] |v| v * v) + TINY).sqrt())
        };
        let y = map_rows(&values::<T>(x)?, d, #[inline(always)] |_, x, y| {
            let inverse = inverse_length(x);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * inverse);
        });
        record1("normalize_rows", x, (y, x.shape()), move |x, y, dy| {
            let (y, dy) = (values::<T>(y)?, values::<T>(dy)?);
            let dx = map_rows(&values::<T>(x)?, d, #[inline(always)] |i, x, dx| {
                let (y, dy) = (&y[i * d..(i + 1) * d], &dy[i * d..(i + 1) * d]);
                let inverse = inverse_length(x);
                let along = T::of(y.iter().zip(dy).map(|(y, dy)| y.f64() * dy.f64()).sum());
                dx.iter_mut().zip(y.iter().zip(dy)).for_each(|(dx, (&y, &dy))| *dx = (dy - y * along) * inverse);
            });
            tensor(dx, x.shape()).map(Some)
        })
    })?)
}
