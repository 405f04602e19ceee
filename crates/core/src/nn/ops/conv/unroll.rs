//! Images to columns and back (im2col, col2im), one tile at a time.

use super::geometry::Geometry;
use crate::nn::ops::element::Element;
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Writes the inputs of every output pixel of a tile as columns: `columns` [taps, pixels], pixels
/// ordered by image, row, column. `x` holds the tile's images `[n, c, h, w]`.
pub(super) fn im2col<T: Element>(g: &Geometry, x: &[T], rows: Range<usize>, columns: &mut Vec<T>) {
    let image = g.in_channels * g.in_pixels();
    let (images, tile) = (x.len() / image.max(1), rows.len() * g.out_width);
    // every value is written below, so stale ones need no clearing
    columns.resize(g.taps() * images * tile, T::zero());
    if g.stride > 1 {
        return T::with_scratch(|phases| Arch::new().dispatch(Strided { g, x, rows, columns, phases }));
    }
    for_taps(g, |tap, channel, ky, kx| {
        let row = &mut columns[tap * images * tile..(tap + 1) * images * tile];
        for (i, out) in row.chunks_exact_mut(tile.max(1)).enumerate() {
            let plane = &x[i * image + channel * g.in_pixels()..][..g.in_pixels()];
            if g.out_width == g.width {
                shifted_plane(g, plane, rows.clone(), ky, kx, out);
            } else {
                cut_plane(g, plane, rows.clone(), ky, kx, out);
            }
        }
    });
}

/// Strides above 1: each plane is first taken apart into stride² planes of every stride-th row and column, with the
/// padding around it, in which the values of a tap lie side by side.
struct Strided<'a, T> {
    g: &'a Geometry,
    x: &'a [T],
    rows: Range<usize>,
    columns: &'a mut [T],
    phases: &'a mut Vec<T>,
}

/// Values copied at a time.
const LANES: usize = 8;

impl<T: Element> WithSimd for Strided<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Strided { g, x, rows, columns, phases } = self;
        let ([kh, kw], stride) = (g.kernel, g.stride);
        let (image, area) = (g.in_channels * g.in_pixels(), kh * kw);
        let (images, tile) = (x.len() / image.max(1), rows.len() * g.out_width);
        let planes = PhasePlanes::new(g, rows.len());
        let PhasePlanes { lines, width, line_stride, phase } = planes;
        phases.clear();
        phases.resize(planes.room(stride), T::zero());
        for channel in 0..g.in_channels {
            for i in 0..images {
                let plane = &x[i * image + channel * g.in_pixels()..][..g.in_pixels()];
                // a kernel smaller than the stride sees only some phases
                let seen = (0..stride * lines).filter(|line| line % stride <= (kh - 1) * g.dilation);
                for line in seen {
                    let to = &mut phases[line % stride * stride * phase + line / stride * line_stride..];
                    match (rows.start * stride + line).checked_sub(g.padding).filter(|&y| y < g.height) {
                        Some(y) => take_apart(g, &plane[y * g.width..][..g.width], to, phase, width),
                        None => (0..stride).for_each(|part| to[part * phase..][..width].fill(T::zero())),
                    }
                }
                for tap in 0..area {
                    let from = planes.place(stride, tap / kw * g.dilation, tap % kw * g.dilation);
                    let out = &mut columns[((channel * area + tap) * images + i) * tile..][..tile];
                    copy_lines(&phases[from..], line_stride, out, g.out_width);
                }
            }
        }
    }
}

/// Writes column s·X + part − padding of a line to place X of each part's line, the parts `phase` apart; zeros where there
/// is no such column.
#[inline(always)]
fn take_apart<T: Element>(g: &Geometry, from: &[T], to: &mut [T], phase: usize, width: usize) {
    let stride = g.stride;
    for part in 0..stride.min((g.kernel[1] - 1) * g.dilation + 1) {
        let to = &mut to[part * phase..][..width + LANES];
        let before = g.padding.saturating_sub(part).div_ceil(stride).min(width);
        let first = before * stride + part - g.padding.min(before * stride + part);
        let from = &from[first.min(from.len())..];
        let inside = from.len().div_ceil(stride).min(width - before);
        let mut done = 0;
        if stride == 2 {
            for (to, from) in to[before..].chunks_exact_mut(LANES).zip(from.chunks_exact(2 * LANES)) {
                for l in 0..LANES {
                    to[l] = from[2 * l];
                }
                done += LANES;
            }
        }
        for at in done..inside {
            to[before + at] = from[at * stride];
        }
        to[..before].fill(T::zero());
        to[before + inside.min(width - before)..width].fill(T::zero());
    }
}

/// Copies lines of `width` values that lie `stride` apart to one after the other. What is beyond the end of a line, the
/// next one writes over.
#[inline(always)]
fn copy_lines<T: Element>(from: &[T], stride: usize, out: &mut [T], width: usize) {
    let lines = out.len() / width.max(1);
    for line in 0..lines {
        let (from, out) = (&from[line * stride..], &mut out[line * width..]);
        if line + 1 == lines || out.len() < width + LANES {
            out[..width].copy_from_slice(&from[..width]);
            continue;
        }
        for start in (0..width).step_by(LANES) {
            if let (Some(out), Some(from)) =
                (out[start..].first_chunk_mut::<LANES>(), from[start..].first_chunk::<LANES>())
            {
                *out = *from;
            }
        }
    }
}

