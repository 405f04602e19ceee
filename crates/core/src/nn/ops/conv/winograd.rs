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
//! error is then twice that of a plain sum of products, not five times (`docs/src/performance.md`).
//!
//! Cost: 36 / 16 multiplications an output pixel and channel pair, and transforms that grow with c + o, not c·o.

use super::geometry::Geometry;
use crate::Float;
use crate::math::gemm::{Mat, multiply};
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::pieces;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Inputs of a tile along one axis, and its outputs.
const IN: usize = 6;
const OUT: usize = 4;
/// Positions of a transformed tile: as many products.
const POSITIONS: usize = IN * IN;
/// Tiles that are transformed and multiplied together.
const TILES: usize = 64;

/// Whether this is the fastest way to this convolution.
pub(super) fn suits(g: &Geometry) -> bool {
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
pub(super) fn forward<T: Element>(
    g: &Geometry,
    x: &[T],
    weight: &[T],
    flipped: bool,
    bias: Option<&[T]>,
) -> Vec<T> {
    let tiling = Tiling::new(g);
    let kernels = kernels(g, weight, flipped);
    let (in_image, out_image) = (g.in_channels * g.in_pixels(), g.out_channels * g.out_pixels());
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
pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let tiling = Tiling::new(g);
    let (in_image, out_image) = (g.in_channels * g.in_pixels(), g.out_channels * g.out_pixels());
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

/// The powers of the points ±a and ±b, and the scales of G.
struct Points;

impl Points {
    const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const B: f64 = std::f64::consts::SQRT_2;
    const A2: f64 = 0.5;
    const B2: f64 = 2.0;
    const A3: f64 = 0.5 * Self::A;
    const B3: f64 = 2.0 * Self::B;
    /// 1 / (2a²(a² − b²)) and 1 / (2b²(b² − a²)); 1 / (a²b²) is 1.
    const SCALE_A: f64 = -2.0 / 3.0;
    const SCALE_B: f64 = 1.0 / 6.0;
}

/// Some tiles' values at one position.
type Lanes<T, const L: usize> = [T; L];

/// One of the matrices: N rows to M.
trait Side<const N: usize, const M: usize> {
    fn apply<T: Float, const L: usize>(from: [&Lanes<T, L>; N], out: &mut [Lanes<T, L>; M]);
}

/// Bᵀ d for six rows.
struct Input;

impl Side<IN, IN> for Input {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(d: [&Lanes<T, L>; IN], out: &mut [Lanes<T, L>; IN]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let middle = T::of(Points::A2 + Points::B2);
        for l in 0..L {
            let [d0, d1, d2, d3, d4, d5] = [d[0][l], d[1][l], d[2][l], d[3][l], d[4][l], d[5][l]];
            let (even_a, odd_a) = (d4 - b2 * d2, a * (d3 - b2 * d1));
            let (even_b, odd_b) = (d4 - a2 * d2, b * (d3 - a2 * d1));
            out[0][l] = d0 - middle * d2 + d4;
            out[1][l] = even_a + odd_a;
            out[2][l] = even_a - odd_a;
            out[3][l] = even_b + odd_b;
            out[4][l] = even_b - odd_b;
            out[5][l] = d1 - middle * d3 + d5;
        }
    }
}

/// Aᵀ m: six rows to four.
struct Output;

impl Side<IN, OUT> for Output {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(m: [&Lanes<T, L>; IN], out: &mut [Lanes<T, L>; OUT]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let (a3, b3) = (T::of(Points::A3), T::of(Points::B3));
        for l in 0..L {
            let (even_a, odd_a) = (m[1][l] + m[2][l], m[1][l] - m[2][l]);
            let (even_b, odd_b) = (m[3][l] + m[4][l], m[3][l] - m[4][l]);
            out[0][l] = m[0][l] + even_a + even_b;
            out[1][l] = a * odd_a + b * odd_b;
            out[2][l] = a2 * even_a + b2 * even_b;
            out[3][l] = a3 * odd_a + b3 * odd_b + m[5][l];
        }
    }
}

/// A dy: four rows to six.
struct Gradient;

impl Side<OUT, IN> for Gradient {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(dy: [&Lanes<T, L>; OUT], out: &mut [Lanes<T, L>; IN]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let (a3, b3) = (T::of(Points::A3), T::of(Points::B3));
        for l in 0..L {
            let [y0, y1, y2, y3] = [dy[0][l], dy[1][l], dy[2][l], dy[3][l]];
            let (even_a, odd_a) = (y0 + a2 * y2, a * y1 + a3 * y3);
            let (even_b, odd_b) = (y0 + b2 * y2, b * y1 + b3 * y3);
            out[0][l] = y0;
            out[1][l] = even_a + odd_a;
            out[2][l] = even_a - odd_a;
            out[3][l] = even_b + odd_b;
            out[4][l] = even_b - odd_b;
            out[5][l] = y3;
        }
    }
}

/// G g: three rows to six.
struct Kernel;

impl Side<3, IN> for Kernel {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(g: [&Lanes<T, L>; 3], out: &mut [Lanes<T, L>; IN]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let (scale_a, scale_b) = (T::of(Points::SCALE_A), T::of(Points::SCALE_B));
        for l in 0..L {
            let [g0, g1, g2] = [g[0][l], g[1][l], g[2][l]];
            let (even_a, odd_a) = (scale_a * (g0 + a2 * g2), scale_a * a * g1);
            let (even_b, odd_b) = (scale_b * (g0 + b2 * g2), scale_b * b * g1);
            out[0][l] = g0;
            out[1][l] = even_a + odd_a;
            out[2][l] = even_a - odd_a;
            out[3][l] = even_b + odd_b;
            out[4][l] = even_b - odd_b;
            out[5][l] = g2;
        }
    }
}

/// Gᵀ u: six rows to three.
struct KernelSums;

impl Side<IN, 3> for KernelSums {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(u: [&Lanes<T, L>; IN], out: &mut [Lanes<T, L>; 3]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let (scale_a, scale_b) = (T::of(Points::SCALE_A), T::of(Points::SCALE_B));
        for l in 0..L {
            let (even_a, odd_a) = (scale_a * (u[1][l] + u[2][l]), scale_a * a * (u[1][l] - u[2][l]));
            let (even_b, odd_b) = (scale_b * (u[3][l] + u[4][l]), scale_b * b * (u[3][l] - u[4][l]));
            out[0][l] = u[0][l] + even_a + even_b;
            out[1][l] = odd_a + odd_b;
            out[2][l] = a2 * even_a + b2 * even_b + u[5][l];
        }
    }
}

/// Applies a transform to both sides of the N x N values that `load` gives by row and column, and hands each row of
/// the result to `store`.
#[inline(always)]
fn both_sides<'a, R: Side<N, M>, T: Float, const L: usize, const N: usize, const M: usize>(
    load: impl Fn(usize, usize) -> &'a Lanes<T, L>,
    mut store: impl FnMut(usize, &[Lanes<T, L>; M]),
) {
    // after the first side: [column][transformed row]
    let mut half = [[[T::zero(); L]; M]; N];
    for (column, half) in half.iter_mut().enumerate() {
        R::apply(
            std::array::from_fn(
                #[inline(always)]
                |row| load(row, column),
            ),
            half,
        );
    }
    #[allow(clippy::needless_range_loop, reason = "a row of what is stored by columns")]
    for row in 0..M {
        let mut out = [[T::zero(); L]; M];
        R::apply(
            std::array::from_fn(
                #[inline(always)]
                |column| &half[column][row],
            ),
            &mut out,
        );
        store(row, &out);
    }
}

/// The first L values.
#[inline(always)]
fn lanes<T, const L: usize>(from: &[T]) -> &Lanes<T, L> {
    match from.first_chunk() {
        Some(lanes) => lanes,
        None => unreachable!("planes and products have room for whole vectors"),
    }
}

/// G g Gᵀ of every kernel: `[36, o, c]`.
fn kernels<T: Element>(g: &Geometry, weight: &[T], flipped: bool) -> Vec<T> {
    let (c, o) = (g.in_channels, g.out_channels);
    let mut by_output = vec![T::zero(); POSITIONS * o * c];
    // [o, 36, c] first, one thread an output; the products want [36, o, c]
    let rows = pieces(o * POSITIONS * c, POSITIONS * c, |row, out| {
        Arch::new().dispatch(Kernels { weight, flipped, o, c, row, out });
    });
    by_output.par_chunks_mut(o * c).enumerate().for_each(|(position, out)| {
        for (row, out) in out.chunks_exact_mut(c).enumerate() {
            out.copy_from_slice(&rows[(row * POSITIONS + position) * c..][..c]);
        }
    });
    by_output
}

struct Kernels<'a, T> {
    weight: &'a [T],
    flipped: bool,
    o: usize,
    c: usize,
    row: usize,
    /// `[36, c]`
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Kernels<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        const L: usize = 16;
        for first in (0..self.c).step_by(L) {
            let count = L.min(self.c - first);
            let mut values = [[[T::zero(); L]; 3]; 3];
            for (lane, channel) in (first..first + count).enumerate() {
                let at = if self.flipped { channel * self.o + self.row } else { self.row * self.c + channel };
                for (tap, &value) in self.weight[at * 9..][..9].iter().enumerate() {
                    let tap = if self.flipped { 8 - tap } else { tap };
                    values[tap / 3][tap % 3][lane] = value;
                }
            }
            both_sides::<Kernel, T, L, 3, IN>(
                #[inline(always)]
                |i, j| &values[i][j],
                #[inline(always)]
                |i, row| {
                    for (j, lanes) in row.iter().enumerate() {
                        self.out[(i * IN + j) * self.c + first..][..count].copy_from_slice(&lanes[..count]);
                    }
                },
            );
        }
    }
}

