//! Batch normalisation (Ioffe & Szegedy 2015), with the ReLU that usually follows.
//!
//! y = γ·(x − μ)/√(σ² + ε) + β, per channel, with μ and σ² over the batch and all pixels while
//! training, and given (running averages) in evaluation. Statistics are two-pass and summed in `f64`.
//!
//! Each channel belongs to one thread, which runs all passes over it while it is in the cache.
//! Use it for batches of at least about 16; with fewer the statistics are noise.

use super::element::{Backend, Element, by_type, float, record3, shaped, tensor, values};
use super::reduce::{for_channels, plane, planes_of, sum, sum2};
use crate::{Error, Float, Result};
use candle_core::Tensor;
use pulp::Arch;

/// What a batch says about its channels.
#[derive(Debug, Clone)]
pub struct Moments {
    /// `[c]`
    pub mean: Tensor,
    /// Divided by the number of values. `[c]`
    pub variance: Tensor,
    /// Values a channel.
    pub count: usize,
}

/// Normalises by the batch's own moments, which are returned too (without gradient).
/// x: `[n, c]` or `[n, c, h, w]`; gamma, beta: `[c]`. Returns the shape of x, rectified when `relu`.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit; [`Error::TooFewRows`] for a single
/// value a channel, which has no variance.
pub fn batch_norm(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    relu: bool,
) -> Result<(Tensor, Moments)> {
    let (n, c, pixels) = check(x, &[(gamma, "gamma"), (beta, "beta")])?;
    if n * pixels < 2 {
        return Err(Error::TooFewRows { method: "batch normalisation", needed: 2, found: n * pixels });
    }
    if !x.device().is_cpu() {
        let axes: Vec<usize> = (0..x.rank()).filter(|&axis| axis != 1).collect();
        let mean = x.mean_keepdim(&axes[..])?;
        let variance = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(&axes[..])?;
        let y = composed(x, gamma, beta, &mean, &variance, epsilon, relu)?;
        let moments = Moments {
            mean: mean.detach().flatten_all()?,
            variance: variance.detach().flatten_all()?,
            count: n * pixels,
        };
        return Ok((y, moments));
    }
    let (x, gamma, beta) = (&x.contiguous()?, &gamma.contiguous()?, &beta.contiguous()?);
    Ok(by_type!(x, T => {
        let x_ = values::<T>(x)?;
        let count = (n * pixels) as f64;
        let moments: Vec<(f64, f64)> = {
            use rayon::prelude::*;
            (0..c).into_par_iter().map(|channel| Arch::new().dispatch(|| {
                let planes = || (0..n).map(|i| plane(&x_, c, pixels, channel, i));
                let mean = planes().map(|x| sum(x, |v| v)).sum::<f64>() / count;
                let centre = T::of(mean);
                let variance = planes().map(|x| sum(x, |v| (v - centre) * (v - centre))).sum::<f64>() / count;
                (mean, variance)
            })).collect()
        };
        drop(x_);
        let y = normalized::<T>(x, gamma, beta, &moments, epsilon, relu, true)?;
        let of = |f: fn(&(f64, f64)) -> f64| tensor(moments.iter().map(|m| T::of(f(m))).collect(), c);
        Ok((y, Moments { mean: of(|m| m.0)?, variance: of(|m| m.1)?, count: n * pixels }))
    })?)
}

/// Normalises by given moments. x: `[n, c]` or `[n, c, h, w]`; gamma, beta, mean, variance: `[c]`.
/// Returns the shape of x, rectified when `relu`. No gradient flows to the moments.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit.
pub fn batch_norm_by(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    epsilon: f64,
    relu: bool,
) -> Result<Tensor> {
    let arguments = [(gamma, "gamma"), (beta, "beta"), (mean, "mean"), (variance, "variance")];
    let (_, c, _) = check(x, &arguments)?;
    if !x.device().is_cpu() {
        let shape: Vec<usize> = (0..x.rank()).map(|axis| if axis == 1 { c } else { 1 }).collect();
        let (mean, variance) = (mean.detach().reshape(&shape[..])?, variance.detach().reshape(shape)?);
        return composed(x, gamma, beta, &mean, &variance, epsilon, relu);
    }
    let (x, gamma, beta) = (&x.contiguous()?, &gamma.contiguous()?, &beta.contiguous()?);
    let (mean, variance) = (&mean.contiguous()?, &variance.contiguous()?);
    Ok(by_type!(x, T => {
        let moments: Vec<(f64, f64)> =
            values::<T>(mean)?.iter().zip(values::<T>(variance)?.iter()).map(|(m, v)| (m.f64(), v.f64())).collect();
        normalized::<T>(x, gamma, beta, &moments, epsilon, relu, false)
    })?)
}

