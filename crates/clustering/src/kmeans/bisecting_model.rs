//! The tree that bisecting k-means grew, and the questions it answers.

use super::bisecting::BisectingKMeans;
use super::{KMeans, KMeansModel};
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Predict;
use unsup_core::math::Nearest;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Result, validate};

/// A cut, and what lies on its two sides.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<F> {
    pub(super) model: KMeansModel<F>,
    pub(super) children: [Child; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Child {
    Node(usize),
    Leaf(usize),
}

/// The tree that [`BisectingKMeans`] grew.
#[derive(Debug, Clone, PartialEq)]
pub struct BisectingKMeansModel<F> {
    pub(super) spec: BisectingKMeans,
    pub(super) nodes: Vec<Node<F>>,
    pub(super) centroids: Array2<F>,
    pub(super) labels: Array1<usize>,
    pub(super) inertia: f64,
    pub(super) history: History,
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

    /// Σ w‖x − c‖² of the rows and the means of their leaves, in squared units of the data.
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
