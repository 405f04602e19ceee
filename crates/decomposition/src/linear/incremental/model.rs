//! What incremental PCA has learned so far, and how it learns from one more batch.

use super::IncrementalPca;
use super::stream::{Products, Stream};
use crate::linear::pca::routes::{self, Spectrum};
use crate::linear::pca::{Pca, PcaModel, Route};
use crate::linear::singular;
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use std::sync::OnceLock;
use unsup_core::estimator::{AnomalyScore, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::math::Scatter;
use unsup_core::store::{Persist, Record};
use unsup_core::{Error, Float, Result, Seed, validate};

/// The rows that [`IncrementalPca`] has met, as their sums; the components are computed when they are first asked for.
#[derive(Debug, Clone)]
pub struct IncrementalPcaModel<F> {
    spec: IncrementalPca,
    stream: Stream,
    components: OnceLock<PcaModel<F>>,
}

impl<F: Float> IncrementalPcaModel<F> {
    pub(super) fn new(spec: IncrementalPca, stream: Stream) -> Self {
        IncrementalPcaModel { spec, stream, components: OnceLock::new() }
    }

    /// Learns from one more batch, of any size. x: `[n, d]`, n at least 1. A model saved and loaded goes on with the same bits.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`], [`Error::Shape`] for another width.
    pub fn partial_fit(self, x: &ArrayRef2<F>) -> Result<Self> {
        validate::table_of_width(x, self.stream.means.len(), "x")?;
        let mut stream = self.stream;
        stream.add(x)?;
        Ok(Self::new(self.spec, stream))
    }

    /// The components of the rows so far.
    ///
    /// # Errors
    /// [`Error::TooFewRows`] when there were fewer rows than components, or only one.
    pub fn pca(&self) -> Result<&PcaModel<F>> {
        if let Some(found) = self.components.get() {
            return Ok(found);
        }
        let found = self.decompose()?;
        Ok(self.components.get_or_init(|| found))
    }

    fn decompose(&self) -> Result<PcaModel<F>> {
        let (k, rows) = (self.spec.components, self.stream.rows);
        let needed = k.max(2);
        if rows < needed {
            return Err(Error::TooFewRows { method: "incremental PCA", needed, found: rows });
        }
        let means = &self.stream.means + &self.stream.origin;
        let spectrum = match &self.stream.products {
            Products::Scatter(products) => {
                let scatter = Scatter { rows, means: means.clone(), products: products.clone() };
                routes::covariance(&scatter, k, F::EPS)?
            }
            Products::Factor { rows: factor, .. } => {
                let (values, directions) = singular::leading(factor, k)?;
                let rounding = 4.0 * f64::EPSILON * (means.len() as f64).sqrt();
                Spectrum { variances: values.mapv(|s| s * s / (rows as f64 - 1.0)), directions, rounding }
            }
        };
        let route = match self.stream.products {
            Products::Scatter(_) => Route::Covariance,
            Products::Factor { .. } => Route::Svd,
        };
        let spec = Pca::new().components(k).whiten(self.spec.whiten).route(route);
        let total = self.total_variance();
        Ok(PcaModel::new(spec, route, rows, means, total, spectrum, k))
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &IncrementalPca {
        &self.spec
    }

    /// How many rows it has met.
    pub fn rows(&self) -> usize {
        self.stream.rows
    }

    /// The mean of the rows so far. `[d]`
    pub fn mean(&self) -> Array1<f64> {
        &self.stream.means + &self.stream.origin
    }

    /// The variance of all columns together (divided by n − 1; 0 of one row), in squared units of the data.
    pub fn total_variance(&self) -> f64 {
        self.stream.squares.sum() / (self.stream.rows as f64 - 1.0).max(1.0)
    }
}

/// As [`PcaModel`]'s; [`Error::TooFewRows`] as [`pca`](IncrementalPcaModel::pca).
impl<F: Float> Transform<ArrayRef2<F>> for IncrementalPcaModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        self.pca()?.transform(x)
    }
}

/// As [`PcaModel`]'s; [`Error::TooFewRows`] as [`pca`](IncrementalPcaModel::pca).
impl<F: Float> InverseTransform<ArrayRef2<F>> for IncrementalPcaModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        self.pca()?.inverse_transform(z)
    }
}

/// As [`PcaModel`]'s; [`Error::TooFewRows`] as [`pca`](IncrementalPcaModel::pca).
impl<F: Float> AnomalyScore<ArrayRef2<F>> for IncrementalPcaModel<F> {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        self.pca()?.anomaly_score(x)
    }
}

/// As [`PcaModel`]'s; [`Error::TooFewRows`] as [`pca`](IncrementalPcaModel::pca).
impl<F: Float> LogDensity<ArrayRef2<F>> for IncrementalPcaModel<F> {
    fn log_density(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        self.pca()?.log_density(x)
    }
}

/// As [`PcaModel`]'s; [`Error::TooFewRows`] as [`pca`](IncrementalPcaModel::pca).
impl<F: Float> Sample for IncrementalPcaModel<F> {
    type Output = Array2<F>;

    fn sample(&self, n: usize, seed: Seed) -> Result<Array2<F>> {
        self.pca()?.sample(n, seed)
    }
}

impl<F: Float> Persist for IncrementalPcaModel<F> {
    fn kind() -> String {
        format!("IncrementalPcaModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        let Stream { rows, origin, means, squares, products } = &self.stream;
        let (Products::Scatter(table) | Products::Factor { rows: table, .. }) = products;
        Record::new(Self::kind())
            .array("origin", origin)
            .array("means", means)
            .array("squares", squares)
            .array("products", table)
            .value("spec", &self.spec)?
            .value("rows", rows)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: IncrementalPca = record.read_value("spec")?;
        let means: Array1<f64> = record.read_list("means")?;
        let (d, table) = (means.len(), record.read_table::<f64>("products")?);
        record.require(spec.check(d).is_ok(), "the spec is not that of the model")?;
        let (shape, products) = match spec.kept_directions(d) {
            None => (table.nrows() == d, Products::Scatter(table)),
            Some(kept) => (table.nrows() <= kept, Products::Factor { rows: table, kept }),
        };
        let stream = Stream {
            rows: record.read_value("rows")?,
            origin: record.read_list("origin")?,
            squares: record.read_list("squares")?,
            means,
            products,
        };
        let (Products::Scatter(table) | Products::Factor { rows: table, .. }) = &stream.products;
        let widths = [stream.origin.len(), stream.squares.len(), table.len_of(Axis(1))];
        record.require(shape && widths == [d; 3], "`products` and the other sums differ in width")?;
        record.require(stream.rows > 0, "`rows` is 0")?;
        record.require(stream.squares.iter().all(|&v| v >= 0.0), "a sum of squares is negative")?;
        Ok(Self::new(spec, stream))
    }
}
