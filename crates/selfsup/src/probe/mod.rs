//! The linear probe: a linear classifier on frozen features, the field's measure of what a
//! representation is worth.
//!
//! Multinomial logistic regression on standardised features: minimises
//! Σᵢ −log softmax(W zᵢ + b)\[yᵢ\] + ½·penalty·‖W‖², which is strictly convex in W, so the answer does not
//! depend on a start or a schedule. Two representations are compared by nothing but their features.
//!
//! **Use it** to compare encoders, with few labels or many. **Do not use it** as the best classifier
//! that the labels allow: fine-tuning the encoder is usually better with more than a few per cent of
//! labels. Cost: n·d·k multiply-adds an iteration, some 20–200 iterations.
//!
//! Source: Zhang, Isola & Efros 2016 (the protocol); Nocedal & Wright 2006 (the optimiser).

mod model;

pub use model::LinearProbeModel;

use ndarray::{Array1, Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use unsup_core::math::{Moments, lbfgs, product};
use unsup_core::observe::{Event, History, Observer, Silent};
use unsup_core::{Error, Float, Result};

/// The hyper-parameters of a linear probe; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::Predict, metrics};
/// use unsup_selfsup::LinearProbe;
/// let iris = data::iris();
/// let probe = LinearProbe::new().fit(&iris.x, &iris.labels)?;
/// assert!(metrics::accuracy(&iris.labels, &probe.predict(&iris.x)?)? > 0.96);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearProbe {
    penalty: f64,
    tolerance: f64,
    max_iterations: usize,
}

impl Default for LinearProbe {
    fn default() -> Self {
        LinearProbe { penalty: 1.0, tolerance: 1e-6, max_iterations: 1000 }
    }
}

impl LinearProbe {
    /// Penalty 1, tolerance 10⁻⁶, at most 1000 iterations.
    pub fn new() -> Self {
        Self::default()
    }

    /// The weight of ½‖W‖² beside the summed loss. Above 0.
    #[must_use]
    pub fn penalty(mut self, penalty: f64) -> Self {
        self.penalty = penalty;
        self
    }

    /// Converged when no component of the mean loss's gradient is larger than this.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The most iterations.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// Learns to tell the labels from the features. features: `[n, d]`; labels: `[n]`, classes from 0; the
    /// number of classes is the largest label + 1.
    ///
    /// # Errors
    /// As [`fit_observed`](Self::fit_observed).
    pub fn fit<F: Float>(
        &self,
        features: &ArrayRef2<F>,
        labels: &Array1<usize>,
    ) -> Result<LinearProbeModel<F>> {
        self.fit_observed(features, labels, &mut Silent)
    }

    /// As [`fit`](Self::fit), reporting the mean penalised loss in nats to `observer`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`] for the features; [`Error::Shape`] when there is not one
    /// label a row; [`Error::Value`] for a label so large that there would be more classes than 65,536;
    /// [`Error::Parameter`].
    pub fn fit_observed<F: Float>(
        &self,
        features: &ArrayRef2<F>,
        labels: &Array1<usize>,
        observer: &mut dyn Observer,
    ) -> Result<LinearProbeModel<F>> {
        const TASK: &str = "linear probe";
        let moments = Moments::of(features, "features")?;
        let classes = self.check(features, labels)?;
        let z = standardise(features, &moments);
        let d = z.ncols();
        let objective = Softmax { z: &z, labels, classes, penalty: self.penalty };
        let mut history = History::new();
        let _ = observer.observe(&Event::Started { task: TASK, total: self.max_iterations });
        let minimum = lbfgs(
            vec![0.0; classes * (d + 1)],
            self.tolerance,
            self.max_iterations,
            |parameters, gradient| objective.value(parameters, gradient),
            |done, value| {
                history.record(value, &[]);
                observer.observe(&Event::Progress { task: TASK, done, objective: value, terms: &[] })
                    == ControlFlow::Break(())
            },
        );
        history.finish(minimum.stop);
        let _ = observer.observe(&Event::Finished { task: TASK, stop: minimum.stop });
        let (weights, bias) = minimum.x.split_at(classes * d);
        Ok(LinearProbeModel::new(
            self.clone(),
            moments,
            Array2::from_shape_vec((classes, d), weights.to_vec()).unwrap_or_default(),
            Array1::from(bias.to_vec()),
            history,
        ))
    }

