use crate::nn::{Init, Params, ops};
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// The sizes of a convolution with a square kernel.
///
/// ```
/// use unsup_core::nn::ConvSpec;
/// let halving = ConvSpec::new(4).stride(2).padding(1); // 14 x 14 becomes 7 x 7, and back
/// let before_norm = ConvSpec::new(3).padding(1).bias(false);
/// assert_ne!(halving, before_norm);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvSpec {
    kernel: usize,
    stride: usize,
    padding: usize,
    output_padding: usize,
    bias: bool,
}

impl ConvSpec {
    /// A kernel of this width and height, stride 1, no padding, with a bias.
    pub fn new(kernel: usize) -> Self {
        ConvSpec { kernel, stride: 1, padding: 0, output_padding: 0, bias: true }
    }

    /// Pixels between two outputs (inputs, for a transposed convolution).
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        ConvSpec { stride, ..self }
    }

    /// Zeros around the image.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        ConvSpec { padding, ..self }
    }

    /// Rows and columns that a transposed convolution adds at the end; less than the stride.
    #[must_use]
    pub fn output_padding(self, output_padding: usize) -> Self {
        ConvSpec { output_padding, ..self }
    }

    /// Whether there is a bias; none is needed before a normalisation.
    #[must_use]
    pub fn bias(self, bias: bool) -> Self {
        ConvSpec { bias, ..self }
    }

    fn check(&self) -> Result<()> {
        if self.kernel == 0 {
            return Err(Error::parameter("kernel", self.kernel, "at least 1"));
        }
        if self.stride == 0 {
            return Err(Error::parameter("stride", self.stride, "at least 1"));
        }
        Ok(())
    }
}

/// A convolution; see [`ops::conv2d`]. Tensors: `weight` `[outputs, inputs, k, k]`, `bias` `[outputs]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    spec: ConvSpec,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Conv2d {
    /// With Kaiming-normal weights and a bias that starts at 0.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a kernel or stride of 0, [`Error::Shape`] when saved parameters do not
    /// fit.
    pub fn new(params: &Params, inputs: usize, outputs: usize, spec: ConvSpec) -> Result<Self> {
        spec.check()?;
        let shape = [outputs, inputs, spec.kernel, spec.kernel];
        let weight = params.trained("weight", &shape, Init::KaimingNormal)?;
        let bias = if spec.bias { Some(params.trained("bias", &[outputs], Init::ZEROS)?) } else { None };
        Ok(Conv2d { spec, weight, bias })
    }

    /// x: `[n, inputs, h, w]`. Returns `[n, outputs, oh, ow]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv2d(x, &self.weight, self.bias.as_ref(), self.spec.stride, self.spec.padding)
    }
}

/// A transposed convolution; see [`ops::conv_transpose2d`]. Tensors: `weight` `[inputs, outputs, k, k]`,
/// `bias` `[outputs]`.
#[derive(Debug, Clone)]
pub struct ConvTranspose2d {
    spec: ConvSpec,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl ConvTranspose2d {
    /// With normal weights that keep the variance before a ReLU, and a bias that starts at 0.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a kernel or stride of 0, [`Error::Shape`] when saved parameters do not
    /// fit.
    pub fn new(params: &Params, inputs: usize, outputs: usize, spec: ConvSpec) -> Result<Self> {
        spec.check()?;
        // each output pixel is reached by (k / stride)² taps of each input channel
        let fan_in = inputs as f64 * (spec.kernel as f64 / spec.stride as f64).powi(2);
        let init = Init::Normal((2.0 / fan_in.max(1.0)).sqrt());
        let weight = params.trained("weight", &[inputs, outputs, spec.kernel, spec.kernel], init)?;
        let bias = if spec.bias { Some(params.trained("bias", &[outputs], Init::ZEROS)?) } else { None };
        Ok(ConvTranspose2d { spec, weight, bias })
    }

    /// x: `[n, inputs, h, w]`. Returns `[n, outputs, oh, ow]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ConvSpec { stride, padding, output_padding, .. } = self.spec;
        ops::conv_transpose2d(x, &self.weight, self.bias.as_ref(), stride, padding, output_padding)
    }
}
