//! Training: optimisers, schedules, and the loop that ties them to batches, observers and history.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`optimizer`] | [`AdamW`] and [`Sgd`], in place over the parameters; gradient clipping |
//! | [`schedule`] | the learning rate over the course of a training |
//! | [`trainer`] | [`Trainer`]: epochs, seeded batches, a closure that returns a [`Loss`] |
//!
//! The trainer is a loop of a dozen lines and nothing depends on it: with several losses,
//! optimisers or teachers, write the loop by hand from the same parts ([`batches`],
//! [`Schedule::rate`], [`Optimizer::step`]); see [`nn`](crate::nn) for one.

pub mod optimizer;
pub mod schedule;
pub mod trainer;

pub use optimizer::{AdamW, Optimizer, Sgd, clip_gradients};
pub use schedule::Schedule;
pub use trainer::{Batch, Loss, Trainer, batches};
