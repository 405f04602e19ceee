//! Activations x·F(x) with a distribution function F as their gate: smooth relatives of the ReLU.

use super::activation::logistic;
use super::element::{by_type, float, ours, tensor, values};
use super::normal::normal;
use super::record::record1;
use super::reduce::{map, map2};
use crate::{Float, Result};
use candle_core::Tensor;

/// The sigmoid linear unit x·σ(x), σ(x) = 1 / (1 + exp(−x)), also called swish (Elfwing, Uchibe & Doya
/// 2018). Any shape.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when x does not hold `f32` or `f64`.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[0_f64, 3_f64.ln()], &Device::Cpu)?;
/// let y = ops::silu(&x)?.to_vec1::<f64>()?;
/// assert!(y[0] == 0.0 && (y[1] - 0.75 * 3_f64.ln()).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn silu(x: &Tensor) -> Result<Tensor> {
    float(x, "x")?;
    if !ours(x) {
        return Ok(x.silu()?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let y = map(&values::<T>(x)?, |x| x * logistic(x));
        record1("silu", x, (y, x.shape()), |x, _, dy| {
            let gradient = |x: T, dy| {
                let gate = logistic(x);
                dy * gate * (T::of(1.0) + x * (T::of(1.0) - gate))
            };
            tensor(map2(&values::<T>(x)?, &values(dy)?, gradient), x.shape()).map(Some)
        })
    })?)
}

/// The Gaussian error linear unit x·Φ(x), Φ the standard normal distribution function (Hendrycks &
/// Gimpel 2016). Any shape. Exact, by the error function, not the approximation by tanh.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when x does not hold `f32` or `f64`.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[-1_f64, 0., 1.], &Device::Cpu)?;
/// let y = ops::gelu(&x)?.to_vec1::<f64>()?;
/// assert!((y[2] - 0.841_344_746_068_543).abs() < 1e-15); // the share of a normal below 1
/// assert!(y[1] == 0.0 && (y[2] + y[0] - 0.682_689_492_137_086).abs() < 1e-15); // between −1 and 1
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    float(x, "x")?;
    if !ours(x) {
        // the gradient of candle's own is not that of its values
        return Ok((((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)? * (x * 0.5)?)?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let y = map(&values::<T>(x)?, |x| x * T::of(normal(x.f64()).0));
        record1("gelu", x, (y, x.shape()), |x, _, dy| {
            let gradient = |x: T, dy| {
                let x = x.f64();
                let (below, density) = normal(x);
                dy * T::of(below + x * density)
            };
            tensor(map2(&values::<T>(x)?, &values(dy)?, gradient), x.shape()).map(Some)
        })
    })?)
}
