//! Multiplicative updates (Lee & Seung 2001; Févotte & Idier 2011): each factor times the ratio of the two non-negative parts
//! of its gradient, for any β-divergence.
//!
//! With Y = WH: W ← W ∘ (((X∘Y^(β−2)) Hᵀ) / (Y^(β−1) Hᵀ + penalties))^γ, and H likewise with the new W. Both turns' products
//! with a tile are made while it is in the cache: one pass over the data an iteration.

use super::descent::Penalty;
use super::loss::{Loss, values};
use super::tiles::{Tiles, floor};
use ndarray::{Array2, ArrayRef2, Axis};
use rayon::prelude::*;
use unsup_core::Float;
use unsup_core::math::{Mat, multiply, sum_in_order};

/// The two parts of the components' gradient before penalties, `[k, d]` each.
pub(super) struct Parts {
    pub(super) numerator: Array2<f64>,
    pub(super) denominator: Array2<f64>,
}

/// One factor and what its updates need of it.
struct Fixed<'a, F> {
    loss: Loss,
    h: &'a [F],
    /// HHᵀ for the Frobenius loss, the sums of rows of H for Kullback–Leibler, else empty
    summary: Vec<F>,
    k: usize,
    d: usize,
}

impl<'a, F: Float> Fixed<'a, F> {
    fn new(loss: Loss, h: &'a Array2<F>) -> Self {
        let wide = h.mapv(F::f64);
        let summary = match loss.beta() {
            2.0 => wide.dot(&wide.t()).iter().map(|&v| F::of(v)).collect(),
            1.0 => wide.sum_axis(Axis(1)).iter().map(|&v| F::of(v)).collect(),
            _ => Vec::new(),
        };
        let (k, d) = h.dim();
        Fixed { loss, h: values(h), summary, k, d }
    }

    /// The codes' turn of some rows. x: `[m, d]`, w: `[m, k]`.
    fn codes_turn(&self, x: &[F], w: &mut [F], penalty: Penalty, scratch: &mut Scratch<F>) {
        let (k, d, m) = (self.k, self.d, x.len() / self.d);
        let h = Mat::new(self.h, k, d);
        let Scratch { p, q, numerator, denominator } = scratch;
        numerator.resize(m * k, F::zero());
        denominator.resize(m * k, F::zero());
        if self.loss.beta() == 2.0 {
            multiply(numerator, k, false, Mat::new(x, m, d), h.t());
            multiply(denominator, k, false, Mat::new(w, m, k), Mat::new(&self.summary, k, k));
        } else {
            self.approximate(x, w, p, q);
            multiply(numerator, k, false, Mat::new(p, m, d), h.t());
            if self.loss.beta() == 1.0 {
                denominator.chunks_exact_mut(k).for_each(|row| row.copy_from_slice(&self.summary));
            } else {
                multiply(denominator, k, false, Mat::new(q, m, d), h.t());
            }
        }
        step(self.loss, w, numerator, denominator, penalty);
    }

    /// Y = WH, then the two weights of the updates.
    fn approximate(&self, x: &[F], w: &[F], p: &mut Vec<F>, q: &mut Vec<F>) {
        let (k, d, m) = (self.k, self.d, x.len() / self.d);
        q.resize(m * d, F::zero());
        multiply(q, d, false, Mat::new(w, m, k), Mat::new(self.h, k, d));
        self.loss.weigh(x, q, p);
    }
}

#[derive(Default)]
struct Scratch<F> {
    /// X∘Y^(β−2), `[m, d]`
    p: Vec<F>,
    /// Y^(β−1), `[m, d]`
    q: Vec<F>,
    numerator: Vec<F>,
    denominator: Vec<F>,
}

/// factor ← factor ∘ (numerator / (denominator + penalties))^γ.
pub(super) fn step<F: Float>(
    loss: Loss,
    factor: &mut [F],
    numerator: &[F],
    denominator: &[F],
    penalty: Penalty,
) {
    let (l1, l2, exponent, floor) = (F::of(penalty.l1), F::of(penalty.l2), loss.exponent(), floor::<F>());
    for ((w, &n), &d) in factor.iter_mut().zip(numerator).zip(denominator) {
        let divisor = d + l1 + l2 * *w;
        let ratio = n / if divisor > F::zero() { divisor } else { floor };
        *w *= if exponent == 1.0 { ratio } else { F::of(ratio.f64().powf(exponent)) };
        // where the divergence divides by the approximation, what has all but vanished is zero
        if exponent != 1.0 && loss.beta() < 1.0 && *w < floor {
            *w = F::zero();
        }
    }
}

