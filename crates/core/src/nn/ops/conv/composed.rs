//! The three operations from the backend's own convolutions, for devices other than the CPU.

use super::ConvOptions;
use crate::Result;
use candle_core::Tensor;

pub(in crate::nn::ops) fn conv2d(x: &Tensor, weight: &Tensor, options: ConvOptions) -> Result<Tensor> {
    let ConvOptions { stride, padding, dilation, groups, .. } = options;
    Ok(x.conv2d(weight, padding, stride, dilation, groups)?)
}

pub(in crate::nn::ops) fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    options: ConvOptions,
) -> Result<Tensor> {
    let ConvOptions { stride, padding, output_padding, dilation, groups } = options;
    let parts = x.chunk(groups, 1)?.into_iter().zip(weight.chunk(groups, 0)?).map(|(x, weight)| {
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        x.conv_transpose2d(&weight, padding, output_padding, stride, dilation)
    });
    Ok(Tensor::cat(&parts.collect::<candle_core::Result<Vec<_>>>()?, 1)?)
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
