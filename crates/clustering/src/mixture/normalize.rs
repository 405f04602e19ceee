//! Scores of a tile to responsibilities, by log-sum-exp.

use super::tile::MOST_ROWS;
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
        let rows = log_sums.len();
        let components = scores.len() / stride;
        let mut highest = [0.0; MOST_ROWS];
        let mut sums = [0.0; MOST_ROWS];
        // a score of −∞ (a distance that overflows) must not become −∞ − (−∞)
        let (highest, sums) = (&mut highest[..rows], &mut sums[..rows]);
        highest.fill(f64::MIN);
        for scores in scores.chunks_exact(stride) {
            highest.iter_mut().zip(scores).for_each(|(h, &s)| *h = if s > *h { s } else { *h });
        }
        for scores in scores.chunks_exact_mut(stride) {
            for ((s, h), sum) in scores.iter_mut().zip(&*highest).zip(&mut *sums) {
                *s = (*s - h).fast_exp();
                *sum += *s;
            }
        }
        for ((log_sum, h), sum) in log_sums.iter_mut().zip(&*highest).zip(&mut *sums) {
            *log_sum = h + sum.ln();
            *sum = 1.0 / *sum;
        }
        // a row that is infinitely far from everything belongs to everything alike
        let equal = 1.0 / components as f64;
        for scores in scores.chunks_exact_mut(stride) {
            for (s, &factor) in scores.iter_mut().zip(&*sums) {
                *s = if factor == f64::INFINITY { equal } else { *s * factor };
            }
        }
    }
}
