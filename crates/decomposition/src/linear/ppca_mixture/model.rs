//! What the mixture learned, and the questions it answers.

use super::PpcaMixture;
use super::em::{Plane, Run, responsibilities};
use ndarray::{Array1, Array2, Array3, ArrayRef2, Axis, s};
use rand::RngExt;
use rayon::prelude::*;
use unsup_core::estimator::{AnomalyScore, LogDensity, Predict, Sample, Transform};
use unsup_core::math::ROW_TILE;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, Seed, validate};

/// The planes that [`PpcaMixture`] found, in `f64` whatever the data's type; see the [module](super).
#[derive(Debug, Clone)]
pub struct PpcaMixtureModel {
    spec: PpcaMixture,
    planes: Vec<Plane>,
    log_likelihood: f64,
    history: History,
}

impl PpcaMixtureModel {
    pub(super) fn new(spec: PpcaMixture, run: Run) -> Result<Self> {
        let Run { planes, log_likelihood, history } = run;
        Ok(PpcaMixtureModel { spec, planes, log_likelihood, history })
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &PpcaMixture {
        &self.spec
    }

    /// The mixing proportions, with a sum of 1. `[k]`
    pub fn weights(&self) -> Array1<f64> {
        self.planes.iter().map(|p| p.weight).collect()
    }

    /// The means, one a row. `[k, d]`
    pub fn means(&self) -> Array2<f64> {
        let rows: Vec<f64> = self.planes.iter().flat_map(|p| p.mean.iter().copied()).collect();
        Array2::from_shape_vec((self.planes.len(), self.width()), rows).unwrap_or_default()
    }

    /// The directions of each plane, orthonormal, from the greatest variance down. `[k, q, d]`
    pub fn directions(&self) -> Array3<f64> {
        let (q, d) = (self.spec.directions, self.width());
        let mut all = Array3::zeros((self.planes.len(), q, d));
        for (mut one, plane) in all.axis_iter_mut(Axis(0)).zip(&self.planes) {
            one.assign(&plane.directions);
        }
        all
    }

    /// The variance along each direction, noise included. `[k, q]`
    pub fn variances(&self) -> Array2<f64> {
        let rows: Vec<f64> = self.planes.iter().flat_map(|p| p.variances.iter().copied()).collect();
        Array2::from_shape_vec((self.planes.len(), self.spec.directions), rows).unwrap_or_default()
    }

    /// σₖ², in squared units of the data. `[k]`
    pub fn noise_variances(&self) -> Array1<f64> {
        self.planes.iter().map(|p| p.noise).collect()
    }

    /// The covariance of every component. `[k, d, d]`
    pub fn covariance_matrices(&self) -> Array3<f64> {
        let d = self.width();
        let mut all = Array3::zeros((self.planes.len(), d, d));
        for (mut one, plane) in all.axis_iter_mut(Axis(0)).zip(&self.planes) {
            one.assign(&plane.gaussian.covariance());
        }
        all
    }

    /// The mean log-likelihood of the rows of the fit under this model, in nats.
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// The mean log-likelihood of a row after each iteration of the best start, and why it ended.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many free parameters the model has: k − 1 weights, and for each component a mean, q orthogonal columns of W and σ².
    pub fn free_parameters(&self) -> usize {
        let (k, q, d) = (self.planes.len(), self.spec.directions, self.width());
        k - 1 + k * (d + d * q - q * (q - 1) / 2 + 1)
    }

    /// The Bayesian information criterion on `x`, −2 Σ log p(x) + parameters · log n: less is better. x: `[n, d]`.
    ///
    /// # Errors
    /// As [`log_density`](LogDensity::log_density).
    pub fn bic<F: Float>(&self, x: &ArrayRef2<F>) -> Result<f64> {
        Ok(-2.0 * self.log_density(x)?.sum() + (x.nrows() as f64).ln() * self.free_parameters() as f64)
    }

    /// The probability that each component made each row. x: `[n, d]`. Returns `[n, k]`, each row with a sum of 1.
    ///
    /// # Errors
    /// As [`predict`](Predict::predict).
    pub fn responsibilities<F: Float>(&self, x: &ArrayRef2<F>) -> Result<Array2<f64>> {
        Ok(self.ask(x)?.0)
    }

    /// Each row's projection onto the plane of its most probable component: the mean and the coordinates along its directions, without
    /// the noise. x: `[n, d]`. Returns `[n, d]`.
    ///
    /// # Errors
    /// As [`predict`](Predict::predict).
    pub fn reconstruct<F: Float>(&self, x: &ArrayRef2<F>) -> Result<Array2<f64>> {
        let labels = self.predict(x)?;
        let mut rebuilt = Array2::zeros(x.dim());
        for ((mut row, x), &label) in rebuilt.rows_mut().into_iter().zip(x.rows()).zip(&labels) {
            let Plane { mean, directions, .. } = &self.planes[label];
            let coordinates = directions.dot(&(x.mapv(|v| v.f64()) - mean));
            row.assign(&(coordinates.dot(directions) + mean));
        }
        Ok(rebuilt)
    }

    fn width(&self) -> usize {
        self.planes.first().map_or(0, |p| p.mean.len())
    }

    /// Responsibilities `[n, k]` and log-densities `[n]`.
    fn ask<F: Float>(&self, x: &ArrayRef2<F>) -> Result<(Array2<f64>, Array1<f64>)> {
        validate::table_of_width(x, self.width(), "x")?;
        let (n, k) = (x.nrows(), self.planes.len());
        let mut shares = vec![0.0; n * k];
        let densities: Vec<Vec<f64>> = shares
            .par_chunks_mut(ROW_TILE * k)
            .enumerate()
            .map(|(tile, shares)| {
                let start = tile * ROW_TILE;
                responsibilities(x, start..start + shares.len() / k, &self.planes, shares)
            })
            .collect();
        let shares = Array2::from_shape_vec((n, k), shares).unwrap_or_default();
        Ok((shares, Array1::from(densities.concat())))
    }
}

/// The component of greatest responsibility; on a tie the one of lower index. x: `[n, d]`. Returns `[n]`.
impl<F: Float> Predict<ArrayRef2<F>> for PpcaMixtureModel {
    fn predict(&self, x: &ArrayRef2<F>) -> Result<Array1<usize>> {
        let greatest = |row: ndarray::ArrayView1<'_, f64>| {
            (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best })
        };
        Ok(self.ask(x)?.0.rows().into_iter().map(greatest).collect())
    }
}

