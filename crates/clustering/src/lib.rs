//! Clustering: *which of k groups does each row belong to?*
//!
//! | method | spec | when |
//! | --- | --- | --- |
//! | [k-means](kmeans) | [`KMeans`] | compact groups of similar size, any number of rows |
//! | [spherical k-means](kmeans::spherical) | [`SphericalKMeans`] | direction counts, length does not: text, embeddings |
//! | [mini-batch k-means](kmeans::mini_batch) | [`MiniBatchKMeans`] | streams, more rows than memory |
//! | [bisecting k-means](kmeans::bisecting) | [`BisectingKMeans`] | a hierarchy, or very many clusters |
//! | [k-medoids](kmedoids) | [`KMedoids`] | any dissimilarity, centres that are rows, outliers; up to some 10⁴ rows |
//! | [Gaussian mixture](mixture) | [`GaussianMixture`] | elongated, overlapping or unequal groups; a density |
//! | [Bayesian mixture](mixture) | [`BayesianGaussianMixture`] | the same with an unknown number of groups |
//! | [Hidden Markov random field](segmentation) | [`HiddenMarkovRandomField`] | images and volumes, whose neighbours are alike |
//!
//! [How many clusters](selection) there are: [`ClusterCount`].
//!
//! Every spec implements [`Fit`], every model [`Predict`].
//!
//! ```
//! use ndarray::array;
//! use unsup_clustering::KMeans;
//! use unsup_core::estimator::{Fit, Predict};
//!
//! let x = array![[0.0, 0.1], [0.2, 0.0], [9.0, 9.1], [9.2, 8.9]];
//! let model = KMeans::new(2).seed(7).fit(&x)?;
//! let nearest = model.predict(&array![[0.1, 0.1], [9.0, 9.0]])?;
//! assert_eq!((nearest[0], nearest[1]), (model.labels()[0], model.labels()[2]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Fit`]: unsup_core::estimator::Fit
//! [`Predict`]: unsup_core::estimator::Predict

pub mod kmeans;
pub mod kmedoids;
pub mod mixture;
pub mod selection;
mod used;
mod weights;

pub use kmeans::{
    Algorithm, BisectingKMeans, BisectingKMeansModel, Cut, Init, KMeans, KMeansModel, MiniBatchKMeans,
    MiniBatchKMeansModel, SphericalKMeans, SphericalKMeansModel,
};
pub use kmedoids::{Dissimilarity, KMedoids, KMedoidsModel, MedoidInit};
#[doc(inline)]
pub use mixture::markov as segmentation;
pub use mixture::markov::{HiddenMarkovRandomField, HiddenMarkovRandomFieldModel};
pub use mixture::{
    BayesianGaussianMixture, BayesianGaussianMixtureModel, Covariance, GaussianMixture, GaussianMixtureModel,
    WeightPrior,
};
pub use selection::{ClusterCount, ClusterCountModel, Criterion, Reference};
