//! Batch normalisation (Ioffe & Szegedy 2015), with the ReLU that usually follows.
//!
//! y = γ·(x − μ)/√(σ² + ε) + β, per channel, with μ and σ² over the batch and all pixels while
//! training, and given (running averages) in evaluation. Statistics are two-pass and summed in `f64`.
//!
//! Each channel belongs to one thread, which runs all passes over it while it is in the cache.
//! Use it for batches of at least about 16; with fewer the statistics are noise.

use super::channels::{Channel, by_channel, plane, planes_of};
use super::element::{Backend, Element, by_type, float, shaped, tensor, values};
use super::record::record;
use super::reduce::{sum, sums2};
use crate::{Error, Float, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

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
        let of_channel =
            |channel| Arch::new().dispatch(ChannelMoments { x: &x_, sizes: [n, c, pixels], channel });
        let moments: Vec<(f64, f64)> = (0..c).into_par_iter().map(of_channel).collect();
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
    let sizes = [n, c, pixels];
    let y = {
        let (x, gamma, beta) = (values::<T>(x)?, values::<T>(gamma)?, values::<T>(beta)?);
        let channel = |channel: usize, out: &mut Channel<T>| {
            let map = Affine::new(moments[channel], gamma[channel], beta[channel]);
            Arch::new().dispatch(Normalize { x: &x, sizes, channel, map, relu, out });
        };
        by_channel(sizes, channel).0
    };
    record("batch_norm", [x, gamma, beta], (y, x.shape()), move |[x, gamma, beta], _, dy| {
        let (x_, gamma, beta, dy) =
            (values::<T>(x)?, values::<T>(gamma)?, values::<T>(beta)?, values::<T>(dy)?);
        let channel = |channel: usize, out: &mut Channel<T>| {
            let map = Affine::new(moments[channel], gamma[channel], beta[channel]);
            let inverse = moments[channel].1;
            Arch::new().dispatch(Backward {
                x: &x_,
                dy: &dy,
                sizes,
                channel,
                map,
                inverse,
                relu,
                of_batch,
                out,
            })
        };
        let (dx, sums) = by_channel(sizes, channel);
        let of = |f: fn(&(f64, f64)) -> f64| tensor(sums.iter().map(|s| T::of(f(s))).collect(), c).map(Some);
        Ok([tensor(dx, x.shape()).map(Some)?, of(|s| s.1)?, of(|s| s.0)?])
    })
}

/// The two passes over a channel that find its mean and variance.
struct ChannelMoments<'a, T> {
    x: &'a [T],
    sizes: [usize; 3],
    channel: usize,
}

impl<T: Element> WithSimd for ChannelMoments<'_, T> {
    type Output = (f64, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (f64, f64) {
        let [n, c, pixels] = self.sizes;
        let count = (n * pixels) as f64;
        let (mut total, mut squares) = (0.0, 0.0);
        for i in 0..n {
            total += sum(
                plane(self.x, c, pixels, self.channel, i),
                #[inline(always)]
                |v| v,
            );
        }
        let mean = total / count;
        let centre = T::of(mean);
        for i in 0..n {
            let x = plane(self.x, c, pixels, self.channel, i);
            squares += sum(
                x,
                #[inline(always)]
                |v| (v - centre) * (v - centre),
            );
        }
        (mean, squares / count)
    }
}

/// What a channel's values go through: (x − centre)·scale + shift.
#[derive(Clone, Copy)]
struct Affine<T> {
    centre: T,
    scale: T,
    shift: T,
}

impl<T: Element> Affine<T> {
    fn new((mean, inverse): (f64, f64), gamma: T, beta: T) -> Self {
        Affine { centre: T::of(mean), scale: gamma * T::of(inverse), shift: beta }
    }

    #[inline(always)]
    fn of(self, x: T) -> T {
        (x - self.centre) * self.scale + self.shift
    }
}

struct Normalize<'a, T> {
    x: &'a [T],
    sizes: [usize; 3],
    channel: usize,
    map: Affine<T>,
    relu: bool,
    out: &'a mut Channel<T>,
}

impl<T: Element> WithSimd for Normalize<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let ([n, c, pixels], map) = (self.sizes, self.map);
        for i in 0..n {
            let x = plane(self.x, c, pixels, self.channel, i);
            let out = self.out.next_plane();
            if self.relu {
                for (y, &x) in out.iter_mut().zip(x) {
                    let value = map.of(x);
                    *y = if value < T::zero() { T::zero() } else { value };
                }
            } else {
                out.iter_mut().zip(x).for_each(
                    #[inline(always)]
                    |(y, &x)| *y = map.of(x),
                );
            }
        }
    }
}

/// dx of a channel, and (Σ g, Σ g·x̂) with g = dy where the result passed the ReLU.
struct Backward<'a, T> {
    x: &'a [T],
    dy: &'a [T],
    sizes: [usize; 3],
    channel: usize,
    map: Affine<T>,
    inverse: f64,
    relu: bool,
    of_batch: bool,
    out: &'a mut Channel<T>,
}

impl<T: Element> WithSimd for Backward<'_, T> {
    type Output = (f64, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> (f64, f64) {
        let map = self.map;
        if self.relu {
            self.run(
                #[inline(always)]
                |x, dy| if map.of(x) > T::zero() { dy } else { T::zero() },
            )
        } else {
            self.run(
                #[inline(always)]
                |_, dy| dy,
            )
        }
    }
}

impl<T: Element> Backward<'_, T> {
    #[inline(always)]
    fn run(&mut self, passed: impl Fn(T, T) -> T) -> (f64, f64) {
        let ([n, c, pixels], Affine { centre, scale, .. }) = (self.sizes, self.map);
        let (mut sum_g, mut sum_gx) = (0.0, 0.0);
        for i in 0..n {
            let (x, dy) =
                (plane(self.x, c, pixels, self.channel, i), plane(self.dy, c, pixels, self.channel, i));
            let [g, gx] = sums2(
                x,
                dy,
                #[inline(always)]
                |x, dy| {
                    let g = passed(x, dy);
                    [g, g * (x - centre)]
                },
            );
            sum_g += g;
            sum_gx += gx;
        }
        let sum_gx = sum_gx * self.inverse;
        let count = (n * pixels) as f64;
        let (offset, slope) = if self.of_batch {
            (T::of(sum_g / count), T::of(sum_gx * self.inverse / count))
        } else {
            (T::zero(), T::zero())
        };
        for i in 0..n {
            let (x, dy) =
                (plane(self.x, c, pixels, self.channel, i), plane(self.dy, c, pixels, self.channel, i));
            for ((dx, &x), &dy) in self.out.next_plane().iter_mut().zip(x).zip(dy) {
                *dx = scale * (passed(x, dy) - offset - slope * (x - centre));
            }
        }
        (sum_g, sum_gx)
    }
}
