//! Lloyd's iteration, as one fused pass over the rows.
//!
//! A tile of rows is moved near the origin, assigned by the kernel and added to its centroids'
//! sums while it is still in the cache, so each row is read from memory once an iteration. Chunks
//! have sums of their own, merged in their order.

use super::algorithm::{Algorithm, Plan, Touched};
use super::bounds::{Buffers, NONE, Rows, Search};
use super::chunk::Chunk;
use super::movement::{Movement, apart};
use crate::weights;
use ndarray::ArrayRef2;
use rayon::prelude::*;
use std::ops::ControlFlow;
use unsup_core::math::{
    Candidates, Nearest, ROW_TILE, centred_tile, chunks, following, squared_distance, tile_rows,
};
use unsup_core::observe::{Event, History, Observer, Stop};

/// The share of Σ w‖x‖² below which inertia is not found as a difference from it: some ten digits are right down to here.
const TIGHT: f64 = 1e-5;

/// One start, from its first centroids to its end.
#[derive(Debug)]
pub(super) struct Run<F> {
    /// `[k, d]` row after row, relative to the shift
    pub(super) centroids: Vec<F>,
    pub(super) labels: Vec<usize>,
    pub(super) inertia: f64,
    pub(super) history: History,
}

/// The buffers of an iteration, reused from one to the next and from one start to the next.
pub(super) struct Lloyd<'a, F> {
    x: &'a ArrayRef2<F>,
    weights: Option<&'a [f64]>,
    shift: &'a [F],
    pub(super) clusters: usize,
    labels: Vec<usize>,
    /// how many labels the last pass changed
    changed: usize,
    chunks: Vec<Chunk>,
    bounds: Option<Bounds<F>>,
    /// whether centroids are brought back to the unit sphere
    unit: bool,
}

/// The bounds of all rows, see [`bounds`](super::bounds).
struct Bounds<F> {
    upper: Vec<F>,
    lower: Vec<F>,
    movement: Movement<F>,
    plan: Plan,
}

/// What a pass over all rows found.
struct Pass {
    inertia: f64,
    changed: usize,
}

impl<'a, F: Nearest> Lloyd<'a, F> {
    pub(super) fn new(
        x: &'a ArrayRef2<F>,
        weights: Option<&'a [f64]>,
        shift: &'a [F],
        clusters: usize,
        algorithm: Algorithm,
        unit: bool,
    ) -> Self {
        let (n, d) = x.dim();
        // The sums of all chunks together stay a fraction of the data, yet there are chunks
        // enough for many threads. A function of n and k alone: see `chunks`.
        let count = (n / (80 * clusters)).clamp(4, 128);
        Lloyd {
            x,
            weights,
            shift,
            clusters,
            labels: Vec::new(),
            changed: n,
            chunks: chunks(n, count).into_iter().map(|rows| Chunk::new(rows, clusters, d)).collect(),
            unit,
            bounds: (algorithm != Algorithm::Lloyd).then(|| Bounds {
                upper: vec![F::zero(); n],
                lower: vec![F::zero(); n],
                movement: Movement::new(),
                plan: Plan::new(algorithm, n, d, clusters),
            }),
        }
    }

