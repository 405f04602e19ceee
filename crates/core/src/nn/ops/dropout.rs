//! Dropout (Srivastava et al. 2014).

use super::element::{Element, by_type, float, ours, tensor, values};
use super::record::record1;
use super::reduce::STRETCH;
use crate::{Error, Float, Result, Seed};
use candle_core::Tensor;
use rand::RngExt;
use rayon::prelude::*;

/// Sets each value to 0 with probability p and divides the others by 1 − p, which leaves the mean as it
/// is (inverted dropout). Any shape. The same seed drops the same values, in both passes, on any device
/// and any number of threads: give every call of a training its own seed. With p = 0 this is x itself.
///
/// # Errors
/// [`Error::Shape`] when x does not hold `f32` or `f64`, [`Error::Parameter`] for p outside [0, 1).
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::ones((100, 100), DType::F32, &Device::Cpu)?;
/// let y = ops::dropout(&x, 0.75, Seed::new(7).named("dropout").indexed(0))?;
/// assert!(y.flatten_all()?.to_vec1::<f32>()?.iter().all(|&y| y == 0. || y == 4.));
/// assert!((y.mean_all()?.to_scalar::<f32>()? - 1.).abs() < 0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dropout(x: &Tensor, p: f64, seed: Seed) -> Result<Tensor> {
    float(x, "x")?;
    if !(0.0..1.0).contains(&p) {
        return Err(Error::parameter("p", p, "a probability in [0, 1)"));
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    if !ours(x) {
        return composed(x, p, seed);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let scale = T::of(1.0 / (1.0 - p));
        let kept = kept(x.elem_count(), p, seed);
        let y = keep_scaled(&values::<T>(x)?, &kept, scale);
        record1("dropout", x, (y, x.shape()), move |x, _, dy| {
            tensor(keep_scaled(&values::<T>(dy)?, &kept, scale), x.shape()).map(Some)
        })
    })?)
}

/// The same from the backend's own operations, for devices other than the CPU.
pub(super) fn composed(x: &Tensor, p: f64, seed: Seed) -> Result<Tensor> {
    let mask: Vec<u8> = kept(x.elem_count(), p, seed).into_iter().map(u8::from).collect();
    let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?;
    Ok((x * (mask * (1.0 / (1.0 - p)))?)?)
}

/// Which of `count` values stay. Each stretch of values has its own stream.
fn kept(count: usize, p: f64, seed: Seed) -> Vec<bool> {
    // a draw is uniform over 2³² numbers
    let threshold = p * (u64::from(u32::MAX) + 1) as f64;
    let mut kept = vec![false; count];
    kept.par_chunks_mut(STRETCH).enumerate().for_each(|(i, kept)| {
        let mut rng = seed.indexed(i).rng();
        kept.iter_mut().for_each(|kept| *kept = f64::from(rng.random::<u32>()) >= threshold);
    });
    kept
}

fn keep_scaled<T: Element>(x: &[T], kept: &[bool], scale: T) -> Vec<T> {
    let mut y = vec![T::zero(); x.len()];
    let stretches = x.par_chunks(STRETCH).zip(kept.par_chunks(STRETCH));
    y.par_chunks_mut(STRETCH).zip(stretches).for_each(|(y, (x, kept))| {
        for (y, (&x, &kept)) in y.iter_mut().zip(x.iter().zip(kept)) {
            *y = if kept { x * scale } else { T::zero() };
        }
    });
    y
}
