//! A range of rows: how far they are from the seeds, and what trials would change.

use super::trials::{FOUR, LANES, Trials, half_square};
use super::turned::SIDE;
use ndarray::ArrayRef2;
use pulp::{Simd, WithSimd};
use std::ops::Range;
use unsup_core::math::{Nearest, ROW_TILE};

/// A fixed range of rows: what is known of them, and what the trials of one step would change.
pub(super) struct Block<F> {
    pub(super) rows: Range<usize>,
    /// the squared distance of each row from its nearest seed, and that seed's position among the seeds
    pub(super) distances: Vec<F>,
    pub(super) nearest: Vec<u32>,
    /// the rows themselves, sixteen side by side; empty where they are long
    pub(super) turned: Vec<[F; SIDE]>,
    /// ½‖x‖² of each row; empty where scores do not pay
    pub(super) halves: Vec<F>,
    /// Σ w·distance² over the block
    pub(super) potential: f64,
    /// by how much each trial would lower the potential
    pub(super) gains: Vec<f64>,
    /// the positions in the block of the rows that some trial is nearer to, and their squared distances from all trials
    pub(super) nearer: Vec<u32>,
    pub(super) fresh: Vec<F>,
}

impl<F: Nearest> Block<F> {
    pub(super) fn new(rows: Range<usize>) -> Self {
        Block {
            distances: vec![F::zero(); rows.len()],
            nearest: vec![0; rows.len()],
            turned: Vec::new(),
            halves: Vec::new(),
            potential: 0.0,
            gains: Vec::new(),
            nearer: Vec::new(),
            fresh: Vec::new(),
            rows,
        }
    }

    /// The rows with their weight × squared distance.
    pub(super) fn masses(&self, weights: Option<&[f64]>) -> impl Iterator<Item = (usize, f64)> {
        let weight = move |row: usize| weights.map_or(1.0, |w| w[row]);
        self.rows.clone().zip(&self.distances).map(move |(row, distance)| (row, weight(row) * distance.f64()))
    }

    /// Σ w·distance² over the rows.
    pub(super) fn total(&self, weights: Option<&[f64]>) -> f64 {
        if weights.is_some() {
            return self.masses(weights).map(|(_, mass)| mass).sum();
        }
        // eight sums side by side: one would wait for each addition
        let (whole, rest) = self.distances.as_chunks::<8>();
        let mut lanes = [0.0; 8];
        for distances in whole {
            let sums = lanes;
            lanes = std::array::from_fn(|l| sums[l] + distances[l].f64());
        }
        lanes.iter().sum::<f64>() + rest.iter().map(|d| d.f64()).sum::<f64>()
    }
}

/// Four rows of a table as slices, copied where they do not lie in one piece.
struct Four<'a, F> {
    x: &'a ArrayRef2<F>,
    copies: [Vec<F>; FOUR],
}

impl<'a, F: Nearest> Four<'a, F> {
    fn new(x: &'a ArrayRef2<F>) -> Self {
        Four { x, copies: Default::default() }
    }

    /// The rows `first + r`, r from the list, its last one repeated where there are fewer than four.
    #[inline(always)]
    fn get(&mut self, first: usize, list: &[usize]) -> [&[F]; FOUR] {
        let d = self.x.ncols();
        let at: [usize; FOUR] = std::array::from_fn(|r| first + list[r.min(list.len() - 1)]);
        if let Some(values) = self.x.as_slice() {
            return std::array::from_fn(|r| &values[at[r] * d..][..d]);
        }
        for (copy, row) in self.copies.iter_mut().zip(at) {
            copy.clear();
            copy.extend(self.x.row(row));
        }
        std::array::from_fn(|r| &self.copies[r][..])
    }
}

/// The squared distances of a block's rows from the first seed, and their norms.
pub(super) struct FromFirst<'a, F> {
    pub(super) x: &'a ArrayRef2<F>,
    pub(super) seed: &'a Trials<F>,
    pub(super) scores: bool,
    pub(super) block: &'a mut Block<F>,
}

impl<F: Nearest> WithSimd for FromFirst<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (mut fours, mut fresh) = (Four::new(self.x), [F::zero(); FOUR * LANES]);
        for (t, distances) in self.block.distances.chunks_mut(FOUR).enumerate() {
            let rows = fours.get(self.block.rows.start + t * FOUR, &[0, 1, 2, 3][..distances.len()]);
            self.seed.measure(rows, &mut fresh);
            distances.iter_mut().zip(fresh.chunks_exact(LANES)).for_each(|(out, fresh)| *out = fresh[0]);
            if self.scores {
                self.block.halves.extend(rows[..distances.len()].iter().map(|row| half_square(row)));
            }
        }
    }
}

/// A quarter of the squared distance of some seeds from the nearest trial.
pub(super) struct Reach<'a, F> {
    pub(super) trials: &'a Trials<F>,
    pub(super) seeds: &'a [F],
    pub(super) reach: &'a mut [F],
}

