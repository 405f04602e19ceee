//! The nearest of k candidates for each row, as one fused kernel.
//!
//! The nearest candidate maximises x·c − ½‖c‖². Candidates are packed in blocks of two vector
//! registers (one when they are few), coordinate by coordinate; eight rows (four where there are few registers) meet a
//! block in registers, and the running best value and index stay in registers too: no score is
//! ever written to memory. Writing the n × k scores and searching them afterwards costs 2–8 times
//! as much as the products themselves (`docs/src/performance.md`).
//!
//! Every score is one chain of fused multiply-adds over the coordinates in their order, so the
//! answer has the same bits on every instruction set. A tie goes to the lower index.
//!
//! Rows and candidates must be moved near the origin first (subtract the column means): far
//! from it the difference of two large numbers would drown the distances.
//!
//! Complexity: n·k·d multiply-adds; memory: the packed candidates, k·d.

use crate::Float;
use pulp::{Arch, Simd, WithSimd};

/// The element types that have a kernel.
pub trait Nearest: Float {
    #[doc(hidden)]
    fn search(candidates: &Candidates<Self>, rows: &[Self], labels: &mut [u32]);
    #[doc(hidden)]
    fn squared_distances(candidates: &Candidates<Self>, rows: &[Self], distances: &mut [Self]);
    #[doc(hidden)]
    fn lanes() -> usize;
}

/// Candidates (centroids, seeds) packed for the kernel.
#[derive(Debug, Clone)]
pub struct Candidates<F> {
    count: usize,
    width: usize,
    block: usize,
    /// block after block, in each the coordinates in order, in each `block` candidates
    packed: Vec<F>,
    /// −½‖c‖², and −∞ for the padding, which therefore never wins
    offsets: Vec<F>,
}

impl<F: Nearest> Candidates<F> {
    /// Packs candidates of `width` coordinates (at least 1), given row after row.
    pub fn pack(rows: &[F], width: usize) -> Self {
        let width = width.max(1);
        let count = rows.len() / width;
        // few candidates fill one register, many come two registers at a time
        let block = if count <= F::lanes() { F::lanes() } else { 2 * F::lanes() };
        let blocks = count.div_ceil(block);
        let mut packed = vec![F::zero(); blocks * block * width];
        let mut offsets = vec![F::neg_infinity(); blocks * block];
        for c in 0..count {
            let row = &rows[c * width..(c + 1) * width];
            let start = c / block * block * width + c % block;
            for (j, &value) in row.iter().enumerate() {
                packed[start + j * block] = value;
            }
            offsets[c] = F::of(-0.5 * row.iter().map(|v| v.f64() * v.f64()).sum::<f64>());
        }
        Candidates { count, width, block, packed, offsets }
    }

    /// How many candidates there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes the index of the nearest candidate of each row, for as many rows as both slices hold;
    /// `rows` holds them one after the other, each as wide as a candidate.
    pub fn nearest(&self, rows: &[F], labels: &mut [u32]) {
        let n = labels.len().min(rows.len() / self.width);
        F::search(self, &rows[..n * self.width], &mut labels[..n]);
    }

    /// Writes the squared distances of each row to every candidate: `distances` has
    /// [`padded`](Self::padded) values a row, of which the first [`len`](Self::len) count, for as many
    /// rows as both slices hold. Computed as Σ(x − c)², exact to rounding wherever the origin is.
    pub fn squared_distances(&self, rows: &[F], distances: &mut [F]) {
        let n = (distances.len() / self.padded().max(1)).min(rows.len() / self.width);
        if n > 0 {
            F::squared_distances(self, &rows[..n * self.width], &mut distances[..n * self.padded()]);
        }
    }

    /// The number of candidates rounded up to whole blocks.
    pub fn padded(&self) -> usize {
        self.offsets.len()
    }
}

