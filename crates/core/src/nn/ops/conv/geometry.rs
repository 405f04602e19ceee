//! The sizes of a convolution, and the tiles it is computed in.

use super::ConvOptions;
use super::phases::in_whole_pieces;
use crate::{Error, Result};
use std::ops::Range;

/// Output pixels that are unrolled at a time: with a few hundred inputs each they stay in the
/// second-level cache.
const TILE_PIXELS: usize = 128;

/// Taps that are unrolled at a time: as many as the kernel of the products takes at once.
const BLOCK_TAPS: usize = 256;

/// The sizes of a convolution of `images` images, as seen by its forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) images: usize,
    pub(crate) in_channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) out_channels: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
    pub(crate) groups: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
}

impl Geometry {
    /// The forward pass x `[n, c, h, w]` * weight `[o, c / groups, kh, kw]`.
    pub(crate) fn of_forward(x: &[usize], weight: &[usize], options: ConvOptions) -> Result<Self> {
        let ConvOptions { stride, padding, dilation, groups, .. } = options;
        let (&[images, in_channels, height, width], &[out_channels, group_channels, kh, kw]) = (x, weight)
        else {
            let found = format!("x {x:?} and weight {weight:?}");
            let expected = "x [n, c, h, w] and weight [o, c / groups, kh, kw]";
            return Err(Error::shape("a convolution", expected, found));
        };
        options.check()?;
        if group_channels.checked_mul(groups) != Some(in_channels) {
            let expected = format!("{group_channels} channels in each of {groups} groups");
            return Err(Error::shape("x", expected, format!("{in_channels} channels (shape {x:?})")));
        }
        if !out_channels.is_multiple_of(groups) {
            return Err(Error::parameter("groups", groups, "a divisor of the numbers of channels"));
        }
        if [in_channels, height, width].contains(&0) {
            return Err(Error::shape(
                "x",
                "images of at least one channel and pixel",
                format!("shape {x:?}"),
            ));
        }
        let out = |size: usize, k: usize| {
            let padded = padding.checked_mul(2)?.checked_add(size)?;
            padded.checked_sub(options.reach(k)?).map(|s| s / stride + 1)
        };
        let (Some(out_height), Some(out_width)) = (out(height, kh), out(width, kw)) else {
            let found = format!("{height} x {width} pixels");
            let expected =
                format!("after padding at least the {kh} x {kw} pixels of a kernel, {dilation} apart");
            return Err(Error::shape("x", expected, found));
        };
        Ok(Geometry {
            images,
            in_channels,
            height,
            width,
            out_channels,
            kernel: [kh, kw],
            stride,
            padding,
            dilation,
            groups,
            out_height,
            out_width,
        })
    }

    /// The forward pass whose input gradient is the transposed convolution
    /// x `[n, c, h, w]` * weight `[c, o / groups, kh, kw]`: its *output* is x.
    pub(crate) fn of_transposed(x: &[usize], weight: &[usize], options: ConvOptions) -> Result<Self> {
        let ConvOptions { stride, padding, output_padding, groups, .. } = options;
        let (&[images, channels, h, w], &[in_channels, group_out, kh, kw]) = (x, weight) else {
            let found = format!("x {x:?} and weight {weight:?}");
            let expected = "x [n, c, h, w] and weight [c, o / groups, kh, kw]";
            return Err(Error::shape("a transposed convolution", expected, found));
        };
        options.check()?;
        if channels != in_channels {
            let found = format!("{channels} channels (shape {x:?})");
            return Err(Error::shape("x", format!("{in_channels} channels"), found));
        }
        if output_padding >= stride {
            return Err(Error::parameter("output_padding", output_padding, "less than the stride"));
        }
        let size = |small: usize, k: usize| {
            let steps = small.checked_sub(1)?.checked_mul(stride)?;
            let whole = steps.checked_add(options.reach(k)?)?.checked_add(output_padding)?;
            whole.checked_sub(padding.checked_mul(2)?)
        };
        match (size(h, kh), size(w, kw), group_out.checked_mul(groups)) {
            (Some(height), Some(width), Some(out)) if height > 0 && width > 0 => {
                Self::of_forward(&[images, out, height, width], weight, options)
            }
            _ => Err(Error::shape("x", "an image that is not all padding", format!("{h} x {w} pixels"))),
        }
    }

    pub(crate) fn in_shape(&self) -> [usize; 4] {
        [self.images, self.in_channels, self.height, self.width]
    }

