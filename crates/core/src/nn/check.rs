//! Is a gradient right? Backward passes against central differences.
//!
//! For a function f of several tensors, the scalar g = Σ wᵢ·f(inputs)ᵢ with fixed random weights w
//! touches every output; each derivative of g is compared with (g(x + h) − g(x − h)) / 2h. Use it in the
//! tests of every operation, layer and loss, in `f64` and on odd sizes; not on inputs closer than
//! 10⁻⁵ to a kink (a ReLU at 0, two equal values in a max-pool).
//!
//! Cost: two evaluations of f per input element.

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
    let outputs = f(inputs)?.elem_count();
    let weights = Tensor::from_vec(Seed::new(0).named("check").normals(outputs), outputs, &Device::Cpu)?;
    let scalar =
        |inputs: &[Tensor]| -> Result<Tensor> { Ok((f(inputs)?.flatten_all()? * &weights)?.sum_all()?) };

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
        for (i, &derivative) in backward.iter().enumerate() {
            let h = 1e-5 * (1.0 + values[i].abs());
            let at = |shift: f64| -> Result<f64> {
                let mut moved = values.clone();
                moved[i] += shift;
                let mut inputs = inputs.to_vec();
                inputs[which] = Tensor::from_vec(moved, x.shape(), &Device::Cpu)?;
                Ok(scalar(&inputs)?.to_scalar::<f64>()?)
            };
            let difference = (at(h)? - at(-h)?) / (2.0 * h);
            worst = worst.max((derivative - difference).abs() / (1.0 + difference.abs()));
        }
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