/// Gᵀ u G of the sums of one output: `[c, 3, 3]`.
struct KernelGradient<'a, T> {
    /// `[36, o, c]`
    sums: &'a [T],
    o: usize,
    c: usize,
    row: usize,
    out: &'a mut [T],
}

impl<T: Element> WithSimd for KernelGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        const L: usize = 16;
        for first in (0..self.c).step_by(L) {
            let count = L.min(self.c - first);
            let mut values = [[[T::zero(); L]; IN]; IN];
            for (position, lanes) in values.as_flattened_mut().iter_mut().enumerate() {
                let from = &self.sums[(position * self.o + self.row) * self.c + first..][..count];
                lanes[..count].copy_from_slice(from);
            }
            let mut gradient = [[[T::zero(); L]; 3]; 3];
            both_sides::<KernelSums, T, L, IN, 3>(
                #[inline(always)]
                |i, j| &values[i][j],
                #[inline(always)]
                |i, row| gradient[i] = *row,
            );
            for (lane, out) in self.out[first * 9..].chunks_exact_mut(9).take(count).enumerate() {
                for (tap, out) in out.iter_mut().enumerate() {
                    *out = gradient[tap / 3][tap % 3][lane];
                }
            }
        }
    }
}

/// Bᵀ d B of the tiles of some rows: `[36, c, tiles]`.
struct Inputs<'a, T> {
    g: &'a Geometry,
    tiling: Tiling,
    /// The block's images `[images, c, h, w]`.
    x: &'a [T],
    rows: Range<usize>,
    tiles: usize,
    planes: &'a mut [T],
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Inputs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if self.tiling.across <= 8 { self.run::<8>() } else { self.run::<16>() }
    }
}