    pub(crate) fn out_shape(&self) -> [usize; 4] {
        [self.images, self.out_channels, self.out_height, self.out_width]
    }

    pub(crate) fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels / self.groups, self.kernel[0], self.kernel[1]]
    }

    /// Taps of all channels: the height of the unrolled matrix.
    pub(crate) fn taps(&self) -> usize {
        self.in_channels * self.kernel[0] * self.kernel[1]
    }

    /// Inputs of one output.
    pub(crate) fn group_taps(&self) -> usize {
        self.taps() / self.groups
    }

    /// Outputs of a group.
    pub(crate) fn group_outputs(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Whether each kernel covers its whole image once: a linear layer of flattened images.
    pub(crate) fn is_dense(&self) -> bool {
        self.kernel == [self.height, self.width]
            && self.padding == 0
            && self.dilation == 1
            && self.groups == 1
    }

    /// Values of an image, and of an output image.
    pub(crate) fn in_image(&self) -> usize {
        self.in_channels * self.in_pixels()
    }

    pub(crate) fn out_image(&self) -> usize {
        self.out_channels * self.out_pixels()
    }

    pub(crate) fn in_pixels(&self) -> usize {
        self.height * self.width
    }

    pub(crate) fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// How many whole images make a tile when one image is smaller than a tile; otherwise 1.
    pub(crate) fn images_per_tile(&self) -> usize {
        (TILE_PIXELS / self.out_pixels().max(1)).max(1)
    }

    /// The rows of each tile of one image (all of them, when a tile holds several images).
    pub(crate) fn row_tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (height, rows) = (self.out_height, (TILE_PIXELS / self.out_width.max(1)).max(1));
        let rows = if self.images_per_tile() > 1 { height.max(1) } else { rows };
        (0..height).step_by(rows).map(move |start| start..(start + rows).min(height))
    }

    /// All tiles, each with its first image.
    pub(crate) fn tiles(&self) -> impl Iterator<Item = (usize, Tile<'_>)> {
        (0..self.images).step_by(self.images_per_tile()).flat_map(move |first| {
            let images = self.images_per_tile().min(self.images - first);
            self.row_tiles().map(move |rows| (first, Tile { g: self, images, rows }))
        })
    }

    /// The channels of each group, some at a time.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let of_group = self.in_channels / self.groups;
        let together = (BLOCK_TAPS / (self.kernel[0] * self.kernel[1]).max(1)).max(1);
        (0..self.groups).flat_map(move |group| {
            let (first, end) = (group * of_group, (group + 1) * of_group);
            let block = move |start: usize| Block { group, channels: start..(start + together).min(end) };
            (first..end).step_by(together).map(block)
        })
    }

    /// The convolution that turns the output gradient into the input gradient, with the kernel
    /// flipped, where there is one: stride 1 and a square kernel that reaches over its padding.
    pub(crate) fn flipped(&self) -> Option<Geometry> {
        let [kh, kw] = self.kernel;
        let padding = ((kh - 1) * self.dilation).checked_sub(self.padding)?;
        (self.stride == 1 && kh == kw).then_some(Geometry {
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            height: self.out_height,
            width: self.out_width,
            out_height: self.height,
            out_width: self.width,
            padding,
            ..*self
        })
    }
}

/// The outputs in some rows of some images.
pub(crate) struct Tile<'a> {
    pub(crate) g: &'a Geometry,
    pub(crate) images: usize,
    pub(crate) rows: Range<usize>,
}

impl Tile<'_> {
    pub(crate) fn pixels(&self) -> usize {
        self.images * self.rows.len() * self.g.out_width
    }

    /// Whether lines of outputs are unrolled one by one and none lies across the border of two panels of this width; and
    /// are copied in whole pieces, since what would be written beyond one is another panel's.
    pub(crate) fn has_lines_in(&self, panel: usize) -> bool {
        let width = self.g.out_width;
        let fit = panel.is_multiple_of(width) || width.is_multiple_of(panel);
        self.g.stride > 1 && fit && in_whole_pieces(width.min(panel))
    }
}

/// Channels of a group.
pub(crate) struct Block {
    pub(crate) group: usize,
    /// among those of all groups
    pub(crate) channels: Range<usize>,
}

impl Block {
    /// Their taps among those of the group.
    pub(crate) fn taps(&self, g: &Geometry) -> Range<usize> {
        let (first, area) = (self.group * (g.in_channels / g.groups), g.kernel[0] * g.kernel[1]);
        (self.channels.start - first) * area..(self.channels.end - first) * area
    }
}
