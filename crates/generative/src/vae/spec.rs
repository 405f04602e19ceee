//! The settings of a VAE.

use super::likelihood::Likelihood;
use serde::{Deserialize, Serialize};
use unsup_core::train::{Schedule, Trainer};
use unsup_core::{Error, Result, Seed};

const MOST_WEIGHTS: f64 = 2e9;

/// The layers of the encoder; the decoder mirrors them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// Fully connected layers of these widths, with ReLU between them. No width at all makes encoder and
    /// decoder linear.
    Dense(Vec<usize>),
    /// Convolutions to these many channels, each halving height and width, with ReLU after each.
    Convolutional(Vec<usize>),
}

/// A variational autoencoder: what it is made of and how it is trained. See the [module](super).
///
/// ```no_run
/// use unsup_core::estimator::{Fit, Sample};
/// use unsup_core::{Seed, data};
/// use unsup_generative::vae::Vae;
/// use candle_core::{Device, Tensor};
/// let digits = data::digits().x.mapv(|v| v as f32 / 16.0);
/// let x = Tensor::from_iter(digits, &Device::Cpu)?.reshape((1797, 1, 8, 8))?;
/// let model = Vae::dense(&[256, 128], 8).epochs(60).seed(7).fit(&x)?;
/// println!("{:?}", model.elbo(&x, Seed::new(1), 16)?);
/// let new_digits = model.sample(30, Seed::new(2))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vae {
    pub(super) architecture: Architecture,
    pub(super) latent: usize,
    pub(super) likelihood: Likelihood,
    pub(super) beta: f64,
    pub(super) trainer: Trainer,
    pub(super) importance_samples: usize,
    pub(super) seed: Seed,
}

impl Vae {
    fn new(architecture: Architecture, latent: usize) -> Self {
        Vae {
            architecture,
            latent,
            likelihood: Likelihood::Bernoulli,
            beta: 1.0,
            trainer: Trainer::new("variational autoencoder", 100)
                .batch_size(64)
                .schedule(Schedule::cosine(2e-3)),
            importance_samples: 64,
            seed: Seed::new(0),
        }
    }

    /// Fully connected encoder and decoder with these hidden widths (first to last of the encoder), and a code of
    /// `latent` numbers. For small images and tables.
    pub fn dense(hidden: &[usize], latent: usize) -> Self {
        Self::new(Architecture::Dense(hidden.to_vec()), latent)
    }

    /// Convolutional encoder and decoder with these channels, each step halving height and width (rounded
    /// up), and a code of `latent` numbers. For images of 16 pixels a side and more; any size works.
    pub fn convolutional(channels: &[usize], latent: usize) -> Self {
        Self::new(Architecture::Convolutional(channels.to_vec()), latent)
    }

    /// The distribution of a pixel given the code (Bernoulli).
    #[must_use]
    pub fn likelihood(mut self, likelihood: Likelihood) -> Self {
        self.likelihood = likelihood;
        self
    }

    /// The weight of the KL term in training (1); above 1 asks for independent coordinates at
    /// the cost of the reconstruction (Higgins et al. 2017).
    #[must_use]
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// How many times training sees each image (100).
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.trainer = self.trainer.epochs(epochs);
        self
    }

    /// Images a step (64).
    #[must_use]
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.trainer = self.trainer.batch_size(batch_size);
        self
    }

    /// The learning rate of Adam at the start (0.002), from where it falls to 0 along a cosine.
    #[must_use]
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.trainer = self.trainer.learning_rate(learning_rate);
        self
    }

    /// How many codes a log-density is estimated from (64); see
    /// [`VaeModel::log_density_bound`](super::VaeModel::log_density_bound).
    #[must_use]
    pub fn importance_samples(mut self, samples: usize) -> Self {
        self.importance_samples = samples;
        self
    }

    /// The seed of initial weights, batches and noise (0).
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    /// Every parameter within its range.
    pub(super) fn check(&self) -> Result<()> {
        let (name, widths) = match &self.architecture {
            Architecture::Dense(widths) => ("hidden", widths),
            Architecture::Convolutional(channels) => ("channels", channels),
        };
        if widths.contains(&0) {
            return Err(Error::parameter(name, format!("{widths:?}"), "positive numbers"));
        }
        for (name, value) in [("latent", self.latent), ("importance_samples", self.importance_samples)] {
            if value == 0 {
                return Err(Error::parameter(name, value, "at least 1"));
            }
        }
        if !(self.beta >= 0.0 && self.beta.is_finite()) {
            return Err(Error::parameter("beta", self.beta, "a finite number, 0 or more"));
        }
        self.trainer.check(1)?;
        self.likelihood.check()
    }

    /// A network that can be held at all; what passes cannot overflow an index either.
    pub(super) fn check_size(&self, image: [usize; 3]) -> Result<()> {
        let [mut from, mut height, mut width] = image.map(|side| side as f64);
        let latent = self.latent as f64;
        let (name, weights) = match &self.architecture {
            Architecture::Dense(hidden) => {
                let mut weights = 0.0;
                from *= height * width;
                for &to in hidden {
                    weights += 2.0 * from * to as f64;
                    from = to as f64;
                }
                ("hidden", weights + 3.0 * from * latent)
            }
            Architecture::Convolutional(channels) => {
                let mut weights = 0.0;
                for &to in channels {
                    weights += (9.0 + 16.0) * from * to as f64;
                    (from, height, width) = (to as f64, (height / 2.0).ceil(), (width / 2.0).ceil());
                }
                ("channels", weights + 3.0 * from * height * width * latent)
            }
        };
        if weights <= MOST_WEIGHTS {
            return Ok(());
        }
        let value = format!("{:?} for images of {image:?}: {weights:.0e} weights", self.architecture);
        Err(Error::parameter(name, value, "a network of at most 2e9 weights"))
    }
}
