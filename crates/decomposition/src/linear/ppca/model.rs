//! What probabilistic PCA learned, and the questions it answers, of whole rows and of rows with holes.

use super::em::Parameters;
use super::missing::{self, Expectation, Posterior};
use super::{METHOD, ProbabilisticPca};
use crate::linear::gaussian::Gaussian;
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use rayon::prelude::*;
use unsup_core::estimator::{AnomalyScore, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::math::{self, ROW_TILE};
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, Seed, validate};

/// The linear-Gaussian model that [`ProbabilisticPca`] found, in `f64` whatever the data's type; see the [module](super).
#[derive(Debug, Clone)]
pub struct ProbabilisticPcaModel {
    spec: ProbabilisticPca,
    parameters: Parameters,
    /// orthonormal `[q, d]`
    components: Array2<f64>,
    /// of W along them `[q]`
    lengths: Array1<f64>,
    gaussian: Gaussian,
    history: History,
}

impl ProbabilisticPcaModel {
    /// Of parameters whose loadings are orthogonal.
    pub(super) fn new(spec: ProbabilisticPca, parameters: Parameters, history: History) -> Result<Self> {
        // as a file holds them, so that sums over them have the same bits after loading
        let loadings = parameters.loadings.as_standard_layout().into_owned();
        let parameters = Parameters { loadings, ..parameters };
        let loadings = parameters.loadings.t();
        let lengths: Array1<f64> = loadings.rows().into_iter().map(|w| w.dot(&w).sqrt()).collect();
        // a direction without length has no part in the density: any unit vector stands for it
        let unit = |k: usize, j: usize| if lengths[k] > 0.0 { loadings[[k, j]] / lengths[k] } else { 0.0 };
        let components = Array2::from_shape_fn(loadings.dim(), |(k, j)| unit(k, j));
        let (d, noise) = (parameters.mean.len(), parameters.noise);
        let variances = lengths.mapv(|l| l * l + noise);
        let mean = parameters.mean.clone();
        let gaussian = Gaussian::new(METHOD, mean, Array1::ones(d), components.clone(), variances, noise)?;
        Ok(ProbabilisticPcaModel { spec, parameters, components, lengths, gaussian, history })
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &ProbabilisticPca {
        &self.spec
    }

    /// μ. `[d]`
    pub fn mean(&self) -> &Array1<f64> {
        &self.parameters.mean
    }

    /// W, its columns orthogonal and from the longest down. `[d, q]`
    pub fn loadings(&self) -> &Array2<f64> {
        &self.parameters.loadings
    }

    /// The directions of W's columns, one a row, as those of [`PcaModel`](crate::PcaModel); zeros where a column of W is. `[q, d]`
    pub fn components(&self) -> &Array2<f64> {
        &self.components
    }

    /// The variance along each direction, noise included: λₖ of maximum likelihood (divided by n). `[q]`
    pub fn variances(&self) -> Array1<f64> {
        self.lengths.mapv(|l| l * l + self.parameters.noise)
    }

    /// σ², in squared units of the data.
    pub fn noise_variance(&self) -> f64 {
        self.parameters.noise
    }

    /// The mean log-likelihood of a row after each iteration of EM, in nats; empty for the closed form.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// WWᵀ + σ²I. `[d, d]`
    pub fn covariance(&self) -> Array2<f64> {
        self.gaussian.covariance()
    }

    /// Its inverse. `[d, d]`
    pub fn precision(&self) -> Array2<f64> {
        self.gaussian.precision()
    }

    /// The rows with every missing value filled by its expectation given those that were observed; observed values stay as they are, and
    /// a row without any becomes the mean. x: `[n, d]`. Returns `[n, d]`.
    ///
    /// # Errors
    /// As [`transform`](Transform::transform).
    pub fn impute<F: Float>(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        let expected = self.inverse_transform(&self.transform(x)?)?;
        let fill = |(&v, e): (&F, &f64)| if v.is_nan() { F::of(*e) } else { v };
        let values = x.iter().zip(&expected).map(fill).collect();
        Ok(Array2::from_shape_vec(x.dim(), values).unwrap_or_default())
    }

    /// Rows the model can be asked about: with holes when the spec says so.
    fn check<F: Float>(&self, x: &ArrayRef2<F>) -> Result<()> {
        validate::width(x, self.parameters.mean.len(), "x")?;
        validate::not_empty(x, "x")?;
        if self.spec.missing { missing::check_rows(x) } else { validate::table(x, "x") }
    }

    /// Row by row with their holes.
    fn posteriors<F: Float>(&self, x: &ArrayRef2<F>) -> Result<Vec<Posterior>> {
        let (n, expectation) = (x.nrows(), Expectation::new(&self.parameters));
        (0..n.div_ceil(ROW_TILE))
            .into_par_iter()
            .map(|t| expectation.of_rows(x, t * ROW_TILE..n.min((t + 1) * ROW_TILE)))
            .collect()
    }
}

/// E\[z | what was observed of x\]: M⁻¹Wᵀ(x − μ). It is nearer to the origin than the coordinates of PCA, the more the less a direction
/// stands out of the noise. x: `[n, d]`. Returns `[n, q]`.
impl<F: Float> Transform<ArrayRef2<F>> for ProbabilisticPcaModel {
    type Code = Array2<f64>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<f64>> {
        self.check(x)?;
        if !self.spec.missing {
            let shrink = &self.lengths / &self.variances();
            return Ok(self.gaussian.coordinates(x)? * shrink);
        }
        let parts = self.posteriors(x)?;
        let mut codes = Array2::zeros((x.nrows(), self.lengths.len()));
        for (mut rows, part) in codes.axis_chunks_iter_mut(Axis(0), ROW_TILE).zip(&parts) {
            rows.assign(&part.means);
        }
        Ok(codes)
    }
}

/// Wz + μ, the expectation of x given z. z: `[n, q]`. Returns `[n, d]`.
impl InverseTransform<ArrayRef2<f64>> for ProbabilisticPcaModel {
    type Output = Array2<f64>;

