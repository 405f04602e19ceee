//! The mean field: the responsibilities of all sites given those of their neighbours.

use super::image::{Image, NONE};
use crate::mixture::em::Parameters;
use crate::mixture::kernel::Kernel;
use crate::mixture::tile::Tile;
use ndarray::ArrayRef2;
use rayon::prelude::*;
use unsup_core::Float;
use unsup_core::math::sum_in_order;

/// Sites that are updated by one piece of work.
const SITES: usize = 1024;

/// The state of the E step.
pub(super) struct Field<'a, F> {
    image: &'a Image<F>,
    k: usize,
    /// of each class, without its weight, in nats `[n, k]`
    log_densities: Vec<f64>,
    /// `[n, k]`
    pub(super) responsibilities: Vec<f64>,
}

/// What a sweep over both colours found.
pub(super) struct Sweep {
    /// Σᵢ log Σₖ p(k | neighbours) N(xᵢ | k)
    pub(super) log_likelihood: f64,
    /// Σᵢ p(k | neighbours) `[k]`
    pub(super) priors: Vec<f64>,
    /// Σᵢ rᵢₖ `[k]`
    pub(super) counts: Vec<f64>,
    /// the greatest change of a responsibility
    pub(super) change: f64,
}

impl<'a, F: Float> Field<'a, F> {
    /// The field in which every site stands alone: the responsibilities of the mixture of these log-weights.
    pub(super) fn alone(image: &'a Image<F>, shift: &[f64], parameters: &Parameters, alpha: &[f64]) -> Self {
        let k = alpha.len();
        let responsibilities = vec![0.0; image.rows().nrows() * k];
        let mut field = Field { image, k, log_densities: Vec::new(), responsibilities };
        field.measure(shift, parameters);
        field.sweep(alpha, 0.0);
        field
    }

    /// Computes the densities anew.
    pub(super) fn measure(&mut self, shift: &[f64], parameters: &Parameters) {
        self.log_densities = log_densities(self.image.rows(), shift, parameters);
    }

    /// Updates the even sites from the odd ones, then the odd from the even.
    pub(super) fn sweep(&mut self, alpha: &[f64], coupling: f64) -> Sweep {
        let (k, even) = (self.k, self.image.even);
        let (evens, odds) = self.responsibilities.split_at_mut(even * k);
        let (densities, neighbours) = (&self.log_densities, &self.image.neighbours);
        let half = |first: usize, mine: &mut [f64], others: &[f64], offset: usize| -> Vec<Vec<f64>> {
            let update = |(part, mine): (usize, &mut [f64])| {
                let first = first + part * SITES;
                let mut sums = vec![0.0; 2 + 2 * k];
                let mut prior = vec![0.0; k];
                for (i, mine) in mine.chunks_exact_mut(k).enumerate() {
                    prior.copy_from_slice(alpha);
                    for &j in neighbours[first + i].iter().filter(|&&j| j != NONE) {
                        let other = &others[(j as usize - offset) * k..][..k];
                        prior.iter_mut().zip(other).for_each(|(p, r)| *p += coupling * r);
                    }
                    site(&mut prior, &densities[(first + i) * k..][..k], mine, &mut sums);
                }
                sums
            };
            mine.par_chunks_mut(SITES * k).enumerate().map(update).collect()
        };
        let mut parts = half(0, evens, odds, even);
        parts.extend(half(even, odds, evens, 0));
        let change = parts.iter().fold(0.0, |m: f64, part| m.max(part[1]));
        let total = sum_in_order(parts.iter().map(Vec::as_slice));
        let (priors, counts) = total[2..].split_at(k);
        Sweep { log_likelihood: total[0], priors: priors.to_vec(), counts: counts.to_vec(), change }
    }
}

/// The responsibilities of one site, whose log-prior is `prior` up to a constant. Adds to sums: the log-likelihood, the greatest
/// change so far, the prior and the responsibilities.
fn site(prior: &mut [f64], densities: &[f64], responsibilities: &mut [f64], sums: &mut [f64]) {
    let k = prior.len();
    softmax(prior);
    let highest = densities.iter().copied().fold(f64::MIN, f64::max);
    let mut total = 0.0;
    // a class that is infinitely far (a distance that overflows) has a density of 0
    let joint = |(p, l): (&f64, &f64)| p * (l - highest).exp();
    prior.iter().zip(densities).for_each(|pair| total += joint(pair));
    sums[0] += highest + total.ln();
    let (priors, counts) = sums[2..].split_at_mut(k);
    let mut change = 0.0_f64;
    for (((r, pair), prior_sum), count) in
        responsibilities.iter_mut().zip(prior.iter().zip(densities)).zip(priors).zip(counts)
    {
        let new = if total > 0.0 { joint(pair) / total } else { *pair.0 };
        change = change.max((new - *r).abs());
        *r = new;
        *prior_sum += pair.0;
        *count += new;
    }
    sums[1] = sums[1].max(change);
}

pub(super) fn softmax(values: &mut [f64]) {
    let highest = values.iter().copied().fold(f64::MIN, f64::max);
    values.iter_mut().for_each(|v| *v = (*v - highest).exp());
    let total: f64 = values.iter().sum();
    values.iter_mut().for_each(|v| *v /= total);
}

/// log N(x | μₖ, Σₖ) of each row, `[n, k]`.
fn log_densities<F: Float>(x: &ArrayRef2<F>, shift: &[f64], parameters: &Parameters) -> Vec<f64> {
    let (k, d) = (parameters.weights.len(), shift.len());
    let normal = -0.5 * d as f64 * std::f64::consts::TAU.ln();
    let constants = (0..k).map(|c| parameters.factor.log_det(c) + normal).collect();
    let kernel = Kernel::new(&parameters.factor, constants, &parameters.means);
    let stride = Tile::new(d).stride();
    let mut out = vec![0.0; x.nrows() * k];
    out.par_chunks_mut(stride * k).enumerate().for_each_init(
        || (Tile::new(d), Vec::new(), vec![0.0; k * stride]),
        |(tile, whitened, scores), (t, out)| {
            let start = t * stride;
            tile.load(x, start..start + out.len() / k, shift);
            kernel.scores(tile, whitened, scores);
            for (i, out) in out.chunks_exact_mut(k).enumerate() {
                out.iter_mut().enumerate().for_each(|(c, out)| *out = scores[c * stride + i]);
            }
        },
    );
    out
}
