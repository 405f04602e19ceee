//! Scores of a tile to responsibilities, by log-sum-exp.

use super::tile::LANES;
use pulp::{Arch, Simd, WithSimd};
use unsup_core::math::Elementary;

/// Scores to responsibilities, and their log-sum-exp a row. scores: component by component, `stride` values each.
pub(super) fn normalize(scores: &mut [f64], stride: usize, log_sums: &mut [f64]) {
    Arch::new().dispatch(Normalize { scores, stride, log_sums });
}

struct Normalize<'a> {
    scores: &'a mut [f64],
    stride: usize,
    log_sums: &'a mut [f64],
}

impl WithSimd for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Normalize { scores, stride, log_sums } = self;
        let equal = stride as f64 / scores.len() as f64;
        for (b, log_sums) in log_sums.chunks_exact_mut(LANES).enumerate() {
            let block = b * LANES..(b + 1) * LANES;
            // a score of −∞ (a distance that overflows) must not become −∞ − (−∞)
            let mut highest = [f64::MIN; LANES];
            for scores in scores.chunks_exact(stride) {
                highest
                    .iter_mut()
                    .zip(&scores[block.clone()])
                    .for_each(|(h, &s)| *h = if s > *h { s } else { *h });
            }
            let mut sums = [0.0; LANES];
            for scores in scores.chunks_exact_mut(stride) {
                for ((s, h), sum) in scores[block.clone()].iter_mut().zip(&highest).zip(&mut sums) {
                    *s = (*s - h).fast_exp();
                    *sum += *s;
                }
            }
            for ((log_sum, h), sum) in log_sums.iter_mut().zip(&highest).zip(&mut sums) {
                // a row that is infinitely far from everything belongs to everything alike
                *log_sum = if *sum > 0.0 { h + sum.fast_ln() } else { f64::NEG_INFINITY };
                *sum = 1.0 / *sum;
            }
            for scores in scores.chunks_exact_mut(stride) {
                for (s, &factor) in scores[block.clone()].iter_mut().zip(&sums) {
                    *s = if factor == f64::INFINITY { equal } else { *s * factor };
                }
            }
        }
    }
}
