//! The two residual blocks.

use crate::Result;
use crate::nn::{Conv2d, ConvSpec, Init, Mode, Params, SplitBatchNorm, ops};
use candle_core::Tensor;

/// How many times wider a bottleneck ends than it is inside.
pub(super) const EXPANSION: usize = 4;

/// The projection of a block's input when the shape changes (He et al. 2016, eq. 2).
type Shortcut = Option<(Conv2d, SplitBatchNorm)>;

fn shortcut(
    params: &Params,
    inputs: usize,
    outputs: usize,
    stride: usize,
    splits: usize,
) -> Result<Shortcut> {
    if stride == 1 && inputs == outputs {
        return Ok(None);
    }
    let project = ConvSpec::new(1).stride(stride).bias(false);
    let conv = Conv2d::new(&params.scope("shortcut.conv"), inputs, outputs, project)?;
    Ok(Some((conv, SplitBatchNorm::new(&params.scope("shortcut.norm"), outputs, splits)?)))
}

/// relu(residual + x'), where x' is x or its projection.
fn joined(residual: &Tensor, x: &Tensor, shortcut: &Shortcut, mode: Mode) -> Result<Tensor> {
    match shortcut {
        None => ops::add_relu(residual, x),
        Some((conv, norm)) => ops::add_relu(residual, &norm.forward(&conv.forward(x)?, mode)?),
    }
}

/// y = relu(x' + bn(conv(relu(bn(conv(x)))))), where x' is x, or its projection when the shape
/// changes (He et al. 2016, fig. 5 left and eq. 2).
#[derive(Debug, Clone)]
pub struct BasicBlock {
    conv1: Conv2d,
    norm1: SplitBatchNorm,
    conv2: Conv2d,
    norm2: SplitBatchNorm,
    shortcut: Shortcut,
}

impl BasicBlock {
    /// From `inputs` to `outputs` channels, reducing the resolution by `stride`. The residual branch
    /// starts at zero, so that a new block passes its input on.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when saved parameters do not fit, [`Error::Parameter`](crate::Error::Parameter) for stride 0.
    pub fn new(params: &Params, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        Self::with_splits(params, inputs, outputs, stride, 1)
    }

    /// The same with moments for each of `splits` parts of a batch; see [`SplitBatchNorm`].
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Parameter`](crate::Error::Parameter) for no part.
    pub fn with_splits(
        params: &Params,
        inputs: usize,
        outputs: usize,
        stride: usize,
        splits: usize,
    ) -> Result<Self> {
        let three = ConvSpec::new(3).padding(1).bias(false);
        let shortcut = shortcut(params, inputs, outputs, stride, splits)?;
        Ok(BasicBlock {
            conv1: Conv2d::new(&params.scope("conv1"), inputs, outputs, three.stride(stride))?,
            norm1: SplitBatchNorm::new(&params.scope("norm1"), outputs, splits)?,
            conv2: Conv2d::new(&params.scope("conv2"), outputs, outputs, three)?,
            norm2: SplitBatchNorm::with_scale(&params.scope("norm2"), outputs, splits, Init::ZEROS)?,
            shortcut,
        })
    }

    /// x: `[n, inputs, h, w]`. Returns `[n, outputs, ⌈h / stride⌉, ⌈w / stride⌉]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when x does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let residual = self.norm1.forward_relu(&self.conv1.forward(x)?, mode)?;
        let residual = self.norm2.forward(&self.conv2.forward(&residual)?, mode)?;
        joined(&residual, x, &self.shortcut, mode)
    }
}

/// A block whose 3 x 3 convolution is narrow: y = relu(x' + bn(conv₁(relu(bn(conv₃(relu(bn(conv₁(x)))))))))
/// (He et al. 2016, fig. 5 right).
///
/// The 3 x 3 convolution carries the stride, as in torchvision ("ResNet v1.5"); in the paper it is the
/// first 1 x 1, which then drops three pixels of four.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::{BottleneckBlock, Mode, Params};
/// let block = BottleneckBlock::new(&Params::new(Seed::new(7)), 8, 4, 2)?;
/// let x = Tensor::zeros((2, 8, 7, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(block.forward(&x, Mode::Eval)?.dims(), [2, 16, 4, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BottleneckBlock {
    conv1: Conv2d,
    norm1: SplitBatchNorm,
    conv2: Conv2d,
    norm2: SplitBatchNorm,
    conv3: Conv2d,
    norm3: SplitBatchNorm,
    shortcut: Shortcut,
}

impl BottleneckBlock {
    /// From `inputs` to 4·`width` channels with `width` in between, reducing the resolution by `stride`.
    /// The residual branch starts at zero, so that a new block passes its input on.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when saved parameters do not fit,
    /// [`Error::Parameter`](crate::Error::Parameter) for stride 0.
    pub fn new(params: &Params, inputs: usize, width: usize, stride: usize) -> Result<Self> {
        Self::with_splits(params, inputs, width, stride, 1)
    }

