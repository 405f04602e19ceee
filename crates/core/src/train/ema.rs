//! The exponential moving average of a network's parameters.

use super::state::{State, read_like};
use crate::nn::ops::element::{Backend, Element, by_type, ours, update, values};
use crate::nn::{Init, Params};
use crate::store::Record;
use crate::{Error, Result};
use candle_core::Tensor;

/// a ← d·a + (1 − d)·p for every tensor p of a network, buffers too (Polyak & Juditsky 1992; the teacher of MoCo and
/// mean-teacher methods, the sampler of GANs).
///
/// The averages are buffers of a [`Params`] of their own, or of another scope of the same one, where a checkpoint
/// finds them (averages of their own are a [`State`] to add to it: a clone shares its tensors). Build a second network on [`snapshot`](Params::snapshot)s of that scope, or on the scope itself.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::{Linear, Params};
/// use unsup_core::train::Ema;
/// let params = Params::new(Seed::new(7));
/// let student = Linear::new(&params.scope("student"), 3, 2)?;
/// let ema = Ema::new(&params.scope("student"), &params.scope("teacher"), 0.99)?;
/// let teacher = Linear::new(&params.scope("teacher"), 3, 2)?;   // finds the averages by name
/// // after each step of the optimiser:
/// ema.update()?;
/// let x = Tensor::ones((1, 3), DType::F32, &Device::Cpu)?;
/// assert!(!teacher.forward(&x)?.track_op());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ema {
    /// (average, parameter)
    pairs: Vec<(Tensor, Tensor)>,
    decay: f64,
}

impl Ema {
    /// Averages of everything in `network`, kept in `average` under the same names; they start at the network's values.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a decay outside [0, 1]; [`Error::Shape`] when `average` holds other shapes already.
    pub fn new(network: &Params, average: &Params, decay: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::parameter("decay", decay, "a number from 0 to 1"));
        }
        let pair = |(name, tensor): (String, Tensor)| {
            let buffer = average.buffer(&name, tensor.dims(), Init::ZEROS)?;
            Ok((name, buffer, tensor))
        };
        let triples = network.named_tensors().into_iter().map(pair).collect::<Result<Vec<_>>>()?;
        average.load(triples.iter().map(|(name, _, tensor)| (name.clone(), tensor.clone())))?;
        let pairs = triples.into_iter().map(|(_, buffer, tensor)| (buffer, tensor)).collect();
        Ok(Ema { pairs, decay })
    }

    /// One step of the average.
    ///
    /// # Errors
    /// When the device fails.
    pub fn update(&self) -> Result<()> {
        for (average, parameter) in &self.pairs {
            if ours(average) {
                by_type!(average, T => blend::<T>(average, parameter, self.decay))?;
            } else {
                let new = ((average * self.decay)? + (parameter * (1.0 - self.decay))?)?;
                average.flatten_all()?.slice_set(&new.flatten_all()?, 0, 0)?;
            }
        }
        Ok(())
    }
}

impl State for Ema {
    fn write(&self, prefix: &str, record: Record) -> Result<Record> {
        let mut pairs = self.pairs.iter().enumerate();
        pairs.try_fold(record, |record, (i, (average, _))| record.tensor(&format!("{prefix}{i}"), average))
    }

    fn read(&mut self, prefix: &str, record: &Record) -> Result<()> {
        let read =
            |(i, (average, _)): (usize, &(Tensor, _))| read_like(average, &format!("{prefix}{i}"), record);
        let saved = self.pairs.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
        for ((average, _), saved) in self.pairs.iter().zip(saved) {
            average.flatten_all()?.slice_set(&saved.flatten_all()?, 0, 0)?;
        }
        Ok(())
    }
}

fn blend<T: Element>(average: &Tensor, parameter: &Tensor, decay: f64) -> Backend<()> {
    let (keep, take) = (T::of(decay), T::of(1.0 - decay));
    let p = values::<T>(parameter)?;
    update::<T>(average, |a| {
        a.iter_mut().zip(p.iter()).for_each(|(a, &p)| *a = keep * *a + take * p);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::Linear;
    use crate::nn::ops::element::as_elsewhere;

    #[test]
    fn the_average_follows_by_its_formula() -> Result<()> {
        let params = Params::new(Seed::new(1));
        let student = params.scope("student");
        Linear::new(&student, 2, 1)?;
        let ema = Ema::new(&student, &params.scope("teacher"), 0.75)?;
        let weights = |scope: &str| -> Result<Vec<f32>> {
            Ok(params.scope(scope).named_tensors()[0].1.flatten_all()?.to_vec1()?)
        };
        let start = weights("student")?;
        assert_eq!(weights("teacher")?, start);
        for var in student.trainable() {
            var.set(&(var.as_detached_tensor() + 1.0)?)?;
        }
        ema.update()?;
        // composed as on another device
        as_elsewhere(|| ema.update())?;
        // after two steps 0.75² of the distance is left
        let expected = start.iter().map(|v| v + 1.0 - 0.5625);
        assert!(weights("teacher")?.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(params.trainable().len(), 2);
        assert!(matches!(Ema::new(&student, &params.scope("t"), 1.5), Err(Error::Parameter { .. })));
        Ok(())
    }
}
