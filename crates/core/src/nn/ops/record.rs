//! Recorded operations: a forward result, and a function that takes its gradient back.
//!
//! The forward pass is computed by plain code over slices; [`record1`] and its siblings then hang the
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
//! [`backward`] keeps those of variables apart and puts them into candle's store at the end.

use super::element::{Backend, Element, tensor};
use crate::Result;
use crate::math::in_pool;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Device, Layout, Shape, Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

type Gradient = Option<Tensor>;
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

/// An operation of two inputs; see the [module](self).
pub(crate) fn record2<T: Element>(
    name: &'static str,
    inputs: [&Tensor; 2],
    result: (Vec<T>, impl Into<Shape>),
    backward: impl Fn([&Tensor; 2], &Tensor, &Tensor) -> Backend<[Gradient; 2]> + Send + Sync + 'static,
) -> Backend<Tensor> {
    record(name, inputs, result, backward)
}

/// An operation of three inputs; see the [module](self).
pub(crate) fn record3<T: Element>(
    name: &'static str,
    inputs: [&Tensor; 3],
    result: (Vec<T>, impl Into<Shape>),
    backward: impl Fn([&Tensor; 3], &Tensor, &Tensor) -> Backend<[Gradient; 3]> + Send + Sync + 'static,
) -> Backend<Tensor> {
    record(name, inputs, result, backward)
}

fn record<T: Element, const N: usize>(
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

/// The gradients of a scalar with respect to all variables that it depends on, as candle's own `backward`
/// computes them, without its three passes over the memory of every parameter. Use it in training loops;
/// the trainer does.
///
/// # Errors
/// When a gradient cannot be computed.
///
/// ```
/// use unsup_core::candle::{Device, Var};
/// use unsup_core::nn::{backward, ops};
/// let x = Var::new(&[3_f64, -1.], &Device::Cpu)?;
/// let gradients = backward(&ops::relu(&x)?.sqr()?.sum_all()?)?;
/// assert_eq!(gradients.get(&x).map(|g| g.to_vec1::<f64>()).transpose()?, Some(vec![6., 0.]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    in_pool(|| {
        let pass = Pass::start();
        let mut gradients = loss.backward()?;
        for (variable, gradient) in pass.finish() {
            let total = match gradients.remove(&variable) {
                Some(other) => other.add(&gradient)?,
                None => gradient,
            };
            gradients.insert(&variable, total);
        }
        Ok(gradients)
    })
}

/// A run of [`backward`]: its number, and the variables that it has met with their gradients.
struct Pass {
    number: u64,
    variables: HashMap<TensorId, (Tensor, Tensor)>,
}

thread_local! {
    /// The run of this thread. A worker that waits for others may start another meanwhile.
    static PASS: RefCell<Option<Pass>> = const { RefCell::new(None) };
}

impl Pass {
    /// From here on this thread keeps the gradients of variables apart.
    fn start() -> Running {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Running(PASS.replace(Some(Pass { number, variables: HashMap::new() })))
    }

    /// What tells runs apart: the thread, and the number of the run unless it is one of candle's own.
    fn key() -> (ThreadId, u64) {
        (thread::current().id(), PASS.with_borrow(|pass| pass.as_ref().map_or(0, |pass| pass.number)))
    }
}

/// The run that was interrupted by this one, and comes back when it ends.
struct Running(Option<Pass>);

impl Running {
    fn finish(self) -> impl Iterator<Item = (Tensor, Tensor)> {
        PASS.take().map(|pass| pass.variables).unwrap_or_default().into_values()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        PASS.set(self.0.take());
    }
}

/// Keeps the gradient of an input if it is a variable and [`backward`] runs; otherwise gives it to candle.
fn kept_apart(input: &Tensor, gradient: Tensor) -> Backend<Gradient> {
    PASS.with_borrow_mut(|pass| match pass {
        Some(pass) if input.is_variable() => {
            match pass.variables.entry(input.id()) {
                Entry::Occupied(mut entry) => {
                    let (_, sum) = entry.get_mut();
                    *sum = sum.add(&gradient)?;
                }
                Entry::Vacant(entry) => _ = entry.insert((input.clone(), gradient)),
            }
            Ok(None)
        }
        _ => Ok(Some(gradient)),
    })
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
mod tests {
    use super::*;
    use crate::nn::ops;
    use candle_core::Var;

    /// relu(x)² summed, with candle's and our own operations and a result that is used three times.
    fn mixed(x: &Tensor) -> crate::Result<Tensor> {
        let y = ops::relu(x)?;
        let sum = (ops::add_relu(&y, &y)? + &y)?;
        Ok(ops::relu(&(sum.sqr()? * 0.5)?)?.sum_all()?)
    }

    #[test]
    fn gradients_meet_from_operations_of_both_kinds() -> crate::Result<()> {
        let x = Var::new(&[-1_f64, 0.5, 2.0], &Device::Cpu)?;
        let y = mixed(&x)?; // Σ ½(3x)² over positive x
        for candles in [true, false, true] {
            let gradients = if candles { y.backward()? } else { backward(&y)? };
            let dx = gradients.get(&x).map(Tensor::to_vec1::<f64>).transpose()?;
            assert_eq!(dx.as_deref(), Some(&[0.0, 4.5, 18.0][..]));
        }
        Ok(())
    }

    #[test]
    fn a_variable_of_operations_of_both_kinds_gets_the_sum() -> crate::Result<()> {
        let x = Var::new(&[2_f64], &Device::Cpu)?;
        let y = ((ops::relu(&x)? + x.as_tensor())? + ops::relu(&x)?)?.sum_all()?;
        let gradients = backward(&y)?;
        assert_eq!(gradients.get(&x).map(Tensor::to_vec1::<f64>).transpose()?, Some(vec![3.0]));
        assert!(PASS.with_borrow(Option::is_none));
        Ok(())
    }

    #[test]
    fn threads_share_a_graph() -> crate::Result<()> {
        let x = Var::from_vec(vec![1_f64; 1000], 1000, &Device::Cpu)?;
        let y = mixed(&x)?;
        let sums: Vec<crate::Result<f64>> = thread::scope(|scope| {
            let run = || {
                Ok(backward(&y)?
                    .get(&x)
                    .ok_or(candle_core::Error::Msg("none".into()))?
                    .sum_all()?
                    .to_scalar()?)
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().filter_map(|t| t.join().ok()).collect()
        });
        assert_eq!(sums.len(), 4);
        for sum in sums {
            assert_eq!(sum?, 9000.0);
        }
        Ok(())
    }

    #[test]
    fn a_graph_that_is_dropped_leaves_nothing_behind() -> crate::Result<()> {
        let x = Var::new(&[1_f64, 2.0], &Device::Cpu)?;
        let (inner, outer, weak) = {
            let y = ops::relu(&x)?;
            let z = ops::relu(&y)?;
            let slots = Arc::downgrade(&recorded()[&y.id()].slot);
            z.backward()?;
            (y.id(), z.id(), slots)
        };
        assert!(weak.upgrade().is_none(), "the graph is still alive");
        assert!(!recorded().contains_key(&inner) && !recorded().contains_key(&outer));
        Ok(())
    }
}
