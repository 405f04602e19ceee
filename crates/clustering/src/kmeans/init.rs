//! The first centroids: greedy k-means++, random rows, or given ones.

use ndarray::{Array2, ArrayRef2};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unsup_core::math::{Candidates, Nearest, ROW_TILE, centred_tile, chunks};
use unsup_core::seed::Rng;
use unsup_core::{Error, Result, Seed, validate};

/// How k-means chooses its first centroids.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Init {
    /// Greedy k-means++: each seed is the best of 2 + ⌊ln k⌋ rows drawn with probability
    /// proportional to their squared distance from the seeds so far. k passes over the data.
    #[default]
    KMeansPlusPlus,
    /// k distinct rows, drawn with probability proportional to their weights.
    Random,
    /// These centroids. `[k, d]`
    Centroids(Array2<f64>),
}

impl Init {
    /// The centroids relative to `shift`, row after row.
    pub(super) fn centroids<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: Option<&[f64]>,
        shift: &[F],
        k: usize,
        seed: Seed,
    ) -> Vec<F> {
        let rows = match self {
            Init::KMeansPlusPlus => Seeding::new(x, weights, shift).draw(k, seed),
            Init::Random => random_rows(x.nrows(), weights, k, seed),
            Init::Centroids(centroids) => {
                let centred = |row: ndarray::ArrayView1<'_, f64>| -> Vec<F> {
                    row.iter().zip(shift).map(|(&c, m)| F::of(c - m.f64())).collect()
                };
                return centroids.rows().into_iter().flat_map(centred).collect();
            }
        };
        let mut tile = Vec::new();
        let mut centroids = Vec::with_capacity(k * x.ncols());
        for row in rows {
            centred_tile(x, row..row + 1, shift, &mut tile);
            centroids.extend_from_slice(&tile);
        }
        centroids
    }
}

/// The rows that greedy k-means++ chooses as seeds. x: `[n, d]`. Returns k row numbers, in the order
/// in which they were chosen; they are distinct as long as there are k distinct rows.
///
/// Cost: n·d·k·(2 + ln k) operations in k passes over the data. Expected inertia within a factor
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
    validate::table(x, "x")?;
    if k == 0 {
        return Err(Error::parameter("k", 0, "at least 1"));
    }
    if k > x.nrows() {
        return Err(Error::TooFewRows { method: "k-means++", needed: k, found: x.nrows() });
    }
    Ok(Seeding::new(x, None, &vec![F::zero(); x.ncols()]).draw(k, seed))
}

/// k distinct rows without replacement, by exponential keys: the k smallest of Eᵢ / wᵢ (Efraimidis &
/// Spirakis 2006). Rows of weight zero come last.
fn random_rows(n: usize, weights: Option<&[f64]>, k: usize, seed: Seed) -> Vec<usize> {
    let mut rng = seed.named("random rows").rng();
    let mut keys: Vec<(f64, usize)> =
        (0..n).map(|i| (-(1.0 - rng.random::<f64>()).ln() / weights.map_or(1.0, |w| w[i]), i)).collect();
    keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keys.into_iter().take(k).map(|(_, i)| i).collect()
}

/// The state of greedy k-means++: each row's weighted squared distance from its nearest seed.
struct Seeding<'a, F> {
    x: &'a ArrayRef2<F>,
    weights: Option<&'a [f64]>,
    shift: &'a [F],
    /// squared distance from the nearest seed `[n]`
    distances: Vec<F>,
    blocks: Vec<Block<F>>,
}

/// A fixed range of rows.
struct Block<F> {
    start: usize,
    /// Σ w·distance² over the block
    potential: f64,
    /// what the distances would become with each trial as a seed: `[rows, trials]`
    trial_distances: Vec<F>,
    trial_potentials: Vec<f64>,
}

impl<'a, F: Nearest> Seeding<'a, F> {
    fn new(x: &'a ArrayRef2<F>, weights: Option<&'a [f64]>, shift: &'a [F]) -> Self {
        let n = x.nrows();
        let block = |rows: std::ops::Range<usize>| Block {
            start: rows.start,
            potential: 0.0,
            trial_distances: Vec::new(),
            trial_potentials: Vec::new(),
        };
        let blocks = chunks(n, 128).into_iter().map(block).collect();
        Seeding { x, weights, shift, distances: vec![F::infinity(); n], blocks }
    }