impl<T: Element> Inputs<'_, T> {
    #[inline(always)]
    fn run<const L: usize>(self) {
        let Inputs { g, tiling, x, rows, tiles, planes, out } = self;
        let c = g.in_channels;
        let mut planes = Planes::new(planes, tiling.across + 1);
        let images = x.len() / (c * g.in_pixels());
        for channel in 0..c {
            for image in 0..images {
                let plane = &x[(image * c + channel) * g.in_pixels()..][..g.in_pixels()];
                for line in 0..4 * rows.len() + 2 {
                    let y = (rows.start * OUT + line).checked_sub(g.padding).filter(|&y| y < g.height);
                    planes.fill(line, y.map(|y| &plane[y * g.width..][..g.width]), g.padding);
                }
                for row in 0..rows.len() {
                    let start = (image * rows.len() + row) * tiling.across;
                    for first in (0..tiling.across).step_by(L) {
                        let (wanted, room) = (tiling.across - first, start + first + L <= tiles);
                        both_sides::<Input, T, L, IN, IN>(
                            #[inline(always)]
                            |i, j| lanes(planes.tiles(row * OUT + i, j, first)),
                            #[inline(always)]
                            |i, row| {
                                for (j, lanes) in row.iter().enumerate() {
                                    let at =
                                        (i * IN + j) * spacing(c, tiles) + channel * tiles + start + first;
                                    store(&mut out[at..], lanes, wanted, room);
                                }
                            },
                        );
                    }
                }
            }
        }
    }
}

