//! Tensors in a record, with every bit.

use super::Record;
use crate::Result;
use crate::nn::tensor_file;
use candle_core::Tensor;

impl Record {
    /// Adds a tensor (`f64`, or anything that `f32` holds).
    ///
    /// # Errors
    /// When it cannot be read from its device.
    ///
    /// ```
    /// use unsup_core::candle::{Device, Tensor};
    /// use unsup_core::store::Record;
    /// let record = Record::new("Example").tensor("codes", &Tensor::new(&[[1_f32, 2.]], &Device::Cpu)?)?;
    /// assert_eq!(record.read_tensor("codes")?.to_vec2::<f32>()?, [[1.0, 2.0]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tensor(self, name: &str, tensor: &Tensor) -> Result<Self> {
        tensor_file::write(self, name, tensor)
    }

    /// The tensor of this name, on the CPU, in the element type in which it was written.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) when it is missing, neither `f32` nor `f64`, or not finite.
    pub fn read_tensor(&self, name: &str) -> Result<Tensor> {
        tensor_file::read(self, name)
    }
}
