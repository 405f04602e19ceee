//! Convolutional encoder and decoder for images of any size, mirrors of each other.
//!
//! Each step of the encoder halves height and width, rounded up; the step of the decoder with the same number doubles
//! them and cuts the image to the size that the encoder had there. So any h x w comes back as h x w.
//!
//! | | tensors, for step i |
//! | --- | --- |
//! | [`ConvEncoder`] | `i.weight`, `i.bias` (3 x 3 at stride 2); with batch norm `i.norm.…` instead of the bias |
//! | [`ConvDecoder`] | `spread.…`, `i.weight`, `i.bias` (4 x 4 at stride 2); with batch norm `i.norm.…` before the activation |
//!
//! ```
//! use unsup_core::Seed;
//! use unsup_core::candle::{DType, Device, Tensor};
//! use unsup_core::nn::{Activation, ConvCoderSpec, ConvDecoder, ConvEncoder, Linear, Mode, Params};
//!
//! // an autoencoder of 13 x 10 images with a code of 5 numbers
//! let (params, image) = (Params::new(Seed::new(7)), [3, 13, 10]);
//! let spec = ConvCoderSpec::new([8, 16]).batch_norm(true).activation(Activation::Silu);
//! let encoder = ConvEncoder::new(&params.scope("encoder"), image, &spec)?;
//! let code = Linear::new(&params.scope("code"), encoder.features(), 5)?;
//! let decoder = ConvDecoder::new(&params.scope("decoder"), 5, image, &spec)?;
//!
//! let x = Tensor::zeros((2, 3, 13, 10), DType::F32, &Device::Cpu)?;
//! let z = code.forward(&encoder.forward(&x, Mode::Train)?)?;
//! assert_eq!(decoder.forward(&z, Mode::Train)?.dims(), [2, 3, 13, 10]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::{Activation, BatchNorm, Conv2d, ConvSpec, ConvTranspose2d, Linear, Mode, Params};
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// The shape of a [`ConvEncoder`] and of the [`ConvDecoder`] that mirrors it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConvCoderSpec {
    channels: Vec<usize>,
    #[serde(default)]
    batch_norm: bool,
    #[serde(default)]
    activation: Activation,
}

impl ConvCoderSpec {
    /// One step to each of these numbers of channels, from the image inwards; ReLU, no batch norm. Without steps
    /// the features are the pixels.
    pub fn new(channels: impl Into<Vec<usize>>) -> Self {
        ConvCoderSpec { channels: channels.into(), batch_norm: false, activation: Activation::Relu }
    }

    /// Whether batch normalisation comes before each activation.
    #[must_use]
    pub fn batch_norm(self, batch_norm: bool) -> Self {
        ConvCoderSpec { batch_norm, ..self }
    }

    /// The function after each step of the encoder, and before each of the decoder.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        ConvCoderSpec { activation, ..self }
    }

    /// # Errors
    /// [`Error::Parameter`] for a step without channels or an activation without meaning.
    pub fn check(&self) -> Result<()> {
        if self.channels.contains(&0) {
            let found = format!("{:?}", self.channels);
            return Err(Error::parameter("channels", found, "one positive number a step"));
        }
        self.activation.check()
    }

    /// The shape [c, h, w] before each step, and after the last.
    fn shapes(&self, image: [usize; 3]) -> Result<Vec<[usize; 3]>> {
        self.check()?;
        if image.contains(&0) {
            return Err(Error::parameter("image", format!("{image:?}"), "at least one channel and pixel"));
        }
        let mut shapes = vec![image];
        let [_, mut h, mut w] = image;
        for &channels in &self.channels {
            (h, w) = (h.div_ceil(2), w.div_ceil(2));
            shapes.push([channels, h, w]);
        }
        Ok(shapes)
    }

    fn norm(&self, params: &Params, channels: usize) -> Result<Option<BatchNorm>> {
        let norm = || BatchNorm::new(&params.scope("norm"), channels);
        self.batch_norm.then(norm).transpose()
    }
}

/// The activation of a map, normalised first where there is a norm.
fn activated(x: &Tensor, norm: Option<&BatchNorm>, activation: Activation, mode: Mode) -> Result<Tensor> {
    match (norm, activation) {
        (None, _) => activation.apply(x),
        (Some(norm), Activation::Relu) => norm.forward_relu(x, mode),
        (Some(norm), Activation::LeakyRelu(slope)) => norm.forward_leaky_relu(x, slope, mode),
        (Some(norm), _) => activation.apply(&norm.forward(x, mode)?),
    }
}

