use super::Mode;
use crate::nn::ops::Moments;
use crate::nn::ops::element::{by_type, ours, update, values};
use crate::nn::{Init, Params, ops};
use crate::{Float, Result};
use candle_core::Tensor;

/// Batch normalisation with running averages; see [`ops::batch_norm`]. For tables `[n, c]` and images `[n, c, h, w]`.
///
/// Tensors: `gamma`, `beta` `[c]` (trained), `running_mean`, `running_variance` `[c]` (buffers). Running
/// averages move by a tenth towards each batch, with the unbiased variance, as in other libraries.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    gamma: Tensor,
    beta: Tensor,
    running_mean: Tensor,
    running_variance: Tensor,
}

/// Keeps a constant channel finite.
const EPSILON: f64 = 1e-5;
/// How far a running average moves towards each batch.
const MOMENTUM: f64 = 0.1;

impl BatchNorm {
    /// For `channels` channels, starting as the identity.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when saved parameters do not fit.
    pub fn new(params: &Params, channels: usize) -> Result<Self> {
        Self::with_scale(params, channels, Init::ONES)
    }

    /// With another start of gamma: 0 makes the residual branch that ends here start as nothing.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_scale(params: &Params, channels: usize, gamma: Init) -> Result<Self> {
        Ok(BatchNorm {
            gamma: params.trained("gamma", &[channels], gamma)?,
            beta: params.trained("beta", &[channels], Init::ZEROS)?,
            running_mean: params.buffer("running_mean", &[channels], Init::ZEROS)?,
            running_variance: params.buffer("running_variance", &[channels], Init::ONES)?,
        })
    }

    /// x: `[n, c]` or `[n, c, h, w]`. Returns the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when x does not fit; in training
    /// [`Error::TooFewRows`](crate::Error::TooFewRows) for a single value a channel.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.normalize(x, mode, 1.0)
    }

    /// The same, rectified, in one pass.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_relu(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.normalize(x, mode, 0.0)
    }

    /// The same, followed by [`ops::leaky_relu`], in one pass.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and [`Error::Parameter`](crate::Error::Parameter) for a slope that is negative or
    /// not finite.
    pub fn forward_leaky_relu(&self, x: &Tensor, slope: f64, mode: Mode) -> Result<Tensor> {
        self.normalize(x, mode, slope)
    }

    fn normalize(&self, x: &Tensor, mode: Mode, slope: f64) -> Result<Tensor> {
        if mode == Mode::Eval {
            let (mean, variance) = (&self.running_mean, &self.running_variance);
            return ops::batch_norm_by(x, &self.gamma, &self.beta, mean, variance, EPSILON, slope);
        }
        let (y, moments) = self.by_batch(x, slope)?;
        self.average(&moments)?;
        Ok(y)
    }

    /// x normalised by its own moments, negative values times the slope, and these moments.
    pub(super) fn by_batch(&self, x: &Tensor, slope: f64) -> Result<(Tensor, Moments)> {
        ops::batch_norm(x, &self.gamma, &self.beta, EPSILON, slope)
    }

    /// Moves the running averages towards the moments of a batch.
    pub(super) fn average(&self, moments: &Moments) -> Result<()> {
        let unbias = moments.count as f64 / (moments.count as f64 - 1.0);
        average(&self.running_mean, &moments.mean, 1.0)?;
        average(&self.running_variance, &moments.variance, unbias)
    }
}

/// running += momentum·(scale·new − running), where it lies.
fn average(running: &Tensor, new: &Tensor, scale: f64) -> Result<()> {
    if !ours(running) {
        let moved = ((running * (1.0 - MOMENTUM))? + (new * (scale * MOMENTUM))?)?;
        return Ok(running.slice_set(&moved, 0, 0)?);
    }
    by_type!(running, T => {
        let new = values::<T>(new)?;
        update::<T>(running, |running| {
            for (r, &v) in running.iter_mut().zip(&new[..]) {
                let value = r.f64();
                *r = T::of(value + MOMENTUM * (scale * v.f64() - value));
            }
            Ok(())
        })
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::check;
    use candle_core::{DType, Device};

    #[test]
    fn running_averages_settle_at_the_moments_of_the_data() -> Result<()> {
        let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
        let norm = BatchNorm::new(&params, 3)?;
        let x = ((check::input(&[50, 3, 2, 2], 1)? * 2.0)? + 5.0)?;
        for _ in 0..300 {
            norm.forward(&x, Mode::Train)?;
        }
        let train = norm.forward_relu(&x, Mode::Train)?;
        let eval = norm.forward_relu(&x, Mode::Eval)?;
        let apart = (train - eval)?.abs()?.max_all()?.to_scalar::<f64>()?;
        // they differ by the unbiased variance: a factor of √(199 / 200)
        assert!(apart > 1e-4 && apart < 1e-2, "{apart}");
        let first = params.named_tensors()[2].1.to_vec1::<f64>()?;
        assert!(first.iter().all(|m| (m - 5.0).abs() < 0.5), "{first:?}");
        Ok(())
    }
}
