//! Greedy k-means++: each seed is the best of a few rows drawn far from the seeds so far.
//!
//! A step draws 2 + ⌊ln k⌋ rows with probability proportional to weight × squared distance from the nearest seed, and
//! keeps the one that lowers the potential Σ w·distance² most (Arthur & Vassilvitskii 2007, section 5). Rows are passed over
//! without being read where the triangle inequality shows that no trial is nearer.

use super::init::random_rows;
use crate::weights::uneven;
use ndarray::ArrayRef2;
use pulp::{Arch, Simd, WithSimd};
use rand::RngExt;
use rayon::prelude::*;
use std::ops::Range;
use unsup_core::math::{Candidates, Nearest, ROW_TILE, chunks, squared_distance};
use unsup_core::seed::Rng;
use unsup_core::{Error, Result, Seed, validate};

/// The rows that greedy k-means++ chooses as seeds. x: `[n, d]`. Returns k row numbers, in the order
/// in which they were chosen; they are distinct as long as there are k distinct rows.
///
/// Cost: at most n·d·k·(2 + ln k) operations in k passes over the data; much less where clusters are apart,
/// since rows out of a trial's reach are passed over. Expected inertia within a factor
/// O(log k) of the optimum before any iteration (Arthur & Vassilvitskii 2007, theorem 1.1, for one
/// trial a seed; greedy trials do better in practice).
///
/// ```
/// use ndarray::array;
/// use unsup_clustering::kmeans::greedy_kmeans_plus_plus;
/// let x = array![[0.0], [0.1], [5.0], [5.1], [9.0]];
/// let mut seeds = greedy_kmeans_plus_plus(&x, 3, 7.into())?;
/// seeds.sort();
/// assert!(seeds[0] < 2 && (2..4).contains(&seeds[1]) && seeds[2] == 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::TooFewRows`] when k > n; [`Error::Parameter`]
/// when k is 0.
pub fn greedy_kmeans_plus_plus<F: Nearest>(x: &ArrayRef2<F>, k: usize, seed: Seed) -> Result<Vec<usize>> {
    validate::not_empty(x, "x")?;
    if k == 0 {
        return Err(Error::parameter("k", 0, "at least 1"));
    }
    if k > x.nrows() {
        return Err(Error::TooFewRows { method: "k-means++", needed: k, found: x.nrows() });
    }
    let seeding = Seeding::new(x, None, first_seed(x.nrows(), None, seed));
    // the first pass read every value: one that is not finite left its mark on the potential
    let potential = seeding.potential();
    // no two rows are farther apart than this, squared
    if 4.0 * potential < F::max_value().f64() {
        return Ok(seeding.draw(k, greedy_trials(k), seed));
    }
    validate::table(x, "x")?;
    Err(super::overflow::<F>(4.0 * potential))
}

/// The seeds of k-means++ with some trials a seed, for valid rows, which may have weights.
pub(super) fn seeds<F: Nearest>(
    x: &ArrayRef2<F>,
    weights: Option<&[f64]>,
    k: usize,
    trials: usize,
    seed: Seed,
) -> Vec<usize> {
    Seeding::new(x, weights, first_seed(x.nrows(), weights, seed)).draw(k, trials, seed)
}

/// How many rows the greedy variant tries for each of k seeds.
pub(super) fn greedy_trials(k: usize) -> usize {
    2 + (k as f64).ln() as usize
}

fn first_seed(n: usize, weights: Option<&[f64]>, seed: Seed) -> usize {
    match uneven(weights) {
        None => seed.named("first seed").rng().random_range(0..n),
        weights => random_rows(n, weights, 1, seed)[0],
    }
}

/// The state of greedy k-means++: each row's squared distance from its nearest seed.
struct Seeding<'a, F> {
    x: &'a ArrayRef2<F>,
    weights: Option<&'a [f64]>,
    /// the rows chosen so far, and their coordinates
    seeds: Vec<usize>,
    coordinates: Vec<F>,
    /// the position in `seeds` of each row's nearest seed, and the squared distance from it [n]
    nearest: Vec<u32>,
    distances: Vec<F>,
    blocks: Vec<Block<F>>,
}

