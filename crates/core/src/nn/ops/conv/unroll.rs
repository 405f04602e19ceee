//! Images to columns and back (im2col, col2im), one tile at a time.

use super::geometry::Geometry;
use crate::nn::ops::element::Element;
use std::ops::Range;

/// Writes the inputs of every output pixel of a tile as columns: `columns` [taps, pixels], pixels
/// ordered by image, row, column. `x` holds the tile's images `[n, c, h, w]`.
pub(super) fn im2col<T: Element>(g: &Geometry, x: &[T], rows: Range<usize>, columns: &mut Vec<T>) {
    let image = g.in_channels * g.in_pixels();
    let (images, tile) = (x.len() / image.max(1), rows.len() * g.out_width);
    // every value is written below, so stale ones need no clearing
    columns.resize(g.taps() * images * tile, T::zero());
    for_taps(g, |tap, channel, ky, kx| {
        let row = &mut columns[tap * images * tile..(tap + 1) * images * tile];
        for (i, out) in row.chunks_exact_mut(tile.max(1)).enumerate() {
            let plane = &x[i * image + channel * g.in_pixels()..][..g.in_pixels()];
            if g.stride == 1 && g.out_width == g.width {
                shifted_plane(g, plane, rows.clone(), ky, kx, out);
            } else {
                strided_plane(g, plane, rows.clone(), ky, kx, out);
            }
        }
    });
}

/// Adds columns back to where they came from: the transpose of [`im2col`].
pub(super) fn col2im<T: Element>(g: &Geometry, columns: &[T], rows: Range<usize>, x: &mut [T]) {
    let image = g.in_channels * g.in_pixels();
    let (images, tile) = (x.len() / image.max(1), rows.len() * g.out_width);
    for_taps(g, |tap, channel, ky, kx| {
        let row = &columns[tap * images * tile..(tap + 1) * images * tile];
        let inside = inside(g.out_width, g.width, g.stride, g.padding, kx);
        for (i, from) in row.chunks_exact(tile.max(1)).enumerate() {
            let plane = &mut x[i * image + channel * g.in_pixels()..][..g.in_pixels()];
            for (oy, from) in rows.clone().zip(from.chunks_exact(g.out_width)) {
                let y = (oy * g.stride + ky).wrapping_sub(g.padding);
                if y >= g.height || inside.is_empty() {
                    continue;
                }
                let first = y * g.width + inside.start * g.stride + kx - g.padding;
                let from = &from[inside.clone()];
                if g.stride == 1 {
                    plane[first..][..from.len()].iter_mut().zip(from).for_each(|(p, &v)| *p += v);
                } else {
                    plane[first..].iter_mut().step_by(g.stride).zip(from).for_each(|(p, &v)| *p += v);
                }
            }
        }
    });
}

/// Calls f with the number of each tap, its channel, and how far it lies from its kernel's first tap
/// down and across.
fn for_taps(g: &Geometry, mut f: impl FnMut(usize, usize, usize, usize)) {
    let [kh, kw] = g.kernel;
    for tap in 0..g.taps() {
        f(tap, tap / (kh * kw), tap / kw % kh * g.dilation, tap % kw * g.dilation);
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

/// Any stride: row by row.
fn strided_plane<T: Element>(
    g: &Geometry,
    plane: &[T],
    rows: Range<usize>,
    ky: usize,
    kx: usize,
    out: &mut [T],
) {
    let inside = inside(g.out_width, g.width, g.stride, g.padding, kx);
    for (oy, out) in rows.zip(out.chunks_exact_mut(g.out_width)) {
        let y = (oy * g.stride + ky).wrapping_sub(g.padding);
        if y >= g.height || inside.is_empty() {
            out.fill(T::zero());
            continue;
        }
        let first = y * g.width + inside.start * g.stride + kx - g.padding;
        let out = &mut out[inside.clone()];
        if g.stride == 1 {
            out.copy_from_slice(&plane[first..][..out.len()]);
        } else {
            out.iter_mut().zip(plane[first..].iter().step_by(g.stride)).for_each(|(o, &v)| *o = v);
        }
    }
    clear_columns(out, g.out_width, inside);
}
