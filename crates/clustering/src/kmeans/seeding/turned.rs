//! What trials would change where rows are short: sixteen rows side by side.
//!
//! Short rows cost more to find, fetch and sum up one by one than to measure. A copy of the table, made once, holds the
//! coordinates of sixteen rows side by side: it is read from one end to the other in each step, all distances come from full
//! registers, and no sum over lanes is left at the end.

use super::block::Block;
use super::trials::Trials;
use ndarray::ArrayRef2;
use pulp::{Simd, WithSimd};
use std::ops::Range;
use unsup_core::math::{Nearest, fetch};

/// Rows side by side.
pub(super) const SIDE: usize = 16;
/// Lines of sixteen values that are fetched before they are needed.
const AHEAD: usize = 64;
/// Coordinates up to which rows count as short.
const SHORT: usize = 32;

/// Whether rows of so many coordinates are short.
pub(super) fn short(width: usize) -> bool {
    width <= SHORT
}

/// Rows of a table, sixteen after sixteen, each sixteen coordinate by coordinate; zeros fill the last ones up.
pub(super) fn turned<F: Nearest>(x: &ArrayRef2<F>, rows: Range<usize>) -> Vec<[F; SIDE]> {
    let d = x.ncols();
    let mut turned = vec![[F::zero(); SIDE]; rows.len().div_ceil(SIDE) * d];
    for (i, row) in rows.enumerate() {
        for (line, &value) in turned[i / SIDE * d..][..d].iter_mut().zip(x.row(row)) {
            line[i % SIDE] = value;
        }
    }
    turned
}

/// What the trials would gain in a block.
pub(super) struct TryTurned<'a, F> {
    pub(super) weights: Option<&'a [f64]>,
    pub(super) trials: &'a Trials<F>,
    pub(super) block: &'a mut Block<F>,
}

impl<F: Nearest> WithSimd for TryTurned<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let TryTurned { weights, trials, block } = self;
        let (count, width) = (trials.count, trials.width);
        let Block { rows, distances, turned, gains: totals, nearer, fresh: kept, .. } = block;
        nearer.clear();
        kept.clear();
        let mut gains = vec![[0.0; SIDE]; count];
        let mut fresh = vec![[F::zero(); SIDE]; count];
        for (g, (lines, distances)) in turned.chunks_exact(width).zip(distances.chunks(SIDE)).enumerate() {
            let next = (g * width + AHEAD).min(turned.len());
            let ahead = &turned[next..(next + width).min(turned.len())];
            // nothing is nearer to a row that is not there
            let mut old = [F::neg_infinity(); SIDE];
            old[..distances.len()].copy_from_slice(distances);
            trials.measure_turned(lines, ahead, &mut fresh);
            let mut least = [F::infinity(); SIDE];
            for fresh in &fresh {
                for l in 0..SIDE {
                    least[l] = if fresh[l] < least[l] { fresh[l] } else { least[l] };
                }
            }
            let mut any = false;
            for l in 0..SIDE {
                any |= least[l] < old[l];
            }
            if !any {
                continue;
            }
            let at = g * SIDE;
            for (gains, fresh) in gains.iter_mut().zip(&fresh) {
                let mut gain = [F::zero(); SIDE];
                for l in 0..SIDE {
                    gain[l] = if fresh[l] < old[l] { old[l] - fresh[l] } else { F::zero() };
                }
                match weights {
                    None => (0..SIDE).for_each(|l| gains[l] += gain[l].f64()),
                    Some(weights) => {
                        let weights = &weights[rows.start + at..rows.end];
                        let weighed = gains.iter_mut().zip(&gain).zip(weights);
                        weighed.for_each(|((sum, gain), weight)| *sum += weight * gain.f64());
                    }
                }
            }
            for l in 0..SIDE {
                if least[l] < old[l] {
                    nearer.push((at + l) as u32);
                    kept.extend(fresh.iter().map(|fresh| fresh[l]));
                }
            }
        }
        totals.clear();
        totals.extend(gains.iter().map(|gains| gains.iter().sum::<f64>()));
    }
}

impl<F: Nearest> Trials<F> {
    /// The squared distances of sixteen turned rows from all trials: `out` has sixteen a trial. The lines `ahead`, as many or
    /// fewer, are fetched meanwhile.
    ///
    /// Plain loops, to be compiled for the instruction set at hand: call it inside a dispatch.
    #[inline(always)]
    fn measure_turned(&self, lines: &[[F; SIDE]], mut ahead: &[[F; SIDE]], out: &mut [[F; SIDE]]) {
        // as many sums as registers hold
        const MOST: usize = 4;
        let most = if size_of::<F>() > 4 { MOST / 2 } else { MOST };
        let points = self.rows.chunks(most * self.width);
        for (points, out) in points.zip(out.chunks_mut(most)) {
            match out.len() {
                MOST => measure::<F, MOST>(lines, points, ahead, out),
                3 => measure::<F, 3>(lines, points, ahead, out),
                2 => measure::<F, 2>(lines, points, ahead, out),
                _ => measure::<F, 1>(lines, points, ahead, out),
            }
            ahead = &[];
        }
    }
}

#[inline(always)]
fn measure<F: Nearest, const T: usize>(
    lines: &[[F; SIDE]],
    points: &[F],
    ahead: &[[F; SIDE]],
    out: &mut [[F; SIDE]],
) {
    let width = lines.len();
    let mut coordinates: [&[F]; T] = [&[]; T];
    for (t, point) in points.chunks_exact(width).enumerate().take(T) {
        coordinates[t] = &point[..width];
    }
    let mut sums = [[F::zero(); SIDE]; T];
    for (j, line) in (0..width).zip(lines) {
        if let Some(line) = ahead.get(j) {
            fetch(line);
        }
        for t in 0..T {
            let point = coordinates[t][j];
            for l in 0..SIDE {
                let difference = line[l] - point;
                sums[t][l] = difference.mul_add(difference, sums[t][l]);
            }
        }
    }
    out.copy_from_slice(&sums);
}
