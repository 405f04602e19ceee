//! Images at the door, and networks over many of them.

use candle_core::{DType, Device, Tensor};
use ndarray::Array2;
use unsup_core::{Error, Result};

/// Images that are encoded at once.
const BATCH: usize = 256;

/// A finite, non-empty `[n, c, h, w]` tensor of `f32` with this many channels. Returns channels, height, width.
pub(crate) fn check(x: &Tensor, channels: usize) -> Result<[usize; 3]> {
    let expected = || format!("f32 images [n, {channels}, height, width]");
    let found = || format!("{:?} of shape {:?}", x.dtype(), x.dims());
    let &[n, c, h, w] = x.dims() else {
        return Err(Error::shape("x", expected(), found()));
    };
    if n * c * h * w == 0 {
        return Err(Error::Empty { what: "x", shape: x.dims().to_vec() });
    }
    if c != channels || x.dtype() != DType::F32 {
        return Err(Error::shape("x", expected(), found()));
    }
    let values = x.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok([c, h, w]),
        Some(at) => {
            let size = c * h * w;
            Err(Error::NonFinite {
                what: "x",
                row: at / size,
                column: at % size,
                value: f64::from(values[at]),
            })
        }
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
