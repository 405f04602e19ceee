//! What a fit learned, and the questions it answers.

use super::likelihood::{Likelihood, log_variance};
use super::network::Network;
use super::spec::Vae;
use super::validate;
use crate::loss::{kl_standard_normal, reparameterize};
use candle_core::{Device, Tensor};
use ndarray::{Array1, Array2};
use unsup_core::estimator::{AnomalyScore, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::nn::Params;
use unsup_core::observe::History;
use unsup_core::{Error, Result, Seed};

/// Images that are encoded or decoded at once.
const BATCH: usize = 256;

/// A trained variational autoencoder. See the [module](super).
#[derive(Debug, Clone)]
pub struct VaeModel {
    pub(super) spec: Vae,
    pub(super) image: [usize; 3],
    pub(super) network: Network,
    pub(super) params: Params,
    pub(super) history: History,
}

/// The evidence lower bound, in nats per image, averaged over images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Elbo {
    /// E_q[log p(x | z)]: how well codes explain their images.
    pub reconstruction: f64,
    /// KL(q(z | x) ‖ p(z)): how much the codes say.
    pub kl: f64,
}

impl Elbo {
    /// The bound: reconstruction − KL.
    pub fn total(&self) -> f64 {
        self.reconstruction - self.kl
    }
}

/// The normal distributions q(z | x), one a row.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// The means, `[n, latent]`.
    pub mean: Tensor,
    /// The logarithms of the variances, `[n, latent]`.
    pub log_variance: Tensor,
}

impl VaeModel {
    /// The settings it was trained with.
    pub fn spec(&self) -> &Vae {
        &self.spec
    }

    /// The loss after each epoch (the mean of β·KL − reconstruction over the epoch's images, in nats, each
    /// from one draw of z) and its terms `reconstruction` and `kl`.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Channels, height and width of its images.
    pub fn image_shape(&self) -> [usize; 3] {
        self.image
    }

    /// How many numbers were trained.
    pub fn parameter_count(&self) -> usize {
        self.params.count()
    }

    /// The learned variance of the pixels given the code, `[1, 1, 1]` or `[c, h, w]`; `None` when the
    /// likelihood has none to learn.
    ///
    /// # Errors
    /// When the tensor backend fails.
    pub fn variance(&self) -> Result<Option<Tensor>> {
        self.network.scale.as_ref().map(|scale| Ok(log_variance(scale)?.exp()?)).transpose()
    }

    /// The posterior q(z | x) of each image. x: `[n, c, h, w]`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::NonFinite`] or, for a Bernoulli likelihood, [`Error::Value`] when x is
    /// not what the model was fitted on.
    pub fn encode(&self, x: &Tensor) -> Result<Posterior> {
        self.check(x)?;
        let parts = batches(x.dim(0)?).map(|(start, len)| self.network.encode(&x.narrow(0, start, len)?));
        let (means, log_variances): (Vec<_>, Vec<_>) = parts.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(Posterior { mean: Tensor::cat(&means, 0)?, log_variance: Tensor::cat(&log_variances, 0)? })
    }

