//! What k-medoids learned: the medoids, and the questions they answer.

use super::KMedoids;
use ndarray::{Array1, Array2, ArrayRef2};
use unsup_core::estimator::{AnomalyScore, Predict, Transform};
use unsup_core::math::Nearest;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Result, validate};

/// The medoids that [`KMedoids`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct KMedoidsModel<F> {
    pub(super) spec: KMedoids,
    pub(super) medoids: Array1<usize>,
    /// `[k, d]`, or `[0, 0]` when only dissimilarities were given
    pub(super) rows: Array2<F>,
    pub(super) labels: Array1<usize>,
    pub(super) deviation: f64,
    pub(super) history: History,
}

impl<F: Nearest> KMedoidsModel<F> {
    /// The spec it was fitted with.
    pub fn spec(&self) -> &KMedoids {
        &self.spec
    }

    /// Which rows are the medoids. `[k]`
    pub fn medoids(&self) -> &Array1<usize> {
        &self.medoids
    }

    /// The medoids themselves, one a row. `[k, d]`, or `[0, 0]` when the model was fitted on dissimilarities.
    pub fn medoid_rows(&self) -> &Array2<F> {
        &self.rows
    }

    /// The cluster of each row that the model was fitted on, as [`predict`](Predict::predict) gives it. `[n]`
    pub fn labels(&self) -> &Array1<usize> {
        &self.labels
    }

    /// Σ w·d(x, m) over those rows, in units of the dissimilarity.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// The deviation after each round of the best start, and why it ended.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// The nearest medoid of each row; on a tie the first. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> Predict<ArrayRef2<F>> for KMedoidsModel<F> {
    fn predict(&self, x: &ArrayRef2<F>) -> Result<Array1<usize>> {
        let nearest = |row: ndarray::ArrayView1<'_, F>| {
            (1..row.len()).fold(0, |best, m| if row[m] < row[best] { m } else { best })
        };
        Ok(self.transform(x)?.rows().into_iter().map(nearest).collect())
    }
}

/// The dissimilarities to all medoids. x: `[n, d]`. Returns `[n, k]`.
impl<F: Nearest> Transform<ArrayRef2<F>> for KMedoidsModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        validate::table_of_width(x, self.rows.ncols(), "x")?;
        let table = self.spec.dissimilarity.table(x, &self.rows)?;
        Ok(Array2::from_shape_vec((x.nrows(), self.rows.nrows()), table).unwrap_or_default())
    }
}

/// The dissimilarity to the nearest medoid. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> AnomalyScore<ArrayRef2<F>> for KMedoidsModel<F> {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        let least =
            |row: ndarray::ArrayView1<'_, F>| row.iter().map(|v| v.f64()).fold(f64::INFINITY, f64::min);
        Ok(self.transform(x)?.rows().into_iter().map(least).collect())
    }
}

impl<F: Nearest> Persist for KMedoidsModel<F> {
    fn kind() -> String {
        format!("KMedoidsModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        let narrow = |values: &Array1<usize>| values.iter().map(|&v| v as u32).collect::<Vec<u32>>();
        Record::new(Self::kind())
            .slice("medoids", &[self.medoids.len()], &narrow(&self.medoids))
            .array("rows", &self.rows)
            .slice("labels", &[self.labels.len()], &narrow(&self.labels))
            .value("spec", &self.spec)?
            .number("deviation", self.deviation)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let (medoids, labels) = (record.read_array::<u32>("medoids")?, record.read_array::<u32>("labels")?);
        let rows = record.read_table::<F>("rows")?;
        record.require(!medoids.is_empty(), "`medoids` is empty")?;
        record.require(rows.is_empty() || rows.nrows() == medoids.len(), "`rows` has one row a medoid")?;
        record.require(
            medoids.iter().all(|&m| (m as usize) < labels.len()),
            "a medoid is beyond the last row",
        )?;
        record.require(
            labels.iter().all(|&l| (l as usize) < medoids.len()),
            "a label is beyond the last medoid",
        )?;
        Ok(KMedoidsModel {
            spec: record.read_value("spec")?,
            medoids: medoids.iter().map(|&m| m as usize).collect(),
            rows,
            labels: labels.iter().map(|&l| l as usize).collect(),
            deviation: record.read_number("deviation")?,
            history: record.read_value("history")?,
        })
    }
}
