use crate::Result;
use crate::nn::{Init, Params, ops};
use candle_core::Tensor;

/// y = x·Wᵀ + b. Tensors: `weight` `[outputs, inputs]`, `bias` `[outputs]`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// With Kaiming-uniform weights and a bias that starts at 0.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when saved parameters do not fit.
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with(params, inputs, outputs, Init::KaimingUniform, true)
    }

    /// With any start, and with or without a bias.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(params: &Params, inputs: usize, outputs: usize, init: Init, bias: bool) -> Result<Self> {
        let weight = params.trained("weight", &[outputs, inputs], init)?;
        let bias = if bias { Some(params.trained("bias", &[outputs], Init::ZEROS)?) } else { None };
        Ok(Linear { weight, bias })
    }

    /// x: `[n, inputs]`. Returns `[n, outputs]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when x does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_by(x, &self.weight)
    }

    pub(super) fn forward_by(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        ops::linear(x, weight, self.bias.as_ref())
    }

    /// The gradient of the input as a forward pass, to be differentiated again. dy: `[n, outputs]`. Returns
    /// `[n, inputs]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when dy does not fit.
    pub fn input_gradient(&self, dy: &Tensor) -> Result<Tensor> {
        ops::linear(dy, &self.weight.t()?.contiguous()?, None)
    }

    /// `[outputs, inputs]`
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `[outputs]`
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}
