//! The posterior of a mixture by mean-field variational inference, and its evidence lower bound.
//!
//! Every component has a precision Λₖ ~ Wishart(W₀, ν₀) and a mean μₖ | Λₖ ~ N(m₀, (β₀Λₖ)⁻¹); the posterior is sought as
//! q(π) Πₖ N(μₖ | mₖ, (βₖΛₖ)⁻¹) Wishart(Λₖ | Wₖ, νₖ) (Bishop 10.40–10.63). The full family leaves Wₖ free. The others restrict
//! it: one W and ν for all (tied), a diagonal W, a multiple of the identity. Minimising the divergence from the unrestricted
//! optimum (Aₖ⁻¹, nₖ) within each restriction gives ν = mean nₖ and W⁻¹ = mean Aₖ (tied), ν = nₖ and the diagonal of
//! Aₖ or the mean of that diagonal: scikit-learn's updates, which are hence exact coordinate ascents on one bound, and
//! this bound is a true one, log p(x) ≥ ELBO, whatever the family.

use super::prior::Prior;
use super::special::{digamma, ln_gamma};
use super::weights::Proportions;
use crate::mixture::covariance::{Collapse, Covariance};
use crate::mixture::em::{ComponentMoments, Estimate};
use crate::mixture::factor::Factor;
use crate::mixture::kernel::Kernel;
use crate::mixture::pass::Statistics;
use std::sync::Arc;

/// What is believed after them.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    pub(super) prior: Arc<Prior>,
    pub(super) proportions: Proportions,
    /// βₖ `[k]`
    pub(super) mean_precisions: Vec<f64>,
    /// mₖ, relative to the shift `[k, d]`
    pub(super) means: Vec<f64>,
    /// νₖ, equal for tied covariances `[k]`
    pub(super) degrees_of_freedom: Vec<f64>,
    /// Wₖ⁻¹ / νₖ, as stored
    pub(super) covariances: Vec<f64>,
    pub(super) factor: Factor,
    kernel: Kernel,
}

impl Posterior {
    pub(super) fn new(
        prior: Arc<Prior>,
        proportions: Proportions,
        mean_precisions: Vec<f64>,
        means: Vec<f64>,
        degrees_of_freedom: Vec<f64>,
        covariances: Vec<f64>,
    ) -> Result<Self, Collapse> {
        let d = prior.mean.len();
        let factor = Factor::new(prior.family, &covariances, &means, d)?;
        let normal = -0.5 * d as f64 * std::f64::consts::TAU.ln();
        // Bishop 10.46: E[log π] + ½ E[log det Λ] − d/2 log 2π − d / 2β, what the squared distances do not say
        let constants = proportions.expected_logs();
        let constants = constants.iter().enumerate().map(|(c, log_weight)| {
            let log_det = expected_log_det(&factor, c, degrees_of_freedom[c]);
            log_weight + 0.5 * log_det + normal - 0.5 * d as f64 / mean_precisions[c]
        });
        let kernel = Kernel::new(&factor, constants.collect(), &means);
        Ok(Posterior {
            prior,
            proportions,
            mean_precisions,
            means,
            degrees_of_freedom,
            covariances,
            factor,
            kernel,
        })
    }

