//! Layers: an operation of [`ops`](super::ops) with its parameters.
//!
//! Every layer is made by `new(&params, …)`, which names its tensors within the scope it is given,
//! and used by `forward(&x)`. Layers that behave differently in training take a [`Mode`].

mod batch_norm;
mod conv;
mod group_norm;
mod layer_norm;
mod linear;
mod spectral_norm;
mod split_batch_norm;

pub use batch_norm::BatchNorm;
pub use conv::{Conv2d, ConvSpec, ConvTranspose2d};
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use spectral_norm::{Matrix, SpectralNorm};
pub use split_batch_norm::SplitBatchNorm;

/// Whether a forward pass is part of training or of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Normalise by the batch, and update running averages.
    Train,
    /// Normalise by the running averages; change nothing.
    Eval,
}
