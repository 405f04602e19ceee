//! LARS: a learning rate for each layer.

use super::Optimizer;
use super::clip::{norm, norm_of_sum};
use super::rule::{Slots, is_weight, state_in_slots};
use super::sgd::Momentum;
use crate::Result;
use candle_core::Var;
use candle_core::backprop::GradStore;

/// SGD with momentum whose rate for each weight is scaled by trust · ‖p‖ / ‖g + λ·p‖, so that every layer
/// changes by the same share of itself; see the [module](super).
///
/// Of the two families this is the one of SimCLR's code: the scaled gradient enters the momentum and the learning
/// rate multiplies the momentum, v ← μ·v + s·(g + λ·p), p ← p − η·v. (You et al. put the rate inside the momentum;
/// the two agree at a constant rate.) Biases and the scales of normalisations are neither scaled nor decayed.
#[derive(Debug)]
pub struct Lars {
    slots: Slots<1>,
    momentum: f64,
    weight_decay: f64,
    trust: f64,
}

impl Lars {
    /// With momentum 0.9, trust 0.001 and weight decay 1e-6.
    pub fn new(parameters: Vec<Var>) -> Self {
        Lars { slots: Slots::new(parameters), momentum: 0.9, weight_decay: 1e-6, trust: 1e-3 }
    }

    /// μ.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Lars { momentum, ..self }
    }

    /// λ.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Lars { weight_decay, ..self }
    }

    /// The share of its own length that a weight moves at a learning rate of 1.
    #[must_use]
    pub fn trust(self, trust: f64) -> Self {
        Lars { trust, ..self }
    }
}

impl Optimizer for Lars {
    fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
        let Lars { momentum, weight_decay, trust, .. } = *self;
        self.slots.step(gradients, |parameter, gradient| {
            if !is_weight(parameter) {
                return Ok(Momentum { momentum, nesterov: false, decay: 0.0, scale: 1.0, rate });
            }
            let p = parameter.as_detached_tensor();
            let (length, slope) = (norm(&p)?, norm_of_sum(gradient, &p, weight_decay)?);
            // a weight of zero, or one without slope, moves as by SGD
            let scale = if length > 0.0 && slope > 0.0 { trust * length / slope } else { 1.0 };
            Ok(Momentum { momentum, nesterov: false, decay: weight_decay, scale, rate })
        })
    }

    fn parameters(&self) -> &[Var] {
        &self.slots.parameters
    }
}

state_in_slots!(Lars);
