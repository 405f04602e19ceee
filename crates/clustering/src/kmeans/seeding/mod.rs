//! Greedy k-means++: each seed is the best of a few rows drawn far from the seeds so far.
//!
//! A step draws 2 + ⌊ln k⌋ rows with probability proportional to weight × squared distance from the nearest seed, and
//! keeps the one that lowers the potential Σ w·distance² most (Arthur & Vassilvitskii 2007, section 5). Long rows are passed
//! over without being read where the triangle inequality shows that no trial is nearer, and measured exactly only where a
//! score, at half the cost of a distance, does not rule out that one is. Short rows are all measured, sixteen side by side.

mod block;
mod trials;
mod turned;

use super::init::random_rows;
use crate::weights::uneven;
use block::{Block, FromFirst, Reach, Try};
use ndarray::ArrayRef2;
use pulp::Arch;
use rand::RngExt;
use rayon::prelude::*;
use trials::Trials;
use turned::{TryTurned, short, turned};
use unsup_core::math::{Nearest, ROW_TILE, chunks};
use unsup_core::seed::Rng;
use unsup_core::{Error, Result, Seed, validate};

/// The rows that greedy k-means++ chooses as seeds. x: `[n, d]`. Returns k row numbers, in the order
/// in which they were chosen; they are distinct as long as there are k distinct rows.
///
/// Cost: at most n·d·k·(2 + ln k) operations in k passes over the data; much less where clusters are apart,
/// since rows out of a trial's reach are passed over (rows of up to 32 values are not). Memory: a distance and a seed a row, and a
/// copy of the table where rows have up to 32 values. Expected inertia within a factor
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
    let seeding = Seeding::new(x, None, first_seed(x.nrows(), None, seed), greedy_trials(k));
    // the first pass read every value: one that is not finite left its mark on the potential
    let potential = seeding.potential();
    // no two rows are farther apart than this, squared
    if 4.0 * potential < F::max_value().f64() {
        return Ok(seeding.draw(k, seed));
    }
    validate::table(x, "x")?;
    Err(super::overflow::<F>("k-means++", 4.0 * potential))
}

/// The seeds of k-means++ with some trials a seed, for valid rows, which may have weights.
pub(super) fn seeds<F: Nearest>(
    x: &ArrayRef2<F>,
    weights: Option<&[f64]>,
    k: usize,
    trials: usize,
    seed: Seed,
) -> Vec<usize> {
    Seeding::new(x, weights, first_seed(x.nrows(), weights, seed), trials).draw(k, seed)
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

/// The state of greedy k-means++.
struct Seeding<'a, F> {
    x: &'a ArrayRef2<F>,
    weights: Option<&'a [f64]>,
    /// how many rows are tried for a seed
    trials: usize,
    /// the rows chosen so far, and their coordinates
    seeds: Vec<usize>,
    coordinates: Vec<F>,
    blocks: Vec<Block<F>>,
    /// by how much scores can be wrong
    slack: F,
}

impl<'a, F: Nearest> Seeding<'a, F> {
    fn new(x: &'a ArrayRef2<F>, weights: Option<&'a [f64]>, first: usize, trials: usize) -> Self {
        let d = x.ncols();
        let coordinates = x.row(first).to_vec();
        let seed = Trials::pack(coordinates.clone(), d);
        let scores = !short(d) && x.as_slice().is_some() && !Trials::<F>::wide(trials, d);
        let ranges = chunks(x.nrows(), 128);
        let mut blocks: Vec<Block<F>> = ranges
            .into_par_iter()
            .map(|rows| {
                let mut block = Block::new(rows);
                Arch::new().dispatch(FromFirst { x, seed: &seed, scores, block: &mut block });
                block.potential = block.total(weights);
                if short(d) {
                    block.turned = turned(x, block.rows.clone());
                }
                block
            })
            .collect();
        let most = blocks.iter().flat_map(|block| &block.halves).copied().fold(F::zero(), F::max);
        if !most.is_finite() {
            blocks.iter_mut().for_each(|block| block.halves.clear());
        }
        // the sum of d products, that of the distance it stands for, and a few roundings beside
        let slack = F::of((6 * d + 16) as f64 * F::EPS * most.f64());
        Seeding { x, weights, trials, seeds: vec![first], coordinates, blocks, slack }
    }