/// A fixed range of rows, and what the trials of one step would change in it.
struct Block<F> {
    rows: Range<usize>,
    /// Σ w·distance² over the block
    potential: f64,
    /// by how much each trial would lower the potential
    gains: Vec<f64>,
    /// the rows that some trial is nearer to, and their squared distances from all trials
    nearer: Vec<usize>,
    fresh: Vec<F>,
}

impl<'a, F: Nearest> Seeding<'a, F> {
    fn new(x: &'a ArrayRef2<F>, weights: Option<&'a [f64]>, first: usize) -> Self {
        let n = x.nrows();
        let block =
            |rows| Block { rows, potential: 0.0, gains: Vec::new(), nearer: Vec::new(), fresh: Vec::new() };
        let mut seeding = Seeding {
            x,
            weights,
            seeds: vec![first],
            coordinates: x.row(first).to_vec(),
            nearest: vec![0; n],
            distances: vec![F::zero(); n],
            blocks: chunks(n, 128).into_iter().map(block).collect(),
        };
        let seed = seeding.coordinates.clone();
        let work = split(&mut seeding.blocks, &mut seeding.distances);
        work.into_par_iter().for_each(|(block, distances)| {
            let rows = block.rows.clone();
            Arch::new().dispatch(LongRows { x, rows, candidates: &seed, stride: 1, out: distances });
            block.potential = potential(weights, &block.rows, distances);
        });
        seeding
    }

    fn draw(mut self, k: usize, trials: usize, seed: Seed) -> Vec<usize> {
        let mut rng = seed.named("k-means++").rng();
        while self.seeds.len() < k {
            let candidates: Vec<usize> = (0..trials).map(|_| self.draw_row(&mut rng)).collect();
            let gains = self.try_rows(&candidates);
            let best = (1..trials).fold(0, |best, t| if gains[t] > gains[best] { t } else { best });
            self.accept(best, &candidates);
        }
        self.seeds
    }

    /// Σ w·distance² over all rows.
    fn potential(&self) -> f64 {
        self.blocks.iter().map(|b| b.potential).sum()
    }

