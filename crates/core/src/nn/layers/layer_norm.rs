use crate::Result;
use crate::nn::{Init, Params, ops};
use candle_core::Tensor;

/// Layer normalisation; see [`ops::layer_norm`]. Tensors: `weight`, `bias` `[features]`. The same in
/// training and evaluation.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::nn::{LayerNorm, Params, check};
/// let norm = LayerNorm::new(&Params::new(Seed::new(1)), 8)?;
/// let x = check::input(&[5, 3, 8], 1)?.to_dtype(unsup_core::candle::DType::F32)?;
/// assert_eq!(norm.forward(&x)?.dims(), [5, 3, 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

/// Keeps a constant row finite.
const EPSILON: f64 = 1e-5;

impl LayerNorm {
    /// For rows of `features` values, starting as the plain normalisation: weight 1, bias 0.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when saved parameters do not fit.
    pub fn new(params: &Params, features: usize) -> Result<Self> {
        Ok(LayerNorm {
            weight: params.trained("weight", &[features], Init::ONES)?,
            bias: params.trained("bias", &[features], Init::ZEROS)?,
        })
    }

    /// x: `[…, features]`. Returns the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when x does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(x, &self.weight, &self.bias, EPSILON)
    }
}
