//! The affine map y = x·Wᵀ + b: three products and no temporaries.
//!
//! Cost: n·d·o multiplications forward, twice that backward; the input gradient is skipped when
//! the input carries none.

use super::channels::channel_sums;
use super::element::{Backend, Element, by_type, float, shaped, tensor, values};
use super::record::record;
use super::reduce::SERIAL;
use crate::math::gemm::{Mat, product};
use crate::{Error, Result};
use candle_core::Tensor;
use rayon::prelude::*;

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
    if !x.device().is_cpu() {
        let y = x.matmul(&weight.t()?)?;
        return Ok(bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))?);
    }
    Ok(by_type!(x, T => forward::<T>(&x.contiguous()?, &weight.contiguous()?, bias))?)
}

fn forward<T: Element>(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Backend<Tensor> {
    let ((n, d), out) = (x.dims2()?, weight.dim(0)?);
    let mut y = product(Mat::new(&values::<T>(x)?, n, d), Mat::new(&values::<T>(weight)?, out, d).t());
    let Some(bias) = bias else {
        return record("linear", [x, weight], (y, (n, out)), |[x, w], _, dy| gradients::<T>(x, w, dy));
    };
    let bias = &bias.contiguous()?;
    let b = values::<T>(bias)?;
    y.par_chunks_mut(out.max(1))
        .with_min_len((SERIAL / out.max(1)).max(1))
        .for_each(|y| y.iter_mut().zip(&b[..]).for_each(|(y, &b)| *y += b));
    record("linear", [x, weight, bias], (y, (n, out)), |[x, w, b], _, dy| {
        let [dx, dw] = gradients::<T>(x, w, dy)?;
        let db = if b.track_op() { Some(channel_sums::<T>(dy)?) } else { None };
        Ok([dx, dw, db])
    })
}

fn gradients<T: Element>(x: &Tensor, weight: &Tensor, dy: &Tensor) -> Backend<[Option<Tensor>; 2]> {
    let ((n, d), out) = (x.dims2()?, weight.dim(0)?);
    let dy = values::<T>(dy)?;
    let dy = Mat::new(&dy, n, out);
    let multiply = |rows: usize, a: Mat<'_, T>, b: &Tensor, b_rows: usize| {
        tensor(product(a, Mat::new(&values::<T>(b)?, b_rows, d)), (rows, d)).map(Some)
    };
    let dx = if x.track_op() { multiply(n, dy, weight, out)? } else { None };
    let dw = if weight.track_op() { multiply(out, dy.t(), x, n)? } else { None };
    Ok([dx, dw])
}
