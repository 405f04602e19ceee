//! The two priors of the mixing proportions and their posteriors.

use super::special::{digamma, ln_gamma};
use serde::{Deserialize, Serialize};

/// The prior of the mixing proportions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WeightPrior {
    /// Sticks broken one after the other, vₖ ~ Beta(1, γ), πₖ = vₖ Π (1 − v of those before): a Dirichlet process, of
    /// which the posterior may use the first k sticks (Blei & Jordan 2006). The components that are not needed are the last.
    #[default]
    DirichletProcess,
    /// π ~ Dirichlet(γ, …, γ): all components alike.
    Dirichlet,
}

/// The posterior of the proportions: Beta(a, b) for each stick, or Dirichlet(a) with b empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proportions {
    pub(super) a: Vec<f64>,
    pub(super) b: Vec<f64>,
}

impl WeightPrior {
    /// The posterior after these counts. γ: `concentration`.
    pub(super) fn posterior(self, concentration: f64, counts: &[f64]) -> Proportions {
        match self {
            WeightPrior::Dirichlet => {
                Proportions { a: counts.iter().map(|n| concentration + n).collect(), b: Vec::new() }
            }
            WeightPrior::DirichletProcess => {
                let mut after = 0.0;
                let mut b: Vec<f64> = counts
                    .iter()
                    .rev()
                    .map(|n| {
                        let b = concentration + after;
                        after += n;
                        b
                    })
                    .collect();
                b.reverse();
                Proportions { a: counts.iter().map(|n| 1.0 + n).collect(), b }
            }
        }
    }
}

impl Proportions {
    /// E\[log πₖ\].
    pub(super) fn expected_logs(&self) -> Vec<f64> {
        if self.b.is_empty() {
            let total = digamma(self.a.iter().sum());
            return self.a.iter().map(|&a| digamma(a) - total).collect();
        }
        let mut before = 0.0;
        let stick = |(&a, &b): (&f64, &f64)| {
            let total = digamma(a + b);
            let log = digamma(a) - total + before;
            before += digamma(b) - total;
            log
        };
        self.a.iter().zip(&self.b).map(stick).collect()
    }

    /// E\[πₖ\], scaled to a sum of 1 (a process keeps a little for the sticks beyond).
    pub(super) fn means(&self) -> Vec<f64> {
        let mut left = 1.0;
        let stick = |(&a, &b): (&f64, &f64)| {
            let mean = left * a / (a + b);
            left *= b / (a + b);
            mean
        };
        let means: Vec<f64> =
            if self.b.is_empty() { self.a.clone() } else { self.a.iter().zip(&self.b).map(stick).collect() };
        let total: f64 = means.iter().sum();
        means.iter().map(|m| m / total).collect()
    }

    /// KL(posterior ‖ prior), in nats.
    pub(super) fn divergence(&self, concentration: f64) -> f64 {
        if self.b.is_empty() {
            let k = self.a.len() as f64;
            let total: f64 = self.a.iter().sum();
            let normalizer = ln_gamma(total) - self.a.iter().map(|&a| ln_gamma(a)).sum::<f64>();
            let prior = ln_gamma(k * concentration) - k * ln_gamma(concentration);
            let shift: f64 =
                self.a.iter().map(|&a| (a - concentration) * (digamma(a) - digamma(total))).sum();
            return normalizer - prior + shift;
        }
        let ln_beta = |a: f64, b: f64| ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
        let stick = |(&a, &b): (&f64, &f64)| {
            ln_beta(1.0, concentration) - ln_beta(a, b)
                + (a - 1.0) * digamma(a)
                + (b - concentration) * digamma(b)
                + (1.0 - a + concentration - b) * digamma(a + b)
        };
        self.a.iter().zip(&self.b).map(stick).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{assert_abs_diff_eq, assert_relative_eq};

    #[test]
    fn a_posterior_without_counts_is_the_prior() {
        for prior in [WeightPrior::Dirichlet, WeightPrior::DirichletProcess] {
            assert_abs_diff_eq!(prior.posterior(0.7, &[0.0; 4]).divergence(0.7), 0.0, epsilon = 1e-12);
            assert!(prior.posterior(0.7, &[3.0, 0.0, 1.0, 0.0]).divergence(0.7) > 0.1);
        }
    }

    #[test]
    fn two_components_are_a_beta_under_both_priors() {
        // Dirichlet(1, 1) is Beta(1, 1): the first of two sticks with γ = 1
        let dirichlet = WeightPrior::Dirichlet.posterior(1.0, &[5.0, 2.0]);
        let process = Proportions { a: vec![6.0], b: vec![3.0] };
        assert_relative_eq!(dirichlet.divergence(1.0), process.divergence(1.0), max_relative = 1e-12);
        assert_relative_eq!(dirichlet.expected_logs()[0], process.expected_logs()[0], max_relative = 1e-12);
        assert_relative_eq!(dirichlet.means()[0], 6.0 / 9.0, max_relative = 1e-14);
        let sticks = WeightPrior::DirichletProcess.posterior(1.0, &[5.0, 2.0]);
        assert_eq!((sticks.a, sticks.b), (vec![6.0, 3.0], vec![3.0, 1.0]));
    }
}
