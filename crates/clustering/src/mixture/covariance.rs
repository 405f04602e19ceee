//! The four families of covariances, how they are stored, and what it is called when one has no density.

use ndarray::{Array2, ArrayD, IxDyn};
use serde::{Deserialize, Serialize};
use unsup_core::Error;

/// Which covariances the components of a mixture may have. k components in d columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Covariance {
    /// Each component its own matrix: ellipsoids of any shape and direction. Stored as `[k, d, d]`.
    #[default]
    Full,
    /// One matrix for all components: ellipsoids of one shape and direction. Stored as `[d, d]`.
    Tied,
    /// Each component its own variances: ellipsoids along the axes. Stored as `[k, d]`.
    Diagonal,
    /// Each component one variance: balls. Stored as `[k]`.
    Spherical,
}

impl Covariance {
    /// How many free numbers the covariances of k components in d columns are.
    ///
    /// ```
    /// use unsup_clustering::Covariance;
    /// assert_eq!(Covariance::Full.parameters(2, 5), 30);
    /// ```
    pub fn parameters(self, k: usize, d: usize) -> usize {
        match self {
            Covariance::Full => k * d * (d + 1) / 2,
            Covariance::Tied => d * (d + 1) / 2,
            Covariance::Diagonal => k * d,
            Covariance::Spherical => k,
        }
    }

    /// The shape that covariances and precisions are stored in.
    pub(super) fn shape(self, k: usize, d: usize) -> Vec<usize> {
        match self {
            Covariance::Full => vec![k, d, d],
            Covariance::Tied => vec![d, d],
            Covariance::Diagonal => vec![k, d],
            Covariance::Spherical => vec![k],
        }
    }

    pub(super) fn len(self, k: usize, d: usize) -> usize {
        self.shape(k, d).iter().product()
    }

    /// Where the numbers of component c are.
    pub(super) fn range(self, c: usize, d: usize) -> std::ops::Range<usize> {
        let size = self.len(1, d);
        let start = if self == Covariance::Tied { 0 } else { c * size };
        start..start + size
    }

    /// Adds to the diagonal of every matrix.
    pub(super) fn add_to_diagonal(self, covariances: &mut [f64], d: usize, value: f64) {
        match self {
            Covariance::Full | Covariance::Tied => {
                for matrix in covariances.chunks_exact_mut(d * d) {
                    matrix.iter_mut().step_by(d + 1).for_each(|v| *v += value);
                }
            }
            Covariance::Diagonal | Covariance::Spherical => covariances.iter_mut().for_each(|v| *v += value),
        }
    }

    /// Where a given matrix is not symmetric, up to the rounding of one that was computed; only half of it would be used.
    pub(super) fn asymmetric(self, numbers: &[f64], d: usize) -> Option<usize> {
        if !matches!(self, Covariance::Full | Covariance::Tied) {
            return None;
        }
        let apart = |&at: &usize| {
            let (matrix, i, j) = (&numbers[at / (d * d) * d * d..], at / d % d, at % d);
            let size =
                (matrix[i * d + i].abs().sqrt() * matrix[j * d + j].abs().sqrt()).max(f64::MIN_POSITIVE);
            (matrix[i * d + j] - matrix[j * d + i]).abs() > 1e-6 * size
        };
        (0..numbers.len()).find(apart)
    }

    /// One component's numbers as a d × d matrix.
    pub(super) fn expand(self, numbers: &[f64], d: usize) -> Array2<f64> {
        Array2::from_shape_fn((d, d), |(i, j)| match self {
            Covariance::Full | Covariance::Tied => numbers[i * d + j],
            Covariance::Diagonal if i == j => numbers[i],
            Covariance::Spherical if i == j => numbers[0],
            _ => 0.0,
        })
    }

    pub(super) fn array(self, numbers: Vec<f64>, k: usize, d: usize) -> ArrayD<f64> {
        ArrayD::from_shape_vec(IxDyn(&self.shape(k, d)), numbers).unwrap_or_default()
    }
}

/// A component that has no density, and why.
#[derive(Debug)]
pub(super) struct Collapse {
    pub(super) component: usize,
    pub(super) cause: String,
}

impl Collapse {
    pub(super) fn error(self, method: &'static str, iteration: usize) -> Error {
        let Collapse { component, cause } = self;
        let problem = format!(
            "component {component} collapsed in iteration {iteration}: {cause}; raise covariance_floor, ask for fewer components, or start elsewhere"
        );
        Error::Numerical { method, problem }
    }
}
