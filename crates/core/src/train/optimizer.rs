//! Optimisers that update parameters in place: one pass over each, no temporaries on the CPU.
//!
//! With g the gradient of a parameter p and η the learning rate:
//!
//! * [`Sgd`]: v ← μ·v + g + λ·p,  p ← p − η·v (Polyak 1964; the form of PyTorch).
//! * [`AdamW`]: m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,
//!   p ← p − η·(m̂ / (√v̂ + ε) + λ·p), with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)
//!   (Kingma & Ba 2015; decoupled decay by Loshchilov & Hutter 2019).
//!
//! Weight decay λ applies to weights only (two axes or more), never to biases and the
//! scales of normalisations. Use AdamW unless a recipe asks for SGD; it needs the least tuning.

use crate::nn::ops::element::{Backend, Element, by_type, update, values};
use crate::{Error, Result};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use pulp::Arch;
use rayon::prelude::*;

/// Elements that one thread updates at a time.
const STRETCH: usize = 1 << 14;

/// Changes parameters by their gradients.
pub trait Optimizer {
    /// Makes one step. A parameter without a gradient stays as it is.
    ///
    /// # Errors
    /// When a gradient does not fit its parameter or the device fails.
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()>;

    /// The parameters it changes.
    fn parameters(&self) -> &[Var];
}

/// The state of a parameter, zeros before its first gradient.
fn state<'a>(slot: &'a mut Option<Tensor>, parameter: &Var) -> Result<&'a mut Tensor> {
    match slot {
        Some(tensor) => Ok(tensor),
        None => Ok(slot.insert(parameter.as_detached_tensor().zeros_like()?)),
    }
}

fn decays(parameter: &Var) -> bool {
    parameter.rank() >= 2
}

/// Stochastic gradient descent with momentum; see the [module](self).
#[derive(Debug)]
pub struct Sgd {
    parameters: Vec<Var>,
    velocity: Vec<Option<Tensor>>,
    momentum: f64,
    weight_decay: f64,
}

impl Sgd {
    /// With momentum 0.9 and no weight decay.
    pub fn new(parameters: Vec<Var>) -> Self {
        let velocity = vec![None; parameters.len()];
        Sgd { parameters, velocity, momentum: 0.9, weight_decay: 0.0 }
    }

    /// μ; 0 for plain gradient descent.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// λ.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Sgd { weight_decay, ..self }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        for (parameter, velocity) in self.parameters.iter().zip(&mut self.velocity) {
            let Some(gradient) = gradients.get(parameter) else { continue };
            let decay = if decays(parameter) { self.weight_decay } else { 0.0 };
            let velocity = state(velocity, parameter)?;
            if !parameter.device().is_cpu() {
                let p = parameter.as_detached_tensor();
                *velocity = (((&*velocity * self.momentum)? + gradient)? + (&p * decay)?)?.detach();
                parameter.set(&(p - (&*velocity * learning_rate)?)?)?;
                continue;
            }
            let coefficients = [self.momentum, decay, learning_rate];
            by_type!(parameter, T => sgd::<T>(parameter, velocity, &gradient.contiguous()?, coefficients))?;
        }
        Ok(())
    }

    fn parameters(&self) -> &[Var] {
        &self.parameters
    }
}

fn sgd<T: Element>(
    parameter: &Tensor,
    velocity: &Tensor,
    gradient: &Tensor,
    coefficients: [f64; 3],
) -> Backend<()> {
    let [momentum, decay, rate] = coefficients.map(T::of);
    let g = values::<T>(gradient)?;
    update::<T>(parameter, |p| {
        update::<T>(velocity, |v| {
            let stretches =
                p.par_chunks_mut(STRETCH).zip(v.par_chunks_mut(STRETCH)).zip(g.par_chunks(STRETCH));
            stretches.for_each(|((p, v), g)| {
                Arch::new().dispatch(|| {
                    for ((p, v), &g) in p.iter_mut().zip(v).zip(g) {
                        *v = momentum * *v + g + decay * *p;
                        *p -= rate * *v;
                    }
                });
            });
            Ok(())
        })
    })
}

/// Adam with decoupled weight decay; see the [module](self).
#[derive(Debug)]
pub struct AdamW {
    parameters: Vec<Var>,
    moments: Vec<[Option<Tensor>; 2]>,
    steps: i32,
    betas: [f64; 2],
    epsilon: f64,
    weight_decay: f64,
}

