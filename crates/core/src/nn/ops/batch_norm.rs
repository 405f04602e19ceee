//! Batch normalisation (Ioffe & Szegedy 2015), with the (leaky) ReLU that usually follows.
//!
//! y = γ·(x − μ)/√(σ² + ε) + β, per channel, with μ and σ² over the batch and all pixels while
//! training, and given (running averages) in evaluation. Statistics are two-pass and summed in `f64`. What is negative is
//! then multiplied by a slope: 1 for batch normalisation alone, 0 for a ReLU, 0.2 for the leaky ReLU of DCGAN.
//!
//! Each channel belongs to one thread, which runs all passes over it while it is in the cache.
//! Use it for batches of at least about 16; with fewer the statistics are noise.

use super::activation::{check_slope, leak, leaked, leaky_relu, passed, rectify};
use super::channels::{Channel, by_channel, plane, planes_of};
use super::element::{Backend, Element, by_type, float, ours, shaped, tensor, values};
use super::record::record;
use super::reduce::{sum, sums2};
use crate::{Error, Float, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};

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
/// x: `[n, c]` or `[n, c, h, w]`; gamma, beta: `[c]`. Returns the shape of x, with negative values times
/// `slope`: 1 leaves them, 0 is a ReLU.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit; [`Error::TooFewRows`] for a single
/// value a channel, which has no variance; [`Error::Parameter`] for a slope that is negative or not finite.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[1_f32], [5.]], &Device::Cpu)?;
/// let (gamma, beta) = (Tensor::ones_like(&x.get(0)?)?, Tensor::zeros_like(&x.get(0)?)?);
/// let (y, moments) = ops::batch_norm(&x, &gamma, &beta, 0.0, 0.2)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[-0.2], [1.]]);
/// assert_eq!(moments.variance.to_vec1::<f32>()?, [4.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn batch_norm(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    slope: f64,
) -> Result<(Tensor, Moments)> {
    let (n, c, pixels) = check(x, &[(gamma, "gamma"), (beta, "beta")], slope)?;
    if n * pixels < 2 {
        return Err(Error::TooFewRows { method: "batch normalisation", needed: 2, found: n * pixels });
    }
    if !ours(x) {
        let axes: Vec<usize> = (0..x.rank()).filter(|&axis| axis != 1).collect();
        let mean = x.mean_keepdim(&axes[..])?;
        let variance = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(&axes[..])?;
        let y = composed(x, gamma, beta, &mean, &variance, epsilon, slope)?;
        let moments = Moments {
            mean: mean.detach().flatten_all()?,
            variance: variance.detach().flatten_all()?,
            count: n * pixels,
        };
        return Ok((y, moments));
    }
    let (x, gamma, beta) = (&x.contiguous()?, &gamma.contiguous()?, &beta.contiguous()?);
    Ok(by_type!(x, T => {
        let (y, moments) = normalized::<T>(x, gamma, beta, None, epsilon, slope)?;
        let of = |f: fn(&(f64, f64)) -> f64| tensor(moments.iter().map(|m| T::of(f(m))).collect(), c);
        Ok((y, Moments { mean: of(|m| m.0)?, variance: of(|m| m.1)?, count: n * pixels }))
    })?)
}

/// Normalises by given moments. x: `[n, c]` or `[n, c, h, w]`; gamma, beta, mean, variance: `[c]`.
/// Returns the shape of x, with negative values times `slope` as [`batch_norm`]. No gradient flows to the moments.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit; [`Error::Parameter`] for a slope that is negative or
/// not finite.
pub fn batch_norm_by(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    epsilon: f64,
    slope: f64,
) -> Result<Tensor> {
    let arguments = [(gamma, "gamma"), (beta, "beta"), (mean, "mean"), (variance, "variance")];
    let (_, c, _) = check(x, &arguments, slope)?;
    if !ours(x) {
        let shape: Vec<usize> = (0..x.rank()).map(|axis| if axis == 1 { c } else { 1 }).collect();
        let (mean, variance) = (mean.detach().reshape(&shape[..])?, variance.detach().reshape(shape)?);
        return composed(x, gamma, beta, &mean, &variance, epsilon, slope);
    }
    let (x, gamma, beta) = (&x.contiguous()?, &gamma.contiguous()?, &beta.contiguous()?);
    let (mean, variance) = (&mean.contiguous()?, &variance.contiguous()?);
    Ok(by_type!(x, T => {
        let given: Vec<(f64, f64)> =
            values::<T>(mean)?.iter().zip(values::<T>(variance)?.iter()).map(|(m, v)| (m.f64(), v.f64())).collect();
        normalized::<T>(x, gamma, beta, Some(&given), epsilon, slope).map(|(y, _)| y)
    })?)
}

