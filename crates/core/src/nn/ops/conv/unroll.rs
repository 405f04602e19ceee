//! Images to columns and back (im2col, col2im), one tile and one block of channels at a time.

use super::geometry::{Block, Geometry, Tile};
use super::phases::{Back, Strided};
use crate::nn::ops::element::Element;
use pulp::Arch;
use std::ops::Range;

/// Writes the inputs of every output pixel of a tile as columns `[taps, pixels]`, pixels ordered by image, row, column: in
/// panels of `panel` pixels each, the last one maybe not filled. x: the tile's images `[n, c, h, w]`.
///
/// One panel holds all pixels unless [the lines fit](Tile::has_lines_in) in panels.
pub(super) fn im2col<T: Element>(
    tile: &Tile<'_>,
    block: &Block,
    x: &[T],
    panel: usize,
    columns: &mut Vec<T>,
) {
    let (g, pixels) = (tile.g, tile.pixels());
    // every value is written below, so stale ones need no clearing
    columns.resize(columns.len().max(block.taps(g).len() * pixels.next_multiple_of(panel)), T::zero());
    if g.stride > 1 {
        return T::with_scratch(|phases| {
            Arch::new().dispatch(Strided { tile, block, x, panel, columns, phases });
        });
    }
    let of_image = pixels / tile.images;
    for_taps(g, block, |tap, channel, ky, kx| {
        let row = &mut columns[tap * pixels..(tap + 1) * pixels];
        for (out, x) in row.chunks_exact_mut(of_image.max(1)).zip(x.chunks_exact(g.in_image())) {
            let plane = &x[channel * g.in_pixels()..][..g.in_pixels()];
            if g.out_width == g.width {
                shifted_plane(g, plane, tile.rows.clone(), ky, kx, out);
            } else {
                cut_plane(g, plane, tile.rows.clone(), ky, kx, out);
            }
        }
    });
}

/// Adds columns `[taps, pixels]` back to where they came from: the transpose of [`im2col`].
pub(super) fn col2im<T: Element>(tile: &Tile<'_>, block: &Block, columns: &[T], x: &mut [T]) {
    let (g, pixels) = (tile.g, tile.pixels());
    if g.stride > 1 {
        return T::with_scratch(|phases| Arch::new().dispatch(Back { tile, block, columns, x, phases }));
    }
    let of_image = pixels / tile.images;
    for_taps(g, block, |tap, channel, ky, kx| {
        let row = &columns[tap * pixels..(tap + 1) * pixels];
        let inside = inside(g.out_width, g.width, 1, g.padding, kx);
        for (from, x) in row.chunks_exact(of_image.max(1)).zip(x.chunks_exact_mut(g.in_image())) {
            let plane = &mut x[channel * g.in_pixels()..][..g.in_pixels()];
            for (oy, from) in tile.rows.clone().zip(from.chunks_exact(g.out_width)) {
                let y = (oy + ky).wrapping_sub(g.padding);
                if y >= g.height || inside.is_empty() {
                    continue;
                }
                let first = y * g.width + inside.start + kx - g.padding;
                let from = &from[inside.clone()];
                plane[first..][..from.len()].iter_mut().zip(from).for_each(|(p, &v)| *p += v);
            }
        }
    });
}

/// Calls f with the number of each tap of a block, its channel, and how far it lies from its kernel's first tap
/// down and across.
fn for_taps(g: &Geometry, block: &Block, mut f: impl FnMut(usize, usize, usize, usize)) {
    let [kh, kw] = g.kernel;
    for tap in 0..block.taps(g).len() {
        let channel = block.channels.start + tap / (kh * kw);
        f(tap, channel, tap / kw % kh * g.dilation, tap % kw * g.dilation);
    }
}

/// The output positions along one axis whose input lies inside the image.
fn inside(out: usize, size: usize, stride: usize, padding: usize, k: usize) -> Range<usize> {
    let start = padding.saturating_sub(k).div_ceil(stride).min(out);
    let end = (size + padding).saturating_sub(k).div_ceil(stride).min(out);
    start..end.max(start)
}

/// Stride 1 and equal widths: the tile is one contiguous stretch of the plane, shifted, with the columns
/// that wrapped around the edge set to zero.
fn shifted_plane<T: Element>(
    g: &Geometry,
    plane: &[T],
    rows: Range<usize>,
    ky: usize,
    kx: usize,
    out: &mut [T],
) {
    let w = g.width;
    let inside_x = inside(w, w, 1, g.padding, kx);
    let inside_y = inside(g.out_height, g.height, 1, g.padding, ky);
    let (top, bottom) =
        (inside_y.start.clamp(rows.start, rows.end), inside_y.end.clamp(rows.start, rows.end));
    let (from, to) = ((top - rows.start) * w, (bottom.max(top) - rows.start) * w);
    // a tap that reaches over the whole width sees nothing but padding
    let (from, to) = if inside_x.is_empty() { (0, 0) } else { (from, to) };
    out[..from].fill(T::zero());
    out[to..].fill(T::zero());
    if from == to {
        return;
    }
    // the source of out[from], which may lie up to `padding` values before the plane
    let source = ((top + ky - g.padding) * w + kx) as isize - g.padding as isize;
    let skip = (-source).max(0) as usize;
    let source = (source + skip as isize) as usize;
    let length = (to - from - skip.min(to - from)).min(plane.len().saturating_sub(source));
    out[from + skip..][..length].copy_from_slice(&plane[source..][..length]);
    clear_columns(&mut out[from..to], w, inside_x);
}

/// Sets the columns outside of `inside` to zero. A column is one or two pixels wide: storing them down
/// the rows costs less than a call to fill for each row.
fn clear_columns<T: Element>(out: &mut [T], width: usize, inside: Range<usize>) {
    for column in (0..inside.start).chain(inside.end..width) {
        out[column..].iter_mut().step_by(width).for_each(|o| *o = T::zero());
    }
}

/// Stride 1 and another width: row by row.
fn cut_plane<T: Element>(g: &Geometry, plane: &[T], rows: Range<usize>, ky: usize, kx: usize, out: &mut [T]) {
    let inside = inside(g.out_width, g.width, g.stride, g.padding, kx);
    for (oy, out) in rows.zip(out.chunks_exact_mut(g.out_width)) {
        let y = (oy * g.stride + ky).wrapping_sub(g.padding);
        if y >= g.height || inside.is_empty() {
            out.fill(T::zero());
            continue;
        }
        let first = y * g.width + inside.start * g.stride + kx - g.padding;
        let out = &mut out[inside.clone()];
        out.copy_from_slice(&plane[first..][..out.len()]);
    }
    clear_columns(out, g.out_width, inside);
}
