//! Convolution and transposed convolution in two dimensions.
//!
//! y[n, o, i, j] = bias[o] + Σ_{c, u, v} weight[o, c, u, v] · x[n, c, i·s + u·d − p, j·s + v·d − p]
//!
//! with stride s, padding p and dilation d (a cross-correlation, as everywhere in the field); with
//! groups, c runs over the channels of the output's group. The forward pass, its input gradient and its
//! weight gradient are linear in each argument and are each other's derivatives; the three are public
//! operations, so that a gradient can be written as a forward pass and differentiated again (the
//! gradient penalty of a critic, for instance).
//!
//! Cost: n·o·oh·ow·(c / groups)·kh·kw multiplications forward, twice that backward; the input gradient
//! is skipped when the input carries none. Unrolled tiles and one product each (Chellapilla, Puri &
//! Simard 2006); gradients as in Dumoulin & Visin 2016, *A guide to convolution arithmetic for deep
//! learning*.

mod composed;
mod geometry;
mod kernels;
mod options;
mod phases;
mod recorded;
mod unroll;
mod winograd;

#[cfg(test)]
pub(super) use composed::{
    conv_transpose2d as composed_transposed, conv2d as composed_forward,
    conv2d_weight_gradient as composed_weight_gradient,
};
pub use options::ConvOptions;

use super::element::{by_type, float, ours, shaped};
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
    conv2d_with(x, weight, bias, ConvOptions::new().stride(stride).padding(padding))
}

/// [`conv2d`] with dilation and groups. x: `[n, c, h, w]`, weight: `[o, c / groups, kh, kw]`, bias:
/// `[o]`. Returns `[n, o, oh, ow]` with oh = ⌊(h + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit, [`Error::Parameter`] for a stride,
/// dilation or groups of 0, or groups that do not divide the outputs.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops::{self, ConvOptions};
/// let x = Tensor::new(&[[[[1_f32, 2., 4., 8.]], [[1., 1., 1., 2.]]]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[[[1_f32, 1.]]], [[[1., -1.]]]], &Device::Cpu)?; // one kernel a channel
/// let y = ops::conv2d_with(&x, &weight, None, ConvOptions::new().dilation(2).groups(2))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5., 10., 0., -1.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn conv2d_with(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: ConvOptions,
) -> Result<Tensor> {
    let g = Geometry::of_forward(x.dims(), weight.dims(), options)?;
    check(x, weight, bias, g.out_channels)?;
    if !ours(x) {
        return with_bias(composed::conv2d(x, weight, options)?, bias);
    }
    Ok(by_type!(x, T => recorded::forward::<T>(&g, &x.contiguous()?, &weight.contiguous()?, bias))?)
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
    let options = ConvOptions::new().stride(stride).padding(padding).output_padding(output_padding);
    conv_transpose2d_with(x, weight, bias, options)
}

/// [`conv_transpose2d`] with dilation and groups: the input gradient of [`conv2d_with`] as a forward pass.
/// x: `[n, c, h, w]`, weight: `[c, o / groups, kh, kw]`, bias: `[o]`. Returns `[n, o, oh, ow]` with
/// oh = (h − 1)·stride − 2·padding + dilation·(kh − 1) + 1 + output_padding.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit, [`Error::Parameter`] for a stride,
/// dilation or groups of 0, groups that do not divide the channels of x, or when the output padding is
/// not less than the stride.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops::{self, ConvOptions};
/// let x = Tensor::new(&[[[[1_f32, 2.]]]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[[[1_f32, 10.]]]], &Device::Cpu)?;
/// let y = ops::conv_transpose2d_with(&x, &weight, None, ConvOptions::new().dilation(3))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [1., 2., 0., 10., 20.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn conv_transpose2d_with(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: ConvOptions,
) -> Result<Tensor> {
    let g = Geometry::of_transposed(x.dims(), weight.dims(), options)?;
    check(x, weight, bias, g.in_channels)?;
    if !ours(x) {
        return with_bias(composed::conv_transpose2d(x, weight, options)?, bias);
    }
    let y = by_type!(x, T => recorded::transposed::<T>(&g, &x.contiguous()?, &weight.contiguous()?))?;
    with_bias(y, bias)
}

