//! Convolutions at stride 1 with fewer multiplications: F(4 x 4, K x K) of Winograd (Lavin & Gray 2016), for kernels of
//! 3 x 3 a quarter of them, for kernels of 2 x 2 (what one of stride 2 is made of, see [`phases`](super::phases)) two fifths.
//!
//! A tile of 4 x 4 outputs comes from N x N inputs d, N = K + 3, and the kernel g as
//!
//! ```text
//! y = Aᵀ [ Σ_c (G g Gᵀ) ∘ (Bᵀ d B) ] A
//! ```
//!
//! where the sum over channels c is one matrix product for each of the N² positions. The weight gradient is the
//! adjoint, Gᵀ [ Σ_tiles (A dy Aᵀ) ∘ (Bᵀ d B) ] G; the input gradient is a forward pass with flipped kernels.
//!
//! The transforms interpolate at points close to 1 instead of the usual integers: in `f32` the error is then
//! twice that of a plain sum of products, not five times (`docs/src/networks.md`).
//!
//! Cost: N² / 16 multiplications an output pixel and channel pair, and transforms that grow with c + o, not c·o.

mod kernels;
mod lines;
mod matrices;
#[cfg(test)]
mod tests;
mod tiles;

use super::geometry::Geometry;
use crate::math::gemm::{Mat, multiply};
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::pieces;
use kernels::KernelGradient;
pub(super) use kernels::kernels;
use lines::{Gathered, LANES};
use matrices::{Gradient, Input, KernelSums, Output, Side};
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;
use tiles::{Gradients, Inputs, Outputs};

/// Outputs of a tile along one axis.
const OUT: usize = 4;
/// Tiles that are transformed and multiplied together.
const TILES: usize = 64;

/// Whether this is the fastest way to this convolution of 3 x 3.
pub(super) fn suits(g: &Geometry) -> bool {
    let plain = g.kernel == [3, 3] && g.stride == 1 && g.dilation == 1 && g.groups == 1 && g.padding <= 2;
    plain && Layer::from(g).pays(9, 6 * 6)
}

/// A convolution at stride 1 whose right and lower padding are whatever its outputs reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    pub(super) images: usize,
    pub(super) in_channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) out_channels: usize,
    pub(super) out_height: usize,
    pub(super) out_width: usize,
    /// Zeros above and to the left.
    pub(super) padding: [usize; 2],
}

impl From<&Geometry> for Layer {
    fn from(g: &Geometry) -> Self {
        Layer {
            images: g.images,
            in_channels: g.in_channels,
            height: g.height,
            width: g.width,
            out_channels: g.out_channels,
            out_height: g.out_height,
            out_width: g.out_width,
            padding: [g.padding; 2],
        }
    }
}

impl Layer {
    /// Whether the multiplications that are saved pay for the transforms and for larger weights: of `plain` for each
    /// output pixel and pair of channels, where a tile has `positions`.
    pub(super) fn pays(&self, plain: usize, positions: usize) -> bool {
        let tiles = self.across() * self.down();
        self.in_channels.min(self.out_channels) >= 16
            && plain * self.out_height * self.out_width >= 2 * positions * tiles
            && self.images * tiles >= 2 * TILES
    }

    fn across(&self) -> usize {
        self.out_width.div_ceil(OUT)
    }

    fn down(&self) -> usize {
        self.out_height.div_ceil(OUT)
    }

    fn in_image(&self) -> usize {
        self.in_channels * self.height * self.width
    }

    fn out_image(&self) -> usize {
        self.out_channels * self.out_height * self.out_width
    }

    /// Images whose tiles are taken together: several, or one.
    fn together(&self) -> usize {
        (TILES / (self.across() * self.down())).max(1)
    }

    /// The blocks of so many images: all rows of tiles, or of one image some after the other.
    fn blocks(&self, images: usize) -> impl Iterator<Item = Block> + Clone {
        let (across, down) = (self.across(), self.down());
        let rows = if self.together() > 1 { down } else { (TILES / across).max(1) };
        (0..down).step_by(rows).map(move |start| {
            let rows = start..(start + rows).min(down);
            Block { images, tiles: images * rows.len() * across, rows }
        })
    }

