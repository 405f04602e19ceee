//! The three kernels of a convolution: forward, input gradient, weight gradient.
//!
//! Each unrolls a tile of about 128 output pixels into a cache-resident buffer and makes one
//! single-threaded matrix product of it (one for each group of channels). Images (or groups of small
//! images) go to threads; weight gradients are summed over a fixed number of chunks of images in a
//! fixed order.

use super::geometry::Geometry;
use super::unroll::{col2im, im2col};
use super::winograd;
use crate::math::gemm::{Mat, multiply};
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::pieces;
use rayon::prelude::*;
use std::ops::Range;

/// Chunks of images whose weight gradients are summed apart.
const WEIGHT_CHUNKS: usize = 16;
/// Weights from which on threads share the outputs, so many at a time.
const LARGE_WEIGHT: usize = 1 << 17;
const OUTPUTS: usize = 128;

/// y = x * weight (+ bias). x: `[n, c, h, w]`, weight: `[o, c / groups, kh, kw]`, bias: `[o]`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    if winograd::suits(g) {
        return winograd::forward(g, x, weight, false, bias);
    }
    let (in_image, out_image) = (g.in_channels * g.in_pixels(), g.out_channels * g.out_pixels());
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
    if let Some(flipped) = g.flipped() {
        if winograd::suits(&flipped) {
            return winograd::forward(&flipped, y, weight, true, None);
        }
        return forward(&flipped, y, &flip(g, weight), None);
    }
    let (in_image, out_image) = (g.in_channels * g.in_pixels(), g.out_channels * g.out_pixels());
    pieces(g.images * in_image, g.images_per_tile() * in_image, |i, x| {
        let images = x.len() / in_image;
        let y = &y[i * g.images_per_tile() * out_image..][..images * out_image];
        T::with_scratch(|columns| {
            for rows in g.row_tiles() {
                let pixels = images * rows.len() * g.out_width;
                columns.resize(g.taps() * pixels, T::zero());
                with_rows(g, y, images, 0..g.out_channels, rows.start, pixels, |y| {
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
    let size = g.out_channels * g.group_taps();
    let together = g.images_per_tile();
    if g.groups == 1 && size > LARGE_WEIGHT {
        // sums of chunks of images would be many times the weight: threads share the outputs instead
        return pieces(size, OUTPUTS * g.taps(), |i, part| {
            let outputs = i * OUTPUTS..g.out_channels.min((i + 1) * OUTPUTS);
            for first in (0..g.images).step_by(together) {
                add_weight_gradient(g, x, y, first..g.images.min(first + together), outputs.clone(), part);
            }
        });
    }
    let per_chunk = g.images.div_ceil(together).div_ceil(WEIGHT_CHUNKS).max(1) * together;
    let parts: Vec<Vec<T>> = (0..g.images.div_ceil(per_chunk))
        .into_par_iter()
        .map(|chunk| {
            let mut part = vec![T::zero(); size];
            let last = g.images.min((chunk + 1) * per_chunk);
            for first in (chunk * per_chunk..last).step_by(together) {
                let images = first..last.min(first + together);
                add_weight_gradient(g, x, y, images, 0..g.out_channels, &mut part);
            }
            part
        })
        .collect();
    sum_in_order(parts, size)
}

/// Adds what some images (no more than a tile) say about the weights of some outputs.
fn add_weight_gradient<T: Element>(
    g: &Geometry,
    x: &[T],
    y: &[T],
    images: Range<usize>,
    outputs: Range<usize>,
    part: &mut [T],
) {
    let (in_image, out_image) = (g.in_channels * g.in_pixels(), g.out_channels * g.out_pixels());
    let x = &x[images.start * in_image..images.end * in_image];
    let y = &y[images.start * out_image..images.end * out_image];
    T::with_scratch(|columns| {
        for rows in g.row_tiles() {
            im2col(g, x, rows.clone(), columns);
            let pixels = images.len() * rows.len() * g.out_width;
            with_rows(g, y, images.len(), outputs.clone(), rows.start, pixels, |y| {
                for group in 0..g.groups {
                    let first = (group * g.group_outputs()).max(outputs.start) - outputs.start;
                    let last = ((group + 1) * g.group_outputs()).min(outputs.end) - outputs.start;
                    let part = &mut part[first * g.group_taps()..];
                    let columns = taps_of(g, columns, pixels, group).t();
                    multiply(part, g.group_taps(), true, y.rows(first..last), columns);
                }
            });
        }
    });
}

fn sum_in_order<T: Element>(parts: Vec<Vec<T>>, size: usize) -> Vec<T> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_else(|| vec![T::zero(); size]);
    let rest: Vec<Vec<T>> = parts.collect();
    const STRETCH: usize = 4096;
    total.par_chunks_mut(STRETCH).enumerate().for_each(|(i, total)| {
        for part in &rest {
            total.iter_mut().zip(&part[i * STRETCH..]).for_each(|(t, &p)| *t += p);
        }
    });
    total
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
    outputs: Range<usize>,
    row: usize,
    pixels: usize,
    f: impl FnOnce(Mat<'_, T>),
) {
    if images == 1 {
        let start = outputs.start * g.out_pixels() + row * g.out_width;
        return f(Mat::strided(&y[start..], outputs.len(), pixels, g.out_pixels()));
    }
    T::with_scratch(|gathered| {
        gathered.clear();
        for channel in outputs.clone() {
            for image in 0..images {
                gathered.extend_from_slice(
                    &y[(image * g.out_channels + channel) * g.out_pixels()..][..g.out_pixels()],
                );
            }
        }
        f(Mat::new(gathered, outputs.len(), pixels));
    });
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