impl<F: Nearest> WithSimd for Reach<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let d = self.seeds.len() / self.reach.len();
        let mut fresh = vec![F::zero(); FOUR * self.trials.padded()];
        for (seeds, reach) in self.seeds.chunks(FOUR * d).zip(self.reach.chunks_mut(FOUR)) {
            let rows = std::array::from_fn(|r| &seeds[r.min(reach.len() - 1) * d..][..d]);
            self.trials.measure(rows, &mut fresh);
            for (reach, fresh) in reach.iter_mut().zip(fresh.chunks_exact(self.trials.padded())) {
                *reach = F::of(0.25) * fresh.iter().copied().fold(F::infinity(), F::min);
            }
        }
    }
}

/// The rows of a tile that some trial may be nearer to.
struct InReach<F> {
    count: usize,
    /// their positions in the tile, and in the table
    places: [usize; ROW_TILE],
    rows: [usize; ROW_TILE],
    /// the scores that a nearer trial exceeds
    thresholds: [F; ROW_TILE],
}

impl<F: Nearest> InReach<F> {
    fn new() -> Self {
        InReach { count: 0, places: [0; ROW_TILE], rows: [0; ROW_TILE], thresholds: [F::zero(); ROW_TILE] }
    }

    /// Those of the tile that begins at position `at` of the block.
    #[inline(always)]
    fn find(&mut self, at: usize, known: &Known<'_, F>, reach: &[F], slack: F) {
        let end = (at + ROW_TILE).min(known.distances.len());
        let tile = at.min(end)..end;
        let (distances, nearest) = (&known.distances[tile.clone()], &known.nearest[tile]);
        // without a branch: which rows are in reach cannot be foretold
        let mut count = 0;
        for (i, (&old, &seed)) in distances.iter().zip(nearest).enumerate() {
            self.places[count] = i;
            count += usize::from(old > reach[seed as usize]);
        }
        self.count = count;
        if known.halves.is_empty() {
            return;
        }
        let halves = &known.halves[at.min(end)..end];
        for r in 0..count {
            let i = self.places[r];
            self.rows[r] = known.first + at + i;
            self.thresholds[r] = halves[i] - F::of(0.5) * distances[i] - slack;
        }
    }

    /// Keeps those of which something holds.
    #[inline(always)]
    fn retain(&mut self, holds: &[bool]) {
        let mut count = 0;
        for (r, &holds) in holds.iter().enumerate().take(self.count) {
            self.places[count] = self.places[r];
            count += usize::from(holds);
        }
        self.count = count;
    }
}

/// What a block knows of its rows, see [`Block`].
struct Known<'a, F> {
    first: usize,
    distances: &'a [F],
    nearest: &'a [u32],
    halves: &'a [F],
}

/// What the trials would gain in a block.
pub(super) struct Try<'a, F> {
    pub(super) x: &'a ArrayRef2<F>,
    pub(super) weights: Option<&'a [f64]>,
    pub(super) trials: &'a Trials<F>,
    /// by seed: rows no farther from it, squared, are nearer to it than to any trial
    pub(super) reach: &'a [F],
    pub(super) slack: F,
    pub(super) block: &'a mut Block<F>,
}

impl<F: Nearest> WithSimd for Try<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Try { x, weights, trials, reach, slack, block } = self;
        let Block { rows, distances, nearest, halves, gains: totals, nearer, fresh: kept, .. } = block;
        let (padded, count) = (trials.padded(), trials.count);
        nearer.clear();
        kept.clear();
        let mut gains = vec![[0.0; LANES]; padded / LANES];
        let mut fours = Four::new(x);
        let mut fresh = vec![F::zero(); FOUR * padded];
        let known = Known { first: rows.start, distances, nearest, halves };
        let (mut found, mut next) = (&mut InReach::new(), &mut InReach::new());
        next.find(0, &known, reach, slack);
        let mut exceeds = [false; ROW_TILE];
        for (t, distances) in distances.chunks(ROW_TILE).enumerate() {
            let (at, first) = (t * ROW_TILE, rows.start + t * ROW_TILE);
            std::mem::swap(&mut found, &mut next);
            next.find(at + ROW_TILE, &known, reach, slack);
            if let Some(values) = x.as_slice().filter(|_| !halves.is_empty()) {
                let (mine, ahead) = (&found.rows[..found.count], &next.rows[..next.count]);
                let candidates = &trials.candidates;
                candidates.exceed(values, mine, &found.thresholds[..found.count], &mut exceeds, ahead);
                found.retain(&exceeds);
            }
            for picked in found.places[..found.count].chunks(FOUR) {
                trials.measure(fours.get(first, picked), &mut fresh);
                for (&i, fresh) in picked.iter().zip(fresh.chunks_exact(padded)) {
                    let (old, fresh) = (distances[i], fresh.as_chunks::<LANES>().0);
                    if fresh.iter().any(|fresh| fresh.iter().fold(false, |any, &new| any | (new < old))) {
                        let weight = weights.map_or(1.0, |w| w[first + i]);
                        for (gains, &fresh) in gains.iter_mut().zip(fresh) {
                            let sum = *gains;
                            *gains = std::array::from_fn(|l| {
                                let gain = if fresh[l] < old { old - fresh[l] } else { F::zero() };
                                sum[l] + weight * gain.f64()
                            });
                        }
                        nearer.push((at + i) as u32);
                        kept.extend_from_slice(&fresh.as_flattened()[..count]);
                    }
                }
            }
        }
        totals.clear();
        totals.extend_from_slice(&gains.as_flattened()[..count]);
    }
}
