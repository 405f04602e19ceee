//! The criteria, and how each of them chooses from its scores.

use super::gap::first_within_one_error;
use super::knee;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A criterion for the number of clusters; see the [module](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Criterion {
    /// The inertia of k-means, Σ‖x − c‖²; the [`knee`] of the curve is chosen.
    Elbow,
    /// The mean [`silhouette`](unsup_core::metrics::silhouette) of k-means; the greatest is chosen.
    Silhouette,
    /// The [variance ratio](unsup_core::metrics::calinski_harabasz) of k-means; the greatest is chosen.
    CalinskiHarabasz,
    /// The [likeness](unsup_core::metrics::davies_bouldin) of the clusters of k-means; the least is chosen.
    DaviesBouldin,
    /// The [gap statistic](super::gap_statistic) of k-means with its standard error; the least k with
    /// Gap(k) ≥ Gap(k + 1) − s(k + 1) is chosen.
    Gap,
    /// The Bayesian information criterion of Gaussian mixtures; the least is chosen.
    Bic,
    /// The Akaike information criterion of Gaussian mixtures; the least is chosen. It charges less for parameters
    /// and so takes more components.
    Aic,
    /// The mean adjusted Rand index of k-means on pairs of overlapping subsamples, over the rows they share. The index is
    /// corrected for chance, so that values for different k may be compared; the greatest k within one
    /// standard error of the best is chosen.
    Stability,
    /// The weight of the k-th heaviest component of one [Bayesian mixture](crate::BayesianGaussianMixture) of as many components as
    /// the range allows; as many are chosen as keep the least weight.
    BayesianWeights,
}

impl Criterion {
    /// All of them.
    pub const ALL: [Criterion; 9] = [
        Criterion::Elbow,
        Criterion::Silhouette,
        Criterion::CalinskiHarabasz,
        Criterion::DaviesBouldin,
        Criterion::Gap,
        Criterion::Bic,
        Criterion::Aic,
        Criterion::Stability,
        Criterion::BayesianWeights,
    ];

    /// The name, as in the table.
    pub fn name(self) -> &'static str {
        match self {
            Criterion::Elbow => "elbow (inertia)",
            Criterion::Silhouette => "silhouette",
            Criterion::CalinskiHarabasz => "Calinski-Harabasz",
            Criterion::DaviesBouldin => "Davies-Bouldin",
            Criterion::Gap => "gap",
            Criterion::Bic => "BIC",
            Criterion::Aic => "AIC",
            Criterion::Stability => "stability",
            Criterion::BayesianWeights => "Bayesian weights",
        }
    }

    /// The position of the chosen k among consecutive ones. Scores are NaN where a criterion has none.
    pub(super) fn choose(
        self,
        clusters: &[usize],
        scores: &[f64],
        errors: &[f64],
        least_weight: f64,
    ) -> Option<usize> {
        match self {
            Criterion::Elbow => {
                let k: Vec<f64> = clusters.iter().map(|&k| k as f64).collect();
                knee(&k, scores)
            }
            Criterion::Silhouette | Criterion::CalinskiHarabasz => greatest(scores),
            Criterion::DaviesBouldin | Criterion::Bic | Criterion::Aic => {
                greatest(&scores.iter().map(|s| -s).collect::<Vec<_>>())
            }
            Criterion::Gap => first_within_one_error(scores, errors),
            Criterion::Stability => {
                let best = greatest(scores)?;
                scores.iter().rposition(|&score| score >= scores[best] - errors[best])
            }
            Criterion::BayesianWeights => scores.iter().rposition(|&weight| weight >= least_weight),
        }
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The position of the greatest score, the first on a tie; NaN is passed over.
pub(super) fn greatest(scores: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (at, &score) in scores.iter().enumerate() {
        if !score.is_nan() && best.is_none_or(|b| score > scores[b]) {
            best = Some(at);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_criterion_chooses_as_it_says_and_passes_over_what_is_missing() {
        let k = [1, 2, 3, 4];
        let no = [f64::NAN; 4];
        let choose = |c: Criterion, scores: [f64; 4], errors: [f64; 4]| c.choose(&k, &scores, &errors, 0.1);
        assert_eq!(choose(Criterion::Silhouette, [f64::NAN, 0.2, 0.5, 0.5], no), Some(2));
        assert_eq!(choose(Criterion::DaviesBouldin, [f64::NAN, 0.2, 0.5, 0.1], no), Some(3));
        assert_eq!(choose(Criterion::Bic, [f64::NAN; 4], no), None);
        assert_eq!(choose(Criterion::Stability, [f64::NAN, 1.0, 0.97, 0.9], [0.05; 4]), Some(2));
        assert_eq!(choose(Criterion::Stability, [f64::NAN, 0.8, 0.97, 0.9], [0.0; 4]), Some(2));
        assert_eq!(choose(Criterion::BayesianWeights, [0.6, 0.3, 0.1, 0.001], no), Some(2));
        assert_eq!(choose(Criterion::BayesianWeights, [f64::NAN; 4], no), None);
        // a straight line has no knee
        assert_eq!(choose(Criterion::Elbow, [4.0, 3.0, 2.0, 1.0], no), None);
        assert_eq!(choose(Criterion::Elbow, [9.0, 3.0, 2.0, 1.0], no), Some(1));
    }
}
