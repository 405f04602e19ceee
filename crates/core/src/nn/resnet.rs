//! Residual networks for small images (He et al. 2016), with the stem used for CIFAR.
//!
//! A 3 x 3 convolution at full resolution, stages of basic blocks of which each but the first halves the
//! resolution, and a global average: `[n, c, h, w]` → `[n, width of the last stage]`. Use it as the
//! encoder of images from 8 x 8 (digits) to about 64 x 64; larger ones want a stem that reduces them first.
//!
//! ResNet-18 for CIFAR is `ResNetSpec::new(3).widths([64, 128, 256, 512]).blocks(2)`.

use super::{BatchNorm, Conv2d, ConvSpec, Init, Mode, Params, ops};
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// y = relu(x' + bn(conv(relu(bn(conv(x)))))), where x' is x, or its projection when the shape
/// changes (He et al. 2016, fig. 5 left and eq. 2).
#[derive(Debug, Clone)]
pub struct BasicBlock {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    shortcut: Option<(Conv2d, BatchNorm)>,
}

impl BasicBlock {
    /// From `inputs` to `outputs` channels, reducing the resolution by `stride`. The residual branch
    /// starts at zero, so that a new block passes its input on.
    ///
    /// # Errors
    /// [`Error::Shape`] when saved parameters do not fit, [`Error::Parameter`] for stride 0.
    pub fn new(params: &Params, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        let three = ConvSpec::new(3).padding(1).bias(false);
        let shortcut = if stride != 1 || inputs != outputs {
            let project = ConvSpec::new(1).stride(stride).bias(false);
            let conv = Conv2d::new(&params.scope("shortcut.conv"), inputs, outputs, project)?;
            Some((conv, BatchNorm::new(&params.scope("shortcut.norm"), outputs)?))
        } else {
            None
        };
        Ok(BasicBlock {
            conv1: Conv2d::new(&params.scope("conv1"), inputs, outputs, three.stride(stride))?,
            norm1: BatchNorm::new(&params.scope("norm1"), outputs)?,
            conv2: Conv2d::new(&params.scope("conv2"), outputs, outputs, three)?,
            norm2: BatchNorm::with_scale(&params.scope("norm2"), outputs, Init::ZEROS)?,
            shortcut,
        })
    }

    /// x: `[n, inputs, h, w]`. Returns `[n, outputs, ⌈h / stride⌉, ⌈w / stride⌉]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let residual = self.norm1.forward_relu(&self.conv1.forward(x)?, mode)?;
        let residual = self.norm2.forward(&self.conv2.forward(&residual)?, mode)?;
        match &self.shortcut {
            None => ops::add_relu(&residual, x),
            Some((conv, norm)) => ops::add_relu(&residual, &norm.forward(&conv.forward(x)?, mode)?),
        }
    }
}

/// The shape of a [`ResNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResNetSpec {
    channels: usize,
    widths: Vec<usize>,
    blocks: usize,
}

impl ResNetSpec {
    /// For images of `channels` channels: three stages of 16, 32 and 64 channels, one block each.
    pub fn new(channels: usize) -> Self {
        ResNetSpec { channels, widths: vec![16, 32, 64], blocks: 1 }
    }

    /// The channels of each stage; the resolution halves between two.
    #[must_use]
    pub fn widths(self, widths: impl Into<Vec<usize>>) -> Self {
        ResNetSpec { widths: widths.into(), ..self }
    }

    /// Residual blocks a stage.
    #[must_use]
    pub fn blocks(self, blocks: usize) -> Self {
        ResNetSpec { blocks, ..self }
    }

    /// The channels of the images.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The length of the code: the width of the last stage.
    pub fn features(&self) -> usize {
        self.widths.last().copied().unwrap_or(0)
    }

    /// # Errors
    /// [`Error::Parameter`] when there is no channel, no stage, no block, or an empty stage.
    pub fn check(&self) -> Result<()> {
        if self.channels == 0 {
            return Err(Error::parameter("channels", self.channels, "at least 1"));
        }
        if self.widths.is_empty() || self.widths.contains(&0) {
            return Err(Error::parameter(
                "widths",
                format!("{:?}", self.widths),
                "one positive width a stage",
            ));
        }
        if self.blocks == 0 {
            return Err(Error::parameter("blocks", self.blocks, "at least 1"));
        }
        Ok(())
    }
}

