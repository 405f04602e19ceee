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

use super::Candidates;
use super::fetch::Ahead;
use pulp::{Simd, WithSimd};

/// Coordinates after which the next lines are asked for.
const STRETCH: usize = 32;
/// Rows of up to so many coordinates are asked for whole.
const SHORT: usize = 128;

macro_rules! kernel {
    ($float:ident, $register:ident, $lanes:ident, $splat:ident, $fma:ident, $min:ident, $max:ident,
     $equal:ident, $greater:ident, $select:ident, $least:ident, $greatest:ident, $simd:ident) => {
        pub(in crate::math) struct Search<'a> {
            pub(in crate::math) candidates: &'a Candidates<$float>,
            pub(in crate::math) rows: &'a [$float],
            pub(in crate::math) labels: &'a mut [u32],
            /// empty, or one a row
            pub(in crate::math) leads: &'a mut [$float],
            /// fetched meanwhile
            pub(in crate::math) ahead: &'a [$float],
        }

        impl WithSimd for Search<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                // a row group fills the registers: 8 × 2 accumulators of 32, or 4 × 2 of 16
                match (S::REGISTER_COUNT >= 32, self.leads.is_empty()) {
                    (true, true) => self.run::<S, 8, false>(simd),
                    (true, false) => self.run::<S, 8, true>(simd),
                    (false, true) => self.run::<S, 4, false>(simd),
                    (false, false) => self.run::<S, 4, true>(simd),
                }
            }
        }

        impl Search<'_> {
            #[inline(always)]
            fn run<S: Simd, const R: usize, const SECOND: bool>(self, simd: S) {
                let (candidates, width) = (self.candidates, self.candidates.width);
                let lead = usize::from(SECOND);
                // a group of short rows is fetched at once, one of long rows a few lines for every stretch of them
                let groups = self.labels.len().div_ceil(R);
                let short = width <= SHORT;
                let stretches = candidates.offsets.len().div_ceil(2 * S::$lanes) * width.div_ceil(STRETCH);
                let mut ahead = Ahead::new(self.ahead, if short { groups } else { groups * stretches });
                let mut none = Ahead::new(&[], 1);
                let mut rows = self.rows.chunks_exact(R * width);
                let mut labels = self.labels.chunks_exact_mut(R);
                let mut leads = self.leads.chunks_exact_mut(R);
                for (rows, labels) in (&mut rows).zip(&mut labels) {
                    let leads = leads.next().unwrap_or_default();
                    if short {
                        ahead.fetch(1);
                    }
                    let ahead = if short { &mut none } else { &mut ahead };
                    Best::<S, R, SECOND>::search(simd, candidates, rows, labels, leads, ahead);
                }
                let leads = leads.into_remainder();
                for (i, (row, label)) in rows
                    .remainder()
                    .chunks_exact(width)
                    .zip(labels.into_remainder().chunks_mut(1))
                    .enumerate()
                {
                    let lead = &mut leads[lead * i..lead * (i + 1)];
                    Best::<S, 1, SECOND>::search(simd, candidates, row, label, lead, &mut ahead);
                }
            }
        }

        /// The best scores so far of R rows, lane by lane.
        struct Best<S: Simd, const R: usize, const SECOND: bool> {
            scores: [S::$register; R],
            /// the number of the register that a lane's best came from (a float: it shares its unit); the lane
            /// itself is its position
            from: [S::$register; R],
            seconds: [S::$register; R],
        }

        /// Adds to the scores what some coordinates contribute: two at a time, since the loop's own instructions count where rows
        /// are short.
        #[inline(always)]
        fn add<S: Simd, const R: usize, const H: usize>(
            simd: S,
            x: &[&[$float]; R],
            packed: &[S::$register],
            scores: &mut [[S::$register; H]; R],
        ) {
            let mut sums = *scores;
            let width = x[0].len();
            // of one length, which the compiler sees; loops over the rows, since it does not inline `map` of so many
            let mut pairs: [&[[$float; 2]]; R] = [&[]; R];
            let mut odds = [0.0; R];
            for r in 0..R {
                let (whole, odd) = x[r][..width].as_chunks::<2>();
                pairs[r] = whole;
                odds[r] = odd.first().copied().unwrap_or_default();
            }
            let (packed_pairs, odd) = packed.split_at(width / 2 * 2 * H);
            for (j, c) in (0..width / 2).zip(packed_pairs.chunks_exact(2 * H)) {
                for second in 0..2 {
                    coordinate(simd, |r| pairs[r][j][second], &c[second * H..], &mut sums);
                }
            }
            if width % 2 == 1 {
                coordinate(simd, |r| odds[r], odd, &mut sums);
            }
            *scores = sums;
        }

        /// Adds what one coordinate contributes, x(r) in row r.
        #[inline(always)]
        fn coordinate<S: Simd, const R: usize, const H: usize>(
            simd: S,
            x: impl Fn(usize) -> $float,
            c: &[S::$register],
            sums: &mut [[S::$register; H]; R],
        ) {
            for r in 0..R {
                let value = simd.$splat(x(r));
                for h in 0..H {
                    sums[r][h] = simd.$fma(value, c[h], sums[r][h]);
                }
            }
        }

        impl<S: Simd, const R: usize, const SECOND: bool> Best<S, R, SECOND> {
            /// R rows against all candidates.
            #[inline(always)]
            fn search(
                simd: S,
                candidates: &Candidates<$float>,
                rows: &[$float],
                labels: &mut [u32],
                leads: &mut [$float],
                ahead: &mut Ahead<'_, $float>,
            ) {
                let width = candidates.width;
                let mut x: [&[$float]; R] = [&[]; R];
                for (x, row) in x.iter_mut().zip(rows.chunks_exact(width)) {
                    *x = row;
                }
                let lowest = simd.$splat($float::NEG_INFINITY);
                let mut best =
                    Self { scores: [lowest; R], from: [simd.$splat(0.0); R], seconds: [lowest; R] };
                let offsets = S::$simd(&candidates.offsets).0;
                let packed = S::$simd(&candidates.packed).0;
                // two registers at a time, and the last alone when they are odd in number
                let pairs = offsets.len() / 2;
                let (packed, last) = packed.split_at(pairs * 2 * width);
                for (b, (packed, offsets)) in
                    packed.chunks_exact(2 * width).zip(offsets.chunks_exact(2)).enumerate()
                {
                    best.block::<2>(simd, &x, packed, offsets, 2 * b, ahead);
                }
                if offsets.len() % 2 == 1 {
                    best.block::<1>(simd, &x, last, &offsets[2 * pairs..], 2 * pairs, ahead);
                }
                best.finish(simd, labels, leads);
            }

            /// R rows against H registers of candidates.
            #[inline(always)]
            fn block<const H: usize>(
                &mut self,
                simd: S,
                x: &[&[$float]; R],
                packed: &[S::$register],
                offsets: &[S::$register],
                first: usize,
                ahead: &mut Ahead<'_, $float>,
            ) {
                let mut scores = [[offsets[0]; H]; R];
                for scores in &mut scores {
                    scores.copy_from_slice(&offsets[..H]);
                }
                let width = x[0].len();
                if ahead.is_empty() {
                    add::<S, R, H>(simd, x, packed, &mut scores);
                } else {
                    for (start, packed) in (0..width).step_by(STRETCH).zip(packed.chunks(H * STRETCH)) {
                        ahead.fetch(1);
                        let mut stretch = *x;
                        for x in &mut stretch {
                            *x = &x[start..width.min(start + STRETCH)];
                        }
                        add::<S, R, H>(simd, &stretch, packed, &mut scores);
                    }
                }
                for h in 0..H {
                    let at = simd.$splat((first + h) as $float);
                    for r in 0..R {
                        let (score, best) = (scores[r][h], self.scores[r]);
                        if SECOND {
                            self.seconds[r] = simd.$max(self.seconds[r], simd.$min(best, score));
                        }
                        self.from[r] = simd.$select(simd.$greater(score, best), at, self.from[r]);
                        self.scores[r] = simd.$max(score, best);
                    }
                }
            }

            /// The best over all lanes, the lower index on a tie.
            #[inline(always)]
            fn finish(&self, simd: S, labels: &mut [u32], leads: &mut [$float]) {
                let lanes: [$float; 16] = std::array::from_fn(|l| l as $float);
                let lane = S::$simd(&lanes).0[0];
                let (width, beyond) = (simd.$splat(S::$lanes as $float), simd.$splat($float::INFINITY));
                for r in 0..R {
                    let best = simd.$greatest(self.scores[r]);
                    let winners = simd.$equal(self.scores[r], simd.$splat(best));
                    let index = simd.$fma(self.from[r], width, lane);
                    let winner = simd.$least(simd.$select(winners, index, beyond));
                    labels[r] = winner as u32;
                    if SECOND {
                        let won = simd.$equal(index, simd.$splat(winner));
                        let second = simd.$greatest(simd.$select(won, self.seconds[r], self.scores[r]));
                        leads[r] = best - second;
                    }
                }
            }
        }
    };
}

