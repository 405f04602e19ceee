//! Images into the transformed domain tile by tile, and products out of it.

use super::matrices::{Gradient, Input, Lanes, Output, both_sides, lanes};
use super::planes::Planes;
use super::{IN, OUT, SLACK, Tiling, spacing};
use crate::Float;
use crate::nn::ops::conv::geometry::Geometry;
use crate::nn::ops::element::Element;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Bᵀ d B of the tiles of some rows: `[36, c, tiles]`.
pub(super) struct Inputs<'a, T> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling,
    /// The block's images `[images, c, h, w]`.
    pub(super) x: &'a [T],
    pub(super) rows: Range<usize>,
    pub(super) tiles: usize,
    pub(super) planes: &'a mut [T],
    pub(super) out: &'a mut [T],
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

/// A dy Aᵀ of the tiles of some rows: `[36, o, tiles]`.
pub(super) struct Gradients<'a, T> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling,
    /// The block's images `[images, o, oh, ow]`.
    pub(super) dy: &'a [T],
    pub(super) rows: Range<usize>,
    pub(super) tiles: usize,
    pub(super) planes: &'a mut [T],
    pub(super) out: &'a mut [T],
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
pub(super) struct Outputs<'a, T> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling,
    /// `[36, o, tiles]`
    pub(super) products: &'a [T],
    pub(super) rows: Range<usize>,
    pub(super) tiles: usize,
    pub(super) bias: Option<&'a [T]>,
    /// The block's images `[images, o, oh, ow]`.
    pub(super) y: &'a mut [T],
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
