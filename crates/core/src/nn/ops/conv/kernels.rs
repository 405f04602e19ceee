//! The three kernels of a convolution: forward, input gradient, weight gradient.
//!
//! Each unrolls a tile of about 128 output pixels into a cache-resident buffer and makes one
//! single-threaded matrix product of it (one for each group of channels). Images (or groups of small
//! images) go to threads; weight gradients are summed over a fixed number of chunks of images in a
//! fixed order.

use super::geometry::Geometry;
use super::unroll::{col2im, im2col};
use super::winograd;
use crate::math::gemm::{Mat, multiply, product, product_plus};
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::{pieces, sum_parts};
use rayon::prelude::*;
use std::ops::Range;

/// Chunks of images whose weight gradients are summed apart.
const WEIGHT_CHUNKS: usize = 16;
/// Weights from which on threads share the outputs instead.
const LARGE_WEIGHT: usize = 1 << 17;

/// y = x * weight (+ bias). x: `[n, c, h, w]`, weight: `[o, c / groups, kh, kw]`, bias: `[o]`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    if winograd::suits(g) {
        return winograd::forward(g, x, weight, false, bias);
    }
    if g.is_dense() {
        let weight = Mat::new(weight, g.out_channels, g.taps()).t();
        return product_plus(Mat::new(x, g.images, g.taps()), weight, bias);
    }
    let (in_image, out_image) = (g.in_image(), g.out_image());
    pieces(g.images * out_image, g.images_per_tile() * out_image, |i, out| {
        let images = out.len() / out_image;
        let x = &x[i * g.images_per_tile() * in_image..][..images * in_image];
        if let Some(bias) = bias {
            let planes = out.chunks_exact_mut(g.out_pixels());
            planes.zip(bias.iter().cycle()).for_each(|(plane, &b)| plane.fill(b));
        }
        T::with_scratch(|columns| {
            for rows in g.row_tiles() {
                im2col(g, x, rows.clone(), columns);
                let pixels = images * rows.len() * g.out_width;
                if images == 1 {
                    let start = rows.start * g.out_width;
                    for group in 0..g.groups {
                        let out = &mut out[group * g.group_outputs() * g.out_pixels() + start..];
                        let (weight, columns) =
                            (weight_of(g, weight, group), taps_of(g, columns, pixels, group));
                        multiply(out, g.out_pixels(), bias.is_some(), weight, columns);
                    }
                } else {
                    T::with_scratch(|product| {
                        product.resize(g.out_channels * pixels, T::zero());
                        for group in 0..g.groups {
                            let out = &mut product[group * g.group_outputs() * pixels..];
                            let columns = taps_of(g, columns, pixels, group);
                            multiply(out, pixels, false, weight_of(g, weight, group), columns);
                        }
                        add_by_image(g, product, images, out);
                    });
                }
            }
        });
    })
}

/// The gradient of x from the gradient of y, which is also the transposed convolution of y.
/// y: `[n, o, oh, ow]`, weight: `[o, c / groups, kh, kw]`. Returns `[n, c, h, w]`.
pub(super) fn input_gradient<T: Element>(g: &Geometry, y: &[T], weight: &[T]) -> Vec<T> {
    if g.is_dense() {
        return product(Mat::new(y, g.images, g.out_channels), Mat::new(weight, g.out_channels, g.taps()));
    }
    if let Some(flipped) = g.flipped() {
        if winograd::suits(&flipped) {
            return winograd::forward(&flipped, y, weight, true, None);
        }
        return forward(&flipped, y, &flip(g, weight), None);
    }
    let (in_image, out_image) = (g.in_image(), g.out_image());
    pieces(g.images * in_image, g.images_per_tile() * in_image, |i, x| {
        let images = x.len() / in_image;
        let y = &y[i * g.images_per_tile() * out_image..][..images * out_image];
        T::with_scratch(|columns| {
            for rows in g.row_tiles() {
                let pixels = images * rows.len() * g.out_width;
                columns.resize(g.taps() * pixels, T::zero());
                with_rows(g, y, images, rows.start, pixels, |y| {
                    for group in 0..g.groups {
                        let columns = &mut columns[group * g.group_taps() * pixels..];
                        let weight = weight_of(g, weight, group).t();
                        multiply(
                            columns,
                            pixels,
                            false,
                            weight,
                            y.rows(group * g.group_outputs()..(group + 1) * g.group_outputs()),
                        );
                    }
                });
                col2im(g, columns, rows, x);
            }
        });
    })
}

