//! Residual networks (He et al. 2016): images `[n, c, h, w]` → codes `[n, features]`.
//!
//! A [stem](Stem), stages of [basic](BasicBlock) or [bottleneck](BottleneckBlock) blocks of which each stage but
//! the first halves the resolution, and a global average. Every size of image from 1 x 1 goes through.
//!
//! | constructor | blocks | stem | features | parameters, 3 channels |
//! | --- | --- | --- | --- | --- |
//! | [`ResNetSpec::new`] | 1, 1, 1 basic, of 16 to 64 channels | small images | 64 | 77,392 |
//! | [`ResNetSpec::resnet9`] | 1, 1, 1, 1 basic | small images | 512 | 4,898,112 |
//! | [`ResNetSpec::resnet18`] | 2, 2, 2, 2 basic | large images | 512 | 11,176,512 |
//! | [`ResNetSpec::resnet34`] | 3, 4, 6, 3 basic | large images | 512 | 21,284,672 |
//! | [`ResNetSpec::resnet50`] | 3, 4, 6, 3 bottleneck | large images | 2048 | 23,508,032 |
//!
//! The stem for small images suits 8 x 8 (digits) to about 64 x 64 and is chosen by [`ResNetSpec::stem`]; the
//! one for large images starts at a quarter of the resolution.

mod blocks;
mod spec;

pub use blocks::{BasicBlock, BottleneckBlock};
pub use spec::{BlockKind, ResNetSpec, Stem};

use super::{Conv2d, ConvSpec, Mode, Params, SplitBatchNorm, ops};
use crate::Result;
use candle_core::Tensor;

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
    stem: (Conv2d, SplitBatchNorm),
    pooled: bool,
    blocks: Vec<Block>,
    features: usize,
}

#[derive(Debug, Clone)]
enum Block {
    Basic(BasicBlock),
    Bottleneck(BottleneckBlock),
}

impl ResNet {
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a spec that describes no network,
    /// [`Error::Shape`](crate::Error::Shape) when saved parameters do not fit.
    pub fn new(params: &Params, spec: &ResNetSpec) -> Result<Self> {
        spec.check()?;
        let (kind, stem) = spec.kind();
        let (stages, splits) = (spec.stages(), spec.norm_splits);
        let mut inputs = stages[0].0;
        let first = match stem {
            Stem::Cifar => ConvSpec::new(3).padding(1),
            Stem::ImageNet => ConvSpec::new(7).stride(2).padding(3),
        };
        let conv = Conv2d::new(&params.scope("stem.conv"), spec.channels(), inputs, first.bias(false))?;
        let norm = SplitBatchNorm::new(&params.scope("stem.norm"), inputs, splits)?;
        let mut blocks = Vec::new();
        for (stage, &(width, count)) in stages.iter().enumerate() {
            for block in 0..count {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let scope = params.scope(format!("stage{stage}.{block}"));
                blocks.push(match kind {
                    BlockKind::Basic => {
                        Block::Basic(BasicBlock::with_splits(&scope, inputs, width, stride, splits)?)
                    }
                    BlockKind::Bottleneck => Block::Bottleneck(BottleneckBlock::with_splits(
                        &scope, inputs, width, stride, splits,
                    )?),
                });
                inputs = spec.outputs(width);
            }
        }
        Ok(ResNet { stem: (conv, norm), pooled: stem == Stem::ImageNet, blocks, features: inputs })
    }