macro_rules! kernel {
    ($float:ident, $register:ident, $index:ident, $lanes:ident, $splat:ident, $splat_index:ident, $sub:ident, $fma:ident,
     $greater:ident, $select:ident, $select_index:ident, $simd:ident, $search:ident, $distances:ident) => {
        struct $search<'a> {
            candidates: &'a Candidates<$float>,
            rows: &'a [$float],
            labels: &'a mut [u32],
        }

        impl WithSimd for $search<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                // a row group fills the registers: 8 × 2 accumulators of 32, or 4 × 2 of 16
                match (S::REGISTER_COUNT >= 32, self.candidates.block > S::$lanes) {
                    (true, true) => self.run::<S, 8, 2>(simd),
                    (true, false) => self.run::<S, 8, 1>(simd),
                    (false, true) => self.run::<S, 4, 2>(simd),
                    (false, false) => self.run::<S, 4, 1>(simd),
                }
            }
        }

        impl $search<'_> {
            #[inline(always)]
            fn run<S: Simd, const R: usize, const H: usize>(self, simd: S) {
                let width = self.candidates.width;
                let mut rows = self.rows.chunks_exact(R * width);
                let mut labels = self.labels.chunks_exact_mut(R);
                for (rows, labels) in (&mut rows).zip(&mut labels) {
                    Self::group::<S, R, H>(simd, self.candidates, rows, labels);
                }
                for (row, label) in
                    rows.remainder().chunks_exact(width).zip(labels.into_remainder().chunks_mut(1))
                {
                    Self::group::<S, 1, H>(simd, self.candidates, row, label);
                }
            }

            /// R rows against all blocks of H registers.
            #[inline(always)]
            fn group<S: Simd, const R: usize, const H: usize>(
                simd: S,
                candidates: &Candidates<$float>,
                rows: &[$float],
                labels: &mut [u32],
            ) {
                let width = candidates.width;
                let x: [&[$float]; R] = std::array::from_fn(|r| &rows[r * width..(r + 1) * width]);
                let mut best = [simd.$splat($float::NEG_INFINITY); R];
                // which register of all a lane's best came from; the lane itself is its position
                let mut from = [simd.$splat_index(0); R];
                let offsets = S::$simd(&candidates.offsets).0.chunks_exact(H);
                let packed = S::$simd(&candidates.packed).0.chunks_exact(H * width);
                for (b, (packed, offsets)) in packed.zip(offsets).enumerate() {
                    let mut scores: [[S::$register; H]; R] = [std::array::from_fn(|h| offsets[h]); R];
                    for (j, c) in packed.chunks_exact(H).enumerate().take(width) {
                        for r in 0..R {
                            let value = simd.$splat(x[r][j]);
                            for h in 0..H {
                                scores[r][h] = simd.$fma(value, c[h], scores[r][h]);
                            }
                        }
                    }
                    for h in 0..H {
                        let at = simd.$splat_index((H * b + h) as $index);
                        for r in 0..R {
                            let wins = simd.$greater(scores[r][h], best[r]);
                            best[r] = simd.$select(wins, scores[r][h], best[r]);
                            from[r] = simd.$select_index(wins, at, from[r]);
                        }
                    }
                }
                for r in 0..R {
                    let scores: &[$float] = pulp::bytemuck::cast_slice(std::slice::from_ref(&best[r]));
                    let registers: &[$index] = pulp::bytemuck::cast_slice(std::slice::from_ref(&from[r]));
                    let mut winner = (scores[0], registers[0] as usize * S::$lanes);
                    for l in 1..S::$lanes {
                        let index = registers[l] as usize * S::$lanes + l;
                        if scores[l] > winner.0 || (scores[l] == winner.0 && index < winner.1) {
                            winner = (scores[l], index);
                        }
                    }
                    labels[r] = winner.1 as u32;
                }
            }
        }

        struct $distances<'a> {
            candidates: &'a Candidates<$float>,
            rows: &'a [$float],
            distances: &'a mut [$float],
        }

        impl WithSimd for $distances<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                if self.candidates.block > S::$lanes {
                    self.run::<S, 2>(simd)
                } else {
                    self.run::<S, 1>(simd)
                }
            }
        }

        impl $distances<'_> {
            #[inline(always)]
            fn run<S: Simd, const H: usize>(self, simd: S) {
                let (width, padded) = (self.candidates.width, self.candidates.padded());
                let mut rows = self.rows.chunks_exact(4 * width);
                let mut out = self.distances.chunks_exact_mut(4 * padded);
                for (rows, out) in (&mut rows).zip(&mut out) {
                    Self::group::<S, 4, H>(simd, self.candidates, rows, out);
                }
                for (row, out) in
                    rows.remainder().chunks_exact(width).zip(out.into_remainder().chunks_exact_mut(padded))
                {
                    Self::group::<S, 1, H>(simd, self.candidates, row, out);
                }
            }

            #[inline(always)]
            fn group<S: Simd, const R: usize, const H: usize>(
                simd: S,
                candidates: &Candidates<$float>,
                rows: &[$float],
                distances: &mut [$float],
            ) {
                let (width, padded) = (candidates.width, candidates.padded());
                let x: [&[$float]; R] = std::array::from_fn(|r| &rows[r * width..(r + 1) * width]);
                for (b, packed) in S::$simd(&candidates.packed).0.chunks_exact(H * width).enumerate() {
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
                        let at = r * padded + b * candidates.block;
                        distances[at..at + candidates.block]
                            .copy_from_slice(pulp::bytemuck::cast_slice(&sums[r]));
                    }
                }
            }
        }

        impl Nearest for $float {
            fn search(candidates: &Candidates<Self>, rows: &[Self], labels: &mut [u32]) {
                Arch::new().dispatch($search { candidates, rows, labels });
            }
            fn squared_distances(candidates: &Candidates<Self>, rows: &[Self], distances: &mut [Self]) {
                Arch::new().dispatch($distances { candidates, rows, distances });
            }
            fn lanes() -> usize {
                struct Lanes;
                impl WithSimd for Lanes {
                    type Output = usize;
                    #[inline(always)]
                    fn with_simd<S: Simd>(self, _: S) -> usize {
                        S::$lanes
                    }
                }
                Arch::new().dispatch(Lanes)
            }
        }
    };
}

