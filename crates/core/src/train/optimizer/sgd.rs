//! Stochastic gradient descent.

use super::Optimizer;
use super::rule::{Rule, Slots, is_weight, state_in_slots};
use crate::Result;
use crate::nn::ops::element::{Backend, Element};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// Stochastic gradient descent with momentum; see the [module](super).
#[derive(Debug)]
pub struct Sgd {
    slots: Slots<1>,
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl Sgd {
    /// With momentum 0.9 and no weight decay.
    pub fn new(parameters: Vec<Var>) -> Self {
        Sgd { slots: Slots::new(parameters), momentum: 0.9, nesterov: false, weight_decay: 0.0 }
    }

    /// μ; 0 for plain gradient descent.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// Whether the step looks ahead along the momentum.
    #[must_use]
    pub fn nesterov(self, nesterov: bool) -> Self {
        Sgd { nesterov, ..self }
    }

    /// λ.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Sgd { weight_decay, ..self }
    }
}

/// v ← μ·v + s·(g + λ·p), then p moves along v, or along s·(g + λ·p) + μ·v.
#[derive(Clone, Copy)]
pub(super) struct Momentum {
    pub(super) momentum: f64,
    pub(super) nesterov: bool,
    pub(super) decay: f64,
    /// s, 1 for plain SGD.
    pub(super) scale: f64,
    pub(super) rate: f64,
}

impl Rule<1> for Momentum {
    #[inline(always)]
    fn apply<T: Element>(self, p: &mut T, [v]: [&mut T; 1], g: T) {
        let (momentum, scale, rate) = (T::of(self.momentum), T::of(self.scale), T::of(self.rate));
        let g = scale * (g + T::of(self.decay) * *p);
        *v = momentum * *v + g;
        let direction = if self.nesterov { g + momentum * *v } else { *v };
        *p -= rate * direction;
    }

    fn composed(self, p: &Tensor, [v]: &[Tensor; 1], g: &Tensor) -> Backend<(Tensor, [Tensor; 1])> {
        let g = ((g + (p * self.decay)?)? * self.scale)?;
        let v = ((v * self.momentum)? + &g)?;
        let direction = if self.nesterov { (g + (&v * self.momentum)?)? } else { v.clone() };
        Ok(((p - (direction * self.rate)?)?, [v]))
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        let Sgd { momentum, nesterov, weight_decay, .. } = *self;
        self.slots.step(gradients, |parameter, _| {
            let decay = if is_weight(parameter) { weight_decay } else { 0.0 };
            Ok(Momentum { momentum, nesterov, decay, scale: 1.0, rate: learning_rate })
        })
    }

    fn parameters(&self) -> &[Var] {
        &self.slots.parameters
    }
}

state_in_slots!(Sgd);
