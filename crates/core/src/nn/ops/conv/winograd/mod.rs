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
mod matrices;
mod planes;
#[cfg(test)]
mod tests;
mod tiles;

use super::geometry::Geometry;
use crate::math::gemm::{Mat, multiply};
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::pieces;
use kernels::{KernelGradient, kernels};
use planes::Planes;
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

    fn an_image(self) -> usize {
        self.across * self.down
    }

    /// Whole images of a block.
    fn images(self) -> usize {
        (TILES / self.an_image()).max(1)
    }

    /// The rows of tiles of each block of one image (all, where a block is several images).
    fn rows(self) -> impl Iterator<Item = Range<usize>> + Clone {
        let rows = if self.images() > 1 { self.down } else { (TILES / self.across).max(1) };
        (0..self.down).step_by(rows).map(move |start| start..(start + rows).min(self.down))
    }
}

/// Tiles in a vector, at most: rows of tiles are transformed eight or sixteen at a time, and what goes beyond the
/// end of a row is written over by the next.
const SLACK: usize = 16;

/// From one position of a transformed block `[36, channels, tiles]` to the next. Powers of two apart, the 36
/// values of a tile would share one set of the first-level cache.
fn spacing(channels: usize, tiles: usize) -> usize {
    channels * tiles + SLACK
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
    let tiling = Tiling::new(g);
    let kernels = kernels(g, weight, flipped);
    let (in_image, out_image) = (g.in_image(), g.out_image());
    let (c, o) = (g.in_channels, g.out_channels);
    pieces(g.images * out_image, tiling.images() * out_image, |i, y| {
        let x = &x[i * tiling.images() * in_image..][..y.len() / out_image * in_image];
        T::with_scratch(|scratch| {
            for rows in tiling.rows() {
                let tiles = y.len() / out_image * rows.len() * tiling.across;
                let planes = Planes::<T>::size(tiling.across + 1, OUT * (rows.len() + 1));
                let (inputs, outputs) = (POSITIONS * spacing(c, tiles), POSITIONS * spacing(o, tiles));
                scratch.resize(scratch.len().max(planes + inputs + outputs), T::zero());
                let (planes, rest) = scratch.split_at_mut(planes);
                let (inputs, rest) = rest.split_at_mut(inputs);
                let outputs = &mut rest[..outputs];
                Arch::new().dispatch(Inputs { g, tiling, x, rows: rows.clone(), tiles, planes, out: inputs });
                for position in 0..POSITIONS {
                    let kernel = Mat::new(&kernels[position * o * c..], o, c);
                    let input = Mat::new(&inputs[position * spacing(c, tiles)..], c, tiles);
                    multiply(&mut outputs[position * spacing(o, tiles)..], tiles, false, kernel, input);
                }
                Arch::new().dispatch(Outputs { g, tiling, products: outputs, rows, tiles, bias, y });
            }
        });
    })
}

/// The gradient of the weight. x: `[n, c, h, w]`, dy: `[n, o, oh, ow]`. Returns `[o, c, 3, 3]`.
pub(in crate::nn::ops::conv) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let tiling = Tiling::new(g);
    let (in_image, out_image) = (g.in_image(), g.out_image());
    let (c, o) = (g.in_channels, g.out_channels);
    // a block: the transformed inputs and gradients of some rows of tiles of one image, or of some images
    let mut blocks = Vec::new();
    for first in (0..g.images).step_by(tiling.images()) {
        let images = tiling.images().min(g.images - first);
        blocks.extend(tiling.rows().map(|rows| (first, images, rows)));
    }
    let most = TILES.max(tiling.across);
    let size = POSITIONS * (spacing(c, most) + spacing(o, most));
    // so many that they stay in the outer caches between the transforms and the products
    const TOGETHER: usize = 1 << 22;
    let together = (TOGETHER / size).max(4);
    let mut transformed = vec![T::zero(); size * together.min(blocks.len())];
    let mut sums = vec![T::zero(); POSITIONS * o * c];
    for blocks in blocks.chunks(together) {
        let places = transformed.par_chunks_mut(size).zip(blocks);
        places.for_each(|(place, (first, images, rows))| {
            let tiles = images * rows.len() * tiling.across;
            let (inputs, gradients) = place.split_at_mut(POSITIONS * spacing(c, tiles));
            let x = &x[first * in_image..][..images * in_image];
            let dy = &dy[first * out_image..][..images * out_image];
            T::with_scratch(|planes| {
                let size = Planes::<T>::size(tiling.across + 1, OUT * (rows.len() + 1));
                planes.resize(planes.len().max(size), T::zero());
                Arch::new().dispatch(Inputs { g, tiling, x, rows: rows.clone(), tiles, planes, out: inputs });
                Arch::new().dispatch(Gradients {
                    g,
                    tiling,
                    dy,
                    rows: rows.clone(),
                    tiles,
                    planes,
                    out: gradients,
                });
            });
        });
        sums.par_chunks_mut(o * c).enumerate().for_each(|(position, sums)| {
            for (place, (_, images, rows)) in transformed.chunks(size).zip(blocks) {
                let tiles = images * rows.len() * tiling.across;
                let (inputs, gradients) = place.split_at(POSITIONS * spacing(c, tiles));
                let input = Mat::new(&inputs[position * spacing(c, tiles)..], c, tiles);
                let gradient = Mat::new(&gradients[position * spacing(o, tiles)..], o, tiles);
                multiply(sums, c, true, gradient, input.t());
            }
        });
    }
    pieces(o * c * 9, c * 9, |i, out| Arch::new().dispatch(KernelGradient { sums: &sums, o, c, row: i, out }))
}