fn check(x: &Tensor, channels: &[(&Tensor, &'static str)], slope: f64) -> Result<(usize, usize, usize)> {
    float(x, "x")?;
    check_slope(slope)?;
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
    slope: f64,
) -> Result<Tensor> {
    let scale = gamma.reshape(mean.shape())?.div(&(variance + epsilon)?.sqrt()?)?;
    let y = x.broadcast_sub(mean)?.broadcast_mul(&scale)?.broadcast_add(&beta.reshape(mean.shape())?)?;
    if slope == 1.0 { Ok(y) } else { leaky_relu(&y, slope) }
}

/// x normalised by the moments that are given, otherwise by its own; and these.
fn normalized<T: Element>(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    given: Option<&[(f64, f64)]>,
    epsilon: f64,
    slope: f64,
) -> Backend<(Tensor, Vec<(f64, f64)>)> {
    let (n, c, pixels) = planes_of(x, "x").map_err(candle_core::Error::wrap)?;
    let (sizes, of_batch, after) = ([n, c, pixels], given.is_none(), After::new(slope));
    let inverse = move |variance: f64| 1.0 / (variance + epsilon).sqrt();
    let (y, moments) = {
        let (x, gamma, beta) = (values::<T>(x)?, values::<T>(gamma)?, values::<T>(beta)?);
        let channel = |channel: usize, out: &mut Channel<T>| {
            let (mean, variance) = match given {
                Some(given) => given[channel],
                None => Arch::new().dispatch(ChannelMoments { x: &x, sizes, channel }),
            };
            let map = Affine::new(mean, inverse(variance), gamma[channel], beta[channel]);
            Arch::new().dispatch(Normalize { x: &x, sizes, channel, map, after, out });
            (mean, variance)
        };
        by_channel(sizes, channel)
    };
    let of_backward: Vec<(f64, f64)> = moments.iter().map(|&(m, v)| (m, inverse(v))).collect();
    let y = record("batch_norm", [x, gamma, beta], (y, x.shape()), move |[x, gamma, beta], _, dy| {
        let (x_, gamma, beta, dy) =
            (values::<T>(x)?, values::<T>(gamma)?, values::<T>(beta)?, values::<T>(dy)?);
        let channel = |channel: usize, out: &mut Channel<T>| {
            let (mean, inverse) = of_backward[channel];
            let map = Affine::new(mean, inverse, gamma[channel], beta[channel]);
            let (x, dy) = (&x_, &dy);
            Arch::new().dispatch(Backward { x, dy, sizes, channel, map, inverse, after, of_batch, out })
        };
        let (dx, sums) = by_channel(sizes, channel);
        let of = |f: fn(&(f64, f64)) -> f64| tensor(sums.iter().map(|s| T::of(f(s))).collect(), c).map(Some);
        Ok([tensor(dx, x.shape()).map(Some)?, of(|s| s.1)?, of(|s| s.0)?])
    })?;
    Ok((y, moments))
}

/// What negative values go through afterwards: cases, because each is a loop of its own.
#[derive(Clone, Copy)]
enum After<T> {
    Nothing,
    Relu,
    Leaky(T),
}

impl<T: Element> After<T> {
    fn new(slope: f64) -> Self {
        match slope {
            1.0 => After::Nothing,
            0.0 => After::Relu,
            _ => After::Leaky(T::of(slope)),
        }
    }
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
    fn new(mean: f64, inverse: f64, gamma: T, beta: T) -> Self {
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
    after: After<T>,
    out: &'a mut Channel<T>,
}

impl<T: Element> WithSimd for Normalize<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let ([n, c, pixels], map) = (self.sizes, self.map);
        for i in 0..n {
            let x = plane(self.x, c, pixels, self.channel, i);
            match self.after {
                After::Nothing => self.out.write(
                    x,
                    #[inline(always)]
                    |x| map.of(x),
                ),
                After::Relu => self.out.write(
                    x,
                    #[inline(always)]
                    |x| rectify(map.of(x)),
                ),
                After::Leaky(slope) => self.out.write(
                    x,
                    #[inline(always)]
                    |x| leak(map.of(x), slope),
                ),
            }
        }
    }
}

/// dx of a channel, and (Σ g, Σ g·x̂) with g the gradient before the slope.
struct Backward<'a, T> {
    x: &'a [T],
    dy: &'a [T],
    sizes: [usize; 3],
    channel: usize,
    map: Affine<T>,
    inverse: f64,
    after: After<T>,
    of_batch: bool,
    out: &'a mut Channel<T>,
}

impl<T: Element> WithSimd for Backward<'_, T> {
    type Output = (f64, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> (f64, f64) {
        let map = self.map;
        match self.after {
            After::Nothing => self.run(
                #[inline(always)]
                |_, dy| dy,
            ),
            After::Relu => self.run(
                #[inline(always)]
                |x, dy| passed(map.of(x), dy),
            ),
            After::Leaky(slope) => self.run(
                #[inline(always)]
                |x, dy| leaked(map.of(x), dy, slope),
            ),
        }
    }
}

impl<T: Element> Backward<'_, T> {
    #[inline(always)]
    fn run(&mut self, passed: impl Fn(T, T) -> T + Copy) -> (f64, f64) {
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
            self.out.write2(
                x,
                dy,
                #[inline(always)]
                |x, dy| scale * (passed(x, dy) - offset - slope * (x - centre)),
            );
        }
        (sum_g, sum_gx)
    }
}
