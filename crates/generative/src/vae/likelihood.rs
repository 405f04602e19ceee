//! What the decoder's output means: the distribution of an image given its code.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use unsup_core::nn::ops;
use unsup_core::{Error, Result};

/// log(variance) is log(FLOOR + eˢ) for a learned s: a pixel that never changes would otherwise make the
/// likelihood grow without bound.
const FLOOR: f64 = 1e-4;

/// The distribution p(x | z) of each pixel given the code; pixels are independent given it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Likelihood {
    /// Pixels are 0 or 1, with the probability that the decoder gives; values in between count as
    /// probabilities themselves, which makes the bound one of cross-entropies and not of a density.
    Bernoulli,
    /// Pixels are normal around the decoder's output.
    Gaussian(Variance),
}

/// The variance of a Gaussian pixel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Variance {
    /// This value. It weighs reconstruction against code as 1/β does.
    Fixed(f64),
    /// One learned value for all pixels: with a linear decoder the model is probabilistic PCA.
    Shared,
    /// One learned value a pixel: with a linear decoder the model is factor analysis.
    PerPixel,
}

impl Likelihood {
    /// # Errors
    /// [`Error::Parameter`] for a fixed variance that is not positive.
    pub(super) fn check(self) -> Result<()> {
        match self {
            Likelihood::Gaussian(Variance::Fixed(v)) if !(v > 0.0 && v.is_finite()) => {
                Err(Error::parameter("variance", v, "a positive number"))
            }
            _ => Ok(()),
        }
    }

    /// The shape of the learned s, if there is one, for images of this shape.
    pub(super) fn scale_shape(self, image: [usize; 3]) -> Option<[usize; 3]> {
        match self {
            Likelihood::Gaussian(Variance::Shared) => Some([1, 1, 1]),
            Likelihood::Gaussian(Variance::PerPixel) => Some(image),
            _ => None,
        }
    }

    /// E[x | z] from the decoder's output, of the same shape.
    pub(super) fn mean(self, output: &Tensor) -> Result<Tensor> {
        match self {
            Likelihood::Bernoulli => ops::sigmoid(output),
            Likelihood::Gaussian(_) => Ok(output.clone()),
        }
    }

    /// log p(x | z) of each image, `[n]`, in nats. x, output: `[n, c, h, w]`.
    pub(super) fn log_likelihood(
        self,
        x: &Tensor,
        output: &Tensor,
        scale: Option<&Tensor>,
    ) -> Result<Tensor> {
        let log_variance = match (self, scale) {
            (Likelihood::Bernoulli, _) => return ops::bernoulli_log_likelihood(x, output),
            (Likelihood::Gaussian(Variance::Fixed(variance)), _) => (output.zeros_like()? + variance.ln())?,
            (_, Some(scale)) => log_variance(scale)?.broadcast_as(output.shape())?.contiguous()?,
            (_, None) => output.zeros_like()?,
        };
        ops::gaussian_log_likelihood(x, output, &log_variance)
    }
}

/// log(FLOOR + eˢ).
pub(super) fn log_variance(scale: &Tensor) -> Result<Tensor> {
    Ok((scale.exp()? + FLOOR)?.log()?)
}
