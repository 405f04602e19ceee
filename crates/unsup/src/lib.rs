//! One dependency for the whole of **unsup**: learning without labels in Rust.
//!
//! The four method crates and their core under one roof, each behind a feature:
//!
//! | module | feature | question |
//! | --- | --- | --- |
//! | [`clustering`] | `clustering` | which group does each row belong to? |
//! | [`decomposition`] | `decomposition` | what is the code of each row, in few numbers? |
//! | [`generative`] | `generative` | what else could there be, and how likely is this? |
//! | [`selfsup`] | `selfsup` | which representation can be learned before there are labels? |
//!
//! ```
//! use unsup::prelude::*;
//!
//! let digits = data::digits(); // bundled, 1797 × 64
//! let model = KMeans::new(10).restarts(3).seed(7).fit(&digits.x)?;
//! println!("inertia {:.0}  ARI {:.3}", model.inertia(), metrics::adjusted_rand(&digits.labels, model.labels())?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ndarray`] and, with the deep half, [`candle`] are re-exported in the versions in use, so that
//! tables and tensors always fit.

pub use unsup_core as core;
pub use unsup_core::ndarray;
pub use unsup_core::{Error, Float, Result, Seed};

#[cfg(feature = "nn")]
pub use unsup_core::candle;

#[cfg(feature = "clustering")]
pub use unsup_clustering as clustering;
#[cfg(feature = "decomposition")]
pub use unsup_decomposition as decomposition;
#[cfg(feature = "generative")]
pub use unsup_generative as generative;
#[cfg(feature = "selfsup")]
pub use unsup_selfsup as selfsup;

/// Everything a program usually needs: the traits, the specs, data and metrics.
pub mod prelude {
    pub use unsup_core::estimator::{
        AnomalyScore, Fit, InverseTransform, LogDensity, Predict, Sample, Transform,
    };
    pub use unsup_core::observe::{Observer, ProgressBar};
    pub use unsup_core::store::Persist;
    pub use unsup_core::{Error, Seed, data, metrics};

    #[cfg(feature = "clustering")]
    pub use unsup_clustering::{
        BayesianGaussianMixture, BisectingKMeans, ClusterCount, GaussianMixture, HiddenMarkovRandomField,
        KMeans, KMedoids, MiniBatchKMeans, SphericalKMeans,
    };
    #[cfg(feature = "decomposition")]
    pub use unsup_decomposition::{
        DictionaryLearning, EigenImages, FactorAnalysis, FastIca, IncrementalPca, KernelPca, MiniBatchNmf,
        Nmf, Pca, PpcaMixture, ProbabilisticPca, Procrustes, RobustPca, SparseCoder, SparsePca,
        StatisticalShape, TruncatedSvd,
    };
    #[cfg(feature = "generative")]
    pub use unsup_generative::Vae;
    #[cfg(feature = "selfsup")]
    pub use unsup_selfsup::{LinearProbe, SimClr, Views};
}

#[cfg(all(
    doctest,
    feature = "clustering",
    feature = "decomposition",
    feature = "generative",
    feature = "selfsup"
))]
#[doc = include_str!("../../../README.md")]
mod readme {}