impl AdamW {
    /// With β = (0.9, 0.999), ε = 1e-8 and no weight decay.
    pub fn new(parameters: Vec<Var>) -> Self {
        let moments = vec![[None, None]; parameters.len()];
        AdamW { parameters, moments, steps: 0, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// (β₁, β₂), both in [0, 1).
    #[must_use]
    pub fn betas(self, first: f64, second: f64) -> Self {
        AdamW { betas: [first, second], ..self }
    }

    /// ε.
    #[must_use]
    pub fn epsilon(self, epsilon: f64) -> Self {
        AdamW { epsilon, ..self }
    }

    /// λ.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        AdamW { weight_decay, ..self }
    }
}

/// The numbers of one AdamW step.
#[derive(Clone, Copy)]
struct Step {
    betas: [f64; 2],
    /// 1 / (1 − βᵗ) of each β.
    corrections: [f64; 2],
    epsilon: f64,
    decay: f64,
    rate: f64,
}

impl Optimizer for AdamW {
    fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.steps = self.steps.saturating_add(1);
        let corrections = self.betas.map(|beta| 1.0 / (1.0 - beta.powi(self.steps)));
        for (parameter, [m, v]) in self.parameters.iter().zip(&mut self.moments) {
            let Some(gradient) = gradients.get(parameter) else { continue };
            let decay = if decays(parameter) { self.weight_decay } else { 0.0 };
            let step =
                Step { betas: self.betas, corrections, epsilon: self.epsilon, decay, rate: learning_rate };
            let (m, v) = (state(m, parameter)?, state(v, parameter)?);
            if parameter.device().is_cpu() {
                by_type!(parameter, T => adamw::<T>(parameter, m, v, &gradient.contiguous()?, step))?;
            } else {
                adamw_composed(parameter, m, v, gradient, step)?;
            }
        }
        Ok(())
    }

    fn parameters(&self) -> &[Var] {
        &self.parameters
    }
}

fn adamw<T: Element>(
    parameter: &Tensor,
    m: &Tensor,
    v: &Tensor,
    gradient: &Tensor,
    step: Step,
) -> Backend<()> {
    let ([b1, b2], [c1, c2]) = (step.betas.map(T::of), step.corrections.map(T::of));
    let [a1, a2] = step.betas.map(|beta| T::of(1.0 - beta));
    let (epsilon, rate, keep) = (T::of(step.epsilon), T::of(step.rate), T::of(1.0 - step.rate * step.decay));
    let g = values::<T>(gradient)?;
    update::<T>(parameter, |p| {
        update::<T>(m, |m| {
            update::<T>(v, |v| {
                let state = m.par_chunks_mut(STRETCH).zip(v.par_chunks_mut(STRETCH));
                let stretches = p.par_chunks_mut(STRETCH).zip(state).zip(g.par_chunks(STRETCH));
                stretches.for_each(|((p, (m, v)), g)| {
                    Arch::new().dispatch(|| {
                        for ((p, (m, v)), &g) in p.iter_mut().zip(m.iter_mut().zip(v)).zip(g) {
                            *m = b1 * *m + a1 * g;
                            *v = b2 * *v + a2 * g * g;
                            *p = keep * *p - rate * (c1 * *m) / ((c2 * *v).sqrt() + epsilon);
                        }
                    });
                });
                Ok(())
            })
        })
    })
}

/// The same from the backend's own operations, for devices other than the CPU.
fn adamw_composed(
    parameter: &Var,
    m: &mut Tensor,
    v: &mut Tensor,
    gradient: &Tensor,
    step: Step,
) -> Result<()> {
    let ([b1, b2], [c1, c2]) = (step.betas, step.corrections);
    *m = ((&*m * b1)? + (gradient * (1.0 - b1))?)?.detach();
    *v = ((&*v * b2)? + (gradient.sqr()? * (1.0 - b2))?)?.detach();
    let direction = ((&*m * c1)? / ((&*v * c2)?.sqrt()? + step.epsilon)?)?;
    let kept = (parameter.as_detached_tensor() * (1.0 - step.rate * step.decay))?;
    parameter.set(&(kept - (direction * step.rate)?)?)?;
    Ok(())
}

