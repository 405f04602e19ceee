//! Where the alternation starts: a partition of the rows, or given parameters.

use super::covariance::Covariance;
use super::factor::covariances_of;
use super::pass::Rows;
use crate::kmeans::{Init, KMeans};
use ndarray::{Array1, Array2, ArrayD};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use unsup_core::math::Nearest;
use unsup_core::observe::Event;
use unsup_core::{Error, Result, Seed, validate};

/// How a mixture chooses its first parameters. All but given ones are the moments of the groups of a partition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "one in a spec, never a list of them")]
pub enum Start {
    /// The clusters of k-means.
    #[default]
    KMeans,
    /// Each row with the nearest of k seeds of greedy k-means++.
    KMeansPlusPlus,
    /// Each row with the nearest of k random rows.
    RandomRows,
    /// These means; what else is given replaces the moments of the rows nearest to each mean.
    Given {
        /// `[k, d]`
        means: Array2<f64>,
        /// Positive, with a sum of 1. `[k]`
        weights: Option<Array1<f64>>,
        /// Inverse covariances in the family's shape: `[k, d, d]`, `[d, d]`, `[k, d]` or `[k]`.
        precisions: Option<ArrayD<f64>>,
    },
}

/// A partition, and a reference near the mean of each group.
pub(super) struct Partition {
    pub(super) labels: Vec<usize>,
    /// relative to the shift `[k, d]`
    pub(super) centres: Vec<f64>,
}

impl Start {
    /// Whether every restart would be the same.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Start::Given { .. })
    }

    pub(super) fn check(&self, family: Covariance, k: usize, d: usize) -> Result<()> {
        let Start::Given { means, weights, precisions } = self else { return Ok(()) };
        validate::table(means, "initial means")?;
        if means.dim() != (k, d) {
            let found = format!("{} × {}", means.nrows(), means.ncols());
            return Err(Error::shape("initial means", format!("{k} × {d}"), found));
        }
        if let Some(weights) = weights {
            if weights.len() != k {
                return Err(Error::shape(
                    "initial weights",
                    format!("{k} values"),
                    format!("{} values", weights.len()),
                ));
            }
            let allowed = "positive numbers with a sum of 1";
            let bad = |index: usize| Error::Value {
                what: "initial weights",
                index,
                value: weights[index].to_string(),
                allowed,
            };
            if let Some(index) = weights.iter().position(|&w| !(w > 0.0 && w.is_finite())) {
                return Err(bad(index));
            }
            if (weights.sum() - 1.0).abs() > 1e-6 {
                return Err(Error::parameter("sum of the initial weights", weights.sum(), "1"));
            }
        }
        if let Some(precisions) = precisions {
            if precisions.shape() != family.shape(k, d) {
                let expected = format!("{:?}", family.shape(k, d));
                return Err(Error::shape(
                    "initial precisions",
                    expected,
                    format!("{:?}", precisions.shape()),
                ));
            }
            let values: Vec<f64> = precisions.iter().copied().collect();
            let bad = |index: usize, allowed| {
                Err(Error::Value {
                    what: "initial precisions",
                    index,
                    value: values[index].to_string(),
                    allowed,
                })
            };
            if let Some(index) = values.iter().position(|v| !v.is_finite()) {
                return bad(index, "finite numbers");
            }
            if let Some(index) = family.asymmetric(&values, d) {
                return bad(index, "symmetric matrices");
            }
        }
        Ok(())
    }

    /// The given precisions as covariances.
    pub(super) fn covariances(&self, family: Covariance, d: usize) -> Result<Option<Vec<f64>>> {
        let Start::Given { precisions: Some(precisions), .. } = self else { return Ok(None) };
        let precisions: Vec<f64> = precisions.iter().copied().collect();
        let problem = |cause| Error::Numerical {
            method: "Gaussian mixture",
            problem: format!("initial precisions are not positive definite: {cause}"),
        };
        covariances_of(family, &precisions, d).map(Some).map_err(problem)
    }

    /// The partition that the first moments are taken of.
    pub(super) fn partition<F: Nearest>(
        &self,
        rows: &Rows<'_, F>,
        k: usize,
        seed: Seed,
    ) -> Result<Partition> {
        let kmeans = KMeans::new(k).seed(seed);
        let spec = match self {
            Start::KMeans | Start::KMeansPlusPlus => kmeans,
            Start::RandomRows => kmeans.init(Init::Random),
            Start::Given { means, .. } => kmeans.init(Init::Centroids(means.clone())),
        };
        // breaking at the first report leaves the seeds where they are, and each row with the nearest
        let mut until_done = |event: &Event<'_>| match (self, event) {
            (Start::KMeans, _) | (_, Event::Started { .. }) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let model = spec.run(rows.x, rows.weights, &mut until_done)?;
        let centred = |c: ndarray::ArrayView1<'_, F>| {
            c.iter().zip(rows.shift).map(|(v, m)| v.f64() - m).collect::<Vec<_>>()
        };
        let centres = model.centroids().rows().into_iter().flat_map(centred).collect();
        Ok(Partition { labels: model.labels().to_vec(), centres })
    }
}
