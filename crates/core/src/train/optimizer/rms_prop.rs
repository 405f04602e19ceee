//! RMSProp.

use super::Optimizer;
use super::rule::{Rule, Slots, is_weight, state_in_slots};
use crate::Result;
use crate::nn::ops::element::{Backend, Element};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// Gradients divided by their running root mean square; what weight-clipped Wasserstein critics are trained
/// with. See the [module](super).
#[derive(Debug)]
pub struct RmsProp {
    slots: Slots<1>,
    smoothing: f64,
    epsilon: f64,
    weight_decay: f64,
}

impl RmsProp {
    /// With α = 0.99, ε = 1e-8 and no weight decay.
    pub fn new(parameters: Vec<Var>) -> Self {
        RmsProp { slots: Slots::new(parameters), smoothing: 0.99, epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// α, in [0, 1).
    #[must_use]
    pub fn smoothing(self, smoothing: f64) -> Self {
        RmsProp { smoothing, ..self }
    }

    /// ε.
    #[must_use]
    pub fn epsilon(self, epsilon: f64) -> Self {
        RmsProp { epsilon, ..self }
    }

    /// λ, added to the gradient.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        RmsProp { weight_decay, ..self }
    }
}

#[derive(Clone, Copy)]
struct MeanSquare {
    smoothing: f64,
    epsilon: f64,
    decay: f64,
    rate: f64,
}

impl Rule<1> for MeanSquare {
    #[inline(always)]
    fn apply<T: Element>(self, p: &mut T, [v]: [&mut T; 1], g: T) {
        let g = g + T::of(self.decay) * *p;
        *v = T::of(self.smoothing) * *v + T::of(1.0 - self.smoothing) * g * g;
        *p -= T::of(self.rate) * g / (v.sqrt() + T::of(self.epsilon));
    }

    fn composed(self, p: &Tensor, [v]: &[Tensor; 1], g: &Tensor) -> Backend<(Tensor, [Tensor; 1])> {
        let g = (g + (p * self.decay)?)?;
        let v = ((v * self.smoothing)? + (g.sqr()? * (1.0 - self.smoothing))?)?;
        let direction = (g / (v.sqrt()? + self.epsilon)?)?;
        Ok(((p - (direction * self.rate)?)?, [v]))
    }
}

impl Optimizer for RmsProp {
    fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
        let RmsProp { smoothing, epsilon, weight_decay, .. } = *self;
        self.slots.step(gradients, |parameter, _| {
            let decay = if is_weight(parameter) { weight_decay } else { 0.0 };
            Ok(MeanSquare { smoothing, epsilon, decay, rate })
        })
    }

    fn parameters(&self) -> &[Var] {
        &self.slots.parameters
    }
}

state_in_slots!(RmsProp);
