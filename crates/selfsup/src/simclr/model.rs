//! What SimCLR learned: an encoder, and the head it was trained with.

use super::SimClr;
use crate::images;
use candle_core::Tensor;
use ndarray::Array2;
use unsup_core::Result;
use unsup_core::estimator::Transform;
use unsup_core::nn::{Mlp, Mode, Params, ResNet};
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};

/// Encoder and projection head.
#[derive(Debug, Clone)]
pub(super) struct Network {
    encoder: ResNet,
    head: Mlp,
}

impl Network {
    pub(super) fn new(spec: &SimClr, params: &Params) -> Result<Self> {
        let (hidden, output) = spec.projection;
        let encoder = ResNet::new(&params.scope("encoder"), &spec.encoder)?;
        let widths = [spec.encoder.features(), hidden, output];
        Ok(Network { encoder, head: Mlp::with_batch_norm(&params.scope("head"), &widths)? })
    }

    pub(super) fn project(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.head.forward(&self.encoder.forward(x, mode)?, mode)
    }
}

/// The representation that [`SimClr`] learned; see the [module](super).
#[derive(Debug, Clone)]
pub struct SimClrModel {
    spec: SimClr,
    image: [usize; 3],
    params: Params,
    network: Network,
    history: History,
}

impl SimClrModel {
    pub(super) fn new(spec: SimClr, image: [usize; 3], params: Params, history: History) -> Result<Self> {
        Ok(SimClrModel { network: Network::new(&spec, &params)?, spec, image, params, history })
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &SimClr {
        &self.spec
    }

    /// The mean loss of each epoch, in nats.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Channels, height and width of the images it was fitted on. Others of as many channels are encoded too.
    pub fn image_shape(&self) -> [usize; 3] {
        self.image
    }

    /// The codes that the loss compares, after the projection head. x: `[n, c, h, w]`. Returns `[n, output]`.
    ///
    /// # Errors
    /// As [`transform`](Transform::transform).
    pub fn project(&self, x: &Tensor) -> Result<Array2<f32>> {
        images::check(x, self.image[0])?;
        images::rows(x, |x| self.network.project(x, Mode::Eval))
    }
}

/// The features: the encoder's output, before the projection head. x: `[n, c, h, w]`. Returns `[n, features]`.
impl Transform<Tensor> for SimClrModel {
    type Code = Array2<f32>;

    fn transform(&self, x: &Tensor) -> Result<Array2<f32>> {
        images::check(x, self.image[0])?;
        images::rows(x, |x| self.network.encoder.forward(x, Mode::Eval))
    }
}

impl Persist for SimClrModel {
    fn kind() -> String {
        "SimClrModel".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        let record = Record::new(Self::kind())
            .value("spec", &self.spec)?
            .value("image", &self.image)?
            .value("history", &self.history)?;
        self.params.write(record)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: SimClr = record.read_value("spec")?;
        let image: [usize; 3] = record.read_value("image")?;
        record.require(spec.check().is_ok(), "the settings are out of range")?;
        let params = Params::read(record)?;
        let network = Network::new(&spec, &params);
        record.require(network.is_ok(), "the weights do not fit the settings")?;
        Ok(SimClrModel { network: network?, spec, image, params, history: record.read_value("history")? })
    }
}
