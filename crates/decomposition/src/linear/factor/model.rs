//! What factor analysis learned, and the questions it answers.

use super::{FactorAnalysis, METHOD};
use crate::linear::gaussian::Gaussian;
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use unsup_core::estimator::{AnomalyScore, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::math::{self, Svd};
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, Seed, validate};

/// The loadings and the noise that [`FactorAnalysis`] found, in `f64` whatever the data's type; see the [module](super).
#[derive(Debug, Clone)]
pub struct FactorAnalysisModel {
    spec: FactorAnalysis,
    mean: Array1<f64>,
    loadings: Array2<f64>,
    noise: Array1<f64>,
    gaussian: Gaussian,
    /// coordinates along the directions of the Gaussian to E z `[q, q]`
    to_codes: Array2<f64>,
    history: History,
}

impl FactorAnalysisModel {
    pub(super) fn new(
        spec: FactorAnalysis,
        mean: Array1<f64>,
        loadings: Array2<f64>,
        noise: Array1<f64>,
        history: History,
    ) -> Result<Self> {
        let deviations = noise.mapv(f64::sqrt);
        // Ψ^−½W = U·diag(s)·Vᵀ: C has the variances 1 + s² along U in units of the noise, and E z = V·diag(s/(1 + s²))·Uᵀρ
        let Svd { u, s, vt } = math::svd(&(&loadings / &deviations.view().insert_axis(Axis(1))))?;
        let variances = s.mapv(|s| 1.0 + s * s);
        let to_codes = vt * (&s / &variances).insert_axis(Axis(1));
        let basis = u.reversed_axes();
        let gaussian = Gaussian::new(METHOD, mean.clone(), deviations, basis, variances, 1.0)?;
        Ok(FactorAnalysisModel { spec, mean, loadings, noise, gaussian, to_codes, history })
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &FactorAnalysis {
        &self.spec
    }

    /// μ. `[d]`
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// W: how much of each factor is in each column, in units of the data. `[d, q]`
    pub fn loadings(&self) -> &Array2<f64> {
        &self.loadings
    }

    /// ψ: the variance that each column has alone, in its squared unit. `[d]`
    pub fn noise_variance(&self) -> &Array1<f64> {
        &self.noise
    }

    /// The share of each column's variance that the factors explain, from 0 to 1. `[d]`
    pub fn communalities(&self) -> Array1<f64> {
        let common = (&self.loadings * &self.loadings).sum_axis(Axis(1));
        &common / &(&common + &self.noise)
    }

    /// The mean log-likelihood of a row after each iteration, in nats, and why the fit ended.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// WWᵀ + Ψ. `[d, d]`
    pub fn covariance(&self) -> Array2<f64> {
        self.gaussian.covariance()
    }

    /// Its inverse. `[d, d]`
    pub fn precision(&self) -> Array2<f64> {
        self.gaussian.precision()
    }
}

/// E\[z | x\], the expected factors of each row. x: `[n, d]`. Returns `[n, q]`.
impl<F: Float> Transform<ArrayRef2<F>> for FactorAnalysisModel {
    type Code = Array2<f64>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<f64>> {
        Ok(self.gaussian.coordinates(x)?.dot(&self.to_codes))
    }
}

/// Wz + μ, the expectation of x given z. z: `[n, q]`. Returns `[n, d]`.
impl InverseTransform<ArrayRef2<f64>> for FactorAnalysisModel {
    type Output = Array2<f64>;

    fn inverse_transform(&self, z: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        let q = self.loadings.ncols();
        validate::width(z, q, "z")?;
        let factors = self.loadings.t().as_standard_layout().into_owned();
        Ok(math::checked_product(z, &vec![0.0; q], &factors, "z")? + &self.mean)
    }
}

/// log p(x) in nats, exact. x: `[n, d]`. Returns `[n]`.
impl<F: Float> LogDensity<ArrayRef2<F>> for FactorAnalysisModel {
    fn log_density(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        self.gaussian.log_density(x)
    }
}

/// −log p(x) in nats. x: `[n, d]`. Returns `[n]`.
impl<F: Float> AnomalyScore<ArrayRef2<F>> for FactorAnalysisModel {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        Ok(-self.log_density(x)?)
    }
}

/// Draws from the model, `[n, d]`.
impl Sample for FactorAnalysisModel {
    type Output = Array2<f64>;

    fn sample(&self, n: usize, seed: Seed) -> Result<Array2<f64>> {
        self.gaussian.sample(n, seed)
    }
}

impl Persist for FactorAnalysisModel {
    fn kind() -> String {
        "FactorAnalysis".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("mean", &self.mean)
            .array("loadings", &self.loadings)
            .array("noise variance", &self.noise)
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: FactorAnalysis = record.read_value("spec")?;
        let (mean, noise) = (record.read_list::<f64>("mean")?, record.read_list::<f64>("noise variance")?);
        let loadings = record.read_table::<f64>("loadings")?;
        let d = mean.len();
        record.require(
            loadings.dim() == (d, spec.factors) && noise.len() == d && spec.factors <= d,
            "`loadings` and `noise variance` are not a row a column of the data",
        )?;
        record.require(spec.check_alone().is_ok(), "the spec is not that of a model")?;
        record.require(noise.iter().all(|&v| v > 0.0), "a noise variance is not positive")?;
        Self::new(spec, mean, loadings, noise, record.read_value("history")?)
    }
}
