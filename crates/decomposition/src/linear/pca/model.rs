//! What PCA learned: the mean, the directions and their variances.

use super::{Pca, Route};
use ndarray::{Array1, Array2, ArrayRef2, Axis, Zip};
use unsup_core::estimator::{AnomalyScore, InverseTransform, Transform};
use unsup_core::math;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, validate};

/// The principal components that [`Pca`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct PcaModel<F> {
    spec: Pca,
    route: Route,
    mean: Array1<F>,
    /// `[k, d]`
    components: Array2<F>,
    explained_variance: Array1<f64>,
    total_variance: f64,
    rows: usize,
}

impl<F: Float> PcaModel<F> {
    pub(super) fn new(
        spec: Pca,
        route: Route,
        means: Array1<f64>,
        directions: Array2<f64>,
        explained_variance: Array1<f64>,
        total_variance: f64,
        rows: usize,
    ) -> Self {
        let (mean, components) = (means.mapv(F::of), directions.mapv(F::of));
        PcaModel { spec, route, mean, components, explained_variance, total_variance, rows }
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &Pca {
        &self.spec
    }

    /// The route that was taken: the one asked for, or the one chosen by shape.
    pub fn route(&self) -> Route {
        self.route
    }

    /// The mean of the rows. `[d]`
    pub fn mean(&self) -> &Array1<F> {
        &self.mean
    }

    /// The directions, orthonormal, from the greatest variance down, one a row. `[k, d]`
    pub fn components(&self) -> &Array2<F> {
        &self.components
    }

    /// The variance along each direction (divided by n − 1), in squared units of the data. `[k]`
    pub fn explained_variance(&self) -> &Array1<f64> {
        &self.explained_variance
    }

    /// The share of the total variance along each direction; 0 for constant data. `[k]`
    pub fn explained_variance_ratio(&self) -> Array1<f64> {
        let total = self.total_variance;
        self.explained_variance.mapv(|v| if total > 0.0 { v / total } else { 0.0 })
    }

    /// The variance of all columns together, kept or not, in squared units of the data.
    pub fn total_variance(&self) -> f64 {
        self.total_variance
    }

    /// The singular values of the centred table: √((n − 1)·variance). `[k]`
    pub fn singular_values(&self) -> Array1<f64> {
        self.explained_variance.mapv(|v| (v * (self.rows as f64 - 1.0)).sqrt())
    }

    /// What a code is multiplied by to give a coordinate along its direction: 1, or when whitening
    /// the standard deviation (0 for a direction that has none beyond rounding).
    fn scales(&self) -> Array1<f64> {
        if !self.spec.whiten {
            return Array1::ones(self.components.nrows());
        }
        let largest = self.explained_variance.first().copied().unwrap_or(0.0);
        let floor = largest * (F::EPS * self.mean.len() as f64).powi(2);
        self.explained_variance.mapv(|v| if v > floor { v.sqrt() } else { 0.0 })
    }
}

/// x: `[n, d]`. Returns the codes [n, k]: coordinates along the components, in units of the data, or
/// in standard deviations when whitening.
impl<F: Float> Transform<ArrayRef2<F>> for PcaModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        validate::width(x, self.mean.len(), "x")?;
        let inverse = self.scales().mapv(|s| if s > 0.0 { F::of(1.0 / s) } else { F::zero() });
        let directions = &self.components.t() * &inverse;
        math::checked_product(x, self.mean.as_slice().unwrap_or_default(), &directions, "x")
    }
}

/// z: `[n, k]`. Returns the rows `[n, d]` that have these codes and nothing outside the components.
impl<F: Float> InverseTransform<ArrayRef2<F>> for PcaModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        let k = self.components.nrows();
        validate::width(z, k, "z")?;
        let scales = self.scales().mapv(F::of).insert_axis(Axis(1));
        Ok(math::checked_product(z, &vec![F::zero(); k], &(&self.components * &scales), "z")? + &self.mean)
    }
}

/// The squared distance from the plane of the components: ‖x − x̂‖², in squared units of the data.
/// x: `[n, d]`. Returns `[n]`.
impl<F: Float> AnomalyScore<ArrayRef2<F>> for PcaModel<F> {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        let rebuilt = self.inverse_transform(&self.transform(x)?)?;
        let distance = |a: ndarray::ArrayView1<'_, F>, b: ndarray::ArrayView1<'_, F>| {
            a.iter().zip(b).map(|(a, b)| (a.f64() - b.f64()).powi(2)).sum()
        };
        Ok(Zip::from(x.rows()).and(rebuilt.rows()).map_collect(distance))
    }
}

impl<F: Float> Persist for PcaModel<F> {
    fn kind() -> String {
        format!("PcaModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("mean", &self.mean)
            .array("components", &self.components)
            .array("explained_variance", &self.explained_variance)
            .value("spec", &self.spec)?
            .value("route", &self.route)?
            .value("total_variance", &self.total_variance)?
            .value("rows", &self.rows)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let model = PcaModel {
            spec: record.read_value("spec")?,
            route: record.read_value("route")?,
            mean: record.read_list("mean")?,
            components: record.read_table("components")?,
            explained_variance: record.read_list("explained_variance")?,
            total_variance: record.read_value("total_variance")?,
            rows: record.read_value("rows")?,
        };
        let (k, d) = model.components.dim();
        record.require(k > 0 && d == model.mean.len(), "`components` and `mean` differ in width")?;
        record.require(
            k == model.explained_variance.len(),
            "`components` and `explained_variance` differ in number",
        )?;
        record.require(model.explained_variance.iter().all(|&v| v >= 0.0), "a variance is negative")?;
        Ok(model)
    }
}
