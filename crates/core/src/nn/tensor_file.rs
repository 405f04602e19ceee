//! Tensors in records, with every bit: `f32` and `f64`.

use crate::Result;
use crate::store::Record;
use candle_core::{DType, Device, Tensor};

/// Adds a tensor to a record, in its own element type.
pub(crate) fn write(record: Record, name: &str, tensor: &Tensor) -> Result<Record> {
    let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::F64 => record.slice(name, tensor.dims(), &flat.to_vec1::<f64>()?),
        _ => record.slice(name, tensor.dims(), &flat.to_dtype(DType::F32)?.to_vec1::<f32>()?),
    })
}

/// The tensor of this name, on the CPU, in the element type in which it was written.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when it is missing, neither `f32` nor `f64`, or not finite.
pub(crate) fn read(record: &Record, name: &str) -> Result<Tensor> {
    if let Ok(array) = record.read_array::<f64>(name) {
        record.require(array.iter().all(|v| v.is_finite()), &format!("`{name}` is not finite"))?;
        return Ok(Tensor::from_iter(array.iter().copied(), &Device::Cpu)?.reshape(array.shape())?);
    }
    let array = record.read_array::<f32>(name)?;
    record.require(array.iter().all(|v| v.is_finite()), &format!("`{name}` is not finite"))?;
    Ok(Tensor::from_iter(array.iter().copied(), &Device::Cpu)?.reshape(array.shape())?)
}
