//! Optimisers that update parameters in place: one pass over each, no temporaries on the CPU.
//!
//! With g the gradient of a parameter p, η the learning rate and λ the weight decay:
//!
//! * [`Sgd`]: v ← μ·v + g + λ·p, p ← p − η·v; with Nesterov's look-ahead p ← p − η·(g + λ·p + μ·v)
//!   (Polyak 1964; Nesterov 1983; the form of PyTorch).
//! * [`AdamW`]: m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², p ← p − η·(m̂ / (√v̂ + ε) + λ·p), with
//!   m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ) (Kingma & Ba 2015; decoupled decay by Loshchilov & Hutter 2019).
//! * [`Adam`]: the same with the decay added to the gradient, g + λ·p, as in the original.
//! * [`RmsProp`]: v ← α·v + (1 − α)g², p ← p − η·g / (√v + ε) (Tieleman & Hinton 2012).
//! * [`Lars`]: SGD whose rate for each weight is scaled by ‖p‖ / ‖g + λ·p‖ (You, Gitman & Ginsburg 2017).
//!
//! Weight decay λ applies to weights only (two axes or more), never to biases and the
//! scales of normalisations. Use AdamW unless a recipe asks for another; it needs the least tuning. LARS is for
//! batches of thousands. [`Groups`] gives parts of a network rates and rules of their own.
//!
//! Every optimiser is a [`State`]: it can be written to a file and read back with the same bits; that is
//! what a checkpoint holds.

mod adam;
mod clip;
mod groups;
mod lars;
mod rms_prop;
mod rule;
mod sgd;
#[cfg(test)]
mod tests;

pub use adam::{Adam, AdamW};
pub use clip::{clip_gradient_values, clip_gradients};
pub use groups::Groups;
pub use lars::Lars;
pub use rms_prop::RmsProp;
pub use sgd::Sgd;

use super::state::State;
use crate::Result;
use candle_core::Var;
use candle_core::backprop::GradStore;

/// Changes parameters by their gradients. Its [`State`] is what it remembers between steps; the parameters themselves are
/// not part of it, nor are the settings.
pub trait Optimizer: State + Send {
    /// Makes one step. A parameter without a gradient stays as it is.
    ///
    /// # Errors
    /// When a gradient does not fit its parameter or the device fails.
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()>;

    /// The parameters it changes.
    fn parameters(&self) -> &[Var];
}
