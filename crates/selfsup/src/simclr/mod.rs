//! SimCLR: features in which two views of one image agree and views of different images do not.
//!
//! Two random [views](crate::views) of each image of a batch go through an encoder (a small residual network) and a
//! projection head; [NT-Xent](crate::loss::nt_xent) asks each code to pick its partner among all others of the batch.
//! Afterwards the head is set aside: the encoder's output is the representation, since the head
//! throws away what the views vary, which later tasks may need (Chen et al. 2020, section 4.2).
//!
//! **Use it** when images are many and labels few: a linear probe on its features needs a fraction of the labels that
//! training from nothing does. **Do not use it** where views that keep the meaning cannot be made, or with
//! batches of a few images: the negatives are the batch. Check first whether a probe on pixels or principal components does
//! as well.
//!
//! Cost: two encodings and their backward passes an image and epoch; many epochs.
//!
//! Source: Chen, Kornblith, Norouzi & Hinton, *A simple framework for contrastive learning of visual
//! representations*, ICML 2020.

mod model;

pub use model::SimClrModel;

use crate::images;
use crate::loss::nt_xent;
use crate::views::Views;
use candle_core::{DType, Tensor};
use model::Network;
use serde::{Deserialize, Serialize};
use std::path::Path;
use unsup_core::estimator::Fit;
use unsup_core::nn::{Params, ResNetSpec};
use unsup_core::observe::Observer;
use unsup_core::train::{AdamW, Batch, Loss, Schedule, Trainer};
use unsup_core::{Error, Result, Seed};

/// The hyper-parameters of SimCLR; see the [module](self).
///
/// ```
/// use unsup_core::{candle::{Device, Tensor}, data, estimator::{Fit, Transform}, nn::ResNetSpec};
/// use unsup_selfsup::{LinearProbe, SimClr, Views};
/// let digits = data::digits();
/// let pixels = digits.x.iter().take(64 * 128).map(|v| *v as f32 / 16.0);
/// let images = Tensor::from_iter(pixels, &Device::Cpu)?.reshape((128, 1, 8, 8))?;
/// // two epochs on few images, to show the calls; use hundreds
/// let model = SimClr::new(ResNetSpec::new(1).widths([8, 16])).views(Views::digits()).epochs(2).fit(&images)?;
/// let features = model.transform(&images)?;
/// assert_eq!(features.dim(), (128, 16));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimClr {
    encoder: ResNetSpec,
    projection: (usize, usize),
    views: Views,
    temperature: f64,
    trainer: Trainer,
    weight_decay: f64,
    seed: Seed,
}

impl SimClr {
    /// SimCLR with this encoder; a head of 128 hidden and 64 output numbers, the views for digits, temperature 0.5, 100
    /// epochs of batches of 128 at a learning rate of 0.01 and a weight decay of 10⁻⁴.
    pub fn new(encoder: ResNetSpec) -> Self {
        SimClr {
            encoder,
            projection: (128, 64),
            views: Views::digits(),
            temperature: 0.5,
            trainer: Trainer::new("SimCLR", 100)
                .batch_size(128)
                .drop_last(true)
                .schedule(Schedule::cosine(1e-2).warmup(0.1)),
            weight_decay: 1e-4,
            seed: Seed::default(),
        }
    }

    /// The widths of the projection head: hidden and output.
    #[must_use]
    pub fn projection(mut self, hidden: usize, output: usize) -> Self {
        self.projection = (hidden, output);
        self
    }

    /// What makes two images the same.
    #[must_use]
    pub fn views(mut self, views: Views) -> Self {
        self.views = views;
        self
    }

    /// The temperature τ of the loss. Above 0.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// How many times training sees each image.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.trainer = self.trainer.epochs(epochs);
        self
    }

    /// Images a step, at least 2: twice as many codes, each with all but one as negatives.
    #[must_use]
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.trainer = self.trainer.batch_size(batch_size);
        self
    }

    /// The largest learning rate of AdamW: reached after a tenth of all steps, then down to 0 along a cosine.
    #[must_use]
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.trainer = self.trainer.learning_rate(learning_rate);
        self
    }

    /// The weight decay of AdamW.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Where weights, batches and views come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    fn check(&self) -> Result<()> {
        self.encoder.check()?;
        self.views.check()?;
        self.trainer.check(2)?;
        if self.projection.0 == 0 || self.projection.1 == 0 {
            return Err(Error::parameter(
                "projection",
                format!("{:?}", self.projection),
                "two widths of at least 1",
            ));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(Error::parameter("temperature", self.temperature, "a finite number above 0"));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(Error::parameter("weight_decay", self.weight_decay, "a finite number, at least 0"));
        }
        Ok(())
    }
}

/// x: `[n, c, h, w]`, `f32`, n ≥ 2. The network lives on x's device. Images that do not fill a batch are left
/// out of an epoch, others each time.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`], [`Error::NonFinite`] (row: the image, column: the position within it);
/// [`Error::TooFewRows`] for one image; [`Error::Parameter`]; [`Error::NonFiniteLoss`] when training diverges.
impl Fit<Tensor> for SimClr {
    type Model = SimClrModel;

    fn fit_observed(&self, x: &Tensor, observer: &mut dyn Observer) -> Result<SimClrModel> {
        self.train(x, None, observer)
    }
}

impl SimClr {
    /// Fits as `fit_observed` does, with a checkpoint at this path after every epoch: run again after a stop
    /// or a crash it goes on from there and ends with the same bits.
    ///
    /// # Errors
    /// As `fit_observed`; [`Error::File`] when the file is not a checkpoint of this spec on as many images,
    /// [`Error::Io`] when it cannot be read or written.
    pub fn fit_resumable(
        &self,
        x: &Tensor,
        checkpoint: impl AsRef<Path>,
        observer: &mut dyn Observer,
    ) -> Result<SimClrModel> {
        self.train(x, Some(checkpoint.as_ref()), observer)
    }

    fn train(
        &self,
        x: &Tensor,
        checkpoint: Option<&Path>,
        observer: &mut dyn Observer,
    ) -> Result<SimClrModel> {
        self.check()?;
        let shape = images::check(x, self.encoder.channels())?;
        let n = x.dim(0)?;
        if n < 2 {
            return Err(Error::TooFewRows { method: "SimCLR", needed: 2, found: n });
        }
        let params = Params::on(self.seed.named("SimCLR"), DType::F32, x.device());
        let network = Network::new(self, &params)?;
        let trainer = self.trainer.clone().within(n).seed(self.seed);
        let mut optimizer = AdamW::new(params.trainable()).weight_decay(self.weight_decay);
        // the views of the next batches are drawn while a step runs
        let views = |batch: &Batch<'_>| {
            let x = batch.select(x)?;
            let view = |name: &str| self.views.apply(&x, self.seed.named(name).indexed(batch.number));
            Ok(Tensor::cat(&[view("first view")?, view("second view")?], 0)?)
        };
        let loss = |both: Tensor, batch: &Batch<'_>| {
            let codes = network.project(&both, batch.mode)?;
            let half = batch.indices.len();
            let (first, second) = (codes.narrow(0, 0, half)?, codes.narrow(0, half, half)?);
            Ok(Loss::new(nt_xent(&first, &second, self.temperature)?))
        };
        let training = trainer.resumable_if(checkpoint, &params).about(self)?;
        let history = training.run_prepared(n, &mut optimizer, observer, views, loss)?;
        SimClrModel::new(self.clone(), shape, params.snapshot()?, history)
    }
}
