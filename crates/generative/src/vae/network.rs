//! The encoder and the decoder, mirrors of each other.

use super::spec::{Architecture, Vae};
use candle_core::Tensor;
use unsup_core::Result;
use unsup_core::nn::{Conv2d, ConvSpec, ConvTranspose2d, Init, Linear, Mlp, Mode, Params, ops};

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
    Convolutional { down: Vec<Conv2d>, moments: Linear },
}

#[derive(Debug, Clone)]
enum Decoder {
    Dense(Mlp),
    /// The linear layer fills a small image, which each step doubles and cuts to the size that the
    /// encoder had there.
    Convolutional {
        spread: Linear,
        smallest: [usize; 3],
        up: Vec<(ConvTranspose2d, [usize; 2])>,
    },
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
            Encoder::Convolutional { down, moments } => {
                let mut x = x.clone();
                for layer in down {
                    x = ops::relu(&layer.forward(&x)?)?;
                }
                moments.forward(&x.flatten_from(1)?)?
            }
        };
        let half = |from: usize| moments.narrow(1, from, self.latent)?.contiguous();
        Ok((half(0)?, half(self.latent)?))
    }

    /// The decoder's output, logits or means, `[n, c, h, w]`. z: `[n, latent]`.
    pub(super) fn decode(&self, z: &Tensor) -> Result<Tensor> {
        let n = z.dim(0)?;
        let [c, h, w] = self.image;
        match &self.decoder {
            Decoder::Dense(mlp) => Ok(mlp.forward(z, Mode::Eval)?.reshape((n, c, h, w))?),
            Decoder::Convolutional { spread, smallest: [c, h, w], up } => {
                let mut x = spread.forward(z)?.reshape((n, *c, *h, *w))?;
                for (layer, [height, width]) in up {
                    x = layer
                        .forward(&ops::relu(&x)?)?
                        .narrow(2, 0, *height)?
                        .narrow(3, 0, *width)?
                        .contiguous()?;
                }
                Ok(x)
            }
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
    let (inward, outward) = (params.scope("encoder"), params.scope("decoder"));
    let (mut down, mut up) = (Vec::new(), Vec::new());
    let [mut from, mut height, mut width] = image;
    for (i, &to) in channels.iter().enumerate() {
        down.push(Conv2d::new(&inward.scope(i), from, to, ConvSpec::new(3).stride(2).padding(1))?);
        // 4 x 4 at stride 2 covers every pixel equally often, which 3 x 3 would not.
        let spec = ConvSpec::new(4).stride(2).padding(1);
        up.push((ConvTranspose2d::new(&outward.scope(i), to, from, spec)?, [height, width]));
        (from, height, width) = (to, height.div_ceil(2), width.div_ceil(2));
    }
    up.reverse();
    let features = from * height * width;
    let moments = Linear::new(&inward.scope("moments"), features, 2 * latent)?;
    let spread = Linear::new(&outward.scope("spread"), latent, features)?;
    let decoder = Decoder::Convolutional { spread, smallest: [from, height, width], up };
    Ok((Encoder::Convolutional { down, moments }, decoder))
}
