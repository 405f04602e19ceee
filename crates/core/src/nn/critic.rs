//! A critic whose input gradient can be trained on: for WGAN-GP and R1.
//!
//! candle's backward pass records nothing, so a gradient that is part of a loss must be written as a forward pass. For
//! strided convolutions, leaky ReLUs and an affine map at the end that is one walk back through the same layers,
//! made of operations that are each other's derivatives. The activations are piecewise linear, so their second
//! derivative is 0 and everything here is exact. Normalisations over a batch have no place in such a critic: the
//! penalty is one of each image's own gradient (Gulrajani et al. 2017, section 4).
//!
//! Cost: the penalty's forward and backward pass are about three of the critic's own.

use super::{Conv2d, ConvSpec, Linear, Params, ops};
use crate::{Error, Result, Seed};
use candle_core::{Device, Tensor};
use rand::RngExt;

/// Leaky ReLUs let this much of a negative value through (Radford et al. 2016).
const SLOPE: f64 = 0.2;

/// Convolutions of 4 x 4 at stride 2 with leaky ReLUs, then one number an image.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::{Critic, Params, backward, critic};
/// let params = Params::new(Seed::new(1));
/// let judge = Critic::new(&params, [1, 9, 8], &[8, 16])?;
/// let (real, fake) = (Tensor::ones((4, 1, 9, 8), DType::F32, &Device::Cpu)?, Tensor::zeros((4, 1, 9, 8), DType::F32, &Device::Cpu)?);
/// let between = critic::interpolate(&real, &fake, Seed::new(2))?;
/// let (_, gradient) = judge.forward_with_input_gradient(&between)?;
/// let loss = ((judge.forward(&fake)? - judge.forward(&real)?)?.mean_all()? + (critic::gradient_penalty(&gradient)? * 10.0)?)?;
/// assert_eq!(backward(&loss)?.get_ids().count(), params.trainable().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Critic {
    image: [usize; 3],
    layers: Vec<Conv2d>,
    score: Linear,
}

impl Critic {
    /// For images `[c, h, w]`; each convolution, to so many channels, halves height and width.
    ///
    /// # Errors
    /// [`Error::Parameter`] when nothing is left of the image, [`Error::Shape`] when saved parameters do not fit.
    pub fn new(params: &Params, image: [usize; 3], channels: &[usize]) -> Result<Self> {
        let [mut from, mut height, mut width] = image;
        let mut layers = Vec::new();
        for (i, &to) in channels.iter().enumerate() {
            layers.push(Conv2d::new(&params.scope(i), from, to, ConvSpec::new(4).stride(2).padding(1))?);
            (from, height, width) = (to, height / 2, width / 2);
        }
        if from * height * width == 0 {
            let allowed = "positive numbers, and few enough that a pixel is left";
            return Err(Error::parameter("channels", format!("{channels:?}"), allowed));
        }
        Ok(Critic { image, layers, score: Linear::new(&params.scope("score"), from * height * width, 1)? })
    }

    /// x: `[n, c, h, w]`. Returns the scores `[n]`, without bound.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.scores(x, &mut Vec::new())
    }

    /// The scores `[n]`, and their gradients with respect to x `[n, c, h, w]`, which is differentiable with respect to all
    /// parameters.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward_with_input_gradient(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut inner = Vec::new();
        let scores = self.scores(x, &mut inner)?;
        let ones = Tensor::ones((x.dim(0)?, 1), x.dtype(), x.device())?;
        let mut gradient = self.score.input_gradient(&ones)?;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let before = if i == 0 { x } else { &inner[i - 1] };
            gradient = ops::leaky_relu_gradient(&inner[i], &gradient.reshape(inner[i].shape())?, SLOPE)?;
            gradient = layer.input_gradient(&gradient, [before.dim(2)?, before.dim(3)?])?;
        }
        Ok((scores, gradient.reshape(x.shape())?))
    }

    /// The scores; the values before each activation go to `inner`.
    fn scores(&self, x: &Tensor, inner: &mut Vec<Tensor>) -> Result<Tensor> {
        if x.rank() != 4 || x.dims()[1..] != self.image {
            let expected = format!("shape [n, {}, {}, {}]", self.image[0], self.image[1], self.image[2]);
            return Err(Error::shape("x", expected, format!("shape {:?}", x.dims())));
        }
        let mut x = x.clone();
        for layer in &self.layers {
            let y = layer.forward(&x)?;
            x = ops::leaky_relu(&y, SLOPE)?;
            inner.push(y);
        }
        Ok(self.score.forward(&x.flatten_from(1)?)?.squeeze(1)?)
    }
}

/// ε·real + (1 − ε)·fake with a uniform ε for each image (Gulrajani et al. 2017, algorithm 1). Both: `[n, …]`, the
/// same shape, which is returned. No gradient flows into them.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ.
pub fn interpolate(real: &Tensor, fake: &Tensor, seed: Seed) -> Result<Tensor> {
    if real.rank() == 0 || real.shape() != fake.shape() {
        let (expected, found) = (format!("shape {:?}", real.dims()), format!("shape {:?}", fake.dims()));
        return Err(Error::shape("fake", expected, found));
    }
    let (mut rng, n) = (seed.named("interpolate").rng(), real.dim(0)?);
    let epsilon: Vec<f64> = (0..n).map(|_| rng.random::<f64>()).collect();
    let shape: Vec<usize> = (0..real.rank()).map(|axis| if axis == 0 { n } else { 1 }).collect();
    let epsilon = Tensor::from_vec(epsilon, shape, &Device::Cpu)?;
    let epsilon = epsilon.to_dtype(real.dtype())?.to_device(real.device())?;
    let (real, fake) = (real.detach(), fake.detach());
    Ok((&fake + (real - &fake)?.broadcast_mul(&epsilon)?)?)
}