pub(super) mod single {
    use super::*;
    kernel!(
        f32,
        f32s,
        F32_LANES,
        splat_f32s,
        mul_add_f32s,
        min_f32s,
        max_f32s,
        equal_f32s,
        greater_than_f32s,
        select_f32s,
        reduce_min_f32s,
        reduce_max_f32s,
        as_simd_f32s
    );
}
pub(super) mod double {
    use super::*;
    kernel!(
        f64,
        f64s,
        F64_LANES,
        splat_f64s,
        mul_add_f64s,
        min_f64s,
        max_f64s,
        equal_f64s,
        greater_than_f64s,
        select_f64s,
        reduce_min_f64s,
        reduce_max_f64s,
        as_simd_f64s
    );
}

#[cfg(test)]
mod tests {
    use super::super::candidates::drawn;
    use super::super::{Candidates, Nearest};
    use crate::Seed;
    use proptest::prelude::*;

    fn check<F: Nearest>(n: usize, k: usize, d: usize, seed: u64) {
        let draw = |name: &str, len: usize| drawn::<F>(seed, name, len);
        let (rows, centres) = (draw("rows", n * d), draw("centres", k * d));
        let candidates = Candidates::pack(&centres, d);
        let mut labels = vec![u32::MAX; n];
        candidates.nearest(&rows, &mut labels);
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
