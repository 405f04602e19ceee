//! Training: optimisers, schedules, and the loop that ties them to batches, observers and history.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`optimizer`] | [`AdamW`], [`Adam`], [`Sgd`], [`RmsProp`], [`Lars`], in place over the parameters; [`Groups`]; clipping |
//! | [`schedule`] | the learning rate over the course of a training |
//! | [`trainer`] | [`Trainer`]: epochs, seeded batches, a closure that returns a [`Loss`] |
//! | [`Resumable`] | the same with a checkpoint: a stopped training goes on with the same bits |
//! | [`Ema`] | the moving average of a network |
//!
//! The trainer is a loop of a dozen lines and nothing depends on it: with several losses,
//! optimisers or teachers, write the loop by hand from the same parts ([`batches`],
//! [`Schedule::rate`], [`Optimizer::step`]); see [`nn`](crate::nn) for one.

mod checkpoint;
mod ema;
pub mod optimizer;
pub mod schedule;
pub mod trainer;

pub use checkpoint::Resumable;
pub use ema::Ema;
pub use optimizer::{
    Adam, AdamW, Groups, Lars, Optimizer, RmsProp, Sgd, clip_gradient_values, clip_gradients,
};
pub use schedule::Schedule;
pub use trainer::{Batch, Loss, Trainer, batches};