    fn check<F: Float>(&self, features: &ArrayRef2<F>, labels: &Array1<usize>) -> Result<usize> {
        if !(self.penalty > 0.0 && self.penalty.is_finite()) {
            return Err(Error::parameter("penalty", self.penalty, "a finite number above 0"));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::parameter("tolerance", self.tolerance, "a finite number, at least 0"));
        }
        if labels.len() != features.nrows() {
            let found = format!("{} labels", labels.len());
            return Err(Error::shape("labels", format!("{} labels, one a row", features.nrows()), found));
        }
        const MOST: usize = 1 << 16;
        if let Some((index, label)) = labels.iter().enumerate().find(|(_, l)| **l >= MOST) {
            return Err(Error::Value {
                what: "labels",
                index,
                value: label.to_string(),
                allowed: "classes from 0 to 65535",
            });
        }
        Ok(labels.iter().max().map_or(1, |l| l + 1))
    }
}

/// (x − mean) / deviation; a constant column becomes 0.
fn standardise<F: Float>(x: &ArrayRef2<F>, moments: &Moments) -> Array2<f64> {
    let Moments { means, variances } = moments;
    let scaled =
        |j: usize, v: f64| if variances[j] > 0.0 { (v - means[j]) / variances[j].sqrt() } else { 0.0 };
    Array2::from_shape_fn(x.dim(), |(i, j)| scaled(j, x[[i, j]].f64()))
}

/// The penalised mean cross-entropy of a linear classifier.
struct Softmax<'a> {
    z: &'a Array2<f64>,
    labels: &'a Array1<usize>,
    classes: usize,
    penalty: f64,
}

impl Softmax<'_> {
    /// parameters: W `[k, d]`, then b `[k]`.
    fn value(&self, parameters: &[f64], gradient: &mut [f64]) -> f64 {
        let ((n, d), k) = (self.z.dim(), self.classes);
        let (weights, bias) = parameters.split_at(k * d);
        let by_column = Array2::from_shape_fn((d, k), |(j, c)| weights[c * d + j]);
        let mut residuals = product(self.z, &vec![0.0; d], &by_column);
        let mut loss = 0.0;
        for (mut row, &label) in residuals.rows_mut().into_iter().zip(self.labels) {
            row.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
            loss -= row[label] - log_sum_exp(row.as_slice().unwrap_or_default());
            softmax(row.as_slice_mut().unwrap_or_default());
            row[label] -= 1.0;
        }
        let of_bias = residuals.sum_axis(Axis(0));
        let of_weights = product(&residuals.t(), &vec![0.0; n], self.z);
        let scale = 1.0 / n as f64;
        for (i, g) in gradient.iter_mut().enumerate() {
            *g = scale
                * if i < k * d {
                    of_weights[[i / d, i % d]] + self.penalty * weights[i]
                } else {
                    of_bias[i - k * d]
                };
        }
        scale * (loss + 0.5 * self.penalty * weights.iter().map(|w| w * w).sum::<f64>())
    }
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|v| (v - largest).exp()).sum::<f64>().ln()
}

/// exp(v) / Σ exp(v), in place.
fn softmax(values: &mut [f64]) {
    let normaliser = log_sum_exp(values);
    values.iter_mut().for_each(|v| *v = (*v - normaliser).exp());
}

#[cfg(test)]
mod tests {
    use super::*;
    use unsup_core::Seed;

    #[test]
    fn the_gradient_agrees_with_central_differences() {
        let (n, d, classes) = (23, 4, 3);
        let z = Array2::from_shape_vec((n, d), Seed::new(1).normals(n * d)).unwrap_or_default();
        let labels = Array1::from_shape_fn(n, |i| i * 7 % classes);
        let objective = Softmax { z: &z, labels: &labels, classes, penalty: 0.7 };
        let parameters = Seed::new(2).normals(classes * (d + 1));
        let mut gradient = vec![0.0; parameters.len()];
        objective.value(&parameters, &mut gradient);
        let mut unused = gradient.clone();
        for i in 0..parameters.len() {
            let mut at = |step: f64| {
                let mut moved = parameters.clone();
                moved[i] += step;
                objective.value(&moved, &mut unused)
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((difference - gradient[i]).abs() < 1e-9, "{i}: {difference} {}", gradient[i]);
        }
    }

    #[test]
    fn softmax_survives_large_scores() {
        let mut values = [1e4, 0.0, -1e4];
        softmax(&mut values);
        assert_eq!(values, [1.0, 0.0, 0.0]);
    }
}
