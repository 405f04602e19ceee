//! Element-wise activations in one pass each.

use super::element::{by_type, float, record1, record2, shaped, tensor, values};
use super::reduce::{map, map2};
use crate::{Float, Result};
use candle_core::Tensor;

/// max(x, 0), with derivative 0 at 0. Any shape. NaN stays NaN.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when x does not hold `f32` or `f64`.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    float(x, "x")?;
    if !x.device().is_cpu() {
        return Ok(x.relu()?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let y = map(&values::<T>(x)?, rectify);
        record1("relu", x, (y, x.shape()), |_, y, dy| {
            tensor(map2(&values::<T>(y)?, &values(dy)?, passed), y.shape()).map(Some)
        })
    })?)
}

/// max(a + b, 0), the end of a residual block. a and b: any shape, the same.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when shapes or element types differ.
pub fn add_relu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    float(a, "a")?;
    shaped(b, "b", a.dims(), a)?;
    if !a.device().is_cpu() {
        return Ok((a + b)?.relu()?);
    }
    let (a, b) = (&a.contiguous()?, &b.contiguous()?);
    Ok(by_type!(a, T => {
        let y = map2(&values::<T>(a)?, &values(b)?, |a, b| rectify(a + b));
        record2("add_relu", [a, b], (y, a.shape()), |_, y, dy| {
            let gradient = tensor(map2(&values::<T>(y)?, &values(dy)?, passed), y.shape())?;
            Ok([Some(gradient.clone()), Some(gradient)])
        })
    })?)
}

/// 1 / (1 + exp(−x)), without overflow. Any shape.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when x does not hold `f32` or `f64`.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    float(x, "x")?;
    if !x.device().is_cpu() {
        // tanh saturates where exp overflows
        return Ok((((x * 0.5)?.tanh()? + 1.0)? * 0.5)?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let y = map(&values::<T>(x)?, logistic);
        record1("sigmoid", x, (y, x.shape()), |_, y, dy| {
            tensor(map2(&values::<T>(y)?, &values(dy)?, |y, dy| dy * y * (T::of(1.0) - y)), y.shape()).map(Some)
        })
    })?)
}

#[inline(always)]
fn rectify<T: Float>(x: T) -> T {
    if x < T::zero() { T::zero() } else { x }
}

/// The gradient where the result is positive, else 0.
#[inline(always)]
fn passed<T: Float>(y: T, dy: T) -> T {
    if y > T::zero() { dy } else { T::zero() }
}

/// The logistic function, by the exponential that does not overflow.
#[inline(always)]
pub(super) fn logistic<T: Float>(x: T) -> T {
    let e = (-x.abs()).exp();
    if x >= T::zero() { T::one() / (T::one() + e) } else { e / (T::one() + e) }
}
