//! Unrolling with strides, and back: planes are taken apart into the phases of the stride first, in which the values that a
//! tap sees lie side by side.

use super::geometry::{Block, Geometry, Tile};
use crate::nn::ops::element::Element;
use pulp::{Simd, WithSimd};

/// Values copied at a time; of the shortest lines, half as many.
const LANES: usize = 8;
const SHORT: usize = LANES / 2;

/// Whether lines of this width are copied without touching what lies beyond them.
pub(super) fn in_whole_pieces(width: usize) -> bool {
    width == SHORT || width.is_multiple_of(LANES)
}

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
    fn new(tile: &Tile<'_>) -> Self {
        let (g, rows) = (tile.g, tile.rows.len());
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

    /// Where the two parts of stride 2 begin, that of the first column first, and how many values both have.
    fn pair(&self) -> Option<([usize; 2], usize)> {
        let [a, b] = &self.parts[..] else { return None };
        let start = |number: usize| number * self.phase + self.parts[number].before;
        let starts = match (a.first, b.first) {
            (0, 1) => [start(0), start(1)],
            (1, 0) => [start(1), start(0)],
            _ => return None,
        };
        (self.stride == 2).then_some((starts, a.inside.min(b.inside)))
    }

    /// Takes apart the line that `from` begins with.
    #[inline(always)]
    fn take_apart<T: Element>(&self, from: &[T], to: &mut [T]) {
        // more than needed: the values themselves come later
        for (number, part) in self.parts.iter().enumerate() {
            zeros(&mut to[number * self.phase..][..self.line_stride], part.before);
        }
        let mut done = 0;
        if let Some(([even, odd], both)) = self.pair() {
            while done + SHORT <= both {
                let Some(from) = from[2 * done..].first_chunk::<{ 2 * SHORT }>() else { break };
                let from = *from;
                for (start, odd) in [(even, 0), (odd, 1)] {
                    to[start + done..start + done + SHORT].copy_from_slice(
                        &std::array::from_fn::<T, SHORT, _>(
                            #[inline(always)]
                            |l| from[2 * l + odd],
                        ),
                    );
                }
                done += SHORT;
            }
        }
        for (number, &Part { before, first, inside }) in self.parts.iter().enumerate() {
            let to = &mut to[number * self.phase..][..self.line_stride];
            let from = &from[first..];
            for at in done..inside {
                to[before + at] = from[at * self.stride];
            }
            zeros(&mut to[before + inside..], self.width - before - inside);
        }
    }

    /// Adds a line of the phases back to where it was taken from.
    #[inline(always)]
    fn put_together<T: Element>(&self, from: &[T], to: &mut [T]) {
        let mut done = 0;
        if let Some(([even, odd], both)) = self.pair() {
            let pieces = to.as_chunks_mut::<{ 2 * SHORT }>().0.iter_mut();
            for (to, (even, odd)) in pieces.zip(pieces_of(&from[even..], &from[odd..])).take(both / SHORT) {
                let mut sum = *to;
                for l in 0..SHORT {
                    sum[2 * l] += even[l];
                    sum[2 * l + 1] += odd[l];
                }
                *to = sum;
                done += SHORT;
            }
        }
        for (number, &Part { before, first, inside }) in self.parts.iter().enumerate() {
            let from = &from[number * self.phase + before..][..inside];
            let to = &mut to[first..];
            for at in done..inside {
                to[at * self.stride] += from[at];
            }
        }
    }
}

/// Two lines in short pieces, side by side.
#[inline(always)]
fn pieces_of<'a, T>(a: &'a [T], b: &'a [T]) -> impl Iterator<Item = ([T; SHORT], [T; SHORT])> + use<'a, T>
where
    T: Element,
{
    a.as_chunks::<SHORT>().0.iter().copied().zip(b.as_chunks::<SHORT>().0.iter().copied())
}

/// Writes at least so many zeros, in whole pieces.
#[inline(always)]
fn zeros<T: Element>(to: &mut [T], count: usize) {
    for to in to.as_chunks_mut::<LANES>().0.iter_mut().take(count.div_ceil(LANES)) {
        *to = [T::zero(); LANES];
    }
}

/// See [`im2col`](super::unroll::im2col).
pub(super) struct Strided<'a, T> {
    pub(super) tile: &'a Tile<'a>,
    pub(super) block: &'a Block,
    pub(super) x: &'a [T],
    pub(super) panel: usize,
    pub(super) columns: &'a mut [T],
    pub(super) phases: &'a mut Vec<T>,
}

