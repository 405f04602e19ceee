//! The baseline that a representation must beat: the same encoder trained on the labels alone.
//!
//! Encoder and a linear layer, trained end to end by cross-entropy on views of the labelled images. With few labels it is what
//! pretraining is compared with; with many it is the classifier to use.
//!
//! Cost: one encoding and its backward pass an image and epoch.

use crate::images;
use crate::views::Views;
use candle_core::{DType, Tensor};
use ndarray::Array1;
use serde::{Deserialize, Serialize};
use std::path::Path;
use unsup_core::estimator::Predict;
use unsup_core::nn::{Linear, Mode, Params, ResNet, ResNetSpec, ops};
use unsup_core::observe::{History, Observer};
use unsup_core::store::{Persist, Record};
use unsup_core::train::{AdamW, Batch, Loss, Schedule, Trainer};
use unsup_core::{Error, Result, Seed};

/// The hyper-parameters of a supervised classifier; see the [module](self).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Supervised {
    encoder: ResNetSpec,
    views: Views,
    trainer: Trainer,
    seed: Seed,
}

const WEIGHT_DECAY: f64 = 1e-2;

impl Supervised {
    /// This encoder, no views, 100 epochs of batches of 64 at a learning rate of 0.002 and a weight decay of 0.01.
    pub fn new(encoder: ResNetSpec) -> Self {
        Supervised {
            encoder,
            views: Views::new(),
            trainer: Trainer::new("supervised", 100)
                .batch_size(64)
                .drop_last(true)
                .schedule(Schedule::cosine(2e-3).warmup(0.1)),
            seed: Seed::default(),
        }
    }

    /// Random views of the training images.
    #[must_use]
    pub fn views(mut self, views: Views) -> Self {
        self.views = views;
        self
    }

    /// How many times training sees each image.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.trainer = self.trainer.epochs(epochs);
        self
    }

    /// Images a step, at least 2.
    #[must_use]
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.trainer = self.trainer.batch_size(batch_size);
        self
    }

    /// The largest learning rate of AdamW, reached after a tenth of all steps, then down to 0 along a cosine.
    #[must_use]
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.trainer = self.trainer.learning_rate(learning_rate);
        self
    }

    /// Where weights, batches and views come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    /// Learns to tell the labels from the images. x: `[n, c, h, w]`, `f32`, n ≥ 2; labels: `[n]`, classes from 0; the
    /// number of classes is the largest label + 1.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::NonFinite`], [`Error::TooFewRows`] for one image, [`Error::Value`] for a
    /// label beyond 65535, [`Error::Parameter`], [`Error::NonFiniteLoss`].
    pub fn fit(
        &self,
        x: &Tensor,
        labels: &Array1<usize>,
        observer: &mut dyn Observer,
    ) -> Result<SupervisedModel> {
        self.train(x, labels, None, observer)
    }

    /// Fits as `fit` does, with a checkpoint at this path after every epoch: run again after a stop
    /// or a crash it goes on from there and ends with the same bits.
    ///
    /// # Errors
    /// As `fit`; [`Error::File`] when the file is not a checkpoint of this spec on as many images,
    /// [`Error::Io`] when it cannot be read or written.
    pub fn fit_resumable(
        &self,
        x: &Tensor,
        labels: &Array1<usize>,
        checkpoint: impl AsRef<Path>,
        observer: &mut dyn Observer,
    ) -> Result<SupervisedModel> {
        self.train(x, labels, Some(checkpoint.as_ref()), observer)
    }

    fn train(
        &self,
        x: &Tensor,
        labels: &Array1<usize>,
        checkpoint: Option<&Path>,
        observer: &mut dyn Observer,
    ) -> Result<SupervisedModel> {
        self.encoder.check()?;
        self.trainer.check(2)?;
        images::check(x, self.encoder.channels())?;
        let n = x.dim(0)?;
        if labels.len() != n {
            return Err(Error::shape(
                "labels",
                format!("{n} labels, one an image"),
                format!("{} labels", labels.len()),
            ));
        }
        if n < 2 {
            return Err(Error::TooFewRows { method: "a supervised classifier", needed: 2, found: n });
        }
        if let Some((index, label)) = labels.iter().enumerate().find(|(_, l)| **l > 65535) {
            return Err(Error::Value {
                what: "labels",
                index,
                value: label.to_string(),
                allowed: "classes from 0 to 65535",
            });
        }
        let classes = labels.iter().max().map_or(1, |l| l + 1);
        let targets: Vec<u32> = labels.iter().map(|&l| l as u32).collect();
        let targets = Tensor::from_vec(targets, n, x.device())?;
        let params = Params::on(self.seed.named("supervised"), DType::F32, x.device());
        let network = Network::new(&self.encoder, classes, &params)?;
        let trainer = self.trainer.clone().within(n).seed(self.seed);
        let mut optimizer = AdamW::new(params.trainable()).weight_decay(WEIGHT_DECAY);
        // the views of the next batches are drawn while a step runs
        let views = |batch: &Batch<'_>| {
            self.views.apply(&batch.select(x)?, self.seed.named("view").indexed(batch.number))
        };
        let loss = |seen: Tensor, batch: &Batch<'_>| {
            Ok(Loss::new(ops::cross_entropy(&network.scores(&seen, batch.mode)?, &batch.select(&targets)?)?))
        };
        let training = trainer.resumable_if(checkpoint, &params).about(self)?;
        let history = training.run_prepared(n, &mut optimizer, observer, views, loss)?;
        let params = params.snapshot()?;
        let network = Network::new(&self.encoder, classes, &params)?;
        Ok(SupervisedModel { spec: self.clone(), classes, params, network, history })
    }
}