fn check(x: &Tensor, channels: &[(&Tensor, &'static str)]) -> Result<(usize, usize, usize)> {
    float(x, "x")?;
    let (n, c, pixels) = planes_of(x, "x")?;
    for (argument, name) in channels {
        shaped(argument, name, &[c], x)?;
    }
    Ok((n, c, pixels))
}

/// The same from the backend's own operations, for devices other than the CPU. mean and variance: [1, c, …].
fn composed(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    epsilon: f64,
    relu: bool,
) -> Result<Tensor> {
    let scale = gamma.reshape(mean.shape())?.div(&(variance + epsilon)?.sqrt()?)?;
    let y = x.broadcast_sub(mean)?.broadcast_mul(&scale)?.broadcast_add(&beta.reshape(mean.shape())?)?;
    Ok(if relu { y.relu()? } else { y })
}

fn normalized<T: Element>(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    moments: &[(f64, f64)],
    epsilon: f64,
    relu: bool,
    of_batch: bool,
) -> Backend<Tensor> {
    let (n, c, pixels) = planes_of(x, "x").map_err(candle_core::Error::wrap)?;
    let moments: Vec<(f64, f64)> = moments.iter().map(|&(m, v)| (m, 1.0 / (v + epsilon).sqrt())).collect();
    let mut y = vec![T::zero(); n * c * pixels];
    {
        let (x, gamma, beta) = (values::<T>(x)?, values::<T>(gamma)?, values::<T>(beta)?);
        for_channels(&mut y, c, pixels, |channel, mut out| {
            let (mean, inverse) = moments[channel];
            let (mean, scale, beta) = (T::of(mean), gamma[channel] * T::of(inverse), beta[channel]);
            Arch::new().dispatch(|| {
                for i in 0..n {
                    let x = plane(&x, c, pixels, channel, i);
                    for (y, &x) in out.plane(i).iter_mut().zip(x) {
                        let value = (x - mean) * scale + beta;
                        *y = if relu && value < T::zero() { T::zero() } else { value };
                    }
                }
            });
        });
    }
    record3("batch_norm", [x, gamma, beta], (y, x.shape()), move |[x, gamma, _], y, dy| {
        let sizes = [n, c, pixels];
        let (dx, sums) = gradients(
            sizes,
            &values::<T>(x)?,
            &values::<T>(gamma)?,
            relu.then_some(&values::<T>(y)?[..]),
            &values::<T>(dy)?,
            &moments,
            of_batch,
        );
        let of = |f: fn(&(f64, f64)) -> f64| tensor(sums.iter().map(|s| T::of(f(s))).collect(), c).map(Some);
        Ok([tensor(dx, x.shape()).map(Some)?, of(|s| s.1)?, of(|s| s.0)?])
    })
}

/// dx, and for each channel (Σ g, Σ g·x̂) with g = dy where the result passed the ReLU.
fn gradients<T: Element>(
    [n, c, pixels]: [usize; 3],
    x: &[T],
    gamma: &[T],
    rectified: Option<&[T]>,
    dy: &[T],
    moments: &[(f64, f64)],
    of_batch: bool,
) -> (Vec<T>, Vec<(f64, f64)>) {
    let mut dx = vec![T::zero(); n * c * pixels];
    let sums = for_channels(&mut dx, c, pixels, |channel, mut dx| {
        let (mean, inverse) = moments[channel];
        let (centre, scale) = (T::of(mean), gamma[channel] * T::of(inverse));
        Arch::new().dispatch(|| {
            let (mut sum_g, mut sum_gx) = (0.0, 0.0);
            for i in 0..n {
                let (x, dy) = (plane(x, c, pixels, channel, i), plane(dy, c, pixels, channel, i));
                let dx = dx.plane(i);
                match rectified {
                    Some(y) => {
                        let y = plane(y, c, pixels, channel, i);
                        for ((g, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
                            *g = if y > T::zero() { dy } else { T::zero() };
                        }
                    }
                    None => dx.copy_from_slice(dy),
                }
                sum_g += sum(dx, |g| g);
                sum_gx += sum2(dx, x, |g, x| g * (x - centre));
            }
            let sum_gx = sum_gx * inverse;
            let count = (n * pixels) as f64;
            let (offset, slope) = if of_batch {
                (T::of(sum_g / count), T::of(sum_gx * inverse / count))
            } else {
                (T::zero(), T::zero())
            };
            for i in 0..n {
                let x = plane(x, c, pixels, channel, i);
                for (g, &x) in dx.plane(i).iter_mut().zip(x) {
                    *g = scale * (*g - offset - slope * (x - centre));
                }
            }
            (sum_g, sum_gx)
        })
    });
    (dx, sums)
}
