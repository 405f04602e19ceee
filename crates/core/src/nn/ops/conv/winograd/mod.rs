//! 3 x 3 convolutions at stride 1 with a quarter of the multiplications: F(4 x 4, 3 x 3) of Winograd
//! (Lavin & Gray 2016).
//!
//! A tile of 4 x 4 outputs comes from 6 x 6 inputs d and the kernel g as
//!
//! ```text
//! y = Aᵀ [ Σ_c (G g Gᵀ) ∘ (Bᵀ d B) ] A
//! ```
//!
//! where the sum over channels c is one matrix product for each of the 36 positions. The weight gradient is the
//! adjoint, Gᵀ [ Σ_tiles (A dy Aᵀ) ∘ (Bᵀ d B) ] G; the input gradient is a forward pass with flipped kernels.
//!
//! The transforms interpolate at 0, ±1/√2, ±√2 and ∞ instead of the usual 0, ±1, ±2, ∞: in `f32` the
//! error is then twice that of a plain sum of products, not five times (`docs/src/networks.md`).
//!
//! Cost: 36 / 16 multiplications an output pixel and channel pair, and transforms that grow with c + o, not c·o.

mod kernels;
mod lines;
mod matrices;
#[cfg(test)]
mod tests;
mod tiles;

use super::geometry::Geometry;
use crate::math::gemm::{Mat, multiply, multiply_packed};
use crate::math::kernel::panel_width;
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::{pieces, sum_parts};
use kernels::{KernelGradient, kernels};
use lines::{Gathered, LANES};
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;
use tiles::{Gradients, Inputs, Outputs};

/// Inputs of a tile along one axis, and its outputs.
const IN: usize = 6;
const OUT: usize = 4;
/// Positions of a transformed tile: as many products.
const POSITIONS: usize = IN * IN;
/// Tiles that are transformed and multiplied together.
const TILES: usize = 64;

/// Whether this is the fastest way to this convolution.
pub(in crate::nn::ops::conv) fn suits(g: &Geometry) -> bool {
    let plain = g.kernel == [3, 3] && g.stride == 1 && g.dilation == 1 && g.groups == 1 && g.padding <= 2;
    let tiles = g.out_height.div_ceil(OUT) * g.out_width.div_ceil(OUT);
    // the multiplications that are saved must pay for the transforms and for larger weights
    plain
        && g.in_channels.min(g.out_channels) >= 16
        && 9 * g.out_pixels() >= 2 * POSITIONS * tiles
        && g.images * tiles >= 2 * TILES
}

/// How the outputs are cut into tiles.
#[derive(Clone, Copy)]
struct Tiling {
    /// Tiles across and down one image.
    across: usize,
    down: usize,
}

impl Tiling {
    fn new(g: &Geometry) -> Self {
        Tiling { across: g.out_width.div_ceil(OUT), down: g.out_height.div_ceil(OUT) }
    }

    /// Images whose tiles are taken together: several, or one.
    fn images(self) -> usize {
        (TILES / (self.across * self.down)).max(1)
    }

    /// The blocks of so many images: all rows of tiles, or of one image some after the other.
    fn blocks(self, images: usize) -> impl Iterator<Item = Block> + Clone {
        let rows = if self.images() > 1 { self.down } else { (TILES / self.across).max(1) };
        (0..self.down).step_by(rows).map(move |start| {
            let rows = start..(start + rows).min(self.down);
            Block { images, tiles: images * rows.len() * self.across, rows }
        })
    }
}

/// Some rows of tiles of some images.
struct Block {
    images: usize,
    rows: Range<usize>,
    tiles: usize,
}

impl Block {
    /// Values that gathering tiles of F x F pixels needs.
    fn room<T: Element, const F: usize>(&self, tiling: Tiling) -> usize {
        Gathered::<T, F>::room(self.images, self.rows.len(), tiling.across)
    }
}

/// From one position of a transformed block `[36, channels, tiles]` to the next. Powers of two apart, the 36
/// values of a tile would share one set of the first-level cache.
fn spacing(channels: usize, tiles: usize) -> usize {
    channels * tiles + LANES
}

/// Tiles of a panel: as many as the products read at a time where that is a number of whole vectors, otherwise all.
fn panel_of<T: Element>(tiles: usize) -> usize {
    let wide = panel_width::<T>();
    if wide.is_multiple_of(LANES) { wide } else { tiles }
}

/// y = x * weight (+ bias). x: `[n, c, h, w]`, weight: `[o, c, 3, 3]` (or `[c, o, 3, 3]` when `flipped`, to be
/// transposed and rotated by half a turn), bias: `[o]`.
pub(in crate::nn::ops::conv) fn forward<T: Element>(
    g: &Geometry,
    x: &[T],
    weight: &[T],
    flipped: bool,
    bias: Option<&[T]>,
) -> Vec<T> {
    let (tiling, kernels) = (Tiling::new(g), kernels(g, weight, flipped));
    let (in_image, out_image) = (g.in_image(), g.out_image());
    let (c, o) = (g.in_channels, g.out_channels);
    pieces(g.images * out_image, tiling.images() * out_image, |i, y| {
        let images = y.len() / out_image;
        let x = &x[i * tiling.images() * in_image..][..images * in_image];
        for block in &tiling.blocks(images).collect::<Vec<_>>() {
            let (tiles, panel) = (block.tiles, panel_of::<T>(block.tiles));
            let lines = block.room::<T, IN>(tiling).max(Outputs::<T>::room(tiles));
            let input_spacing = spacing(c, tiles.next_multiple_of(panel));
            let (inputs, outputs) = (POSITIONS * input_spacing, POSITIONS * spacing(o, tiles));
            T::with_scratch(|scratch| {
                scratch.resize(scratch.len().max(lines + inputs + outputs), T::zero());
                let (scratch, rest) = scratch.split_at_mut(lines);
                let (inputs, rest) = rest.split_at_mut(inputs);
                let products = &mut rest[..outputs];
                Arch::new().dispatch(Inputs { g, tiling, block, x, panel, scratch, out: inputs });
                for position in 0..POSITIONS {
                    let kernel = Mat::new(&kernels[position * o * c..], o, c);
                    let input = &inputs[position * input_spacing..];
                    let product = &mut products[position * spacing(o, tiles)..];
                    if panel == tiles {
                        multiply(product, tiles, false, kernel, Mat::new(input, c, tiles));
                    } else {
                        multiply_packed(product, tiles, false, kernel, input, tiles, &[]);
                    }
                }
                Arch::new().dispatch(Outputs { g, tiling, block, products, bias, scratch, y });
            });
        }
    })
}