    /// Assigns and updates until nothing moves, as scikit-learn does: converged when no label
    /// changes, or when the centroids move less than the tolerance. Labels always belong to the
    /// centroids returned.
    pub(super) fn run(
        &mut self,
        mut centroids: Vec<F>,
        task: &str,
        max_iterations: usize,
        tolerance: f64,
        observer: &mut dyn Observer,
    ) -> Run<F> {
        let mut history = History::new();
        self.labels.clear();
        self.labels.resize(self.x.nrows(), NONE);
        self.changed = self.labels.len();
        if let Some(bounds) = &mut self.bounds {
            bounds.movement = Movement::new();
        }
        let mut inertia = f64::INFINITY;
        let mut labels_fit_centroids = false;
        for iteration in 1..=max_iterations {
            let pass = self.expectation(&centroids);
            inertia = pass.inertia;
            history.record(inertia, &[]);
            let event = Event::Progress { task, done: iteration, objective: inertia, terms: &[] };
            if observer.observe(&event) == ControlFlow::Break(()) {
                history.finish(Stop::Interrupted);
                labels_fit_centroids = true;
                break;
            }
            if pass.changed == 0 {
                history.finish(Stop::Converged);
                labels_fit_centroids = true;
                break;
            }
            let moved = self.update(&mut centroids);
            if moved <= tolerance {
                history.finish(Stop::Converged);
                break;
            }
        }
        if !labels_fit_centroids {
            inertia = self.expectation(&centroids).inertia;
        }
        Run { centroids, labels: std::mem::take(&mut self.labels), inertia, history }
    }

    /// The E step, with bounds where they pay.
    fn expectation(&mut self, centroids: &[F]) -> Pass {
        if self.bounds.as_mut().is_some_and(|bounds| bounds.plan.bounded(self.changed)) {
            self.assign_in_doubt(centroids);
        } else {
            self.assign(centroids);
            if let Some(bounds) = &mut self.bounds {
                bounds.movement.forget();
            }
        }
        self.changed = self.chunks.iter().map(|c| c.changed).sum();
        Pass { inertia: self.inertia(centroids), changed: self.changed }
    }

    /// Σ w‖x − c‖², from the sums of the clusters; from the rows where the two squares that it is the difference of drown it.
    fn inertia(&self, centroids: &[F]) -> f64 {
        let pairs = self.chunks.iter().map(Chunk::inertia);
        let (squares, inertia) =
            pairs.fold((0.0, 0.0), |(s, i), (squares, inertia)| (s + squares, i + inertia));
        if inertia > TIGHT * squares {
            return inertia;
        }
        let (d, shift) = (self.x.ncols(), self.shift);
        let of_chunk = |tile: &mut Vec<F>, chunk: &Chunk| -> f64 {
            let mut total = 0.0;
            for rows in chunk.rows.clone().step_by(ROW_TILE) {
                let rows = rows..chunk.rows.end.min(rows + ROW_TILE);
                centred_tile(self.x, rows.clone(), shift, tile);
                for (row, at) in tile.chunks_exact(d).zip(rows) {
                    let centroid = &centroids[self.labels[at] * d..][..d];
                    total += weights::at(self.weights, at) * squared_distance(row, centroid).f64();
                }
            }
            total
        };
        let parts: Vec<f64> = self.chunks.par_iter().map_init(Vec::new, of_chunk).collect();
        parts.iter().sum()
    }

    /// The E step, for the rows whose label may have changed.
    fn assign_in_doubt(&mut self, centroids: &[F]) {
        let d = self.x.ncols();
        if let Some(Bounds { upper, lower, movement, plan }) = &mut self.bounds {
            movement.update(centroids, d, plan.groups());
            let candidates = Candidates::pack(centroids, d);
            let search = Search {
                x: self.x,
                weights: self.weights,
                shift: self.shift,
                centroids,
                candidates: &candidates,
                movement,
                apart: &apart(centroids, &candidates, d),
            };
            let (mut labels, mut upper, mut lower) = (&mut self.labels[..], &mut upper[..], &mut lower[..]);
            let mut work = Vec::with_capacity(self.chunks.len());
            for chunk in &mut self.chunks {
                let (range, length) = (chunk.rows.clone(), chunk.rows.len());
                work.push((
                    chunk,
                    Rows {
                        range,
                        labels: labels.split_off_mut(..length).unwrap_or_default(),
                        upper: upper.split_off_mut(..length).unwrap_or_default(),
                        lower: lower.split_off_mut(..length).unwrap_or_default(),
                    },
                ));
            }
            let touched = work
                .into_par_iter()
                .map_init(Buffers::default, |buffers, (chunk, rows)| search.pass(chunk, rows, buffers));
            let touched = touched.reduce(Touched::default, |a, b| a + b);
            if !movement.fresh {
                plan.learn(touched);
            }
        }
    }

