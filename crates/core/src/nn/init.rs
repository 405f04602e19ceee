//! How parameters start.
//!
//! | variant | values | for |
//! | --- | --- | --- |
//! | [`Init::KaimingNormal`] | N(0, 2 / fan_in) | weights before a ReLU (He et al. 2015, eq. 10) |
//! | [`Init::KaimingUniform`] | U(−√(6 / fan_in), √(6 / fan_in)) | the same variance, bounded |
//! | [`Init::XavierNormal`], [`Init::XavierUniform`] | variance 2 / (fan_in + fan_out) | weights before tanh, sigmoid or nothing (Glorot & Bengio 2010) |
//! | [`Init::Normal`] | N(0, σ²) | DCGAN's 0.02, embeddings |
//! | [`Init::Uniform`] | U(low, high) | biases of candle's layers |
//! | [`Init::Constant`] | one number | biases (0), scales (1) |
//!
//! fan_in is the number of inputs of one output: for a weight `[o, i, kh, kw]` it is i·kh·kw, and
//! fan_out is o·kh·kw.

use crate::{Result, Seed};
use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// The distribution a parameter is drawn from; see the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Init {
    /// The same number everywhere.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform between these two numbers.
    Uniform(f64, f64),
    /// Normal with variance 2 / fan_in.
    KaimingNormal,
    /// Uniform with variance 2 / fan_in.
    KaimingUniform,
    /// Normal with variance 2 / (fan_in + fan_out).
    XavierNormal,
    /// Uniform with variance 2 / (fan_in + fan_out).
    XavierUniform,
}

impl Init {
    /// All zeros.
    pub const ZEROS: Init = Init::Constant(0.0);
    /// All ones.
    pub const ONES: Init = Init::Constant(1.0);

    /// Draws a tensor of this shape: the same numbers for the same seed, whatever the device.
    ///
    /// # Errors
    /// When the tensor cannot be made on the device.
    pub fn draw(self, shape: &[usize], seed: Seed, dtype: DType, device: &Device) -> Result<Tensor> {
        let count = shape.iter().product();
        let area: usize = shape.iter().skip(2).product();
        let fan = |axis: usize| (shape.get(axis).copied().unwrap_or(1) * area).max(1) as f64;
        let (fan_in, fan_out) = (fan(1), fan(0));
        let normal = |variance: f64| -> Vec<f64> {
            seed.normals(count).into_iter().map(|z| z * variance.sqrt()).collect()
        };
        let between = |low: f64, high: f64| -> Vec<f64> {
            let mut rng = seed.rng();
            (0..count).map(|_| low + (high - low) * rng.random::<f64>()).collect()
        };
        // a uniform distribution on ±b has variance b²/3
        let uniform = |variance: f64| between(-(3.0 * variance).sqrt(), (3.0 * variance).sqrt());
        let values = match self {
            Init::Constant(value) => vec![value; count],
            Init::Normal(deviation) => normal(deviation * deviation),
            Init::Uniform(low, high) => between(low, high),
            Init::KaimingNormal => normal(2.0 / fan_in),
            Init::KaimingUniform => uniform(2.0 / fan_in),
            Init::XavierNormal => normal(2.0 / (fan_in + fan_out)),
            Init::XavierUniform => uniform(2.0 / (fan_in + fan_out)),
        };
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variances_follow_the_fans() -> Result<()> {
        let shape = [64, 32, 3, 3];
        for (init, variance) in [
            (Init::KaimingNormal, 2.0 / 288.0),
            (Init::KaimingUniform, 2.0 / 288.0),
            (Init::XavierNormal, 2.0 / 864.0),
            (Init::XavierUniform, 2.0 / 864.0),
            (Init::Normal(0.02), 0.0004),
            (Init::Uniform(-0.3, 0.3), 0.03),
        ] {
            let x = init.draw(&shape, Seed::new(1), DType::F64, &Device::Cpu)?;
            let found = x.sqr()?.mean_all()?.to_scalar::<f64>()?;
            assert!((found / variance - 1.0).abs() < 0.05, "{init:?}: {found} instead of {variance}");
        }
        let ones = Init::ONES.draw(&[3], Seed::new(1), DType::F32, &Device::Cpu)?;
        assert_eq!(ones.to_vec1::<f32>()?, [1.0; 3]);
        Ok(())
    }
}
