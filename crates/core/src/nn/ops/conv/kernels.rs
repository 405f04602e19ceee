//! The three kernels of a convolution: forward, input gradient, weight gradient.
//!
//! Each takes a tile of about 128 output pixels and a block of about 256 taps at a time: what is unrolled stays in the
//! cache between its writing and the one matrix product that reads it. The forward pass unrolls in the order in which the
//! product reads its right side ([`kernel`](crate::math::kernel)), so that nothing is packed again; the gradients have y
//! there, which is small. Images (or groups of small images) go to threads, in the weight gradient blocks of taps and
//! chunks of tiles; the chunks are summed in a fixed order.

use super::geometry::{Block, Geometry, Tile};
use super::unroll::{col2im, im2col};
use super::winograd;
use crate::math::gemm::{Mat, multiply, multiply_packed, product, product_plus};
use crate::math::kernel::panel_width;
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::{pieces, sum_parts};
use rayon::prelude::*;

/// Blocks of taps times chunks of tiles whose weight gradients are summed apart.
const WEIGHT_UNITS: usize = 16;

/// y = x * weight (+ bias). x: `[n, c, h, w]`, weight: `[o, c / groups, kh, kw]`, bias: `[o]`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    if winograd::suits(g) {
        return winograd::forward(g, x, weight, false, bias);
    }
    if g.is_dense() {
        let weight = Mat::new(weight, g.out_channels, g.taps()).t();
        return product_plus(Mat::new(x, g.images, g.taps()), weight, bias);
    }
    let blocks = with_weights(g, weight, false);
    let (in_image, out_image) = (g.in_image(), g.out_image());
    pieces(g.images * out_image, g.images_per_tile() * out_image, |i, out| {
        let images = out.len() / out_image;
        let x = &x[i * g.images_per_tile() * in_image..][..images * in_image];
        if let Some(bias) = bias {
            let planes = out.chunks_exact_mut(g.out_pixels());
            planes.zip(bias.iter().cycle()).for_each(|(plane, &b)| plane.fill(b));
        }
        for rows in g.row_tiles() {
            forward_tile(&Tile { g, images, rows }, x, &blocks, bias.is_some(), out);
        }
    })
}

/// The outputs of one tile. x and out: its images, blocks: with weights `[outputs, taps]`.
fn forward_tile<T: Element>(
    tile: &Tile<'_>,
    x: &[T],
    blocks: &[(Block, Vec<T>)],
    accumulate: bool,
    out: &mut [T],
) {
    let (g, pixels) = (tile.g, tile.pixels());
    let wide = panel_width::<T>();
    // images that begin with a panel are products of their own, straight into their place
    let (images, of_image) = match tile.images {
        1 => (1, pixels),
        images if tile.has_lines_in(wide) && g.out_pixels().is_multiple_of(wide) => (images, g.out_pixels()),
        _ => (1, pixels),
    };
    let together = tile.images > images;
    T::with_scratch(|columns| {
        T::with_scratch(|gathered| {
            if together {
                gathered.resize(gathered.len().max(g.out_channels * pixels), T::zero());
            }
            for (block, weight) in blocks {
                let depth = block.taps(g).len();
                let panel = if tile.has_lines_in(wide) { wide } else { pixels };
                im2col(tile, block, x, panel, columns);
                let outputs = block.group * g.group_outputs();
                let weight = Mat::new(weight, g.group_outputs(), depth);
                let further = block.taps(g).start > 0;
                for image in 0..images {
                    let (out, stride) = if together {
                        (&mut gathered[outputs * pixels..], pixels)
                    } else {
                        let start = tile.rows.start * g.out_width;
                        (&mut out[image * g.out_image() + outputs * g.out_pixels() + start..], g.out_pixels())
                    };
                    let accumulate = further || (accumulate && !together);
                    if panel == wide {
                        let columns = &columns[image * of_image * depth..];
                        multiply_packed(out, stride, accumulate, weight, columns, of_image, &[]);
                    } else {
                        multiply(out, stride, accumulate, weight, Mat::new(columns, depth, pixels));
                    }
                }
            }
            if together {
                add_by_image(g, gathered, tile.images, out);
            }
        });
    });
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
    let blocks = with_weights(g, weight, true);
    let (in_image, out_image) = (g.in_image(), g.out_image());
    pieces(g.images * in_image, g.images_per_tile() * in_image, |i, x| {
        let images = x.len() / in_image;
        let y = &y[i * g.images_per_tile() * out_image..][..images * out_image];
        for rows in g.row_tiles() {
            input_gradient_tile(&Tile { g, images, rows }, y, &blocks, x);
        }
    })
}