fn features(shapes: &[[usize; 3]]) -> Result<usize> {
    let [c, h, w] = shapes[shapes.len() - 1];
    let product = c.checked_mul(h).and_then(|ch| ch.checked_mul(w));
    product.ok_or_else(|| Error::parameter("image", format!("{:?}", shapes[0]), "a size that fits memory"))
}

/// Images to features; see the [module](self).
#[derive(Debug, Clone)]
pub struct ConvEncoder {
    down: Vec<(Conv2d, Option<BatchNorm>)>,
    activation: Activation,
    image: [usize; 3],
    features: usize,
}

impl ConvEncoder {
    /// For images of this shape, [c, h, w].
    ///
    /// # Errors
    /// [`Error::Parameter`] for a spec or an image that describes no network, [`Error::Shape`] when saved
    /// parameters do not fit.
    pub fn new(params: &Params, image: [usize; 3], spec: &ConvCoderSpec) -> Result<Self> {
        let shapes = spec.shapes(image)?;
        let conv = ConvSpec::new(3).stride(2).padding(1).bias(!spec.batch_norm);
        let step = |(i, pair): (usize, &[[usize; 3]])| {
            let scope = params.scope(i);
            Ok((Conv2d::new(&scope, pair[0][0], pair[1][0], conv)?, spec.norm(&scope, pair[1][0])?))
        };
        let down = shapes.windows(2).enumerate().map(step).collect::<Result<_>>()?;
        Ok(ConvEncoder { down, activation: spec.activation, image, features: features(&shapes)? })
    }

    /// x: `[n, c, h, w]`. Returns the last map, activated, as rows: `[n, features]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        if x.rank() != 4 || x.dims()[1..] != self.image {
            let expected = format!("shape [n, {}, {}, {}]", self.image[0], self.image[1], self.image[2]);
            return Err(Error::shape("x", expected, format!("shape {:?}", x.dims())));
        }
        let mut x = x.clone();
        for (conv, norm) in &self.down {
            x = activated(&conv.forward(&x)?, norm.as_ref(), self.activation, mode)?;
        }
        Ok(x.flatten_from(1)?)
    }

    /// The numbers of the smallest map.
    pub fn features(&self) -> usize {
        self.features
    }
}

/// Codes to images; see the [module](self).
#[derive(Debug, Clone)]
pub struct ConvDecoder {
    /// Fills the smallest map.
    spread: Linear,
    smallest: [usize; 3],
    up: Vec<Up>,
    activation: Activation,
}

/// One step: normalise, activate, double, cut.
#[derive(Debug, Clone)]
struct Up {
    norm: Option<BatchNorm>,
    conv: ConvTranspose2d,
    size: [usize; 2],
}

impl ConvDecoder {
    /// From codes of `inputs` numbers to images of this shape, [c, h, w].
    ///
    /// # Errors
    /// As [`ConvEncoder::new`].
    pub fn new(params: &Params, inputs: usize, image: [usize; 3], spec: &ConvCoderSpec) -> Result<Self> {
        let shapes = spec.shapes(image)?;
        let spread = Linear::new(&params.scope("spread"), inputs, features(&shapes)?)?;
        let step = |(i, pair): (usize, &[[usize; 3]])| {
            let ([to, h, w], [from, ..], scope) = (pair[0], pair[1], params.scope(i));
            // 4 x 4 at stride 2 covers every pixel equally often, which 3 x 3 would not; the image
            // itself, the result of step 0, is not normalised
            let conv = ConvSpec::new(4).stride(2).padding(1).bias(!spec.batch_norm || i == 0);
            let norm = spec.norm(&scope, from)?;
            Ok(Up { norm, conv: ConvTranspose2d::new(&scope, from, to, conv)?, size: [h, w] })
        };
        let up = shapes.windows(2).enumerate().rev().map(step).collect::<Result<_>>()?;
        Ok(ConvDecoder { spread, smallest: shapes[shapes.len() - 1], up, activation: spec.activation })
    }

    /// z: `[n, inputs]`. Returns `[n, c, h, w]`, not activated: logits or means.
    ///
    /// # Errors
    /// [`Error::Shape`] when z does not fit.
    pub fn forward(&self, z: &Tensor, mode: Mode) -> Result<Tensor> {
        let [c, h, w] = self.smallest;
        let x = self.spread.forward(z)?;
        let mut x = x.reshape((x.dim(0)?, c, h, w))?;
        for Up { norm, conv, size: [h, w] } in &self.up {
            x = conv.forward(&activated(&x, norm.as_ref(), self.activation, mode)?)?;
            x = x.narrow(2, 0, *h)?.narrow(3, 0, *w)?.contiguous()?;
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests;
