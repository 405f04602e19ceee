//! The operations that training spends its time in: fused, gradient-checked, bit-reproducible.
//!
//! | function | computes |
//! | --- | --- |
//! | [`conv2d`], [`conv_transpose2d`], [`conv2d_weight_gradient`] | convolutions, each other's derivatives |
//! | [`conv2d_with`] and its siblings | the same with [`ConvOptions`]: dilation and groups |
//! | [`conv2d_input_gradient`], [`leaky_relu_gradient`] | backward passes to be differentiated again |
//! | [`linear`] | x·Wᵀ + b |
//! | [`batch_norm`], [`batch_norm_by`] | batch normalisation by the batch's or by given moments, with ReLU |
//! | [`layer_norm`], [`group_norm`] | normalisation of each row, of each group of channels of an image |
//! | [`max_pool2d`], [`max_pool2d_with`], [`avg_pool2d`], [`global_average_pool`] | pooling |
//! | [`upsample_nearest2d`], [`upsample_bilinear2d`] | images made larger |
//! | [`dropout`] | values set to zero at random |
//! | [`sum_axes`], [`mean_axes`] | sums and means over any axes |
//! | [`relu`], [`add_relu`], [`leaky_relu`], [`sigmoid`], [`tanh`], [`silu`], [`gelu`] | activations |
//! | [`add_channels`] | one number added to each channel |
//! | [`log_softmax`], [`cross_entropy`], [`normalize_rows`] | row-wise |
//! | [`bernoulli_log_likelihood`], [`gaussian_log_likelihood`], [`bce_with_logits`], [`mean_squared_error`] | reconstruction terms |
//!
//! On the CPU each is one operation in candle's graph with a hand-written backward pass, for `f32` and
//! `f64`; on another device the same function is composed from candle's own kernels. Every function
//! decides this in one place (`if !ours(x)`), and a test holds all of them against their compositions.
//!
//! Take gradients with [`nn::backward`](super::backward); candle's own `backward` gives the same, slower.
//! Sums run in a fixed order over fixed chunks: one thread and many give the same bits. Gradients
//! are computed for the inputs that carry one, and nothing is recorded when none does.
//! Second derivatives are not recorded by candle's backward pass; write the first as a forward
//! pass where the second is needed (the convolutions are made for that).

pub(in crate::nn) mod activation;
mod average_pool;
mod batch_norm;
mod bilinear;
mod channels;
mod conv;
mod dropout;
pub(crate) mod element;
mod gated;
mod group_norm;
mod layer_norm;
mod likelihood;
mod linear;
mod max_pool;
mod normal;
pub(crate) mod pass;
mod pool;
mod record;
mod reduce;
mod separable;
mod softmax;
mod sums;
#[cfg(test)]
mod tests;

pub use activation::{add_relu, leaky_relu, leaky_relu_gradient, relu, sigmoid, tanh};
pub use average_pool::avg_pool2d;
pub use batch_norm::{Moments, batch_norm, batch_norm_by};
pub use bilinear::upsample_bilinear2d;
pub use channels::add_channels;
pub use conv::{
    ConvOptions, conv_transpose2d, conv_transpose2d_with, conv2d, conv2d_input_gradient,
    conv2d_weight_gradient, conv2d_weight_gradient_with, conv2d_with,
};
pub use dropout::dropout;
pub use gated::{gelu, silu};
pub use group_norm::group_norm;
pub use layer_norm::layer_norm;
pub use likelihood::{
    bce_with_logits, bernoulli_log_likelihood, gaussian_log_likelihood, mean_squared_error,
};
pub use linear::linear;
pub use max_pool::{max_pool2d, max_pool2d_with};
pub use pool::{global_average_pool, upsample_nearest2d};
pub use softmax::{cross_entropy, log_softmax, normalize_rows};
pub use sums::{mean_axes, sum_axes};