/// Adds the gradients that come from one tile. x and y: its images, blocks: with weights `[taps, outputs]`.
fn input_gradient_tile<T: Element>(tile: &Tile<'_>, y: &[T], blocks: &[(Block, Vec<T>)], x: &mut [T]) {
    let (g, pixels, outputs) = (tile.g, tile.pixels(), tile.g.group_outputs());
    let mut group = None;
    T::with_scratch(|panels| {
        T::with_scratch(|columns| {
            for (block, weight) in blocks {
                if group != Some(block.group) {
                    group = Some(block.group);
                    pack_outputs(tile, y, block.group, false, panels);
                }
                let taps = block.taps(g).len();
                columns.resize(columns.len().max(taps * pixels), T::zero());
                let weight = Mat::new(weight, taps, outputs);
                multiply_packed(columns, pixels, false, weight, panels, pixels, &[]);
                col2im(tile, block, columns, x);
            }
        });
    });
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
    let (size, outputs) = (g.out_channels * g.group_taps(), g.group_outputs());
    let tiles: Vec<(usize, Tile<'_>)> = g.tiles().collect();
    let images_of = |first: usize, tile: &Tile<'_>| {
        let range = first..first + tile.images;
        let x = &x[range.start * g.in_image()..range.end * g.in_image()];
        (x, &y[range.start * g.out_image()..range.end * g.out_image()])
    };
    // without groups every block of taps meets the same panels
    let shared: Vec<Vec<T>> = if g.groups == 1 {
        let packed = |(first, tile): &(usize, Tile<'_>)| {
            let mut panels = Vec::new();
            pack_outputs(tile, images_of(*first, tile).1, 0, true, &mut panels);
            panels
        };
        tiles.par_iter().map(packed).collect()
    } else {
        Vec::new()
    };
    let blocks: Vec<_> = g.blocks().collect();
    let chunks = WEIGHT_UNITS.div_ceil(blocks.len()).min(tiles.len()).max(1);
    let per_chunk = tiles.len().div_ceil(chunks).max(1);
    // for each chunk, by group [taps, outputs]
    let mut sums = vec![T::zero(); chunks * size];
    let mut units = Vec::new();
    let mut rest = &mut sums[..];
    for chunk in 0..chunks {
        for block in &blocks {
            let (sum, after) = rest.split_at_mut(block.taps(g).len() * outputs);
            units.push((chunk * per_chunk, block, sum));
            rest = after;
        }
    }
    units.into_par_iter().for_each(|(start, block, sum)| {
        let taps = block.taps(g).len();
        for (number, (first, tile)) in tiles.iter().enumerate().skip(start).take(per_chunk) {
            let (x, y) = images_of(*first, tile);
            let pixels = tile.pixels();
            T::with_scratch(|columns| {
                im2col(tile, block, x, pixels, columns);
                let columns = Mat::new(columns, taps, pixels);
                let mut add = |panels: &[T]| {
                    multiply_packed(sum, outputs, true, columns, panels, outputs, &[]);
                };
                match shared.get(number) {
                    Some(panels) => add(panels),
                    None => T::with_scratch(|panels| {
                        pack_outputs(tile, y, block.group, true, panels);
                        add(panels);
                    }),
                }
            });
        }
    });
    let sums =
        if chunks == 1 { sums } else { sum_parts(&sums.chunks(size.max(1)).collect::<Vec<_>>(), size) };
    transposed(&sums, g.group_taps(), outputs)
}

/// Packs the tile of a group's y as the right side of a product: `[outputs, pixels]`, or that transposed. y: the tile's
/// images.
fn pack_outputs<T: Element>(tile: &Tile<'_>, y: &[T], group: usize, transposed: bool, panels: &mut Vec<T>) {
    let (g, pixels, outputs) = (tile.g, tile.pixels(), tile.g.group_outputs());
    let wide = panel_width::<T>();
    let size = if transposed {
        pixels * outputs.next_multiple_of(wide)
    } else {
        outputs * pixels.next_multiple_of(wide)
    };
    panels.resize(panels.len().max(size), T::zero());
    let mut pack = |y: Mat<'_, T>| T::pack(if transposed { y.t() } else { y }, panels);
    let start = group * outputs * g.out_pixels() + tile.rows.start * g.out_width;
    if tile.images == 1 {
        return pack(Mat::strided(&y[start..], outputs, pixels, g.out_pixels()));
    }
    T::with_scratch(|gathered| {
        gathered.clear();
        for output in 0..outputs {
            for image in y.chunks_exact(g.out_image()) {
                gathered.extend_from_slice(&image[start + output * g.out_pixels()..][..g.out_pixels()]);
            }
        }
        pack(Mat::new(gathered, outputs, pixels));
    });
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

/// All blocks of taps with their weights, `[outputs, taps]` or that transposed: side by side, where rows of the whole weight
/// lie pages apart.
fn with_weights<T: Element>(g: &Geometry, weight: &[T], transposed: bool) -> Vec<(Block, Vec<T>)> {
    let (outputs, all) = (g.group_outputs(), g.group_taps());
    let with_weight = |block: Block| {
        let taps = block.taps(g);
        let group = &weight[block.group * outputs * all..];
        let mut own = vec![T::zero(); outputs * taps.len()];
        if transposed {
            turn(&group[taps.start..], all, outputs, &mut own);
        } else {
            for (own, output) in own.chunks_exact_mut(taps.len()).zip(group.chunks_exact(all)) {
                own.copy_from_slice(&output[taps.clone()]);
            }
        }
        (block, own)
    };
    g.blocks().collect::<Vec<_>>().into_par_iter().map(with_weight).collect()
}

/// Rows that are turned into columns at a time: as many values as a cache line has.
const LINE: usize = 16;

/// Every matrix `[rows, columns]` in `values` transposed.
fn transposed<T: Element>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    let matrix = rows * columns;
    let piece = if values.len() == matrix { LINE * rows } else { matrix };
    pieces(values.len(), piece, |i, out| {
        let (start, first) = (i * piece / matrix * matrix, i * piece % matrix / rows);
        turn(&values[start + first..], columns, rows, out);
    })
}

/// out `[columns, rows]`: the columns that `rows` rows, `stride` apart, begin with.
fn turn<T: Element>(values: &[T], stride: usize, rows: usize, out: &mut [T]) {
    for (block, out) in out.chunks_mut((LINE * rows).max(1)).enumerate() {
        for row in 0..rows {
            let from = &values[row * stride + block * LINE..];
            out[row..].iter_mut().step_by(rows).zip(from).for_each(|(out, &value)| *out = value);
        }
    }
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
