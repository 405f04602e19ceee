//! Element-wise activations in one pass each.

use super::element::{Element, by_type, float, ours, shaped, tensor, values};
use super::record::{record, record1};
use super::reduce::{map, map2};
use crate::math::elementary::Elementary;
use crate::{Error, Float, Result};
use candle_core::Tensor;

/// max(x, 0), with derivative 0 at 0. Any shape. NaN stays NaN.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when x does not hold `f32` or `f64`.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    float(x, "x")?;
    if !ours(x) {
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
    if !ours(a) {
        return Ok((a + b)?.relu()?);
    }
    let (a, b) = (&a.contiguous()?, &b.contiguous()?);
    Ok(by_type!(a, T => {
        let y = map2(&values::<T>(a)?, &values(b)?, |a, b| rectify(a + b));
        record("add_relu", [a, b], (y, a.shape()), |_, y, dy| {
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
    if !ours(x) {
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

/// x where it is positive, slope·x elsewhere (Maas, Hannun & Ng 2013), with derivative `slope` at 0.
/// Any shape.
///
/// # Errors
/// [`Error::Shape`] when x does not hold `f32` or `f64`, [`Error::Parameter`] for a slope that is negative
/// or not finite.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[-2_f32, 0., 3.], &Device::Cpu)?;
/// assert_eq!(ops::leaky_relu(&x, 0.25)?.to_vec1::<f32>()?, [-0.5, 0., 3.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    float(x, "x")?;
    check_slope(slope)?;
    if !ours(x) {
        return Ok((x.relu()? - (x.neg()?.relu()? * slope)?)?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let slope = T::of(slope);
        let y = map(&values::<T>(x)?, move |x| leak(x, slope));
        // a slope of at least 0 keeps the sign, so the result tells where x was positive
        record1("leaky_relu", x, (y, x.shape()), move |_, y, dy| {
            tensor(map2(&values::<T>(y)?, &values(dy)?, move |y, dy| leaked(y, dy, slope)), y.shape()).map(Some)
        })
    })?)
}

/// dy where x is positive, slope·dy elsewhere: the backward pass of [`leaky_relu`] as a forward pass, so that a gradient
/// can be written down and differentiated again. x, dy: any shape, the same. Differentiable in dy; in x its
/// derivative is 0 but where x is 0.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types differ, [`Error::Parameter`] as for `leaky_relu`.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let (x, dy) = (Tensor::new(&[-2_f32, 3.], &Device::Cpu)?, Tensor::new(&[8_f32, 8.], &Device::Cpu)?);
/// assert_eq!(ops::leaky_relu_gradient(&x, &dy, 0.25)?.to_vec1::<f32>()?, [2., 8.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn leaky_relu_gradient(x: &Tensor, dy: &Tensor, slope: f64) -> Result<Tensor> {
    float(x, "x")?;
    shaped(dy, "dy", x.dims(), x)?;
    check_slope(slope)?;
    if !ours(x) {
        let positive = x.gt(0.0)?.to_dtype(x.dtype())?;
        return Ok((dy * ((positive * (1.0 - slope))? + slope)?)?);
    }
    let (x, dy) = (&x.detach().contiguous()?, &dy.contiguous()?);
    Ok(by_type!(x, T => {
        let slope = T::of(slope);
        let passed = move |x: T, dy: T| leaked(x, dy, slope);
        let y = map2(&values::<T>(x)?, &values(dy)?, passed);
        record("leaky_relu_gradient", [x, dy], (y, x.shape()), move |[x, _], _, dz| {
            Ok([None, Some(tensor(map2(&values::<T>(x)?, &values(dz)?, passed), x.shape())?)])
        })
    })?)
}

/// A slope that keeps the sign.
pub(in crate::nn) fn check_slope(slope: f64) -> Result<()> {
    if slope >= 0.0 && slope.is_finite() {
        return Ok(());
    }
    Err(Error::parameter("slope", slope, "a finite number of at least 0"))
}

/// The hyperbolic tangent (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ). Any shape.
///
/// # Errors
/// [`Error::Shape`] when x does not hold `f32` or `f64`.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[0_f64, 0.5 * 3_f64.ln(), 1e4], &Device::Cpu)?;
/// let y = ops::tanh(&x)?.to_vec1::<f64>()?;
/// assert!((y[1] - 0.5).abs() < 1e-15 && y[0] == 0.0 && y[2] == 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    float(x, "x")?;
    if !ours(x) {
        return Ok(x.tanh()?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let y = map(&values::<T>(x)?, T::fast_tanh);
        record1("tanh", x, (y, x.shape()), |_, y, dy| {
            let gradient = |y: T, dy| dy * (T::of(1.0) - y * y);
            tensor(map2(&values::<T>(y)?, &values(dy)?, gradient), y.shape()).map(Some)
        })
    })?)
}

#[inline(always)]
pub(super) fn rectify<T: Float>(x: T) -> T {
    if x < T::zero() { T::zero() } else { x }
}

/// The gradient where the result is positive, else 0.
#[inline(always)]
pub(super) fn passed<T: Float>(y: T, dy: T) -> T {
    if y > T::zero() { dy } else { T::zero() }
}

#[inline(always)]
pub(super) fn leak<T: Float>(x: T, slope: T) -> T {
    if x > T::zero() { x } else { slope * x }
}

/// The gradient where x is positive, else times the slope.
#[inline(always)]
pub(super) fn leaked<T: Float>(x: T, dy: T, slope: T) -> T {
    if x > T::zero() { dy } else { slope * dy }
}

/// The logistic function, by the exponential that does not overflow.
#[inline(always)]
pub(super) fn logistic<T: Element>(x: T) -> T {
    let e = (-x.abs()).fast_exp();
    if x >= T::zero() { T::one() / (T::one() + e) } else { e / (T::one() + e) }
}
