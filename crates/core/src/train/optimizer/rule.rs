//! What all update rules share: the state of each parameter, and one pass over everything.

use crate::math::in_pool;
use crate::nn::ops::element::{Backend, Element, by_type, ours, update, values};
use crate::nn::tensor_file;
use crate::store::Record;
use crate::{Error, Result};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Elements that one thread updates at a time.
const STRETCH: usize = 1 << 14;

/// How one number changes, with N numbers of state.
pub(super) trait Rule<const N: usize>: Copy + Send + Sync {
    /// The change, on the CPU.
    fn apply<T: Element>(self, p: &mut T, state: [&mut T; N], g: T);

    /// The same from the backend's own operations, for other devices: the new parameter and state.
    fn composed(self, p: &Tensor, state: &[Tensor; N], g: &Tensor) -> Backend<(Tensor, [Tensor; N])>;
}

/// Parameters and what an optimiser remembers of each: nothing before its first gradient.
#[derive(Debug)]
pub(super) struct Slots<const N: usize> {
    pub(super) parameters: Vec<Var>,
    states: Vec<Option<[Tensor; N]>>,
    /// Steps made.
    pub(super) steps: usize,
}

impl<const N: usize> Slots<N> {
    pub(super) fn new(parameters: Vec<Var>) -> Self {
        Slots { states: vec![None; parameters.len()], parameters, steps: 0 }
    }

    /// One step: `rule` is asked for each parameter that has a gradient.
    pub(super) fn step<R: Rule<N>>(
        &mut self,
        gradients: &GradStore,
        mut rule: impl FnMut(&Var, &Tensor) -> Result<R> + Send,
    ) -> Result<()> {
        self.steps += 1;
        in_pool(|| self.update(gradients, &mut rule))
    }

