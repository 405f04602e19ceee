//! How many clusters? One call that asks every criterion over a range of k and returns a table.
//!
//! | criterion | asks | chooses | k = 1 |
//! | --- | --- | --- | --- |
//! | [`Elbow`](Criterion::Elbow) | where does more clusters stop to lower the inertia? | the knee of the curve | – |
//! | [`Silhouette`](Criterion::Silhouette) | is each row nearer its own cluster than the next? | the greatest | no |
//! | [`CalinskiHarabasz`](Criterion::CalinskiHarabasz) | spread between clusters over spread within | the greatest | no |
//! | [`DaviesBouldin`](Criterion::DaviesBouldin) | how alike is each cluster to its nearest? | the least | no |
//! | [`Gap`](Criterion::Gap) | is the inertia less than without any clusters? | the first within one standard error of the next | yes |
//! | [`Bic`](Criterion::Bic), [`Aic`](Criterion::Aic) | which Gaussian mixture is worth its parameters? | the least | yes |
//! | [`Stability`](Criterion::Stability) | do other rows of the same kind give the same clusters? | the most clusters that are as stable as the best | no |
//! | [`BayesianWeights`](Criterion::BayesianWeights) | how many components keep weight under a prior? | as many | yes |
//! | [a score of your own](ClusterCount::fit_scored) | what are the clusters for? | the greatest | yours |
//!
//! All but the mixtures score the same k-means clusterings, best of some restarts.
//!
//! **Use it** to see what the data support: criteria that agree are evidence, and each of them has an opinion of what a cluster
//! is. **Do not use it** as an oracle: where groups are bent, nested or of unlike size k-means is the wrong question
//! whatever k; where the clusters serve a purpose (a codebook, a price list) the purpose is the better score, which is
//! what the last row is for. Only the gap, the mixtures and the weights can answer that there are no clusters.
//!
//! Cost: the gap fits k-means to `references` more tables for each k, stability to 2 · `resamples` subsamples, the silhouette takes
//! O(n² d) for each k; the others cost what their fits do. Memory: a reference table or subsample a thread.
//!
//! Sources: Thorndike, *Who belongs in the family?* (1953) and Satopää et al., *Finding a "kneedle" in a haystack* (2011);
//! Rousseeuw (1987); Caliński & Harabasz (1974); Davies & Bouldin (1979); Tibshirani, Walther & Hastie, *Estimating the number
//! of clusters in a data set via the gap statistic*, JRSS B 63 (2001); Schwarz (1978); Akaike (1974); Ben-Hur, Elisseeff & Guyon, *A
//! stability based method for discovering structure in clustered data* (2002); von Luxburg, *Clustering stability: an
//! overview* (2010).

mod criterion;
mod gap;
mod knee;
mod model;
mod stability;
mod sweep;

pub use criterion::Criterion;
pub use gap::{Gap, Reference, gap_statistic};
pub use knee::knee;
pub use model::{ClusterCountModel, Scores};
pub use sweep::OwnScore;

use crate::mixture::Covariance;
use ndarray::ArrayRef2;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use unsup_core::math::Nearest;
use unsup_core::{Error, Result, Seed, validate};

const TASK: &str = "number of clusters";

/// The hyper-parameters of a comparison of numbers of clusters; see the [module](self).
///
/// ```
/// use unsup_clustering::{ClusterCount, Criterion};
/// use unsup_core::{Seed, data::synthetic, estimator::Fit};
/// let blobs = synthetic::blobs(200, 4, 2, 0.5, Seed::new(5))?;
/// let table = ClusterCount::new(1..=7).restarts(3).seed(7).fit(&blobs.x)?;
/// assert_eq!(table.chosen(Criterion::Gap), Some(4));
/// println!("{table}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterCount {
    least: usize,
    most: usize,
    criteria: Vec<Criterion>,
    restarts: usize,
    reference: Reference,
    references: usize,
    resamples: usize,
    subsample: f64,
    covariance: Covariance,
    least_weight: f64,
    seed: Seed,
}