kernel!(
    f32,
    f32s,
    u32,
    F32_LANES,
    splat_f32s,
    splat_u32s,
    sub_f32s,
    mul_add_f32s,
    greater_than_f32s,
    select_f32s,
    select_u32s,
    as_simd_f32s,
    SearchF32,
    DistancesF32
);
kernel!(
    f64,
    f64s,
    u64,
    F64_LANES,
    splat_f64s,
    splat_u64s,
    sub_f64s,
    mul_add_f64s,
    greater_than_f64s,
    select_f64s,
    select_u64s,
    as_simd_f64s,
    SearchF64,
    DistancesF64
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use proptest::prelude::*;

    fn check<F: Nearest>(n: usize, k: usize, d: usize, seed: u64) {
        let draw = |name: &str, len: usize| -> Vec<F> {
            Seed::new(seed).named(name).normals(len).into_iter().map(F::of).collect()
        };
        let (rows, centres) = (draw("rows", n * d), draw("centres", k * d));
        let candidates = Candidates::pack(&centres, d);
        let mut labels = vec![u32::MAX; n];
        candidates.nearest(&rows, &mut labels);
        let mut distances = vec![F::nan(); n * candidates.padded()];
        candidates.squared_distances(&rows, &mut distances);
        for i in 0..n {
            let exact: Vec<f64> = (0..k)
                .map(|c| (0..d).map(|j| (rows[i * d + j].f64() - centres[c * d + j].f64()).powi(2)).sum())
                .collect();
            let least = exact.iter().copied().fold(f64::INFINITY, f64::min);
            let found = labels[i] as usize;
            let slack = 64.0 * F::EPS * (1.0 + least) * d as f64;
            assert!(
                found < k && exact[found] <= least + slack,
                "row {i}: {found} at {}, least {least}",
                exact[found]
            );
            for c in 0..k {
                let value = distances[i * candidates.padded() + c].f64();
                assert!(
                    (value - exact[c]).abs() <= 8.0 * F::EPS * d as f64 * (1.0 + exact[c]),
                    "{value} for {}",
                    exact[c]
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
    fn a_tie_goes_to_the_lower_index() {
        for k in [2, 17, 40, 65] {
            let candidates = Candidates::pack(&vec![1.5_f32; k * 3], 3);
            let mut labels = [9_u32; 13];
            candidates.nearest(&[0.25; 39], &mut labels);
            assert_eq!(labels, [0; 13], "{k} equal candidates");
        }
    }

    #[test]
    fn slices_of_other_lengths_are_cut_to_whole_rows() {
        let candidates = Candidates::pack(&[0.0_f32, 0.0, 4.0, 4.0, 9.0], 2);
        assert_eq!(candidates.len(), 2);
        let mut labels = [7; 3];
        candidates.nearest(&[3.0, 3.0, 1.0, 0.0, 5.0], &mut labels);
        assert_eq!(labels, [1, 0, 7]);
        let none = Candidates::<f32>::pack(&[], 0);
        none.squared_distances(&[1.0], &mut []);
        none.nearest(&[], &mut []);
        assert!(none.is_empty());
    }

    #[test]
    fn the_scalar_path_gives_the_same_bits() {
        let (n, k, d) = (37, 70, 19);
        let rows: Vec<f32> = Seed::new(1).normals(n * d).into_iter().map(|v| v as f32).collect();
        let centres: Vec<f32> = Seed::new(2).normals(k * d).into_iter().map(|v| v as f32).collect();
        let candidates = Candidates::pack(&centres, d);
        let mut fast = vec![0; n];
        candidates.nearest(&rows, &mut fast);
        for i in 0..n {
            let score = |c: usize| {
                (0..d).fold(candidates.offsets[c], |s, j| rows[i * d + j].mul_add(centres[c * d + j], s))
            };
            let mut best = 0;
            (1..k).for_each(|c| {
                if score(c) > score(best) {
                    best = c;
                }
            });
            assert_eq!(fast[i] as usize, best, "row {i}");
        }
    }
}
