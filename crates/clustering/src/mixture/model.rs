//! What EM learned: weights, means and covariances, and the questions they answer.

use super::covariance::Covariance;
use super::em::{Estimate, Parameters, Run};
use super::{GaussianMixture, queries};
use ndarray::{Array1, Array2, Array3, ArrayD, ArrayRef1, ArrayRef2, Axis};
use unsup_core::estimator::{AnomalyScore, LogDensity, Predict, Sample};
use unsup_core::math::Nearest;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Result, Seed};

/// The mixture that [`GaussianMixture`] found, in `f64` whatever the data's type; see the [module](super).
#[derive(Debug, Clone)]
pub struct GaussianMixtureModel {
    spec: GaussianMixture,
    shift: Vec<f64>,
    parameters: Parameters,
    weights: Array1<f64>,
    means: Array2<f64>,
    covariances: ArrayD<f64>,
    lower_bound: f64,
    batches: usize,
    history: History,
}

impl GaussianMixtureModel {
    pub(super) fn new(spec: GaussianMixture, shift: Vec<f64>, run: Run<Parameters>, batches: usize) -> Self {
        let Run { estimate: parameters, bound: lower_bound, history } = run;
        let (k, d) = (parameters.weights.len(), shift.len());
        GaussianMixtureModel {
            weights: Array1::from(parameters.weights.clone()),
            means: parameters.means_with(&shift),
            covariances: parameters.family().array(parameters.covariances.clone(), k, d),
            spec,
            shift,
            parameters,
            lower_bound,
            batches,
            history,
        }
    }

    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub(super) fn shift(&self) -> &[f64] {
        &self.shift
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &GaussianMixture {
        &self.spec
    }

    /// The mixing proportions, with a sum of 1. `[k]`
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }

    /// The means, one a row. `[k, d]`
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }

    /// The covariances in the shape of their family: `[k, d, d]`, `[d, d]`, `[k, d]` or `[k]`.
    pub fn covariances(&self) -> &ArrayD<f64> {
        &self.covariances
    }

    /// The inverse covariances, in the same shape.
    pub fn precisions(&self) -> ArrayD<f64> {
        self.spec.covariance.array(self.parameters.factor.precisions(), self.weights.len(), self.shift.len())
    }

    /// The covariance of every component as a matrix, whatever the family. `[k, d, d]`
    pub fn covariance_matrices(&self) -> Array3<f64> {
        matrices(self.spec.covariance, &self.parameters.covariances, self.weights.len(), self.shift.len())
    }

    /// The mean log-likelihood of the rows that the model was fitted on, under the parameters of the model, in nats; after
    /// [`partial_fit`](Self::partial_fit) that of the last batch under the parameters that met it.
    pub fn lower_bound(&self) -> f64 {
        self.lower_bound
    }

    /// The mean log-likelihood after each iteration of the best start, and why it ended.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many batches it has seen: 1 and one for each [`partial_fit`](Self::partial_fit).
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// How many free parameters the model has: k − 1 weights, k·d means, and the covariances.
    pub fn free_parameters(&self) -> usize {
        let (k, d) = self.means.dim();
        k - 1 + k * d + self.spec.covariance.parameters(k, d)
    }

    /// Akaike's information criterion on `x`, −2 Σ log p(x) + 2·parameters: less is better. x: `[n, d]`.
    ///
    /// # Errors
    /// As [`log_density`](LogDensity::log_density).
    pub fn aic<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<f64> {
        Ok(-2.0 * self.log_density(x)?.sum() + 2.0 * self.free_parameters() as f64)
    }

    /// The Bayesian information criterion on `x`, −2 Σ log p(x) + parameters · log n: less is better. It chooses fewer
    /// components than [`aic`](Self::aic). x: `[n, d]`.
    ///
    /// # Errors
    /// As [`log_density`](LogDensity::log_density).
    pub fn bic<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<f64> {
        Ok(-2.0 * self.log_density(x)?.sum() + (x.nrows() as f64).ln() * self.free_parameters() as f64)
    }

    /// The probability that each component made each row. x: `[n, d]`. Returns `[n, k]`, each row with a sum of 1.
    ///
    /// # Errors
    /// As [`predict`](Predict::predict).
    pub fn responsibilities<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<Array2<f64>> {
        queries::responsibilities(x, &self.shift, self.parameters.kernel())
    }

    /// n draws and the components that made them, in random order. Returns `[n, d]` and `[n]`.
    ///
    /// # Errors
    /// As [`sample`](Sample::sample).
    pub fn sample_labelled(&self, n: usize, seed: Seed) -> Result<(Array2<f64>, Array1<usize>)> {
        queries::sample(n, seed, &self.parameters.weights, &self.means, &self.parameters.factor)
    }
}

