//! Training: raise the evidence lower bound, one draw of the code an image and step.

use super::model::{VaeModel, normals};
use super::network::Network;
use super::spec::Vae;
use super::validate;
use crate::loss::{kl_standard_normal, reparameterize};
use candle_core::{DType, Tensor};
use std::path::Path;
use unsup_core::Result;
use unsup_core::estimator::Fit;
use unsup_core::nn::Params;
use unsup_core::observe::Observer;
use unsup_core::train::{AdamW, Batch, Loss};

/// x: `[n, c, h, w]`, `f32`, within \[0, 1\] for a Bernoulli likelihood. The network lives on x's device.
///
/// # Errors
/// [`Error::Empty`](unsup_core::Error::Empty), [`Error::Shape`](unsup_core::Error::Shape),
/// [`Error::NonFinite`](unsup_core::Error::NonFinite) (row: the image, column: the position within it),
/// [`Error::Value`](unsup_core::Error::Value) for a Bernoulli pixel outside \[0, 1\],
/// [`Error::Parameter`](unsup_core::Error::Parameter), and
/// [`Error::NonFiniteLoss`](unsup_core::Error::NonFiniteLoss) when training diverges.
impl Fit<Tensor> for Vae {
    type Model = VaeModel;

    fn fit_observed(&self, x: &Tensor, observer: &mut dyn Observer) -> Result<VaeModel> {
        self.train(x, None, observer)
    }
}

impl Vae {
    /// Fits as [`fit_observed`](Fit::fit_observed) does, with a checkpoint at this path after every epoch: run again after a stop
    /// or a crash it goes on from there and ends with the same bits.
    ///
    /// # Errors
    /// As `fit_observed`; [`Error::File`](unsup_core::Error::File) when the file is not a checkpoint of this spec on as many images,
    /// [`Error::Io`](unsup_core::Error::Io) when it cannot be read or written.
    pub fn fit_resumable(
        &self,
        x: &Tensor,
        checkpoint: impl AsRef<Path>,
        observer: &mut dyn Observer,
    ) -> Result<VaeModel> {
        self.train(x, Some(checkpoint.as_ref()), observer)
    }

    fn train(&self, x: &Tensor, checkpoint: Option<&Path>, observer: &mut dyn Observer) -> Result<VaeModel> {
        self.check()?;
        let image = validate::images(x, self.likelihood)?;
        self.check_size(image)?;
        let (n, device) = (x.dim(0)?, x.device());
        let params = Params::on(self.seed, DType::F32, device);
        let network = Network::new(self, image, &params)?;
        let trainer = self.trainer.clone().within(n).seed(self.seed);
        let mut optimizer = AdamW::new(params.trainable()).weight_decay(0.0);
        let loss = |batch: &Batch<'_>| {
            let x = batch.select(x)?;
            let (mean, log_variance) = network.encode(&x)?;
            let noise = self.seed.named("noise").indexed(batch.number);
            let noise = normals(noise, batch.indices.len(), self.latent, device)?;
            let output = network.decode(&reparameterize(&mean, &log_variance, &noise)?)?;
            let reconstruction =
                self.likelihood.log_likelihood(&x, &output, network.scale.as_ref())?.mean(0)?;
            let kl = kl_standard_normal(&mean, &log_variance)?.mean(0)?;
            let loss = Loss::new(((&kl * self.beta)? - &reconstruction)?);
            Ok(loss.term("reconstruction", &reconstruction).term("kl", &kl))
        };
        let training = trainer.resumable_if(checkpoint, &params).about(self)?;
        let history = training.run(n, &mut optimizer, observer, loss)?;
        let params = params.snapshot()?;
        Ok(VaeModel {
            network: Network::new(self, image, &params)?,
            spec: self.clone(),
            image,
            params,
            history,
        })
    }
}
