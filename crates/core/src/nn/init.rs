//! How parameters start.
//!
//! | variant | values | for |
//! | --- | --- | --- |
//! | [`Init::KaimingNormal`] | N(0, 2 / fan_in) | weights before a ReLU (He et al. 2015, eq. 10) |
//! | [`Init::KaimingUniform`] | U(−√(6 / fan_in), √(6 / fan_in)) | the same variance, bounded |
//! | [`Init::XavierNormal`], [`Init::XavierUniform`] | variance 2 / (fan_in + fan_out) | weights before tanh, sigmoid or nothing (Glorot & Bengio 2010) |
//! | [`Init::Normal`] | N(0, σ²) | embeddings |
//! | [`Init::NormalAround`] | N(μ, σ²) | scales that start near 1 |
//! | [`Init::TruncatedNormal`] | N(0, σ²) without what is beyond ±2σ | transformers (0.02 in BERT and ViT) |
//! | [`Init::Orthogonal`] | a random matrix with orthonormal rows or columns, times a gain | deep and recurrent networks (Saxe et al. 2014) |
//! | [`Init::Uniform`] | U(low, high) | biases of candle's layers |
//! | [`Init::Constant`] | one number | biases (0), scales (1) |
//! | [`Init::DCGAN_WEIGHT`], [`Init::DCGAN_SCALE`] | N(0, 0.02²), N(1, 0.02²) | GANs: weights, scales of normalisations (Radford et al. 2016) |
//!
//! fan_in is the number of inputs of one output: for a weight `[o, i, kh, kw]` it is i·kh·kw, and
//! fan_out is o·kh·kw.
//!
//! Layers have a start of their own and take another: [`ConvSpec::init`](super::ConvSpec::init),
//! [`Linear::with`](super::Linear::with), [`BatchNorm::with_scale`](super::BatchNorm::with_scale).
//!
//! ```
//! use unsup_core::Seed;
//! use unsup_core::nn::{BatchNorm, ConvSpec, ConvTranspose2d, Init, Linear, Params};
//! let params = Params::new(Seed::new(7));
//! let spec = ConvSpec::new(4).stride(2).padding(1).bias(false).init(Init::DCGAN_WEIGHT);
//! let up = ConvTranspose2d::new(&params.scope("up"), 8, 4, spec)?;
//! let norm = BatchNorm::with_scale(&params.scope("norm"), 4, Init::DCGAN_SCALE)?;
//! let recurrent = Linear::with(&params.scope("h"), 16, 16, Init::Orthogonal(1.0), false)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::math::orthonormal;
use crate::seed::StandardNormal;
use crate::{Error, Result, Seed};
use candle_core::{DType, Device, Tensor};
use ndarray::Array2;
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
    /// Normal with this mean and this standard deviation.
    NormalAround(f64, f64),
    /// Normal with mean 0 and this standard deviation σ, drawn again where it is beyond ±2σ. (What is left has
    /// a standard deviation of 0.880·σ.)
    TruncatedNormal(f64),
    /// A uniformly random orthogonal matrix times this gain (Saxe et al. 2014): the weight as a matrix
    /// `[o, i·kh·kw]` has orthonormal rows, or orthonormal columns when it is tall. 1 keeps lengths, √2 before a ReLU.
    Orthogonal(f64),
}

impl Init {
    /// All zeros.
    pub const ZEROS: Init = Init::Constant(0.0);
    /// All ones.
    pub const ONES: Init = Init::Constant(1.0);
    /// Weights of DCGAN (Radford, Metz & Chintala 2016, section 3).
    pub const DCGAN_WEIGHT: Init = Init::Normal(0.02);
    /// Scales of the normalisations of DCGAN, as in its authors' code.
    pub const DCGAN_SCALE: Init = Init::NormalAround(1.0, 0.02);

    /// The numbers that this start is given.
    fn numbers(self) -> [f64; 2] {
        match self {
            Init::Constant(a) | Init::Normal(a) | Init::TruncatedNormal(a) | Init::Orthogonal(a) => [a, 0.0],
            Init::Uniform(a, b) | Init::NormalAround(a, b) => [a, b],
            Init::KaimingNormal | Init::KaimingUniform | Init::XavierNormal | Init::XavierUniform => [0.0; 2],
        }
    }

    /// Draws a tensor of this shape: the same numbers for the same seed, whatever the device.
    ///
    /// # Errors
    /// [`Error::Parameter`] when a number of the distribution is not finite, a deviation negative or the bounds
    /// have changed places; when the tensor cannot be made on the device.
    pub fn draw(self, shape: &[usize], seed: Seed, dtype: DType, device: &Device) -> Result<Tensor> {
        if self.numbers().iter().any(|number| !number.is_finite()) {
            return Err(Error::parameter("init", format!("{self:?}"), "finite numbers"));
        }
        let allowed = match self {
            Init::Normal(deviation) | Init::TruncatedNormal(deviation) | Init::NormalAround(_, deviation) => {
                deviation >= 0.0
            }
            Init::Uniform(low, high) => low <= high,
            _ => true,
        };
        if !allowed {
            let allowed = "a deviation of at least 0, the lower bound first";
            return Err(Error::parameter("init", format!("{self:?}"), allowed));
        }
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
            Init::NormalAround(mean, deviation) => {
                seed.normals(count).into_iter().map(|z| mean + z * deviation).collect()
            }
            Init::TruncatedNormal(deviation) => truncated(count, seed).map(|z| z * deviation).collect(),
            Init::Orthogonal(gain) => {
                let rows = shape.first().copied().unwrap_or(1);
                orthogonal(rows, count / rows.max(1), seed).iter().map(|v| v * gain).collect()
            }
        };
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
    }
}