/// Writes the lanes; those beyond `wanted` too when `room`: the next row of tiles writes over them.
#[inline(always)]
fn store<T: Float, const L: usize>(out: &mut [T], lanes: &Lanes<T, L>, wanted: usize, room: bool) {
    if room {
        out[..L].copy_from_slice(lanes);
    } else {
        let wanted = wanted.min(L);
        out[..wanted].copy_from_slice(&lanes[..wanted]);
    }
}

/// Lines of an image taken apart so that neighbouring tiles lie side by side: column 4t + k is number t of part k.
struct Planes<'a, T> {
    values: &'a mut [T],
    width: usize,
    stride: usize,
}

impl<'a, T: Element> Planes<'a, T> {
    /// Values that so many lines of so many tiles need.
    fn size(width: usize, lines: usize) -> usize {
        lines * 4 * (width + SLACK)
    }

    #[inline(always)]
    fn new(values: &'a mut [T], width: usize) -> Self {
        Planes { values, width, stride: width + SLACK }
    }

    /// The line with `padding` zeros before it and zeros after it, or only zeros.
    #[inline(always)]
    fn fill(&mut self, line: usize, from: Option<&[T]>, padding: usize) {
        let stride = self.stride;
        let parts = &mut self.values[line * 4 * stride..][..4 * stride];
        let Some(from) = from else { return parts.iter_mut().for_each(|v| *v = T::zero()) };
        let columns = 4 * self.width;
        let from = &from[..from.len().min(columns - padding)];
        let (whole, rest) = from.as_chunks();
        for (i, fours) in whole.iter().enumerate() {
            take_apart(fours, parts, stride, padding + 4 * FOURS * i);
        }
        if !rest.is_empty() {
            let mut fours = [T::zero(); 4 * FOURS];
            fours.iter_mut().zip(rest).for_each(|(to, &from)| *to = from);
            take_apart(&fours, parts, stride, padding + 4 * FOURS * whole.len());
        }
        for column in (0..padding).chain(padding + from.len()..columns) {
            parts[column % 4 * stride + column / 4] = T::zero();
        }
    }

    /// Column j of the tiles from `first` on.
    #[inline(always)]
    fn tiles(&self, line: usize, j: usize, first: usize) -> &[T] {
        &self.values[(line * 4 + j % 4) * self.stride + first + j / 4..]
    }
}

/// Fours of columns that are taken apart at a time.
const FOURS: usize = 8;

/// Writes the value r of each four to part (r + column) mod 4, from its number (r + column) / 4 on.
#[inline(always)]
fn take_apart<T: Element>(fours: &[T; 4 * FOURS], parts: &mut [T], stride: usize, column: usize) {
    for r in 0..4 {
        let mut part = [T::zero(); FOURS];
        for (part, four) in part.iter_mut().zip(fours.chunks_exact(4)) {
            *part = four[r];
        }
        let at = (r + column) % 4 * stride + (r + column) / 4;
        parts[at..at + FOURS].copy_from_slice(&part);
    }
}

/// A dy Aᵀ of the tiles of some rows: `[36, o, tiles]`.
struct Gradients<'a, T> {
    g: &'a Geometry,
    tiling: Tiling,
    /// The block's images `[images, o, oh, ow]`.
    dy: &'a [T],
    rows: Range<usize>,
    tiles: usize,
    planes: &'a mut [T],
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Gradients<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if self.tiling.across <= 8 { self.run::<8>() } else { self.run::<16>() }
    }
}