    fn draw(mut self, k: usize, seed: Seed) -> Vec<usize> {
        let mut rng = seed.named("k-means++").rng();
        let trials = 2 + (k as f64).ln() as usize;
        let first = random_rows(self.x.nrows(), self.weights, 1, seed);
        self.try_seeds(&first);
        self.accept(0);
        let mut seeds = first;
        while seeds.len() < k {
            let candidates: Vec<usize> = (0..trials).map(|_| self.draw_row(&mut rng, &seeds)).collect();
            let potentials = self.try_seeds(&candidates);
            let best = (1..trials).fold(0, |best, t| if potentials[t] < potentials[best] { t } else { best });
            self.accept(best);
            seeds.push(candidates[best]);
        }
        seeds
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |w| w[row])
    }

    /// A row drawn with probability proportional to weight × squared distance. When every row lies
    /// on a seed, the first row of positive weight that is not a seed itself, or else the first seed.
    fn draw_row(&self, rng: &mut Rng, seeds: &[usize]) -> usize {
        let potential: f64 = self.blocks.iter().map(|b| b.potential).sum();
        let mut left = rng.random::<f64>() * potential;
        if potential > 0.0 {
            let mut last = None;
            for (b, block) in self.blocks.iter().enumerate() {
                if block.potential > 0.0 && (left < block.potential || b + 1 == self.blocks.len()) {
                    for row in self.rows_of(b) {
                        let mass = self.weight(row) * self.distances[row].f64();
                        if mass > 0.0 {
                            last = Some(row);
                            if left < mass {
                                return row;
                            }
                        }
                        left -= mass;
                    }
                    // rounding took us past the end of the block: its last row of positive mass
                    if let Some(row) = last {
                        return row;
                    }
                }
                left -= block.potential;
            }
            if let Some(row) =
                (0..self.distances.len()).rev().find(|&r| self.weight(r) * self.distances[r].f64() > 0.0)
            {
                return row;
            }
        }
        (0..self.distances.len()).find(|r| self.weight(*r) > 0.0 && !seeds.contains(r)).unwrap_or(seeds[0])
    }

    fn rows_of(&self, block: usize) -> std::ops::Range<usize> {
        let end = self.blocks.get(block + 1).map_or(self.distances.len(), |next| next.start);
        self.blocks[block].start..end
    }

    /// One pass over the data: for each trial the distances with it as a further seed, and their sum.
    fn try_seeds(&mut self, rows: &[usize]) -> Vec<f64> {
        let (x, weights, shift, d, trials) = (self.x, self.weights, self.shift, self.x.ncols(), rows.len());
        let mut packed = Vec::with_capacity(trials * d);
        let mut tile = Vec::new();
        for &row in rows {
            centred_tile(x, row..row + 1, shift, &mut tile);
            packed.extend_from_slice(&tile);
        }
        let candidates = Candidates::pack(&packed, trials, d);
        let padded = candidates.padded();
        let mut distances = &self.distances[..];
        let mut work = Vec::with_capacity(self.blocks.len());
        let ends: Vec<usize> = (0..self.blocks.len()).map(|b| self.rows_of(b).len()).collect();
        for (block, len) in self.blocks.iter_mut().zip(ends) {
            let (mine, rest) = distances.split_at(len);
            distances = rest;
            work.push((block, mine));
        }
        work.into_par_iter().for_each_init(
            || (Vec::new(), vec![F::zero(); ROW_TILE * padded]),
            |(tile, fresh), (block, distances)| {
                block.trial_potentials.clear();
                block.trial_potentials.resize(trials, 0.0);
                block.trial_distances.resize(distances.len() * trials, F::zero());
                let kept = block.trial_distances.chunks_mut(ROW_TILE * trials);
                for (t, (distances, kept)) in distances.chunks(ROW_TILE).zip(kept).enumerate() {
                    let start = block.start + t * ROW_TILE;
                    centred_tile(x, start..start + distances.len(), shift, tile);
                    let fresh = &mut fresh[..distances.len() * padded];
                    candidates.squared_distances(tile, fresh);
                    for (i, &old) in distances.iter().enumerate() {
                        let weight = weights.map_or(1.0, |w| w[start + i]);
                        let fresh = &fresh[i * padded..][..trials];
                        let kept = &mut kept[i * trials..][..trials];
                        for ((kept, &new), total) in
                            kept.iter_mut().zip(fresh).zip(&mut block.trial_potentials)
                        {
                            *kept = if new < old { new } else { old };
                            *total += weight * kept.f64();
                        }
                    }
                }
            },
        );
        let mut totals = vec![0.0; trials];
        for block in &self.blocks {
            totals.iter_mut().zip(&block.trial_potentials).for_each(|(t, p)| *t += p);
        }
        totals
    }

    /// Makes one of the trials just tried a seed.
    fn accept(&mut self, trial: usize) {
        for b in 0..self.blocks.len() {
            let rows = self.rows_of(b);
            let block = &mut self.blocks[b];
            let trials = block.trial_potentials.len();
            block.potential = block.trial_potentials[trial];
            for (distance, tried) in
                self.distances[rows].iter_mut().zip(block.trial_distances.chunks_exact(trials))
            {
                *distance = tried[trial];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn random_rows_follow_their_weights_and_never_repeat() {
        let weights = [0.0, 1.0, 3.0, 0.0];
        let mut counts = [0; 4];
        for s in 0..4000 {
            counts[random_rows(4, Some(&weights), 1, Seed::new(s))[0]] += 1;
            let mut two = random_rows(4, Some(&weights), 2, Seed::new(s));
            two.sort_unstable();
            assert_eq!(two, [1, 2]);
        }
        assert_eq!((counts[0], counts[3]), (0, 0));
        assert!((2800..3200).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn a_row_of_weight_zero_is_never_a_seed() {
        let x = array![[0.0], [100.0], [1.0], [2.0]];
        for s in 0..200 {
            let seeds = Seeding::new(&x, Some(&[1.0, 0.0, 1.0, 1.0]), &[0.0]).draw(3, Seed::new(s));
            assert!(!seeds.contains(&1), "{seeds:?}");
        }
    }

    #[test]
    fn repeated_rows_do_not_stop_the_seeding() {
        let x = array![[1.0_f32, 2.0], [1.0, 2.0], [1.0, 2.0], [5.0, 5.0]];
        for s in 0..50 {
            let mut seeds = Seeding::new(&x, None, &[0.0, 0.0]).draw(4, Seed::new(s));
            seeds.sort_unstable();
            assert_eq!(seeds, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn the_first_draw_is_proportional_to_the_squared_distance() {
        // one trial a seed when k = 1 … the potential after the first seed decides the second
        let x = array![[0.0], [1.0], [3.0]];
        let mut far = 0;
        for s in 0..2000 {
            let mut seeding = Seeding::new(&x, None, &[0.0]);
            seeding.try_seeds(&[0]);
            seeding.accept(0);
            far += usize::from(seeding.draw_row(&mut Seed::new(s).rng(), &[0]) == 2);
        }
        // 9 of 10 in expectation, standard deviation 13
        assert!((1735..1865).contains(&far), "{far}");
    }
}
