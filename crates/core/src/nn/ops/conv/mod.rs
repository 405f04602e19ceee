//! Convolution and transposed convolution in two dimensions.
//!
//! y[n, o, i, j] = bias[o] + Σ_{c, u, v} weight[o, c, u, v] · x[n, c, i·s + u − p, j·s + v − p]
//!
//! (a cross-correlation, as everywhere in the field). The forward pass, its input gradient and its weight
//! gradient are linear in each argument and are each other's derivatives; the three are public
//! operations, so that a gradient can be written as a forward pass and differentiated again (the
//! gradient penalty of a critic, for instance).
//!
//! Cost: n·o·oh·ow·c·kh·kw multiplications forward, twice that backward; the input gradient is
//! skipped when the input carries none. Unrolled tiles and one product each (Chellapilla, Puri & Simard 2006);
//! gradients as in Dumoulin & Visin 2016, *A guide to convolution arithmetic for deep learning*.

mod geometry;
mod kernels;
mod unroll;

use super::element::{Backend, Element, by_type, float, record2, record3, shaped, values};
use super::reduce::channel_sums;
use crate::{Error, Result};
use candle_core::Tensor;
use geometry::Geometry;

/// Convolution. x: `[n, c, h, w]`, weight: `[o, c, kh, kw]`, bias: `[o]`. Returns `[n, o, oh, ow]` with
/// oh = ⌊(h + 2·padding − kh) / stride⌋ + 1.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit, [`Error::Parameter`] for stride 0.
///
/// ```
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
/// let y = ops::conv2d(&x, &x, None, 1, 1)?; // how many of nine neighbours lie inside
/// assert_eq!(y.reshape((3, 3))?.to_vec2::<f32>()?, [[4., 6., 4.], [6., 9., 6.], [4., 6., 4.]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let g = Geometry::of_forward(x.dims(), weight.dims(), stride, padding)?;
    check(x, weight, bias, g.out_channels)?;
    if !x.device().is_cpu() {
        return with_bias(x.conv2d(weight, padding, stride, 1, 1)?, bias);
    }
    Ok(by_type!(x, T => forward::<T>(&g, &x.contiguous()?, &weight.contiguous()?, bias))?)
}

