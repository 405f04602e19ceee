//! Kernels into the transformed domain, and their gradients out of it.

use super::lines::LANES;
use super::matrices::{Kernel, KernelSums, Side, both_sides};
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::pieces;
use pulp::{Arch, Simd, WithSimd};

/// G g Gᵀ of every kernel: `[N², o, c]`. weight: `[o, c, K, K]` (or `[c, o, K, K]` when `flipped`, to be transposed and
/// rotated by half a turn).
pub(in crate::nn::ops::conv) fn kernels<T: Element, const N: usize, const K: usize>(
    [o, c]: [usize; 2],
    weight: &[T],
    flipped: bool,
) -> Vec<T>
where
    Kernel: Side<K, N>,
{
    // [o, N², c] first, one thread an output; the products want [N², o, c]
    let rows = pieces(o * N * N * c, N * N * c, |row, out| {
        Arch::new().dispatch(Kernels::<T, N, K> { weight, flipped, o, c, row, out });
    });
    pieces(N * N * o * c, o * c, |position, out| {
        for (row, out) in out.chunks_exact_mut(c).enumerate() {
            out.copy_from_slice(&rows[(row * N * N + position) * c..][..c]);
        }
    })
}

struct Kernels<'a, T, const N: usize, const K: usize> {
    weight: &'a [T],
    flipped: bool,
    o: usize,
    c: usize,
    row: usize,
    /// `[N², c]`
    out: &'a mut [T],
}

impl<T: Element, const N: usize, const K: usize> WithSimd for Kernels<'_, T, N, K>
where
    Kernel: Side<K, N>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for first in (0..self.c).step_by(LANES) {
            let count = LANES.min(self.c - first);
            let mut values = [[[T::zero(); LANES]; K]; K];
            for (lane, channel) in (first..first + count).enumerate() {
                let at = if self.flipped { channel * self.o + self.row } else { self.row * self.c + channel };
                for (tap, &value) in self.weight[at * K * K..][..K * K].iter().enumerate() {
                    let tap = if self.flipped { K * K - 1 - tap } else { tap };
                    values[tap / K][tap % K][lane] = value;
                }
            }
            both_sides::<Kernel, T, LANES, K, N>(
                #[inline(always)]
                |i, j| &values[i][j],
                #[inline(always)]
                |i, row| {
                    for (j, lanes) in row.iter().enumerate() {
                        self.out[(i * N + j) * self.c + first..][..count].copy_from_slice(&lanes[..count]);
                    }
                },
            );
        }
    }
}

/// Gᵀ u G of the sums of one output: `[c, K, K]`.
pub(super) struct KernelGradient<'a, T, const N: usize, const K: usize> {
    /// `[N², o, c]`
    pub(super) sums: &'a [T],
    pub(super) o: usize,
    pub(super) c: usize,
    pub(super) row: usize,
    pub(super) out: &'a mut [T],
}

impl<T: Element, const N: usize, const K: usize> WithSimd for KernelGradient<'_, T, N, K>
where
    KernelSums: Side<N, K>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for first in (0..self.c).step_by(LANES) {
            let count = LANES.min(self.c - first);
            let mut values = [[[T::zero(); LANES]; N]; N];
            for (position, lanes) in values.as_flattened_mut().iter_mut().enumerate() {
                let from = &self.sums[(position * self.o + self.row) * self.c + first..][..count];
                lanes[..count].copy_from_slice(from);
            }
            let mut gradient = [[[T::zero(); LANES]; K]; K];
            both_sides::<KernelSums, T, LANES, N, K>(
                #[inline(always)]
                |i, j| &values[i][j],
                #[inline(always)]
                |i, row| gradient[i] = *row,
            );
            for (lane, out) in self.out[first * K * K..].chunks_exact_mut(K * K).take(count).enumerate() {
                for (tap, out) in out.iter_mut().enumerate() {
                    *out = gradient[tap / K][tap % K][lane];
                }
            }
        }
    }
}
