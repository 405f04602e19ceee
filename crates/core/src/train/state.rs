//! What else must survive a stop, besides a network: averages, queues, generators.

use crate::nn::Params;
use crate::seed::Rng;
use crate::store::Record;
use crate::{Error, Result};
use candle_core::Tensor;
use rand::SeedableRng;
use std::sync::{Mutex, MutexGuard, TryLockError};

/// Something that a checkpoint can hold: every [`Optimizer`](super::Optimizer), a [`Params`], an [`Ema`](super::Ema), a
/// generator, or a type of your own. [`Training::with`](super::Training::with) adds it to a checkpoint.
///
/// What the loss changes while the training holds on to it goes into a [`Mutex`], a reference to which is a state too.
///
/// ```
/// use unsup_core::Result;
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::store::Record;
/// use unsup_core::train::State;
///
/// /// The last few codes, as momentum contrast keeps them.
/// struct Queue { codes: Tensor, next: usize }
///
/// impl State for Queue {
///     fn write(&self, prefix: &str, record: Record) -> Result<Record> {
///         record.tensor(&format!("{prefix}codes"), &self.codes)?.value(&format!("{prefix}next"), &self.next)
///     }
///
///     fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
///         let codes = record.read_tensor(&format!("{prefix}codes"))?;
///         record.require(codes.dims() == self.codes.dims(), "a queue of another size")?;
///         *self = Queue { codes, next: record.read_value(&format!("{prefix}next"))? };
///         Ok(())
///     }
/// }
///
/// let mut queue = Queue { codes: Tensor::ones((8, 2), DType::F32, &Device::Cpu)?, next: 3 };
/// let record = queue.write("queue.", Record::new("Example"))?;
/// queue.next = 0;
/// queue.read("queue.", &record)?;
/// assert_eq!(queue.next, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait State {
    /// Adds everything to a record, under names that begin with `prefix`.
    ///
    /// # Errors
    /// When a tensor cannot be read from its device.
    fn write(&self, prefix: &str, record: Record) -> Result<Record>;

    /// Takes everything from a record that a state of the same form wrote.
    ///
    /// # Errors
    /// [`Error::File`] when something is missing or does not fit; this state is then unchanged.
    fn read(&mut self, prefix: &str, record: &Record) -> Result<()>;
}

impl<S: State + ?Sized> State for Box<S> {
    fn write(&self, prefix: &str, record: Record) -> Result<Record> {
        (**self).write(prefix, record)
    }

    fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
        (**self).read(prefix, record)
    }
}

impl<S: State> State for &Mutex<S> {
    fn write(&self, prefix: &str, record: Record) -> Result<Record> {
        free(self)?.write(prefix, record)
    }

    fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
        free(self)?.read(prefix, record)
    }
}

fn free<S>(state: &Mutex<S>) -> Result<MutexGuard<'_, S>> {
    match state.try_lock() {
        Ok(state) => Ok(state),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(held()),
    }
}

fn held() -> Error {
    let problem = "a state is locked outside of the loss; unlock it before the step ends".to_owned();
    Error::Numerical { method: "a checkpoint", problem }
}

/// Every tensor of the scope, by its name. A clone shares its tensors with the original, so a clone can be given away.
impl State for Params {
    fn write(&self, prefix: &str, record: Record) -> Result<Record> {
        let mut tensors = self.named_tensors().into_iter();
        tensors.try_fold(record, |record, (name, tensor)| record.tensor(&format!("{prefix}{name}"), &tensor))
    }

    fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
        let read = |(name, target): (String, Tensor)| {
            let tensor = read_like(&target, &format!("{prefix}{name}"), record)?;
            Ok((name, tensor))
        };
        self.load(self.named_tensors().into_iter().map(read).collect::<Result<Vec<_>>>()?)
    }
}

/// The place in its stream: a generator that is drawn from in the loop goes on with the same numbers.
impl State for Rng {
    fn write(&self, prefix: &str, record: Record) -> Result<Record> {
        // a number of 128 bits, which JSON does not have
        let position = self.get_word_pos().to_string();
        record.value(&format!("{prefix}generator"), &(self.get_seed(), self.get_stream(), position))
    }

    fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
        let name = format!("{prefix}generator");
        let (seed, stream, position): ([u8; 32], u64, String) = record.read_value(&name)?;
        let position = position.parse::<u128>();
        record.require(position.is_ok(), &format!("`{name}` has no position"))?;
        *self = Rng::from_seed(seed);
        self.set_stream(stream);
        self.set_word_pos(position.unwrap_or_default());
        Ok(())
    }
}

/// A saved tensor that is to replace the values of `target`.
pub(super) fn read_like(target: &Tensor, name: &str, record: &Record) -> Result<Tensor> {
    let tensor = record.read_tensor(name)?;
    let fits = tensor.dims() == target.dims() && tensor.dtype() == target.dtype();
    record.require(fits, &format!("`{name}` is not of shape {:?}", target.dims()))?;
    Ok(tensor.to_device(target.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::Init;
    use rand::RngExt;

    #[test]
    fn a_generator_goes_on_with_the_same_numbers() -> Result<()> {
        let mut rng = Seed::new(3).rng();
        rng.set_stream(5);
        let _: [f64; 7] = rng.random();
        let record = rng.write("a.", Record::new("Example"))?;
        let expected: [u64; 9] = rng.random();
        let other = Mutex::new(Seed::new(4).rng());
        (&other).read("a.", &record)?;
        assert_eq!(free(&other)?.random::<[u64; 9]>(), expected);
        assert!(matches!((&other).read("b.", &record), Err(Error::File { .. })));
        Ok(())
    }

    #[test]
    fn a_network_that_does_not_fit_is_refused_and_unchanged() -> Result<()> {
        let small = Params::new(Seed::new(1));
        small.trained("weight", &[2, 2], Init::Normal(1.0))?;
        let record = State::write(&small, "a.", Record::new("Example"))?;
        let other = Params::new(Seed::new(2));
        let weight = other.trained("weight", &[3], Init::Normal(1.0))?;
        let before = weight.to_vec1::<f32>()?;
        assert!(matches!(State::read(&mut other.clone(), "a.", &record), Err(Error::File { .. })));
        assert_eq!(weight.to_vec1::<f32>()?, before);
        let same = Params::new(Seed::new(2));
        let weight = same.trained("weight", &[2, 2], Init::Normal(1.0))?;
        State::read(&mut same.clone(), "a.", &record)?;
        assert_eq!(weight.to_vec2::<f32>()?, small.named_tensors()[0].1.to_vec2::<f32>()?);
        Ok(())
    }

    #[test]
    fn a_state_that_is_locked_is_an_error() -> Result<()> {
        let rng = Mutex::new(Seed::new(3).rng());
        let held = free(&rng)?;
        let written = (&rng).write("a.", Record::new("Example"));
        assert!(matches!(written, Err(Error::Numerical { .. })));
        drop(held);
        Ok(())
    }
}