/// The codes' turn of all rows, and the parts of the components' gradient at the new codes. x: `[n, d]`, w: `[n, k]`,
/// h: `[k, d]`, all row-major.
pub(super) fn codes_turn<F: Float>(
    loss: Loss,
    x: &ArrayRef2<F>,
    w: &mut Array2<F>,
    h: &Array2<F>,
    penalty: Penalty,
) -> Parts {
    let ((n, d), k) = (x.dim(), h.nrows());
    let (x, fixed, tiles) = (values(x), Fixed::new(loss, h), Tiles::new::<F>(n, d, k));
    // how much there is to sum beside the numerator: WᵀW, the sums of W, or WᵀY^(β−1)
    let beside = match loss.beta() {
        2.0 => k * k,
        1.0 => k,
        _ => k * d,
    };
    let w = w.as_slice_mut().unwrap_or_default();
    let parts: Vec<Vec<f64>> = tiles
        .chunks()
        .into_par_iter()
        .zip(w.par_chunks_mut(tiles.size() * k))
        .map(|(chunk, w)| {
            let mut scratch = Scratch::default();
            let mut part = vec![F::zero(); k * d + beside];
            let mut total = vec![0.0; k * d + beside];
            for rows in chunk.tiles() {
                let m = rows.len();
                let tile = &x[rows.start * d..rows.end * d];
                let w = &mut w[(rows.start - chunk.rows.start) * k..][..m * k];
                fixed.codes_turn(tile, w, penalty, &mut scratch);
                let codes = Mat::new(w, m, k).t();
                let (numerator, denominator) = part.split_at_mut(k * d);
                if loss.beta() == 2.0 {
                    multiply(numerator, d, false, codes, Mat::new(tile, m, d));
                    multiply(denominator, k, false, codes, Mat::new(w, m, k));
                } else {
                    fixed.approximate(tile, w, &mut scratch.p, &mut scratch.q);
                    multiply(numerator, d, false, codes, Mat::new(&scratch.p, m, d));
                    if loss.beta() == 1.0 {
                        denominator.fill(F::zero());
                        w.chunks_exact(k)
                            .for_each(|row| denominator.iter_mut().zip(row).for_each(|(s, &v)| *s += v));
                    } else {
                        multiply(denominator, d, false, codes, Mat::new(&scratch.q, m, d));
                    }
                }
                total.iter_mut().zip(&part).for_each(|(t, p)| *t += p.f64());
            }
            total
        })
        .collect();
    let total = sum_in_order(parts.iter().map(Vec::as_slice));
    let numerator = Array2::from_shape_vec((k, d), total[..k * d].to_vec()).unwrap_or_default();
    let beside = &total[k * d..];
    let denominator = match loss.beta() {
        2.0 => {
            let gram = Array2::from_shape_vec((k, k), beside.to_vec()).unwrap_or_default();
            gram.dot(&h.mapv(F::f64))
        }
        1.0 => Array2::from_shape_fn((k, d), |(t, _)| beside[t]),
        _ => Array2::from_shape_vec((k, d), beside.to_vec()).unwrap_or_default(),
    };
    Parts { numerator, denominator }
}

/// The components' turn.
pub(super) fn components_turn<F: Float>(loss: Loss, h: &mut Array2<F>, parts: &Parts, penalty: Penalty) {
    let (numerator, denominator) = (parts.numerator.mapv(F::of), parts.denominator.mapv(F::of));
    step(loss, h.as_slice_mut().unwrap_or_default(), values(&numerator), values(&denominator), penalty);
}

/// The codes of one row for fixed components, from equal ones, until ten updates lower the row's error by less than
/// `tolerance` of the first. x: `[d]`. Returns `[k]`.
fn row_codes<F: Float>(
    fixed: &Fixed<'_, F>,
    x: &[F],
    penalty: Penalty,
    tolerance: f64,
    iterations: usize,
    scratch: &mut Scratch<F>,
) -> Vec<F> {
    let (k, d) = (fixed.k, fixed.d);
    let mean = x.iter().map(|v| v.f64()).sum::<f64>() / d as f64;
    let mut w = vec![F::of((mean / k as f64).sqrt()); k];
    let error = |w: &[F], y: &mut Vec<F>| {
        y.resize(d, F::zero());
        multiply(y, d, false, Mat::new(w, 1, k), Mat::new(fixed.h, k, d));
        let floor = floor::<F>();
        x.iter()
            .zip(&*y)
            .map(|(x, y)| fixed.loss.of(x.f64(), y.max(floor).f64()))
            .sum::<f64>()
            .max(0.0)
            .sqrt()
    };
    let first = error(&w, &mut scratch.p);
    let mut last = first;
    for iteration in 1..=iterations {
        fixed.codes_turn(x, &mut w, penalty, scratch);
        if iteration % 10 == 0 {
            let now = error(&w, &mut scratch.p);
            if last - now <= tolerance * first {
                break;
            }
            last = now;
        }
    }
    w
}

/// The codes of rows for fixed components: each row's own problem, whatever its neighbours. x: `[n, d]` row-major.
/// Returns `[n, k]`.
pub(super) fn codes<F: Float>(
    loss: Loss,
    x: &ArrayRef2<F>,
    h: &Array2<F>,
    penalty: Penalty,
    tolerance: f64,
    iterations: usize,
) -> Array2<F> {
    let fixed = Fixed::new(loss, h);
    let rows: Vec<Vec<F>> = values(x)
        .par_chunks(fixed.d)
        .map_init(Scratch::default, |scratch, row| {
            row_codes(&fixed, row, penalty, tolerance, iterations, scratch)
        })
        .collect();
    Array2::from_shape_vec((x.nrows(), fixed.k), rows.concat()).unwrap_or_default()
}
