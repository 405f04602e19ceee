//! The rows that one step learns from.

use crate::nn::Mode;
use crate::{Result, Seed};
use candle_core::{Device, Tensor};

/// The rows `0..rows` in random order, cut into batches; the rows that are left over make a smaller last batch,
/// or are dropped. Use another seed each epoch (`seed.indexed(epoch)`).
pub fn batches(rows: usize, size: usize, drop_last: bool, seed: Seed) -> Vec<Vec<usize>> {
    let order = seed.named("batches").permutation(rows);
    let size = size.max(1);
    let whole = if drop_last { rows / size * size } else { rows };
    order[..whole].chunks(size).map(<[usize]>::to_vec).collect()
}

/// The rows that a loss is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Which rows of the data.
    pub indices: &'a [usize],
    /// The pass over the data, from 0.
    pub epoch: usize,
    /// The optimisation step, from 0. In an evaluation: how many were made.
    pub step: usize,
    /// How many batches came before, in the whole training or in this evaluation: what the noise of a batch is indexed
    /// by. Other than the step when gradients are accumulated over several batches.
    pub number: usize,
    /// Whether this is a batch to learn from, or one of the validation rows; layers want to know.
    pub mode: Mode,
}

impl Batch<'_> {
    /// The rows of `x` that are in this batch. x: `[n, …]`. Returns `[batch, …]`.
    ///
    /// # Errors
    /// When x has fewer rows than the data.
    pub fn select(&self, x: &Tensor) -> Result<Tensor> {
        let indices: Vec<u32> = self.indices.iter().map(|&i| i as u32).collect();
        let count = indices.len();
        Ok(x.index_select(&Tensor::from_vec(indices, count, &Device::Cpu)?.to_device(x.device())?, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_sees_every_row_once_in_another_order() {
        let first = batches(103, 10, false, Seed::new(1).indexed(0));
        let second = batches(103, 10, false, Seed::new(1).indexed(1));
        assert_ne!(first, second);
        for epoch in [first, second] {
            assert_eq!((epoch.len(), epoch[10].len()), (11, 3));
            let mut rows: Vec<usize> = epoch.into_iter().flatten().collect();
            rows.sort_unstable();
            assert!(rows.into_iter().eq(0..103));
        }
        assert_eq!(batches(103, 10, true, Seed::new(1)).len(), 10);
    }
}
