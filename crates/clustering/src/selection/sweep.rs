//! The sweep over the numbers of clusters.

use super::gap::{Gap, Null};
use super::model::{ClusterCountModel, Scores};
use super::{ClusterCount, Criterion, TASK};
use crate::{BayesianGaussianMixture, GaussianMixture, GaussianMixtureModel, KMeans, KMeansModel};
use ndarray::{Array1, ArrayRef2};
use std::cell::OnceCell;
use unsup_core::estimator::Fit;
use unsup_core::math::Nearest;
use unsup_core::metrics::{calinski_harabasz, davies_bouldin, silhouette};
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Result};

/// A name, and a score of k clusters with these labels; larger is better, NaN where there is none.
pub type OwnScore<'a> = (&'a str, &'a dyn Fn(usize, &Array1<usize>) -> Result<f64>);

/// Everything about one number of clusters.
struct At<'a, F> {
    spec: &'a ClusterCount,
    x: &'a ArrayRef2<F>,
    kmeans: KMeans,
    model: KMeansModel<F>,
    k: usize,
    null: Option<&'a Null<F>>,
    /// shared by AIC and BIC; `None` when it collapsed
    mixture: OnceCell<Option<GaussianMixtureModel>>,
}

impl<F: Nearest> At<'_, F> {
    /// A score and its standard error, NaN where there is none.
    fn score(&self, criterion: Criterion) -> Result<(f64, f64)> {
        let (x, labels) = (self.x, self.model.labels());
        let used = self.model.distinct_clusters();
        let alone = |score: f64| (score, f64::NAN);
        let of_labels = |score: fn(&ArrayRef2<F>, &ndarray::ArrayRef1<usize>) -> Result<f64>| match used {
            2.. if used < x.nrows() => score(x, labels).map(alone),
            _ => Ok(alone(f64::NAN)),
        };
        match criterion {
            Criterion::Elbow => Ok(alone(self.model.inertia())),
            Criterion::Silhouette => of_labels(silhouette),
            Criterion::CalinskiHarabasz => of_labels(calinski_harabasz),
            Criterion::DaviesBouldin => of_labels(davies_bouldin),
            Criterion::Gap => {
                let Some(null) = self.null else { return Ok(alone(f64::NAN)) };
                let seed = self.spec.seed.named("gap");
                let Gap { gap, standard_error } =
                    null.gap(&self.kmeans, self.model.inertia(), self.spec.references, seed)?;
                Ok((gap, standard_error))
            }
            Criterion::Bic => Ok(alone(self.mixture()?.map_or(Ok(f64::NAN), |m| m.bic(x))?)),
            Criterion::Aic => Ok(alone(self.mixture()?.map_or(Ok(f64::NAN), |m| m.aic(x))?)),
            // one cluster is always the same
            Criterion::Stability if self.k == 1 => Ok(alone(f64::NAN)),
            Criterion::Stability => self.spec.stability(x, &self.kmeans),
            // of all k at once, after the sweep
            Criterion::BayesianWeights => Ok(alone(f64::NAN)),
        }
    }

    fn mixture(&self) -> Result<Option<&GaussianMixtureModel>> {
        if self.mixture.get().is_none() {
            let spec = GaussianMixture::new(self.k)
                .covariance(self.spec.covariance)
                .restarts(self.spec.restarts)
                .max_iterations(300)
                .seed(self.spec.seed);
            let _ = self.mixture.set(unless_numerical(spec.fit(self.x))?);
        }
        Ok(self.mixture.get().and_then(Option::as_ref))
    }
}

