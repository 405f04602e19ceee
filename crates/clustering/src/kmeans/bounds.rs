//! Lloyd's assignment without most of its distances: the bounds of Hamerly, and of Yinyang with two groups.
//!
//! Each row keeps an upper bound u on the distance to its own centroid and a lower bound l on the distance to all
//! others. When centroids move, l falls by the longest step among the others, and u is measured anew where the
//! row's own centroid moved. The label stands as long as u < max(l, s − u), where s is the distance from the
//! centroid to its nearest neighbour; only the other rows are gathered and searched by the kernel (Hamerly 2010).
//!
//! Late in a run few centroids move. Yinyang (Ding et al. 2015) therefore bounds the distances to groups of centroids;
//! here there are two groups, formed anew in each pass: the eighth that moved farthest, and the others. A row
//! whose label stands against the others is searched among that eighth alone, and needs no bound of its own for it.
//!
//! **Exact.** The labels are those that the kernel would give, to the bit. A bound is rounded away from the truth,
//! and u must be below l by more than what the kernel's scores can be wrong: with γ = (d + 2)·ε, a score
//! x·c − ½‖c‖² is within γ·(½‖c‖² + ‖x‖‖c‖) of its true value (Higham 2002, section 3.1). A row near a tie is searched.
//! Sums of a cluster are kept, chunk by chunk, until a row of the chunk enters or leaves the cluster, then taken
//! anew in the order of the rows: centroids and inertia, which follows from the sums, have the bits of the full pass.
//!
//! Memory: two numbers a row beside its label.
//!
//! Sources: Hamerly, *Making k-means even faster*, SDM 2010; Ding et al., *Yinyang k-means*, ICML 2015; Newling &
//! Fleuret, *Fast k-means with accurate bounds*, ICML 2016.

use super::algorithm::Touched;
use super::chunk::Chunk;
use super::movement::{Fast, Movement};
use crate::weights;
use ndarray::ArrayRef2;
use std::ops::Range;
use unsup_core::math::{Candidates, Nearest, ROW_TILE, centred_rows, squared_distance};

/// No label yet.
pub(super) const NONE: usize = usize::MAX;

/// The part of a pass that all chunks share.
pub(super) struct Search<'a, F> {
    pub(super) x: &'a ArrayRef2<F>,
    pub(super) weights: Option<&'a [f64]>,
    pub(super) shift: &'a [F],
    pub(super) centroids: &'a [F],
    pub(super) candidates: &'a Candidates<F>,
    pub(super) movement: &'a Movement<F>,
    /// the distance of each centroid from its nearest neighbour, rounded down `[k]`
    pub(super) apart: &'a [f64],
}

/// The rows of one chunk, with their bounds: u, and l plus the drift at the time it was found.
pub(super) struct Rows<'a, F> {
    pub(super) range: Range<usize>,
    pub(super) labels: &'a mut [usize],
    pub(super) upper: &'a mut [F],
    pub(super) lower: &'a mut [F],
}

/// The buffers of a thread.
#[derive(Default)]
pub(super) struct Buffers<F> {
    tile: Vec<F>,
    /// rows whose centroid moved
    stale: Vec<u32>,
    /// rows whose label only a fast centroid can have changed
    suspects: Vec<u32>,
    /// rows whose label any centroid can have changed
    doubtful: Vec<u32>,
    dirty: Vec<bool>,
    labels: Vec<u32>,
    leads: Vec<F>,
}