/// Transposed convolution: the input gradient of [`conv2d`] as a forward pass.
/// x: `[n, c, h, w]`, weight: `[c, o, kh, kw]`, bias: `[o]`. Returns `[n, o, oh, ow]` with
/// oh = (h − 1)·stride − 2·padding + kh + output_padding.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit, [`Error::Parameter`] when
/// `output_padding` is not less than `stride`.
///
/// ```
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::ones((1, 2, 7, 7), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::ones((2, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(ops::conv_transpose2d(&x, &weight, None, 2, 1, 0)?.dims(), [1, 3, 14, 14]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    output_padding: usize,
) -> Result<Tensor> {
    let g = Geometry::of_transposed(x.dims(), weight.dims(), stride, padding, output_padding)?;
    check(x, weight, bias, g.in_channels)?;
    if !x.device().is_cpu() {
        return with_bias(x.conv_transpose2d(weight, padding, output_padding, stride, 1)?, bias);
    }
    let y = by_type!(x, T => transposed::<T>(&g, &x.contiguous()?, &weight.contiguous()?))?;
    with_bias(y, bias)
}

/// The weight gradient of [`conv2d`] as a forward pass. x: `[n, c, h, w]`, y (a gradient of the output):
/// `[n, o, oh, ow]`. Returns `[o, c, kh, kw]` for the `kernel` [kh, kw]. Differentiable in x and y
/// in main memory; elsewhere candle's own convolution computes it.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit, [`Error::Parameter`] for stride 0.
pub fn conv2d_weight_gradient(
    x: &Tensor,
    y: &Tensor,
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let (&[_, channels, _, _], &[_, out_channels, _, _]) = (x.dims(), y.dims()) else {
        let found = format!("x {:?} and y {:?}", x.dims(), y.dims());
        return Err(Error::shape("a convolution", "x [n, c, h, w] and y [n, o, oh, ow]", found));
    };
    let weight = [out_channels, channels, kernel[0], kernel[1]];
    let g = Geometry::of_forward(x.dims(), &weight, stride, padding)?;
    float(x, "x")?;
    shaped(y, "y", &g.out_shape(), x)?;
    if !x.device().is_cpu() {
        let (x, y) = (x.transpose(0, 1)?, y.transpose(0, 1)?);
        let gradient = x.conv2d(&y, padding, 1, stride, 1)?.transpose(0, 1)?;
        return Ok(gradient.narrow(2, 0, kernel[0])?.narrow(3, 0, kernel[1])?);
    }
    Ok(by_type!(x, T => weight_gradient::<T>(&g, &x.contiguous()?, &y.contiguous()?))?)
}

fn check(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, channels: usize) -> Result<()> {
    float(x, "x")?;
    shaped(weight, "weight", weight.dims(), x)?;
    bias.map_or(Ok(()), |bias| shaped(bias, "bias", &[channels], x))
}

fn with_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => super::add_channels(&y, bias),
        None => Ok(y),
    }
}

/// Computes a gradient only when its argument carries one.
fn needed(argument: &Tensor, gradient: impl FnOnce() -> Backend<Tensor>) -> Backend<Option<Tensor>> {
    if argument.track_op() { gradient().map(Some) } else { Ok(None) }
}

fn forward<T: Element>(g: &Geometry, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Backend<Tensor> {
    let g = *g;
    let gradients = move |x: &Tensor, weight: &Tensor, dy: &Tensor| {
        let (x_, weight_) = (x.detach(), weight.detach());
        let dx = needed(x, || transposed::<T>(&g, dy, &weight_))?;
        Ok::<_, candle_core::Error>([dx, needed(weight, || weight_gradient::<T>(&g, &x_, dy))?])
    };
    let Some(bias) = bias else {
        let y = kernels::forward(&g, &values::<T>(x)?, &values(weight)?, None);
        return record2("conv2d", [x, weight], (y, &g.out_shape()), move |[x, weight], _, dy| {
            gradients(x, weight, dy)
        });
    };
    let bias = &bias.contiguous()?;
    let y = kernels::forward(&g, &values::<T>(x)?, &values(weight)?, Some(&values(bias)?));
    record3("conv2d", [x, weight, bias], (y, &g.out_shape()), move |[x, weight, bias], _, dy| {
        let [dx, dw] = gradients(x, weight, dy)?;
        let db = needed(bias, || channel_sums::<T>(dy))?;
        Ok([dx, dw, db])
    })
}

fn transposed<T: Element>(g: &Geometry, y: &Tensor, weight: &Tensor) -> Backend<Tensor> {
    let g = *g;
    let x = kernels::input_gradient(&g, &values::<T>(y)?, &values(weight)?);
    record2("conv_transpose2d", [y, weight], (x, &g.in_shape()), move |[y, weight], _, dx| {
        let (y_, weight_) = (y.detach(), weight.detach());
        let dy = needed(y, || forward::<T>(&g, dx, &weight_, None))?;
        Ok([dy, needed(weight, || weight_gradient::<T>(&g, dx, &y_))?])
    })
}

fn weight_gradient<T: Element>(g: &Geometry, x: &Tensor, y: &Tensor) -> Backend<Tensor> {
    let g = *g;
    let weight = kernels::weight_gradient(&g, &values::<T>(x)?, &values(y)?);
    record2("conv2d_weight_gradient", [x, y], (weight, &g.weight_shape()), move |[x, y], _, dw| {
        let (x_, y_) = (x.detach(), y.detach());
        let dx = needed(x, || transposed::<T>(&g, &y_, dw))?;
        Ok([dx, needed(y, || forward::<T>(&g, &x_, dw, None))?])
    })
}
