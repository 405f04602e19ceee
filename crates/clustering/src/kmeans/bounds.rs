//! Lloyd's assignment without most of its distances: Hamerly's bounds and the ball of Exponion.
//!
//! Each row keeps an upper bound u on the distance to its own centroid and a lower bound l on the distance to all
//! others. When centroids move, l falls by the longest step among the others, and u is measured anew where the
//! row's own centroid moved. The label stands as long as u < max(l, 2s − u), where s is half the distance from
//! the centroid to its nearest neighbour; only the other rows are gathered and searched by the kernel.
//!
//! **Exact.** The labels are those that the kernel would give, to the bit. A bound is rounded away from the truth,
//! and u must be below l by more than what the kernel's scores can be wrong: with γ = (d + 2)·ε, a score
//! x·c − ½‖c‖² is within γ·(½‖c‖² + ‖x‖‖c‖) of its true value (Higham 2002, section 3.1). A row near a tie is searched.
//! Sums of a cluster are kept, chunk by chunk, until a row of the chunk enters or leaves the cluster, then taken
//! anew in the order of the rows: centroids and inertia have the bits of the full pass.
//!
//! Sources: Hamerly, *Making k-means even faster*, SDM 2010; Newling & Fleuret, *Fast k-means with accurate bounds*,
//! ICML 2016 (Exponion, section 3.1).

use super::chunk::Chunk;
use super::neighbours::Neighbours;
use ndarray::ArrayRef2;
use std::ops::Range;
use unsup_core::math::{Candidates, Nearest, ROW_TILE, centred_rows, squared_distance};

/// No label yet.
pub(super) const NONE: u32 = u32::MAX;

/// What a pass over the rows needs to know of the centroids.
pub(super) struct Movement<F> {
    /// the centroids of the pass before `[k, d]`, empty before the first
    previous: Vec<F>,
    /// whether a centroid has other bits than in the pass before `[k]`
    moved: Vec<bool>,
    /// how far the centroids other than this one can have come nearer since the start `[k]`
    drift: Vec<f64>,
    /// the largest norm of a centroid
    radius: f64,
}

impl<F: Nearest> Movement<F> {
    pub(super) fn new() -> Self {
        Movement { previous: Vec::new(), moved: Vec::new(), drift: Vec::new(), radius: 0.0 }
    }

    /// Notes where the centroids went.
    pub(super) fn update(&mut self, centroids: &[F], d: usize) {
        let k = centroids.len() / d;
        let norm = |c: &[F]| c.iter().map(|v| v.f64().powi(2)).sum::<f64>().sqrt();
        self.radius = centroids.chunks_exact(d).map(norm).fold(0.0, f64::max);
        if self.previous.is_empty() {
            (self.moved, self.drift) = (vec![true; k], vec![0.0; k]);
        } else {
            let step = |(a, b): (&[F], &[F])| {
                let squares = a.iter().zip(b).map(|(a, b)| (a.f64() - b.f64()).powi(2));
                squares.sum::<f64>().sqrt() * (1.0 + 1e-12)
            };
            let steps: Vec<f64> =
                centroids.chunks_exact(d).zip(self.previous.chunks_exact(d)).map(step).collect();
            let longest = (0..k).fold(0, |best, c| if steps[c] > steps[best] { c } else { best });
            let second = (0..k).filter(|&c| c != longest).map(|c| steps[c]).fold(0.0, f64::max);
            for c in 0..k {
                let others = if c == longest { second } else { steps[longest] };
                self.drift[c] = (self.drift[c] + others) * (1.0 + 1e-15);
                self.moved[c] = centroids[c * d..(c + 1) * d] != self.previous[c * d..(c + 1) * d];
            }
        }
        self.previous.clear();
        self.previous.extend_from_slice(centroids);
    }
}

/// The part of a pass that all chunks share.
pub(super) struct Search<'a, F> {
    pub(super) x: &'a ArrayRef2<F>,
    pub(super) weights: Option<&'a [f64]>,
    pub(super) shift: &'a [F],
    pub(super) centroids: &'a [F],
    pub(super) candidates: &'a Candidates<F>,
    pub(super) movement: &'a Movement<F>,
    pub(super) neighbours: &'a Neighbours<F>,
}

/// The rows of one chunk, with their bounds: u, and l plus the drift at the time it was found.
pub(super) struct Rows<'a, F> {
    pub(super) range: Range<usize>,
    pub(super) labels: &'a mut [u32],
    pub(super) upper: &'a mut [F],
    pub(super) lower: &'a mut [F],
}

/// The buffers of a thread.
#[derive(Default)]
pub(super) struct Buffers<F> {
    tile: Vec<F>,
    searched: Vec<F>,
    stale: Vec<u32>,
    doubtful: Vec<u32>,
    dirty: Vec<bool>,
    labels: Vec<u32>,
    leads: Vec<F>,
}