impl<T: Element> WithSimd for Strided<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Strided { tile, block, x, panel, columns, phases } = self;
        let (g, plan) = (tile.g, Phases::new(tile));
        let (room, area, taps) = (plan.room(), g.kernel[0] * g.kernel[1], block.taps(g).len());
        let lines = Lines::new(tile, panel, taps, &plan);
        // gaps between lines are read, but what comes of them is written over
        phases.resize(phases.len().max(tile.images * room), T::zero());
        for (number, channel) in block.channels.clone().enumerate() {
            // all images first: what has just been written in pieces cannot be read by other pieces at once
            for (x, phases) in x.chunks_exact(g.in_image()).zip(phases.chunks_exact_mut(room)) {
                let plane = &x[channel * g.in_pixels()..][..g.in_pixels()];
                plan.for_lines(
                    g,
                    tile.rows.start * g.stride,
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
            for (tap, &from) in plan.taps.iter().enumerate() {
                let row = (number * area + tap) * panel;
                lines.copy(&phases[from..], &mut columns[row..]);
            }
        }
    }
}

/// The lines of a tile's outputs, in pieces that lie in one panel.
struct Lines {
    /// Where each begins among the phases and among the columns.
    places: Vec<(usize, usize)>,
    width: usize,
}

impl Lines {
    /// For panels of `taps` rows.
    fn new(tile: &Tile<'_>, panel: usize, taps: usize, plan: &Phases) -> Self {
        let (rows, out_width) = (tile.rows.len(), tile.g.out_width);
        let width = out_width.min(panel);
        let place = |at: usize| {
            let (line, column) = (at / out_width, at % out_width);
            let from = line / rows * plan.room() + line % rows * plan.line_stride + column;
            (from, at / panel * panel * taps + at % panel)
        };
        Lines { places: (0..tile.pixels()).step_by(width).map(place).collect(), width }
    }

    /// Copies the values that a tap sees. What is beyond the end of a line, the next one or the next tap writes over.
    #[inline(always)]
    fn copy<T: Element>(&self, from: &[T], to: &mut [T]) {
        #[inline(always)]
        fn pieces<T: Element, const N: usize>(from: &[T], to: &mut [T], width: usize) {
            for start in (0..width).step_by(N) {
                if let (Some(to), Some(from)) =
                    (to[start..].first_chunk_mut::<N>(), from[start..].first_chunk::<N>())
                {
                    *to = *from;
                }
            }
        }
        match self.width {
            SHORT => self.places.iter().for_each(
                #[inline(always)]
                |&(from_at, at)| pieces::<T, SHORT>(&from[from_at..], &mut to[at..], SHORT),
            ),
            LANES => self.places.iter().for_each(
                #[inline(always)]
                |&(from_at, at)| pieces::<T, LANES>(&from[from_at..], &mut to[at..], LANES),
            ),
            width => {
                for &(from_at, at) in &self.places {
                    let (from, to) = (&from[from_at..], &mut to[at..]);
                    if to.len() < width.next_multiple_of(LANES) {
                        to[..width].copy_from_slice(&from[..width]);
                    } else {
                        pieces::<T, LANES>(from, to, width);
                    }
                }
            }
        }
    }
}

/// The transpose of [`Strided`]: the taps are added up in the phases, which are then put together.
pub(super) struct Back<'a, T> {
    pub(super) tile: &'a Tile<'a>,
    pub(super) block: &'a Block,
    pub(super) columns: &'a [T],
    pub(super) x: &'a mut [T],
    pub(super) phases: &'a mut Vec<T>,
}

impl<T: Element> WithSimd for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Back { tile, block, columns, x, phases } = self;
        let (g, plan) = (tile.g, Phases::new(tile));
        let (room, area, pixels) = (plan.room(), g.kernel[0] * g.kernel[1], tile.pixels());
        for (number, channel) in block.channels.clone().enumerate() {
            phases.clear();
            phases.resize(tile.images * room, T::zero());
            let columns = columns[number * area * pixels..].chunks_exact(pixels);
            for (columns, &tap) in columns.zip(&plan.taps) {
                let of_image = columns.chunks_exact(pixels / tile.images);
                for (from, phases) in of_image.zip(phases.chunks_exact_mut(room)) {
                    add_lines(from, g.out_width, &mut phases[tap..], plan.line_stride);
                }
            }
            for (x, phases) in x.chunks_exact_mut(g.in_image()).zip(phases.chunks_exact(room)) {
                let plane = &mut x[channel * g.in_pixels()..][..g.in_pixels()];
                plan.for_lines(
                    g,
                    tile.rows.start * g.stride,
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
