//! The checks made once, at the door.

use super::likelihood::Likelihood;
use candle_core::{DType, Tensor};
use unsup_core::{Error, Result};

/// Images that a likelihood can explain: `[n, c, h, w]`, `f32`, not empty, finite, and between 0 and 1 for
/// Bernoulli pixels. Returns c, h and w.
pub(super) fn images(x: &Tensor, likelihood: Likelihood) -> Result<[usize; 3]> {
    let &[n, c, h, w] = x.dims() else {
        return Err(Error::shape("x", "[n, channels, height, width]", format!("{:?}", x.dims())));
    };
    single(x, "x")?;
    if n * c * h * w == 0 {
        return Err(Error::Empty { what: "x", shape: x.dims().to_vec() });
    }
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    finite(&values, c * h * w, "x")?;
    let outside = |v: &f32| likelihood == Likelihood::Bernoulli && !(0.0..=1.0).contains(v);
    if let Some(index) = values.iter().position(outside) {
        let value = values[index].to_string();
        let allowed = "a number between 0 and 1 for a Bernoulli likelihood";
        return Err(Error::Value { what: "x", index, value, allowed });
    }
    Ok([c, h, w])
}

/// Codes: `[n, latent]`, `f32`, not empty, finite.
pub(super) fn codes(z: &Tensor, latent: usize) -> Result<()> {
    let &[n, width] = z.dims() else {
        return Err(Error::shape("z", format!("[n, {latent}]"), format!("{:?}", z.dims())));
    };
    if width != latent {
        return Err(Error::shape("z", format!("{latent} columns"), format!("{width} columns")));
    }
    single(z, "z")?;
    if n == 0 {
        return Err(Error::Empty { what: "z", shape: z.dims().to_vec() });
    }
    finite(&z.flatten_all()?.to_vec1::<f32>()?, latent, "z")
}

fn single(x: &Tensor, what: &'static str) -> Result<()> {
    match x.dtype() {
        DType::F32 => Ok(()),
        other => Err(Error::shape(what, "f32 values", format!("{} values", other.as_str()))),
    }
}

/// The row of a value is its image, the column its position within the image.
fn finite(values: &[f32], width: usize, what: &'static str) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let (row, column, value) = (at / width, at % width, f64::from(values[at]));
            Err(Error::NonFinite { what, row, column, value })
        }
    }
}
