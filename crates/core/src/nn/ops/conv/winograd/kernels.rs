//! Kernels into the transformed domain, and their gradients out of it.

use super::matrices::{Kernel, KernelSums, both_sides};
use super::{IN, POSITIONS};
use crate::nn::ops::conv::geometry::Geometry;
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::pieces;
use pulp::{Arch, Simd, WithSimd};

/// G g Gᵀ of every kernel: `[36, o, c]`.
pub(super) fn kernels<T: Element>(g: &Geometry, weight: &[T], flipped: bool) -> Vec<T> {
    let (c, o) = (g.in_channels, g.out_channels);
    // [o, 36, c] first, one thread an output; the products want [36, o, c]
    let rows = pieces(o * POSITIONS * c, POSITIONS * c, |row, out| {
        Arch::new().dispatch(Kernels { weight, flipped, o, c, row, out });
    });
    pieces(POSITIONS * o * c, o * c, |position, out| {
        for (row, out) in out.chunks_exact_mut(c).enumerate() {
            out.copy_from_slice(&rows[(row * POSITIONS + position) * c..][..c]);
        }
    })
}

struct Kernels<'a, T> {
    weight: &'a [T],
    flipped: bool,
    o: usize,
    c: usize,
    row: usize,
    /// `[36, c]`
    out: &'a mut [T],
}

impl<T: Element> WithSimd for Kernels<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        const L: usize = 16;
        for first in (0..self.c).step_by(L) {
            let count = L.min(self.c - first);
            let mut values = [[[T::zero(); L]; 3]; 3];
            for (lane, channel) in (first..first + count).enumerate() {
                let at = if self.flipped { channel * self.o + self.row } else { self.row * self.c + channel };
                for (tap, &value) in self.weight[at * 9..][..9].iter().enumerate() {
                    let tap = if self.flipped { 8 - tap } else { tap };
                    values[tap / 3][tap % 3][lane] = value;
                }
            }
            both_sides::<Kernel, T, L, 3, IN>(
                #[inline(always)]
                |i, j| &values[i][j],
                #[inline(always)]
                |i, row| {
                    for (j, lanes) in row.iter().enumerate() {
                        self.out[(i * IN + j) * self.c + first..][..count].copy_from_slice(&lanes[..count]);
                    }
                },
            );
        }
    }
}

/// Gᵀ u G of the sums of one output: `[c, 3, 3]`.
pub(super) struct KernelGradient<'a, T> {
    /// `[36, o, c]`
    pub(super) sums: &'a [T],
    pub(super) o: usize,
    pub(super) c: usize,
    pub(super) row: usize,
    pub(super) out: &'a mut [T],
}

impl<T: Element> WithSimd for KernelGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        const L: usize = 16;
        for first in (0..self.c).step_by(L) {
            let count = L.min(self.c - first);
            let mut values = [[[T::zero(); L]; IN]; IN];
            for (position, lanes) in values.as_flattened_mut().iter_mut().enumerate() {
                let from = &self.sums[(position * self.o + self.row) * self.c + first..][..count];
                lanes[..count].copy_from_slice(from);
            }
            let mut gradient = [[[T::zero(); L]; 3]; 3];
            both_sides::<KernelSums, T, L, IN, 3>(
                #[inline(always)]
                |i, j| &values[i][j],
                #[inline(always)]
                |i, row| gradient[i] = *row,
            );
            for (lane, out) in self.out[first * 9..].chunks_exact_mut(9).take(count).enumerate() {
                for (tap, out) in out.iter_mut().enumerate() {
                    *out = gradient[tap / 3][tap % 3][lane];
                }
            }
        }
    }
}
