//! The posterior that variational inference found, and the questions it answers.

use super::posterior::Posterior;
use super::prior::Prior;
use super::special::ln_gamma;
use super::weights::Proportions;
use super::{BayesianGaussianMixture, METHOD};
use crate::mixture::em::{Estimate, Run};
use crate::mixture::kernel::Kernel;
use crate::mixture::model::matrices;
use crate::mixture::queries;
use ndarray::{Array1, Array2, Array3, ArrayD, ArrayRef2};
use rand::RngExt;
use rand_distr::ChiSquared;
use std::sync::Arc;
use unsup_core::estimator::{AnomalyScore, LogDensity, Predict, Sample};
use unsup_core::math::Nearest;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Error, Result, Seed};

/// The posterior that [`BayesianGaussianMixture`] found, in `f64` whatever the data's type.
#[derive(Debug, Clone)]
pub struct BayesianGaussianMixtureModel {
    spec: BayesianGaussianMixture,
    shift: Vec<f64>,
    posterior: Posterior,
    weights: Array1<f64>,
    means: Array2<f64>,
    covariances: ArrayD<f64>,
    elbo: f64,
    history: History,
}

impl BayesianGaussianMixtureModel {
    pub(super) fn new(spec: BayesianGaussianMixture, shift: Vec<f64>, run: Run<Posterior>) -> Self {
        let Run { estimate: posterior, bound: elbo, history } = run;
        let (k, d) = (posterior.mean_precisions.len(), shift.len());
        BayesianGaussianMixtureModel {
            weights: Array1::from(posterior.proportions.means()),
            means: Array2::from_shape_fn((k, d), |(c, j)| posterior.means[c * d + j] + shift[j]),
            covariances: posterior.family().array(posterior.covariances.clone(), k, d),
            spec,
            shift,
            posterior,
            elbo,
            history,
        }
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &BayesianGaussianMixture {
        &self.spec
    }

    /// The expected mixing proportions, with a sum of 1. `[k]`
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }

    /// The expected means, one a row. `[k, d]`
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }

    /// The inverses of the expected precisions, in the shape of the family: `[k, d, d]`, `[d, d]`, `[k, d]` or `[k]`.
    pub fn covariances(&self) -> &ArrayD<f64> {
        &self.covariances
    }

    /// The expected precisions, in the same shape.
    pub fn precisions(&self) -> ArrayD<f64> {
        self.posterior.family().array(
            self.posterior.factor.precisions(),
            self.weights.len(),
            self.shift.len(),
        )
    }

    /// The covariances as matrices, whatever the family. `[k, d, d]`
    pub fn covariance_matrices(&self) -> Array3<f64> {
        matrices(self.posterior.family(), &self.posterior.covariances, self.weights.len(), self.shift.len())
    }

    /// The βₖ of the posterior: how many rows each mean is known from, the prior's included. `[k]`
    pub fn mean_precisions(&self) -> &[f64] {
        &self.posterior.mean_precisions
    }

    /// The νₖ of the posterior; tied covariances share one. `[k]`
    pub fn degrees_of_freedom(&self) -> &[f64] {
        &self.posterior.degrees_of_freedom
    }

    /// How many components have an expected proportion of at least `weight`.
    pub fn active_components(&self, weight: f64) -> usize {
        self.weights.iter().filter(|&&w| w >= weight).count()
    }

    /// The evidence lower bound of this posterior on the rows it was fitted on, in nats over all rows: log p(x) is at least this.
    pub fn elbo(&self) -> f64 {
        self.elbo
    }

    /// The bound after each iteration of the best start, and why it ended.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The probability that each component made each row, as in the E step. x: `[n, d]`. Returns `[n, k]`.
    ///
    /// # Errors
    /// As [`predict`](Predict::predict).
    pub fn responsibilities<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<Array2<f64>> {
        queries::responsibilities(x, &self.shift, self.posterior.kernel())
    }
}

/// The component of greatest responsibility; on a tie the one of lower index. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> Predict<ArrayRef2<F>> for BayesianGaussianMixtureModel {
    fn predict(&self, x: &ArrayRef2<F>) -> Result<Array1<usize>> {
        queries::predict(x, &self.shift, self.posterior.kernel())
    }
}

/// The log of the predictive density in nats, with the parameters integrated out: a mixture of Student distributions (Bishop 10.81),
/// wider than the Gaussians at the expected parameters where rows are few. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> LogDensity<ArrayRef2<F>> for BayesianGaussianMixtureModel {
    fn log_density(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        let (q, d) = (&self.posterior, self.shift.len() as f64);
        let k = q.mean_precisions.len();
        let distances = Kernel::new(&q.factor, vec![0.0; k], &q.means);
        let student: Vec<_> = (0..k)
            .map(|c| {
                let (beta, nu) = (q.mean_precisions[c], q.degrees_of_freedom[c]);
                let shrink = beta / ((1.0 + beta) * nu);
                let log_det = q.factor.log_det(c) + 0.5 * d * (shrink / std::f64::consts::PI).ln();
                let normalizer = ln_gamma(0.5 * (nu + 1.0)) - ln_gamma(0.5 * (nu + 1.0 - d)) + log_det;
                (self.weights[c].ln() + normalizer, shrink, 0.5 * (nu + 1.0))
            })
            .collect();
        // the kernel gives −½ of the squared distance
        let transform = |c: usize, scores: &mut [f64]| {
            let (constant, shrink, power) = student[c];
            scores.iter_mut().for_each(|s| *s = constant - power * (-2.0 * *s * shrink).ln_1p());
        };
        queries::log_density_of(x, &self.shift, &distances, transform)
    }
}

