//! The checks made once, at the door.

use super::likelihood::Likelihood;
use candle_core::{Device, Tensor};
use unsup_core::{Error, Result, validate};

/// Images that a likelihood can explain: valid, and between 0 and 1 for Bernoulli pixels. Returns c, h and w.
pub(super) fn images(x: &Tensor, likelihood: Likelihood) -> Result<[usize; 3]> {
    let image = validate::images(x, "x", "f32 images [n, channels, height, width]")?;
    if likelihood == Likelihood::Bernoulli {
        let values = x.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
        if let Some(index) = values.iter().position(|v| !(0.0..=1.0).contains(v)) {
            let value = values[index].to_string();
            let allowed = "a number between 0 and 1 for a Bernoulli likelihood";
            return Err(Error::Value { what: "x", index, value, allowed });
        }
    }
    Ok(image)
}
