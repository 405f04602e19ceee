//! Squared distances of rows from all candidates, computed from the differences: four rows meet two registers of candidates.

use super::Candidates;
use pulp::{Simd, WithSimd};

macro_rules! kernel {
    ($float:ident, $register:ident, $lanes:ident, $splat:ident, $sub:ident, $fma:ident, $simd:ident) => {
        pub(in crate::math) struct Distances<'a> {
            pub(in crate::math) candidates: &'a Candidates<$float>,
            pub(in crate::math) rows: &'a [$float],
            pub(in crate::math) distances: &'a mut [$float],
        }

        impl WithSimd for Distances<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let (width, padded) = (self.candidates.width, self.candidates.padded());
                let mut rows = self.rows.chunks_exact(4 * width);
                let mut out = self.distances.chunks_exact_mut(4 * padded);
                for (rows, out) in (&mut rows).zip(&mut out) {
                    Self::group::<S, 4>(simd, self.candidates, rows, out);
                }
                for (row, out) in
                    rows.remainder().chunks_exact(width).zip(out.into_remainder().chunks_exact_mut(padded))
                {
                    Self::group::<S, 1>(simd, self.candidates, row, out);
                }
            }
        }

        impl Distances<'_> {
            #[inline(always)]
            fn group<S: Simd, const R: usize>(
                simd: S,
                candidates: &Candidates<$float>,
                rows: &[$float],
                distances: &mut [$float],
            ) {
                let width = candidates.width;
                let packed = S::$simd(&candidates.packed).0;
                let pairs = candidates.padded() / S::$lanes / 2;
                let (packed, last) = packed.split_at(pairs * 2 * width);
                for (b, packed) in packed.chunks_exact(2 * width).enumerate() {
                    Self::block::<S, R, 2>(simd, candidates, rows, packed, 2 * b, distances);
                }
                if !last.is_empty() {
                    Self::block::<S, R, 1>(simd, candidates, rows, last, 2 * pairs, distances);
                }
            }

            #[inline(always)]
            fn block<S: Simd, const R: usize, const H: usize>(
                simd: S,
                candidates: &Candidates<$float>,
                rows: &[$float],
                packed: &[S::$register],
                first: usize,
                distances: &mut [$float],
            ) {
                let (width, padded) = (candidates.width, candidates.padded());
                let x: [&[$float]; R] = std::array::from_fn(|r| &rows[r * width..(r + 1) * width]);
                let mut sums = [[simd.$splat(0.0); H]; R];
                for (j, c) in packed.chunks_exact(H).enumerate().take(width) {
                    for r in 0..R {
                        let value = simd.$splat(x[r][j]);
                        for h in 0..H {
                            let difference = simd.$sub(value, c[h]);
                            sums[r][h] = simd.$fma(difference, difference, sums[r][h]);
                        }
                    }
                }
                for r in 0..R {
                    let at = r * padded + first * S::$lanes;
                    distances[at..at + H * S::$lanes].copy_from_slice(pulp::bytemuck::cast_slice(&sums[r]));
                }
            }
        }

        /// How many numbers a register holds.
        pub(in crate::math) struct Lanes;

        impl WithSimd for Lanes {
            type Output = usize;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> usize {
                S::$lanes
            }
        }
    };
}

pub(super) mod single {
    use super::*;
    kernel!(f32, f32s, F32_LANES, splat_f32s, sub_f32s, mul_add_f32s, as_simd_f32s);
}
pub(super) mod double {
    use super::*;
    kernel!(f64, f64s, F64_LANES, splat_f64s, sub_f64s, mul_add_f64s, as_simd_f64s);
}

#[cfg(test)]
mod tests {
    use super::super::candidates::drawn;
    use super::super::{Candidates, Nearest};
    use proptest::prelude::*;

    fn check<F: Nearest>(n: usize, k: usize, d: usize, seed: u64) {
        let draw = |name: &str, len: usize| drawn::<F>(seed, name, len);
        let (rows, points) = (draw("rows", n * d), draw("points", k * d));
        let candidates = Candidates::pack(&points, d);
        let mut distances = vec![F::nan(); n * candidates.padded()];
        candidates.squared_distances(&rows, &mut distances);
        for i in 0..n {
            for c in 0..k {
                let exact: f64 =
                    (0..d).map(|j| (rows[i * d + j].f64() - points[c * d + j].f64()).powi(2)).sum();
                let value = distances[i * candidates.padded() + c].f64();
                assert!(
                    (value - exact).abs() <= 8.0 * F::EPS * d as f64 * (1.0 + exact),
                    "{value} for {exact}"
                );
            }
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
    fn slices_of_other_lengths_are_cut_to_whole_rows() {
        let candidates = Candidates::pack(&[0.0_f32, 0.0, 4.0, 4.0, 9.0], 2);
        assert_eq!(candidates.len(), 2);
        let mut distances = vec![7.0; candidates.padded() + 1];
        candidates.squared_distances(&[3.0, 3.0, 1.0], &mut distances);
        assert_eq!((distances[0], distances[1], distances[candidates.padded()]), (18.0, 2.0, 7.0));
        Candidates::<f32>::pack(&[], 0).squared_distances(&[1.0], &mut []);
    }
}