impl<F: Nearest> Search<'_, F> {
    /// One chunk: find the rows in doubt, search them, sum the clusters that changed.
    pub(super) fn pass(&self, chunk: &mut Chunk, mut rows: Rows<'_, F>, buffers: &mut Buffers<F>) {
        let k = self.movement.moved.len();
        chunk.changed = false;
        buffers.dirty.clear();
        buffers.dirty.resize(k, false);
        (0..k).filter(|&c| self.movement.moved[c]).for_each(|c| chunk.inertia[c] = 0.0);
        self.examine(&rows, buffers);
        self.measure(chunk, &mut rows, buffers);
        self.search(chunk, &mut rows, buffers);
        self.sum(chunk, &rows, buffers);
    }

    /// Sorts out the rows whose label may be wrong by the bounds as they are, and those whose centroid moved.
    fn examine(&self, rows: &Rows<'_, F>, buffers: &mut Buffers<F>) {
        buffers.stale.clear();
        buffers.doubtful.clear();
        for (i, &label) in rows.labels.iter().enumerate() {
            if label == NONE {
                buffers.doubtful.push(i as u32);
            } else if self.movement.moved[label as usize] {
                buffers.stale.push(i as u32);
            } else if !self.stands(label, rows.upper[i].f64(), rows.lower[i].f64()) {
                buffers.doubtful.push(i as u32);
            }
        }
    }

    /// Whether no other centroid can score as high, however the kernel rounds.
    #[inline(always)]
    fn stands(&self, label: u32, upper: f64, lower: f64) -> bool {
        let label = label as usize;
        let others = (lower - self.movement.drift[label]).max(self.neighbours.apart[label] - upper);
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
    fn measure(&self, chunk: &mut Chunk, rows: &mut Rows<'_, F>, buffers: &mut Buffers<F>) {
        let d = self.shift.len();
        for stale in buffers.stale.chunks(ROW_TILE) {
            let start = rows.range.start;
            centred_rows(self.x, stale.iter().map(|&i| start + i as usize), self.shift, &mut buffers.tile);
            for (&i, row) in stale.iter().zip(buffers.tile.chunks_exact(d)) {
                let i = i as usize;
                let label = rows.labels[i] as usize;
                let squared = squared_distance(row, &self.centroids[label * d..(label + 1) * d]).f64();
                chunk.inertia[label] += self.weight(start + i) * squared;
                let upper = self.upper(squared);
                rows.upper[i] = up(upper);
                if !self.stands(label as u32, upper, rows.lower[i].f64()) {
                    buffers.doubtful.push(i as u32);
                }
            }
        }
    }

    /// A distance that is not below the true one, from its computed square.
    #[inline(always)]
    fn upper(&self, squared: f64) -> f64 {
        let terms = (self.shift.len() + 4) as f64;
        (squared * (1.0 + terms * F::EPS) + terms * F::min_positive_value().f64()).sqrt() * (1.0 + 1e-15)
    }

    /// The nearest centroid of the rows in doubt.
    fn search(&self, chunk: &mut Chunk, rows: &mut Rows<'_, F>, buffers: &mut Buffers<F>) {
        let (d, start) = (self.shift.len(), rows.range.start);
        buffers.labels.resize(ROW_TILE, 0);
        buffers.leads.resize(ROW_TILE, F::zero());
        for doubtful in buffers.doubtful.chunks(ROW_TILE) {
            centred_rows(self.x, doubtful.iter().map(|&i| start + i as usize), self.shift, &mut buffers.searched);
            let labels = &mut buffers.labels[..doubtful.len()];
            self.candidates.nearest_with_lead(&buffers.searched, labels, &mut buffers.leads);
            for (((&i, row), &label), lead) in
                doubtful.iter().zip(buffers.searched.chunks_exact(d)).zip(&*labels).zip(&buffers.leads)
            {
                let i = i as usize;
                let at = label as usize * d;
                let squared = squared_distance(row, &self.centroids[at..at + d]).f64();
                let upper = self.upper(squared);
                let second = squared * (1.0 - (d + 4) as f64 * F::EPS) + 2.0 * lead.f64() * (1.0 - F::EPS)
                    - self.doubt(upper);
                rows.upper[i] = up(upper);
                rows.lower[i] = down(second.max(0.0).sqrt() + self.movement.drift[label as usize]);
                let old = std::mem::replace(&mut rows.labels[i], label);
                if old != label {
                    chunk.changed = true;
                    buffers.dirty[label as usize] = true;
                    if old != NONE {
                        buffers.dirty[old as usize] = true;
                    }
                }
            }
        }
    }

    /// The sums of the clusters that a row entered or left, anew.
    fn sum(&self, chunk: &mut Chunk, rows: &Rows<'_, F>, buffers: &mut Buffers<F>) {
        let Buffers { dirty, stale, tile, labels, .. } = buffers;
        (0..dirty.len()).filter(|&c| dirty[c]).for_each(|c| chunk.clear(c));
        stale.clear();
        stale.extend((0..rows.labels.len() as u32).filter(|&i| dirty[rows.labels[i as usize] as usize]));
        let start = rows.range.start;
        for members in stale.chunks(ROW_TILE) {
            centred_rows(self.x, members.iter().map(|&i| start + i as usize), self.shift, tile);
            labels.clear();
            labels.extend(members.iter().map(|&i| rows.labels[i as usize]));
            let weight = |m: usize| self.weight(start + members[m] as usize);
            chunk.add(tile, labels, weight, self.centroids);
        }
    }

    #[inline(always)]
    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |w| w[row])
    }
}

fn up<F: Nearest>(value: f64) -> F {
    F::of(value * (1.0 + 2.0 * F::EPS))
}

fn down<F: Nearest>(value: f64) -> F {
    F::of(value * (1.0 - 2.0 * F::EPS))
}