/// The gradient of the weight. x: `[n, c, h, w]`, dy: `[n, o, oh, ow]`. Returns `[o, c, 3, 3]`.
pub(in crate::nn::ops::conv) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let (tiling, c, o) = (Tiling::new(g), g.in_channels, g.out_channels);
    let mut blocks = Vec::new();
    for first in (0..g.images).step_by(tiling.images()) {
        let images = tiling.images().min(g.images - first);
        blocks.extend(tiling.blocks(images).map(|block| (first, block)));
    }
    let adjoint = Adjoint { g, tiling, x, dy };
    // sums of several chunks of blocks, where these stay in the second-level cache together with a block
    const SMALL: usize = 1 << 12;
    let sums = if o * c <= SMALL { adjoint.by_chunks(&blocks) } else { adjoint.by_positions(&blocks) };
    pieces(o * c * 9, c * 9, |i, out| Arch::new().dispatch(KernelGradient { sums: &sums, o, c, row: i, out }))
}

/// Σ_tiles (A dy Aᵀ) ∘ (Bᵀ d B): `[36, o, c]`. A block comes with its first image.
struct Adjoint<'a, T> {
    g: &'a Geometry,
    tiling: Tiling,
    x: &'a [T],
    dy: &'a [T],
}

impl<T: Element> Adjoint<'_, T> {
    /// Threads share the blocks; each chunk of them has sums of its own.
    fn by_chunks(&self, blocks: &[(usize, Block)]) -> Vec<T> {
        const CHUNKS: usize = 8;
        let size = POSITIONS * self.g.out_channels * self.g.in_channels;
        let chunks = blocks.par_chunks(blocks.len().div_ceil(CHUNKS).max(1));
        let parts: Vec<Vec<T>> = chunks
            .map(|blocks| {
                let mut sums = vec![T::zero(); size];
                T::with_scratch(|place| {
                    place.resize(place.len().max(self.size()), T::zero());
                    for block in blocks {
                        self.transform(block, place);
                        for (position, sums) in sums.chunks_exact_mut(size / POSITIONS).enumerate() {
                            self.add(block, place, position, sums);
                        }
                    }
                });
                sums
            })
            .collect();
        sum_parts(&parts, size)
    }

    /// Blocks are transformed first, then threads share the positions: one set of sums.
    fn by_positions(&self, blocks: &[(usize, Block)]) -> Vec<T> {
        // so many blocks that they stay in the outer caches between the transforms and the products
        const TOGETHER: usize = 1 << 22;
        let (size, of_position) = (self.size(), self.g.out_channels * self.g.in_channels);
        let together = (TOGETHER / size).max(4).min(blocks.len().max(1));
        let mut sums = vec![T::zero(); POSITIONS * of_position];
        T::with_scratch(|places| {
            places.resize(places.len().max(size * together), T::zero());
            for blocks in blocks.chunks(together) {
                let pairs = places.par_chunks_mut(size).zip(blocks);
                pairs.for_each(|(place, block)| self.transform(block, place));
                sums.par_chunks_mut(of_position).enumerate().for_each(|(position, sums)| {
                    for (place, block) in places.chunks(size).zip(blocks) {
                        self.add(block, place, position, sums);
                    }
                });
            }
        });
        sums
    }

    /// Values of a transformed block: inputs, then gradients.
    fn size(&self) -> usize {
        let most = TILES.max(self.tiling.across);
        POSITIONS * (spacing(self.g.in_channels, most) + spacing(self.g.out_channels, most))
    }

    fn transform(&self, (first, block): &(usize, Block), place: &mut [T]) {
        let Adjoint { g, tiling, x, dy } = *self;
        let (inputs, gradients) = place.split_at_mut(POSITIONS * spacing(g.in_channels, block.tiles));
        let x = &x[first * g.in_image()..][..block.images * g.in_image()];
        let dy = &dy[first * g.out_image()..][..block.images * g.out_image()];
        T::with_scratch(|scratch| {
            let room = block.room::<T, IN>(tiling).max(block.room::<T, OUT>(tiling));
            scratch.resize(scratch.len().max(room), T::zero());
            Arch::new().dispatch(Inputs { g, tiling, block, x, panel: block.tiles, scratch, out: inputs });
            Arch::new().dispatch(Gradients { g, tiling, block, dy, scratch, out: gradients });
        });
    }

    /// Adds a block's products of one position.
    fn add(&self, (_, block): &(usize, Block), place: &[T], position: usize, sums: &mut [T]) {
        let (c, o, tiles) = (self.g.in_channels, self.g.out_channels, block.tiles);
        let (inputs, gradients) = place.split_at(POSITIONS * spacing(c, tiles));
        let input = Mat::new(&inputs[position * spacing(c, tiles)..], c, tiles);
        let gradient = Mat::new(&gradients[position * spacing(o, tiles)..], o, tiles);
        multiply(sums, c, true, gradient, input.t());
    }
}