impl<T: Element> Gradients<'_, T> {
    #[inline(always)]
    fn run<const L: usize>(self) {
        let Gradients { g, tiling, dy, rows, tiles, planes, out } = self;
        let o = g.out_channels;
        let mut planes = Planes::new(planes, tiling.across);
        let images = dy.len() / (o * g.out_pixels());
        for channel in 0..o {
            for image in 0..images {
                let plane = &dy[(image * o + channel) * g.out_pixels()..][..g.out_pixels()];
                for (row, tile_row) in rows.clone().enumerate() {
                    for line in 0..OUT {
                        let y = Some(tile_row * OUT + line).filter(|&y| y < g.out_height);
                        planes.fill(line, y.map(|y| &plane[y * g.out_width..][..g.out_width]), 0);
                    }
                    let start = (image * rows.len() + row) * tiling.across;
                    for first in (0..tiling.across).step_by(L) {
                        let (wanted, room) = (tiling.across - first, start + first + L <= tiles);
                        both_sides::<Gradient, T, L, OUT, IN>(
                            #[inline(always)]
                            |i, j| lanes(planes.tiles(i, j, first)),
                            #[inline(always)]
                            |i, row| {
                                for (j, lanes) in row.iter().enumerate() {
                                    let at =
                                        (i * IN + j) * spacing(o, tiles) + channel * tiles + start + first;
                                    store(&mut out[at..], lanes, wanted, room);
                                }
                            },
                        );
                    }
                }
            }
        }
    }
}

/// Aᵀ m A of the products of some rows of tiles, plus the bias, into the images.
struct Outputs<'a, T> {
    g: &'a Geometry,
    tiling: Tiling,
    /// `[36, o, tiles]`
    products: &'a [T],
    rows: Range<usize>,
    tiles: usize,
    bias: Option<&'a [T]>,
    /// The block's images `[images, o, oh, ow]`.
    y: &'a mut [T],
}

impl<T: Element> WithSimd for Outputs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if self.tiling.across <= 8 { self.run::<8>() } else { self.run::<16>() }
    }
}

