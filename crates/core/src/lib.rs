//! The core that every method of **unsup** stands on.
//!
//! Four method crates (clustering, decomposition, generative, selfsup) share one vocabulary and
//! one toolbox, and both live here:
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`estimator`] | the traits that ask the field's three questions of any method |
//! | [`error`] | the one error type: what is wrong, where, and what was expected |
//! | [`seed`] | named, splittable random streams, the only place a generator is made |
//! | [`observe`] | progress events, histories, the progress bar, interruption |
//! | [`math`] | products, decompositions, the fused nearest-centroid kernel |
//! | [`data`] | bundled and synthetic data, readers, splits, scaling |
//! | [`metrics`] | agreement of clusterings, silhouette, accuracy, AUROC, Dice |
//! | `plot` (feature `plot`) | scatter plots, curves, image grids and overlays as PNG and SVG |
//! | `nn` (feature `nn`) | fused operations with their gradients, layers, residual networks |
//! | `train` (feature `nn`) | optimisers, schedules, the training loop |
//! | [`store`] | one file per model: safetensors with a typed header |
//! | [`fs`] | atomic writes |
//! | [`float`] | the two element types, `f32` and `f64` |
//! | [`validate`] | the checks made once, at the door of every public function |
//!
//! The traits and the core are re-exported by the facade crate `unsup`; depend on this crate
//! directly only to write a method of your own.

#[cfg(feature = "contract")]
pub mod contract;
pub mod data;
pub mod error;
pub mod estimator;
pub mod float;
pub mod fs;
pub mod math;
pub mod metrics;
#[cfg(feature = "nn")]
pub mod nn;
pub mod observe;
#[cfg(feature = "plot")]
pub mod plot;
pub mod seed;
pub mod store;
#[cfg(feature = "nn")]
pub mod train;
pub mod validate;

pub use error::{Error, Result};
pub use float::Float;
pub use seed::Seed;

#[cfg(feature = "nn")]
pub use candle_core as candle;
pub use ndarray;
