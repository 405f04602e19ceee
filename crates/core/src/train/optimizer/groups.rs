//! Parameter groups: parts of a network with rules and rates of their own.

use super::{Optimizer, State};
use crate::Result;
use crate::store::Record;
use candle_core::Var;
use candle_core::backprop::GradStore;

/// Several optimisers that step together, each with a factor on the learning rate.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::nn::{Linear, Params};
/// use unsup_core::train::{AdamW, Groups, Optimizer};
/// let params = Params::new(Seed::new(1));
/// let (encoder, head) = (params.scope("encoder"), params.scope("head"));
/// Linear::new(&encoder, 8, 4)?;
/// Linear::new(&head, 4, 2)?;
/// // fine-tuning: the pretrained encoder at a tenth of the head's rate
/// let optimizer = Groups::new()
///     .with(0.1, AdamW::new(encoder.trainable()))
///     .with(1.0, AdamW::new(head.trainable()).weight_decay(1e-4));
/// assert_eq!(optimizer.parameters().len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Groups {
    members: Vec<(f64, Box<dyn Optimizer>)>,
    parameters: Vec<Var>,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let factors: Vec<f64> = self.members.iter().map(|(factor, _)| *factor).collect();
        f.debug_struct("Groups").field("factors", &factors).finish_non_exhaustive()
    }
}

impl Groups {
    /// No group yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a group: its learning rate is `factor` times that of the step.
    #[must_use]
    pub fn with(mut self, factor: f64, optimizer: impl Optimizer + 'static) -> Self {
        self.parameters.extend_from_slice(optimizer.parameters());
        self.members.push((factor, Box::new(optimizer)));
        self
    }
}

impl Optimizer for Groups {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.members
            .iter_mut()
            .try_for_each(|(factor, optimizer)| optimizer.step(gradients, *factor * learning_rate))
    }

    fn parameters(&self) -> &[Var] {
        &self.parameters
    }
}

impl State for Groups {
    fn write(&self, prefix: &str, record: Record) -> Result<Record> {
        let mut groups = self.members.iter().enumerate();
        groups.try_fold(record, |record, (i, (_, optimizer))| {
            optimizer.write(&format!("{prefix}group{i}."), record)
        })
    }

    fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
        let mut groups = self.members.iter_mut().enumerate();
        groups.try_for_each(|(i, (_, optimizer))| optimizer.read(&format!("{prefix}group{i}."), record))
    }
}