/// Adds columns back to where they came from: the transpose of [`im2col`].
pub(super) fn col2im<T: Element>(g: &Geometry, columns: &[T], rows: Range<usize>, x: &mut [T]) {
    if g.stride > 1 {
        return T::with_scratch(|phases| Arch::new().dispatch(Back { g, columns, rows, x, phases }));
    }
    let image = g.in_channels * g.in_pixels();
    let (images, tile) = (x.len() / image.max(1), rows.len() * g.out_width);
    for_taps(g, |tap, channel, ky, kx| {
        let row = &columns[tap * images * tile..(tap + 1) * images * tile];
        let inside = inside(g.out_width, g.width, 1, g.padding, kx);
        for (i, from) in row.chunks_exact(tile.max(1)).enumerate() {
            let plane = &mut x[i * image + channel * g.in_pixels()..][..g.in_pixels()];
            for (oy, from) in rows.clone().zip(from.chunks_exact(g.out_width)) {
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

/// The transpose of [`Strided`]: the taps are added up in stride² planes, which are then put together.
struct Back<'a, T> {
    g: &'a Geometry,
    columns: &'a [T],
    rows: Range<usize>,
    x: &'a mut [T],
    phases: &'a mut Vec<T>,
}

impl<T: Element> WithSimd for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Back { g, columns, rows, x, phases } = self;
        let ([kh, kw], stride) = (g.kernel, g.stride);
        let (image, area) = (g.in_channels * g.in_pixels(), kh * kw);
        let (images, tile) = (x.len() / image.max(1), rows.len() * g.out_width);
        let planes = PhasePlanes::new(g, rows.len());
        for channel in 0..g.in_channels {
            for i in 0..images {
                phases.clear();
                phases.resize(planes.room(stride), T::zero());
                for tap in 0..area {
                    let to = planes.place(stride, tap / kw * g.dilation, tap % kw * g.dilation);
                    let from = &columns[((channel * area + tap) * images + i) * tile..][..tile];
                    add_lines(from, g.out_width, &mut phases[to..], planes.line_stride);
                }
                let plane = &mut x[i * image + channel * g.in_pixels()..][..g.in_pixels()];
                for line in 0..stride * planes.lines {
                    let y = (rows.start * stride + line).checked_sub(g.padding).filter(|&y| y < g.height);
                    if let Some(y) = y {
                        let from = line % stride * stride * planes.phase + line / stride * planes.line_stride;
                        put_together(g, &phases[from..], planes.phase, &mut plane[y * g.width..][..g.width]);
                    }
                }
            }
        }
    }
}

/// How the phases of one plane lie in memory.
struct PhasePlanes {
    /// Lines and columns of a phase that the tile's outputs see.
    lines: usize,
    width: usize,
    line_stride: usize,
    phase: usize,
}

impl PhasePlanes {
    fn new(g: &Geometry, rows: usize) -> Self {
        let [kh, kw] = g.kernel;
        let lines = rows + (kh - 1) * g.dilation / g.stride;
        let width = g.out_width + (kw - 1) * g.dilation / g.stride;
        // vectors go beyond the end of a line
        let line_stride = width + 2 * LANES;
        PhasePlanes { lines, width, line_stride, phase: lines * line_stride }
    }

    fn room(&self, stride: usize) -> usize {
        stride * stride * self.phase + LANES
    }

    /// Where the values that a tap sees begin.
    #[inline(always)]
    fn place(&self, stride: usize, ky: usize, kx: usize) -> usize {
        (ky % stride * stride + kx % stride) * self.phase + ky / stride * self.line_stride + kx / stride
    }
}

/// Adds lines of `width` values, one after the other, to lines that lie `stride` apart. What is beyond the end of a line
/// is never read.
#[inline(always)]
fn add_lines<T: Element>(from: &[T], width: usize, to: &mut [T], stride: usize) {
    let lines = from.len() / width.max(1);
    for line in 0..lines {
        let (from, to) = (&from[line * width..], &mut to[line * stride..]);
        if from.len() < width + LANES {
            to.iter_mut().zip(&from[..width]).for_each(|(to, &from)| *to += from);
            continue;
        }
        for start in (0..width).step_by(LANES) {
            if let (Some(to), Some(from)) =
                (to[start..].first_chunk_mut::<LANES>(), from[start..].first_chunk::<LANES>())
            {
                for l in 0..LANES {
                    to[l] += from[l];
                }
            }
        }
    }
}

/// Adds place X of each part's line to column s·X + part − padding, if there is one.
#[inline(always)]
fn put_together<T: Element>(g: &Geometry, from: &[T], phase: usize, to: &mut [T]) {
    let stride = g.stride;
    for part in 0..stride {
        let before = g.padding.saturating_sub(part).div_ceil(stride);
        let first = before * stride + part - g.padding;
        let end = g.out_width + (g.kernel[1] - 1) * g.dilation / stride;
        let from = &from[part * phase..][before.min(end)..end];
        let to = &mut to[first.min(g.width)..];
        let mut done = 0;
        if stride == 2 {
            for (to, from) in to.chunks_exact_mut(2 * LANES).zip(from.chunks_exact(LANES)) {
                for l in 0..LANES {
                    to[2 * l] += from[l];
                }
                done += LANES;
            }
        }
        let to = to.iter_mut().skip(done * stride).step_by(stride);
        to.zip(&from[done..]).for_each(|(to, &from)| *to += from);
    }
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