    /// Each image from the mean of its posterior: the decoder's mean, `[n, c, h, w]`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn reconstruct(&self, x: &Tensor) -> Result<Tensor> {
        self.inverse_transform(&self.transform(x)?)
    }

    /// The evidence lower bound on log p(x), its two terms apart, the first estimated from `samples` codes an image.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); [`Error::Parameter`] for no samples.
    pub fn elbo(&self, x: &Tensor, seed: Seed, samples: usize) -> Result<Elbo> {
        at_least_one("samples", samples)?;
        self.check(x)?;
        let (mut reconstruction, mut kl) = (0.0, 0.0);
        for (batch, (start, len)) in batches(x.dim(0)?).enumerate() {
            let x = x.narrow(0, start, len)?;
            let (mean, log_variance) = self.network.encode(&x)?;
            kl += total(&kl_standard_normal(&mean, &log_variance)?)?;
            for sample in 0..samples {
                let noise = normals(seed.indexed(batch).indexed(sample), len, self.spec.latent, x.device())?;
                let z = reparameterize(&mean, &log_variance, &noise)?;
                reconstruction += total(&self.log_likelihood(&x, &z)?)?;
            }
        }
        let n = x.dim(0)? as f64;
        Ok(Elbo { reconstruction: reconstruction / (n * samples as f64), kl: kl / n })
    }

    /// A lower bound on log p(x) of each image, `[n]`, in nats, that rises to it as `samples` grows:
    /// log 1/K Σₖ p(x | zₖ) p(zₖ) / q(zₖ | x) with zₖ drawn from q (Burda, Grosse & Salakhutdinov 2016).
    /// Every image gets the same noise, so that its bound does not depend on its neighbours.
    ///
    /// # Errors
    /// As [`elbo`](Self::elbo).
    pub fn log_density_bound(&self, x: &Tensor, seed: Seed, samples: usize) -> Result<Array1<f64>> {
        at_least_one("samples", samples)?;
        self.check(x)?;
        let mut bounds = Vec::new();
        for (start, len) in batches(x.dim(0)?) {
            let x = x.narrow(0, start, len)?;
            let (mean, log_variance) = self.network.encode(&x)?;
            let mut log_weights = Array2::<f64>::zeros((samples, len));
            for (sample, mut row) in log_weights.rows_mut().into_iter().enumerate() {
                let noise = normals(seed.indexed(sample), 1, self.spec.latent, x.device())?;
                let noise = noise.broadcast_as(mean.shape())?.contiguous()?;
                let z = reparameterize(&mean, &log_variance, &noise)?;
                // log p(z) − log q(z | x); the constants cancel
                let ratio = (((noise.sqr()? + &log_variance)? - z.sqr()?)?.sum(1)? * 0.5)?;
                row.assign(&Array1::from(values(&(self.log_likelihood(&x, &z)? + ratio)?)?));
            }
            for column in log_weights.columns() {
                let largest = column.fold(f64::NEG_INFINITY, |m, &v| m.max(v));
                let sum: f64 = column.iter().map(|v| (v - largest).exp()).sum();
                bounds.push(largest + (sum / samples as f64).ln());
            }
        }
        Ok(Array1::from(bounds))
    }

    fn log_likelihood(&self, x: &Tensor, z: &Tensor) -> Result<Tensor> {
        let output = self.network.decode(z)?;
        self.spec.likelihood.log_likelihood(x, &output, self.network.scale.as_ref())
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        let found = validate::images(x, self.spec.likelihood)?;
        if found != self.image {
            let [c, h, w] = self.image;
            return Err(Error::shape("x", format!("[n, {c}, {h}, {w}]"), format!("{:?}", x.dims())));
        }
        Ok(())
    }

    pub(super) fn likelihood(&self) -> Likelihood {
        self.spec.likelihood
    }
}

/// x → the mean of q(z | x), `[n, latent]`.
impl Transform<Tensor> for VaeModel {
    type Code = Tensor;

    fn transform(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.encode(x)?.mean)
    }
}

/// z → E[x | z], `[n, c, h, w]`: probabilities for a Bernoulli likelihood.
impl InverseTransform<Tensor> for VaeModel {
    type Output = Tensor;

    fn inverse_transform(&self, z: &Tensor) -> Result<Tensor> {
        unsup_core::validate::codes(z, self.spec.latent, "z")?;
        let parts = batches(z.dim(0)?)
            .map(|(start, len)| self.likelihood().mean(&self.network.decode(&z.narrow(0, start, len)?)?));
        Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
    }
}

/// Draws codes from the standard normal prior and gives E[x | z] of each, `[n, c, h, w]`: images without the pixel noise of
/// the likelihood, as is the custom.
impl Sample for VaeModel {
    type Output = Tensor;

    /// # Errors
    /// [`Error::Parameter`] for no samples, and for more than memory holds.
    fn sample(&self, n: usize, seed: Seed) -> Result<Tensor> {
        at_least_one("n", n)?;
        // codes in f64 and f32, and images whose batches are joined at the end, in f32
        unsup_core::validate::room("n", n, 2 * self.spec.latent + self.image.iter().product::<usize>())?;
        self.inverse_transform(&normals(seed.named("sample"), n, self.spec.latent, self.params.device())?)
    }
}

/// The [importance-weighted bound](VaeModel::log_density_bound) with the spec's number of samples (64) and a
/// seed derived from the spec's: the same answer every time.
impl LogDensity<Tensor> for VaeModel {
    fn log_density(&self, x: &Tensor) -> Result<Array1<f64>> {
        self.log_density_bound(x, self.spec.seed.named("importance"), self.spec.importance_samples)
    }
}

/// −log p(x), bounded from above by the negative of the log-density's bound, in nats.
impl AnomalyScore<Tensor> for VaeModel {
    fn anomaly_score(&self, x: &Tensor) -> Result<Array1<f64>> {
        Ok(-self.log_density(x)?)
    }
}

fn batches(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(BATCH).map(move |start| (start, BATCH.min(n - start)))
}

/// Standard normal noise, `[n, width]`.
pub(super) fn normals(seed: Seed, n: usize, width: usize, device: &Device) -> Result<Tensor> {
    let noise: Vec<f32> = seed.normals(n * width).into_iter().map(|v| v as f32).collect();
    Ok(Tensor::from_vec(noise, (n, width), device)?)
}

fn values(x: &Tensor) -> Result<Vec<f64>> {
    Ok(x.to_dtype(candle_core::DType::F64)?.to_vec1()?)
}

/// The sum in f64.
pub(super) fn total(x: &Tensor) -> Result<f64> {
    Ok(values(x)?.into_iter().sum())
}

fn at_least_one(name: &'static str, value: usize) -> Result<()> {
    if value == 0 { Err(Error::parameter(name, value, "at least 1")) } else { Ok(()) }
}
