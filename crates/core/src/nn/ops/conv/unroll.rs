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

/// Values copied at a time; of the shortest lines, half as many.
const LANES: usize = 8;
const SHORT: usize = LANES / 2;

/// How a plane, with the padding around it, is taken apart for strides s above 1: into s² planes of every s-th row and
/// column, its phases, in which the values of a tap lie side by side.
struct Phases {
    stride: usize,
    /// Lines and columns of a phase that the tile's outputs see.
    lines: usize,
    width: usize,
    /// From one line of a phase to the next: vectors go beyond the end.
    line_stride: usize,
    /// From one phase to the next.
    phase: usize,
    /// Of each phase along a line that is seen.
    parts: Vec<Part>,
    /// Where the values that each tap sees begin.
    taps: Vec<usize>,
}

/// Column s·X + part − padding of a line is number X of a part.
struct Part {
    /// Numbers that lie before the line.
    before: usize,
    /// The first column, and how many there are.
    first: usize,
    inside: usize,
}

impl Phases {
    fn new(g: &Geometry, rows: usize) -> Self {
        let ([kh, kw], stride) = (g.kernel, g.stride);
        let lines = rows + (kh - 1) * g.dilation / stride;
        let width = g.out_width + (kw - 1) * g.dilation / stride;
        let line_stride = width + 2 * LANES;
        let phase = lines * line_stride;
        let part = |part: usize| {
            let before = g.padding.saturating_sub(part).div_ceil(stride).min(width);
            let first = (before * stride + part).saturating_sub(g.padding).min(g.width);
            Part { before, first, inside: (g.width - first).div_ceil(stride).min(width - before) }
        };
        let tap = |tap: usize| {
            let (y, x) = (tap / kw * g.dilation, tap % kw * g.dilation);
            (y % stride * stride + x % stride) * phase + y / stride * line_stride + x / stride
        };
        // a kernel smaller than the stride sees only some parts
        let parts = (0..stride.min((kw - 1) * g.dilation + 1)).map(part).collect();
        Phases { stride, lines, width, line_stride, phase, parts, taps: (0..kh * kw).map(tap).collect() }
    }

    fn room(&self) -> usize {
        self.stride * self.stride * self.phase + LANES
    }

    /// Calls f for the lines that are seen with their place in a plane of the padded image from `top` on, if they are
    /// inside, and where they begin among the phases.
    #[inline(always)]
    fn for_lines(&self, g: &Geometry, top: usize, mut f: impl FnMut(Option<usize>, usize)) {
        for down in 0..self.stride.min((g.kernel[0] - 1) * g.dilation + 1) {
            for line in 0..self.lines {
                let y = (top + line * self.stride + down).checked_sub(g.padding).filter(|&y| y < g.height);
                f(y, down * self.stride * self.phase + line * self.line_stride);
            }
        }
    }

    /// Takes apart the line that `from` begins with.
    #[inline(always)]
    fn take_apart<T: Element>(&self, from: &[T], to: &mut [T]) {
        for (number, &Part { before, first, inside }) in self.parts.iter().enumerate() {
            let to = &mut to[number * self.phase..][..self.line_stride];
            let from = &from[first..];
            zeros(to, before);
            let mut done = 0;
            if self.stride == 2 {
                // what is beyond the end of the line is written over below
                let pieces = to[before..].as_chunks_mut::<LANES>().0.iter_mut();
                for (to, from) in pieces.zip(from.as_chunks::<{ 2 * LANES }>().0) {
                    if done >= inside {
                        break;
                    }
                    let from = *from;
                    *to = std::array::from_fn(
                        #[inline(always)]
                        |l| from[2 * l],
                    );
                    done += LANES;
                }
            }
            for at in done..inside {
                to[before + at] = from[at * self.stride];
            }
            zeros(&mut to[before + inside..], self.width - before - inside);
        }
    }

    /// Adds a line of the phases back to where it was taken from.
    #[inline(always)]
    fn put_together<T: Element>(&self, from: &[T], to: &mut [T]) {
        for (number, &Part { before, first, inside }) in self.parts.iter().enumerate() {
            let from = &from[number * self.phase + before..][..inside];
            let to = &mut to[first..];
            let mut done = 0;
            if self.stride == 2 {
                let pieces = to.as_chunks_mut::<{ 2 * LANES }>().0.iter_mut();
                for (to, from) in pieces.zip(from.as_chunks::<LANES>().0) {
                    let (from, mut sum) = (*from, *to);
                    for l in 0..LANES {
                        sum[2 * l] += from[l];
                    }
                    *to = sum;
                    done += LANES;
                }
            }
            for at in done..inside {
                to[at * self.stride] += from[at];
            }
        }
    }
}

/// Writes at least so many zeros, in whole pieces.
#[inline(always)]
fn zeros<T: Element>(to: &mut [T], count: usize) {
    for to in to.as_chunks_mut::<LANES>().0.iter_mut().take(count.div_ceil(LANES)) {
        *to = [T::zero(); LANES];
    }
}

