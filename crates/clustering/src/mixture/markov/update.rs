//! The mean-field equations of a tile of sites: rᵢₖ ∝ exp(αₖ + β Σⱼ rⱼₖ) N(xᵢ | μₖ, Σₖ), normalised in the logarithm, so that no
//! product of a prior and a density underflows.

use super::image::Image;
use crate::mixture::em::Parameters;
use crate::mixture::kernel::Kernel;
use crate::mixture::normalize::normalize;
use crate::mixture::pass::Chunk;
use unsup_core::Float;

/// What the equations hold beside the neighbours.
pub(super) struct Potts<'a> {
    pub(super) parameters: &'a Parameters,
    /// of the densities without weights
    kernel: Kernel,
    /// α
    external: &'a [f64],
    /// β
    coupling: f64,
}

impl<'a> Potts<'a> {
    pub(super) fn new(parameters: &'a Parameters, external: &'a [f64], coupling: f64) -> Self {
        let (k, d) = (external.len(), parameters.factor.d);
        let normal = -0.5 * d as f64 * std::f64::consts::TAU.ln();
        let constants = (0..k).map(|c| parameters.factor.log_det(c) + normal).collect();
        let kernel = Kernel::new(&parameters.factor, constants, &parameters.means);
        Potts { parameters, kernel, external, coupling }
    }
}

/// Sites of one colour and the table that their neighbours are in.
#[derive(Clone, Copy)]
pub(super) struct Neighbourhood<'a, F> {
    pub(super) image: &'a Image<F>,
    pub(super) shift: &'a [f64],
    /// the responsibilities of the other colour, and zeros for neighbours that are missing
    pub(super) others: &'a [f64],
    /// the row of the table that `others` begins with
    pub(super) first: usize,
}

/// The buffers of one thread.
pub(super) struct Update<'a> {
    potts: &'a Potts<'a>,
    /// its responsibilities are those of the last tile
    pub(super) chunk: Chunk<'a>,
    /// p(k | neighbours) of the last tile, component by component `[k, stride]`
    priors: Vec<f64>,
    log_priors: Vec<f64>,
}

impl<'a> Update<'a> {
    pub(super) fn new(potts: &'a Potts<'a>) -> Self {
        let Parameters { factor, means, .. } = potts.parameters;
        let k = potts.external.len();
        let chunk = Chunk::new(k, factor.d, factor.family, means);
        let stride = chunk.tile.stride();
        Update { potts, chunk, priors: vec![0.0; k * stride], log_priors: vec![0.0; stride] }
    }

    /// Updates the sites from `start` on, whose responsibilities are `mine`. Returns the greatest change of one.
    pub(super) fn tile<F: Float>(
        &mut self,
        around: Neighbourhood<'_, F>,
        start: usize,
        mine: &mut [f64],
    ) -> f64 {
        let (k, stride) = (self.potts.external.len(), self.chunk.tile.stride());
        let sites = start..start + mine.len() / k;
        let Update { potts, chunk, priors, log_priors } = self;
        chunk.tile.load(around.image.rows(), sites.clone(), around.shift);
        chunk.score(&potts.kernel);
        for (i, neighbours) in around.image.neighbours[sites].iter().enumerate() {
            let rows = neighbours.map(|row| &around.others[(row as usize - around.first) * k..][..k]);
            for (c, external) in potts.external.iter().enumerate() {
                let prior = external + potts.coupling * rows.iter().map(|r| r[c]).sum::<f64>();
                priors[c * stride + i] = prior;
                chunk.responsibilities[c * stride + i] += prior;
            }
        }
        chunk.normalize();
        normalize(priors, stride, &mut log_priors[..chunk.tile.padded()]);
        for (i, _) in chunk.log_sums.iter().enumerate().filter(|(_, l)| **l == f64::NEG_INFINITY) {
            // infinitely far from every class (a distance that overflows): only the prior is known
            (0..k).for_each(|c| chunk.responsibilities[c * stride + i] = priors[c * stride + i]);
        }
        let mut change = 0.0_f64;
        for (c, new) in chunk.responsibilities.chunks_exact(stride).enumerate() {
            for (new, old) in new.iter().zip(mine[c..].iter_mut().step_by(k)) {
                change = change.max((new - *old).abs());
                *old = *new;
            }
        }
        change
    }

    /// Adds the last tile to the sums of its chunk and to Σᵢ p(k | neighbours).
    pub(super) fn accumulate(&mut self, priors: &mut [f64]) {
        let (stride, count) = (self.chunk.tile.stride(), self.chunk.tile.count());
        let log_sums = self.chunk.log_sums[..count].iter().zip(&self.log_priors);
        self.chunk.total[0] += log_sums.map(|(joint, prior)| joint - prior).sum::<f64>();
        for (sum, values) in priors.iter_mut().zip(self.priors.chunks_exact(stride)) {
            *sum += values[..count].iter().sum::<f64>();
        }
        self.chunk.accumulate(None);
    }
}