/// −log of the predictive density, in nats. x: `[n, d]`. Returns `[n]`.
impl<F: Nearest> AnomalyScore<ArrayRef2<F>> for BayesianGaussianMixtureModel {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        Ok(-self.log_density(x)?)
    }
}

/// Draws from the predictive density, `[n, d]`.
impl Sample for BayesianGaussianMixtureModel {
    type Output = Array2<f64>;

    fn sample(&self, n: usize, seed: Seed) -> Result<Array2<f64>> {
        let (q, d) = (&self.posterior, self.shift.len() as f64);
        let weights = self.weights.as_slice().unwrap_or_default();
        let (mut rows, components) = queries::sample(n, seed, weights, &self.means, &q.factor)?;
        // a Student draw is a normal one over √(χ² / its degrees of freedom)
        let mut rng = seed.named("scales").rng();
        for (mut row, &c) in rows.rows_mut().into_iter().zip(&components) {
            let (beta, nu) = (q.mean_precisions[c], q.degrees_of_freedom[c]);
            let problem =
                |e: rand_distr::ChiSquaredError| Error::Numerical { method: METHOD, problem: e.to_string() };
            let chi_squared: f64 = rng.sample(ChiSquared::new(nu + 1.0 - d).map_err(problem)?);
            let scale = (nu * (1.0 + beta) / (beta * chi_squared)).sqrt();
            row.iter_mut().zip(self.means.row(c)).for_each(|(v, m)| *v = m + scale * (*v - m));
        }
        Ok(rows)
    }
}

impl Persist for BayesianGaussianMixtureModel {
    fn kind() -> String {
        "BayesianGaussianMixture".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        let (q, prior) = (&self.posterior, &*self.posterior.prior);
        let list = |record: Record, name: &str, values: &[f64]| record.slice(name, &[values.len()], values);
        let mut record = Record::new(Self::kind())
            .slice("centred means", self.means.shape(), &q.means)
            .array("covariances", &self.covariances);
        for (name, values) in [
            ("shift", &self.shift),
            ("weights a", &q.proportions.a),
            ("weights b", &q.proportions.b),
            ("mean precisions", &q.mean_precisions),
            ("degrees of freedom", &q.degrees_of_freedom),
            ("prior mean", &prior.mean),
            ("prior covariance", &prior.covariance),
        ] {
            record = list(record, name, values);
        }
        record
            .value("spec", &self.spec)?
            .value("concentration", &prior.concentration)?
            .value("prior degrees of freedom", &prior.degrees_of_freedom)?
            .number("elbo", self.elbo)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: BayesianGaussianMixture = record.read_value("spec")?;
        let list = |name: &str| Ok::<_, Error>(record.read_list::<f64>(name)?.to_vec());
        let means = record.read_table::<f64>("centred means")?;
        let covariances = record.read_array::<f64>("covariances")?;
        let (shift, mean, covariance) = (list("shift")?, list("prior mean")?, list("prior covariance")?);
        let proportions = Proportions { a: list("weights a")?, b: list("weights b")? };
        let (mean_precisions, degrees_of_freedom) = (list("mean precisions")?, list("degrees of freedom")?);
        let ((k, d), family) = (means.dim(), spec.covariance);
        record.require(k * d > 0, "`centred means` is empty")?;
        record.require(
            d == shift.len() && d == mean.len(),
            "`centred means`, `shift` and `prior mean` differ in width",
        )?;
        let process = spec.weight_prior == super::WeightPrior::DirichletProcess;
        let lengths = [proportions.a.len(), mean_precisions.len(), degrees_of_freedom.len()];
        record.require(
            lengths == [k; 3] && proportions.b.len() == if process { k } else { 0 },
            "the parts of the posterior differ in length",
        )?;
        let positive = |values: &[f64], least: f64| values.iter().all(|&v| v > least);
        record.require(
            positive(&proportions.a, 0.0)
                && positive(&proportions.b, 0.0)
                && positive(&mean_precisions, 0.0)
                && positive(&degrees_of_freedom, d as f64 - 1.0),
            "a parameter of the posterior is not positive",
        )?;
        record.require(
            covariances.shape() == family.shape(k, d) && covariance.len() == family.len(1, d),
            "covariances do not have the shape of their family",
        )?;
        let (concentration, nu): (f64, f64) =
            (record.read_value("concentration")?, record.read_value("prior degrees of freedom")?);
        record.require(
            spec.components == k && spec.mean_precision > 0.0 && concentration > 0.0 && nu > d as f64 - 1.0,
            "the prior is not that of the model",
        )?;
        let log_det = Prior::log_det(family, &covariance, d);
        record.require(log_det.is_ok(), "the prior's covariance is not positive definite")?;
        let prior = Prior {
            family,
            weights: spec.weight_prior,
            concentration,
            mean_precision: spec.mean_precision,
            mean,
            degrees_of_freedom: nu,
            covariance,
            log_det: log_det.unwrap_or_default(),
            floor: spec.covariance_floor,
        };
        let posterior = Posterior::new(
            Arc::new(prior),
            proportions,
            mean_precisions,
            means.iter().copied().collect(),
            degrees_of_freedom,
            covariances.iter().copied().collect(),
        );
        record.require(posterior.is_ok(), "a covariance is not positive definite")?;
        let estimate = posterior.map_err(|c| c.error(METHOD, 0))?;
        let run =
            Run { estimate, bound: record.read_number("elbo")?, history: record.read_value("history")? };
        Ok(BayesianGaussianMixtureModel::new(spec, shift, run))
    }
}