/// The gradient of the weight. x: `[n, c, h, w]`, y (the gradient of the output): `[n, o, oh, ow]`.
/// Returns `[o, c / groups, kh, kw]`.
pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], y: &[T]) -> Vec<T> {
    if winograd::suits(g) {
        return winograd::weight_gradient(g, x, y);
    }
    if g.is_dense() {
        return product(Mat::new(y, g.images, g.out_channels).t(), Mat::new(x, g.images, g.taps()));
    }
    let size = g.out_channels * g.group_taps();
    if g.groups == 1 && size > LARGE_WEIGHT {
        return large_weight_gradient(g, x, y);
    }
    let together = g.images_per_tile();
    let per_chunk = g.images.div_ceil(together).div_ceil(WEIGHT_CHUNKS).max(1) * together;
    let parts: Vec<Vec<T>> = (0..g.images.div_ceil(per_chunk))
        .into_par_iter()
        .map(|chunk| {
            let mut part = vec![T::zero(); size];
            let last = g.images.min((chunk + 1) * per_chunk);
            for first in (chunk * per_chunk..last).step_by(together) {
                let images = last.min(first + together) - first;
                let x = &x[first * g.in_image()..][..images * g.in_image()];
                let y = &y[first * g.out_image()..][..images * g.out_image()];
                T::with_scratch(|columns| {
                    for rows in g.row_tiles() {
                        im2col(g, x, rows.clone(), columns);
                        let pixels = images * rows.len() * g.out_width;
                        with_rows(g, y, images, rows.start, pixels, |y| {
                            for group in 0..g.groups {
                                let part = &mut part[group * g.group_outputs() * g.group_taps()..];
                                let columns = taps_of(g, columns, pixels, group).t();
                                multiply(part, g.group_taps(), true, outputs_of(g, y, group), columns);
                            }
                        });
                    }
                });
            }
            part
        })
        .collect();
    sum_parts(&parts, size)
}

/// The same where sums of chunks of images would be many times the images themselves: tiles are unrolled first, then
/// threads share the taps.
fn large_weight_gradient<T: Element>(g: &Geometry, x: &[T], y: &[T]) -> Vec<T> {
    // taps at a time, and unrolled values that are kept: both for the outer caches
    const TAPS: usize = 256;
    const UNROLLED: usize = 1 << 22;
    let mut tiles = Vec::new();
    for first in (0..g.images).step_by(g.images_per_tile()) {
        let images = g.images_per_tile().min(g.images - first);
        tiles.extend(g.row_tiles().map(|rows| (first, images, rows)));
    }
    let pixels = |(_, images, rows): &(usize, usize, Range<usize>)| images * rows.len() * g.out_width;
    let largest = tiles.iter().map(pixels).max().unwrap_or(1);
    let together = (UNROLLED / (g.taps() * largest).max(1)).max(4);
    let mut unrolled = vec![(Vec::new(), Vec::new()); together.min(tiles.len())];
    // block after block of taps, in each [o, taps of the block]
    let mut sums = vec![T::zero(); g.out_channels * g.taps()];
    for tiles in tiles.chunks(together) {
        unrolled.par_iter_mut().zip(tiles).for_each(|((columns, gradients), tile)| {
            let (first, images, rows) = tile;
            im2col(g, &x[first * g.in_image()..][..images * g.in_image()], rows.clone(), columns);
            gradients.clear();
            for channel in 0..g.out_channels {
                for image in *first..first + images {
                    let start =
                        (image * g.out_channels + channel) * g.out_pixels() + rows.start * g.out_width;
                    gradients.extend_from_slice(&y[start..][..rows.len() * g.out_width]);
                }
            }
        });
        sums.par_chunks_mut(TAPS * g.out_channels).enumerate().for_each(|(block, sums)| {
            let width = sums.len() / g.out_channels;
            for ((columns, gradients), tile) in unrolled.iter().zip(tiles) {
                let gradients = Mat::new(gradients, g.out_channels, pixels(tile));
                let columns =
                    Mat::new(columns, g.taps(), pixels(tile)).rows(block * TAPS..block * TAPS + width);
                multiply(sums, width, true, gradients, columns.t());
            }
        });
    }
    pieces(sums.len(), g.taps(), |output, out| {
        for (block, out) in out.chunks_mut(TAPS).enumerate() {
            let sums = &sums[block * TAPS * g.out_channels..];
            out.copy_from_slice(&sums[output * out.len()..][..out.len()]);
        }
    })
}

