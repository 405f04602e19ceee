//! Images into the transformed domain tile by tile, and products out of it.

use super::lines::{Gathered, LANES, Rows, copy, lanes};
use super::matrices::{Gradient, Input, Output, Side, both_sides};
use super::{Block, IN, OUT, Tiling, spacing};
use crate::nn::ops::conv::geometry::Geometry;
use crate::nn::ops::element::Element;
use pulp::{Simd, WithSimd};

/// Bᵀ d B of the tiles of a block: `[36, c, tiles]`, tiles in panels: panel after panel, in each channel after channel.
pub(super) struct Inputs<'a, T> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling,
    pub(super) block: &'a Block,
    /// The block's images `[images, c, h, w]`.
    pub(super) x: &'a [T],
    pub(super) panel: usize,
    pub(super) scratch: &'a mut [T],
    pub(super) out: &'a mut [T],
}

impl<T: Element> WithSimd for Inputs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Inputs { g, tiling, block, x, panel, scratch, out } = self;
        let rows = Rows {
            size: [g.height, g.width],
            padding: g.padding,
            rows: block.rows.clone(),
            across: tiling.across,
        };
        transform::<Input, T, IN>(block, &rows, g.in_channels, x, panel, scratch, out);
    }
}

/// A dy Aᵀ of the tiles of a block: `[36, o, tiles]`.
pub(super) struct Gradients<'a, T> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling,
    pub(super) block: &'a Block,
    /// The block's images `[images, o, oh, ow]`.
    pub(super) dy: &'a [T],
    pub(super) scratch: &'a mut [T],
    pub(super) out: &'a mut [T],
}

impl<T: Element> WithSimd for Gradients<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Gradients { g, tiling, block, dy, scratch, out } = self;
        let rows = Rows {
            size: [g.out_height, g.out_width],
            padding: 0,
            rows: block.rows.clone(),
            across: tiling.across,
        };
        transform::<Gradient, T, OUT>(block, &rows, g.out_channels, dy, block.tiles, scratch, out);
    }
}

/// Tiles of F x F pixels to 6 x 6 values, channel by channel.
#[inline(always)]
fn transform<R: Side<F, IN>, T: Element, const F: usize>(
    block: &Block,
    rows: &Rows,
    channels: usize,
    images: &[T],
    panel: usize,
    scratch: &mut [T],
    out: &mut [T],
) {
    let [height, width] = rows.size;
    let spacing = spacing(channels, block.tiles.next_multiple_of(panel));
    let mut gathered = Gathered::<T, F>::new(scratch, block.images, rows);
    for channel in 0..channels {
        gathered.take(
            block.images,
            #[inline(always)]
            |image| &images[(image * channels + channel) * height * width..][..height * width],
            rows,
        );
        for first in (0..block.tiles).step_by(LANES) {
            let place = first / panel * panel * channels + channel * panel + first % panel;
            both_sides::<R, T, LANES, F, IN>(
                #[inline(always)]
                |i, j| gathered.tiles(i, j, first),
                #[inline(always)]
                |i, row| {
                    for (j, values) in row.iter().enumerate() {
                        // what is beyond the last tile, the next channel writes over, or it fills up a panel
                        let at = (i * IN + j) * spacing + place;
                        out[at..at + LANES].copy_from_slice(values);
                    }
                },
            );
        }
    }
}

/// Aᵀ m A of the products of a block, plus the bias, into the images.
pub(super) struct Outputs<'a, T> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling,
    pub(super) block: &'a Block,
    /// `[36, o, tiles]`
    pub(super) products: &'a [T],
    pub(super) bias: Option<&'a [T]>,
    pub(super) scratch: &'a mut [T],
    /// The block's images `[images, o, oh, ow]`.
    pub(super) y: &'a mut [T],
}

impl<T: Element> Outputs<'_, T> {
    /// Values of `scratch`: four lines of all tiles.
    pub(super) fn room(tiles: usize) -> usize {
        OUT * OUT * (tiles + LANES)
    }
}

impl<T: Element> WithSimd for Outputs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Outputs { g, tiling, block, products, bias, scratch, y } = self;
        let (o, tiles, across) = (g.out_channels, block.tiles, tiling.across);
        let (pixels, width) = (g.out_pixels(), g.out_width);
        let line = OUT * (tiles + LANES);
        for channel in 0..o {
            let shift = bias.map_or(T::zero(), |bias| bias[channel]);
            for first in (0..tiles).step_by(LANES) {
                both_sides::<Output, T, LANES, IN, OUT>(
                    #[inline(always)]
                    |i, j| lanes(&products[(i * IN + j) * spacing(o, tiles) + channel * tiles + first..]),
                    #[inline(always)]
                    |i, [c0, c1, c2, c3]| {
                        let to = &mut scratch[i * line + OUT * first..][..OUT * LANES];
                        for (l, to) in to.as_chunks_mut::<OUT>().0.iter_mut().enumerate() {
                            *to = [c0[l] + shift, c1[l] + shift, c2[l] + shift, c3[l] + shift];
                        }
                    },
                );
            }
            for image in 0..block.images {
                let plane = &mut y[(image * o + channel) * pixels..][..pixels];
                for (row, tile_row) in block.rows.clone().enumerate() {
                    let start = OUT * (image * block.rows.len() + row) * across;
                    for i in 0..OUT.min(g.out_height - tile_row * OUT) {
                        let from = &scratch[i * line + start..][..width];
                        copy(&mut plane[(tile_row * OUT + i) * width..], from);
                    }
                }
            }
        }
    }
}