impl<T: Element> Outputs<'_, T> {
    #[inline(always)]
    fn run<const L: usize>(self) {
        let Outputs { g, tiling, products, rows, tiles, bias, y } = self;
        let o = g.out_channels;
        let mut line = [T::zero(); 4 * SLACK];
        for (plane, y) in y.chunks_exact_mut(g.out_pixels()).enumerate() {
            let (image, channel) = (plane / o, plane % o);
            let shift = bias.map_or(T::zero(), |bias| bias[channel]);
            for (row, tile_row) in rows.clone().enumerate() {
                let start = (image * rows.len() + row) * tiling.across;
                for first in (0..tiling.across).step_by(L) {
                    let x = first * OUT;
                    let width = (L * OUT).min(g.out_width - x);
                    both_sides::<Output, T, L, IN, OUT>(
                        #[inline(always)]
                        |i, j| {
                            lanes(
                                &products
                                    [(i * IN + j) * spacing(o, tiles) + channel * tiles + start + first..],
                            )
                        },
                        #[inline(always)]
                        |i, [c0, c1, c2, c3]| {
                            let line_number = tile_row * OUT + i;
                            if line_number >= g.out_height {
                                return;
                            }
                            let line = &mut line[..4 * L];
                            for (l, line) in line.chunks_exact_mut(4).enumerate() {
                                line[0] = c0[l] + shift;
                                line[1] = c1[l] + shift;
                                line[2] = c2[l] + shift;
                                line[3] = c3[l] + shift;
                            }
                            let y = &mut y[line_number * g.out_width + x..];
                            if tiling.across <= L && y.len() >= 4 * L {
                                // what is beyond the end of the line, the next line writes over
                                y[..4 * L].copy_from_slice(line);
                            } else {
                                y[..width].copy_from_slice(&line[..width]);
                            }
                        },
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::conv::ConvOptions;
    use crate::{Error, Result, Seed};

    fn geometry(x: [usize; 4], outputs: usize, padding: usize) -> Result<Geometry> {
        Geometry::of_forward(&x, &[outputs, x[1], 3, 3], ConvOptions::new().padding(padding))
    }

    /// Calls f with the places of output, input and kernel of every product of the definition.
    fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
        let (c, o) = (g.in_channels, g.out_channels);
        for y in 0..g.images * o * g.out_pixels() {
            let (plane, i, j) = (y / g.out_pixels(), y / g.out_width % g.out_height, y % g.out_width);
            for tap in 0..c * 9 {
                let (row, column) = (i + tap / 3 % 3, j + tap % 3);
                let inside = (g.padding..g.height + g.padding).contains(&row)
                    && (g.padding..g.width + g.padding).contains(&column);
                if inside {
                    let x = (plane / o * c + tap / 9) * g.in_pixels();
                    let x = x + (row - g.padding) * g.width + column - g.padding;
                    f(y, x, plane % o * c * 9 + tap);
                }
            }
        }
    }

    fn distance<T: Element>(found: &[T], expected: &[f64]) -> f64 {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).map(|(a, b)| (a.f64() - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn all_three_agree_with_the_definition() -> Result<()> {
        for (x, o, padding) in [
            ([1, 1, 4, 4], 1, 1),
            ([2, 3, 5, 7], 4, 1),
            ([1, 2, 9, 6], 3, 0),
            ([2, 2, 3, 5], 2, 2),
            ([70, 2, 4, 3], 3, 1),  // many images to a block, and a remainder
            ([3, 17, 8, 8], 18, 1), // more channels than lanes
            ([1, 1, 37, 41], 2, 1), // several blocks of one image
            ([2, 1, 5, 70], 1, 1),  // rows longer than a vector
            ([1, 1, 6, 290], 1, 2), // and than a block
        ] {
            let g = geometry(x, o, padding)?;
            let (x, dy) = (
                Seed::new(1).normals(g.in_shape().iter().product()),
                Seed::new(2).normals(g.out_shape().iter().product()),
            );
            let (weight, bias) = (Seed::new(3).normals(o * g.in_channels * 9), Seed::new(4).normals(o));
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; weight.len()]);
            products(&g, |out, from, tap| {
                y[out] += x[from] * weight[tap];
                dx[from] += dy[out] * weight[tap];
                dw[tap] += dy[out] * x[from];
            });
            assert!(distance(&forward(&g, &x, &weight, false, None), &y) < 1e-12, "{g:?}");
            y.iter_mut().enumerate().for_each(|(i, y)| *y += bias[i / g.out_pixels() % o]);
            assert!(distance(&forward(&g, &x, &weight, false, Some(&bias)), &y) < 1e-12, "{g:?}");
            let flipped = g.flipped().ok_or(Error::Empty { what: "flipped", shape: vec![] })?;
            assert!(distance(&forward(&flipped, &dy, &weight, true, None), &dx) < 1e-12, "{g:?}");
            assert!(distance(&weight_gradient(&g, &x, &dy), &dw) < 1e-10, "{g:?}");
        }
        Ok(())
    }

    #[test]
    fn single_precision_stays_close_to_a_plain_sum() -> Result<()> {
        let g = geometry([2, 64, 16, 16], 8, 1)?;
        let single = |seed, n| Seed::new(seed).normals(n).into_iter().map(|v| v as f32).collect::<Vec<_>>();
        let (x, weight) = (single(1, 2 * 64 * 256), single(2, 8 * 64 * 9));
        let (mut exact, mut plain) = (vec![0.0; 2 * 8 * 256], vec![0_f32; 2 * 8 * 256]);
        products(&g, |y, from, tap| {
            exact[y] += f64::from(x[from]) * f64::from(weight[tap]);
            plain[y] += x[from] * weight[tap];
        });
        let error = |y: &[f32]| {
            let squares = y.iter().zip(&exact).map(|(a, b)| (f64::from(*a) - b).powi(2));
            (squares.sum::<f64>() / exact.iter().map(|v| v * v).sum::<f64>()).sqrt()
        };
        let (ours, plain) = (error(&forward(&g, &x, &weight, false, None)), error(&plain));
        assert!(ours < 2.5 * plain && ours < 1e-6, "{ours:e}, a plain sum {plain:e}");
        Ok(())
    }
}