#[derive(Debug, Clone)]
struct Network {
    encoder: ResNet,
    head: Linear,
}

impl Network {
    fn new(encoder: &ResNetSpec, classes: usize, params: &Params) -> Result<Self> {
        let head = Linear::new(&params.scope("head"), encoder.features(), classes)?;
        Ok(Network { encoder: ResNet::new(&params.scope("encoder"), encoder)?, head })
    }

    fn scores(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.head.forward(&self.encoder.forward(x, mode)?)
    }
}

/// A trained classifier of images; see the [module](self).
#[derive(Debug, Clone)]
pub struct SupervisedModel {
    spec: Supervised,
    classes: usize,
    params: Params,
    network: Network,
    history: History,
}

impl SupervisedModel {
    /// The spec it was fitted with.
    pub fn spec(&self) -> &Supervised {
        &self.spec
    }

    /// The mean cross-entropy of each epoch, in nats.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// The most probable class of each image; on a tie the lower one. x: `[n, c, h, w]`. Returns `[n]`.
impl Predict<Tensor> for SupervisedModel {
    fn predict(&self, x: &Tensor) -> Result<Array1<usize>> {
        images::check(x, self.spec.encoder.channels())?;
        let scores = images::rows(x, |x| self.network.scores(x, Mode::Eval))?;
        let best = |row: ndarray::ArrayView1<'_, f32>| {
            (1..row.len()).fold(0, |b, c| if row[c] > row[b] { c } else { b })
        };
        Ok(scores.rows().into_iter().map(best).collect())
    }
}

impl Persist for SupervisedModel {
    fn kind() -> String {
        "SupervisedModel".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        let record = Record::new(Self::kind())
            .value("spec", &self.spec)?
            .value("classes", &self.classes)?
            .value("history", &self.history)?;
        self.params.write(record)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let (spec, classes): (Supervised, usize) =
            (record.read_value("spec")?, record.read_value("classes")?);
        record.require(spec.encoder.check().is_ok(), "the settings are out of range")?;
        let params = Params::read(record)?;
        let network = Network::new(&spec.encoder, classes, &params);
        record.require(network.is_ok(), "the weights do not fit the settings")?;
        Ok(SupervisedModel {
            network: network?,
            spec,
            classes,
            params,
            history: record.read_value("history")?,
        })
    }
}
