//! The affine map y = x·Wᵀ + b: three products and no temporaries.
//!
//! Cost: n·d·o multiplications forward, twice that backward; the input gradient is skipped when
//! the input carries none.

use super::channels::channel_sums;
use super::element::{Backend, Element, by_type, float, ours, shaped, tensor, values};
use super::record::{Gradient, record};
use crate::math::gemm::{Mat, product, product_plus};
use crate::{Error, Result};
use candle_core::Tensor;

/// x·weightᵀ + bias. x: `[n, d]`, weight: `[o, d]`, bias: `[o]`. Returns `[n, o]`.
///
/// With x as both arguments this is the matrix of all inner products.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[1_f32, 2.], [3., 4.]], &Device::Cpu)?;
/// assert_eq!(ops::linear(&x, &x, None)?.to_vec2::<f32>()?, [[5., 11.], [11., 25.]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (&[_, d], &[out, inner]) = (x.dims(), weight.dims()) else {
        let found = format!("x {:?} and weight {:?}", x.dims(), weight.dims());
        return Err(Error::shape("a linear layer", "x [n, d] and weight [o, d]", found));
    };
    if d != inner {
        return Err(Error::shape("x", format!("{inner} columns"), format!("{d} columns")));
    }
    float(x, "x")?;
    shaped(weight, "weight", &[out, d], x)?;
    if let Some(bias) = bias {
        shaped(bias, "bias", &[out], x)?;
    }
    if !ours(x) {
        let y = x.matmul(&weight.t()?)?;
        return Ok(bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))?);
    }
    Ok(by_type!(x, T => forward::<T>(&x.contiguous()?, &weight.contiguous()?, bias))?)
}

fn forward<T: Element>(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Backend<Tensor> {
    let ((n, d), out) = (x.dims2()?, weight.dim(0)?);
    let apply = |bias: Option<&[T]>| -> Backend<Vec<T>> {
        let (x, weight) = (values::<T>(x)?, values::<T>(weight)?);
        Ok(product_plus(Mat::new(&x, n, d), Mat::new(&weight, out, d).t(), bias))
    };
    let Some(bias) = bias else {
        return record("linear", [x, weight], (apply(None)?, (n, out)), |[x, w], _, dy| {
            let (dx, dw) = rayon::join(|| input_gradient::<T>(x, w, dy), || weight_gradient::<T>(x, w, dy));
            Ok([dx?, dw?])
        });
    };
    let bias = &bias.contiguous()?;
    let y = apply(Some(&values::<T>(bias)?))?;
    record("linear", [x, weight, bias], (y, (n, out)), |[x, w, b], _, dy| {
        let db = || if b.track_op() { channel_sums::<T>(dy).map(Some) } else { Ok(None) };
        let of_parameters = || rayon::join(|| weight_gradient::<T>(x, w, dy), db);
        let (dx, (dw, db)) = rayon::join(|| input_gradient::<T>(x, w, dy), of_parameters);
        Ok([dx?, dw?, db?])
    })
}

fn input_gradient<T: Element>(x: &Tensor, weight: &Tensor, dy: &Tensor) -> Backend<Gradient> {
    if !x.track_op() {
        return Ok(None);
    }
    let ((out, d), n) = (weight.dims2()?, x.dim(0)?);
    let (dy, weight) = (values::<T>(dy)?, values::<T>(weight)?);
    tensor(product(Mat::new(&dy, n, out), Mat::new(&weight, out, d)), (n, d)).map(Some)
}

fn weight_gradient<T: Element>(x: &Tensor, weight: &Tensor, dy: &Tensor) -> Backend<Gradient> {
    if !weight.track_op() {
        return Ok(None);
    }
    let ((out, d), n) = (weight.dims2()?, x.dim(0)?);
    let (dy, x) = (values::<T>(dy)?, values::<T>(x)?);
    tensor(product(Mat::new(&dy, n, out).t(), Mat::new(&x, n, d)), (out, d)).map(Some)
}
