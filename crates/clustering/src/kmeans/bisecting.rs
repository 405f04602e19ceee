//! Bisecting k-means: one cluster after another is cut in two, until there are k.
//!
//! The cluster that is cut is the one of largest inertia (or of most rows, as weighted), and it is cut by k-means with two centroids.
//! The result is a tree: a row is predicted by going down it.
//!
//! **Use it** for a hierarchy, or for many clusters: n·d·log k multiply-adds a level instead of n·d·k. **Do not use it**
//! where the inertia itself counts: a cut is never taken back, and k-means with k-means++ ends lower.
//!
//! Cost: 2·d multiply-adds a row and iteration of a cut, on the rows of one cluster; memory: a copy of them.
//!
//! Source: Steinbach, Karypis & Kumar, *A comparison of document clustering techniques*, KDD workshop on text mining (2000).
//! The tolerance is relative to the variance of the rows that are cut, so the result does not depend on the unit of the
//! data (scikit-learn 1.9.1 compares it with squared distances as they are).

use super::bisecting_model::{BisectingKMeansModel, Child, Node};
use super::{Init, KMeans, check_counts};
use crate::used::warn_of_unused;
use crate::weights::RowWeights;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::{AnomalyScore, Fit, Predict};
use unsup_core::math::Nearest;
use unsup_core::observe::{Event, History, Observer, Silent, Stop};
use unsup_core::{Result, Seed};

/// Which cluster is cut next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Cut {
    /// The one of largest inertia.
    #[default]
    LargestInertia,
    /// The one of most rows: of largest Σ w.
    LargestCluster,
}

/// The hyper-parameters of bisecting k-means; see the [module](self).
///
/// ```
/// use unsup_clustering::BisectingKMeans;
/// use unsup_core::{data, estimator::{Fit, Predict}};
/// let x = data::iris().x;
/// let model = BisectingKMeans::new(3).seed(7).fit(&x)?;
/// assert_eq!(&model.predict(&x)?, model.labels());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BisectingKMeans {
    clusters: usize,
    cut: Cut,
    init: Init,
    restarts: usize,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

impl BisectingKMeans {
    /// `clusters` leaves; cuts of the largest inertia, each from greedy k-means++ seeds, one start, at most 300
    /// iterations, a tolerance of 10⁻⁴ and seed 0.
    pub fn new(clusters: usize) -> Self {
        BisectingKMeans {
            clusters,
            cut: Cut::default(),
            init: Init::default(),
            restarts: 1,
            max_iterations: 300,
            tolerance: 1e-4,
            seed: Seed::default(),
        }
    }

    /// Which cluster is cut next.
    #[must_use]
    pub fn cut(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }

    /// How the two centroids of a cut are chosen; not given ones.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// How many starts a cut has; the best is kept. At least 1.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// The most iterations of one start of a cut. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// As [`KMeans::tolerance`], for the rows that are cut.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    /// Learns from rows that count `weights` times each. x: `[n, d]`, weights: `[n]`.
    ///
    /// A row of weight 0 is labelled and otherwise as good as not there.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit), for the rows of positive weight; [`Error::Value`](unsup_core::Error::Value) for a weight that is
    /// negative or not finite, or when all are zero; [`Error::Shape`](unsup_core::Error::Shape) when there is not one a row.
    pub fn fit_weighted<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
        observer: &mut dyn Observer,
    ) -> Result<BisectingKMeansModel<F>> {
        let weights = RowWeights::of(weights, x.nrows())?;
        let mut model = self.run(&weights.select(x)?, weights.values.as_deref(), observer)?;
        if weights.rows.is_some() {
            model.labels = model.predict(x)?;
        }
        Ok(model)
    }
}

/// A cluster that is not cut yet.
struct Leaf<F> {
    rows: Vec<usize>,
    /// Σ w of the rows
    weight: f64,
    inertia: f64,
    centroid: Array1<F>,
    /// where the tree points to it: a node and its side
    parent: Option<(usize, usize)>,
    splittable: bool,
}

/// x: `[n, d]`.
///
/// With fewer distinct rows than k there are fewer leaves than k, and the observer gets an
/// [`Event::Warning`].
///
/// # Errors
/// Those of [k-means](KMeans); [`Error::Shape`](unsup_core::Error::Shape) when centroids are given that are not two.
impl<F: Nearest> Fit<ArrayRef2<F>> for BisectingKMeans {
    type Model = BisectingKMeansModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        self.run(x, None, observer)
    }
}

