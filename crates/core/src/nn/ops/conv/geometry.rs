//! The sizes of a convolution, and the tiles it is computed in.

use crate::{Error, Result};
use std::ops::Range;

/// Output pixels that are unrolled at a time: with a few hundred inputs each they stay in the
/// second-level cache.
const TILE_PIXELS: usize = 128;

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
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
}

impl Geometry {
    /// The forward pass x `[n, c, h, w]` * weight `[o, c, kh, kw]`.
    pub(crate) fn of_forward(x: &[usize], weight: &[usize], stride: usize, padding: usize) -> Result<Self> {
        let (&[images, channels, height, width], &[out_channels, in_channels, kh, kw]) = (x, weight) else {
            let found = format!("x {x:?} and weight {weight:?}");
            return Err(Error::shape("a convolution", "x [n, c, h, w] and weight [o, c, kh, kw]", found));
        };
        if channels != in_channels {
            let found = format!("{channels} channels (shape {x:?})");
            return Err(Error::shape("x", format!("{in_channels} channels"), found));
        }
        if stride == 0 {
            return Err(Error::parameter("stride", stride, "at least 1"));
        }
        let out = |size: usize, k: usize| (size + 2 * padding).checked_sub(k).map(|s| s / stride + 1);
        let (Some(out_height), Some(out_width), false) = (out(height, kh), out(width, kw), kh * kw == 0)
        else {
            let found = format!("{height} x {width} pixels");
            return Err(Error::shape("x", format!("at least {kh} x {kw} pixels after padding"), found));
        };
        let kernel = [kh, kw];
        let sizes = Geometry {
            images,
            in_channels,
            height,
            width,
            out_channels,
            kernel,
            stride,
            padding,
            out_height,
            out_width,
        };
        Ok(sizes)
    }

    /// The forward pass whose input gradient is the transposed convolution
    /// x `[n, c, h, w]` * weight [c, o, kh, kw]: its *output* is x.
    pub(crate) fn of_transposed(
        x: &[usize],
        weight: &[usize],
        stride: usize,
        padding: usize,
        output_padding: usize,
    ) -> Result<Self> {
        let (&[images, channels, h, w], &[in_channels, out, kh, kw]) = (x, weight) else {
            let found = format!("x {x:?} and weight {weight:?}");
            let expected = "x [n, c, h, w] and weight [c, o, kh, kw]";
            return Err(Error::shape("a transposed convolution", expected, found));
        };
        if channels != in_channels {
            let found = format!("{channels} channels (shape {x:?})");
            return Err(Error::shape("x", format!("{in_channels} channels"), found));
        }
        if output_padding >= stride {
            return Err(Error::parameter("output_padding", output_padding, "less than the stride"));
        }
        let size = |small: usize, k: usize| {
            small.checked_sub(1).and_then(|s| (s * stride + k + output_padding).checked_sub(2 * padding))
        };
        match (size(h, kh), size(w, kw)) {
            (Some(height), Some(width)) if height * width > 0 => {
                Self::of_forward(&[images, out, height, width], weight, stride, padding)
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
        [self.out_channels, self.in_channels, self.kernel[0], self.kernel[1]]
    }

    /// Inputs of one output: the height of the unrolled matrix.
    pub(crate) fn taps(&self) -> usize {
        self.in_channels * self.kernel[0] * self.kernel[1]
    }

    pub(crate) fn in_pixels(&self) -> usize {
        self.height * self.width
    }

    pub(crate) fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// How many whole images make a tile when one image is smaller than a tile; otherwise 1.
    pub(crate) fn group(&self) -> usize {
        (TILE_PIXELS / self.out_pixels().max(1)).max(1)
    }

    /// The rows of each tile of one image (all of them, when images are grouped).
    pub(crate) fn row_tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (height, rows) = (self.out_height, (TILE_PIXELS / self.out_width.max(1)).max(1));
        let rows = if self.group() > 1 { height.max(1) } else { rows };
        (0..height).step_by(rows).map(move |start| start..(start + rows).min(height))
    }

    /// The convolution that turns the output gradient into the input gradient, with the kernel
    /// flipped, where there is one: stride 1 and a square kernel no smaller than its padding.
    pub(crate) fn flipped(&self) -> Option<Geometry> {
        let [kh, kw] = self.kernel;
        (self.stride == 1 && kh == kw && kh > self.padding).then(|| Geometry {
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            height: self.out_height,
            width: self.out_width,
            out_height: self.height,
            out_width: self.width,
            padding: kh - 1 - self.padding,
            ..*self
        })
    }
}