    /// The E step: each row to its nearest centroid; sums, weights and inertia of each cluster on the way.
    fn assign(&mut self, centroids: &[F]) {
        let (x, shift, weights, d) = (self.x, self.shift, self.weights, self.x.ncols());
        let rows = tile_rows::<F>(d);
        let candidates = Candidates::pack(centroids, d);
        // where threads outnumber the chunks, all of them search first, and the chunks are summed after it
        let apart = rayon::current_num_threads() > self.chunks.len();
        let searched = if apart { self.search(&candidates, rows) } else { 0 };
        let mut labels = &mut self.labels[..];
        let mut work = Vec::with_capacity(self.chunks.len());
        for chunk in &mut self.chunks {
            let (mine, rest) = labels.split_at_mut(chunk.rows.len());
            labels = rest;
            work.push((chunk, mine));
        }
        work.into_par_iter().for_each_init(
            || (Vec::new(), [0; ROW_TILE]),
            |(tile, nearest), (chunk, labels)| {
                chunk.reset();
                for (t, labels) in labels.chunks_mut(rows).enumerate() {
                    let start = chunk.rows.start + t * rows;
                    let nearest = &mut nearest[..labels.len()];
                    centred_tile(x, start..start + labels.len(), shift, tile);
                    if apart {
                        nearest
                            .iter_mut()
                            .zip(&*labels)
                            .for_each(|(nearest, &label)| *nearest = label as u32);
                    } else {
                        let next = start + nearest.len();
                        let coming = rows.min(chunk.rows.end - next);
                        candidates.nearest_ahead(tile, nearest, following(x, next, coming));
                        chunk.changed += relabel(labels, nearest);
                    }
                    match weights {
                        Some(weights) => chunk.add(tile, nearest, |i| weights[start + i]),
                        None => chunk.add(tile, nearest, |_| 1.0),
                    }
                }
                chunk.explain(centroids);
            },
        );
        if let Some(chunk) = self.chunks.first_mut() {
            chunk.changed += searched;
        }
    }

    /// Each row to its nearest centroid, without the sums. Returns how many labels changed.
    fn search(&mut self, candidates: &Candidates<F>, rows: usize) -> usize {
        let (x, shift) = (self.x, self.shift);
        let tiles = self.labels.par_chunks_mut(rows).enumerate();
        tiles
            .map_init(
                || (Vec::new(), [0; ROW_TILE]),
                |(tile, nearest), (t, labels)| {
                    let nearest = &mut nearest[..labels.len()];
                    centred_tile(x, t * rows..t * rows + labels.len(), shift, tile);
                    candidates.nearest(tile, nearest);
                    relabel(labels, nearest)
                },
            )
            .sum()
    }

    /// The M step: each centroid to the mean of its rows, an empty one to the row farthest from
    /// its own centroid. Returns Σ‖Δc‖², or infinity when a centroid was relocated, since labels
    /// must then be found anew.
    fn update(&mut self, centroids: &mut [F]) -> f64 {
        let (d, k) = (self.x.ncols(), self.clusters);
        let mut weights = vec![0.0; k];
        for chunk in &self.chunks {
            weights.iter_mut().zip(&chunk.weights).for_each(|(s, c)| *s += c);
        }
        // all sums side by side are needed only where rows change their cluster
        let relocated = weights.contains(&0.0).then(|| {
            let mut sums = vec![0.0; k * d];
            sums.chunks_exact_mut(d).enumerate().for_each(|(c, sum)| self.sum(c, sum));
            (self.relocate(centroids, &mut sums, &mut weights), sums)
        });
        let mut moved = 0.0;
        let mut sum = vec![0.0; d];
        for (c, centroid) in centroids.chunks_exact_mut(d).enumerate() {
            match &relocated {
                Some((_, sums)) => sum.copy_from_slice(&sums[c * d..(c + 1) * d]),
                None => self.sum(c, &mut sum),
            }
            // a cluster that stayed empty keeps its centroid
            let norm = if self.unit { sum.iter().map(|s| s * s).sum::<f64>().sqrt() } else { weights[c] };
            if norm > 0.0 {
                for (value, sum) in centroid.iter_mut().zip(&sum) {
                    let mean = F::of(sum / norm);
                    moved += (mean - *value).f64().powi(2);
                    *value = mean;
                }
            }
        }
        if relocated.is_some_and(|(moved, _)| moved) { f64::INFINITY } else { moved }
    }