/// The code of each row in the plane of its most probable component ([`predict`](Predict::predict) says which): E\[z | x\], in standard
/// deviations of z. x: `[n, d]`. Returns `[n, q]`.
impl<F: Float> Transform<ArrayRef2<F>> for PpcaMixtureModel {
    type Code = Array2<f64>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<f64>> {
        let labels = self.predict(x)?;
        let mut codes = Array2::zeros((x.nrows(), self.spec.directions));
        for ((mut code, x), &label) in codes.rows_mut().into_iter().zip(x.rows()).zip(&labels) {
            let Plane { mean, directions, variances, noise, .. } = &self.planes[label];
            let shrink = variances.mapv(|v| (v - noise).max(0.0).sqrt() / v);
            code.assign(&(directions.dot(&(x.mapv(|v| v.f64()) - mean)) * shrink));
        }
        Ok(codes)
    }
}

/// log p(x) in nats, exact. x: `[n, d]`. Returns `[n]`.
impl<F: Float> LogDensity<ArrayRef2<F>> for PpcaMixtureModel {
    fn log_density(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        Ok(self.ask(x)?.1)
    }
}

/// −log p(x) in nats. x: `[n, d]`. Returns `[n]`.
impl<F: Float> AnomalyScore<ArrayRef2<F>> for PpcaMixtureModel {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        Ok(-self.log_density(x)?)
    }
}

/// Draws from the mixture in random order, `[n, d]`.
impl Sample for PpcaMixtureModel {
    type Output = Array2<f64>;

    fn sample(&self, n: usize, seed: Seed) -> Result<Array2<f64>> {
        // the rows, their components, and those of one component while it draws
        validate::room("n", n, self.width() + 2)?;
        let mut uniform = seed.named("components").rng();
        let labels: Vec<usize> = (0..n)
            .map(|_| {
                let mut left = uniform.random::<f64>();
                let drawn = self.planes.iter().position(|p| {
                    left -= p.weight;
                    left < 0.0
                });
                // rounding may leave a little of the sum
                drawn.unwrap_or(self.planes.len() - 1)
            })
            .collect();
        let mut rows = Array2::zeros((n, self.width()));
        for (c, plane) in self.planes.iter().enumerate() {
            let mine: Vec<usize> = (0..n).filter(|&i| labels[i] == c).collect();
            let drawn = plane.gaussian.sample(mine.len(), seed.named("rows").indexed(c))?;
            for (&i, row) in mine.iter().zip(drawn.rows()) {
                rows.row_mut(i).assign(&row);
            }
        }
        Ok(rows)
    }
}

impl Persist for PpcaMixtureModel {
    fn kind() -> String {
        "PpcaMixture".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("weights", &self.weights())
            .array("means", &self.means())
            .array("directions", &self.directions())
            .array("variances", &self.variances())
            .array("noise variances", &self.noise_variances())
            .number("log likelihood", self.log_likelihood)?
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: PpcaMixture = record.read_value("spec")?;
        record.require(spec.check_alone().is_ok(), "the spec is not that of a model")?;
        let (means, variances) = (record.read_table::<f64>("means")?, record.read_table::<f64>("variances")?);
        let weights = record.read_list::<f64>("weights")?;
        let noise = record.read_list::<f64>("noise variances")?;
        let directions = record.read_array::<f64>("directions")?;
        let (k, q, d) = (spec.components, spec.directions, means.ncols());
        let fits = means.nrows() == k && variances.dim() == (k, q) && directions.shape() == [k, q, d];
        record.require(fits && weights.len() == k && noise.len() == k, "the arrays differ in length")?;
        record.require(q < d, "as many directions as columns")?;
        record.require(
            weights.iter().all(|&w| w > 0.0) && (weights.sum() - 1.0).abs() < 1e-6,
            "`weights` are not positive with a sum of 1",
        )?;
        record.require(directions.iter().all(|v| v.is_finite()), "`directions` are not finite")?;
        let plane = |c: usize| {
            let directions = Array2::from_shape_fn((q, d), |(a, j)| directions[[c, a, j]]);
            let (mean, variances) = (means.row(c).to_owned(), variances.slice(s![c, ..]).to_owned());
            Plane::new(weights[c], mean, directions, variances, noise[c])
        };
        let planes: Vec<Plane> = (0..k).filter_map(|c| plane(c).ok()).collect();
        record.require(planes.len() == k, "a variance is not positive")?;
        let log_likelihood = record.read_number("log likelihood")?;
        let history = record.read_value("history")?;
        Self::new(spec, Run { planes, log_likelihood, history })
    }
}