/// product `[o, (n, pixels)]` into out `[n, o, pixels]`.
fn add_by_image<T: Element>(g: &Geometry, product: &[T], images: usize, out: &mut [T]) {
    let pixels = g.out_pixels();
    for (i, plane) in out.chunks_exact_mut(pixels).enumerate() {
        let (image, channel) = (i / g.out_channels, i % g.out_channels);
        let from = &product[(channel * images + image) * pixels..][..pixels];
        plane.iter_mut().zip(from).for_each(|(o, &p)| *o += p);
    }
}

/// Lends the tile of y `[n, o, oh, ow]` that starts at a row as a matrix [o, (n, pixels)]: where it lies
/// for one image, gathered for several.
fn with_rows<T: Element>(
    g: &Geometry,
    y: &[T],
    images: usize,
    row: usize,
    pixels: usize,
    f: impl FnOnce(Mat<'_, T>),
) {
    if images == 1 {
        return f(Mat::strided(&y[row * g.out_width..], g.out_channels, pixels, g.out_pixels()));
    }
    T::with_scratch(|gathered| {
        gathered.clear();
        for channel in 0..g.out_channels {
            for image in 0..images {
                gathered.extend_from_slice(
                    &y[(image * g.out_channels + channel) * g.out_pixels()..][..g.out_pixels()],
                );
            }
        }
        f(Mat::new(gathered, g.out_channels, pixels));
    });
}

/// The rows of a group in the tile y [o, pixels].
fn outputs_of<'a, T: Element>(g: &Geometry, y: Mat<'a, T>, group: usize) -> Mat<'a, T> {
    y.rows(group * g.group_outputs()..(group + 1) * g.group_outputs())
}

/// The weight of a group as a matrix `[outputs, taps]`.
fn weight_of<'a, T: Element>(g: &Geometry, weight: &'a [T], group: usize) -> Mat<'a, T> {
    let size = g.group_outputs() * g.group_taps();
    Mat::new(&weight[group * size..][..size], g.group_outputs(), g.group_taps())
}

/// The rows of a group in a tile's unrolled columns: a matrix `[taps, pixels]`.
fn taps_of<'a, T: Element>(g: &Geometry, columns: &'a [T], pixels: usize, group: usize) -> Mat<'a, T> {
    let size = g.group_taps() * pixels;
    Mat::new(&columns[group * size..][..size], g.group_taps(), pixels)
}

/// weight `[o, c / groups, kh, kw]` as `[c, o / groups, kh, kw]` with every kernel turned by 180 degrees.
fn flip<T: Element>(g: &Geometry, weight: &[T]) -> Vec<T> {
    let area = g.kernel[0] * g.kernel[1];
    let (inputs, outputs) = (g.in_channels / g.groups, g.group_outputs());
    pieces(weight.len(), outputs * area, |c, out| {
        for (o, out) in out.chunks_exact_mut(area).enumerate() {
            let kernel = (c / inputs * outputs + o) * inputs + c % inputs;
            out.iter_mut().zip(weight[kernel * area..][..area].iter().rev()).for_each(|(o, &w)| *o = w);
        }
    })
}
