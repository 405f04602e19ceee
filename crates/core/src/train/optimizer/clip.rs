//! Bounds on gradients.

use crate::nn::ops::element::{Backend, Element, by_type, values};
use crate::{Error, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use rayon::prelude::*;

/// Scales all gradients of `parameters` so that their joint Euclidean norm is at most `max_norm`.
/// Returns the norm before.
///
/// # Errors
/// [`Error::Parameter`] when `max_norm` is not positive; when the device fails.
pub fn clip_gradients(gradients: &mut GradStore, parameters: &[Var], max_norm: f64) -> Result<f64> {
    if max_norm.is_nan() || max_norm <= 0.0 {
        return Err(Error::parameter("max_norm", max_norm, "a positive number"));
    }
    let mut squares = 0.0;
    for gradient in parameters.iter().filter_map(|parameter| gradients.get(parameter)) {
        squares += norm(gradient)?.powi(2);
    }
    let total = squares.sqrt();
    if total > max_norm {
        for parameter in parameters {
            if let Some(gradient) = gradients.remove(parameter) {
                gradients.insert(parameter, (gradient * (max_norm / total))?.detach());
            }
        }
    }
    Ok(total)
}

/// Cuts every value of the gradients of `parameters` to [−`limit`, `limit`].
///
/// # Errors
/// [`Error::Parameter`] when `limit` is not positive; when the device fails.
pub fn clip_gradient_values(gradients: &mut GradStore, parameters: &[Var], limit: f64) -> Result<()> {
    if limit.is_nan() || limit <= 0.0 {
        return Err(Error::parameter("limit", limit, "a positive number"));
    }
    for parameter in parameters {
        if let Some(gradient) = gradients.remove(parameter) {
            gradients.insert(parameter, gradient.clamp(-limit, limit)?.detach());
        }
    }
    Ok(())
}

/// The Euclidean norm, summed in `f64` over fixed stretches.
pub(super) fn norm(x: &Tensor) -> Result<f64> {
    if !x.device().is_cpu() {
        return Ok(x.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?.sqrt());
    }
    let squares: Backend<f64> = by_type!(x, T => squares::<T>(&x.contiguous()?));
    Ok(squares?.sqrt())
}

fn squares<T: Element>(x: &Tensor) -> Backend<f64> {
    let values = values::<T>(x)?;
    let parts: Vec<f64> =
        values.par_chunks(1 << 14).map(|stretch| stretch.iter().map(|v| v.f64() * v.f64()).sum()).collect();
    Ok(parts.iter().sum())
}
