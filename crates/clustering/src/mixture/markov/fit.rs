//! EM over the field.

use super::field::Field;
use super::image::Image;
use super::update::Potts;
use super::{HiddenMarkovRandomField, HiddenMarkovRandomFieldModel, METHOD};
use crate::mixture::em::{Estimate, Parameters};
use std::ops::ControlFlow;
use unsup_core::estimator::Fit;
use unsup_core::math::Nearest;
use unsup_core::observe::{Event, History, Observer, Silent, Stop};
use unsup_core::{Error, Result};

/// Classes from dark to bright, by their means in the first channel. Returns the parameters and the log-weights in that order.
fn ascending(parameters: &Parameters, alpha: &[f64], floor: f64) -> Result<(Parameters, Vec<f64>)> {
    let (k, d, family) = (alpha.len(), parameters.factor.d, parameters.factor.family);
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| parameters.means[a * d].total_cmp(&parameters.means[b * d]));
    let means = order.iter().flat_map(|&c| parameters.means[c * d..(c + 1) * d].to_vec()).collect();
    let of = |&c: &usize| parameters.covariances[family.range(c, d)].to_vec();
    let shared = family.len(k, d) == family.len(1, d);
    let covariances =
        if shared { parameters.covariances.clone() } else { order.iter().flat_map(of).collect() };
    let weights = order.iter().map(|&c| parameters.weights[c]).collect();
    let sorted =
        Parameters::new(family, weights, means, covariances, floor).map_err(|c| c.error(METHOD, 0))?;
    Ok((sorted, order.iter().map(|&c| alpha[c]).collect()))
}

impl HiddenMarkovRandomField {
    pub(super) fn check(&self) -> Result<()> {
        let not_negative = |v: f64| v.is_finite() && v >= 0.0;
        if !not_negative(self.coupling) {
            return Err(Error::parameter("coupling", self.coupling, "a finite number, at least 0"));
        }
        if self.max_iterations == 0 {
            return Err(Error::parameter("max_iterations", 0, "at least 1"));
        }
        if !not_negative(self.tolerance) {
            return Err(Error::parameter("tolerance", self.tolerance, "a finite number, at least 0"));
        }
        Ok(())
    }
}

/// Reports `Progress` after each iteration, with the mean log pseudo-likelihood of a site as objective.
///
/// # Errors
/// Those of [`GaussianMixture`](crate::GaussianMixture); [`Error::Parameter`] for a hyper-parameter out of range;
/// [`Error::Numerical`] when a class loses all its sites.
impl<F: Nearest> Fit<Image<F>> for HiddenMarkovRandomField {
    type Model = HiddenMarkovRandomFieldModel;

    fn fit_observed(
        &self,
        image: &Image<F>,
        observer: &mut dyn Observer,
    ) -> Result<HiddenMarkovRandomFieldModel> {
        self.check()?;
        let mixture = self.mixture.fit_observed(image.rows(), &mut Silent)?;
        let (shift, floor) = (mixture.shift(), self.mixture.covariance_floor);
        let mut parameters = mixture.parameters().clone();
        let mut alpha: Vec<f64> = parameters.weights.iter().map(|w| w.ln()).collect();

        let _ = observer.observe(&Event::Started { task: METHOD, total: self.max_iterations });
        let n = image.rows().nrows() as f64;
        let mut history = History::new();
        let mut field = Field::alone(image, shift, &parameters, &alpha);
        let mut sweep = field.sweep(&Potts::new(&parameters, &alpha, self.coupling));
        for iteration in 1..=self.max_iterations {
            // M step
            parameters =
                parameters.maximization(&sweep.statistics).map_err(|c| c.error(METHOD, iteration))?;
            for ((a, count), prior) in alpha.iter_mut().zip(&sweep.statistics.counts).zip(&sweep.priors) {
                // a prior may underflow where densities speak against it by more than e^700
                *a += (count / prior.max(f64::MIN_POSITIVE)).ln();
            }
            // E step, and the sums of the next M step
            let before = sweep.statistics.log_likelihood;
            sweep = field.sweep(&Potts::new(&parameters, &alpha, self.coupling));
            let objective = sweep.statistics.log_likelihood / n;
            history.record(objective, &[]);
            let event = Event::Progress { task: METHOD, done: iteration, objective, terms: &[] };
            if observer.observe(&event) == ControlFlow::Break(()) {
                history.finish(Stop::Interrupted);
                break;
            }
            if (objective - before / n).abs() < self.tolerance {
                history.finish(Stop::Converged);
                break;
            }
        }
        let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
        let (parameters, alpha) = ascending(&parameters, &alpha, floor)?;
        Ok(HiddenMarkovRandomFieldModel::new(self.clone(), shift.to_vec(), parameters, alpha, history))
    }
}
