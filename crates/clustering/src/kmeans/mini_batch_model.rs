//! What mini-batch k-means has learned so far, and how it learns from one more batch.

use super::mini_batch::MiniBatchKMeans;
use super::model::{CentroidSpec, KMeansModel};
use crate::weights::{RowWeights, weighted_sum};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};
use rand::RngExt;
use unsup_core::estimator::{AnomalyScore, Predict, Transform};
use unsup_core::math::{Candidates, Nearest, ROW_TILE, centred_tile, squared_distance};
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Result, validate};

/// The centroids of [`MiniBatchKMeans`], and what each has met.
#[derive(Debug, Clone, PartialEq)]
pub struct MiniBatchKMeansModel<F> {
    centroids: KMeansModel<F, MiniBatchKMeans>,
    /// what the rows that each centroid has met weigh `[k]`
    counts: Array1<f64>,
    steps: usize,
    /// rows met since centroids were last reassigned
    rows: usize,
}

impl CentroidSpec for MiniBatchKMeans {
    const MODEL: &'static str = "MiniBatchKMeansModel";
}

impl<F: Nearest> MiniBatchKMeansModel<F> {
    pub(super) fn new(spec: MiniBatchKMeans, centred: Vec<F>, shift: Vec<F>) -> Self {
        let counts = Array1::zeros(spec.clusters);
        let (shift, labels) = (Array1::from(shift), Array1::default(0));
        let centroids = KMeansModel::new(spec, centred, shift, labels, f64::NAN, History::new());
        MiniBatchKMeansModel { centroids, counts, steps: 0, rows: 0 }
    }

    /// Learns from one more batch. x: `[n, d]`. The inertia and the labels are those of this batch, as the new centroids
    /// give them. A model saved and loaded goes on with the same bits.
    ///
    /// # Errors
    /// [`Error::Empty`](unsup_core::Error::Empty), [`Error::NonFinite`](unsup_core::Error::NonFinite),
    /// [`Error::Shape`](unsup_core::Error::Shape) for another width.
    pub fn partial_fit(self, x: &ArrayRef2<F>) -> Result<Self> {
        validate::table_of_width(x, self.centroids.shift().len(), "x")?;
        validate::not_empty(x, "x")?;
        self.learn(x, None)
    }

    /// As [`partial_fit`](Self::partial_fit), from rows that count `weights` times each: they weigh the sums of the step.
    /// x: `[n, d]`, weights: `[n]`. A row of weight 0 is labelled and otherwise as good as not there.
    ///
    /// ```
    /// use ndarray::array;
    /// use unsup_clustering::{Init, MiniBatchKMeans};
    /// let spec = MiniBatchKMeans::new(1).init(Init::Centroids(array![[0.0]]));
    /// let model = spec.start(&array![[1.0], [2.0]])?.partial_fit_weighted(&array![[3.0], [9.0]], &array![3.0, 0.0])?;
    /// assert_eq!((model.centroids()[[0, 0]], model.counts()[0]), (2.4, 5.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`partial_fit`](Self::partial_fit); [`Error::Value`](unsup_core::Error::Value) for a weight that is negative or not
    /// finite, or when all are zero; [`Error::Shape`](unsup_core::Error::Shape) when there is not one a row.
    pub fn partial_fit_weighted(self, x: &ArrayRef2<F>, weights: &ArrayRef1<F>) -> Result<Self> {
        validate::table_of_width(x, self.centroids.shift().len(), "x")?;
        let weights = RowWeights::of(weights, x.nrows())?;
        let model = self.learn(&weights.select(x)?, weights.values.as_deref())?;
        if weights.rows.is_some() { model.labelling(x) } else { Ok(model) }
    }

    fn learn(mut self, x: &ArrayRef2<F>, weights: Option<&[f64]>) -> Result<Self> {
        super::finite_moments(x, weights, "mini-batch k-means")?;
        let inertia = self.step(x, weights);
        let mut history = self.centroids.history().clone();
        history.record(inertia / weights.map_or(x.nrows() as f64, |w| w.iter().sum()), &[]);
        self.finish(x, weights, history)
    }

    /// The same model with the labels of these rows.
    pub(super) fn labelling(mut self, x: &ArrayRef2<F>) -> Result<Self> {
        self.centroids = self.centroids.labelling(x)?;
        Ok(self)
    }

