use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a stage of a [`ResNet`](super::ResNet) is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BlockKind {
    /// [`BasicBlock`](super::BasicBlock): as many outputs as the stage is wide.
    #[default]
    Basic,
    /// [`BottleneckBlock`](super::BottleneckBlock): four times as many.
    Bottleneck,
}

/// What a [`ResNet`](super::ResNet) does to an image before the first stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stem {
    /// A 3 x 3 convolution at full resolution: for images from 8 x 8 to about 64 x 64.
    #[default]
    Cifar,
    /// A 7 x 7 convolution and a 3 x 3 max-pool, each of stride 2: a quarter of the resolution.
    ImageNet,
}

/// The shape of a [`ResNet`](super::ResNet).
///
/// ```
/// use unsup_core::nn::{BlockKind, ResNetSpec, Stem};
/// let small = ResNetSpec::new(1).widths([8, 16]).blocks(2);
/// let spec = ResNetSpec::resnet50(3).stem(Stem::Cifar); // as SimCLR's for CIFAR-10
/// assert_eq!((small.features(), spec.features()), (16, 2048));
/// let by_hand = ResNetSpec::new(3).widths([64, 128, 256, 512]).blocks_per_stage([3, 4, 6, 3]);
/// assert_eq!(by_hand.block(BlockKind::Bottleneck), spec);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResNetSpec {
    channels: usize,
    widths: Vec<usize>,
    blocks: Blocks,
    #[serde(default)]
    block: BlockKind,
    #[serde(default)]
    stem: Stem,
    #[serde(default = "one")]
    pub(super) norm_splits: usize,
}

/// What specifications saved before batches were split had.
fn one() -> usize {
    1
}

/// Residual blocks in each stage: a number, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Blocks {
    Every(usize),
    Each(Vec<usize>),
}

impl ResNetSpec {
    /// For images of `channels` channels: three stages of 16, 32 and 64 channels, one basic block each,
    /// after the stem for small images.
    pub fn new(channels: usize) -> Self {
        ResNetSpec {
            channels,
            widths: vec![16, 32, 64],
            blocks: Blocks::Every(1),
            block: BlockKind::Basic,
            stem: Stem::Cifar,
            norm_splits: 1,
        }
    }

    fn wide(channels: usize, blocks: Blocks, block: BlockKind, stem: Stem) -> Self {
        ResNetSpec { channels, widths: vec![64, 128, 256, 512], blocks, block, stem, norm_splits: 1 }
    }

    /// The ResNet-9 of the library lightly: the stem for small images and four stages of 64 to 512 channels, one
    /// basic block each, which makes nine 3 x 3 convolutions. (The ResNet-9 of Page's DAWNBench entry is
    /// another network.) 512 features.
    pub fn resnet9(channels: usize) -> Self {
        Self::wide(channels, Blocks::Every(1), BlockKind::Basic, Stem::Cifar)
    }

    /// ResNet-18 with the stem for large images (He et al. 2016, table 1). 512 features.
    pub fn resnet18(channels: usize) -> Self {
        Self::wide(channels, Blocks::Every(2), BlockKind::Basic, Stem::ImageNet)
    }

    /// ResNet-34 with the stem for large images (He et al. 2016, table 1). 512 features.
    pub fn resnet34(channels: usize) -> Self {
        Self::wide(channels, Blocks::Each(vec![3, 4, 6, 3]), BlockKind::Basic, Stem::ImageNet)
    }

    /// ResNet-50 with the stem for large images (He et al. 2016, table 1), the stride in the 3 x 3
    /// convolutions. 2048 features.
    pub fn resnet50(channels: usize) -> Self {
        Self::wide(channels, Blocks::Each(vec![3, 4, 6, 3]), BlockKind::Bottleneck, Stem::ImageNet)
    }

    /// The channels of each stage (inside its blocks, for bottlenecks); the resolution halves between two.
    #[must_use]
    pub fn widths(self, widths: impl Into<Vec<usize>>) -> Self {
        ResNetSpec { widths: widths.into(), ..self }
    }

