//! Recorded operations: a forward result, and a function that takes its gradient back.
//!
//! The forward pass is computed by plain code over slices; [`record`] then hangs the
//! result into candle's graph, with a closure that is called with `(inputs…, result, gradient of the
//! result)` and returns the gradients of the inputs. When no input carries a gradient nothing is
//! recorded and the closure is dropped: an evaluation builds no graph.
//!
//! # How gradients travel
//! candle adds every gradient to a new tensor of zeros: three more passes over memory than the operation
//! itself needs, for each input of each operation. Between two operations of ours the gradient therefore
//! goes past candle. A recorded result y is two nodes in candle's graph:
//!
//! ```text
//! inputs ──► handle (one number; holds the closure) ──► y (the values)
//! ```
//!
//! An operation of ours that takes y names the *handle* as its input to candle (found by the id of y),
//! puts the gradient of y into the handle's slot, and tells candle that the handle's gradient is
//! one. An operation of candle's takes y as it is; its gradient arrives at y, which puts it into the same
//! slot. candle calls the handle after everything that depends on it, as it would for any tensor,
//! with the sum of these ones: the number of gradients that must be in the slot. Inputs that are no recorded
//! results (variables, results of candle's operations) get their gradients from candle as usual; only
//! [`backward`](super::pass::backward) keeps those of variables apart and puts them into candle's store at the end.

use super::element::{Backend, Element, tensor};
use super::pass::{Pass, kept_apart};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Device, Layout, Shape, Tensor, TensorId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;

pub(super) type Gradient = Option<Tensor>;
type Backward<const N: usize> =
    dyn Fn([&Tensor; N], &Tensor, &Tensor) -> Backend<[Gradient; N]> + Send + Sync;

/// An operation of one input; see the [module](self).
pub(crate) fn record1<T: Element>(
    name: &'static str,
    x: &Tensor,
    result: (Vec<T>, impl Into<Shape>),
    backward: impl Fn(&Tensor, &Tensor, &Tensor) -> Backend<Gradient> + Send + Sync + 'static,
) -> Backend<Tensor> {
    record(name, [x], result, move |[x], y, dy| Ok([backward(x, y, dy)?]))
}

/// An operation of up to three inputs; see the [module](self).
pub(crate) fn record<T: Element, const N: usize>(
    name: &'static str,
    inputs: [&Tensor; N],
    (values, shape): (Vec<T>, impl Into<Shape>),
    backward: impl Fn([&Tensor; N], &Tensor, &Tensor) -> Backend<[Gradient; N]> + Send + Sync + 'static,
) -> Backend<Tensor> {
    if !inputs.iter().any(|x| x.track_op()) {
        return tensor(values, shape);
    }
    let nodes = inputs.map(|x| recorded().get(&x.id()).cloned());
    let arguments: [Tensor; N] =
        std::array::from_fn(|i| nodes[i].as_ref().map_or(inputs[i], |node| &node.handle).clone());
    let slot = Arc::new(Slot::default());
    let result = Arc::new(OnceLock::new());
    let operation = Operation {
        name,
        inputs: inputs.map(Clone::clone),
        nodes,
        slot: Arc::clone(&slot),
        result: Arc::clone(&result),
        backward: Box::new(backward),
    };
    let handle = match &arguments[..] {
        [a] => a.apply_op1(operation)?,
        [a, b] => a.apply_op2(b, operation)?,
        [a, b, c] => a.apply_op3(b, c, operation)?,
        _ => candle_core::bail!("{name} has {N} inputs"),
    };
    let id = Arc::new(OnceLock::new());
    let y = handle.apply_op1(Values {
        name,
        values: Mutex::new(Some((T::to_cpu_storage_owned(values), shape.into()))),
        slot: Arc::clone(&slot),
        id: Arc::clone(&id),
    })?;
    // without its graph: the handle must not keep itself alive
    let _ = result.set(y.detach());
    recorded().insert(y.id(), Node { handle, slot });
    let _ = id.set(y.id());
    Ok(y)
}

/// The way back from a recorded result.
#[derive(Clone)]
struct Node {
    handle: Tensor,
    slot: Arc<Slot>,
}

/// The recorded results that are alive.
fn recorded() -> MutexGuard<'static, HashMap<TensorId, Node>> {
    static RECORDED: OnceLock<Mutex<HashMap<TensorId, Node>>> = OnceLock::new();
    RECORDED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The gradient of one result, on its way: for each backward pass that runs the sum so far, and of how many it is.
#[derive(Default)]
struct Slot(Mutex<Vec<Sum>>);

