//! Bounds on gradients.

use crate::nn::ops::element::{Backend, Element, by_type, ours, values};
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

/// ‖x‖, summed in `f64` over fixed stretches.
pub(super) fn norm(x: &Tensor) -> Result<f64> {
    norm_of_sum(x, x, 0.0)
}

/// ‖x + factor·y‖, without a temporary on the CPU.
pub(super) fn norm_of_sum(x: &Tensor, y: &Tensor, factor: f64) -> Result<f64> {
    if !ours(x) {
        let sum = (x + (y * factor)?)?;
        return Ok(sum.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?.sqrt());
    }
    let squares: Backend<f64> = by_type!(x, T => squares::<T>(&x.contiguous()?, &y.contiguous()?, factor));
    Ok(squares?.sqrt())
}

fn squares<T: Element>(x: &Tensor, y: &Tensor, factor: f64) -> Backend<f64> {
    const STRETCH: usize = 1 << 14;
    let (x, y) = (values::<T>(x)?, values::<T>(y)?);
    let square = |(x, y): (&T, &T)| (x.f64() + factor * y.f64()).powi(2);
    let stretches = x.par_chunks(STRETCH).zip(y.par_chunks(STRETCH));
    let parts: Vec<f64> = stretches.map(|(x, y)| x.iter().zip(y).map(square).sum()).collect();
    Ok(parts.iter().sum())
}
