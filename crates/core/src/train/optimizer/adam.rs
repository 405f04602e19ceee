//! Adam and AdamW: steps of nearly equal length in every coordinate.

use super::Optimizer;
use super::rule::{Rule, Slots, is_weight, state_in_slots};
use crate::Result;
use crate::nn::ops::element::{Backend, Element};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// The numbers of one step.
#[derive(Clone, Copy)]
struct Moments {
    betas: [f64; 2],
    /// 1 / (1 − βᵗ) of each β.
    corrections: [f64; 2],
    epsilon: f64,
    /// λ added to the gradient (Adam)
    coupled: f64,
    /// λ taken from the parameter itself (AdamW)
    decoupled: f64,
    rate: f64,
}

impl Rule<2> for Moments {
    #[inline(always)]
    fn apply<T: Element>(self, p: &mut T, [m, v]: [&mut T; 2], g: T) {
        let ([b1, b2], [c1, c2]) = (self.betas.map(T::of), self.corrections.map(T::of));
        let [a1, a2] = self.betas.map(|beta| T::of(1.0 - beta));
        let (epsilon, rate) = (T::of(self.epsilon), T::of(self.rate));
        let keep = T::of(1.0 - self.rate * self.decoupled);
        let g = g + T::of(self.coupled) * *p;
        *m = b1 * *m + a1 * g;
        *v = b2 * *v + a2 * g * g;
        *p = keep * *p - rate * (c1 * *m) / ((c2 * *v).sqrt() + epsilon);
    }

    fn composed(self, p: &Tensor, [m, v]: &[Tensor; 2], g: &Tensor) -> Backend<(Tensor, [Tensor; 2])> {
        let ([b1, b2], [c1, c2]) = (self.betas, self.corrections);
        let g = (g + (p * self.coupled)?)?;
        let m = ((m * b1)? + (&g * (1.0 - b1))?)?;
        let v = ((v * b2)? + (g.sqr()? * (1.0 - b2))?)?;
        let direction = ((&m * c1)? / ((&v * c2)?.sqrt()? + self.epsilon)?)?;
        let kept = (p * (1.0 - self.rate * self.decoupled))?;
        Ok(((kept - (direction * self.rate)?)?, [m, v]))
    }
}

macro_rules! adam {
    ($name:ident, $docs:literal, $coupled:literal) => {
        #[doc = $docs]
        #[derive(Debug)]
        pub struct $name {
            slots: Slots<2>,
            betas: [f64; 2],
            epsilon: f64,
            weight_decay: f64,
        }

        impl $name {
            /// With β = (0.9, 0.999), ε = 1e-8 and no weight decay.
            pub fn new(parameters: Vec<Var>) -> Self {
                let slots = Slots::new(parameters);
                $name { slots, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 }
            }

            /// (β₁, β₂), both in [0, 1).
            #[must_use]
            pub fn betas(self, first: f64, second: f64) -> Self {
                $name { betas: [first, second], ..self }
            }

            /// ε.
            #[must_use]
            pub fn epsilon(self, epsilon: f64) -> Self {
                $name { epsilon, ..self }
            }

            /// λ.
            #[must_use]
            pub fn weight_decay(self, weight_decay: f64) -> Self {
                $name { weight_decay, ..self }
            }
        }

        impl Optimizer for $name {
            fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
                let t = i32::try_from(self.slots.steps + 1).unwrap_or(i32::MAX);
                let corrections = self.betas.map(|beta| 1.0 / (1.0 - beta.powi(t)));
                let $name { betas, epsilon, weight_decay, .. } = *self;
                self.slots.step(gradients, |parameter, _| {
                    let decay = if is_weight(parameter) { weight_decay } else { 0.0 };
                    let [coupled, decoupled] = if $coupled { [decay, 0.0] } else { [0.0, decay] };
                    Ok(Moments { betas, corrections, epsilon, coupled, decoupled, rate })
                })
            }

            fn parameters(&self) -> &[Var] {
                &self.slots.parameters
            }
        }

        state_in_slots!($name);
    };
}

adam!(Adam, "Adam with weight decay in the gradient; see the [module](super).", true);
adam!(AdamW, "Adam with decoupled weight decay; see the [module](super).", false);
