//! The three operations from the backend's own convolutions, for devices other than the CPU.

use super::ConvOptions;
use crate::Result;
use candle_core::Tensor;

/// The backend's own gradients are right where every pixel is reached and nothing is padded: zeros are put around the image
/// beforehand, and rows and columns that no window reaches are left out.
pub(in crate::nn::ops) fn conv2d(x: &Tensor, weight: &Tensor, options: ConvOptions) -> Result<Tensor> {
    let ConvOptions { stride, padding, dilation, groups, .. } = options;
    let mut x = x.clone();
    for axis in [2, 3] {
        x = x.pad_with_zeros(axis, padding, padding)?;
        let span = dilation * (weight.dim(axis)? - 1) + 1;
        let reached = (x.dim(axis)? - span) / stride * stride + span;
        x = x.narrow(axis, 0, reached)?;
    }
    Ok(x.contiguous()?.conv2d(weight, 0, stride, dilation, groups)?)
}

/// As above: the padding is cut off, or put on, afterwards.
pub(in crate::nn::ops) fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    options: ConvOptions,
) -> Result<Tensor> {
    let ConvOptions { stride, padding, output_padding, dilation, groups } = options;
    let parts = x.chunk(groups, 1)?.into_iter().zip(weight.chunk(groups, 0)?).map(|(x, weight)| {
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        x.conv_transpose2d(&weight, 0, 0, stride, dilation)
    });
    let mut y = Tensor::cat(&parts.collect::<candle_core::Result<Vec<_>>>()?, 1)?;
    for axis in [2, 3] {
        let size = y.dim(axis)? + output_padding - 2 * padding;
        y = y.pad_with_zeros(axis, 0, output_padding)?.narrow(axis, padding, size)?;
    }
    Ok(y.contiguous()?)
}

pub(in crate::nn::ops) fn conv2d_weight_gradient(
    x: &Tensor,
    y: &Tensor,
    kernel: [usize; 2],
    options: ConvOptions,
) -> Result<Tensor> {
    let ConvOptions { stride, padding, dilation, groups, .. } = options;
    let parts = x.chunk(groups, 1)?.into_iter().zip(y.chunk(groups, 1)?).map(|(x, y)| {
        // images and channels change places, and so do stride and dilation
        let (x, y) = (x.transpose(0, 1)?.contiguous()?, y.transpose(0, 1)?.contiguous()?);
        let gradient = x.conv2d(&y, padding, dilation, stride, 1)?.transpose(0, 1)?;
        gradient.narrow(2, 0, kernel[0])?.narrow(3, 0, kernel[1])
    });
    Ok(Tensor::cat(&parts.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
}
