//! What PCA learned: the mean, the directions and their variances.

use super::routes::{self, Spectrum};
use super::{Pca, Route};
use crate::linear::gaussian::Gaussian;
use crate::linear::signs::fix_signs;
use ndarray::{Array1, Array2, ArrayRef2, Axis, Zip, s};
use unsup_core::estimator::{AnomalyScore, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::math;
use unsup_core::store::{Persist, Record};
use unsup_core::{Error, Float, Result, Seed, validate};

/// The principal components that [`Pca`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct PcaModel<F> {
    spec: Pca,
    route: Route,
    mean: Array1<F>,
    /// the mean before it was rounded to the element type: far from the origin a density needs it `[d]`
    centre: Array1<f64>,
    /// `[k, d]`
    components: Array2<F>,
    explained_variance: Array1<f64>,
    total_variance: f64,
    noise_variance: f64,
    has_density: bool,
    rows: usize,
}

impl<F: Float> PcaModel<F> {
    /// The k first directions of a spectrum.
    pub(in crate::linear) fn new(
        spec: Pca,
        route: Route,
        rows: usize,
        means: Array1<f64>,
        total_variance: f64,
        spectrum: Spectrum,
        k: usize,
    ) -> Self {
        let Spectrum { variances, directions, rounding } = spectrum;
        let (most, d) = (rows.min(means.len()), means.len());
        let (kept, tail) = variances.view().split_at(Axis(0), k);
        // a sum of small variances has digits that its difference from the total has lost
        let left = if variances.len() == most { tail.sum() } else { total_variance - kept.sum() };
        let is_rounding = |v: f64| v <= rounding * total_variance;
        let none = k >= most.min(rows - 1) || is_rounding(left);
        let noise = if none { 0.0 } else { left * (rows as f64 - 1.0) / rows as f64 / (d - k) as f64 };
        // what is kept has no density of its own when a variance of it is zero
        let has_density = noise > 0.0 || k == d && kept.last().is_some_and(|&v| !is_rounding(v));
        PcaModel {
            spec,
            route,
            mean: means.mapv(F::of),
            centre: means,
            components: fix_signs(directions.slice(s![..k, ..]).to_owned()).mapv(F::of),
            explained_variance: kept.to_owned(),
            total_variance,
            noise_variance: noise,
            has_density,
            rows,
        }
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

    /// The mean in `f64`, whatever the element type.
    pub(in crate::linear) fn centre(&self) -> &Array1<f64> {
        &self.centre
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

    /// The maximum-likelihood variance of the noise, σ², in squared units of the data: the mean of the d − k eigenvalues of
    /// X_cᵀX_c / n that are left out. 0 when nothing but rounding is.
    pub fn noise_variance(&self) -> f64 {
        self.noise_variance
    }

    /// The covariance of the fitted Gaussian: λₖ (divided by n) along the components, σ² along everything else. `[d, d]`
    ///
    /// # Errors
    /// [`Error::Numerical`] when a variance of it is zero: data of fewer dimensions than columns and no noise around them.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use unsup_core::{data, estimator::Fit};
    /// use unsup_decomposition::Pca;
    /// let model = Pca::new().components(2).fit(&data::iris().x)?;
    /// let unit = model.covariance()?.dot(&model.precision()?);
    /// assert!((&unit - &Array2::<f64>::eye(4)).iter().all(|v| v.abs() < 1e-12));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn covariance(&self) -> Result<Array2<f64>> {
        Ok(self.gaussian()?.covariance())
    }

    /// The inverse of [`covariance`](Self::covariance). `[d, d]`
    ///
    /// # Errors
    /// As [`covariance`](Self::covariance).
    pub fn precision(&self) -> Result<Array2<f64>> {
        Ok(self.gaussian()?.precision())
    }

    /// The mean squared distance of a row from its reconstruction, in squared units of the data. Of the rows of the fit it is the
    /// sum of the left-out eigenvalues of X_cᵀX_c / n, and no plane of k dimensions has a smaller one (Eckart & Young 1936).
    /// x: `[n, d]`.
    ///
    /// # Errors
    /// As [`transform`](Transform::transform).
    pub fn reconstruction_error(&self, x: &ArrayRef2<F>) -> Result<f64> {
        Ok(self.anomaly_score(x)?.mean().unwrap_or(0.0))
    }

    /// How far each component is from an eigenvector of the covariance matrix C of these rows: ‖Cv − λv‖, in squared units of the
    /// data. C has an eigenvalue within that of λ, and v an angle to an eigenvector of at most ‖Cv − λv‖ over the distance from λ
    /// to the next eigenvalue (Parlett, *The symmetric eigenvalue problem*, 4.5 and 11.7). One pass over the rows, whose products
    /// are in their own type. x: `[n, d]`, the rows of the fit. Returns `[k]`.
    ///
    /// ```
    /// use unsup_core::{data, estimator::Fit};
    /// use unsup_decomposition::{Pca, Route};
    /// let x = data::digits().x;
    /// let spec = Pca::new().components(5).route(Route::Randomized { oversamples: 10, iterations: 50 });
    /// let model = spec.tolerance(1e-6).fit(&x)?;
    /// assert!(model.residuals(&x)?.iter().zip(model.explained_variance()).all(|(r, v)| *r <= 1e-6 * v));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`transform`](Transform::transform); [`Error::TooFewRows`] for one row.
    pub fn residuals(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        validate::width(x, self.mean.len(), "x")?;
        if x.nrows() == 1 {
            return Err(Error::TooFewRows { method: "a residual of PCA", needed: 2, found: 1 });
        }
        let means = math::Moments::of(x, "x")?.means;
        Ok(routes::residuals(x, &means, &self.components.mapv(|v| v.f64()), &self.explained_variance))
    }

    /// The Gaussian of maximum likelihood among those with k directions and noise.
    fn gaussian(&self) -> Result<Gaussian> {
        let (rows, d) = (self.rows as f64, self.mean.len());
        let wide = |v: &F| v.f64();
        let scale = if self.has_density { (rows - 1.0) / rows } else { 0.0 };
        let (mean, basis) = (self.centre.clone(), self.components.map(wide));
        let variances = &self.explained_variance * scale;
        Gaussian::new("PCA as a density", mean, Array1::ones(d), basis, variances, self.noise_variance)
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

/// log p(x) in nats under the fitted Gaussian, exact. x: `[n, d]`. Returns `[n]`.
///
/// # Errors
/// As [`transform`](Transform::transform) and [`PcaModel::covariance`].
impl<F: Float> LogDensity<ArrayRef2<F>> for PcaModel<F> {
    fn log_density(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        validate::width(x, self.mean.len(), "x")?;
        self.gaussian()?.log_density(x)
    }
}

/// Draws from the fitted Gaussian, `[n, d]`; its errors are those of [`PcaModel::covariance`].
impl<F: Float> Sample for PcaModel<F> {
    type Output = Array2<F>;

    fn sample(&self, n: usize, seed: Seed) -> Result<Array2<F>> {
        Ok(self.gaussian()?.sample(n, seed)?.mapv(F::of))
    }
}

impl<F: Float> Persist for PcaModel<F> {
    fn kind() -> String {
        format!("PcaModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("centre", &self.centre)
            .array("components", &self.components)
            .array("explained_variance", &self.explained_variance)
            .value("spec", &self.spec)?
            .value("route", &self.route)?
            .number("total_variance", self.total_variance)?
            .value("noise_variance", &self.noise_variance)?
            .value("has_density", &self.has_density)?
            .value("rows", &self.rows)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let centre: Array1<f64> = record.read_list("centre")?;
        let model = PcaModel {
            mean: centre.mapv(F::of),
            centre,
            spec: record.read_value("spec")?,
            route: record.read_value("route")?,
            components: record.read_table("components")?,
            explained_variance: record.read_list("explained_variance")?,
            total_variance: record.read_number("total_variance")?,
            noise_variance: record.read_value("noise_variance")?,
            has_density: record.read_value("has_density")?,
            rows: record.read_value("rows")?,
        };
        let (k, d) = model.components.dim();
        record.require(k > 0 && d == model.mean.len(), "`components` and `centre` differ in width")?;
        record.require(
            k == model.explained_variance.len(),
            "`components` and `explained_variance` differ in number",
        )?;
        record.require(model.explained_variance.iter().all(|&v| v >= 0.0), "a variance is negative")?;
        record.require(
            model.rows >= 2 && model.noise_variance >= 0.0,
            "`rows` or `noise_variance` is out of range",
        )?;
        Ok(model)
    }
}
