//! The encoder and the decoder, mirrors of each other.

use super::spec::{Architecture, Vae};
use candle_core::Tensor;
use unsup_core::Result;
use unsup_core::nn::{ConvCoderSpec, ConvDecoder, ConvEncoder, Init, Linear, Mlp, Mode, Params};

/// Encoder, decoder, and the learned scale of a Gaussian likelihood.
#[derive(Debug, Clone)]
pub(super) struct Network {
    encoder: Encoder,
    decoder: Decoder,
    /// s of [`log_variance`](super::likelihood::log_variance), `[1, 1, 1]` or `[c, h, w]`.
    pub(super) scale: Option<Tensor>,
    image: [usize; 3],
    latent: usize,
}

#[derive(Debug, Clone)]
enum Encoder {
    Dense(Mlp),
    Convolutional { features: ConvEncoder, moments: Linear },
}

#[derive(Debug, Clone)]
enum Decoder {
    Dense(Mlp),
    Convolutional(ConvDecoder),
}

impl Network {
    /// The network of a spec for images of this shape, with parameters from `params`.
    pub(super) fn new(spec: &Vae, image: [usize; 3], params: &Params) -> Result<Self> {
        let (encoder, decoder) = match &spec.architecture {
            Architecture::Dense(hidden) => dense(hidden, image, spec.latent, params)?,
            Architecture::Convolutional(channels) => convolutional(channels, image, spec.latent, params)?,
        };
        let scale = match spec.likelihood.scale_shape(image) {
            Some(shape) => Some(params.trained("scale", &shape, Init::ZEROS)?),
            None => None,
        };
        Ok(Network { encoder, decoder, scale, image, latent: spec.latent })
    }

    /// Mean and log-variance of q(z | x), `[n, latent]` each. x: `[n, c, h, w]`.
    pub(super) fn encode(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let moments = match &self.encoder {
            Encoder::Dense(mlp) => mlp.forward(&x.flatten_from(1)?, Mode::Eval)?,
            Encoder::Convolutional { features, moments } => {
                moments.forward(&features.forward(x, Mode::Eval)?)?
            }
        };
        let half = |from: usize| moments.narrow(1, from, self.latent)?.contiguous();
        Ok((half(0)?, half(self.latent)?))
    }

    /// The decoder's output, logits or means, `[n, c, h, w]`. z: `[n, latent]`.
    pub(super) fn decode(&self, z: &Tensor) -> Result<Tensor> {
        let [c, h, w] = self.image;
        match &self.decoder {
            Decoder::Dense(mlp) => Ok(mlp.forward(z, Mode::Eval)?.reshape((z.dim(0)?, c, h, w))?),
            Decoder::Convolutional(decoder) => decoder.forward(z, Mode::Eval),
        }
    }
}

fn dense(hidden: &[usize], image: [usize; 3], latent: usize, params: &Params) -> Result<(Encoder, Decoder)> {
    let pixels: usize = image.iter().product();
    let inwards: Vec<usize> = [&[pixels], hidden, &[2 * latent]].concat();
    let mut outwards: Vec<usize> = [&[pixels], hidden, &[latent]].concat();
    outwards.reverse();
    let encoder = Encoder::Dense(Mlp::new(&params.scope("encoder"), &inwards)?);
    Ok((encoder, Decoder::Dense(Mlp::new(&params.scope("decoder"), &outwards)?)))
}

fn convolutional(
    channels: &[usize],
    image: [usize; 3],
    latent: usize,
    params: &Params,
) -> Result<(Encoder, Decoder)> {
    let (inward, spec) = (params.scope("encoder"), ConvCoderSpec::new(channels));
    let features = ConvEncoder::new(&inward, image, &spec)?;
    let moments = Linear::new(&inward.scope("moments"), features.features(), 2 * latent)?;
    let decoder = ConvDecoder::new(&params.scope("decoder"), latent, image, &spec)?;
    Ok((Encoder::Convolutional { features, moments }, Decoder::Convolutional(decoder)))
}
