//! The mean field: the responsibilities of all sites given those of their neighbours, and in the same pass the sums that the M
//! step needs.
//!
//! A tile of sites of one colour is scored, updated and added to the sums while it is in the cache: beside the responsibilities
//! no table of n × k exists. Chunks of tiles run side by side; their sums are added up in their order.

use super::image::Image;
use super::update::{Neighbourhood, Potts, Update};
use crate::mixture::em::Parameters;
use crate::mixture::pass::{Statistics, ranges};
use rayon::prelude::*;
use std::ops::Range;
use unsup_core::Float;
use unsup_core::math::sum_in_order;

/// The state of the E step.
pub(super) struct Field<'a, F> {
    pub(super) image: &'a Image<F>,
    pub(super) shift: &'a [f64],
    pub(super) k: usize,
    /// of the even sites, then zeros for the neighbours that are missing, then of the odd sites `[n + 1, k]`
    responsibilities: Vec<f64>,
}

/// The sites of one colour: their responsibilities, and their neighbours'.
pub(super) struct Half<'a, F> {
    pub(super) sites: Range<usize>,
    pub(super) mine: &'a mut [f64],
    pub(super) around: Neighbourhood<'a, F>,
}

/// What a sweep over both colours found.
pub(super) struct Sweep {
    /// Σᵢ log Σₖ p(k | neighbours) N(xᵢ | k), and the sums of the M step about the means
    pub(super) statistics: Statistics,
    /// Σᵢ p(k | neighbours) `[k]`
    pub(super) priors: Vec<f64>,
}

impl<'a, F: Float> Field<'a, F> {
    /// The field in which every site stands alone: the responsibilities of the mixture of these log-weights.
    pub(super) fn alone(
        image: &'a Image<F>,
        shift: &'a [f64],
        parameters: &Parameters,
        external: &[f64],
    ) -> Self {
        let k = external.len();
        let responsibilities = vec![0.0; (image.rows().nrows() + 1) * k];
        let mut field = Field { image, shift, k, responsibilities };
        field.sweep(&Potts::new(parameters, external, 0.0));
        field
    }

    /// Even sites, which are updated from the odd ones.
    pub(super) fn evens(&mut self) -> Half<'_, F> {
        let (image, shift, even) = (self.image, self.shift, self.image.even);
        let (mine, others) = self.responsibilities.split_at_mut(even * self.k);
        Half { sites: 0..even, mine, around: Neighbourhood { image, shift, others, first: even } }
    }

    /// Odd sites, which are updated from the even ones.
    pub(super) fn odds(&mut self) -> Half<'_, F> {
        let (image, shift, even) = (self.image, self.shift, self.image.even);
        let (others, mine) = self.responsibilities.split_at_mut((even + 1) * self.k);
        let sites = even..image.rows().nrows();
        Half { sites, mine, around: Neighbourhood { image, shift, others, first: 0 } }
    }

    /// Updates the even sites, then the odd ones.
    pub(super) fn sweep(&mut self, potts: &Potts<'_>) -> Sweep {
        let (k, d) = (self.k, self.shift.len());
        let mut parts = self.evens().update(potts, k);
        parts.extend(self.odds().update(potts, k));
        Sweep {
            statistics: Statistics::sum(parts.iter().map(|(total, _)| total.as_slice()), k, d),
            priors: sum_in_order(parts.iter().map(|(_, priors)| priors.as_slice())),
        }
    }

    /// In the order of the sites. `[n, k]`
    pub(super) fn into_responsibilities(mut self) -> Vec<f64> {
        let missing = self.image.even * self.k;
        self.responsibilities.drain(missing..missing + self.k);
        self.responsibilities
    }
}

impl<F: Float> Half<'_, F> {
    /// Updates all sites. Returns of each chunk the sums of the M step and of the priors.
    fn update(self, potts: &Potts<'_>, k: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
        let Half { sites, mine, around } = self;
        let factor = &potts.parameters.factor;
        let size = ranges(sites.len(), k, factor.d, factor.family).first().map_or(1, Range::len);
        let chunk = |(part, mine): (usize, &mut [f64])| {
            let (mut update, mut priors) = (Update::new(potts), vec![0.0; k]);
            let room = update.chunk.tile.room();
            let starts = (sites.start + part * size..).step_by(room);
            for (start, mine) in starts.zip(mine.chunks_mut(room * k)) {
                update.tile(around, start, mine);
                update.accumulate(&mut priors);
            }
            (update.chunk.total, priors)
        };
        mine.par_chunks_mut(size * k).enumerate().map(chunk).collect()
    }
}
