//! Linear methods: the code is a linear function of the row.
//!
//! | method | spec | when |
//! | --- | --- | --- |
//! | [principal component analysis](pca) | [`Pca`](pca::Pca) | linear structure, compression, decorrelation, a first look |
//! | [incremental PCA](incremental) | [`IncrementalPca`](incremental::IncrementalPca) | streams, tables larger than the memory |
//! | [probabilistic PCA](ppca) | [`ProbabilisticPca`](ppca::ProbabilisticPca) | a density, samples, missing values |
//! | [factor analysis](factor) | [`FactorAnalysis`](factor::FactorAnalysis) | what columns share, each with noise of its own |
//! | [mixture of probabilistic PCA](ppca_mixture) | [`PpcaMixture`](ppca_mixture::PpcaMixture) | groups of different directions, bent sheets |
//! | [non-negative matrix factorisation](nmf) | [`Nmf`](nmf::Nmf), [`MiniBatchNmf`](nmf::MiniBatchNmf) | counts, intensities, spectra: parts that add up |
//! | [truncated SVD](truncated) | [`TruncatedSvd`](truncated::TruncatedSvd) | sparse tables, centred or not |
//! | [independent components](ica) | [`FastIca`](ica::FastIca) | signals that were mixed linearly |
//! | [sparse coding, dictionary learning, sparse PCA](dictionary) | [`SparseCoder`](dictionary::SparseCoder), [`DictionaryLearning`](dictionary::DictionaryLearning), [`SparsePca`](dictionary::SparsePca) | few atoms a row; components of few columns |
//! | [kernel PCA](kernel_pca) | [`KernelPca`](kernel_pca::KernelPca) | curved structure in some thousands of rows; data known by a kernel |
//! | [robust PCA](robust) | [`RobustPca`](robust::RobustPca) | gross errors in single values: low rank plus sparse |

pub mod dictionary;
pub mod factor;
pub(crate) mod gaussian;
pub mod ica;
pub mod incremental;
pub mod kernel_pca;
pub mod nmf;
pub mod pca;
mod positive;
pub mod ppca;
pub mod ppca_mixture;
pub mod robust;
mod second_moment;
mod signs;
mod singular;
mod subspace;
pub mod truncated;