    fn draw(mut self, k: usize, seed: Seed) -> Vec<usize> {
        let mut rng = seed.named("k-means++").rng();
        while self.seeds.len() < k {
            let candidates: Vec<usize> = (0..self.trials).map(|_| self.draw_row(&mut rng)).collect();
            let gains = self.try_rows(&candidates);
            let best = (1..gains.len()).fold(0, |best, t| if gains[t] > gains[best] { t } else { best });
            self.accept(best, &candidates);
        }
        self.seeds
    }

    /// Σ w·distance² over all rows.
    fn potential(&self) -> f64 {
        self.blocks.iter().map(|b| b.potential).sum()
    }

    /// A row drawn with probability proportional to weight × squared distance. When every row lies
    /// on a seed: the first row of positive weight that is not a seed itself, or else the first seed.
    fn draw_row(&self, rng: &mut Rng) -> usize {
        let mut left = rng.random::<f64>() * self.potential();
        let mut last = None;
        for block in self.blocks.iter().filter(|b| b.potential > 0.0) {
            if left < block.potential {
                for (row, mass) in block.masses(self.weights).filter(|&(_, mass)| mass > 0.0) {
                    last = Some(row);
                    left -= mass;
                    if left < 0.0 {
                        return row;
                    }
                }
                break;
            }
            left -= block.potential;
        }
        // rounding took us past the end: the last row of positive mass
        let positive = |&(_, mass): &(usize, f64)| mass > 0.0;
        let masses = self.blocks.iter().flat_map(|block| block.masses(self.weights));
        last.or_else(|| masses.filter(positive).last().map(|(row, _)| row))
            .or_else(|| {
                (0..self.x.nrows())
                    .find(|r| self.weights.is_none_or(|w| w[*r] > 0.0) && !self.seeds.contains(r))
            })
            .unwrap_or(self.seeds[0])
    }

    /// By how much each of these rows, as a further seed, would lower the potential.
    ///
    /// A row at distance D from its seed s is no nearer to a trial t when ‖s − t‖ ≥ 2D (triangle
    /// inequality): most long rows are passed over without being read once seeds are closer to their rows
    /// than to each other.
    fn try_rows(&mut self, rows: &[usize]) -> Vec<f64> {
        let (x, weights, slack, d) = (self.x, self.weights, self.slack, self.x.ncols());
        let trials = &Trials::pack(rows.iter().flat_map(|&row| x.row(row).to_vec()).collect(), d);
        if short(d) {
            let blocks = self.blocks.par_iter_mut();
            blocks.for_each(|block| Arch::new().dispatch(TryTurned { weights, trials, block }));
            return self.gains(trials.count);
        }
        let mut reach = vec![F::zero(); self.seeds.len()];
        let seeds = reach.par_chunks_mut(ROW_TILE).zip(self.coordinates.par_chunks(ROW_TILE * d));
        seeds.for_each(|(reach, seeds)| Arch::new().dispatch(Reach { trials, seeds, reach }));
        let reach = &reach[..];
        self.blocks.par_iter_mut().for_each(|block| {
            Arch::new().dispatch(Try { x, weights, trials, reach, slack, block });
        });
        self.gains(trials.count)
    }

    /// What so many trials gain in all blocks.
    fn gains(&self, trials: usize) -> Vec<f64> {
        let mut totals = vec![0.0; trials];
        for block in &self.blocks {
            totals.iter_mut().zip(&block.gains).for_each(|(t, g)| *t += g);
        }
        totals
    }

