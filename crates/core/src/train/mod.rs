//! Training: optimisers, schedules, and the loop that ties them to batches, observers and history.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`optimizer`] | [`AdamW`], [`Adam`], [`Sgd`], [`RmsProp`], [`Lars`], in place over the parameters; [`Groups`]; clipping |
//! | [`schedule`] | the learning rate over the course of a training |
//! | [`Trainer`] | how long, in which batches: a loop around a closure that returns a [`Loss`] |
//! | [`Training`] | the same with a checkpoint, early stopping, batches prepared ahead: [`Trainer::on`] |
//! | [`State`] | what else a checkpoint holds |
//! | [`Ema`] | the moving average of a network |
//!
//! Nothing depends on the trainer: with several losses, optimisers or teachers, write the loop by hand from the same
//! parts ([`batches`], [`Schedule::rate`], [`Optimizer::step`], [`State`]); the example `hand_written_loop` is one.

mod ahead;
mod batch;
mod checkpoint;
mod early;
mod ema;
mod loss;
pub mod optimizer;
mod plan;
mod run;
pub mod schedule;
mod state;
mod trainer;
mod training;

pub use batch::{Batch, batches};
pub use ema::Ema;
pub use loss::Loss;
pub use optimizer::{
    Adam, AdamW, Groups, Lars, Optimizer, RmsProp, Sgd, clip_gradient_values, clip_gradients,
};
pub use schedule::Schedule;
pub use state::State;
pub use trainer::Trainer;
pub use training::Training;