    /// The most tiles of a block.
    fn most(&self) -> usize {
        TILES.max(self.across())
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
    fn room<T: Element, const F: usize>(&self, layer: &Layer) -> usize {
        Gathered::<T, F>::room(self.images, self.rows.len(), layer.across())
    }
}

/// From one position of a transformed block `[N², channels, tiles]` to the next. Powers of two apart, the
/// values of a tile would share one set of the first-level cache.
fn spacing(channels: usize, tiles: usize) -> usize {
    channels * tiles + LANES
}

/// y = x * weight (+ bias). x: `[n, c, h, w]`, kernels: `[N², o, c]` from [`kernels`], bias: `[o]`.
pub(super) fn forward<T: Element, const N: usize>(
    layer: &Layer,
    x: &[T],
    kernels: &[T],
    bias: Option<&[T]>,
) -> Vec<T>
where
    Input: Side<N, N>,
    Output: Side<N, OUT>,
{
    let (in_image, out_image) = (layer.in_image(), layer.out_image());
    let (c, o) = (layer.in_channels, layer.out_channels);
    pieces(layer.images * out_image, layer.together() * out_image, |i, y| {
        let images = y.len() / out_image;
        let x = &x[i * layer.together() * in_image..][..images * in_image];
        T::with_scratch(|scratch| {
            for block in &layer.blocks(images).collect::<Vec<_>>() {
                let tiles = block.tiles;
                let lines = block.room::<T, N>(layer).max(Outputs::<T, N>::room(tiles));
                let (inputs, outputs) = (N * N * spacing(c, tiles), N * N * spacing(o, tiles));
                scratch.resize(scratch.len().max(lines + inputs + outputs), T::zero());
                let (lines, rest) = scratch.split_at_mut(lines);
                let (inputs, rest) = rest.split_at_mut(inputs);
                let outputs = &mut rest[..outputs];
                Arch::new().dispatch(Inputs::<T, N> { layer, block, x, scratch: lines, out: inputs });
                for position in 0..N * N {
                    let kernel = Mat::new(&kernels[position * o * c..], o, c);
                    let input = Mat::new(&inputs[position * spacing(c, tiles)..], c, tiles);
                    multiply(&mut outputs[position * spacing(o, tiles)..], tiles, false, kernel, input);
                }
                Arch::new().dispatch(Outputs::<T, N> {
                    layer,
                    block,
                    products: outputs,
                    bias,
                    scratch: lines,
                    y,
                });
            }
        });
    })
}

/// The gradient of the weight. x: `[n, c, h, w]`, dy: `[n, o, oh, ow]`. Returns `[o, c, K, K]`.
pub(super) fn weight_gradient<T: Element, const N: usize, const K: usize>(
    layer: &Layer,
    x: &[T],
    dy: &[T],
) -> Vec<T>
where
    Input: Side<N, N>,
    Gradient: Side<OUT, N>,
    KernelSums: Side<N, K>,
{
    let (in_image, out_image) = (layer.in_image(), layer.out_image());
    let (c, o) = (layer.in_channels, layer.out_channels);
    let mut blocks = Vec::new();
    for first in (0..layer.images).step_by(layer.together()) {
        let images = layer.together().min(layer.images - first);
        blocks.extend(layer.blocks(images).map(|block| (first, block)));
    }
    let size = N * N * (spacing(c, layer.most()) + spacing(o, layer.most()));
    // so many that they stay in the outer caches between the transforms and the products
    const TOGETHER: usize = 1 << 22;
    let together = (TOGETHER / size).max(4).min(blocks.len());
    let mut sums = vec![T::zero(); N * N * o * c];
    T::with_scratch(|transformed| {
        transformed.resize(transformed.len().max(size * together), T::zero());
        for blocks in blocks.chunks(together.max(1)) {
            let places = transformed.par_chunks_mut(size).zip(blocks);
            places.for_each(|(place, (first, block))| {
                let (inputs, gradients) = place.split_at_mut(N * N * spacing(c, block.tiles));
                let x = &x[first * in_image..][..block.images * in_image];
                let dy = &dy[first * out_image..][..block.images * out_image];
                T::with_scratch(|lines| {
                    let room = block.room::<T, N>(layer).max(block.room::<T, OUT>(layer));
                    lines.resize(lines.len().max(room), T::zero());
                    Arch::new().dispatch(Inputs::<T, N> { layer, block, x, scratch: lines, out: inputs });
                    Arch::new().dispatch(Gradients::<T, N> {
                        layer,
                        block,
                        dy,
                        scratch: lines,
                        out: gradients,
                    });
                });
            });
            sums.par_chunks_mut((o * c).max(1)).enumerate().for_each(|(position, sums)| {
                for (place, (_, Block { tiles, .. })) in transformed.chunks(size).zip(blocks) {
                    let (inputs, gradients) = place.split_at(N * N * spacing(c, *tiles));
                    let input = Mat::new(&inputs[position * spacing(c, *tiles)..], c, *tiles);
                    let gradient = Mat::new(&gradients[position * spacing(o, *tiles)..], o, *tiles);
                    multiply(sums, c, true, gradient, input.t());
                }
            });
        }
    });
    pieces(o * c * K * K, c * K * K, |i, out| {
        Arch::new().dispatch(KernelGradient::<T, N, K> { sums: &sums, o, c, row: i, out });
    })
}
