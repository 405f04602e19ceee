//! Images at the door, and networks over many of them.

use candle_core::{Device, Tensor};
use ndarray::Array2;
use unsup_core::{Error, Result, validate};

/// Images that are encoded at once.
const BATCH: usize = 256;

/// Valid images of this many channels. Returns channels, height, width.
pub(crate) fn check(x: &Tensor, channels: usize) -> Result<[usize; 3]> {
    let expected = format!("f32 images [n, {channels}, height, width]");
    let image = validate::images(x, "x", &expected)?;
    if image[0] == channels {
        Ok(image)
    } else {
        Err(Error::shape("x", expected, format!("shape {:?}", x.dims())))
    }
}

/// A network's outputs for all images, batch by batch, as a table.
pub(crate) fn rows(x: &Tensor, network: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Array2<f32>> {
    let n = x.dim(0)?;
    let mut values = Vec::new();
    let mut width = 0;
    for start in (0..n).step_by(BATCH) {
        let out = network(&x.narrow(0, start, BATCH.min(n - start))?)?.to_device(&Device::Cpu)?;
        width = out.dim(1)?;
        values.extend(out.flatten_all()?.to_vec1::<f32>()?);
    }
    Array2::from_shape_vec((n, width), values)
        .map_err(|e| Error::Numerical { method: "encoding", problem: e.to_string() })
}