struct Sum {
    pass: (ThreadId, u64),
    count: usize,
    sum: Tensor,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Vec<Sum>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a gradient. Returns what candle is told: one more.
    fn put(&self, gradient: Tensor) -> Backend<Tensor> {
        let (mut slot, pass) = (self.lock(), Pass::key());
        match slot.iter_mut().find(|sum| sum.pass == pass) {
            Some(sum) => (sum.count, sum.sum) = (sum.count + 1, sum.sum.add(&gradient)?),
            None => slot.push(Sum { pass, count: 1, sum: gradient }),
        }
        counted(1.0)
    }

    /// Takes the sum of the gradients, of which there must be `expected`.
    fn take(&self, expected: &Tensor) -> Backend<Gradient> {
        let expected = expected.to_vec1::<f32>()?.first().map_or(0, |&count| count as usize);
        let (mut slot, pass) = (self.lock(), Pass::key());
        let found = slot.iter().position(|sum| sum.pass == pass);
        match found.map(|at| slot.swap_remove(at)) {
            Some(found) if found.count == expected => Ok(Some(found.sum)),
            None if expected == 0 => Ok(None),
            // an earlier backward pass through this graph failed half-way
            _ => candle_core::bail!("a gradient is left over from a backward pass that failed"),
        }
    }
}

fn counted(count: f32) -> Backend<Tensor> {
    Tensor::from_vec(vec![count], 1, &Device::Cpu)
}

/// The handle: one number for candle, and the way back to the inputs.
struct Operation<const N: usize> {
    name: &'static str,
    inputs: [Tensor; N],
    /// of the inputs that are recorded results
    nodes: [Option<Node>; N],
    slot: Arc<Slot>,
    result: Arc<OnceLock<Tensor>>,
    backward: Box<Backward<N>>,
}

impl<const N: usize> Operation<N> {
    fn forward() -> Backend<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(1)))
    }

    fn backward(&self, count: &Tensor) -> Backend<[Gradient; N]> {
        let Some(result) = self.result.get() else { candle_core::bail!("{} has no result", self.name) };
        let gradients = match self.slot.take(count)? {
            Some(gradient) => (self.backward)(self.inputs.each_ref(), result, &gradient.contiguous()?)?,
            None => [const { None }; N],
        };
        let mut told = [const { None }; N];
        for ((told, gradient), (input, node)) in
            told.iter_mut().zip(gradients).zip(self.inputs.iter().zip(&self.nodes))
        {
            *told = match (node, gradient) {
                (Some(node), Some(gradient)) => Some(node.slot.put(gradient)?),
                (Some(_), None) => Some(counted(0.0)?),
                // candle would add it to zeros, for nobody
                (None, Some(_)) if !input.track_op() => None,
                (None, Some(gradient)) => kept_apart(input, gradient)?,
                // candle insists on a gradient for everything that its graph holds
                (None, None) if input.track_op() => Some(input.zeros_like()?),
                (None, None) => None,
            };
        }
        Ok(told)
    }
}

impl<const N: usize> CustomOp1 for Operation<N> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Backend<(CpuStorage, Shape)> {
        Self::forward()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, count: &Tensor) -> Backend<Gradient> {
        Ok(self.backward(count)?.into_iter().next().flatten())
    }
}

impl<const N: usize> CustomOp2 for Operation<N> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Backend<(CpuStorage, Shape)> {
        Self::forward()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, count: &Tensor) -> Backend<(Gradient, Gradient)> {
        let mut gradients = self.backward(count)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten()))
    }
}

impl<const N: usize> CustomOp3 for Operation<N> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Backend<(CpuStorage, Shape)> {
        Self::forward()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        count: &Tensor,
    ) -> Backend<(Gradient, Gradient, Gradient)> {
        let mut gradients = self.backward(count)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten(), gradients.next().flatten()))
    }
}

/// The result itself, computed beforehand.
struct Values {
    name: &'static str,
    values: Mutex<Option<(CpuStorage, Shape)>>,
    slot: Arc<Slot>,
    id: Arc<OnceLock<TensorId>>,
}

impl CustomOp1 for Values {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Backend<(CpuStorage, Shape)> {
        let result = self.values.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.ok_or_else(|| candle_core::Error::Msg(format!("{} runs once", self.name)))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Backend<Gradient> {
        self.slot.put(gradient.clone()).map(Some)
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        // the node is dropped after the lock is given back: it may be the last to hold other results
        let node = self.id.get().and_then(|id| recorded().remove(id));
        drop(node);
    }
}

#[cfg(test)]
mod tests;
