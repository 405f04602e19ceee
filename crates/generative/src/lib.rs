//! Generative models: what else could there be, and how likely is this?
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`vae`] | variational autoencoders, dense and convolutional, Bernoulli and Gaussian, β-VAE |
//! | [`loss`] | the terms of variational bounds as plain functions |

pub mod loss;
pub mod vae;

pub use vae::{Likelihood, Vae, VaeModel, Variance};