    /// The same with moments for each of `splits` parts of a batch; see [`SplitBatchNorm`].
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Parameter`](crate::Error::Parameter) for no part.
    pub fn with_splits(
        params: &Params,
        inputs: usize,
        width: usize,
        stride: usize,
        splits: usize,
    ) -> Result<Self> {
        let outputs = width.saturating_mul(EXPANSION);
        let one = ConvSpec::new(1).bias(false);
        let three = ConvSpec::new(3).padding(1).stride(stride).bias(false);
        let shortcut = shortcut(params, inputs, outputs, stride, splits)?;
        Ok(BottleneckBlock {
            conv1: Conv2d::new(&params.scope("conv1"), inputs, width, one)?,
            norm1: SplitBatchNorm::new(&params.scope("norm1"), width, splits)?,
            conv2: Conv2d::new(&params.scope("conv2"), width, width, three)?,
            norm2: SplitBatchNorm::new(&params.scope("norm2"), width, splits)?,
            conv3: Conv2d::new(&params.scope("conv3"), width, outputs, one)?,
            norm3: SplitBatchNorm::with_scale(&params.scope("norm3"), outputs, splits, Init::ZEROS)?,
            shortcut,
        })
    }

    /// x: `[n, inputs, h, w]`. Returns `[n, 4·width, ⌈h / stride⌉, ⌈w / stride⌉]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when x does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let residual = self.norm1.forward_relu(&self.conv1.forward(x)?, mode)?;
        let residual = self.norm2.forward_relu(&self.conv2.forward(&residual)?, mode)?;
        let residual = self.norm3.forward(&self.conv3.forward(&residual)?, mode)?;
        joined(&residual, x, &self.shortcut, mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::check;
    use candle_core::{DType, Device};

    /// Moves every parameter: a branch that starts at zero would hide its own gradient.
    fn moved(params: &Params) -> Result<()> {
        let moved = params.named_tensors().into_iter().enumerate().map(|(i, (name, tensor))| {
            Ok((name, (tensor.abs()? + (check::input(tensor.dims(), i as u64)? * 0.1)?.abs()?)?))
        });
        params.load(moved.collect::<Result<Vec<_>>>()?)
    }

    #[test]
    fn a_basic_block_has_the_right_gradient_in_both_modes() -> Result<()> {
        for (inputs, outputs, stride, mode) in
            [(2, 2, 1, Mode::Train), (2, 3, 2, Mode::Train), (3, 3, 2, Mode::Eval)]
        {
            let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
            let block = BasicBlock::new(&params, inputs, outputs, stride)?;
            moved(&params)?;
            let x = check::input(&[3, inputs, 5, 4], 2)?;
            let error = check::gradient_error(std::slice::from_ref(&x), |x| block.forward(&x[0], mode))?;
            assert!(error < 1e-6, "{inputs} {outputs} {stride} {mode:?}: {error:e}");
            let error = check::parameter_gradient_error(&params, || block.forward(&x, mode))?;
            assert!(error < 1e-6, "{inputs} {outputs} {stride} {mode:?}, parameters: {error:e}");
        }
        Ok(())
    }

    #[test]
    fn a_bottleneck_has_the_right_gradient_in_both_modes() -> Result<()> {
        for (inputs, width, stride, mode) in
            [(4, 1, 1, Mode::Train), (3, 2, 2, Mode::Train), (3, 1, 2, Mode::Eval)]
        {
            let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
            let block = BottleneckBlock::new(&params, inputs, width, stride)?;
            moved(&params)?;
            let x = check::input(&[3, inputs, 5, 4], 3)?;
            let y = block.forward(&x, mode)?;
            assert_eq!(y.dims(), [3, 4 * width, 5_usize.div_ceil(stride), 4_usize.div_ceil(stride)]);
            let error = check::gradient_error(std::slice::from_ref(&x), |x| block.forward(&x[0], mode))?;
            assert!(error < 1e-6, "{inputs} {width} {stride} {mode:?}: {error:e}");
            let error = check::parameter_gradient_error(&params, || block.forward(&x, mode))?;
            assert!(error < 1e-6, "{inputs} {width} {stride} {mode:?}, parameters: {error:e}");
        }
        Ok(())
    }

    #[test]
    fn a_new_block_passes_its_input_on() -> Result<()> {
        let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
        let basic = BasicBlock::new(&params.scope("basic"), 4, 4, 1)?;
        let bottleneck = BottleneckBlock::new(&params.scope("bottleneck"), 4, 1, 1)?;
        let x = check::input(&[2, 4, 3, 5], 1)?.abs()?;
        for y in [basic.forward(&x, Mode::Train)?, bottleneck.forward(&x, Mode::Train)?] {
            assert_eq!(y.flatten_all()?.to_vec1::<f64>()?, x.flatten_all()?.to_vec1::<f64>()?);
        }
        Ok(())
    }
}