    fn mass(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |w| w[row]) * self.distances[row].f64()
    }

    /// A row drawn with probability proportional to weight × squared distance. When every row lies
    /// on a seed: the first row of positive weight that is not a seed itself, or else the first seed.
    fn draw_row(&self, rng: &mut Rng) -> usize {
        let mut left = rng.random::<f64>() * self.potential();
        let mut last = None;
        for block in self.blocks.iter().filter(|b| b.potential > 0.0) {
            if left < block.potential {
                for row in block.rows.clone().filter(|&row| self.mass(row) > 0.0) {
                    last = Some(row);
                    left -= self.mass(row);
                    if left < 0.0 {
                        return row;
                    }
                }
                break;
            }
            left -= block.potential;
        }
        // rounding took us past the end: the last row of positive mass
        last.or_else(|| (0..self.distances.len()).rev().find(|&row| self.mass(row) > 0.0))
            .or_else(|| {
                (0..self.distances.len())
                    .find(|r| self.weights.is_none_or(|w| w[*r] > 0.0) && !self.seeds.contains(r))
            })
            .unwrap_or(self.seeds[0])
    }

    /// By how much each of these rows, as a further seed, would lower the potential.
    ///
    /// A row at distance D from its seed s is no nearer to a trial t when ‖s − t‖ ≥ 2D (triangle
    /// inequality): most rows are passed over without being read once seeds are closer to their rows
    /// than to each other.
    fn try_rows(&mut self, rows: &[usize]) -> Vec<f64> {
        let (x, weights, d, trials) = (self.x, self.weights, self.x.ncols(), rows.len());
        let candidates: Vec<F> = rows.iter().flat_map(|&row| x.row(row).to_vec()).collect();
        let nearest_trial = |seed: &[F]| {
            candidates.chunks_exact(d).map(|c| squared_distance(seed, c)).fold(F::infinity(), F::min)
        };
        let out_of_reach: Vec<F> =
            self.coordinates.chunks_exact(d).map(|seed| nearest_trial(seed) * F::of(0.25)).collect();
        let packed = Candidates::pack(&candidates, d);
        let nearest = &self.nearest;
        let work = split(&mut self.blocks, &mut self.distances);
        work.into_par_iter().for_each_init(
            || (Vec::new(), Vec::new(), Vec::new()),
            |(tile, picked, fresh), (block, distances)| {
                block.gains.clear();
                block.gains.resize(trials, 0.0);
                block.nearer.clear();
                block.fresh.clear();
                for (t, distances) in distances.chunks(ROW_TILE).enumerate() {
                    let start = block.rows.start + t * ROW_TILE;
                    tile.clear();
                    picked.clear();
                    let in_reach = |&(row, &old): &(usize, &F)| old > out_of_reach[nearest[row] as usize];
                    picked.extend((start..).zip(distances).filter(in_reach).map(|(row, &old)| (row, old)));
                    fresh.resize(picked.len() * packed.padded(), F::zero());
                    // candidates lie side by side in a register when rows are short, coordinates when they are long
                    if d < 64 {
                        picked.iter().for_each(|&(row, _)| append_row(x, row, tile));
                        packed.squared_distances(tile, fresh);
                    } else {
                        let rows = picked.iter().map(|&(row, _)| row);
                        let (candidates, stride) = (&candidates[..], packed.padded());
                        Arch::new().dispatch(LongRows { x, rows, candidates, stride, out: fresh });
                    }
                    for (&(row, old), fresh) in picked.iter().zip(fresh.chunks_exact(packed.padded())) {
                        block.weigh(row, old, weights.map_or(1.0, |w| w[row]), &fresh[..trials]);
                    }
                }
            },
        );
        let mut totals = vec![0.0; trials];
        for block in &self.blocks {
            totals.iter_mut().zip(&block.gains).for_each(|(t, g)| *t += g);
        }
        totals
    }

    /// Makes one of the trials just tried a seed.
    fn accept(&mut self, trial: usize, candidates: &[usize]) {
        let (trials, label) = (candidates.len(), self.seeds.len() as u32);
        for block in self.blocks.iter_mut().filter(|b| b.gains[trial] > 0.0) {
            for (&row, fresh) in block.nearer.iter().zip(block.fresh.chunks_exact(trials)) {
                if fresh[trial] < self.distances[row] {
                    (self.distances[row], self.nearest[row]) = (fresh[trial], label);
                }
            }
            block.potential = potential(self.weights, &block.rows, &self.distances[block.rows.clone()]);
        }
        self.seeds.push(candidates[trial]);
        self.coordinates.extend(self.x.row(candidates[trial]));
    }
}

impl<F: Nearest> Block<F> {
    /// What a row at squared distance `old` from its seed and `fresh` from the trials would gain.
    fn weigh(&mut self, row: usize, old: F, weight: f64, fresh: &[F]) {
        if fresh.iter().any(|&new| new < old) {
            for (gain, &new) in self.gains.iter_mut().zip(fresh) {
                *gain += weight * (if new < old { old - new } else { F::zero() }).f64();
            }
            self.nearer.push(row);
            self.fresh.extend_from_slice(fresh);
        }
    }
}

/// The squared distances of some rows from all candidates, `stride` numbers a row.
struct LongRows<'a, F, I> {
    x: &'a ArrayRef2<F>,
    rows: I,
    candidates: &'a [F],
    stride: usize,
    out: &'a mut [F],
}

impl<F: Nearest, I: Iterator<Item = usize>> WithSimd for LongRows<'_, F, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut buffer = Vec::new();
        for (row, out) in self.rows.zip(self.out.chunks_exact_mut(self.stride)) {
            let row = self.x.row(row);
            let row = if let Some(values) = row.as_slice() {
                values
            } else {
                buffer.clear();
                buffer.extend(row);
                &buffer
            };
            for (candidate, out) in self.candidates.chunks_exact(row.len()).zip(out) {
                *out = squared_distance(row, candidate);
            }
        }
    }
}

