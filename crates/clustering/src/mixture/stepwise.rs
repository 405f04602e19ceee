//! Stepwise EM: one batch after the other (Cappé & Moulines 2009).
//!
//! The state is the running average s of the sums of a row. A batch moves it to (1 − γ)s + γŝ, ŝ the average over the batch under the
//! present parameters, γ = (t + 1)^−α for the t-th batch; the parameters are those of greatest likelihood for s. Sums about the means
//! are the weights, zero and the weighted covariances: the parameters are the state, and only t is kept beside them.

use super::METHOD;
use super::em::{Estimate, Parameters, Run};
use super::fit::finite_moments;
use super::model::GaussianMixtureModel;
use super::pass::{Assignment, Rows, Statistics};
use ndarray::ArrayRef2;
use unsup_core::math::Nearest;
use unsup_core::{Result, validate};

impl GaussianMixtureModel {
    /// The model after one more batch, by stepwise EM; the history gains the bound of the batch under the parameters that
    /// met it, in nats a row. The fit itself counts as the first batch. A model that was saved and loaded goes on with the same
    /// bits. x: `[n, d]`, n at least 1.
    ///
    /// ```
    /// use unsup_clustering::GaussianMixture;
    /// use unsup_core::{data, estimator::Fit};
    /// use ndarray::s;
    /// let x = data::iris().x;
    /// let first = GaussianMixture::new(2).fit(&x.slice(s![..;3, ..]))?;
    /// let model = first.partial_fit(&x.slice(s![1..;3, ..]))?.partial_fit(&x.slice(s![2..;3, ..]))?;
    /// assert_eq!(model.batches(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`](unsup_core::Error::Empty), [`Error::NonFinite`](unsup_core::Error::NonFinite),
    /// [`Error::Shape`](unsup_core::Error::Shape); [`Error::Numerical`](unsup_core::Error::Numerical) when a component
    /// collapses.
    pub fn partial_fit<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<GaussianMixtureModel> {
        finite_moments(x, METHOD)?;
        validate::width(x, self.shift().len(), "x")?;
        let parameters = self.parameters();
        let family = parameters.family();
        let rows = Rows { x, weights: None, shift: self.shift() };
        let batch = rows.pass(Assignment::Posterior(parameters.kernel()), family, &parameters.means);
        let bound = parameters.bound(batch.log_likelihood, rows.total_weight());
        let step = ((self.batches() + 1) as f64).powf(-self.spec().step_exponent);
        let average = parameters.moments().statistics(family, x.ncols());
        let mixed = blend(&average, &batch, step, x.nrows() as f64);
        let estimate = Parameters::of(&mixed, family, &parameters.means, self.spec().covariance_floor)
            .map_err(|c| c.error(METHOD, self.batches() + 1))?;
        let mut history = self.history().clone();
        history.record(bound, &[]);
        let run = Run { estimate, bound, history };
        Ok(GaussianMixtureModel::new(self.spec().clone(), self.shift().to_vec(), run, self.batches() + 1))
    }
}

/// (1 − γ)·average + γ·batch / n.
fn blend(average: &Statistics, batch: &Statistics, step: f64, n: f64) -> Statistics {
    let mix = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (1.0 - step) * a + step * b / n).collect();
    Statistics {
        log_likelihood: batch.log_likelihood,
        counts: mix(&average.counts, &batch.counts),
        sums: mix(&average.sums, &batch.sums),
        squares: mix(&average.squares, &batch.squares),
    }
}