    /// Makes one of the trials just tried a seed.
    fn accept(&mut self, trial: usize, candidates: &[usize]) {
        let (label, weights) = (self.seeds.len() as u32, self.weights);
        let gaining = self.blocks.par_iter_mut().filter(|block| block.gains[trial] > 0.0);
        gaining.for_each(|block| {
            for (&row, fresh) in block.nearer.iter().zip(block.fresh.chunks_exact(candidates.len())) {
                let row = row as usize;
                if fresh[trial] < block.distances[row] {
                    (block.distances[row], block.nearest[row]) = (fresh[trial], label);
                }
            }
            block.potential = block.total(weights);
        });
        self.seeds.push(candidates[trial]);
        self.coordinates.extend(self.x.row(candidates[trial]));
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
                Seeding::new(&x, Some(&weights), first_seed(4, Some(&weights), seed), 3).draw(3, seed)
            };
            assert!(!seeds.contains(&1), "{seeds:?}");
        }
    }

    #[test]
    fn repeated_rows_do_not_stop_the_seeding() {
        let x = array![[1.0_f32, 2.0], [1.0, 2.0], [1.0, 2.0], [5.0, 5.0]];
        for s in 0..50 {
            let mut seeds = Seeding::new(&x, None, s as usize % 4, 3).draw(4, Seed::new(s));
            seeds.sort_unstable();
            assert_eq!(seeds, [0, 1, 2, 3]);
        }
    }

    /// Steps of k-means++ against the definition. Short rows are turned, longer ones scored, the longest measured coordinate by
    /// coordinate.
    fn check_steps(d: usize, weights: Option<&[f64]>) {
        let n = 900;
        let x = Array2::from_shape_vec((n, d), Seed::new(4).normals(n * d)).unwrap_or_default();
        let x = Array2::from_shape_fn((n, d), |(i, j)| x[[i, j]] + 4.0 * ((i * 7 % 5) as f64));
        let mut seeding = Seeding::new(&x, weights, 17, 2);
        let mut rng = Seed::new(9).rng();
        for _ in 0..20 {
            let trials = [seeding.draw_row(&mut rng), seeding.draw_row(&mut rng)];
            let gains = seeding.try_rows(&trials);
            let exact = |row: usize, seed: usize| (&x.row(row) - &x.row(seed)).mapv(|v| v * v).sum();
            let weight = |row: usize| weights.map_or(1.0, |w| w[row]);
            let distances = seeding.blocks.iter().flat_map(|b| b.distances.clone()).collect::<Vec<f64>>();
            for (t, gain) in trials.into_iter().zip(&gains) {
                let expected: f64 = (0..n).map(|i| weight(i) * (distances[i] - exact(i, t)).max(0.0)).sum();
                assert!((gain - expected).abs() < 1e-9 * (1.0 + expected), "{gain} {expected}");
            }
            seeding.accept(0, &trials);
            let distances = seeding.blocks.iter().flat_map(|b| b.distances.clone()).collect::<Vec<f64>>();
            for (i, distance) in distances.into_iter().enumerate() {
                let least = seeding.seeds.iter().map(|&s| exact(i, s)).fold(f64::INFINITY, f64::min);
                // nobody asks how far a row without weight is
                assert!(weight(i) == 0.0 || (distance - least).abs() < 1e-12 * (1.0 + least));
            }
        }
    }

    #[test]
    fn each_step_measures_all_rows_or_passes_over_those_out_of_reach_with_the_same_result() {
        let weights: Vec<f64> = (0..900).map(|i| f64::from(i % 4)).collect();
        for d in [1, 3, 32, 33, 300] {
            check_steps(d, None);
            check_steps(d, Some(&weights));
        }
    }

    #[test]
    fn the_first_draw_is_proportional_to_the_squared_distance() {
        let x = array![[0.0], [1.0], [3.0]];
        let mut far = 0;
        for s in 0..2000 {
            far += usize::from(Seeding::new(&x, None, 0, 1).draw_row(&mut Seed::new(s).rng()) == 2);
        }
        // 9 of 10 in expectation, standard deviation 13
        assert!((1735..1865).contains(&far), "{far}");
    }
}