    fn inverse_transform(&self, z: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        let q = self.lengths.len();
        validate::width(z, q, "z")?;
        let directions = self.parameters.loadings.t().as_standard_layout().into_owned();
        Ok(math::checked_product(z, &vec![0.0; q], &directions, "z")? + &self.parameters.mean)
    }
}

/// log p(x) in nats, of what was observed of x. x: `[n, d]`. Returns `[n]`.
impl<F: Float> LogDensity<ArrayRef2<F>> for ProbabilisticPcaModel {
    fn log_density(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        self.check(x)?;
        if !self.spec.missing {
            return self.gaussian.log_density(x);
        }
        Ok(self.posteriors(x)?.into_iter().flat_map(|part| part.log_density).collect())
    }
}

/// −log p(x) in nats. x: `[n, d]`. Returns `[n]`.
impl<F: Float> AnomalyScore<ArrayRef2<F>> for ProbabilisticPcaModel {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        Ok(-self.log_density(x)?)
    }
}

/// Draws of whole rows, `[n, d]`.
impl Sample for ProbabilisticPcaModel {
    type Output = Array2<f64>;

    fn sample(&self, n: usize, seed: Seed) -> Result<Array2<f64>> {
        self.gaussian.sample(n, seed)
    }
}

impl Persist for ProbabilisticPcaModel {
    fn kind() -> String {
        "ProbabilisticPca".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("mean", &self.parameters.mean)
            .array("loadings", &self.parameters.loadings)
            .value("noise variance", &self.parameters.noise)?
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: ProbabilisticPca = record.read_value("spec")?;
        let (mean, loadings): (Array1<f64>, Array2<f64>) =
            (record.read_list("mean")?, record.read_table("loadings")?);
        let noise: f64 = record.read_value("noise variance")?;
        record.require(
            loadings.dim() == (mean.len(), spec.directions) && spec.directions < mean.len(),
            "`loadings` is not a row a column of the data and a column a direction",
        )?;
        record.require(spec.check_alone().is_ok(), "the spec is not that of a model")?;
        record.require(noise > 0.0 && noise.is_finite(), "the noise variance is not positive")?;
        let overlap = loadings.t().dot(&loadings);
        let longest = overlap.diag().fold(0.0_f64, |m, v| m.max(*v));
        let crossed = overlap.indexed_iter().any(|((a, b), v)| a != b && v.abs() > 1e-6 * longest);
        record.require(!crossed, "the columns of `loadings` are not orthogonal")?;
        Self::new(spec, Parameters { mean, loadings, noise }, record.read_value("history")?)
    }
}
