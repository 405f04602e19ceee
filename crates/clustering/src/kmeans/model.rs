//! What k-means and its relatives learned: the centroids, and the questions they answer.

use super::KMeans;
use super::lloyd::Run;
use super::spherical::directions;
use crate::used::used;
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use unsup_core::estimator::{AnomalyScore, Predict, Transform};
use unsup_core::math::{Candidates, Nearest, ROW_TILE, centred_tile, squared_distance};
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Result, validate};

/// A spec whose model is a set of centroids.
pub trait CentroidSpec: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The model's name in a file.
    const MODEL: &'static str;
    /// Whether rows count by their direction alone, that is, are divided by their norms.
    const DIRECTIONS: bool = false;
}

/// The centroids that [`KMeans`] found, or one of its relatives with the spec `S`; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansModel<F, S = KMeans> {
    spec: S,
    /// `[k, d]`, relative to the shift: the numbers that the kernel compares
    centred: Vec<F>,
    shift: Array1<F>,
    centroids: Array2<F>,
    labels: Array1<usize>,
    inertia: f64,
    history: History,
}

impl<F: Nearest, S: CentroidSpec> KMeansModel<F, S> {
    pub(super) fn new(
        spec: S,
        centred: Vec<F>,
        shift: Array1<F>,
        labels: Array1<usize>,
        inertia: f64,
        history: History,
    ) -> Self {
        let d = shift.len();
        let centroids =
            Array2::from_shape_fn((centred.len() / d.max(1), d), |(c, j)| centred[c * d + j] + shift[j]);
        KMeansModel { spec, centred, shift, centroids, labels, inertia, history }
    }

    pub(super) fn of_run(spec: S, shift: Array1<F>, run: Run<F>) -> Self {
        KMeansModel::new(spec, run.centroids, shift, Array1::from(run.labels), run.inertia, run.history)
    }

    /// The same model with the labels of these rows.
    pub(super) fn labelling(mut self, x: &ArrayRef2<F>) -> Result<Self> {
        self.labels = self.predict(x)?;
        Ok(self)
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &S {
        &self.spec
    }

    /// The centroids, one a row. `[k, d]`
    pub fn centroids(&self) -> &Array2<F> {
        &self.centroids
    }

    /// The cluster of each row that the model was fitted on: the same as [`predict`](Predict::predict)
    /// gives. `[n]`
    pub fn labels(&self) -> &Array1<usize> {
        &self.labels
    }

    /// Σ w‖x − c‖² over the rows that the model was fitted on, in squared units of the data.
    pub fn inertia(&self) -> f64 {
        self.inertia
    }

    /// The inertia after each iteration of the best start, and why it ended.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many clusters have a row. Less than k only when there are fewer than k distinct rows,
    /// or when the fit was interrupted.
    pub fn distinct_clusters(&self) -> usize {
        used(&self.labels, self.centroids.nrows())
    }

    /// Writes the cluster of each row of `x` into `labels`, without allocating n values.
    /// x: `[n, d]`, labels: `[n]`.
    ///
    /// # Errors
    /// As [`predict`](Predict::predict); [`Error::Shape`](unsup_core::Error::Shape) when `labels` has
    /// another length.
    pub fn predict_into(&self, x: &ArrayRef2<F>, labels: &mut [u32]) -> Result<()> {
        validate::table_of_width(x, self.shift.len(), "x")?;
        if labels.len() != x.nrows() {
            let found = format!("{} values", labels.len());
            return Err(unsup_core::Error::shape(
                "labels",
                format!("{} values, one a row", x.nrows()),
                found,
            ));
        }
        let x = &*Self::rows(x)?;
        let candidates = self.candidates();
        let shift = self.shift.as_slice().unwrap_or_default();
        labels.par_chunks_mut(16 * ROW_TILE).enumerate().for_each_init(Vec::new, |tile, (c, labels)| {
            for (t, labels) in labels.chunks_mut(ROW_TILE).enumerate() {
                let start = (16 * c + t) * ROW_TILE;
                centred_tile(x, start..start + labels.len(), shift, tile);
                candidates.nearest(tile, labels);
            }
        });
        Ok(())
    }

    /// −Σ‖x − c‖² over the rows of x, each with its nearest centroid: more is better. In squared units of the data.
    /// x: `[n, d]`.
    ///
    /// # Errors
    /// As [`predict`](Predict::predict).
    pub fn score(&self, x: &ArrayRef2<F>) -> Result<f64> {
        Ok(-self.anomaly_score(x)?.sum())
    }

    /// The rows as they are compared with the centroids.
    fn rows(x: &ArrayRef2<F>) -> Result<Cow<'_, ArrayRef2<F>>> {
        if S::DIRECTIONS { Ok(Cow::Owned(directions(x)?)) } else { Ok(Cow::Borrowed(x)) }
    }

