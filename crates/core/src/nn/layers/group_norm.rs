use crate::nn::{Init, Params, ops};
use crate::{Error, Result};
use candle_core::Tensor;

/// Group normalisation; see [`ops::group_norm`]. Tensors: `weight`, `bias` `[channels]`. The same in
/// training and evaluation.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::nn::{GroupNorm, Params, check};
/// let norm = GroupNorm::new(&Params::new(Seed::new(1)), 4, 8)?;
/// let x = check::input(&[2, 8, 5, 3], 1)?.to_dtype(unsup_core::candle::DType::F32)?;
/// assert_eq!(norm.forward(&x)?.dims(), [2, 8, 5, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct GroupNorm {
    groups: usize,
    weight: Tensor,
    bias: Tensor,
}

/// Keeps a constant group finite.
const EPSILON: f64 = 1e-5;

impl GroupNorm {
    /// For `channels` channels in `groups` groups, starting as the plain normalisation: weight 1, bias 0.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `groups` that do not divide the channels, [`Error::Shape`] when saved
    /// parameters do not fit.
    pub fn new(params: &Params, groups: usize, channels: usize) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::parameter("groups", groups, "a divisor of the number of channels"));
        }
        Ok(GroupNorm {
            groups,
            weight: params.trained("weight", &[channels], Init::ONES)?,
            bias: params.trained("bias", &[channels], Init::ZEROS)?,
        })
    }

    /// x: `[n, channels, …]`. Returns the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::group_norm(x, self.groups, &self.weight, &self.bias, EPSILON)
    }
}
