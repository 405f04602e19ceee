//! Mini-batch k-means: centroids that follow the mean of the rows they have met, a small batch at a time.
//!
//! A step assigns a batch to its nearest centroids and moves each of those to the mean of all rows it was ever given:
//! c ← c + (Σ w·x − W·c) / (N + W), where W is what the batch's rows of c weigh and N what those before weighed. Centroids that have met
//! few rows are now and then put on rows of the batch.
//!
//! Weights say how many times a row counts. [`fit_weighted`](MiniBatchKMeans::fit_weighted) draws its batches with probabilities
//! proportional to them, and the rows drawn count alike; a stream, whose batches are not drawn, weighs the sums of a step. Both move
//! centroids to weighted means.
//!
//! **Use it** where the data are too many for a pass an iteration, or come as a stream
//! ([`start`](MiniBatchKMeans::start), then [`partial_fit`](MiniBatchKMeansModel::partial_fit)). **Do not use it** where the data fit in memory:
//! [k-means](super) ends lower, and on this library's kernels rarely later.
//!
//! Cost: batch·k·d multiply-adds a step; memory: a batch, and k × d sums.
//!
//! Source: Sculley, *Web-scale k-means clustering*, WWW 2010, algorithm 1; stopping rule, reassignment and
//! the use of weights are scikit-learn's.

use super::mini_batch_model::MiniBatchKMeansModel;
use super::{Init, check_counts};
use crate::used::warn_of_unused;
use crate::weights::{RowWeights, uneven, weighted_sum};
use ndarray::{ArrayRef1, ArrayRef2, Axis};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::{AnomalyScore, Fit};
use unsup_core::math::{Moments, Nearest};
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::seed::Rng;
use unsup_core::{Error, Result, Seed};

/// The hyper-parameters of mini-batch k-means; see the [module](self).
///
/// ```
/// use unsup_clustering::{KMeans, MiniBatchKMeans};
/// use unsup_core::{data, estimator::Fit};
/// let x = data::digits().x;
/// let model = MiniBatchKMeans::new(10).batch(256).seed(7).fit(&x)?;
/// let full = KMeans::new(10).seed(7).fit(&x)?;
/// assert!(model.inertia() < 1.1 * full.inertia());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MiniBatchKMeans {
    pub(super) clusters: usize,
    init: Init,
    restarts: usize,
    batch: usize,
    epochs: usize,
    patience: usize,
    pub(super) reassignment: f64,
    pub(super) seed: Seed,
}

impl MiniBatchKMeans {
    /// `clusters` centroids, the best of 3 greedy k-means++ seedings, batches of 1024 rows, at most 100 epochs, a patience of 10
    /// batches, reassignment below 1 % and seed 0.
    pub fn new(clusters: usize) -> Self {
        MiniBatchKMeans {
            clusters,
            init: Init::default(),
            restarts: 3,
            batch: 1024,
            epochs: 100,
            patience: 10,
            reassignment: 0.01,
            seed: Seed::default(),
        }
    }