/// Scales all gradients of `parameters` so that their joint Euclidean norm is at most `max_norm`.
/// Returns the norm before.
///
/// # Errors
/// [`Error::Parameter`] when `max_norm` is not positive; when the device fails.
pub fn clip_gradients(gradients: &mut GradStore, parameters: &[Var], max_norm: f64) -> Result<f64> {
    if max_norm.is_nan() || max_norm <= 0.0 {
        return Err(Error::parameter("max_norm", max_norm, "a positive number"));
    }
    let mut squares = 0.0;
    for gradient in parameters.iter().filter_map(|parameter| gradients.get(parameter)) {
        squares += gradient.sqr()?.sum_all()?.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
    }
    let norm = squares.sqrt();
    if norm > max_norm {
        for parameter in parameters {
            if let Some(gradient) = gradients.remove(parameter) {
                gradients.insert(parameter, (gradient * (max_norm / norm))?.detach());
            }
        }
    }
    Ok(norm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    /// p after three steps on the loss Σ p³/3, whose gradient is p².
    fn three_steps(mut optimizer: impl Optimizer, p: &Var) -> Result<Vec<f64>> {
        for _ in 0..3 {
            let loss = (p.powf(3.0)?.sum_all()? / 3.0)?;
            optimizer.step(&loss.backward()?, 0.1)?;
        }
        Ok(p.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
    }

    fn reference(mut p: f64, mut update: impl FnMut(f64, f64, i32) -> f64) -> f64 {
        for t in 1..=3 {
            p = update(p, p * p, t);
        }
        p
    }

    #[test]
    fn steps_agree_with_the_formulas() -> Result<()> {
        let start = [0.5, -2.0, 1.25];
        for dtype in [DType::F64, DType::F32] {
            let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-6 };
            let weight = || -> Result<Var> {
                Ok(Var::from_tensor(&Tensor::new(&[start], &Device::Cpu)?.to_dtype(dtype)?)?)
            };
            let p = weight()?;
            let found = three_steps(Sgd::new(vec![p.clone()]).momentum(0.8).weight_decay(0.1), &p)?;
            for (found, start) in found.iter().zip(start) {
                let mut v = 0.0;
                let expected = reference(start, |p, g, _| {
                    v = 0.8 * v + g + 0.1 * p;
                    p - 0.1 * v
                });
                assert!((found - expected).abs() < tolerance, "SGD: {found} instead of {expected}");
            }
            let p = weight()?;
            let found = three_steps(AdamW::new(vec![p.clone()]).betas(0.8, 0.9).weight_decay(0.1), &p)?;
            for (found, start) in found.iter().zip(start) {
                let (mut m, mut v) = (0.0, 0.0);
                let expected = reference(start, |p, g, t| {
                    (m, v) = (0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g);
                    let (m, v) = (m / (1.0 - 0.8_f64.powi(t)), v / (1.0 - 0.9_f64.powi(t)));
                    p - 0.1 * (m / (v.sqrt() + 1e-8) + 0.1 * p)
                });
                assert!((found - expected).abs() < tolerance, "AdamW: {found} instead of {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn biases_do_not_decay_and_missing_gradients_change_nothing() -> Result<()> {
        let bias = Var::new(&[1_f64, 2.0], &Device::Cpu)?;
        let unused = Var::new(&[[3_f64]], &Device::Cpu)?;
        let loss = (bias.as_tensor() * 0.0)?.sum_all()?;
        let gradients = loss.backward()?;
        let mut optimizer = AdamW::new(vec![bias.clone(), unused.clone()]).weight_decay(1.0);
        optimizer.step(&gradients, 0.5)?;
        assert_eq!(bias.to_vec1::<f64>()?, [1.0, 2.0]);
        assert_eq!(unused.to_vec2::<f64>()?, [[3.0]]);
        Ok(())
    }

    #[test]
    fn clipping_bounds_the_joint_norm() -> Result<()> {
        let (a, b) = (Var::new(&[3_f64], &Device::Cpu)?, Var::new(&[4_f64], &Device::Cpu)?);
        let loss = ((a.sqr()? + b.sqr()?)? * 0.5)?.sum_all()?;
        let (mut gradients, both) = (loss.backward()?, [a.clone(), b.clone()]);
        assert_eq!(clip_gradients(&mut gradients, &both, 10.0)?, 5.0);
        assert_eq!(clip_gradients(&mut gradients, &both, 1.0)?, 5.0);
        assert!((clip_gradients(&mut gradients, &both, 1.0)? - 1.0).abs() < 1e-15);
        assert!(matches!(clip_gradients(&mut gradients, &both, 0.0), Err(Error::Parameter { .. })));
        Ok(())
    }
}
