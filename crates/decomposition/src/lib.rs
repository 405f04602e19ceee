//! Decomposition: *what is the code of each row, in few numbers?*
//!
//! | method | spec | when |
//! | --- | --- | --- |
//! | [principal component analysis](linear::pca) | [`Pca`] | linear structure, compression, decorrelation, a first look |
//! | [incremental PCA](linear::incremental) | [`IncrementalPca`] | streams, tables larger than the memory |
//! | [probabilistic PCA](linear::ppca) | [`ProbabilisticPca`] | a density, samples, missing values |
//! | [factor analysis](linear::factor) | [`FactorAnalysis`] | what columns share, each with noise of its own |
//! | [mixture of probabilistic PCA](linear::ppca_mixture) | [`PpcaMixture`] | groups of different directions, bent sheets |
//! | [robust PCA](linear::robust) | [`RobustPca`] | gross errors in single values: low rank plus sparse |
//! | [Procrustes alignment](shape::procrustes) | [`Procrustes`] | landmarks in poses that do not matter |
//! | [statistical shape models](shape::statistical) | [`StatisticalShape`] | how shapes of a population vary; only plausible shapes |
//! | [eigen-images](shape::eigen_images) | [`EigenImages`] | registered images of one size |
//! | [non-negative matrix factorisation](linear::nmf) | [`Nmf`], [`MiniBatchNmf`] | counts, intensities, spectra: parts that add up |
//! | [truncated SVD](linear::truncated) | [`TruncatedSvd`] | sparse tables, centred or not |
//! | [independent components](linear::ica) | [`FastIca`] | signals that were mixed linearly |
//! | [sparse coding, dictionary learning, sparse PCA](linear::dictionary) | [`SparseCoder`], [`DictionaryLearning`], [`SparsePca`] | few atoms a row; components of few columns |
//! | [kernel PCA](linear::kernel_pca) | [`KernelPca`] | curved structure in some thousands of rows; data known by a kernel |
//!
//! Every spec implements [`Fit`], every model [`Transform`] and, where the code can be decoded,
//! [`InverseTransform`].
//!
//! ```
//! use unsup_core::{data, estimator::{Fit, Transform}};
//! use unsup_decomposition::Pca;
//!
//! let digits = data::digits();
//! let model = Pca::new().components(2).fit(&digits.x)?;
//! let codes = model.transform(&digits.x)?;
//! assert_eq!(codes.dim(), (1797, 2));
//! assert!((model.explained_variance_ratio().sum() - 0.285).abs() < 0.001);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Fit`]: unsup_core::estimator::Fit
//! [`Transform`]: unsup_core::estimator::Transform
//! [`InverseTransform`]: unsup_core::estimator::InverseTransform

pub mod linear;
pub mod shape;

pub use linear::dictionary::{
    Coding, DictionaryLearning, DictionaryLearningModel, SparseCoder, SparsePca, SparsePcaModel,
};
pub use linear::factor::{FactorAnalysis, FactorAnalysisModel};
pub use linear::ica::{FastIca, FastIcaModel};
pub use linear::incremental::{IncrementalPca, IncrementalPcaModel};
pub use linear::kernel_pca::{Kernel, KernelPca, KernelPcaModel};
pub use linear::nmf::{MiniBatchNmf, MiniBatchNmfModel, Nmf, NmfModel};
pub use linear::pca::{Components, Pca, PcaModel, Route};
pub use linear::ppca::{ProbabilisticPca, ProbabilisticPcaModel};
pub use linear::ppca_mixture::{PpcaMixture, PpcaMixtureModel};
pub use linear::robust::{RobustPca, RobustPcaModel};
pub use linear::truncated::{TruncatedSvd, TruncatedSvdModel};
pub use linear::{
    dictionary, factor, ica, incremental, kernel_pca, nmf, pca, ppca, ppca_mixture, robust, truncated,
};
pub use shape::{
    EigenImages, EigenImagesModel, Procrustes, ProcrustesModel, StatisticalShape, StatisticalShapeModel,
};