    /// How the first centroids are chosen, among three batches' worth of rows.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// How many seedings are tried; the one of least inertia on three batches' worth of rows is kept. At least 1.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// How many rows a step takes. At least 1.
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// How many times as many rows as there are may be drawn. At least 1.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// The fit has converged when the smoothed inertia of the batches has not fallen for so many of them. At least 1.
    #[must_use]
    pub fn patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }

    /// A centroid that has met fewer rows than this fraction of what the busiest has met is put on a row
    /// of the batch, every ten rows a centroid. 0 never does.
    #[must_use]
    pub fn reassignment(mut self, ratio: f64) -> Self {
        self.reassignment = ratio;
        self
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    fn check<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<()> {
        check_counts("mini-batch k-means", x.nrows(), self.clusters, self.restarts, self.epochs, 0.0)?;
        for (name, value) in [("batch", self.batch), ("patience", self.patience)] {
            if value == 0 {
                return Err(Error::parameter(name, 0, "at least 1"));
            }
        }
        if !(0.0..1.0).contains(&self.reassignment) {
            return Err(Error::parameter("reassignment", self.reassignment, "at least 0 and below 1"));
        }
        self.init.check(self.clusters, x.ncols())
    }

    /// A model that has met one batch: the beginning of a stream. x: `[n, d]`, at least k rows.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit).
    pub fn start<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<MiniBatchKMeansModel<F>> {
        self.seeded(x, None)?.partial_fit(x)
    }

    /// As [`start`](Self::start), from rows that count `weights` times each. x: `[n, d]`, weights: `[n]`.
    ///
    /// # Errors
    /// As [`fit_weighted`](Self::fit_weighted).
    pub fn start_weighted<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
    ) -> Result<MiniBatchKMeansModel<F>> {
        let counted = RowWeights::of(weights, x.nrows())?;
        self.seeded(&counted.select(x)?, counted.values.as_deref())?.partial_fit_weighted(x, weights)
    }

    /// Learns from rows that count `weights` times each: batches are drawn with these probabilities.
    /// x: `[n, d]`, weights: `[n]`.
    ///
    /// A row of weight 0 is labelled and otherwise as good as not there.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit), for the rows of positive weight; [`Error::Value`] for a weight that is negative or not finite, or
    /// when all are zero; [`Error::Shape`] when there is not one a row.
    pub fn fit_weighted<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
        observer: &mut dyn Observer,
    ) -> Result<MiniBatchKMeansModel<F>> {
        let weights = RowWeights::of(weights, x.nrows())?;
        let model = self.run(&weights.select(x)?, weights.values.as_deref(), observer)?;
        if weights.rows.is_some() { model.labelling(x) } else { Ok(model) }
    }

    /// The best of the seedings, each among rows drawn for it, by its inertia on other rows.
    fn seeded<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: Option<&[f64]>,
    ) -> Result<MiniBatchKMeansModel<F>> {
        let Moments { means, .. } = super::finite_moments(x, weights, "mini-batch k-means")?;
        self.check(x)?;
        let shift: Vec<F> = means.iter().map(|&m| F::of(m)).collect();
        let (n, seed) = (x.nrows(), self.seed.named("mini-batch k-means"));
        let size = (3 * self.batch).max(3 * self.clusters).min(n);
        let sample = |name: &str, index: usize| {
            let mut rows = seed.named(name).indexed(index).permutation(n);
            rows.truncate(size);
            let own = weights.map(|w| rows.iter().map(|&row| w[row]).collect::<Vec<f64>>());
            (x.select(Axis(0), &rows), own)
        };
        let (validation, validation_weights) = sample("validation", 0);
        let mut best: Option<(f64, MiniBatchKMeansModel<F>)> = None;
        for restart in 0..if matches!(self.init, Init::Centroids(_)) { 1 } else { self.restarts } {
            let (rows, own) = sample("seeding", restart);
            let seed = seed.indexed(restart);
            let centroids = self.init.centroids(&rows, own.as_deref(), &shift, self.clusters, seed);
            let model = MiniBatchKMeansModel::new(self.clone(), centroids, shift.clone());
            let inertia = weighted_sum(&model.anomaly_score(&validation)?, validation_weights.as_deref());
            if best.as_ref().is_none_or(|(least, _)| inertia < *least) {
                best = Some((inertia, model));
            }
        }
        best.map(|(_, model)| model).ok_or_else(|| Error::parameter("restarts", 0, "at least 1"))
    }

    fn run<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: Option<&[f64]>,
        observer: &mut dyn Observer,
    ) -> Result<MiniBatchKMeansModel<F>> {
        let task = "mini-batch k-means";
        let mut model = self.seeded(x, weights)?;
        let (n, batch) = (x.nrows(), self.batch.min(x.nrows()));
        let steps = (self.epochs * n).div_ceil(batch);
        let _ = observer.observe(&Event::Started { task, total: steps });
        let cumulated = uneven(weights).map(cumulated);
        let draw = |rng: &mut Rng| match &cumulated {
            Some(sums) => draw_weighted(sums, rng),
            None => rng.random_range(0..n),
        };
        let mut history = History::new();
        // scikit-learn's: an average over about one epoch, begun after the first step, whose centroids are fresh
        let alpha = (2.0 * batch as f64 / (n + 1) as f64).min(1.0);
        let (mut smoothed, mut least, mut waited) = (None::<f64>, f64::INFINITY, 0);
        for step in 0..steps {
            let mut rng = self.seed.named("batches").indexed(step).rng();
            let rows: Vec<usize> = (0..batch).map(|_| draw(&mut rng)).collect();
            let inertia = model.step(&x.select(Axis(0), &rows), None) / batch as f64;
            if step > 0 {
                smoothed = Some(smoothed.map_or(inertia, |s| s + alpha * (inertia - s)));
            }
            let objective = smoothed.unwrap_or(inertia);
            history.record(objective, &[]);
            let event = Event::Progress { task, done: step + 1, objective, terms: &[] };
            if observer.observe(&event).is_break() {
                history.finish(Stop::Interrupted);
                break;
            }
            if step > 0 && objective < least {
                (least, waited) = (objective, 0);
            } else if step > 0 {
                waited += 1;
            }
            if waited >= self.patience {
                history.finish(Stop::Converged);
                break;
            }
        }
        let _ = observer.observe(&Event::Finished { task, stop: history.stop() });
        let model = model.finish(x, weights, history)?;
        warn_of_unused(task, model.labels(), self.clusters, observer);
        Ok(model)
    }
}

/// x: `[n, d]`. Batches are drawn with replacement.
///
/// # Errors
/// Those of [k-means](super::KMeans), and [`Error::Parameter`] for `batch`, `epochs`, `patience` or `reassignment` out of range.
///
/// With fewer distinct rows than k some centroids coincide or stay without rows, as those of k-means do, with the same warning.
impl<F: Nearest> Fit<ArrayRef2<F>> for MiniBatchKMeans {
    type Model = MiniBatchKMeansModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        self.run(x, None, observer)
    }
}

/// The sums of the weights up to each row.
fn cumulated(weights: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let add = |w: &f64| {
        sum += w;
        sum
    };
    weights.iter().map(add).collect()
}

/// A row drawn with probability proportional to its weight.
fn draw_weighted(sums: &[f64], rng: &mut Rng) -> usize {
    let last = sums.len() - 1;
    let at = rng.random::<f64>() * sums[last];
    sums.partition_point(|&sum| sum <= at).min(last)
}
