//! Saving and loading.

use super::model::VaeModel;
use super::network::Network;
use super::spec::Vae;
use unsup_core::Result;
use unsup_core::nn::Params;
use unsup_core::store::{Persist, Record};

impl Persist for VaeModel {
    fn kind() -> String {
        "VaeModel".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        let record = Record::new(Self::kind())
            .value("spec", &self.spec)?
            .value("image", &self.image)?
            .value("history", &self.history)?;
        self.params.write(record)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: Vae = record.read_value("spec")?;
        let image: [usize; 3] = record.read_value("image")?;
        record.require(spec.check().is_ok(), "the settings are out of range")?;
        record.require(image.iter().all(|&side| side > 0), "the image shape is empty")?;
        record.require(spec.check_size(image).is_ok(), "the network is larger than any file")?;
        let params = Params::read(record)?;
        let network = Network::new(&spec, image, &params);
        record.require(network.is_ok(), "the weights do not fit the settings")?;
        Ok(VaeModel { network: network?, spec, image, params, history: record.read_value("history")? })
    }
}