/// A fit that has no answer for this k is a score that is missing, not the end of the sweep.
fn unless_numerical<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Numerical { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

impl ClusterCount {
    /// As [`fit_observed`](Fit::fit_observed), with scores of your own beside the criteria: what the clusters are for is often
    /// the best judge of how many there should be. x: `[n, d]`.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit), and those of the scores; [`Error::Value`] for a score with the name of a criterion or of another
    /// score: each row of the table is found by its name.
    ///
    /// ```
    /// use unsup_clustering::{ClusterCount, Criterion};
    /// use unsup_core::{data, metrics, observe::Silent};
    /// // the clusters shall tell the species apart, and each of them costs something
    /// let iris = data::iris();
    /// let useful = |k: usize, labels: &ndarray::Array1<usize>| {
    ///     Ok(metrics::normalized_mutual_info(&iris.labels, labels)? - 0.02 * k as f64)
    /// };
    /// let spec = ClusterCount::new(1..=6).criteria(&[Criterion::Elbow]);
    /// let table = spec.fit_scored(&iris.x, &[("species", &useful)], &mut Silent)?;
    /// assert_eq!(table.scores_named("species").and_then(|s| s.chosen()), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fit_scored<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        own: &[OwnScore<'_>],
        observer: &mut dyn Observer,
    ) -> Result<ClusterCountModel> {
        self.check(x, own)?;
        let null = match self.criteria.contains(&Criterion::Gap) {
            true => Some(Null::of(x, self.reference)?),
            false => None,
        };
        let total = self.most - self.least + 1;
        let _ = observer.observe(&Event::Started { task: TASK, total });
        let mut history = History::new();
        // one row a k: a score and its error for every criterion, then for every score of one's own
        let mut rows: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut stopped = false;
        'sweep: for (done, k) in (self.least..=self.most).enumerate() {
            let kmeans = KMeans::new(k).restarts(self.restarts).seed(self.seed);
            let model = kmeans.fit(x)?;
            let at = At { spec: self, x, kmeans, model, k, null: null.as_ref(), mixture: OnceCell::new() };
            let mut row = Vec::with_capacity(self.criteria.len() + own.len());
            for (step, &criterion) in self.criteria.iter().enumerate() {
                row.push(at.score(criterion)?);
                let steps = self.criteria.len();
                let event = Event::Step { task: TASK, done: done * steps + step + 1, total: total * steps };
                stopped |= observer.observe(&event).is_break();
                // there is a table as soon as one k is complete
                if stopped && done > 0 {
                    break 'sweep;
                }
            }
            for (_, score) in own {
                row.push((score(k, at.model.labels())?, f64::NAN));
            }
            let mut terms = vec![("k", k as f64)];
            terms.extend(self.criteria.iter().zip(&row).map(|(c, &(score, _))| (c.name(), score)));
            let objective = at.model.inertia();
            history.record(objective, &terms);
            rows.push(row);
            let event = Event::Progress { task: TASK, done: done + 1, objective, terms: &terms };
            stopped |= observer.observe(&event).is_break();
            if stopped {
                break;
            }
        }
        history.finish(if stopped { Stop::Interrupted } else { Stop::Converged });
        let clusters: Vec<usize> = (self.least..self.least + rows.len()).collect();
        let column = |i: usize| rows.iter().map(|row| row[i]).unzip();
        let mut scores = Vec::new();
        for (i, &criterion) in self.criteria.iter().enumerate() {
            let (mut values, errors): (Vec<f64>, Vec<f64>) = column(i);
            if criterion == Criterion::BayesianWeights && !stopped {
                values = self.weights(x)?;
            }
            let chosen = criterion.choose(&clusters, &values, &errors, self.least_weight);
            scores.push(Scores::new(criterion.name(), values, errors, chosen.map(|at| clusters[at])));
        }
        for (i, (name, _)) in own.iter().enumerate() {
            let (values, errors) = column(self.criteria.len() + i);
            let chosen = super::criterion::greatest(&values);
            scores.push(Scores::new(name, values, errors, chosen.map(|at| clusters[at])));
        }
        let _ = observer.observe(&Event::Finished { task: TASK, stop: history.stop() });
        Ok(ClusterCountModel::new(self.clone(), clusters, scores, history))
    }

    /// The weight of the k-th heaviest component of a Bayesian mixture, for each k of the range.
    fn weights<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<Vec<f64>> {
        let spec = BayesianGaussianMixture::new(self.most)
            .covariance(self.covariance)
            .restarts(self.restarts)
            .max_iterations(1000)
            .seed(self.seed);
        let Some(model) = unless_numerical(spec.fit(x))? else {
            return Ok(vec![f64::NAN; self.most - self.least + 1]);
        };
        let mut weights = model.weights().to_vec();
        weights.sort_by(|a, b| b.total_cmp(a));
        Ok(weights.split_off(self.least - 1))
    }
}

/// x: `[n, d]`. Reports `Progress` after each k, with the inertia of k-means as objective and the scores as terms, and `Step` after
/// each criterion. A sweep that is interrupted keeps the numbers of clusters that are complete, at least one.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`] (with row and column); [`Error::TooFewRows`] when there are fewer rows than the most clusters
/// (in a subsample, for the stability); [`Error::Parameter`] for a hyper-parameter out of range;
/// [`Error::Numerical`] when squared distances overflow. A mixture that collapses for one k leaves a score out.
impl<F: Nearest> Fit<ArrayRef2<F>> for ClusterCount {
    type Model = ClusterCountModel;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<ClusterCountModel> {
        self.fit_scored(x, &[], observer)
    }
}
