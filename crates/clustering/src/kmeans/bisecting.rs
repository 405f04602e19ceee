//! Bisecting k-means: one cluster after another is cut in two, until there are k.
//!
//! The cluster that is cut is the one of largest inertia (or of most rows), and it is cut by k-means with two centroids.
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

use super::{Init, KMeans, KMeansModel, check_counts};
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::{Fit, Predict};
use unsup_core::math::Nearest;
use unsup_core::observe::{Event, History, Observer, Silent, Stop};
use unsup_core::store::{Persist, Record};
use unsup_core::{Result, Seed, validate};

/// Which cluster is cut next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Cut {
    /// The one of largest inertia.
    #[default]
    LargestInertia,
    /// The one of most rows.
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
}

/// A cluster that is not cut yet.
struct Leaf<F> {
    rows: Vec<usize>,
    inertia: f64,
    centroid: Array1<F>,
    /// where the tree points to it: a node and its side
    parent: Option<(usize, usize)>,
    splittable: bool,
}

/// x: `[n, d]`.
///
/// With fewer distinct rows than k there are fewer leaves than k.
///
/// # Errors
/// Those of [k-means](KMeans); [`Error::Shape`](unsup_core::Error::Shape) when centroids are given that are not two.
impl<F: Nearest> Fit<ArrayRef2<F>> for BisectingKMeans {
    type Model = BisectingKMeansModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        let task = "bisecting k-means";
        super::finite_moments(x)?;
        check_counts(task, x.nrows(), self.clusters, self.restarts, self.max_iterations, self.tolerance)?;
        self.init.check(2, x.ncols())?;
        let root = KMeans::new(1).fit(x)?;
        let mut leaves = vec![Leaf {
            rows: (0..x.nrows()).collect(),
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
            let model = two.fit_observed(&rows, &mut Silent)?;
            if model.distinct_clusters() < 2 {
                leaves[at].splittable = false;
                continue;
            }
            let inertia = cluster_inertia(&model, &rows)?;
            let side = |side: usize| Leaf {
                rows: leaves[at]
                    .rows
                    .iter()
                    .zip(model.labels())
                    .filter(|&(_, &l)| l == side)
                    .map(|(&r, _)| r)
                    .collect(),
                inertia: inertia[side],
                centroid: model.centroids().row(side).to_owned(),
                parent: Some((nodes.len(), side)),
                splittable: inertia[side] > 0.0,
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
        let centroids = Array2::from_shape_fn((leaves.len(), x.ncols()), |(c, j)| leaves[c].centroid[j]);
        let inertia = leaves.iter().map(|l| l.inertia).sum();
        Ok(BisectingKMeansModel { spec: self.clone(), nodes, centroids, labels, inertia, history })
    }
}

impl BisectingKMeans {
    /// The leaf to cut, the first on a tie; none when every leaf holds equal rows.
    fn next<F>(&self, leaves: &[Leaf<F>]) -> Option<usize> {
        let size = |leaf: &Leaf<F>| match self.cut {
            Cut::LargestInertia => leaf.inertia,
            Cut::LargestCluster => leaf.rows.len() as f64,
        };
        let candidates = (0..leaves.len()).filter(|&l| leaves[l].splittable);
        candidates.reduce(|best, l| if size(&leaves[l]) > size(&leaves[best]) { l } else { best })
    }
}

/// The inertia of each of the two clusters.
fn cluster_inertia<F: Nearest>(model: &KMeansModel<F>, rows: &ArrayRef2<F>) -> Result<[f64; 2]> {
    use unsup_core::estimator::AnomalyScore;
    let mut inertia = [0.0; 2];
    model.anomaly_score(rows)?.iter().zip(model.labels()).for_each(|(score, &label)| inertia[label] += score);
    Ok(inertia)
}

/// A cut, and what lies on its two sides.
#[derive(Debug, Clone, PartialEq)]
struct Node<F> {
    model: KMeansModel<F>,
    children: [Child; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Child {
    Node(usize),
    Leaf(usize),
}

/// The tree that [`BisectingKMeans`] grew.
#[derive(Debug, Clone, PartialEq)]
pub struct BisectingKMeansModel<F> {
    spec: BisectingKMeans,
    nodes: Vec<Node<F>>,
    centroids: Array2<F>,
    labels: Array1<usize>,
    inertia: f64,
    history: History,
}

impl<F: Nearest> BisectingKMeansModel<F> {
    /// The spec it was fitted with.
    pub fn spec(&self) -> &BisectingKMeans {
        &self.spec
    }

    /// The means of the leaves, one a row. `[leaves, d]`
    pub fn centroids(&self) -> &Array2<F> {
        &self.centroids
    }

    /// The leaf of each row that the model was fitted on: the same as [`predict`](Predict::predict) gives. `[n]`
    pub fn labels(&self) -> &Array1<usize> {
        &self.labels
    }

    /// Σ‖x − c‖² of the rows and the means of their leaves, in squared units of the data.
    pub fn inertia(&self) -> f64 {
        self.inertia
    }

    /// The inertia after each cut, and why it ended.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// The leaf that each row falls to, going to the nearer centroid at each cut. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> Predict<ArrayRef2<F>> for BisectingKMeansModel<F> {
    fn predict(&self, x: &ArrayRef2<F>) -> Result<Array1<usize>> {
        validate::table_of_width(x, self.centroids.ncols(), "x")?;
        let mut labels = Array1::zeros(x.nrows());
        let mut open = vec![(0, (0..x.nrows()).collect::<Vec<usize>>())];
        while let Some((node, rows)) = open.pop() {
            let Some(Node { model, children }) = self.nodes.get(node).filter(|_| !rows.is_empty()) else {
                continue;
            };
            let sides = model.predict(&x.select(Axis(0), &rows))?;
            for (side, child) in children.iter().enumerate() {
                let mine = rows.iter().zip(&sides).filter(|&(_, &s)| s == side).map(|(&row, _)| row);
                match *child {
                    Child::Leaf(label) => mine.for_each(|row| labels[row] = label),
                    Child::Node(node) => open.push((node, mine.collect())),
                }
            }
        }
        Ok(labels)
    }
}

impl<F: Nearest> Persist for BisectingKMeansModel<F> {
    fn kind() -> String {
        format!("BisectingKMeansModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        let d = self.centroids.ncols();
        let labels: Vec<u32> = self.labels.iter().map(|&l| l as u32).collect();
        let cuts: Vec<F> = self.nodes.iter().flat_map(|n| n.model.centred()).copied().collect();
        let shifts: Vec<F> = self.nodes.iter().flat_map(|n| n.model.shift()).copied().collect();
        let children: Vec<[Child; 2]> = self.nodes.iter().map(|n| n.children).collect();
        Record::new(Self::kind())
            .array("centroids", &self.centroids)
            .slice("cuts", &[2 * self.nodes.len(), d], &cuts)
            .slice("shifts", &[self.nodes.len(), d], &shifts)
            .slice("labels", &[labels.len()], &labels)
            .value("children", &children)?
            .value("spec", &self.spec)?
            .value("inertia", &self.inertia)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let centroids = record.read_table::<F>("centroids")?;
        let (cuts, shifts) = (record.read_table::<F>("cuts")?, record.read_table::<F>("shifts")?);
        let children: Vec<[Child; 2]> = record.read_value("children")?;
        let labels = record.read_array::<u32>("labels")?;
        let (leaves, d) = centroids.dim();
        record.require(leaves > 0 && d > 0, "`centroids` is empty")?;
        record.require(children.len() + 1 == leaves, "there is one cut fewer than leaves")?;
        record.require(
            cuts.dim() == (2 * children.len(), d) && shifts.dim() == (children.len(), d),
            "`cuts` and `shifts` do not fit `children`",
        )?;
        // children come after their parents, so going down the tree ends
        let valid = |(node, child): (usize, &Child)| match *child {
            Child::Node(next) => next > node && next < children.len(),
            Child::Leaf(label) => label < leaves,
        };
        let all = children.iter().enumerate().flat_map(|(n, two)| two.iter().map(move |c| (n, c)));
        record.require(all.into_iter().all(valid), "`children` is not a tree")?;
        record.require(labels.iter().all(|&l| (l as usize) < leaves), "a label is beyond the last leaf")?;
        let node = |(n, &children): (usize, &[Child; 2])| Node {
            model: KMeansModel::new(
                KMeans::new(2),
                cuts.rows().into_iter().skip(2 * n).take(2).flatten().copied().collect(),
                shifts.row(n).to_owned(),
                Array1::default(0),
                0.0,
                History::new(),
            ),
            children,
        };
        Ok(BisectingKMeansModel {
            spec: record.read_value("spec")?,
            nodes: children.iter().enumerate().map(node).collect(),
            centroids,
            labels: labels.iter().map(|&l| l as usize).collect(),
            inertia: record.read_value("inertia")?,
            history: record.read_value("history")?,
        })
    }
}