/// Positive, with a sum of 1 up to rounding.
pub(super) fn is_distribution(weights: &ArrayRef1<f64>) -> bool {
    weights.iter().all(|&w| w > 0.0) && (weights.sum() - 1.0).abs() < 1e-5
}

pub(super) fn matrices(family: Covariance, covariances: &[f64], k: usize, d: usize) -> Array3<f64> {
    let mut matrices = Array3::zeros((k, d, d));
    for (c, mut matrix) in matrices.axis_iter_mut(Axis(0)).enumerate() {
        matrix.assign(&family.expand(&covariances[family.range(c, d)], d));
    }
    matrices
}

/// The component of greatest responsibility; on a tie the one of lower index. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> Predict<ArrayRef2<F>> for GaussianMixtureModel {
    fn predict(&self, x: &ArrayRef2<F>) -> Result<Array1<usize>> {
        queries::predict(x, &self.shift, self.parameters.kernel())
    }
}

/// log p(x) in nats, exact; −∞ only where a squared distance overflows. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> LogDensity<ArrayRef2<F>> for GaussianMixtureModel {
    fn log_density(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        queries::log_density(x, &self.shift, self.parameters.kernel())
    }
}

/// −log p(x) in nats. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> AnomalyScore<ArrayRef2<F>> for GaussianMixtureModel {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        Ok(-self.log_density(x)?)
    }
}

/// Draws from the mixture, `[n, d]`.
impl Sample for GaussianMixtureModel {
    type Output = Array2<f64>;

    fn sample(&self, n: usize, seed: Seed) -> Result<Array2<f64>> {
        self.sample_labelled(n, seed).map(|(rows, _)| rows)
    }
}

impl GaussianMixture {
    /// The parameters in the file of a model that began with this mixture, and the shift that their means are relative to.
    /// `weights`: what the file calls their weights.
    pub(super) fn read_parameters(
        &self,
        record: &Record,
        weights: &str,
    ) -> Result<(Parameters, Array1<f64>)> {
        let weights = record.read_list::<f64>(weights)?;
        let means = record.read_table::<f64>("centred means")?;
        let covariances = record.read_array::<f64>("covariances")?;
        let shift = record.read_list::<f64>("shift")?;
        let (k, d) = means.dim();
        record.require(k * d > 0, "`centred means` is empty")?;
        record.require(d == shift.len(), "`centred means` and `shift` differ in width")?;
        record.require(k == weights.len(), "weights and means differ in number")?;
        record.require(is_distribution(&weights), "the weights are not positive with a sum of 1")?;
        record.require(
            self.components == k && self.check_alone().is_ok(),
            "the spec is not that of the model",
        )?;
        record.require(
            covariances.shape() == self.covariance.shape(k, d),
            "`covariances` do not have the shape of their family",
        )?;
        let list = |values: ArrayD<f64>| values.into_iter().collect();
        let parameters = self.parameters(weights.to_vec(), list(means.into_dyn()), list(covariances));
        record.require(parameters.is_ok(), "a covariance is not positive definite")?;
        Ok((parameters?, shift))
    }
}

impl Persist for GaussianMixtureModel {
    fn kind() -> String {
        "GaussianMixture".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("weights", &self.weights)
            .slice("centred means", self.means.shape(), &self.parameters.means)
            .array("covariances", &self.covariances)
            .slice("shift", &[self.shift.len()], &self.shift)
            .value("spec", &self.spec)?
            .number("lower bound", self.lower_bound)?
            .value("batches", &self.batches)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: GaussianMixture = record.read_value("spec")?;
        let (estimate, shift) = spec.read_parameters(record, "weights")?;
        let batches: usize = record.read_value("batches")?;
        record.require((1..usize::MAX).contains(&batches), "`batches` is out of range")?;
        let run = Run {
            estimate,
            bound: record.read_number("lower bound")?,
            history: record.read_value("history")?,
        };
        Ok(GaussianMixtureModel::new(spec, shift.to_vec(), run, batches))
    }
}