    fn update<R: Rule<N>>(
        &mut self,
        gradients: &GradStore,
        rule: &mut impl FnMut(&Var, &Tensor) -> Result<R>,
    ) -> Result<()> {
        for (parameter, slot) in self.parameters.iter().zip(&mut self.states) {
            let Some(gradient) = gradients.get(parameter) else { continue };
            let rule = rule(parameter, gradient)?;
            let state = match slot {
                Some(state) => state,
                None => slot.insert(zeros(parameter)?),
            };
            if ours(parameter) {
                by_type!(parameter, T => on_cpu::<T, R, N>(rule, parameter, state, &gradient.contiguous()?))?;
            } else {
                let (p, new) = rule.composed(&parameter.as_detached_tensor(), state, gradient)?;
                parameter.set(&p.detach())?;
                *state = new.map(|tensor| tensor.detach());
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, prefix: &str, record: Record) -> Result<Record> {
        let mut record = record.value(&format!("{prefix}steps"), &self.steps)?;
        for (i, state) in self.states.iter().enumerate() {
            for (s, tensor) in state.iter().flatten().enumerate() {
                record = tensor_file::write(record, &format!("{prefix}{i}.{s}"), tensor)?;
            }
        }
        Ok(record)
    }

    pub(super) fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
        let steps = record.read_value(&format!("{prefix}steps"))?;
        let mut states = Vec::with_capacity(self.parameters.len());
        for (i, parameter) in self.parameters.iter().enumerate() {
            let name = |s: usize| format!("{prefix}{i}.{s}");
            if N == 0 || !record.array_names().any(|known| known == name(0)) {
                states.push(None);
                continue;
            }
            let mut state = zeros::<N>(parameter)?;
            for (s, slot) in state.iter_mut().enumerate() {
                let tensor = tensor_file::read(record, &name(s))?;
                let fits = tensor.dims() == parameter.dims() && tensor.dtype() == parameter.dtype();
                record.require(fits, &format!("optimiser state `{}` does not fit its parameter", name(s)))?;
                *slot = tensor.to_device(parameter.device())?;
            }
            states.push(Some(state));
        }
        (self.states, self.steps) = (states, steps);
        Ok(())
    }
}

fn zeros<const N: usize>(parameter: &Var) -> Result<[Tensor; N]> {
    let zeros: Vec<Tensor> =
        (0..N).map(|_| parameter.as_detached_tensor().zeros_like()).collect::<Backend<_>>()?;
    zeros.try_into().map_err(|_| Error::parameter("state", N, "one tensor each"))
}

/// An optimiser whose state is its `slots`.
macro_rules! state_in_slots {
    ($name:ident) => {
        impl $crate::train::State for $name {
            fn write(&self, prefix: &str, record: $crate::store::Record) -> Result<$crate::store::Record> {
                self.slots.write(prefix, record)
            }

            fn read(&mut self, prefix: &str, record: &$crate::store::Record) -> Result<()> {
                self.slots.read(prefix, record)
            }
        }
    };
}
pub(super) use state_in_slots;

/// Whether weight decay and layer-wise rates apply: to weights, not to biases and the scales of normalisations.
pub(super) fn is_weight(parameter: &Tensor) -> bool {
    parameter.rank() >= 2
}

fn on_cpu<T: Element, R: Rule<N>, const N: usize>(
    rule: R,
    parameter: &Tensor,
    state: &[Tensor; N],
    gradient: &Tensor,
) -> Backend<()> {
    let g = values::<T>(gradient)?;
    if g.len() != parameter.elem_count() {
        candle_core::bail!("a gradient of {} values for a parameter of {}", g.len(), parameter.elem_count());
    }
    update::<T>(parameter, |p| {
        borrow_all(state, Vec::with_capacity(N), &mut |state| pass(rule, p, state, &g))
    })
}

/// Borrows the values of every tensor at once.
fn borrow_all<T: Element>(
    tensors: &[Tensor],
    borrowed: Vec<&mut [T]>,
    f: &mut dyn FnMut(Vec<&mut [T]>) -> Backend<()>,
) -> Backend<()> {
    let Some((first, rest)) = tensors.split_first() else { return f(borrowed) };
    update::<T>(first, |values| {
        let mut all: Vec<&mut [T]> = borrowed;
        all.push(values);
        borrow_all(rest, all, f)
    })
}

fn pass<T: Element, R: Rule<N>, const N: usize>(
    rule: R,
    p: &mut [T],
    state: Vec<&mut [T]>,
    g: &[T],
) -> Backend<()> {
    if g.len() <= STRETCH {
        if let Ok(state) = state.try_into() {
            Arch::new().dispatch(Stretch { rule, p, state, g });
        }
        return Ok(());
    }
    let count = g.len().div_ceil(STRETCH);
    // stretch after stretch of the parameter, of each state and of the gradient
    let mut states: Vec<Vec<&mut [T]>> = (0..count).map(|_| Vec::with_capacity(N)).collect();
    for values in state {
        states.iter_mut().zip(values.chunks_mut(STRETCH)).for_each(|(all, stretch)| all.push(stretch));
    }
    p.par_chunks_mut(STRETCH).zip(states).zip(g.par_chunks(STRETCH)).for_each(|((p, state), g)| {
        if let Ok(state) = state.try_into() {
            Arch::new().dispatch(Stretch { rule, p, state, g });
        }
    });
    Ok(())
}

struct Stretch<'a, T, R, const N: usize> {
    rule: R,
    p: &'a mut [T],
    state: [&'a mut [T]; N],
    g: &'a [T],
}

impl<T: Element, R: Rule<N>, const N: usize> WithSimd for Stretch<'_, T, R, N> {
    type Output = ();

    /// A plain loop, compiled for the instruction set at hand.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.g.len();
        let (p, g) = (&mut self.p[..n], &self.g[..n]);
        let mut state = self.state.map(|values| &mut values[..n]);
        for i in 0..n {
            let (mut parameter, mut values) = (p[i], state.each_ref().map(|values| values[i]));
            self.rule.apply(&mut parameter, values.each_mut(), g[i]);
            p[i] = parameter;
            // where no gradient comes any more, averages fade into numbers that processors are slow with; each is stored once,
            // because a second store of only the faded ones is compiled to a masked one, which takes many cycles
            for (state, value) in state.iter_mut().zip(values) {
                state[i] = if value.abs() < T::min_positive_value() { T::zero() } else { value };
            }
        }
    }
}
