//! XᵀX of a tile of rows, one triangle of it, for covariance matrices.
//!
//! The tile is copied once, in panels of three registers of columns; then each panel meets itself and those after it: four of its
//! columns (eight where there are many registers), broadcast, against the three registers of the other, the sums in registers. A
//! general product copies its left factor anew for each strip of columns that it writes, or computes both triangles.
//!
//! Every sum is one chain of fused multiply-adds over the rows in their order: the same bits on every instruction set.

use pulp::{Simd, WithSimd};

/// Registers side by side in a panel.
const WIDE: usize = 3;

macro_rules! kernel {
    ($float:ident, $register:ident, $lanes:ident, $splat:ident, $fma:ident, $simd:ident, $mut_simd:ident) => {
        pub(in crate::math) struct Squares<'a> {
            /// `[rows, d]`
            pub(in crate::math) tile: &'a [$float],
            pub(in crate::math) d: usize,
            /// memory that is reused
            pub(in crate::math) panels: &'a mut Vec<$float>,
            /// `[d, d]`, of which the lower triangle is written, and some of what is above it
            pub(in crate::math) out: &'a mut [$float],
            pub(in crate::math) accumulate: bool,
        }

        impl WithSimd for Squares<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                // 8 × 3 sums of 32 registers, 4 × 3 of 16
                if S::REGISTER_COUNT >= 32 { self.run::<S, 8>(simd) } else { self.run::<S, 4>(simd) }
            }
        }

        impl Squares<'_> {
            #[inline(always)]
            fn run<S: Simd, const R: usize>(self, simd: S) {
                let Squares { tile, d, panels, out, accumulate } = self;
                let (rows, width) = (tile.len() / d.max(1), WIDE * S::$lanes);
                // a row of a panel is filled up to whole groups of R columns
                let (count, pitch) = (d.div_ceil(width), width.next_multiple_of(R));
                pack(tile, d, rows, [width, pitch], panels);
                let panel = |p: usize| &panels[p * rows * pitch..(p + 1) * rows * pitch];
                let mut sums = [0.0; 128];
                for q in 0..count {
                    let right = S::$simd(panel(q)).0;
                    let columns = q * width..d.min((q + 1) * width);
                    for p in q..count {
                        let left = panel(p);
                        for i in (p * width..d.min((p + 1) * width)).step_by(R) {
                            let products = block::<S, R>(simd, left, right, pitch, i - p * width);
                            for (i, products) in (i..d.min((p + 1) * width)).zip(products) {
                                let (registers, _) = S::$mut_simd(&mut sums[..width]);
                                registers.copy_from_slice(&products);
                                let out = &mut out[i * d..][columns.clone()];
                                if accumulate {
                                    out.iter_mut().zip(&sums).for_each(|(out, sum)| *out += sum);
                                } else {
                                    out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = *sum);
                                }
                            }
                        }
                    }
                }
            }
        }

        /// R columns of the left panel, from `first` on, times all of the right one.
        #[inline(always)]
        fn block<S: Simd, const R: usize>(
            simd: S,
            left: &[$float],
            right: &[S::$register],
            pitch: usize,
            first: usize,
        ) -> [[S::$register; WIDE]; R] {
            let mut sums = [[simd.$splat(0.0); WIDE]; R];
            for (left, right) in left.chunks_exact(pitch).zip(right.chunks_exact(pitch / S::$lanes)) {
                let (Some(left), Some(right)) =
                    (left[first..].first_chunk::<R>(), right.first_chunk::<WIDE>())
                else {
                    continue;
                };
                for r in 0..R {
                    let value = simd.$splat(left[r]);
                    for h in 0..WIDE {
                        sums[r][h] = simd.$fma(value, right[h], sums[r][h]);
                    }
                }
            }
            sums
        }

        /// Panel after panel: of each row its columns, zeros beyond the last.
        #[inline(always)]
        fn pack(
            tile: &[$float],
            d: usize,
            rows: usize,
            [width, pitch]: [usize; 2],
            panels: &mut Vec<$float>,
        ) {
            panels.resize(d.div_ceil(width) * rows * pitch, 0.0);
            for (p, panel) in panels.chunks_exact_mut((rows * pitch).max(1)).enumerate() {
                let columns = p * width..d.min((p + 1) * width);
                for (row, out) in tile.chunks_exact(d).zip(panel.chunks_exact_mut(pitch)) {
                    let (out, beyond) = out.split_at_mut(columns.len());
                    out.copy_from_slice(&row[columns.clone()]);
                    beyond.fill(0.0);
                }
            }
        }
    };
}

pub(super) mod single {
    use super::*;
    kernel!(f32, f32s, F32_LANES, splat_f32s, mul_add_f32s, as_simd_f32s, as_mut_simd_f32s);
}
pub(super) mod double {
    use super::*;
    kernel!(f64, f64s, F64_LANES, splat_f64s, mul_add_f64s, as_simd_f64s, as_mut_simd_f64s);
}

#[cfg(test)]
mod tests {
    use crate::{Float, Seed};
    use proptest::prelude::*;

    fn check<F: Float>(rows: usize, d: usize, seed: u64) {
        let x: Vec<F> = Seed::new(seed).normals(rows * d).into_iter().map(F::of).collect();
        let (mut panels, mut out) = (Vec::new(), vec![F::nan(); d * d]);
        F::squares(&x, d, &mut panels, &mut out, false);
        let twice = {
            let mut twice = out.clone();
            F::squares(&x, d, &mut panels, &mut twice, true);
            twice
        };
        for i in 0..d {
            for j in 0..=i {
                let exact: f64 = x.chunks_exact(d).map(|row| row[i].f64() * row[j].f64()).sum();
                let size: f64 = x.chunks_exact(d).map(|row| (row[i].f64() * row[j].f64()).abs()).sum();
                let slack = 2.0 * F::EPS * rows as f64 * size;
                assert!((out[i * d + j].f64() - exact).abs() <= slack, "{i}, {j}");
                assert!((twice[i * d + j].f64() - 2.0 * exact).abs() <= 2.0 * slack, "{i}, {j}, twice");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_lower_triangle_is_that_of_the_definition(rows in 1usize..70, d in 1usize..110, seed in any::<u64>()) {
            check::<f32>(rows, d, seed);
            check::<f64>(rows, d, seed);
        }
    }

    #[test]
    fn no_rows_give_zeros() {
        let mut out = [7.0_f32; 9];
        f32::squares(&[], 3, &mut Vec::new(), &mut out, false);
        assert_eq!((out[0], out[4], out[6]), (0.0, 0.0, 0.0));
    }
}
