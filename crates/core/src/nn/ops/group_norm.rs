//! Group normalisation (Wu & He 2018): each group of channels of an image by its own moments.
//!
//! y = weight·(x − μ)/√(σ² + ε) + bias, with weight and bias of the channel, and μ and σ² over the pixels of
//! all channels of its group in the same image. Unlike batch normalisation it does not depend on the
//! other images of a batch. Moments are two-pass and summed in `f64`.

use super::channels::planes_of;
use super::element::{Element, by_type, float, ours, shaped, tensor, values};
use super::layer_norm::{check_epsilon, moments_of, standardized};
use super::record::record;
use super::reduce::{STRETCH, sums2};
use crate::{Error, Float, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Normalises each of `groups` groups of neighbouring channels, image by image.
/// x: `[n, c, …]`; weight, bias: `[c]`. Returns the shape of x.
///
/// One group is layer normalisation over an image, c groups are instance normalisation.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit or there are no pixels,
/// [`Error::Parameter`] for `groups` that do not divide the channels or an epsilon that is negative or
/// not finite.
///
/// ```
/// use unsup_core::candle::{DType, Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[[1_f64, 3.], [10., 20.]]], &Device::Cpu)?; // one image, two channels, two pixels
/// let ones = Tensor::ones(2, DType::F64, &Device::Cpu)?;
/// let zeros = ones.zeros_like()?;
/// let y = ops::group_norm(&x, 2, &ones, &zeros, 0.0)?;
/// assert_eq!(y.to_vec3::<f64>()?, [[[-1., 1.], [-1., 1.]]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn group_norm(x: &Tensor, groups: usize, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    float(x, "x")?;
    let (n, c, pixels) = planes_of(x, "x")?;
    if c * pixels == 0 {
        return Err(Error::shape("x", "at least one channel and pixel", format!("shape {:?}", x.dims())));
    }
    if groups == 0 || !c.is_multiple_of(groups) {
        return Err(Error::parameter("groups", groups, "a divisor of the number of channels"));
    }
    shaped(weight, "weight", &[c], x)?;
    shaped(bias, "bias", &[c], x)?;
    check_epsilon(epsilon)?;
    if !ours(x) {
        return composed(x, groups, weight, bias, epsilon);
    }
    let (x, weight, bias) = (&x.contiguous()?, &weight.contiguous()?, &bias.contiguous()?);
    let sizes = Sizes { groups, channels: c / groups, pixels };
    Ok(by_type!(x, T => {
        let (y, moments) = forward::<T>(sizes, &values(x)?, &values(weight)?, &values(bias)?, epsilon);
        record("group_norm", [x, weight, bias], (y, x.shape()), move |[x, weight, _], _, dy| {
            let (dx, sums) = backward::<T>(sizes, &values(x)?, &values(weight)?, &values(dy)?, &moments);
            // over the images in their order
            let of = |f: fn(&(f64, f64)) -> f64| {
                let total = |channel| (0..n).map(|i| f(&sums[i * c + channel])).sum();
                tensor((0..c).map(|channel| T::of(total(channel))).collect(), c).map(Some)
            };
            Ok([Some(tensor(dx, x.shape())?), of(|s| s.1)?, of(|s| s.0)?])
        })
    })?)
}

/// The same from the backend's own operations, for devices other than the CPU.
pub(super) fn composed(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    let (n, c, pixels) = planes_of(x, "x")?;
    let shape: Vec<usize> = (0..x.rank()).map(|axis| if axis == 1 { c } else { 1 }).collect();
    let y = standardized(&x.reshape((n, groups, c / groups * pixels))?, epsilon)?.reshape(x.shape())?;
    Ok(y.broadcast_mul(&weight.reshape(&shape[..])?)?.broadcast_add(&bias.reshape(shape)?)?)
}

/// Groups of an image, channels of a group, pixels of a channel.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    groups: usize,
    channels: usize,
    pixels: usize,
}

impl Sizes {
    /// Values of a group.
    fn values(&self) -> usize {
        self.channels * self.pixels
    }

    /// Groups that one thread takes at least.
    fn at_least(&self) -> usize {
        (STRETCH / self.values()).max(1)
    }

