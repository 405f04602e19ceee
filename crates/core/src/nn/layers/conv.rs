use crate::nn::ops::{self, ConvOptions};
use crate::nn::{Init, Params};
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConvSpec {
    kernel: usize,
    stride: usize,
    padding: usize,
    output_padding: usize,
    #[serde(default = "one")]
    dilation: usize,
    #[serde(default = "one")]
    groups: usize,
    bias: bool,
    #[serde(default)]
    init: Option<Init>,
}

/// What specifications saved before there were dilation and groups had.
fn one() -> usize {
    1
}

impl ConvSpec {
    /// A kernel of this width and height, stride 1, no padding, neighbouring taps, one group, with a bias.
    pub fn new(kernel: usize) -> Self {
        ConvSpec {
            kernel,
            stride: 1,
            padding: 0,
            output_padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
            init: None,
        }
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

    /// Pixels from one tap of the kernel to the next.
    #[must_use]
    pub fn dilation(self, dilation: usize) -> Self {
        ConvSpec { dilation, ..self }
    }

    /// Groups of channels that do not see each other; a divisor of the inputs and of the outputs.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        ConvSpec { groups, ..self }
    }

    /// Whether there is a bias; none is needed before a normalisation.
    #[must_use]
    pub fn bias(self, bias: bool) -> Self {
        ConvSpec { bias, ..self }
    }

    /// Another start of the weights than the layer's own.
    #[must_use]
    pub fn init(self, init: Init) -> Self {
        ConvSpec { init: Some(init), ..self }
    }

    fn check(&self, inputs: usize, outputs: usize) -> Result<()> {
        let counts = [
            ("kernel", self.kernel),
            ("stride", self.stride),
            ("dilation", self.dilation),
            ("groups", self.groups),
        ];
        for (name, value) in counts {
            if value == 0 {
                return Err(Error::parameter(name, value, "at least 1"));
            }
        }
        if !(inputs.is_multiple_of(self.groups) && outputs.is_multiple_of(self.groups)) {
            return Err(Error::parameter(
                "groups",
                self.groups,
                "a divisor of the inputs and of the outputs",
            ));
        }
        Ok(())
    }

    fn options(&self) -> ConvOptions {
        let options = ConvOptions::new().stride(self.stride).padding(self.padding);
        options.output_padding(self.output_padding).dilation(self.dilation).groups(self.groups)
    }
}

/// A convolution; see [`ops::conv2d_with`]. Tensors: `weight` `[outputs, inputs / groups, k, k]`,
/// `bias` `[outputs]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    spec: ConvSpec,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Conv2d {
    /// With Kaiming-normal weights, when the spec says nothing else, and a bias that starts at 0.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a kernel, stride, dilation or groups of 0 or groups that do not divide
    /// the inputs and outputs or a start that is not finite, [`Error::Shape`] when saved parameters do not fit.
    pub fn new(params: &Params, inputs: usize, outputs: usize, spec: ConvSpec) -> Result<Self> {
        spec.check(inputs, outputs)?;
        let shape = [outputs, inputs / spec.groups, spec.kernel, spec.kernel];
        let weight = params.trained("weight", &shape, spec.init.unwrap_or(Init::KaimingNormal))?;
        let bias = if spec.bias { Some(params.trained("bias", &[outputs], Init::ZEROS)?) } else { None };
        Ok(Conv2d { spec, weight, bias })
    }

    /// x: `[n, inputs, h, w]`. Returns `[n, outputs, oh, ow]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_by(x, &self.weight)
    }

    pub(super) fn forward_by(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        ops::conv2d_with(x, weight, self.bias.as_ref(), self.spec.options())
    }

    pub(super) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The gradient of an input of `size` (height, width) as a forward pass; see [`ops::conv2d_input_gradient`].
    /// dy: `[n, outputs, oh, ow]`. Returns `[n, inputs, height, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when dy does not fit.
    pub fn input_gradient(&self, dy: &Tensor, size: [usize; 2]) -> Result<Tensor> {
        ops::conv2d_input_gradient(dy, &self.weight, size, self.spec.options())
    }
}