impl ClusterCount {
    /// All criteria for each number in `clusters`: 5 restarts, 20 references of the gap over the principal axes, 20 pairs of
    /// subsamples of 80 % of the rows, full covariances, a least weight of 2 % and seed 0.
    pub fn new(clusters: RangeInclusive<usize>) -> Self {
        ClusterCount {
            least: *clusters.start(),
            most: *clusters.end(),
            criteria: Criterion::ALL.to_vec(),
            restarts: 5,
            reference: Reference::default(),
            references: 20,
            resamples: 20,
            subsample: 0.8,
            covariance: Covariance::Full,
            least_weight: 0.02,
            seed: Seed::default(),
        }
    }

    /// Which criteria are asked, in this order.
    #[must_use]
    pub fn criteria(mut self, criteria: &[Criterion]) -> Self {
        self.criteria = criteria.to_vec();
        self
    }

    /// How many starts k-means and the mixtures make each time. At least 1.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// What the gap compares with.
    #[must_use]
    pub fn reference(mut self, reference: Reference) -> Self {
        self.reference = reference;
        self
    }

    /// How many reference tables the gap draws. At least 2.
    #[must_use]
    pub fn references(mut self, references: usize) -> Self {
        self.references = references;
        self
    }

    /// How many pairs of subsamples the stability compares. At least 2.
    #[must_use]
    pub fn resamples(mut self, resamples: usize) -> Self {
        self.resamples = resamples;
        self
    }

    /// The share of the rows in a subsample, above ½ (so that two of them overlap) and below 1.
    #[must_use]
    pub fn subsample(mut self, share: f64) -> Self {
        self.subsample = share;
        self
    }

    /// Which covariances the mixtures have.
    #[must_use]
    pub fn covariance(mut self, covariance: Covariance) -> Self {
        self.covariance = covariance;
        self
    }

    /// The weight from which a component of the Bayesian mixture counts, in (0, 1).
    #[must_use]
    pub fn least_weight(mut self, weight: f64) -> Self {
        self.least_weight = weight;
        self
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    fn check<F: Nearest>(&self, x: &ArrayRef2<F>, own: &[OwnScore<'_>]) -> Result<()> {
        validate::table(x, "x")?;
        let range = || format!("{}..={}", self.least, self.most);
        if self.least == 0 || self.most < self.least {
            return Err(Error::parameter(
                "clusters",
                range(),
                "a range that begins at 1 or above and is not empty",
            ));
        }
        if self.criteria.is_empty() && own.is_empty() {
            return Err(Error::parameter(
                "criteria",
                "none",
                "at least one criterion or a score of your own",
            ));
        }
        if let Some(twice) =
            (1..self.criteria.len()).find(|&i| self.criteria[..i].contains(&self.criteria[i]))
        {
            return Err(Error::parameter("criteria", self.criteria[twice], "each criterion once"));
        }
        let names: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
        let taken =
            |i: usize| names[..i].contains(&names[i]) || Criterion::ALL.iter().any(|c| c.name() == names[i]);
        if let Some(index) = (0..names.len()).find(|&i| taken(i)) {
            let value = format!("{:?}", names[index]);
            let allowed = "a name that no criterion and no other score has";
            return Err(Error::Value { what: "own", index, value, allowed });
        }
        for (name, value, least, allowed) in [
            ("restarts", self.restarts, 1, "at least 1"),
            ("references", self.references, 2, "at least 2"),
            ("resamples", self.resamples, 2, "at least 2"),
        ] {
            if value < least {
                return Err(Error::parameter(name, value, allowed));
            }
        }
        if !(self.subsample > 0.5 && self.subsample < 1.0) {
            return Err(Error::parameter("subsample", self.subsample, "above 0.5 and below 1"));
        }
        if !(self.least_weight > 0.0 && self.least_weight < 1.0) {
            return Err(Error::parameter("least_weight", self.least_weight, "above 0 and below 1"));
        }
        let (method, needed) = match self.criteria.contains(&Criterion::Stability) {
            true => {
                let needed = (self.most as f64 / self.subsample).ceil() as usize;
                ("the most clusters within a subsample, for stability,", needed)
            }
            false => (TASK, self.most),
        };
        if x.nrows() < needed {
            return Err(Error::TooFewRows { method, needed, found: x.nrows() });
        }
        Ok(())
    }
}