impl<F: Nearest> Search<'_, F> {
    /// One chunk: find the rows in doubt, search them, sum the clusters that changed.
    pub(super) fn pass(&self, chunk: &mut Chunk, mut rows: Rows<'_, F>, buffers: &mut Buffers<F>) -> Touched {
        let k = self.movement.moved.len();
        chunk.changed = 0;
        buffers.dirty.clear();
        buffers.dirty.resize(k, self.movement.fresh);
        self.examine(&rows, buffers);
        self.measure(&mut rows, buffers);
        buffers.labels.resize(ROW_TILE, 0);
        buffers.leads.resize(ROW_TILE, F::zero());
        if let Some(fast) = &self.movement.fast {
            self.confront(fast, &mut rows, buffers);
        }
        self.search(chunk, &mut rows, buffers);
        let touched = Touched {
            stale: buffers.stale.len(),
            suspects: buffers.suspects.len(),
            doubtful: buffers.doubtful.len(),
            summed: 0,
        };
        Touched { summed: self.sum(chunk, &rows, buffers), ..touched }
    }

    /// Sorts out the rows whose label may be wrong by the bounds as they are, and those whose centroid moved.
    fn examine(&self, rows: &Rows<'_, F>, buffers: &mut Buffers<F>) {
        buffers.stale.clear();
        buffers.suspects.clear();
        buffers.doubtful.clear();
        for (i, &label) in rows.labels.iter().enumerate() {
            if self.movement.fresh {
                buffers.doubtful.push(i as u32);
            } else if self.movement.moved[label] {
                buffers.stale.push(i as u32);
            } else {
                self.sort_out(i as u32, label, rows.upper[i].f64(), rows.lower[i].f64(), buffers);
            }
        }
    }

    #[inline(always)]
    fn sort_out(&self, i: u32, label: usize, upper: f64, lower: f64, buffers: &mut Buffers<F>) {
        if self.stands(label, upper, lower - self.movement.drift[label]) {
        } else if self.movement.fast.is_some() && self.stands(label, upper, self.slow(label, lower)) {
            buffers.suspects.push(i);
        } else {
            buffers.doubtful.push(i);
        }
    }

    /// A lower bound on the distance to all centroids but the own and the fast ones.
    #[inline(always)]
    fn slow(&self, label: usize, lower: f64) -> f64 {
        lower - self.movement.drift_before[label] - self.movement.slow_step
    }

    /// Whether no other centroid can score as high, however the kernel rounds.
    #[inline(always)]
    fn stands(&self, label: usize, upper: f64, lower: f64) -> bool {
        let others = lower.max(self.apart[label] - upper);
        others > 0.0 && others * others > upper * upper + self.doubt(upper)
    }

    /// Four times the most by which a score of a row at this distance from its centroid can be wrong: twice for the
    /// two scores compared, twice since a score is half a square.
    #[inline(always)]
    fn doubt(&self, upper: f64) -> f64 {
        let terms = (self.shift.len() + 2) as f64;
        let radius = self.movement.radius;
        4.0 * terms * (F::EPS * radius * (1.5 * radius + upper) + 2.0 * F::min_positive_value().f64())
    }

    /// Measures the rows whose centroid moved.
    fn measure(&self, rows: &mut Rows<'_, F>, buffers: &mut Buffers<F>) {
        let d = self.shift.len();
        let (stale, start) = (std::mem::take(&mut buffers.stale), rows.range.start);
        for stale in stale.chunks(ROW_TILE) {
            centred_rows(self.x, stale.iter().map(|&i| start + i as usize), self.shift, &mut buffers.tile);
            let tile = std::mem::take(&mut buffers.tile);
            for (&i, row) in stale.iter().zip(tile.chunks_exact(d)) {
                let i = i as usize;
                let label = rows.labels[i];
                let squared = self.squared(row, label);
                let upper = self.upper(squared);
                rows.upper[i] = up(upper);
                self.sort_out(i as u32, label, upper, rows.lower[i].f64(), buffers);
            }
            buffers.tile = tile;
        }
        buffers.stale = stale;
    }

    /// A distance that is not below the true one, from its computed square.
    #[inline(always)]
    fn upper(&self, squared: f64) -> f64 {
        let terms = (self.shift.len() + 4) as f64;
        (squared * (1.0 + terms * F::EPS) + terms * F::min_positive_value().f64()).sqrt() * (1.0 + 1e-15)
    }

    /// The suspects against the fast centroids: a row that one of them may have won is in doubt.
    fn confront(&self, fast: &Fast<F>, rows: &mut Rows<'_, F>, buffers: &mut Buffers<F>) {
        let (d, start) = (self.shift.len(), rows.range.start);
        let Buffers { suspects, doubtful, tile, labels, leads, .. } = buffers;
        for suspects in suspects.chunks(ROW_TILE) {
            centred_rows(self.x, suspects.iter().map(|&i| start + i as usize), self.shift, tile);
            fast.candidates.nearest_with_lead(tile, &mut labels[..suspects.len()], leads);
            for (((&i, row), &nearest), lead) in
                suspects.iter().zip(tile.chunks_exact(d)).zip(&*labels).zip(&*leads)
            {
                let (at, nearest) = (i as usize, fast.members[nearest as usize] as usize);
                let (label, upper) = (rows.labels[at], rows.upper[at].f64());
                let slow = self.slow(label, rows.lower[at].f64());
                let squared = self.squared(row, nearest);
                let others = if nearest == label {
                    self.second(squared, lead.f64())
                } else {
                    self.second(squared, 0.0)
                };
                if nearest == label || self.stands(label, upper, others) {
                    rows.lower[at] = down(others.min(slow).max(0.0) + self.movement.drift[label]);
                } else {
                    doubtful.push(i);
                }
            }
        }
    }

    /// The nearest centroid of the rows in doubt, among all.
    fn search(&self, chunk: &mut Chunk, rows: &mut Rows<'_, F>, buffers: &mut Buffers<F>) {
        let (d, start) = (self.shift.len(), rows.range.start);
        let Buffers { doubtful, dirty, tile, labels, leads, .. } = buffers;
        for doubtful in doubtful.chunks(ROW_TILE) {
            centred_rows(self.x, doubtful.iter().map(|&i| start + i as usize), self.shift, tile);
            self.candidates.nearest_with_lead(tile, &mut labels[..doubtful.len()], leads);
            for (((&i, row), &label), lead) in
                doubtful.iter().zip(tile.chunks_exact(d)).zip(&*labels).zip(&*leads)
            {
                let (i, label) = (i as usize, label as usize);
                let squared = self.squared(row, label);
                rows.upper[i] = up(self.upper(squared));
                rows.lower[i] = down(self.second(squared, lead.f64()) + self.movement.drift[label]);
                let old = std::mem::replace(&mut rows.labels[i], label);
                if old != label {
                    chunk.changed += 1;
                    dirty[label] = true;
                    if old != NONE {
                        dirty[old] = true;
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn squared(&self, row: &[F], centroid: usize) -> f64 {
        let at = centroid * row.len();
        squared_distance(row, &self.centroids[at..at + row.len()]).f64()
    }

    /// A distance that is not above the true one of the second best, from the computed square of the best and the
    /// lead of its score.
    #[inline(always)]
    fn second(&self, squared: f64, lead: f64) -> f64 {
        let terms = (self.shift.len() + 4) as f64;
        let least =
            squared * (1.0 - terms * F::EPS) + 2.0 * lead * (1.0 - F::EPS) - self.doubt(self.upper(squared));
        least.max(0.0).sqrt() * (1.0 - 1e-15)
    }

    /// The sums of the clusters that a row entered or left, anew. Returns how many rows they have.
    fn sum(&self, chunk: &mut Chunk, rows: &Rows<'_, F>, buffers: &mut Buffers<F>) -> usize {
        let Buffers { dirty, stale, tile, labels, .. } = buffers;
        (0..dirty.len()).filter(|&c| dirty[c]).for_each(|c| chunk.clear(c));
        stale.clear();
        stale.extend((0..rows.labels.len() as u32).filter(|&i| dirty[rows.labels[i as usize]]));
        let start = rows.range.start;
        for members in stale.chunks(ROW_TILE) {
            centred_rows(self.x, members.iter().map(|&i| start + i as usize), self.shift, tile);
            labels.clear();
            labels.extend(members.iter().map(|&i| rows.labels[i as usize] as u32));
            let weight = |m: usize| weights::at(self.weights, start + members[m] as usize);
            chunk.add(tile, labels, weight);
        }
        chunk.explain(self.centroids);
        stale.len()
    }
}

fn up<F: Nearest>(value: f64) -> F {
    F::of(value * (1.0 + 2.0 * F::EPS))
}

fn down<F: Nearest>(value: f64) -> F {
    F::of(value * (1.0 - 2.0 * F::EPS))
}