/// Each block with its own part of `values`.
fn split<'b, F>(blocks: &'b mut [Block<F>], mut values: &'b mut [F]) -> Vec<(&'b mut Block<F>, &'b mut [F])> {
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        let (mine, rest) = values.split_at_mut(block.rows.len());
        values = rest;
        parts.push((block, mine));
    }
    parts
}

/// Σ w·distance² over some rows.
fn potential<F: Nearest>(weights: Option<&[f64]>, rows: &Range<usize>, distances: &[F]) -> f64 {
    match weights {
        Some(weights) => weights[rows.clone()].iter().zip(distances).map(|(w, d)| w * d.f64()).sum(),
        None => {
            // four sums side by side: one would wait for each addition
            let (quads, rest) = distances.as_chunks::<4>();
            let mut lanes = [0.0; 4];
            quads.iter().for_each(|quad| (0..4).for_each(|l| lanes[l] += quad[l].f64()));
            lanes.iter().sum::<f64>() + rest.iter().map(|d| d.f64()).sum::<f64>()
        }
    }
}

/// Appends a row's values, wherever they lie.
fn append_row<F: Nearest>(x: &ArrayRef2<F>, row: usize, to: &mut Vec<F>) {
    let row = x.row(row);
    match row.as_slice() {
        Some(values) => to.extend_from_slice(values),
        None => to.extend(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn a_row_of_weight_zero_is_never_a_seed() {
        let x = array![[0.0], [100.0], [1.0], [2.0]];
        for s in 0..200 {
            let seeds = {
                let weights = [1.0, 0.0, 1.0, 1.0];
                let seed = Seed::new(s);
                Seeding::new(&x, Some(&weights), first_seed(4, Some(&weights), seed)).draw(3, 3, seed)
            };
            assert!(!seeds.contains(&1), "{seeds:?}");
        }
    }

    #[test]
    fn repeated_rows_do_not_stop_the_seeding() {
        let x = array![[1.0_f32, 2.0], [1.0, 2.0], [1.0, 2.0], [5.0, 5.0]];
        for s in 0..50 {
            let mut seeds = Seeding::new(&x, None, s as usize % 4).draw(4, 3, Seed::new(s));
            seeds.sort_unstable();
            assert_eq!(seeds, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn passing_over_rows_out_of_reach_changes_nothing() {
        let (n, d) = (900, 3);
        let x = Array2::from_shape_vec((n, d), Seed::new(4).normals(n * d)).unwrap_or_default();
        let x = Array2::from_shape_fn((n, d), |(i, j)| x[[i, j]] + 4.0 * ((i * 7 % 5) as f64));
        let mut seeding = Seeding::new(&x, None, 17);
        let mut rng = Seed::new(9).rng();
        for _ in 0..20 {
            let trials = [seeding.draw_row(&mut rng), seeding.draw_row(&mut rng)];
            let gains = seeding.try_rows(&trials);
            let exact = |row: usize, seed: usize| (&x.row(row) - &x.row(seed)).mapv(|v| v * v).sum();
            for (t, gain) in trials.into_iter().zip(&gains) {
                let expected: f64 = (0..n).map(|i| (seeding.distances[i] - exact(i, t)).max(0.0)).sum();
                assert!((gain - expected).abs() < 1e-9 * (1.0 + expected), "{gain} {expected}");
            }
            seeding.accept(0, &trials);
            for i in 0..n {
                let least = seeding.seeds.iter().map(|&s| exact(i, s)).fold(f64::INFINITY, f64::min);
                assert!((seeding.distances[i] - least).abs() < 1e-12 * (1.0 + least));
            }
        }
    }

    #[test]
    fn the_first_draw_is_proportional_to_the_squared_distance() {
        let x = array![[0.0], [1.0], [3.0]];
        let mut far = 0;
        for s in 0..2000 {
            far += usize::from(Seeding::new(&x, None, 0).draw_row(&mut Seed::new(s).rng()) == 2);
        }
        // 9 of 10 in expectation, standard deviation 13
        assert!((1735..1865).contains(&far), "{far}");
    }
}
