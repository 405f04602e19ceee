//! The multilayer perceptron: affine maps with ReLU between them.

use super::{BatchNorm, Init, Linear, Mode, Params, ops};
use crate::math::in_pool;
use crate::{Error, Result};
use candle_core::Tensor;

/// Affine layers of given widths, each but the last followed by ReLU and, when asked for, batch
/// normalisation before it. The last layer is affine only.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::{Mlp, Mode, Params};
/// let net = Mlp::new(&Params::new(Seed::new(7)), &[784, 256, 32])?;
/// let x = Tensor::zeros((5, 784), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.forward(&x, Mode::Eval)?.dims(), [5, 32]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Mlp {
    layers: Vec<(Linear, Option<BatchNorm>)>,
}

impl Mlp {
    /// widths: inputs, hidden layers, outputs.
    ///
    /// # Errors
    /// [`Error::Parameter`] for fewer than two widths or a width of 0, [`Error::Shape`] when saved
    /// parameters do not fit.
    pub fn new(params: &Params, widths: &[usize]) -> Result<Self> {
        Self::build(params, widths, false)
    }

    /// The same with batch normalisation before each ReLU.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_batch_norm(params: &Params, widths: &[usize]) -> Result<Self> {
        Self::build(params, widths, true)
    }

    fn build(params: &Params, widths: &[usize], batch_norm: bool) -> Result<Self> {
        if widths.len() < 2 || widths.contains(&0) {
            return Err(Error::parameter("widths", format!("{widths:?}"), "at least two positive widths"));
        }
        let last = widths.len() - 2;
        let layer = |(i, pair): (usize, &[usize])| {
            let normalized = batch_norm && i < last;
            // nothing follows the last layer that would halve the variance
            let init = if i < last { Init::KaimingUniform } else { Init::XavierUniform };
            let linear = Linear::with(&params.scope(i), pair[0], pair[1], init, !normalized)?;
            let norm = match normalized {
                true => Some(BatchNorm::new(&params.scope(format!("{i}.norm")), pair[1])?),
                false => None,
            };
            Ok((linear, norm))
        };
        Ok(Mlp { layers: widths.windows(2).enumerate().map(layer).collect::<Result<_>>()? })
    }

    /// x: `[n, inputs]`. Returns `[n, outputs]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        in_pool(|| {
            let mut x = x.clone();
            for (i, (linear, norm)) in self.layers.iter().enumerate() {
                x = linear.forward(&x)?;
                x = match norm {
                    Some(norm) => norm.forward_relu(&x, mode)?,
                    None if i + 1 < self.layers.len() => ops::relu(&x)?,
                    None => x,
                };
            }
            Ok(x)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::check;
    use candle_core::{DType, Device};

    #[test]
    fn gradients_with_and_without_batch_norm() -> Result<()> {
        let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
        for net in [
            Mlp::new(&params.scope("plain"), &[5, 7, 3, 2])?,
            Mlp::with_batch_norm(&params.scope("normalized"), &[5, 7, 3])?,
        ] {
            let x = check::input(&[6, 5], 1)?;
            let error = check::gradient_error(&[x], |x| net.forward(&x[0], Mode::Train))?;
            assert!(error < 1e-6, "{error:e}");
        }
        assert!(matches!(Mlp::new(&params, &[5]), Err(Error::Parameter { name: "widths", .. })));
        Ok(())
    }
}
