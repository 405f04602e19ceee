//! Activations as settings of a network.

use super::ops;
use crate::Result;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// The function between two layers, for specifications that leave it open.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::Activation;
/// let x = Tensor::new(&[-10_f32, 3.], &Device::Cpu)?;
/// assert_eq!(Activation::LeakyRelu(0.2).apply(&x)?.to_vec1::<f32>()?, [-2., 3.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// x, or this slope times x where x is negative; 0.2 in DCGAN.
    LeakyRelu(f64),
    /// x·sigmoid(x).
    Silu,
    /// x·Φ(x).
    Gelu,
    /// tanh(x).
    Tanh,
    /// 1 / (1 + exp(−x)).
    Sigmoid,
}

impl Activation {
    /// Applies the function to each value. x: any shape. Returns the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when x holds no floating point numbers.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::Relu => ops::relu(x),
            Activation::LeakyRelu(slope) => ops::leaky_relu(x, slope),
            Activation::Silu => ops::silu(x),
            Activation::Gelu => ops::gelu(x),
            Activation::Tanh => ops::tanh(x),
            Activation::Sigmoid => ops::sigmoid(x),
        }
    }

    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a slope that is negative or not finite.
    pub fn check(self) -> Result<()> {
        match self {
            Activation::LeakyRelu(slope) => ops::activation::check_slope(slope),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::nn::check;
    use candle_core::Device;

    #[test]
    fn each_is_its_function_and_has_its_gradient() -> Result<()> {
        let x = Tensor::new(&[-1.0_f64, 0.5], &Device::Cpu)?;
        for (activation, expected) in [
            (Activation::Relu, [0.0, 0.5]),
            (Activation::LeakyRelu(0.2), [-0.2, 0.5]),
            (Activation::Silu, [-0.268_941_421_37, 0.311_229_665_6]),
            (Activation::Gelu, [-0.158_655_253_93, 0.345_731_230_64]),
            (Activation::Tanh, [-0.761_594_155_96, 0.462_117_157_26]),
            (Activation::Sigmoid, [0.268_941_421_37, 0.622_459_331_2]),
        ] {
            for (found, expected) in activation.apply(&x)?.to_vec1::<f64>()?.into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "{activation:?}: {found} instead of {expected}");
            }
            let error = check::gradient_error(&[check::input(&[3, 5], 1)?], |x| activation.apply(&x[0]))?;
            assert!(error < 1e-8, "{activation:?}: {error:e}");
        }
        for slope in [f64::NAN, f64::INFINITY, -0.1] {
            let refused = Activation::LeakyRelu(slope).check();
            assert!(matches!(refused, Err(Error::Parameter { name: "slope", .. })), "{slope}");
        }
        Ok(())
    }
}