struct Strided<'a, T> {
    g: &'a Geometry,
    x: &'a [T],
    rows: Range<usize>,
    columns: &'a mut [T],
    phases: &'a mut Vec<T>,
}

impl<T: Element> WithSimd for Strided<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Strided { g, x, rows, columns, phases } = self;
        let (image, area) = (g.in_channels * g.in_pixels(), g.kernel[0] * g.kernel[1]);
        let (images, tile) = (x.len() / image.max(1), rows.len() * g.out_width);
        let plan = Phases::new(g, rows.len());
        let room = plan.room();
        phases.clear();
        phases.resize(images * room, T::zero());
        for channel in 0..g.in_channels {
            // all images first: what has just been written in pieces cannot be read by other pieces at once
            for (i, phases) in phases.chunks_exact_mut(room).enumerate() {
                let plane = &x[i * image + channel * g.in_pixels()..][..g.in_pixels()];
                plan.for_lines(
                    g,
                    rows.start * g.stride,
                    #[inline(always)]
                    |y, place| match y {
                        Some(y) => plan.take_apart(&plane[y * g.width..], &mut phases[place..]),
                        None => {
                            for part in 0..plan.parts.len() {
                                zeros(&mut phases[place + part * plan.phase..], plan.width);
                            }
                        }
                    },
                );
            }
            let columns = columns[channel * area * images * tile..].chunks_exact_mut(images * tile);
            for (columns, &tap) in columns.zip(&plan.taps) {
                for (out, phases) in columns.chunks_exact_mut(tile).zip(phases.chunks_exact(room)) {
                    copy_lines(&phases[tap..], plan.line_stride, out, g.out_width);
                }
            }
        }
    }
}

/// Copies lines of `width` values that lie `stride` apart to one after the other. What is beyond the end of a line, the
/// next one writes over.
#[inline(always)]
fn copy_lines<T: Element>(from: &[T], stride: usize, out: &mut [T], width: usize) {
    if width == SHORT {
        for (out, from) in out.as_chunks_mut::<SHORT>().0.iter_mut().zip(from.chunks(stride)) {
            from.first_chunk().into_iter().for_each(|from| *out = *from);
        }
        return;
    }
    if width.is_multiple_of(LANES) {
        for (out, from) in out.chunks_exact_mut(width).zip(from.chunks(stride)) {
            let pieces = out.as_chunks_mut::<LANES>().0.iter_mut().zip(from.as_chunks::<LANES>().0);
            pieces.for_each(|(out, from)| *out = *from);
        }
        return;
    }
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

/// The transpose of [`Strided`]: the taps are added up in the phases, which are then put together.
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
        let (image, area) = (g.in_channels * g.in_pixels(), g.kernel[0] * g.kernel[1]);
        let (images, tile) = (x.len() / image.max(1), rows.len() * g.out_width);
        let plan = Phases::new(g, rows.len());
        let room = plan.room();
        for channel in 0..g.in_channels {
            phases.clear();
            phases.resize(images * room, T::zero());
            let columns = columns[channel * area * images * tile..].chunks_exact(images * tile);
            for (columns, &tap) in columns.zip(&plan.taps) {
                for (from, phases) in columns.chunks_exact(tile).zip(phases.chunks_exact_mut(room)) {
                    add_lines(from, g.out_width, &mut phases[tap..], plan.line_stride);
                }
            }
            for (i, phases) in phases.chunks_exact(room).enumerate() {
                let plane = &mut x[i * image + channel * g.in_pixels()..][..g.in_pixels()];
                plan.for_lines(
                    g,
                    rows.start * g.stride,
                    #[inline(always)]
                    |y, place| {
                        if let Some(y) = y {
                            plan.put_together(&phases[place..], &mut plane[y * g.width..][..g.width]);
                        }
                    },
                );
            }
        }
    }
}

/// Adds lines of `width` values, one after the other, to lines that lie `stride` apart.
#[inline(always)]
fn add_lines<T: Element>(from: &[T], width: usize, to: &mut [T], stride: usize) {
    #[inline(always)]
    fn add<T: Element, const N: usize>(to: &mut [T; N], from: &[T; N]) {
        let (a, b) = (*to, *from);
        *to = std::array::from_fn(
            #[inline(always)]
            |l| a[l] + b[l],
        );
    }
    if width == SHORT {
        for (from, to) in from.as_chunks::<SHORT>().0.iter().zip(to.chunks_mut(stride)) {
            to.first_chunk_mut().into_iter().for_each(|to| add(to, from));
        }
        return;
    }
    for (from, to) in from.chunks_exact(width.max(1)).zip(to.chunks_mut(stride)) {
        let (whole, rest) = from.as_chunks::<LANES>();
        let (to_whole, to_rest) = to[..width].as_chunks_mut::<LANES>();
        to_whole.iter_mut().zip(whole).for_each(|(to, from)| add(to, from));
        to_rest.iter_mut().zip(rest).for_each(|(to, &from)| *to += from);
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
