//! A training of a network: what it keeps, what it restores, and when it gives up.

use super::early::EarlyStopping;
use super::state::State;
use super::trainer::Trainer;
use crate::nn::Params;
use crate::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A [`Trainer`] at work on a network, made by [`Trainer::on`]: with a checkpoint, with early stopping, with batches that are
/// prepared ahead.
///
/// The checkpoint is one file, replaced as a whole or not at all: parameters and buffers, the state of the
/// optimiser, the history, the sums since its last entry, what was added by [`with`](Self::with), and the settings. Batches
/// and schedule follow from the seed and the step, so there is no generator to save unless the loss has one of its own.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::{Linear, Params};
/// use unsup_core::observe::{Event, Silent};
/// use unsup_core::train::{AdamW, Loss, Trainer};
/// use std::ops::ControlFlow;
///
/// let folder = tempfile::tempdir()?;
/// let x = Tensor::from_vec(Seed::new(1).normals(60), (20, 3), &Device::Cpu)?.to_dtype(candle_core::DType::F32)?;
/// let train = |path: &str, observer: &mut dyn unsup_core::observe::Observer| -> unsup_core::Result<_> {
///     let params = Params::new(Seed::new(7));
///     let layer = Linear::new(&params, 3, 3)?;
///     let trainer = Trainer::new("identity", 6).batch_size(8);
///     let mut optimizer = AdamW::new(params.trainable());
///     trainer.resumable(folder.path().join(path), &params).run(20, &mut optimizer, observer, |batch| {
///         let x = batch.select(&x)?;
///         Ok(Loss::new((layer.forward(&x)? - x)?.sqr()?.mean_all()?))
///     })
/// };
/// let straight = train("straight", &mut Silent)?;
/// // stopped in the midst of the third epoch, then run again
/// let mut stop = |event: &Event<'_>| match event {
///     Event::Step { done: 7, .. } => ControlFlow::Break(()),
///     _ => ControlFlow::Continue(()),
/// };
/// assert_eq!(train("stopped", &mut stop)?.iterations(), 2);
/// assert_eq!(train("stopped", &mut Silent)?, straight);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Training<'a> {
    pub(super) trainer: &'a Trainer,
    pub(super) params: Params,
    /// Nothing is kept when there is none.
    pub(super) path: Option<PathBuf>,
    pub(super) every: Every,
    pub(super) about: serde_json::Value,
    pub(super) early_stopping: Option<EarlyStopping>,
    pub(super) states: Vec<(String, Box<dyn State + 'a>)>,
}

/// How often a checkpoint is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Every {
    Reports(usize),
    Steps(usize),
}

impl std::fmt::Debug for Training<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let states: Vec<&str> = self.states.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Training")
            .field("trainer", &self.trainer)
            .field("path", &self.path)
            .field("every", &self.every)
            .field("early_stopping", &self.early_stopping)
            .field("states", &states)
            .finish_non_exhaustive()
    }
}

impl Trainer {
    /// This training of the network in `params`, buffers included.
    pub fn on<'a>(&'a self, params: &Params) -> Training<'a> {
        Training {
            trainer: self,
            params: params.clone(),
            path: None,
            every: Every::Reports(1),
            about: serde_json::Value::Null,
            early_stopping: None,
            states: Vec::new(),
        }
    }

    /// The same with a checkpoint at `path` after every epoch. When there is one already, training goes on from it.
    pub fn resumable<'a>(&'a self, path: impl AsRef<Path>, params: &Params) -> Training<'a> {
        self.resumable_if(Some(path.as_ref()), params)
    }

    /// The same for a caller that may want no checkpoint.
    pub fn resumable_if<'a>(&'a self, path: Option<&Path>, params: &Params) -> Training<'a> {
        Training { path: path.map(Path::to_owned), ..self.on(params) }
    }
}

impl<'a> Training<'a> {
    /// Writes the checkpoint after every so many reports only (epochs, unless the trainer reports by steps), after the last
    /// step, and when an observer breaks. What dies in between loses the reports since.
    #[must_use]
    pub fn every(self, reports: usize) -> Self {
        Training { every: Every::Reports(reports.max(1)), ..self }
    }

    /// Writes the checkpoint after every so many steps, in the midst of an epoch too.
    #[must_use]
    pub fn every_steps(self, steps: usize) -> Self {
        Training { every: Every::Steps(steps.max(1)), ..self }
    }

    /// Settings that the trainer does not know (a method's spec): a checkpoint of other settings is refused.
    ///
    /// # Errors
    /// [`Error::Numerical`] when they have no JSON form.
    pub fn about(self, settings: &impl Serialize) -> Result<Self> {
        let about = serde_json::to_value(settings).map_err(|e| Error::Numerical {
            method: "a checkpoint",
            problem: format!("the settings have no JSON form: {e}"),
        })?;
        Ok(Training { about, ..self })
    }

    /// Adds something to the checkpoint that is neither in the network nor in the optimiser: another network, a queue, a
    /// generator. See [`State`].
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use unsup_core::candle::{Device, Tensor, Var};
    /// use unsup_core::nn::Params;
    /// use unsup_core::observe::Silent;
    /// use unsup_core::train::{Loss, Sgd, Trainer};
    /// use unsup_core::Seed;
    /// use rand::RngExt;
    /// let weight = Var::new(&[1_f32], &Device::Cpu)?;
    /// let generator = Mutex::new(Seed::new(1).rng());
    /// let (trainer, network) = (Trainer::new("noisy", 3), Params::new(Seed::new(0)));
    /// trainer.on(&network).with("generator", &generator).run(8, &mut Sgd::new(vec![weight.clone()]), &mut Silent, |_| {
    ///     let noise: f64 = generator.lock().map_or(0.0, |mut generator| generator.random());
    ///     Ok(Loss::new((weight.sqr()? * noise)?.sum_all()?))
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with(mut self, name: &str, state: impl State + 'a) -> Self {
        self.states.push((name.to_owned(), Box::new(state)));
        self
    }

    /// Ends the training when the objective on the validation rows has for `patience` reports not fallen below its best by more
    /// than `min_delta` (Prechelt 1998). However the training ends, the network is then the best one that a report has
    /// seen, buffers included.
    ///
    /// ```
    /// use unsup_core::Seed;
    /// use unsup_core::candle::{DType, Device, Tensor};
    /// use unsup_core::nn::{Linear, Params};
    /// use unsup_core::observe::{Silent, Stop};
    /// use unsup_core::train::{Loss, Schedule, Sgd, Trainer};
    /// let params = Params::new(Seed::new(7));
    /// let layer = Linear::new(&params, 2, 1)?;
    /// let x = Tensor::ones((10, 2), DType::F32, &Device::Cpu)?;
    /// let trainer = Trainer::new("zero", 1000).validation(0.2).schedule(Schedule::constant(0.1));
    /// let mut optimizer = Sgd::new(params.trainable());
    /// let history = trainer.on(&params).early_stopping(5, 1e-3).run(10, &mut optimizer, &mut Silent, |batch| {
    ///     Ok(Loss::new(layer.forward(&batch.select(&x)?)?.sqr()?.mean_all()?))
    /// })?;
    /// assert_eq!(history.stop(), Stop::EarlyStopping);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn early_stopping(self, patience: usize, min_delta: f64) -> Self {
        Training { early_stopping: Some(EarlyStopping { patience, min_delta }), ..self }
    }
}
