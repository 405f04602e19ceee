//! The first centroids: k-means++, k-means‖, random rows, or given ones.

use super::parallel::parallel_seeds;
use super::seeding::{greedy_trials, seeds};
use ndarray::{Array2, ArrayRef2};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use unsup_core::math::{Nearest, centred_tile};
use unsup_core::{Error, Result, Seed, validate};

/// How k-means chooses its first centroids.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Init {
    /// Greedy k-means++: each seed is the best of 2 + ⌊ln k⌋ rows drawn with probability
    /// proportional to their squared distance from the seeds so far. k passes over the data.
    #[default]
    KMeansPlusPlus,
    /// k-means++ with one draw a seed, the algorithm of which Arthur & Vassilvitskii 2007 prove that the expected
    /// inertia is within 8·(2 + ln k) of the optimum. k passes over the data.
    PlainKMeansPlusPlus,
    /// k-means‖ (Bahmani et al. 2012): in each of a few rounds every row becomes a candidate with a probability
    /// proportional to its squared distance from the candidates so far; the candidates, weighted by the rows they are
    /// nearest to, are then seeded by k-means++. Few passes over the data, for large k.
    KMeansParallel {
        /// How many rounds; 5 are enough in the paper. At least 1.
        rounds: usize,
        /// How many candidates a round is to find, as a multiple of k; 2 in the paper. More than 0.
        oversampling: f64,
    },
    /// k distinct rows, drawn with probability proportional to their weights.
    Random,
    /// These centroids. `[k, d]`
    Centroids(Array2<f64>),
}

impl Init {
    /// k-means‖ with the five rounds and the oversampling of 2 of the paper.
    pub const PARALLEL: Init = Init::KMeansParallel { rounds: 5, oversampling: 2.0 };

    /// Whether it can give k centroids of d coordinates.
    pub(super) fn check(&self, k: usize, d: usize) -> Result<()> {
        match self {
            Init::KMeansParallel { rounds: 0, .. } => Err(Error::parameter("rounds", 0, "at least 1")),
            Init::KMeansParallel { oversampling, .. }
                if !(oversampling.is_finite() && *oversampling > 0.0) =>
            {
                Err(Error::parameter("oversampling", oversampling, "a finite number above 0"))
            }
            Init::Centroids(centroids) => {
                validate::table(centroids, "initial centroids")?;
                if centroids.dim() == (k, d) {
                    return Ok(());
                }
                let found = format!("{} × {}", centroids.nrows(), centroids.ncols());
                Err(Error::shape("initial centroids", format!("{k} × {d}"), found))
            }
            _ => Ok(()),
        }
    }

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
            Init::KMeansPlusPlus => seeds(x, weights, k, greedy_trials(k), seed),
            Init::PlainKMeansPlusPlus => seeds(x, weights, k, 1, seed),
            Init::KMeansParallel { rounds, oversampling } => {
                parallel_seeds(x, weights, shift, k, *rounds, *oversampling, seed)
            }
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

/// k distinct rows without replacement, by exponential keys: the k smallest of Eᵢ / wᵢ (Efraimidis &
/// Spirakis 2006). Rows of weight zero come last.
pub(super) fn random_rows(n: usize, weights: Option<&[f64]>, k: usize, seed: Seed) -> Vec<usize> {
    let mut rng = seed.named("random rows").rng();
    let mut keys: Vec<(f64, usize)> =
        (0..n).map(|i| (-(1.0 - rng.random::<f64>()).ln() / weights.map_or(1.0, |w| w[i]), i)).collect();
    let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    if k < n {
        keys.select_nth_unstable_by(k, order);
        keys.truncate(k);
    }
    keys.sort_unstable_by(order);
    keys.into_iter().map(|(_, i)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