    /// Σ w·x over the rows of a cluster, chunk after chunk.
    fn sum(&self, cluster: usize, sum: &mut [f64]) {
        sum.fill(0.0);
        for chunk in &self.chunks {
            let part = &chunk.sums[cluster * sum.len()..(cluster + 1) * sum.len()];
            sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
        }
    }

    /// Gives each empty cluster the row farthest from its own centroid (the lower index on a tie),
    /// taking that row out of the cluster it was in. Rows of weight zero and rows that lie on their
    /// centroid are not taken.
    fn relocate(&self, centroids: &[F], sums: &mut [f64], weights: &mut [f64]) -> bool {
        let d = self.x.ncols();
        let weight_of = |row: usize| weights::at(self.weights, row);
        let row_of =
            |row: usize| self.x.row(row).iter().zip(self.shift).map(|(&v, &m)| v - m).collect::<Vec<F>>();
        let empty: Vec<usize> = (0..self.clusters).filter(|&c| weights[c] == 0.0).collect();
        let mut far: Vec<(f64, usize)> = (0..self.x.nrows())
            .into_par_iter()
            .filter(|&row| weight_of(row) > 0.0)
            .map(|row| {
                let centroid = &centroids[self.labels[row] * d..][..d];
                (row_of(row).iter().zip(centroid).map(|(&a, &b)| (a - b).f64().powi(2)).sum::<f64>(), row)
            })
            .filter(|&(distance, _)| distance > 0.0)
            .collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if far.len() > empty.len() {
            far.select_nth_unstable_by(empty.len(), order);
            far.truncate(empty.len());
        }
        far.sort_unstable_by(order);
        for (&cluster, &(_, row)) in empty.iter().zip(&far) {
            let (donor, weight) = (self.labels[row], weight_of(row));
            for (j, value) in row_of(row).iter().enumerate() {
                sums[donor * d + j] -= weight * value.f64();
                sums[cluster * d + j] = weight * value.f64();
            }
            weights[donor] -= weight;
            weights[cluster] = weight;
        }
        !far.is_empty()
    }
}

/// Takes over new labels. Returns how many differ from the old ones.
fn relabel(labels: &mut [usize], nearest: &[u32]) -> usize {
    let mut changed = 0;
    for (label, &nearest) in labels.iter_mut().zip(nearest) {
        changed += usize::from(*label != nearest as usize);
        *label = nearest as usize;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn empty_clusters_take_the_farthest_rows_out_of_their_donor() {
        // scikit-learn's test_relocate_empty_clusters: weights [8, 1, 1], sums [-36, 10, 9.5]
        let x = array![[-10.0], [-9.5], [-9.0], [-8.5], [-8.0], [-1.0], [1.0], [9.0], [9.5], [10.0]];
        let mut lloyd = Lloyd::new(&x, None, &[0.0], 3, Algorithm::Lloyd, false);
        lloyd.labels = vec![0; 10];
        let (mut sums, mut weights) = ([-16.5, 0.0, 0.0], [10.0, 0.0, 0.0]);
        assert!(lloyd.relocate(&[-10.0; 3], &mut sums, &mut weights));
        assert_eq!((weights, sums), ([8.0, 1.0, 1.0], [-36.0, 10.0, 9.5]));
    }
}