impl BisectingKMeans {
    fn run<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: Option<&[f64]>,
        observer: &mut dyn Observer,
    ) -> Result<BisectingKMeansModel<F>> {
        let task = "bisecting k-means";
        super::finite_moments(x, weights, task)?;
        check_counts(task, x.nrows(), self.clusters, self.restarts, self.max_iterations, self.tolerance)?;
        self.init.check(2, x.ncols())?;
        let weight = |row: usize| weights.map_or(1.0, |w| w[row]);
        let root = KMeans::new(1).run(x, weights, &mut Silent)?;
        let mut leaves = vec![Leaf {
            rows: (0..x.nrows()).collect(),
            weight: (0..x.nrows()).map(weight).sum(),
            inertia: root.inertia(),
            centroid: root.centroids().row(0).to_owned(),
            parent: None,
            splittable: root.inertia() > 0.0,
        }];
        let (mut nodes, mut history) = (Vec::<Node<F>>::new(), History::new());
        let _ = observer.observe(&Event::Started { task, total: self.clusters - 1 });
        history.finish(Stop::Converged);
        while leaves.len() < self.clusters {
            let Some(at) = self.next(&leaves) else { break };
            let rows = x.select(Axis(0), &leaves[at].rows);
            let two = KMeans::new(2)
                .init(self.init.clone())
                .restarts(self.restarts)
                .max_iterations(self.max_iterations)
                .tolerance(self.tolerance)
                .seed(self.seed.named(task).indexed(nodes.len()));
            let own = weights.map(|w| leaves[at].rows.iter().map(|&row| w[row]).collect::<Vec<f64>>());
            let model = two.run(&rows, own.as_deref(), &mut Silent)?;
            if model.distinct_clusters() < 2 {
                leaves[at].splittable = false;
                continue;
            }
            let scores = model.anomaly_score(&rows)?;
            let side = |side: usize| {
                let scored = leaves[at].rows.iter().zip(model.labels()).zip(&scores);
                let (rows, scores): (Vec<usize>, Vec<f64>) =
                    scored.filter(|((_, l), _)| **l == side).map(|((&row, _), &score)| (row, score)).unzip();
                let inertia = rows.iter().zip(scores).map(|(&row, score)| weight(row) * score).sum();
                Leaf {
                    weight: rows.iter().map(|&row| weight(row)).sum(),
                    rows,
                    inertia,
                    centroid: model.centroids().row(side).to_owned(),
                    parent: Some((nodes.len(), side)),
                    splittable: inertia > 0.0,
                }
            };
            let (left, right) = (side(0), side(1));
            if let Some((node, side)) = leaves[at].parent {
                nodes[node].children[side] = Child::Node(nodes.len());
            }
            nodes.push(Node { model, children: [Child::Leaf(0); 2] });
            leaves[at] = left;
            leaves.push(right);
            let objective = leaves.iter().map(|l| l.inertia).sum();
            history.record(objective, &[]);
            let event = Event::Progress { task, done: nodes.len(), objective, terms: &[] };
            if observer.observe(&event).is_break() {
                history.finish(Stop::Interrupted);
                break;
            }
        }
        let _ = observer.observe(&Event::Finished { task, stop: history.stop() });
        let mut labels = Array1::zeros(x.nrows());
        for (label, leaf) in leaves.iter().enumerate() {
            leaf.rows.iter().for_each(|&row| labels[row] = label);
            if let Some((node, side)) = leaf.parent {
                nodes[node].children[side] = Child::Leaf(label);
            }
        }
        warn_of_unused(task, &labels, self.clusters, observer);
        let centroids = Array2::from_shape_fn((leaves.len(), x.ncols()), |(c, j)| leaves[c].centroid[j]);
        let inertia = leaves.iter().map(|l| l.inertia).sum();
        Ok(BisectingKMeansModel { spec: self.clone(), nodes, centroids, labels, inertia, history })
    }

    /// The leaf to cut, the first on a tie; none when every leaf holds equal rows.
    fn next<F>(&self, leaves: &[Leaf<F>]) -> Option<usize> {
        let size = |leaf: &Leaf<F>| match self.cut {
            Cut::LargestInertia => leaf.inertia,
            Cut::LargestCluster => leaf.weight,
        };
        let candidates = (0..leaves.len()).filter(|&l| leaves[l].splittable);
        candidates.reduce(|best, l| if size(&leaves[l]) > size(&leaves[best]) { l } else { best })
    }
}