/// The input gradient of [`conv2d_with`] as a forward pass, for inputs of `height` x `width` pixels: what
/// [`conv_transpose2d_with`] is, where its output padding can name only some sizes. dy: `[n, o, oh, ow]`, weight:
/// `[o, c / groups, kh, kw]`. Returns `[n, c, height, width]`. Differentiable in dy and weight.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit, [`Error::Parameter`] for a stride,
/// dilation or groups of 0, or groups that do not divide the outputs.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops::{self, ConvOptions};
/// let dy = Tensor::new(&[[[[1_f32, 10.]]]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[[[1_f32, 2.]]]], &Device::Cpu)?;
/// let dx = ops::conv2d_input_gradient(&dy, &weight, [2, 3], ConvOptions::new().stride(2).padding(0));
/// assert!(dx.is_err(), "3 columns make one output, not two");
/// let dx = ops::conv2d_input_gradient(&dy, &weight, [2, 5], ConvOptions::new().stride(2))?;
/// assert_eq!(dx.flatten_all()?.to_vec1::<f32>()?, [1., 2., 10., 20., 0., 0., 0., 0., 0., 0.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn conv2d_input_gradient(
    dy: &Tensor,
    weight: &Tensor,
    [height, width]: [usize; 2],
    options: ConvOptions,
) -> Result<Tensor> {
    let (&[n, o, _, _], &[_, group_channels, kh, kw]) = (dy.dims(), weight.dims()) else {
        let found = format!("dy {:?} and weight {:?}", dy.dims(), weight.dims());
        return Err(Error::shape(
            "an input gradient",
            "dy [n, o, oh, ow] and weight [o, c / groups, kh, kw]",
            found,
        ));
    };
    let x = [n, group_channels.saturating_mul(options.groups), height, width];
    let g = Geometry::of_forward(&x, &[o, group_channels, kh, kw], options)?;
    float(dy, "dy")?;
    shaped(dy, "dy", &g.out_shape(), dy)?;
    shaped(weight, "weight", &g.weight_shape(), dy)?;
    if !ours(dy) {
        // the largest size that these outputs come from, cut
        let options = options.output_padding(options.stride - 1);
        let dx = composed::conv_transpose2d(dy, weight, options)?;
        let (missing_rows, missing_columns) =
            (height.saturating_sub(dx.dim(2)?), width.saturating_sub(dx.dim(3)?));
        let dx = dx.pad_with_zeros(2, 0, missing_rows)?.pad_with_zeros(3, 0, missing_columns)?;
        return Ok(dx.narrow(2, 0, height)?.narrow(3, 0, width)?);
    }
    Ok(by_type!(dy, T => recorded::transposed::<T>(&g, &dy.contiguous()?, &weight.contiguous()?))?)
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
    conv2d_weight_gradient_with(x, y, kernel, ConvOptions::new().stride(stride).padding(padding))
}

/// The weight gradient of [`conv2d_with`] as a forward pass. x: `[n, c, h, w]`, y: `[n, o, oh, ow]`. Returns
/// `[o, c / groups, kh, kw]`; otherwise as [`conv2d_weight_gradient`].
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit, [`Error::Parameter`] for a stride,
/// dilation or groups of 0, or groups that do not divide the outputs.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops::{self, ConvOptions};
/// let x = Tensor::new(&[[[[1_f32, 2., 4., 8.]]]], &Device::Cpu)?;
/// let y = Tensor::new(&[[[[1_f32, 10.]]]], &Device::Cpu)?;
/// let gradient = ops::conv2d_weight_gradient_with(&x, &y, [1, 2], ConvOptions::new().dilation(2))?;
/// assert_eq!(gradient.flatten_all()?.to_vec1::<f32>()?, [21., 84.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn conv2d_weight_gradient_with(
    x: &Tensor,
    y: &Tensor,
    kernel: [usize; 2],
    options: ConvOptions,
) -> Result<Tensor> {
    let (&[_, channels, _, _], &[_, out_channels, _, _]) = (x.dims(), y.dims()) else {
        let found = format!("x {:?} and y {:?}", x.dims(), y.dims());
        return Err(Error::shape("a convolution", "x [n, c, h, w] and y [n, o, oh, ow]", found));
    };
    let weight = [out_channels, channels / options.groups.max(1), kernel[0], kernel[1]];
    let g = Geometry::of_forward(x.dims(), &weight, options)?;
    float(x, "x")?;
    shaped(y, "y", &g.out_shape(), x)?;
    if !ours(x) {
        return composed::conv2d_weight_gradient(x, y, kernel, options);
    }
    Ok(by_type!(x, T => recorded::weight_gradient::<T>(&g, &x.contiguous()?, &y.contiguous()?))?)
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