    /// The posterior of these sums about `reference` (Bishop 10.58–10.63).
    pub(super) fn of(
        prior: &Arc<Prior>,
        statistics: &Statistics,
        reference: &[f64],
    ) -> Result<Self, Collapse> {
        let (family, d) = (prior.family, prior.mean.len());
        let moments = ComponentMoments::of(statistics, family, reference, prior.floor);
        let ComponentMoments { counts, means: x_bar, covariances: s } = &moments;
        let k = counts.len();
        let beta: Vec<f64> = counts.iter().map(|n| prior.mean_precision + n).collect();
        let pull = |c: usize, j: usize| {
            (prior.mean_precision * prior.mean[j] + counts[c] * x_bar[c * d + j]) / beta[c]
        };
        let means = (0..k * d).map(|at| pull(at / d, at % d)).collect();
        // the spread of the component means about m₀, which the prior sees too
        let off = |c: usize, j: usize| x_bar[c * d + j] - prior.mean[j];
        let share = |c: usize| prior.mean_precision * counts[c] / beta[c];
        let v = &prior.covariance;
        let rows = counts.iter().sum::<f64>() / k as f64;
        let nu: Vec<f64> = counts
            .iter()
            .map(|n| prior.degrees_of_freedom + if family == Covariance::Tied { rows } else { *n })
            .collect();
        let covariances = match family {
            Covariance::Full => (0..k * d * d)
                .map(|at| {
                    let (c, i, j) = (at / (d * d), at / d % d, at % d);
                    (v[at % (d * d)] + counts[c] * s[at] + share(c) * off(c, i) * off(c, j)) / nu[c]
                })
                .collect(),
            Covariance::Tied => (0..d * d)
                .map(|at| {
                    let (i, j) = (at / d, at % d);
                    let between: f64 = (0..k).map(|c| share(c) * off(c, i) * off(c, j)).sum();
                    (v[at] + rows * s[at] + between / k as f64) / nu[0]
                })
                .collect(),
            Covariance::Diagonal => (0..k * d)
                .map(|at| {
                    let (c, j) = (at / d, at % d);
                    (v[j] + counts[c] * s[at] + share(c) * off(c, j).powi(2)) / nu[c]
                })
                .collect(),
            Covariance::Spherical => (0..k)
                .map(|c| {
                    let between: f64 = (0..d).map(|j| off(c, j).powi(2)).sum::<f64>() / d as f64;
                    (v[0] + counts[c] * s[c] + share(c) * between) / nu[c]
                })
                .collect(),
        };
        let proportions = prior.weights.posterior(prior.concentration, counts);
        Self::new(prior.clone(), proportions, beta, means, nu, covariances)
    }

    /// KL(q(μₖ, Λₖ) ‖ p(μₖ, Λₖ)), in nats.
    fn divergence(&self, c: usize) -> f64 {
        let prior = &*self.prior;
        let d = prior.mean.len();
        let (beta, nu) = (self.mean_precisions[c], self.degrees_of_freedom[c]);
        let (beta0, nu0, width) = (prior.mean_precision, prior.degrees_of_freedom, d as f64);
        let off: Vec<f64> = self.means[c * d..][..d].iter().zip(&prior.mean).map(|(m, m0)| m - m0).collect();
        // ν (m − m₀)ᵀ W (m − m₀), since W = TᵀT / ν
        let distance: f64 = self.factor.whiten(c, &off).iter().map(|v| v * v).sum();
        let of_mean = 0.5 * (width * ((beta / beta0).ln() + beta0 / beta - 1.0) + beta0 * distance);
        let log_det = 2.0 * self.factor.log_det(c) - width * nu.ln();
        let of_precision = log_wishart(log_det, nu, d) - log_wishart(prior.log_det, nu0, d)
            + 0.5 * (nu - nu0) * expected_log_det(&self.factor, c, nu)
            + 0.5 * (self.factor.trace(c, &prior.covariance) - nu * width);
        of_mean + of_precision
    }
}

/// E\[log det Λ\] (Bishop 10.65).
fn expected_log_det(factor: &Factor, c: usize, nu: f64) -> f64 {
    let d = factor.d as f64;
    let digammas: f64 = (0..factor.d).map(|i| digamma(0.5 * (nu - i as f64))).sum();
    digammas + d * std::f64::consts::LN_2 + 2.0 * factor.log_det(c) - d * nu.ln()
}

/// log of the normalizer B(W, ν) of a Wishart distribution (Bishop B.79).
fn log_wishart(log_det: f64, nu: f64, d: usize) -> f64 {
    let width = d as f64;
    let gammas: f64 = (0..d).map(|i| ln_gamma(0.5 * (nu - i as f64))).sum();
    -0.5 * nu * log_det
        - 0.5 * nu * width * std::f64::consts::LN_2
        - 0.25 * width * (width - 1.0) * std::f64::consts::PI.ln()
        - gammas
}

impl Estimate for Posterior {
    fn family(&self) -> Covariance {
        self.prior.family
    }

    fn means(&self) -> &[f64] {
        &self.means
    }

    fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    fn maximization(&self, statistics: &Statistics) -> Result<Self, Collapse> {
        Posterior::of(&self.prior, statistics, &self.means)
    }

    /// The evidence lower bound in nats: with the responsibilities that are best for this posterior, their terms and the expected
    /// log-likelihood add up to Σ log Σₖ; what remains are the divergences from the prior.
    fn bound(&self, log_likelihood: f64, _: f64) -> f64 {
        let components: f64 = (0..self.mean_precisions.len()).map(|c| self.divergence(c)).sum();
        log_likelihood - self.proportions.divergence(self.prior.concentration) - components
    }
}
