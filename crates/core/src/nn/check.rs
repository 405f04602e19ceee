//! Is a gradient right? Backward passes against central differences.
//!
//! For a function f of several tensors, the scalar g = Σ wᵢ·f(inputs)ᵢ with fixed random weights w
//! touches every output; each derivative of g is compared with (g(x + h) − g(x − h)) / 2h. Use it in the
//! tests of every operation, layer and loss, in `f64` and on odd sizes; not on inputs closer than
//! 10⁻⁵ to a kink (a ReLU at 0, two equal values in a max-pool).
//!
//! Cost: two evaluations of f per input element.

use super::{Params, backward};
use crate::{Error, Result, Seed};
use candle_core::{DType, Device, Tensor, Var};

/// The largest difference between a backward derivative and a central difference, relative to
/// 1 + the derivative's size, over every element of every input.
///
/// inputs: `f64`, any shapes. A derivative that the backward pass leaves out counts as 0.
///
/// # Errors
/// Those of `f`, and [`Error::Shape`] for inputs that are not `f64`.
///
/// ```
/// use unsup_core::nn::{check, ops};
/// let x = check::input(&[3, 5], 1)?;
/// let error = check::gradient_error(&[x], |inputs| ops::log_softmax(&inputs[0]))?;
/// assert!(error < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gradient_error(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<f64> {
    if let Some(other) = inputs.iter().find(|x| x.dtype() != DType::F64) {
        return Err(Error::shape("inputs", "f64 values", format!("{} values", other.dtype().as_str())));
    }
    let scalar = |inputs: &[Tensor]| weighted_sum(&f(inputs)?);
    let vars =
        inputs.iter().map(|x| Var::from_tensor(&x.copy()?)).collect::<candle_core::Result<Vec<_>>>()?;
    let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let gradients = scalar(&tracked)?.backward()?;

    let mut worst = 0.0_f64;
    for (which, x) in inputs.iter().enumerate() {
        let values = x.flatten_all()?.to_vec1::<f64>()?;
        let backward = match gradients.get(&vars[which]) {
            Some(gradient) => gradient.flatten_all()?.to_vec1::<f64>()?,
            None => vec![0.0; values.len()],
        };
        let at = |moved: Vec<f64>| -> Result<f64> {
            let mut inputs = inputs.to_vec();
            inputs[which] = Tensor::from_vec(moved, x.shape(), &Device::Cpu)?;
            Ok(scalar(&inputs)?.to_scalar::<f64>()?)
        };
        worst = worst.max(distance(&backward, &values, at)?);
    }
    Ok(worst)
}

/// The same for the parameters of a network, which are moved where they lie and put back: the largest difference over every
/// element of every trained tensor of `params`, which is `f64`.
///
/// # Errors
/// Those of `f`, and [`Error::Shape`] for parameters that are not `f64`.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{DType, Device};
/// use unsup_core::nn::{Linear, Params, check};
/// let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
/// let layer = Linear::new(&params, 3, 2)?;
/// let x = check::input(&[5, 3], 1)?;
/// assert!(check::parameter_gradient_error(&params, || layer.forward(&x))? < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parameter_gradient_error(params: &Params, f: impl Fn() -> Result<Tensor>) -> Result<f64> {
    if params.dtype() != DType::F64 {
        return Err(Error::shape("params", "f64 values", format!("{} values", params.dtype().as_str())));
    }
    let gradients = backward(&weighted_sum(&f()?)?)?;
    let mut worst = 0.0_f64;
    for parameter in params.trainable() {
        let values = parameter.flatten_all()?.to_vec1::<f64>()?;
        let backward = match gradients.get(&parameter) {
            Some(gradient) => gradient.flatten_all()?.to_vec1::<f64>()?,
            None => vec![0.0; values.len()],
        };
        let set = |values: Vec<f64>| -> Result<()> {
            Ok(parameter.set(&Tensor::from_vec(values, parameter.shape(), &Device::Cpu)?)?)
        };
        let at = |moved: Vec<f64>| -> Result<f64> {
            set(moved)?;
            Ok(weighted_sum(&f()?)?.to_scalar::<f64>()?)
        };
        let error = distance(&backward, &values, at);
        set(values)?;
        worst = worst.max(error?);
    }
    Ok(worst)
}

/// Σ wᵢ·yᵢ with fixed random weights.
fn weighted_sum(y: &Tensor) -> Result<Tensor> {
    let outputs = y.elem_count();
    let weights = Tensor::from_vec(Seed::new(0).named("check").normals(outputs), outputs, &Device::Cpu)?;
    Ok((y.flatten_all()? * &weights)?.sum_all()?)
}

/// The largest difference between derivatives and central differences of `at`, a function of these values.
fn distance(derivatives: &[f64], values: &[f64], at: impl Fn(Vec<f64>) -> Result<f64>) -> Result<f64> {
    let mut worst = 0.0_f64;
    for (i, &derivative) in derivatives.iter().enumerate() {
        let h = 1e-5 * (1.0 + values[i].abs());
        let moved = |shift: f64| {
            let mut moved = values.to_vec();
            moved[i] += shift;
            at(moved)
        };
        let difference = (moved(h)? - moved(-h)?) / (2.0 * h);
        worst = worst.max((derivative - difference).abs() / (1.0 + difference.abs()));
    }
    Ok(worst)
}

/// Standard normal numbers of this shape in `f64`, the same for the same `seed`: something to check with.
///
/// # Errors
/// When the tensor cannot be made.
pub fn input(shape: &[usize], seed: u64) -> Result<Tensor> {
    let values = Seed::new(seed).named("input").normals(shape.iter().product());
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