/// The mean of (‖g‖ − 1)² over the images: the penalty of WGAN-GP without its weight of 10 (Gulrajani et al. 2017,
/// eq. 3). gradient: `[n, …]`, of the critic at [`interpolate`]d images. Returns a scalar.
///
/// # Errors
/// [`Error::Shape`] for a scalar.
pub fn gradient_penalty(gradient: &Tensor) -> Result<Tensor> {
    // the root of 0 has no derivative
    const TINY: f64 = 1e-24;
    let norms = (squared_norms(gradient)? + TINY)?.sqrt()?;
    Ok((norms - 1.0)?.sqr()?.mean_all()?)
}

/// The mean of ½‖g‖² over the images: R1 without its weight γ (Mescheder et al. 2018, eq. 9). gradient: `[n, …]`, of
/// the critic at real images. Returns a scalar.
///
/// # Errors
/// [`Error::Shape`] for a scalar.
pub fn r1_penalty(gradient: &Tensor) -> Result<Tensor> {
    Ok((squared_norms(gradient)?.mean_all()? * 0.5)?)
}

fn squared_norms(gradient: &Tensor) -> Result<Tensor> {
    if gradient.rank() == 0 {
        return Err(Error::shape("gradient", "an axis of images", "a scalar"));
    }
    Ok(gradient.flatten_from(1)?.sqr()?.sum(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{backward, check};
    use candle_core::DType;

    // odd, even, and of different parity: strides leave a remainder on one side
    const IMAGES: [[usize; 3]; 3] = [[2, 9, 7], [1, 8, 11], [1, 6, 6]];

    fn critic(image: [usize; 3]) -> Result<(Params, Critic)> {
        let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
        let critic = Critic::new(&params, image, &[3, 4])?;
        Ok((params, critic))
    }

    fn images(n: usize, [c, h, w]: [usize; 3], seed: u64) -> Result<Tensor> {
        check::input(&[n, c, h, w], seed)
    }

    #[test]
    fn input_gradient_is_that_of_the_backward_pass_and_of_differences() -> Result<()> {
        for image in IMAGES {
            let (_, critic) = critic(image)?;
            let x = candle_core::Var::from_tensor(&images(3, image, 2)?)?;
            let (scores, gradient) = critic.forward_with_input_gradient(&x)?;
            let expected =
                backward(&scores.sum_all()?)?.remove(&x).ok_or(candle_core::Error::Msg("none".into()))?;
            let apart = (gradient.detach() - expected)?.abs()?.max_all()?.to_scalar::<f64>()?;
            assert!(apart < 1e-14, "{image:?}: {apart:e}");
            let error = check::gradient_error(&[images(2, image, 3)?], |x| critic.forward(&x[0]))?;
            assert!(error < 1e-7, "{image:?}: {error:e}");
        }
        Ok(())
    }

    #[test]
    fn second_derivatives_of_both_penalties() -> Result<()> {
        assert!(std::env::var("CANDLE_GRAD_DO_NOT_DETACH").is_err(), "no environment variable is needed");
        for image in IMAGES {
            let (params, critic) = critic(image)?;
            let (real, fake) = (images(3, image, 4)?, images(3, image, 5)?);
            let between = interpolate(&real, &fake, Seed::new(6))?;
            let wgan = check::parameter_gradient_error(&params, || {
                gradient_penalty(&critic.forward_with_input_gradient(&between)?.1)
            })?;
            let r1 = check::parameter_gradient_error(&params, || {
                r1_penalty(&critic.forward_with_input_gradient(&real)?.1)
            })?;
            assert!(wgan < 1e-6 && r1 < 1e-6, "{image:?}: WGAN-GP {wgan:e}, R1 {r1:e}");
        }
        Ok(())
    }

    #[test]
    fn interpolated_images_lie_between_and_bad_input_is_named() -> Result<()> {
        let (real, fake) = (
            Tensor::ones((50, 1, 2, 2), DType::F64, &Device::Cpu)?,
            Tensor::zeros((50, 1, 2, 2), DType::F64, &Device::Cpu)?,
        );
        let between = interpolate(&real, &fake, Seed::new(1))?.flatten_from(1)?.to_vec2::<f64>()?;
        assert!(between.iter().all(|row| row.iter().all(|&v| v == row[0] && (0.0..1.0).contains(&v))));
        let mean = between.iter().map(|row| row[0]).sum::<f64>() / 50.0;
        assert!((mean - 0.5).abs() < 0.15, "{mean}");
        assert!(matches!(interpolate(&real, &fake.narrow(0, 0, 3)?, Seed::new(1)), Err(Error::Shape { .. })));
        let params = Params::new(Seed::new(1));
        assert!(matches!(
            Critic::new(&params, [1, 3, 3], &[4, 4]),
            Err(Error::Parameter { name: "channels", .. })
        ));
        let critic = Critic::new(&params, [1, 4, 4], &[4])?;
        let wrong = Tensor::zeros((2, 1, 4, 5), DType::F32, &Device::Cpu)?;
        assert!(matches!(critic.forward(&wrong), Err(Error::Shape { what: "x", .. })));
        Ok(())
    }
}
