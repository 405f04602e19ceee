//! Images into the transformed domain tile by tile, and products out of it.

use super::lines::{Gathered, LANES, Rows, copy, lanes};
use super::matrices::{Gradient, Input, Output, Side, both_sides};
use super::{Block, Layer, OUT, spacing};
use crate::nn::ops::element::Element;
use pulp::{Simd, WithSimd};

/// Bᵀ d B of the tiles of a block: `[N², c, tiles]`.
pub(super) struct Inputs<'a, T, const N: usize> {
    pub(super) layer: &'a Layer,
    pub(super) block: &'a Block,
    /// The block's images `[images, c, h, w]`.
    pub(super) x: &'a [T],
    pub(super) scratch: &'a mut [T],
    pub(super) out: &'a mut [T],
}

impl<T: Element, const N: usize> WithSimd for Inputs<'_, T, N>
where
    Input: Side<N, N>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Inputs { layer, block, x, scratch, out } = self;
        let rows = Rows {
            size: [layer.height, layer.width],
            padding: layer.padding,
            rows: block.rows.clone(),
            across: layer.across(),
        };
        transform::<Input, T, N, N>(block, &rows, layer.in_channels, x, scratch, out);
    }
}

/// A dy Aᵀ of the tiles of a block: `[N², o, tiles]`.
pub(super) struct Gradients<'a, T, const N: usize> {
    pub(super) layer: &'a Layer,
    pub(super) block: &'a Block,
    /// The block's images `[images, o, oh, ow]`.
    pub(super) dy: &'a [T],
    pub(super) scratch: &'a mut [T],
    pub(super) out: &'a mut [T],
}

impl<T: Element, const N: usize> WithSimd for Gradients<'_, T, N>
where
    Gradient: Side<OUT, N>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Gradients { layer, block, dy, scratch, out } = self;
        let rows = Rows {
            size: [layer.out_height, layer.out_width],
            padding: [0, 0],
            rows: block.rows.clone(),
            across: layer.across(),
        };
        transform::<Gradient, T, OUT, N>(block, &rows, layer.out_channels, dy, scratch, out);
    }
}

/// Tiles of F x F pixels to N x N values, channel by channel.
#[inline(always)]
fn transform<R: Side<F, N>, T: Element, const F: usize, const N: usize>(
    block: &Block,
    rows: &Rows,
    channels: usize,
    images: &[T],
    scratch: &mut [T],
    out: &mut [T],
) {
    let [height, width] = rows.size;
    let mut gathered = Gathered::<T, F>::new(scratch, block.images, rows);
    for channel in 0..channels {
        gathered.take(
            block.images,
            #[inline(always)]
            |image| &images[(image * channels + channel) * height * width..][..height * width],
            rows,
        );
        for first in (0..block.tiles).step_by(LANES) {
            both_sides::<R, T, LANES, F, N>(
                #[inline(always)]
                |i, j| gathered.tiles(i, j, first),
                #[inline(always)]
                |i, row| {
                    for (j, values) in row.iter().enumerate() {
                        // what is beyond the last tile, the next channel writes over
                        let at = (i * N + j) * spacing(channels, block.tiles) + channel * block.tiles + first;
                        out[at..at + LANES].copy_from_slice(values);
                    }
                },
            );
        }
    }
}

/// Aᵀ m A of the products of a block, plus the bias, into the images.
pub(super) struct Outputs<'a, T, const N: usize> {
    pub(super) layer: &'a Layer,
    pub(super) block: &'a Block,
    /// `[N², o, tiles]`
    pub(super) products: &'a [T],
    pub(super) bias: Option<&'a [T]>,
    pub(super) scratch: &'a mut [T],
    /// The block's images `[images, o, oh, ow]`.
    pub(super) y: &'a mut [T],
}

impl<T: Element, const N: usize> Outputs<'_, T, N> {
    /// Values of `scratch`: four lines of all tiles.
    pub(super) fn room(tiles: usize) -> usize {
        OUT * OUT * (tiles + LANES)
    }
}

impl<T: Element, const N: usize> WithSimd for Outputs<'_, T, N>
where
    Output: Side<N, OUT>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Outputs { layer, block, products, bias, scratch, y } = self;
        let (o, tiles, across) = (layer.out_channels, block.tiles, layer.across());
        let (pixels, width) = (layer.out_height * layer.out_width, layer.out_width);
        let line = OUT * (tiles + LANES);
        for channel in 0..o {
            let shift = bias.map_or(T::zero(), |bias| bias[channel]);
            for first in (0..tiles).step_by(LANES) {
                both_sides::<Output, T, LANES, N, OUT>(
                    #[inline(always)]
                    |i, j| lanes(&products[(i * N + j) * spacing(o, tiles) + channel * tiles + first..]),
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
                    for i in 0..OUT.min(layer.out_height - tile_row * OUT) {
                        let from = &scratch[i * line + start..][..width];
                        copy(&mut plane[(tile_row * OUT + i) * width..], from);
                    }
                }
            }
        }
    }
}