/// A residual network that turns images into codes; see the [module](self).
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::{Mode, Params, ResNet, ResNetSpec};
/// let net = ResNet::new(&Params::new(Seed::new(7)), &ResNetSpec::new(1).widths([8, 16]))?;
/// let images = Tensor::zeros((5, 1, 9, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.forward(&images, Mode::Eval)?.dims(), [5, 16]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ResNet {
    stem: (Conv2d, BatchNorm),
    blocks: Vec<BasicBlock>,
    features: usize,
}

impl ResNet {
    /// # Errors
    /// [`Error::Parameter`] for a spec that describes no network, [`Error::Shape`] when saved
    /// parameters do not fit.
    pub fn new(params: &Params, spec: &ResNetSpec) -> Result<Self> {
        spec.check()?;
        let mut width = spec.widths[0];
        let three = ConvSpec::new(3).padding(1).bias(false);
        let conv = Conv2d::new(&params.scope("stem.conv"), spec.channels, width, three)?;
        let stem = (conv, BatchNorm::new(&params.scope("stem.norm"), width)?);
        let mut blocks = Vec::new();
        for (stage, &outputs) in spec.widths.iter().enumerate() {
            for block in 0..spec.blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let scope = params.scope(format!("stage{stage}.{block}"));
                blocks.push(BasicBlock::new(&scope, width, outputs, stride)?);
                width = outputs;
            }
        }
        Ok(ResNet { stem, blocks, features: width })
    }

    /// x: `[n, channels, h, w]`. Returns the codes `[n, features]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let (conv, norm) = &self.stem;
        let mut x = norm.forward_relu(&conv.forward(x)?, mode)?;
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        ops::global_average_pool(&x)
    }

    /// The length of the code.
    pub fn features(&self) -> usize {
        self.features
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::check;
    use candle_core::{DType, Device};

    #[test]
    fn a_block_has_the_right_gradient_in_both_modes() -> Result<()> {
        for (inputs, outputs, stride, mode) in
            [(2, 2, 1, Mode::Train), (2, 3, 2, Mode::Train), (3, 3, 2, Mode::Eval)]
        {
            let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
            let block = BasicBlock::new(&params, inputs, outputs, stride)?;
            // a branch that starts at zero would hide its own gradient
            let moved = params.named_tensors().into_iter().enumerate().map(|(i, (name, tensor))| {
                Ok((name, (tensor.abs()? + (check::input(tensor.dims(), i as u64)? * 0.1)?.abs()?)?))
            });
            params.load(moved.collect::<Result<Vec<_>>>()?)?;
            let x = check::input(&[3, inputs, 5, 4], 2)?;
            let error = check::gradient_error(&[x], |x| block.forward(&x[0], mode))?;
            assert!(error < 1e-6, "{inputs} {outputs} {stride} {mode:?}: {error:e}");
        }
        Ok(())
    }

    #[test]
    fn a_new_block_passes_its_input_on() -> Result<()> {
        let block = BasicBlock::new(&Params::on(Seed::new(1), DType::F64, &Device::Cpu), 2, 2, 1)?;
        let x = check::input(&[2, 2, 3, 3], 1)?.abs()?;
        let y = block.forward(&x, Mode::Train)?;
        assert_eq!(y.flatten_all()?.to_vec1::<f64>()?, x.flatten_all()?.to_vec1::<f64>()?);
        Ok(())
    }

    #[test]
    fn resnet_18_has_its_eleven_million_parameters() -> Result<()> {
        let params = Params::new(Seed::new(1));
        ResNet::new(&params, &ResNetSpec::new(3).widths([64, 128, 256, 512]).blocks(2))?;
        assert_eq!(params.count(), 11_168_832); // torchvision's resnet18 with a 3x3 stem and no classifier
        Ok(())
    }

    #[test]
    fn a_spec_that_describes_no_network_is_refused() {
        for spec in [
            ResNetSpec::new(0),
            ResNetSpec::new(1).widths([]),
            ResNetSpec::new(1).widths([4, 0]),
            ResNetSpec::new(1).blocks(0),
        ] {
            let made = ResNet::new(&Params::new(Seed::new(1)), &spec);
            assert!(matches!(made, Err(Error::Parameter { .. })), "{spec:?}");
        }
    }
}
