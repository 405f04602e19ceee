//! Lines of images in the order in which vectors of tiles read them.

use super::SLACK;
use crate::nn::ops::element::Element;

/// Lines of an image taken apart so that neighbouring tiles lie side by side: column 4t + k is number t of part k.
pub(super) struct Planes<'a, T> {
    values: &'a mut [T],
    width: usize,
    stride: usize,
}

impl<'a, T: Element> Planes<'a, T> {
    /// Values that so many lines of so many tiles need.
    pub(super) fn size(width: usize, lines: usize) -> usize {
        lines * 4 * (width + SLACK)
    }

    #[inline(always)]
    pub(super) fn new(values: &'a mut [T], width: usize) -> Self {
        Planes { values, width, stride: width + SLACK }
    }

    /// The line with `padding` zeros before it and zeros after it, or only zeros.
    #[inline(always)]
    pub(super) fn fill(&mut self, line: usize, from: Option<&[T]>, padding: usize) {
        let stride = self.stride;
        let parts = &mut self.values[line * 4 * stride..][..4 * stride];
        let Some(from) = from else { return parts.iter_mut().for_each(|v| *v = T::zero()) };
        let columns = 4 * self.width;
        let from = &from[..from.len().min(columns - padding)];
        let (whole, rest) = from.as_chunks();
        for (i, fours) in whole.iter().enumerate() {
            take_apart(fours, parts, stride, padding + 4 * FOURS * i);
        }
        if !rest.is_empty() {
            let mut fours = [T::zero(); 4 * FOURS];
            fours.iter_mut().zip(rest).for_each(|(to, &from)| *to = from);
            take_apart(&fours, parts, stride, padding + 4 * FOURS * whole.len());
        }
        for column in (0..padding).chain(padding + from.len()..columns) {
            parts[column % 4 * stride + column / 4] = T::zero();
        }
    }

    /// Column j of the tiles from `first` on.
    #[inline(always)]
    pub(super) fn tiles(&self, line: usize, j: usize, first: usize) -> &[T] {
        &self.values[(line * 4 + j % 4) * self.stride + first + j / 4..]
    }
}

/// Fours of columns that are taken apart at a time.
const FOURS: usize = 8;

/// Writes the value r of each four to part (r + column) mod 4, from its number (r + column) / 4 on.
#[inline(always)]
fn take_apart<T: Element>(fours: &[T; 4 * FOURS], parts: &mut [T], stride: usize, column: usize) {
    for r in 0..4 {
        let mut part = [T::zero(); FOURS];
        for (part, four) in part.iter_mut().zip(fours.chunks_exact(4)) {
            *part = four[r];
        }
        let at = (r + column) % 4 * stride + (r + column) / 4;
        parts[at..at + FOURS].copy_from_slice(&part);
    }
}
