//! Networks on [candle](https://docs.rs/candle-core): fused operations, parameters, layers, encoders.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`ops`] | the operations with hand-written backward passes, as plain functions |
//! | [`params`] | named, ordered, seeded parameters, and frozen snapshots of them |
//! | [`init`] | how parameters start |
//! | [`Params::var_builder`] | candle-nn's layers and models on our parameters |
//! | [`layers`] | [`Linear`], [`Conv2d`], [`ConvTranspose2d`], [`BatchNorm`], [`SplitBatchNorm`], [`LayerNorm`], [`GroupNorm`], [`SpectralNorm`] |
//! | [`activation`] | the function between layers, as a setting |
//! | [`mlp`], [`resnet`], [`autoencoder`] | the networks made of them |
//! | [`critic`] | a critic with a trainable input gradient, the penalties of WGAN-GP and R1 |
//! | [`backward`] | the gradients of a loss |
//! | [`check`] | backward passes against central differences |
//!
//! Tensors, devices and the autodiff graph are candle's, so any candle operation can be mixed in; but
//! several of candle's have a wrong or missing gradient (max-pool, scatter, its layer norm and
//! softmax): use those of [`ops`] where both exist.
//!
//! ```
//! use unsup_core::Seed;
//! use unsup_core::candle::{DType, Device, Tensor};
//! use unsup_core::nn::{Mlp, Mode, Params, backward, ops};
//! use unsup_core::train::{AdamW, Optimizer};
//!
//! // a hand-written training loop
//! let params = Params::new(Seed::new(7));
//! let net = Mlp::new(&params, &[2, 16, 2])?;
//! let mut optimizer = AdamW::new(params.trainable());
//! let x = Tensor::new(&[[0_f32, 0.], [0., 1.], [1., 0.], [1., 1.]], &Device::Cpu)?;
//! let labels = Tensor::new(&[0_u32, 1, 1, 0], &Device::Cpu)?;
//! for _ in 0..200 {
//!     let loss = ops::cross_entropy(&net.forward(&x, Mode::Train)?, &labels)?;
//!     optimizer.step(&backward(&loss)?, 0.05)?;
//! }
//! let loss = ops::cross_entropy(&net.forward(&x, Mode::Eval)?, &labels)?;
//! assert!(loss.to_scalar::<f32>()? < 0.1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod activation;
pub mod autoencoder;
pub mod check;
pub mod critic;
pub mod init;
pub mod layers;
pub mod mlp;
pub mod ops;
pub mod params;
pub mod resnet;
pub(crate) mod tensor_file;
mod var_builder;

pub use activation::Activation;
pub use autoencoder::{ConvCoderSpec, ConvDecoder, ConvEncoder};
pub use critic::Critic;
pub use init::Init;
pub use layers::{
    BatchNorm, Conv2d, ConvSpec, ConvTranspose2d, GroupNorm, LayerNorm, Linear, Mode, SpectralNorm,
    SplitBatchNorm,
};
pub use mlp::Mlp;
pub use ops::pass::backward;
pub use params::Params;
pub use resnet::{BasicBlock, BlockKind, BottleneckBlock, ResNet, ResNetSpec, Stem};
