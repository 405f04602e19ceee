//! Whether a score of a row exceeds its threshold: a test that rules out candidates at half the cost of their distances.
//!
//! Eight rows, wherever they lie in the table, meet a register of candidates: eight chains of multiply-adds keep the processor
//! busy. The rows that come next are fetched meanwhile: memory is what such a pass waits for.

use super::fetch::fetch;
use super::{Candidates, ROW_TILE};
use pulp::{Simd, WithSimd};

/// Rows that are scored together.
const ROWS: usize = 8;

/// Rows are fetched so many bytes before they are needed: the best of half a KiB to 8.
const AHEAD: usize = 1024;

macro_rules! kernel {
    ($float:ident, $register:ident, $lanes:ident, $splat:ident, $fma:ident, $max:ident, $greatest:ident, $simd:ident) => {
        pub(in crate::math) struct Exceed<'a> {
            pub(in crate::math) candidates: &'a Candidates<$float>,
            pub(in crate::math) table: &'a [$float],
            pub(in crate::math) rows: &'a [usize],
            pub(in crate::math) thresholds: &'a [$float],
            pub(in crate::math) exceeds: &'a mut [bool],
            pub(in crate::math) ahead: &'a [usize],
        }

        impl WithSimd for Exceed<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let Exceed { candidates, table, rows, thresholds, exceeds, ahead } = self;
                let width = candidates.width;
                let packed = S::$simd(&candidates.packed).0;
                let offsets = S::$simd(&candidates.offsets).0;
                let paired = offsets.len() / 2 * 2;
                let groups = rows.chunks(ROWS).zip(thresholds.chunks(ROWS)).zip(exceeds.chunks_mut(ROWS));
                let distance = (AHEAD / size_of::<$float>() / width).clamp(ROWS, ROW_TILE);
                let mut coming = rows.iter().chain(ahead).skip(distance);
                for ((rows, thresholds), exceeds) in groups {
                    for &row in coming.by_ref().take(ROWS) {
                        fetch(&table[row * width..][..width]);
                    }
                    // the last row stands in for missing ones
                    let x: [&[$float]; ROWS] =
                        std::array::from_fn(|r| &table[rows[r.min(rows.len() - 1)] * width..][..width]);
                    let mut best = [simd.$splat($float::NEG_INFINITY); ROWS];
                    for (b, &offset) in offsets.iter().enumerate() {
                        // two registers are interleaved, the last may be alone
                        let scores = if b < paired {
                            scores::<S, 2>(simd, &x, &packed[b / 2 * 2 * width..], b % 2, offset)
                        } else {
                            scores::<S, 1>(simd, &x, &packed[b * width..], 0, offset)
                        };
                        for r in 0..ROWS {
                            best[r] = simd.$max(best[r], scores[r]);
                        }
                    }
                    for ((exceeds, &threshold), best) in exceeds.iter_mut().zip(thresholds).zip(best) {
                        *exceeds = simd.$greatest(best) > threshold;
                    }
                }
            }
        }

        /// The scores of the rows and register `h` of H that are interleaved.
        #[inline(always)]
        fn scores<S: Simd, const H: usize>(
            simd: S,
            x: &[&[$float]; ROWS],
            packed: &[S::$register],
            h: usize,
            offset: S::$register,
        ) -> [S::$register; ROWS] {
            let mut scores = [offset; ROWS];
            for (j, c) in packed.as_chunks::<H>().0.iter().enumerate().take(x[0].len()) {
                for r in 0..ROWS {
                    scores[r] = simd.$fma(simd.$splat(x[r][j]), c[h], scores[r]);
                }
            }
            scores
        }
    };
}

pub(super) mod single {
    use super::*;
    kernel!(f32, f32s, F32_LANES, splat_f32s, mul_add_f32s, max_f32s, reduce_max_f32s, as_simd_f32s);
}
pub(super) mod double {
    use super::*;
    kernel!(f64, f64s, F64_LANES, splat_f64s, mul_add_f64s, max_f64s, reduce_max_f64s, as_simd_f64s);
}

#[cfg(test)]
mod tests {
    use super::super::candidates::drawn;
    use super::super::{Candidates, Nearest};
    use proptest::prelude::*;

    fn check<F: Nearest>(n: usize, k: usize, d: usize, seed: u64) {
        let draw = |name: &str, len: usize| drawn::<F>(seed, name, len);
        let (table, points) = (draw("rows", n * d), draw("points", k * d));
        let candidates = Candidates::pack(&points, d);
        let rows: Vec<usize> = (0..n).rev().step_by(2).collect();
        let best: Vec<f64> = rows
            .iter()
            .map(|&row| {
                let score = |c: &[F]| -> f64 {
                    let x = &table[row * d..(row + 1) * d];
                    x.iter().zip(c).map(|(x, c)| x.f64() * c.f64() - 0.5 * c.f64() * c.f64()).sum()
                };
                points.chunks_exact(d).map(score).fold(f64::NEG_INFINITY, f64::max)
            })
            .collect();
        let slack = 64.0 * F::EPS * (d * d) as f64;
        for (sign, expected) in [(-1.0, true), (1.0, false)] {
            let thresholds: Vec<F> = best.iter().map(|best| F::of(best + sign * slack)).collect();
            let mut exceeds = vec![!expected; rows.len()];
            candidates.exceed(&table, &rows, &thresholds, &mut exceeds, &rows);
            assert!(exceeds.iter().all(|&e| e == expected), "{exceeds:?}, not {expected}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_kernel_agrees_with_the_definition(n in 1usize..40, k in 1usize..80, d in 1usize..40, seed in any::<u64>()) {
            check::<f32>(n, k, d, seed);
            check::<f64>(n, k, d, seed);
        }
    }

    #[test]
    fn a_row_that_is_not_in_the_table_ends_the_list() {
        let candidates = Candidates::pack(&[1.0_f32, 0.0], 2);
        let (table, mut exceeds) = ([2.0, 0.0, 3.0, 0.0, 9.0], [false; 4]);
        candidates.exceed(&table, &[1, 0, 2, 1], &[0.0; 4], &mut exceeds, &[0, 2, 1]);
        assert_eq!(exceeds, [true, true, false, false]);
    }
}
