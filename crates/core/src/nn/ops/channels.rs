//! What concerns the channels of images: each written by one thread, its sum, one number added to it.

use super::element::{Backend, Element, by_type, float, ours, shaped, tensor, values};
use super::record::record;
use super::reduce::{cleared, map_rows, sum, write, write2};
use crate::{Error, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// The planes of one channel of a new array [n, c, pixels]: one thread's to write, from the first image to the last.
pub(super) struct Channel<T> {
    start: *mut T,
    image_stride: usize,
    images: usize,
    pixels: usize,
    /// Images whose planes have been handed out.
    done: usize,
}

impl<T: Element> Channel<T> {
    /// Writes f of each value of x, as many as a plane has, into the plane of the next image.
    #[inline(always)]
    pub(super) fn write(&mut self, x: &[T], f: impl Fn(T) -> T) {
        write(self.next_plane(), x, f);
    }

    /// Writes f of each pair of values, as many as a plane has, into the plane of the next image.
    #[inline(always)]
    pub(super) fn write2(&mut self, a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
        write2(self.next_plane(), a, b, f);
    }

    fn next_plane(&mut self) -> &mut [MaybeUninit<T>] {
        assert!(self.done < self.images, "a plane beyond the images");
        // SAFETY: `by_channel` made this from the room of the whole array, in which the planes of different
        // channels never overlap.
        let room = unsafe {
            std::slice::from_raw_parts_mut(self.start.add(self.done * self.image_stride).cast(), self.pixels)
        };
        self.done += 1;
        room
    }
}

/// A new array `[images, channels, pixels]` of which each channel is written by one thread, and what `f` returns,
/// by channel. `f` gets the number of a channel and its planes; those it does not take are zeros.
pub(super) fn by_channel<T: Element, R: Send>(
    [images, channels, pixels]: [usize; 3],
    f: impl Fn(usize, &mut Channel<T>) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    struct Start<T>(*mut T);
    // SAFETY: the pointer is only used to make the disjoint channels below.
    unsafe impl<T: Send> Sync for Start<T> {}
    impl<T> Start<T> {
        fn channel(&self, offset: usize, image_stride: usize, images: usize, pixels: usize) -> Channel<T> {
            Channel { start: self.0.wrapping_add(offset), image_stride, images, pixels, done: 0 }
        }
    }
    let len = images * channels * pixels;
    let mut out: Vec<T> = Vec::with_capacity(len);
    let start = Start(out.spare_capacity_mut()[..len].as_mut_ptr().cast());
    let channel = |c| {
        let mut channel = start.channel(c * pixels, channels * pixels, images, pixels);
        let result = f(c, &mut channel);
        while channel.done < images {
            cleared(channel.next_plane());
        }
        result
    };
    let results = (0..channels).into_par_iter().map(channel).collect();
    // SAFETY: every plane of every channel was written.
    unsafe { out.set_len(len) };
    (out, results)
}

/// The plane of channel `c` in image `i` of an array `[n, c, pixels]`.
pub(super) fn plane<T>(x: &[T], channels: usize, pixels: usize, c: usize, i: usize) -> &[T] {
    &x[(i * channels + c) * pixels..][..pixels]
}

/// x: `[n, c, …]` as (n, c, pixels).
pub(super) fn planes_of(x: &Tensor, what: &'static str) -> Result<(usize, usize, usize)> {
    match x.dims() {
        [n, c, rest @ ..] => Ok((*n, *c, rest.iter().product())),
        other => Err(Error::shape(what, "shape [n, c] or [n, c, h, w]", format!("shape {other:?}"))),
    }
}

/// The sum over everything but the channels. x: `[n, c, …]`. Returns `[c]`.
pub(super) fn channel_sums<T: Element>(x: &Tensor) -> Backend<Tensor> {
    let x_ = values::<T>(x)?;
    let (n, c, pixels) = planes_of(x, "x").map_err(candle_core::Error::wrap)?;
    if pixels == 1 {
        return tensor(column_sums(&x_, c), c);
    }
    let sum_of = |channel| Arch::new().dispatch(PlaneSum { x: &x_, sizes: [n, c, pixels], channel });
    let sums: Vec<T> = (0..c).into_par_iter().map(|channel| T::of(sum_of(channel))).collect();
    tensor(sums, c)
}

struct PlaneSum<'a, T> {
    x: &'a [T],
    sizes: [usize; 3],
    channel: usize,
}

impl<T: Element> WithSimd for PlaneSum<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let [n, c, pixels] = self.sizes;
        let mut total = 0.0;
        for i in 0..n {
            total += sum(
                plane(self.x, c, pixels, self.channel, i),
                #[inline(always)]
                |v| v,
            );
        }
        total
    }
}

/// The sum of each column of x `[n, c]`: blocks of rows by thread, then the blocks in their order, in `f64`.
fn column_sums<T: Element>(x: &[T], c: usize) -> Vec<T> {
    const ROWS: usize = 64;
    let block = |x: &[T]| Arch::new().dispatch(ColumnSums { x, c });
    let blocks: Vec<Vec<f64>> = x.par_chunks((ROWS * c).max(1)).map(block).collect();
    let mut totals = vec![0.0; c];
    for block in blocks {
        totals.iter_mut().zip(block).for_each(|(total, sum)| *total += sum);
    }
    totals.into_iter().map(T::of).collect()
}

struct ColumnSums<'a, T> {
    x: &'a [T],
    c: usize,
}

impl<T: Element> WithSimd for ColumnSums<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f64> {
        let mut totals = vec![0.0; self.c];
        for row in self.x.chunks_exact(self.c) {
            totals.iter_mut().zip(row).for_each(|(total, v)| *total += v.f64());
        }
        totals
    }
}

/// Adds one number to each channel. x: `[n, c, …]`, bias: `[c]`. Returns the shape of x.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit.
pub fn add_channels(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    float(x, "x")?;
    let (_, c, pixels) = planes_of(x, "x")?;
    shaped(bias, "bias", &[c], x)?;
    if !ours(x) {
        let shape: Vec<usize> = (0..x.rank()).map(|axis| if axis == 1 { c } else { 1 }).collect();
        return Ok(x.broadcast_add(&bias.reshape(shape)?)?);
    }
    let (x, bias) = (&x.contiguous()?, &bias.contiguous()?);
    Ok(by_type!(x, T => {
        let bias_ = values::<T>(bias)?;
        let x_ = values::<T>(x)?;
        let y = if pixels == 1 {
            map_rows(&x_, c, #[inline(always)] |_, x, y| {
                y.iter_mut().zip(x).zip(&bias_[..]).for_each(|((y, &x), &b)| *y = x + b);
            })
        } else {
            map_rows(&x_, pixels, #[inline(always)] |plane, x, y| {
                let b = bias_[plane % c];
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = x + b);
            })
        };
        drop(x_);
        record("add_channels", [x, bias], (y, x.shape()), |[_, bias], _, dy| {
            let db = if bias.track_op() { Some(channel_sums::<T>(dy)?) } else { None };
            Ok([Some(dy.clone()), db])
        })
    })?)
}
