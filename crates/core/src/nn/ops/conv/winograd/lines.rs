//! Lines of images in the order in which vectors of tiles read them.

use super::OUT;
use crate::nn::ops::element::Element;
use std::ops::Range;

/// Tiles in a vector. Vectors go beyond the last tile: everything has room for so many more.
pub(super) const LANES: usize = 16;
/// Tiles whose columns are taken apart together.
const FEW: usize = 8;

/// Where some rows of tiles lie in a plane, with zeros around it.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) size: [usize; 2],
    /// Zeros around it.
    pub(super) padding: usize,
    pub(super) rows: Range<usize>,
    pub(super) across: usize,
}

/// The values of tiles of N x N pixels, four apart: those of one place side by side, tile by tile.
///
/// All lines go through each of three stages together: what has just been written in short pieces cannot be read
/// by vectors at once.
pub(super) struct Gathered<'a, T, const N: usize> {
    /// `[N · N, tiles]`
    places: &'a mut [T],
    stride: usize,
    /// Lines between their zeros, `OUT · width` columns each.
    padded: &'a mut [T],
    width: usize,
    /// Column 4t + k of a line is number t of its part k.
    parts: &'a mut [T],
    part: usize,
}

impl<'a, T: Element, const N: usize> Gathered<'a, T, N> {
    /// Values that `new` needs for so many images.
    pub(super) fn room(images: usize, rows: usize, across: usize) -> usize {
        let (lines, width) = (images * Self::lines(rows), Self::width(across));
        N * N * (images * rows * across + LANES) + OUT * lines * (2 * width + LANES)
    }

    /// Lines that some rows of tiles take.
    fn lines(rows: usize) -> usize {
        OUT * rows + N - OUT
    }

    /// One tile more than are across, in whole pieces.
    fn width(across: usize) -> usize {
        (across + 1).next_multiple_of(FEW)
    }

    #[inline(always)]
    pub(super) fn new(room: &'a mut [T], images: usize, rows: &Rows) -> Self {
        let (lines, width) = (images * Self::lines(rows.rows.len()), Self::width(rows.across));
        let (stride, part) = (images * rows.rows.len() * rows.across + LANES, width + LANES);
        let (places, rest) = room.split_at_mut(N * N * stride);
        let (padded, parts) = rest.split_at_mut(lines * OUT * width);
        padded.fill(T::zero());
        Gathered { places, stride, padded, width, parts: &mut parts[..lines * OUT * part], part }
    }

    /// Takes the rows of tiles of the plane of each image.
    #[inline(always)]
    pub(super) fn take<'p>(&mut self, images: usize, plane: impl Fn(usize) -> &'p [T], rows: &Rows)
    where
        T: 'p,
    {
        let Rows { size: [height, width], padding, rows, across } = rows;
        let lines = Self::lines(rows.len());
        let kept = (*width).min(OUT * self.width - padding);
        let padded = self.padded.chunks_exact_mut(OUT * self.width);
        for (line, padded) in padded.enumerate() {
            let y = (rows.start * OUT + line % lines).checked_sub(*padding).filter(|y| y < height);
            // lines outside stay zeros
            if let Some(y) = y {
                copy(&mut padded[*padding..], &plane(line / lines)[y * width..][..kept]);
            }
        }
        let fours = self.padded.as_chunks::<{ OUT * FEW }>().0.chunks_exact(self.width / FEW);
        for (fours, parts) in fours.zip(self.parts.chunks_exact_mut(OUT * self.part)) {
            for (v, &fours) in fours.iter().enumerate() {
                for k in 0..OUT {
                    let values: [T; FEW] = std::array::from_fn(
                        #[inline(always)]
                        |lane| fours[OUT * lane + k],
                    );
                    parts[k * self.part + v * FEW..][..FEW].copy_from_slice(&values);
                }
            }
        }
        for image in 0..images {
            for line in 0..lines {
                // a line is within one row of tiles, and the first ones are the last of the row before
                let (row, i) = (line / OUT, line % OUT);
                let first = (image * rows.len() + row) * across;
                if row < rows.len() {
                    self.put(image * lines + line, i, first, *across);
                }
                if row > 0 && i + OUT < N {
                    self.put(image * lines + line, i + OUT, first - across, *across);
                }
            }
        }
    }

    /// A line as line i of a row of tiles.
    #[inline(always)]
    fn put(&mut self, line: usize, i: usize, first: usize, across: usize) {
        for j in 0..N {
            let from = &self.parts[(line * OUT + j % OUT) * self.part + j / OUT..];
            let to = &mut self.places[(i * N + j) * self.stride + first..];
            // what is beyond the row, the next one writes over
            for v in (0..across).step_by(LANES) {
                to[v..v + LANES].copy_from_slice(&from[v..v + LANES]);
            }
        }
    }

    /// Pixel (i, j) of the tiles from `first` on.
    #[inline(always)]
    pub(super) fn tiles(&self, i: usize, j: usize, first: usize) -> &[T; LANES] {
        lanes(&self.places[(i * N + j) * self.stride + first..])
    }
}

/// A short copy, without a call.
#[inline(always)]
pub(super) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    let to = &mut to[..from.len()];
    let (whole, rest) = from.as_chunks::<8>();
    let (to_whole, to_rest) = to.as_chunks_mut::<8>();
    to_whole.iter_mut().zip(whole).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
}

/// The values of the next tiles.
#[inline(always)]
pub(super) fn lanes<T>(from: &[T]) -> &[T; LANES] {
    match from.first_chunk() {
        Some(lanes) => lanes,
        None => unreachable!("everything has room for whole vectors"),
    }
}
