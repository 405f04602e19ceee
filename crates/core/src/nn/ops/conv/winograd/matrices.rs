//! The matrices of the transforms, applied to vectors of tiles.

use super::{IN, OUT};
use crate::Float;

/// The powers of the points ±a and ±b, and the scales of G.
struct Points;

impl Points {
    const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const B: f64 = std::f64::consts::SQRT_2;
    const A2: f64 = 0.5;
    const B2: f64 = 2.0;
    const A3: f64 = 0.5 * Self::A;
    const B3: f64 = 2.0 * Self::B;
    /// 1 / (2a²(a² − b²)) and 1 / (2b²(b² − a²)); 1 / (a²b²) is 1.
    const SCALE_A: f64 = -2.0 / 3.0;
    const SCALE_B: f64 = 1.0 / 6.0;
}

/// Some tiles' values at one position.
pub(super) type Lanes<T, const L: usize> = [T; L];

/// One of the matrices: N rows to M.
pub(super) trait Side<const N: usize, const M: usize> {
    fn apply<T: Float, const L: usize>(from: [&Lanes<T, L>; N], out: &mut [Lanes<T, L>; M]);
}

/// Bᵀ d.
pub(super) struct Input;

impl Side<IN, IN> for Input {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(d: [&Lanes<T, L>; IN], out: &mut [Lanes<T, L>; IN]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let middle = T::of(Points::A2 + Points::B2);
        for l in 0..L {
            let [d0, d1, d2, d3, d4, d5] = [d[0][l], d[1][l], d[2][l], d[3][l], d[4][l], d[5][l]];
            let (even_a, odd_a) = (d4 - b2 * d2, a * (d3 - b2 * d1));
            let (even_b, odd_b) = (d4 - a2 * d2, b * (d3 - a2 * d1));
            out[0][l] = d0 - middle * d2 + d4;
            out[1][l] = even_a + odd_a;
            out[2][l] = even_a - odd_a;
            out[3][l] = even_b + odd_b;
            out[4][l] = even_b - odd_b;
            out[5][l] = d1 - middle * d3 + d5;
        }
    }
}

/// Aᵀ m.
pub(super) struct Output;

impl Side<IN, OUT> for Output {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(m: [&Lanes<T, L>; IN], out: &mut [Lanes<T, L>; OUT]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let (a3, b3) = (T::of(Points::A3), T::of(Points::B3));
        for l in 0..L {
            let (even_a, odd_a) = (m[1][l] + m[2][l], m[1][l] - m[2][l]);
            let (even_b, odd_b) = (m[3][l] + m[4][l], m[3][l] - m[4][l]);
            out[0][l] = m[0][l] + even_a + even_b;
            out[1][l] = a * odd_a + b * odd_b;
            out[2][l] = a2 * even_a + b2 * even_b;
            out[3][l] = a3 * odd_a + b3 * odd_b + m[5][l];
        }
    }
}

/// A dy.
pub(super) struct Gradient;

impl Side<OUT, IN> for Gradient {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(dy: [&Lanes<T, L>; OUT], out: &mut [Lanes<T, L>; IN]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let (a3, b3) = (T::of(Points::A3), T::of(Points::B3));
        for l in 0..L {
            let [y0, y1, y2, y3] = [dy[0][l], dy[1][l], dy[2][l], dy[3][l]];
            let (even_a, odd_a) = (y0 + a2 * y2, a * y1 + a3 * y3);
            let (even_b, odd_b) = (y0 + b2 * y2, b * y1 + b3 * y3);
            out[0][l] = y0;
            out[1][l] = even_a + odd_a;
            out[2][l] = even_a - odd_a;
            out[3][l] = even_b + odd_b;
            out[4][l] = even_b - odd_b;
            out[5][l] = y3;
        }
    }
}

/// G g.
pub(super) struct Kernel;

impl Side<3, IN> for Kernel {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(g: [&Lanes<T, L>; 3], out: &mut [Lanes<T, L>; IN]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let (scale_a, scale_b) = (T::of(Points::SCALE_A), T::of(Points::SCALE_B));
        for l in 0..L {
            let [g0, g1, g2] = [g[0][l], g[1][l], g[2][l]];
            let (even_a, odd_a) = (scale_a * (g0 + a2 * g2), scale_a * a * g1);
            let (even_b, odd_b) = (scale_b * (g0 + b2 * g2), scale_b * b * g1);
            out[0][l] = g0;
            out[1][l] = even_a + odd_a;
            out[2][l] = even_a - odd_a;
            out[3][l] = even_b + odd_b;
            out[4][l] = even_b - odd_b;
            out[5][l] = g2;
        }
    }
}

/// Gᵀ u.
pub(super) struct KernelSums;

impl Side<IN, 3> for KernelSums {
    #[inline(always)]
    fn apply<T: Float, const L: usize>(u: [&Lanes<T, L>; IN], out: &mut [Lanes<T, L>; 3]) {
        let (a, b, a2, b2) = (T::of(Points::A), T::of(Points::B), T::of(Points::A2), T::of(Points::B2));
        let (scale_a, scale_b) = (T::of(Points::SCALE_A), T::of(Points::SCALE_B));
        for l in 0..L {
            let (even_a, odd_a) = (scale_a * (u[1][l] + u[2][l]), scale_a * a * (u[1][l] - u[2][l]));
            let (even_b, odd_b) = (scale_b * (u[3][l] + u[4][l]), scale_b * b * (u[3][l] - u[4][l]));
            out[0][l] = u[0][l] + even_a + even_b;
            out[1][l] = odd_a + odd_b;
            out[2][l] = a2 * even_a + b2 * even_b + u[5][l];
        }
    }
}

/// Applies a transform to both sides of the N x N values that `load` gives by row and column, and hands each row of
/// the result to `store`.
#[inline(always)]
pub(super) fn both_sides<'a, R: Side<N, M>, T: Float, const L: usize, const N: usize, const M: usize>(
    load: impl Fn(usize, usize) -> &'a Lanes<T, L>,
    mut store: impl FnMut(usize, &[Lanes<T, L>; M]),
) {
    // after the first side: [column][transformed row]
    let mut half = [[[T::zero(); L]; M]; N];
    for (column, half) in half.iter_mut().enumerate() {
        R::apply(
            std::array::from_fn(
                #[inline(always)]
                |row| load(row, column),
            ),
            half,
        );
    }
    #[allow(clippy::needless_range_loop, reason = "a row of what is stored by columns")]
    for row in 0..M {
        let mut out = [[T::zero(); L]; M];
        R::apply(
            std::array::from_fn(
                #[inline(always)]
                |column| &half[column][row],
            ),
            &mut out,
        );
        store(row, &out);
    }
}
