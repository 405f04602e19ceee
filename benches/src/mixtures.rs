//! The mixtures that the benches fit: from given means, equal weights and unit covariances, a fixed number of iterations.

use unsup::Result;
use unsup::clustering::mixture::Start;
use unsup::clustering::{BayesianGaussianMixture, BayesianGaussianMixtureModel, Covariance, GaussianMixture};
use unsup::ndarray::{Array1, Array2, Array3, ArrayD, IxDyn};
use unsup::prelude::*;

/// The four families and their names.
pub const FAMILIES: [(&str, Covariance); 4] = [
    ("full", Covariance::Full),
    ("tied", Covariance::Tied),
    ("diagonal", Covariance::Diagonal),
    ("spherical", Covariance::Spherical),
];

/// The family of this name; full for any other.
pub fn family(name: &str) -> Covariance {
    FAMILIES.iter().find(|(n, _)| *n == name).map_or(Covariance::Full, |(_, family)| *family)
}

/// The identity as the precision of every component.
fn unit_precisions(family: Covariance, k: usize, d: usize) -> ArrayD<f64> {
    match family {
        Covariance::Tied => Array2::eye(d).into_dyn(),
        Covariance::Diagonal => ArrayD::ones(IxDyn(&[k, d])),
        Covariance::Spherical => ArrayD::ones(IxDyn(&[k])),
        _ => Array3::from_shape_fn((k, d, d), |(_, i, j)| f64::from(u8::from(i == j))).into_dyn(),
    }
}

/// EM from these means.
pub fn em(means: Array2<f64>, family: Covariance, iterations: usize) -> GaussianMixture {
    let (k, d) = means.dim();
    let start = Start::Given {
        means,
        weights: Some(Array1::from_elem(k, 1.0 / k as f64)),
        precisions: Some(unit_precisions(family, k, d)),
    };
    GaussianMixture::new(k).covariance(family).start(start).max_iterations(iterations).tolerance(0.0)
}

/// Variational inference from the rows nearest to these means.
pub fn variational(means: Array2<f64>, family: Covariance, iterations: usize) -> BayesianGaussianMixture {
    let k = means.nrows();
    let start = Start::Given { means, weights: None, precisions: None };
    BayesianGaussianMixture::new(k).covariance(family).start(start).max_iterations(iterations).tolerance(0.0)
}

/// The mean log-likelihood of the Gaussian mixture at the expected parameters: a quality that libraries share.
///
/// # Errors
/// When the parameters are not those of a mixture.
pub fn plug_in(model: &BayesianGaussianMixtureModel, family: Covariance, x: &Array2<f64>) -> Result<f64> {
    let start = Start::Given {
        means: model.means().clone(),
        weights: Some(model.weights().clone()),
        precisions: Some(model.precisions()),
    };
    let spec = GaussianMixture::new(model.weights().len()).covariance(family).start(start);
    Ok(spec.max_iterations(0).fit(x)?.lower_bound())
}