/// A transposed convolution; see [`ops::conv_transpose2d_with`]. Tensors: `weight`
/// `[inputs, outputs / groups, k, k]`, `bias` `[outputs]`.
#[derive(Debug, Clone)]
pub struct ConvTranspose2d {
    spec: ConvSpec,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl ConvTranspose2d {
    /// With normal weights that keep the variance before a ReLU, when the spec says nothing else, and a
    /// bias that starts at 0.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a kernel, stride, dilation or groups of 0 or groups that do not divide
    /// the inputs and outputs or a start that is not finite, [`Error::Shape`] when saved parameters do not fit.
    pub fn new(params: &Params, inputs: usize, outputs: usize, spec: ConvSpec) -> Result<Self> {
        spec.check(inputs, outputs)?;
        // each output pixel is reached by (k / stride)² taps of each input channel of its group
        let fan_in = (inputs / spec.groups) as f64 * (spec.kernel as f64 / spec.stride as f64).powi(2);
        let init = spec.init.unwrap_or(Init::Normal((2.0 / fan_in.max(1.0)).sqrt()));
        let weight =
            params.trained("weight", &[inputs, outputs / spec.groups, spec.kernel, spec.kernel], init)?;
        let bias = if spec.bias { Some(params.trained("bias", &[outputs], Init::ZEROS)?) } else { None };
        Ok(ConvTranspose2d { spec, weight, bias })
    }

    /// x: `[n, inputs, h, w]`. Returns `[n, outputs, oh, ow]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_by(x, &self.weight)
    }

    pub(super) fn forward_by(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        ops::conv_transpose2d_with(x, weight, self.bias.as_ref(), self.spec.options())
    }

    pub(super) fn weight(&self) -> &Tensor {
        &self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::check;
    use candle_core::{DType, Device};

    #[test]
    fn dilated_groups_and_back() -> Result<()> {
        let params = Params::on(Seed::new(1), DType::F64, &Device::Cpu);
        let spec = ConvSpec::new(3).stride(2).padding(2).dilation(2).groups(2);
        let down = Conv2d::new(&params.scope("down"), 4, 6, spec)?;
        let up = ConvTranspose2d::new(&params.scope("up"), 6, 4, spec.output_padding(1))?;
        let y = down.forward(&check::input(&[2, 4, 8, 6], 1)?)?;
        assert_eq!((y.dims(), down.weight.dims()), (&[2, 6, 4, 3][..], &[6, 2, 3, 3][..]));
        assert_eq!((up.forward(&y)?.dims(), up.weight.dims()), (&[2, 4, 8, 6][..], &[6, 2, 3, 3][..]));
        for wrong in [spec.groups(3), spec.groups(0), spec.dilation(0)] {
            assert!(matches!(Conv2d::new(&params, 4, 6, wrong), Err(Error::Parameter { .. })), "{wrong:?}");
        }
        Ok(())
    }

    #[test]
    fn weights_start_as_the_spec_says() -> Result<()> {
        let params = Params::new(Seed::new(1));
        let spec = ConvSpec::new(3).init(Init::Constant(0.5));
        let down = Conv2d::new(&params.scope("down"), 2, 3, spec)?;
        let up = ConvTranspose2d::new(&params.scope("up"), 2, 3, spec)?;
        for weight in [&down.weight, &up.weight] {
            assert_eq!(weight.flatten_all()?.to_vec1::<f32>()?, [0.5; 54]);
        }
        let wrong = Conv2d::new(&params, 2, 3, ConvSpec::new(3).init(Init::Normal(f64::NAN)));
        assert!(matches!(wrong, Err(Error::Parameter { name: "init", .. })));
        Ok(())
    }

    #[test]
    fn a_specification_saved_without_dilation_and_groups_is_read() -> Result<()> {
        let saved = r#"{"kernel":3,"stride":2,"padding":1,"output_padding":0,"bias":true}"#;
        let read = serde_json::from_str::<ConvSpec>(saved).ok();
        assert_eq!(read, Some(ConvSpec::new(3).stride(2).padding(1)));
        Ok(())
    }
}
