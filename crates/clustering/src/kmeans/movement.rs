//! Where the centroids went from one pass to the next.

use rayon::prelude::*;
use unsup_core::math::{Candidates, Nearest, ROW_TILE};

/// The steps of the centroids.
pub(super) struct Movement<F> {
    /// the centroids of the pass before `[k, d]`
    previous: Vec<F>,
    /// whether no row has bounds yet
    pub(super) fresh: bool,
    /// the length of each step, rounded up `[k]`
    steps: Vec<f64>,
    /// whether a centroid has other bits than in the pass before `[k]`
    pub(super) moved: Vec<bool>,
    /// how far the centroids other than this one can have come nearer since the start `[k]`; the same before the last step
    pub(super) drift: Vec<f64>,
    pub(super) drift_before: Vec<f64>,
    /// the largest norm of a centroid
    pub(super) radius: f64,
    /// the few that moved farthest, in their order, and the longest step of the others
    pub(super) fast: Option<Fast<F>>,
    pub(super) slow_step: f64,
}

/// The centroids that moved farthest.
pub(super) struct Fast<F> {
    pub(super) members: Vec<u32>,
    pub(super) candidates: Candidates<F>,
}

impl<F: Nearest> Movement<F> {
    pub(super) fn new() -> Self {
        Movement {
            previous: Vec::new(),
            fresh: true,
            steps: Vec::new(),
            moved: Vec::new(),
            drift: Vec::new(),
            drift_before: Vec::new(),
            radius: 0.0,
            fast: None,
            slow_step: 0.0,
        }
    }

    /// Forgets the bounds: a pass without them was made.
    pub(super) fn forget(&mut self) {
        self.previous.clear();
    }

    /// Notes where the centroids went, and which of them went farthest when there are `groups`.
    pub(super) fn update(&mut self, centroids: &[F], d: usize, groups: bool) {
        let k = centroids.len() / d;
        let norm = |c: &[F]| c.iter().map(|v| v.f64().powi(2)).sum::<f64>().sqrt();
        self.radius = centroids.chunks_exact(d).map(norm).fold(0.0, f64::max) * (1.0 + 1e-12);
        self.fast = None;
        self.fresh = self.previous.is_empty();
        if self.fresh {
            (self.moved, self.steps) = (vec![true; k], vec![0.0; k]);
            (self.drift, self.drift_before) = (vec![0.0; k], vec![0.0; k]);
        } else {
            self.measure(centroids, d);
            if groups {
                self.find_fast(centroids, d);
            }
        }
        self.previous.clear();
        self.previous.extend_from_slice(centroids);
    }

    fn measure(&mut self, centroids: &[F], d: usize) {
        let k = self.steps.len();
        for (c, (new, old)) in centroids.chunks_exact(d).zip(self.previous.chunks_exact(d)).enumerate() {
            let squares = new.iter().zip(old).map(|(a, b)| (a.f64() - b.f64()).powi(2));
            self.steps[c] = squares.sum::<f64>().sqrt() * (1.0 + 1e-12);
            self.moved[c] = new != old;
        }
        let longest = (0..k).fold(0, |best, c| if self.steps[c] > self.steps[best] { c } else { best });
        let second = (0..k).filter(|&c| c != longest).map(|c| self.steps[c]).fold(0.0, f64::max);
        self.drift_before.clone_from(&self.drift);
        for (c, drift) in self.drift.iter_mut().enumerate() {
            let others = if c == longest { second } else { self.steps[longest] };
            *drift = (*drift + others) * (1.0 + 1e-15);
        }
    }

    /// At most an eighth of the centroids: a search of them costs an eighth of a full one.
    fn find_fast(&mut self, centroids: &[F], d: usize) {
        let k = self.steps.len();
        let most = (k / 8).max(F::lanes());
        if k < 2 * most {
            return;
        }
        let mut order: Vec<u32> = (0..k as u32).collect();
        order
            .select_nth_unstable_by(most, |&a, &b| self.steps[b as usize].total_cmp(&self.steps[a as usize]));
        self.slow_step = self.steps[order[most] as usize];
        let members: Vec<u32> = (0..k as u32).filter(|&c| self.steps[c as usize] > self.slow_step).collect();
        let rows: Vec<F> = members.iter().flat_map(|&c| &centroids[c as usize * d..][..d]).copied().collect();
        self.fast = Some(Fast { members, candidates: Candidates::pack(&rows, d) });
    }
}

/// The distance of each centroid from its nearest neighbour, rounded down. `[k]`
pub(super) fn apart<F: Nearest>(centroids: &[F], candidates: &Candidates<F>, d: usize) -> Vec<f64> {
    let (k, padded) = (candidates.len(), candidates.padded());
    let mut apart = vec![0.0; k];
    apart.par_chunks_mut(ROW_TILE).enumerate().for_each_init(Vec::new, |squares, (t, apart)| {
        let first = t * ROW_TILE;
        squares.resize(apart.len() * padded, F::zero());
        candidates.squared_distances(&centroids[first * d..(first + apart.len()) * d], squares);
        for (c, (apart, squares)) in (first..).zip(apart.iter_mut().zip(squares.chunks_exact_mut(padded))) {
            squares[c] = F::infinity();
            let least = squares[..k].iter().copied().fold(F::infinity(), F::min).f64();
            *apart = (least * (1.0 - (d + 4) as f64 * F::EPS)).sqrt() * (1.0 - 1e-15);
        }
    });
    apart
}