    /// The centroids relative to the shift, row after row.
    pub(super) fn centred(&self) -> &[F] {
        &self.centred
    }

    pub(super) fn shift(&self) -> &[F] {
        self.shift.as_slice().unwrap_or_default()
    }

    fn candidates(&self) -> Candidates<F> {
        Candidates::pack(&self.centred, self.shift.len())
    }
}

/// The nearest centroid of each row; on a tie the one of lower index. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest, S: CentroidSpec> Predict<ArrayRef2<F>> for KMeansModel<F, S> {
    fn predict(&self, x: &ArrayRef2<F>) -> Result<Array1<usize>> {
        let mut labels = vec![0; x.nrows()];
        self.predict_into(x, &mut labels)?;
        Ok(labels.into_iter().map(|l| l as usize).collect())
    }
}

/// The distances to all centroids, in units of the data. x: `[n, d]`. Returns `[n, k]`.
impl<F: Nearest, S: CentroidSpec> Transform<ArrayRef2<F>> for KMeansModel<F, S> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        validate::table_of_width(x, self.shift.len(), "x")?;
        let x = &*Self::rows(x)?;
        let (candidates, k) = (self.candidates(), self.centroids.nrows());
        let (padded, shift) = (candidates.padded(), self.shift.as_slice().unwrap_or_default());
        let mut out = Array2::zeros((x.nrows(), k));
        out.axis_chunks_iter_mut(Axis(0), ROW_TILE)
            .enumerate()
            .collect::<Vec<_>>()
            .into_par_iter()
            .for_each_init(
                || (Vec::new(), vec![F::zero(); ROW_TILE * padded]),
                |(tile, distances), (t, mut out)| {
                    let start = t * ROW_TILE;
                    centred_tile(x, start..start + out.nrows(), shift, tile);
                    let distances = &mut distances[..out.nrows() * padded];
                    candidates.squared_distances(tile, distances);
                    for (mut row, distances) in out.rows_mut().into_iter().zip(distances.chunks_exact(padded))
                    {
                        row.iter_mut().zip(distances).for_each(|(o, &d)| *o = F::of(d.f64().sqrt()));
                    }
                },
            );
        Ok(out)
    }
}

/// The squared distance to the nearest centroid, in squared units of the data. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest, S: CentroidSpec> AnomalyScore<ArrayRef2<F>> for KMeansModel<F, S> {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        validate::table_of_width(x, self.shift.len(), "x")?;
        let x = &*Self::rows(x)?;
        let (candidates, centred, shift, d) =
            (self.candidates(), self.centred(), self.shift(), self.shift.len());
        let mut scores = vec![0.0; x.nrows()];
        scores.par_chunks_mut(ROW_TILE).enumerate().for_each_init(
            || (Vec::new(), [0; ROW_TILE]),
            |(tile, labels), (t, scores)| {
                let start = t * ROW_TILE;
                centred_tile(x, start..start + scores.len(), shift, tile);
                candidates.nearest(tile, &mut labels[..scores.len()]);
                for ((score, row), &label) in scores.iter_mut().zip(tile.chunks_exact(d)).zip(&*labels) {
                    *score = squared_distance(row, &centred[label as usize * d..][..d]).f64();
                }
            },
        );
        Ok(Array1::from(scores))
    }
}

impl<F: Nearest, S: CentroidSpec> Persist for KMeansModel<F, S> {
    fn kind() -> String {
        format!("{}<{}>", S::MODEL, F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        let labels: Vec<u32> = self.labels.iter().map(|&l| l as u32).collect();
        Record::new(Self::kind())
            .slice("centred", self.centroids.shape(), &self.centred)
            .array("shift", &self.shift)
            .slice("labels", &[labels.len()], &labels)
            .value("spec", &self.spec)?
            .value("inertia", &self.inertia)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let centred = record.read_table::<F>("centred")?;
        let shift = record.read_list::<F>("shift")?;
        let labels = record.read_array::<u32>("labels")?;
        record.require(!centred.is_empty(), "`centred` is empty")?;
        record.require(centred.ncols() == shift.len(), "`centred` and `shift` differ in width")?;
        record.require(
            labels.iter().all(|&l| (l as usize) < centred.nrows()),
            "a label is beyond the last centroid",
        )?;
        Ok(KMeansModel::new(
            record.read_value("spec")?,
            centred.iter().copied().collect(),
            shift,
            labels.iter().map(|&l| l as usize).collect(),
            record.read_value("inertia")?,
            record.read_value("history")?,
        ))
    }
}