    /// Residual blocks a stage.
    #[must_use]
    pub fn blocks(self, blocks: usize) -> Self {
        ResNetSpec { blocks: Blocks::Every(blocks), ..self }
    }

    /// Residual blocks of each stage, as many numbers as there are widths.
    #[must_use]
    pub fn blocks_per_stage(self, blocks: impl Into<Vec<usize>>) -> Self {
        ResNetSpec { blocks: Blocks::Each(blocks.into()), ..self }
    }

    /// What the stages are made of.
    #[must_use]
    pub fn block(self, block: BlockKind) -> Self {
        ResNetSpec { block, ..self }
    }

    /// What comes before the first stage.
    #[must_use]
    pub fn stem(self, stem: Stem) -> Self {
        ResNetSpec { stem, ..self }
    }

    /// Parts of a batch that are normalised each by its own moments in training (1), which batches must be multiples of;
    /// see [`SplitBatchNorm`](crate::nn::SplitBatchNorm).
    #[must_use]
    pub fn norm_splits(self, norm_splits: usize) -> Self {
        ResNetSpec { norm_splits, ..self }
    }

    /// The channels of the images.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The length of the code: the channels that leave the last stage.
    pub fn features(&self) -> usize {
        self.widths.last().map_or(0, |&width| self.outputs(width))
    }

    /// The channels that leave a stage of this width.
    pub(super) fn outputs(&self, width: usize) -> usize {
        match self.block {
            BlockKind::Basic => width,
            BlockKind::Bottleneck => width.saturating_mul(super::blocks::EXPANSION),
        }
    }

    pub(super) fn kind(&self) -> (BlockKind, Stem) {
        (self.block, self.stem)
    }

    /// Width and number of blocks of each stage.
    pub(super) fn stages(&self) -> Vec<(usize, usize)> {
        let blocks = |stage: usize| match &self.blocks {
            Blocks::Every(blocks) => *blocks,
            Blocks::Each(blocks) => blocks[stage],
        };
        self.widths.iter().enumerate().map(|(stage, &width)| (width, blocks(stage))).collect()
    }

    /// # Errors
    /// [`Error::Parameter`] when there is no channel, no stage, no block, no part of a batch, or an empty stage, or when
    /// there are not as many numbers of blocks as widths.
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
        if self.norm_splits == 0 {
            return Err(Error::parameter("norm_splits", self.norm_splits, "at least 1"));
        }
        match &self.blocks {
            Blocks::Every(0) => Err(Error::parameter("blocks", 0, "at least 1")),
            Blocks::Each(blocks) if blocks.len() != self.widths.len() || blocks.contains(&0) => {
                Err(Error::parameter("blocks", format!("{blocks:?}"), "one positive number a stage"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_saved_before_there_were_bottlenecks_is_read() {
        let saved = r#"{"channels":3,"widths":[16,32],"blocks":2}"#;
        let read = serde_json::from_str::<ResNetSpec>(saved).ok();
        assert_eq!(read, Some(ResNetSpec::new(3).widths([16, 32]).blocks(2)));
        for spec in [ResNetSpec::resnet9(1), ResNetSpec::resnet50(3).stem(Stem::Cifar)] {
            let text = serde_json::to_string(&spec).unwrap_or_default();
            assert_eq!(serde_json::from_str::<ResNetSpec>(&text).ok(), Some(spec));
        }
    }

    #[test]
    fn a_spec_that_describes_no_network_is_refused() {
        for spec in [
            ResNetSpec::new(0),
            ResNetSpec::new(1).widths([]),
            ResNetSpec::new(1).widths([4, 0]),
            ResNetSpec::new(1).blocks(0),
            ResNetSpec::new(1).norm_splits(0),
            ResNetSpec::new(1).blocks_per_stage([1, 1]),
            ResNetSpec::new(1).blocks_per_stage([1, 0, 1]),
        ] {
            assert!(matches!(spec.check(), Err(Error::Parameter { .. })), "{spec:?}");
        }
    }
}
