//! The backward pass that training uses: candle's, with the gradients of variables kept out of its sums.
//!
//! While it runs, the thread holds the gradients that recorded operations have for variables; see
//! [`record`](super::record) for everything in between.

use super::element::Backend;
use super::record::Gradient;
use crate::Result;
use crate::math::in_pool;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};

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
pub(super) struct Pass {
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
    pub(super) fn key() -> (ThreadId, u64) {
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
pub(super) fn kept_apart(input: &Tensor, gradient: Tensor) -> Backend<Gradient> {
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
