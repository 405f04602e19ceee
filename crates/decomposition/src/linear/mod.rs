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
