//! Linear maps of images that act on each axis alone, as products with dense matrices: how resampling
//! is composed on devices other than the CPU, with the backend's own gradient.

use crate::Result;
use candle_core::Tensor;

/// What one axis becomes.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// Positions before.
    pub(super) size: usize,
    /// For each position after, the positions before that it is made of, with their weights.
    pub(super) outputs: Vec<Vec<(usize, f64)>>,
}

impl Axis {
    /// `[outputs, size]`
    fn matrix(&self, like: &Tensor) -> Result<Tensor> {
        let mut matrix = vec![0.0; self.outputs.len() * self.size];
        for (row, taps) in matrix.chunks_mut(self.size).zip(&self.outputs) {
            taps.iter().for_each(|&(at, weight)| row[at] += weight);
        }
        let matrix = Tensor::from_vec(matrix, (self.outputs.len(), self.size), &candle_core::Device::Cpu)?;
        Ok(matrix.to_dtype(like.dtype())?.to_device(like.device())?)
    }
}

/// x `[n, c, h, w]` mapped along its rows and columns of pixels.
pub(super) fn composed(x: &Tensor, height: &Axis, width: &Axis) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let (oh, ow) = (height.outputs.len(), width.outputs.len());
    let narrow = x.contiguous()?.reshape((n * c * h, w))?.matmul(&width.matrix(x)?.t()?)?;
    let planes = narrow.reshape((n * c, h, ow))?;
    Ok(height.matrix(x)?.unsqueeze(0)?.broadcast_matmul(&planes)?.reshape((n, c, oh, ow))?)
}