    /// x: `[n, channels, h, w]`. Returns the codes `[n, features]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when x does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let (conv, norm) = &self.stem;
        let mut x = norm.forward_relu(&conv.forward(x)?, mode)?;
        if self.pooled {
            x = ops::max_pool2d_with(&x, 3, 2, 1)?;
        }
        for block in &self.blocks {
            x = match block {
                Block::Basic(block) => block.forward(&x, mode)?,
                Block::Bottleneck(block) => block.forward(&x, mode)?,
            };
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
    use crate::nn::{backward, check};
    use crate::{Error, Seed};
    use candle_core::{DType, Device};

    #[test]
    fn the_networks_have_the_parameters_of_torchvisions() -> Result<()> {
        // torchvision's without their classifiers; the small ones by hand
        for (spec, count) in [
            (ResNetSpec::resnet18(3), 11_176_512),
            (ResNetSpec::resnet34(3), 21_284_672),
            (ResNetSpec::resnet50(3), 23_508_032),
            (ResNetSpec::resnet18(3).stem(Stem::Cifar), 11_168_832),
            (ResNetSpec::new(3).widths([64, 128, 256, 512]).blocks(2), 11_168_832),
            (ResNetSpec::resnet9(3), 4_898_112),
            (ResNetSpec::new(3), 77_392),
        ] {
            let params = Params::new(Seed::new(1));
            let net = ResNet::new(&params, &spec)?;
            assert_eq!((params.count(), net.features()), (count, spec.features()), "{spec:?}");
        }
        Ok(())
    }

    #[test]
    fn odd_images_go_through_every_stem_and_block() -> Result<()> {
        for stem in [Stem::Cifar, Stem::ImageNet] {
            for (block, features) in [(BlockKind::Basic, 5), (BlockKind::Bottleneck, 20)] {
                let params = Params::new(Seed::new(1));
                let spec = ResNetSpec::new(2).widths([3, 5]).blocks_per_stage([2, 1]).stem(stem);
                let net = ResNet::new(&params, &spec.block(block))?;
                for (h, w) in [(13, 10), (1, 1), (3, 29)] {
                    let x = check::input(&[3, 2, h, w], 1)?.to_dtype(DType::F32)?;
                    let y = net.forward(&x, Mode::Train)?;
                    assert_eq!(y.dims(), [3, features]);
                    assert!(y.sum_all()?.to_scalar::<f32>()?.is_finite(), "{stem:?} {block:?} {h} x {w}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn the_gradient_goes_through_the_stem_for_large_images() -> Result<()> {
        let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
        let spec = ResNetSpec::new(1).widths([2, 1]).stem(Stem::ImageNet).block(BlockKind::Bottleneck);
        let net = ResNet::new(&params, &spec)?;
        let error =
            check::gradient_error(&[check::input(&[2, 1, 11, 9], 4)?], |x| net.forward(&x[0], Mode::Train))?;
        assert!(error < 1e-6, "{error:e}");
        Ok(())
    }

    #[test]
    fn split_normalisation_trains_each_part_as_a_batch_of_its_own() -> Result<()> {
        for block in [BlockKind::Basic, BlockKind::Bottleneck] {
            let spec = ResNetSpec::new(1).widths([2, 3]).block(block);
            let forward = |spec: &ResNetSpec, x: &Tensor| -> Result<Vec<Vec<f64>>> {
                let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
                Ok(ResNet::new(&params, spec)?.forward(x, Mode::Train)?.to_vec2()?)
            };
            let x = check::input(&[6, 1, 5, 4], 1)?;
            let together = forward(&spec.clone().norm_splits(2), &x)?;
            assert_eq!(together[..3], forward(&spec, &x.narrow(0, 0, 3)?.contiguous()?)?);
            assert_eq!(together[3..], forward(&spec, &x.narrow(0, 3, 3)?.contiguous()?)?);
            assert_ne!(together, forward(&spec, &x)?);
        }
        Ok(())
    }

    #[test]
    fn one_thread_and_many_train_with_the_same_bits() -> Result<()> {
        let spec = ResNetSpec::new(2).widths([8, 12]).block(BlockKind::Bottleneck).stem(Stem::ImageNet);
        let x = check::input(&[6, 2, 37, 26], 1)?.to_dtype(DType::F32)?;
        let on = |threads: usize| -> Result<Vec<u32>> {
            let step = || -> Result<Vec<u32>> {
                let params = Params::new(Seed::new(1));
                let y = ResNet::new(&params, &spec.clone().norm_splits(2))?.forward(&x, Mode::Train)?;
                let gradients = backward(&y.sqr()?.sum_all()?)?;
                let mut bits = Vec::new();
                let found = params.trainable().into_iter().filter_map(|p| gradients.get(&p).cloned());
                for tensor in found.chain(params.named_tensors().into_iter().map(|(_, tensor)| tensor)) {
                    bits.extend(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits));
                }
                Ok(bits)
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.map_err(|e| Error::Backend(Box::new(e)))?.install(step)
        };
        let one = on(1)?;
        assert!(on(2)? == one && on(5)? == one);
        Ok(())
    }

    #[test]
    fn names_of_the_basic_network_stay() -> Result<()> {
        let params = Params::new(Seed::new(1));
        ResNet::new(&params, &ResNetSpec::new(1).widths([2, 3]))?;
        let weights: Vec<String> =
            params.names().into_iter().filter(|name| name.ends_with("weight")).collect();
        assert_eq!(
            weights,
            [
                "stem.conv.weight",
                "stage0.0.conv1.weight",
                "stage0.0.conv2.weight",
                "stage1.0.shortcut.conv.weight",
                "stage1.0.conv1.weight",
                "stage1.0.conv2.weight",
            ]
        );
        let none = ResNet::new(&params, &ResNetSpec::new(1).widths([]));
        assert!(matches!(none, Err(Error::Parameter { name: "widths", .. })));
        Ok(())
    }
}
