//! Linear methods: the code is a linear function of the row.
//!
//! | method | spec | when |
//! | --- | --- | --- |
//! | [principal component analysis](pca) | [`Pca`](pca::Pca) | linear structure, compression, decorrelation, a first look |
//! | [incremental PCA](incremental) | [`IncrementalPca`](incremental::IncrementalPca) | streams, tables larger than the memory |
//! | [probabilistic PCA](ppca) | [`ProbabilisticPca`](ppca::ProbabilisticPca) | a density, samples, missing values |
//! | [factor analysis](factor) | [`FactorAnalysis`](factor::FactorAnalysis) | what columns share, each with noise of its own |
//! | [mixture of probabilistic PCA](ppca_mixture) | [`PpcaMixture`](ppca_mixture::PpcaMixture) | groups of different directions, bent sheets |

pub mod factor;
pub(crate) mod gaussian;
pub mod incremental;
pub mod pca;
mod positive;
pub mod ppca;
pub mod ppca_mixture;
mod second_moment;
mod singular;

use ndarray::Array1;
use unsup_core::Float;

/// Whether variances that sum up to this are nothing but what rounding makes of constant columns with these means.
fn is_constant<F: Float>(total_variance: f64, means: &Array1<f64>) -> bool {
    total_variance <= means.iter().map(|m| (2.0 * F::EPS * m).powi(2)).sum()
}