    /// One step with valid rows. Returns their inertia before it.
    pub(super) fn step(&mut self, x: &ArrayRef2<F>, row_weights: Option<&[f64]>) -> f64 {
        let spec = self.centroids.spec().clone();
        let (mut centred, shift) = (self.centroids.centred().to_vec(), self.centroids.shift().to_vec());
        let (k, d) = (spec.clusters, shift.len());
        let candidates = Candidates::pack(&centred, d);
        let (mut sums, mut weights, mut inertia) = (vec![0.0; k * d], vec![0.0; k], 0.0);
        let (mut tile, mut labels) = (Vec::new(), [0; ROW_TILE]);
        for start in (0..x.nrows()).step_by(ROW_TILE) {
            let count = ROW_TILE.min(x.nrows() - start);
            centred_tile(x, start..start + count, &shift, &mut tile);
            candidates.nearest(&tile, &mut labels[..count]);
            for (i, (row, &label)) in tile.chunks_exact(d).zip(&labels).enumerate() {
                let (weight, at) = (row_weights.map_or(1.0, |w| w[start + i]), label as usize * d);
                inertia += weight * squared_distance(row, &centred[at..at + d]).f64();
                sums[at..at + d].iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * v.f64());
                weights[label as usize] += weight;
            }
        }
        for (c, centroid) in centred.chunks_exact_mut(d).enumerate().filter(|(c, _)| weights[*c] > 0.0) {
            self.counts[c] += weights[c];
            for (value, sum) in centroid.iter_mut().zip(&sums[c * d..]) {
                *value = F::of(value.f64() + (sum - weights[c] * value.f64()) / self.counts[c]);
            }
        }
        self.rows += x.nrows();
        if spec.reassignment > 0.0 && self.rows >= 10 * k {
            self.rows = 0;
            self.reassign(&spec, x, &mut centred);
        }
        self.steps += 1;
        let (labels, shift) = (Array1::default(0), Array1::from(shift));
        let history = self.centroids.history().clone();
        self.centroids = KMeansModel::new(spec, centred, shift, labels, f64::NAN, history);
        inertia
    }

    /// Puts the centroids that have met few rows on rows of the batch; at most half as many as there are rows.
    fn reassign(&mut self, spec: &MiniBatchKMeans, x: &ArrayRef2<F>, centred: &mut [F]) {
        let threshold = spec.reassignment * self.counts.iter().copied().fold(0.0, f64::max);
        let mut starved: Vec<usize> = (0..spec.clusters).filter(|&c| self.counts[c] < threshold).collect();
        starved.sort_by(|&a, &b| self.counts[a].total_cmp(&self.counts[b]).then(a.cmp(&b)));
        starved.truncate(x.nrows() / 2);
        let kept = (0..spec.clusters).filter(|c| !starved.contains(c)).map(|c| self.counts[c]);
        let least = kept.fold(f64::INFINITY, f64::min);
        let mut rng = spec.seed.named("reassignment").indexed(self.steps).rng();
        let mut free: Vec<usize> = (0..x.nrows()).collect();
        let (d, shift) = (x.ncols(), self.centroids.shift());
        for c in starved {
            let row = free.swap_remove(rng.random_range(0..free.len()));
            for ((value, &v), &m) in centred[c * d..(c + 1) * d].iter_mut().zip(x.row(row)).zip(shift) {
                *value = v - m;
            }
            self.counts[c] = least;
        }
    }

    /// Labels and inertia of these rows.
    pub(super) fn finish(
        mut self,
        x: &ArrayRef2<F>,
        weights: Option<&[f64]>,
        history: History,
    ) -> Result<Self> {
        let model = &self.centroids;
        let (labels, inertia) = (model.predict(x)?, weighted_sum(&model.anomaly_score(x)?, weights));
        let (spec, centred) = (model.spec().clone(), model.centred().to_vec());
        let shift = Array1::from(model.shift().to_vec());
        self.centroids = KMeansModel::new(spec, centred, shift, labels, inertia, history);
        Ok(self)
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &MiniBatchKMeans {
        self.centroids.spec()
    }

    /// The centroids, one a row. `[k, d]`
    pub fn centroids(&self) -> &Array2<F> {
        self.centroids.centroids()
    }

    /// How many rows each centroid has met, each counted with its weight in a stream. `[k]`
    pub fn counts(&self) -> &Array1<f64> {
        &self.counts
    }

    /// The cluster of each row of the last call of `fit` or `partial_fit`. `[n]`
    pub fn labels(&self) -> &Array1<usize> {
        self.centroids.labels()
    }

    /// Σ w‖x − c‖² of those rows, in squared units of the data.
    pub fn inertia(&self) -> f64 {
        self.centroids.inertia()
    }

    /// The smoothed mean inertia of a row after each step, and why the fit ended.
    pub fn history(&self) -> &History {
        self.centroids.history()
    }

    /// How many batches it has met.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// As [`KMeansModel::score`].
    ///
    /// # Errors
    /// As [`predict`](Predict::predict).
    pub fn score(&self, x: &ArrayRef2<F>) -> Result<f64> {
        self.centroids.score(x)
    }
}

/// The nearest centroid of each row; on a tie the one of lower index. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> Predict<ArrayRef2<F>> for MiniBatchKMeansModel<F> {
    fn predict(&self, x: &ArrayRef2<F>) -> Result<Array1<usize>> {
        self.centroids.predict(x)
    }
}

/// The distances to all centroids, in units of the data. x: `[n, d]`. Returns `[n, k]`.
impl<F: Nearest> Transform<ArrayRef2<F>> for MiniBatchKMeansModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        self.centroids.transform(x)
    }
}

/// The squared distance to the nearest centroid, in squared units of the data. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> AnomalyScore<ArrayRef2<F>> for MiniBatchKMeansModel<F> {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        self.centroids.anomaly_score(x)
    }
}

impl<F: Nearest> Persist for MiniBatchKMeansModel<F> {
    fn kind() -> String {
        KMeansModel::<F, MiniBatchKMeans>::kind()
    }

    fn to_record(&self) -> Result<Record> {
        self.centroids.to_record()?.array("counts", &self.counts).value("met", &[self.steps, self.rows])
    }

    fn from_record(record: &Record) -> Result<Self> {
        let centroids: KMeansModel<F, MiniBatchKMeans> = KMeansModel::from_record(record)?;
        let counts = record.read_list::<f64>("counts")?;
        let clusters = centroids.centroids().nrows();
        record.require(counts.len() == clusters, "`counts` has one number a centroid")?;
        record.require(
            centroids.spec().clusters == clusters,
            "the spec has as many clusters as there are centroids",
        )?;
        let [steps, rows] = record.read_value("met")?;
        Ok(MiniBatchKMeansModel { centroids, counts, steps, rows })
    }
}
