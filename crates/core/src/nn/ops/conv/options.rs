use crate::{Error, Result};

/// How a convolution steps over an image.
///
/// ```
/// use unsup_core::nn::ops::ConvOptions;
/// let halving = ConvOptions::new().stride(2).padding(1);
/// let depthwise = ConvOptions::new().padding(1).groups(32); // of 32 channels
/// assert_ne!(halving, depthwise);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvOptions {
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) output_padding: usize,
    pub(super) dilation: usize,
    pub(super) groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        ConvOptions { stride: 1, padding: 0, output_padding: 0, dilation: 1, groups: 1 }
    }
}

impl ConvOptions {
    /// Stride 1, no padding, neighbouring taps, all channels together.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pixels between two outputs (inputs, for a transposed convolution).
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        ConvOptions { stride, ..self }
    }

    /// Zeros around the image.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        ConvOptions { padding, ..self }
    }

    /// Rows and columns that a transposed convolution adds at the end; less than the stride. Others
    /// ignore it.
    #[must_use]
    pub fn output_padding(self, output_padding: usize) -> Self {
        ConvOptions { output_padding, ..self }
    }

    /// Pixels from one tap of the kernel to the next (Yu & Koltun 2016); 1 for neighbours.
    #[must_use]
    pub fn dilation(self, dilation: usize) -> Self {
        ConvOptions { dilation, ..self }
    }

    /// Groups of channels that do not see each other (Krizhevsky, Sutskever & Hinton 2012; Xie et al.
    /// 2017); a divisor of both numbers of channels. As many as channels make a depthwise convolution.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        ConvOptions { groups, ..self }
    }

    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in [("stride", self.stride), ("dilation", self.dilation), ("groups", self.groups)] {
            if value == 0 {
                return Err(Error::parameter(name, value, "at least 1"));
            }
        }
        Ok(())
    }

    /// Pixels that a kernel of k taps reaches over; none for a kernel without taps.
    pub(super) fn reach(&self, k: usize) -> Option<usize> {
        k.checked_sub(1)?.checked_mul(self.dilation)?.checked_add(1)
    }
}