    /// The part of an array `[c]` that belongs to group `i` of all images.
    fn of_group<'a, T>(&self, channels: &'a [T], i: usize) -> &'a [T] {
        &channels[i % self.groups * self.channels..][..self.channels]
    }
}

/// The result, and (μ, 1/√(σ² + ε)) of each group of each image.
fn forward<T: Element>(
    sizes: Sizes,
    x: &[T],
    weight: &[T],
    bias: &[T],
    epsilon: f64,
) -> (Vec<T>, Vec<(f64, f64)>) {
    let mut y = vec![T::zero(); x.len()];
    let chunks = y.par_chunks_mut(sizes.values()).zip(x.par_chunks(sizes.values())).enumerate();
    let moments = chunks.with_min_len(sizes.at_least()).map(|(i, (y, x))| {
        let (weight, bias) = (sizes.of_group(weight, i), sizes.of_group(bias, i));
        Arch::new().dispatch(Forward { x, weight, bias, pixels: sizes.pixels, epsilon, y })
    });
    let moments = moments.collect();
    (y, moments)
}

struct Forward<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    bias: &'a [T],
    pixels: usize,
    epsilon: f64,
    y: &'a mut [T],
}

impl<T: Element> WithSimd for Forward<'_, T> {
    type Output = (f64, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (f64, f64) {
        let moments = moments_of(self.x, self.epsilon);
        let (centre, inverse) = (T::of(moments.0), T::of(moments.1));
        let planes = self.y.chunks_exact_mut(self.pixels).zip(self.x.chunks_exact(self.pixels));
        for ((y, x), (&w, &b)) in planes.zip(self.weight.iter().zip(self.bias)) {
            let scale = inverse * w;
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (x - centre) * scale + b;
            }
        }
        moments
    }
}

/// The gradient of x, and (Σ dy, Σ dy·x̂) of each channel of each image.
fn backward<T: Element>(
    sizes: Sizes,
    x: &[T],
    weight: &[T],
    dy: &[T],
    moments: &[(f64, f64)],
) -> (Vec<T>, Vec<(f64, f64)>) {
    let mut dx = vec![T::zero(); x.len()];
    let mut sums = vec![(0.0, 0.0); x.len() / sizes.pixels];
    let inputs = x.par_chunks(sizes.values()).zip(dy.par_chunks(sizes.values())).zip(moments);
    let outputs = dx.par_chunks_mut(sizes.values()).zip(sums.par_chunks_mut(sizes.channels));
    outputs.zip(inputs).enumerate().with_min_len(sizes.at_least()).for_each(
        |(i, ((dx, sums), ((x, dy), &moments)))| {
            let weight = sizes.of_group(weight, i);
            Arch::new().dispatch(Backward { x, weight, dy, pixels: sizes.pixels, moments, dx, sums });
        },
    );
    (dx, sums)
}

struct Backward<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    dy: &'a [T],
    pixels: usize,
    moments: (f64, f64),
    dx: &'a mut [T],
    sums: &'a mut [(f64, f64)],
}

impl<T: Element> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (mean, inverse) = self.moments;
        let (centre, count) = (T::of(mean), self.x.len() as f64);
        let planes = || self.x.chunks_exact(self.pixels).zip(self.dy.chunks_exact(self.pixels));
        let (mut offset, mut slope) = (0.0, 0.0);
        for (((x, dy), &w), sums) in planes().zip(self.weight).zip(self.sums) {
            let [total, along] = sums2(
                dy,
                x,
                #[inline(always)]
                |g, x| [g, g * (x - centre)],
            );
            *sums = (total, along * inverse);
            offset += w.f64() * sums.0;
            slope += w.f64() * sums.1;
        }
        // of the centred and scaled result, per value
        let (offset, slope) = (T::of(offset * inverse / count), T::of(slope * inverse * inverse / count));
        let inverse = T::of(inverse);
        for (dx, ((x, dy), &w)) in self.dx.chunks_exact_mut(self.pixels).zip(planes().zip(self.weight)) {
            let scale = inverse * w;
            for (dx, (&x, &dy)) in dx.iter_mut().zip(x.iter().zip(dy)) {
                *dx = scale * dy - offset - slope * (x - centre);
            }
        }
    }
}