/// Standard normal numbers between −2 and 2.
fn truncated(count: usize, seed: Seed) -> impl Iterator<Item = f64> {
    seed.rng().sample_iter(StandardNormal).filter(|z: &f64| z.abs() <= 2.0).take(count)
}

/// Orthonormal rows, or columns when there are more rows: the q of a Gaussian matrix's QR, with the signs that make
/// r's diagonal positive and so q uniform over all such matrices (Mezzadri 2007). Returns `[rows, columns]`.
fn orthogonal(rows: usize, columns: usize, seed: Seed) -> Array2<f64> {
    let (tall, wide) = (rows.max(columns), rows.min(columns));
    if wide == 0 {
        return Array2::zeros((rows, columns));
    }
    let normals = seed.normals(tall * wide);
    let gaussian = Array2::from_shape_fn((tall, wide), |(i, j)| normals[i * wide + j]);
    let mut q = orthonormal(&gaussian);
    for (mut q, a) in q.columns_mut().into_iter().zip(gaussian.columns()) {
        // r's diagonal: the share of a column of its own direction
        if q.dot(&a) < 0.0 {
            q.mapv_inplace(|v| -v);
        }
    }
    if rows < columns { q.reversed_axes() } else { q }
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
            (Init::NormalAround(0.3, 0.4), 0.25),
            (Init::TruncatedNormal(0.5), 0.193_435), // σ²·(1 − 4·φ(2) / (2·Φ(2) − 1))
            (Init::Orthogonal(3.0), 9.0 / 288.0),
        ] {
            let x = init.draw(&shape, Seed::new(1), DType::F64, &Device::Cpu)?;
            let found = x.sqr()?.mean_all()?.to_scalar::<f64>()?;
            assert!((found / variance - 1.0).abs() < 0.05, "{init:?}: {found} instead of {variance}");
        }
        let ones = Init::ONES.draw(&[3], Seed::new(1), DType::F32, &Device::Cpu)?;
        assert_eq!(ones.to_vec1::<f32>()?, [1.0; 3]);
        Ok(())
    }

    #[test]
    fn a_truncated_normal_fills_its_interval_and_does_not_leave_it() -> Result<()> {
        let x = Init::TruncatedNormal(0.02).draw(&[999, 7], Seed::new(3), DType::F64, &Device::Cpu)?;
        let x = x.flatten_all()?.to_vec1::<f64>()?;
        let largest = x.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        assert!((0.0395..=0.04).contains(&largest), "{largest}");
        assert!(x.iter().any(|&v| v > 0.0) && x.iter().any(|&v| v < 0.0));
        Ok(())
    }

    #[test]
    fn orthogonal_weights_have_orthonormal_rows_or_columns() -> Result<()> {
        for shape in [&[5, 7][..], &[7, 5], &[6, 6], &[4, 3, 3, 2], &[19, 2, 1, 3], &[1, 3], &[4]] {
            let w = Init::Orthogonal(2.0).draw(shape, Seed::new(5), DType::F64, &Device::Cpu)?;
            let w = w.reshape((shape[0], ()))?;
            let gram = if w.dim(0)? <= w.dim(1)? { w.matmul(&w.t()?)? } else { w.t()?.matmul(&w)? };
            let expected = (Tensor::eye(gram.dim(0)?, DType::F64, &Device::Cpu)? * 4.0)?;
            let apart = (gram - expected)?.abs()?.max_all()?.to_scalar::<f64>()?;
            assert!(apart < 1e-12, "{shape:?}: {apart:e}");
        }
        let none = Init::Orthogonal(1.0).draw(&[0, 3], Seed::new(5), DType::F64, &Device::Cpu)?;
        assert_eq!(none.dims(), [0, 3]);
        Ok(())
    }

    #[test]
    fn orthogonal_matrices_prefer_no_direction() -> Result<()> {
        // Householder's signs alone would make the corner negative always; both signs are as likely, and its mean is 0
        let corners = (0..400).map(|seed| orthogonal(2, 2, Seed::new(seed))[[0, 0]]);
        let corners: Vec<f64> = corners.collect();
        let positive = corners.iter().filter(|&&v| v > 0.0).count();
        assert!((150..250).contains(&positive), "{positive} of 400");
        Ok(())
    }

    #[test]
    fn numbers_that_describe_no_distribution_are_refused() {
        for init in [
            Init::NormalAround(f64::NAN, 1.0),
            Init::TruncatedNormal(f64::INFINITY),
            Init::Normal(-0.1),
            Init::Uniform(1.0, 0.0),
        ] {
            let drawn = init.draw(&[2], Seed::new(1), DType::F32, &Device::Cpu);
            assert!(matches!(drawn, Err(Error::Parameter { name: "init", .. })), "{init:?}");
        }
    }

    #[test]
    fn starts_are_saved() {
        for init in [Init::Orthogonal(1.5), Init::DCGAN_SCALE, Init::TruncatedNormal(0.02)] {
            let text = serde_json::to_string(&init).unwrap_or_default();
            assert_eq!(serde_json::from_str::<Init>(&text).ok(), Some(init));
        }
    }
}
