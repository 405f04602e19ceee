//! Element-wise loops over all threads, and sums whose order is fixed.

use super::element::{Backend, Element, by_type, float, record2, shaped, tensor, values};
use crate::{Error, Result};
use candle_core::Tensor;
use rayon::prelude::*;

/// Elements that one thread takes at a time.
pub(super) const STRETCH: usize = 1 << 14;

/// f of each element.
pub(super) fn map<T: Element>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::zero(); x.len()];
    out.par_chunks_mut(STRETCH).zip(x.par_chunks(STRETCH)).for_each(|(out, x)| {
        out.iter_mut().zip(x).for_each(|(o, &x)| *o = f(x));
    });
    out
}

/// f of each pair of elements.
pub(super) fn map2<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::zero(); a.len()];
    let inputs = a.par_chunks(STRETCH).zip(b.par_chunks(STRETCH));
    out.par_chunks_mut(STRETCH).zip(inputs).for_each(|(out, (a, b))| {
        out.iter_mut().zip(a).zip(b).for_each(|((o, &a), &b)| *o = f(a, b));
    });
    out
}

/// f of each row of each input `[n, d]` into the same row of a new array `[n, d]`.
pub(super) fn map_rows<T: Element>(
    x: &[T],
    width: usize,
    f: impl Fn(usize, &[T], &mut [T]) + Sync,
) -> Vec<T> {
    let mut out = vec![T::zero(); x.len()];
    let width = width.max(1);
    let rows = (STRETCH / width).max(1);
    out.par_chunks_mut(rows * width).zip(x.par_chunks(rows * width)).enumerate().for_each(|(i, (out, x))| {
        for (j, (out, x)) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)).enumerate() {
            f(i * rows + j, x, out);
        }
    });
    out
}

/// The sum of f over `values`: sixteen lanes within a stretch, stretches in their order, in `f64`.
#[inline(always)]
pub(super) fn sum<T: Element>(values: &[T], f: impl Fn(T) -> T) -> f64 {
    const LANES: usize = 16;
    let mut total = 0.0;
    for stretch in values.chunks(4096) {
        let mut lanes = [T::zero(); LANES];
        let whole = stretch.chunks_exact(LANES);
        let rest = whole.remainder();
        for chunk in whole {
            for (lane, &v) in lanes.iter_mut().zip(chunk) {
                *lane += f(v);
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(rest) {
            *lane += f(v);
        }
        total += lanes.iter().map(|l| l.f64()).sum::<f64>();
    }
    total
}

/// The sum of f over pairs, in the order of [`sum`].
#[inline(always)]
pub(super) fn sum2<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> f64 {
    const LANES: usize = 16;
    let mut total = 0.0;
    for (a, b) in a.chunks(4096).zip(b.chunks(4096)) {
        let mut lanes = [T::zero(); LANES];
        let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest = whole_a.remainder().iter().zip(whole_b.remainder());
        lanes.iter_mut().zip(rest).for_each(|(lane, (&a, &b))| *lane += f(a, b));
        for (a, b) in whole_a.zip(whole_b) {
            for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
                *lane += f(a, b);
            }
        }
        total += lanes.iter().map(|l| l.f64()).sum::<f64>();
    }
    total
}

/// The sum of arrays of one size, in their order and in `f64`.
pub(super) fn sum_parts<T: Element>(parts: &[Vec<T>], size: usize) -> Vec<T> {
    const COLUMNS: usize = 1024;
    let mut total = vec![T::zero(); size];
    total.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, total)| {
        let mut wide = [0.0; COLUMNS];
        for part in parts {
            wide.iter_mut().zip(&part[i * COLUMNS..]).for_each(|(w, p)| *w += p.f64());
        }
        total.iter_mut().zip(wide).for_each(|(t, w)| *t = T::of(w));
    });
    total
}

/// The planes of one channel of an array [n, c, pixels]: one thread's to write.
pub(super) struct Channel<T> {
    start: *mut T,
    image_stride: usize,
    images: usize,
    pixels: usize,
}

impl<T> Channel<T> {
    /// The plane of this channel in image `i`.
    pub(super) fn plane(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.images, "a plane beyond the images");
        // SAFETY: `for_channels` made this from an exclusive borrow of the whole array, in which the planes
        // of different channels never overlap; `&mut self` keeps two planes of one channel apart.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.image_stride), self.pixels) }
    }
}

/// Gives each channel of `out` `[n, c, pixels]` to one thread. Returns what `f` returns, by channel.
pub(super) fn for_channels<T: Element, R: Send>(
    out: &mut [T],
    channels: usize,
    pixels: usize,
    f: impl Fn(usize, Channel<T>) -> R + Sync,
) -> Vec<R> {
    struct Start<T>(*mut T);
    // SAFETY: the pointer is only used to make the disjoint channels below.
    unsafe impl<T: Send> Sync for Start<T> {}
    impl<T> Start<T> {
        fn channel(&self, offset: usize, image_stride: usize, images: usize, pixels: usize) -> Channel<T> {
            Channel { start: self.0.wrapping_add(offset), image_stride, images, pixels }
        }
    }
    let image_stride = channels * pixels;
    let images = out.len() / image_stride.max(1);
    let start = Start(out.as_mut_ptr());
    let channel = |c| f(c, start.channel(c * pixels, image_stride, images, pixels));
    (0..channels).into_par_iter().map(channel).collect()
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
    let sum_of = |channel| (0..n).map(|i| sum(plane(&x_, c, pixels, channel, i), |v| v)).sum::<f64>();
    let sums: Vec<T> = (0..c).into_par_iter().map(|channel| T::of(sum_of(channel))).collect();
    tensor(sums, c)
}

/// Adds one number to each channel. x: `[n, c, …]`, bias: `[c]`. Returns the shape of x.
///
/// # Errors
/// [`Error::Shape`] when shapes or element types do not fit.
pub fn add_channels(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    float(x, "x")?;
    let (_, c, pixels) = planes_of(x, "x")?;
    shaped(bias, "bias", &[c], x)?;
    if !x.device().is_cpu() {
        let shape: Vec<usize> = (0..x.rank()).map(|axis| if axis == 1 { c } else { 1 }).collect();
        return Ok(x.broadcast_add(&bias.reshape(shape)?)?);
    }
    let (x, bias) = (&x.contiguous()?, &bias.contiguous()?);
    Ok(by_type!(x, T => {
        let bias_ = values::<T>(bias)?;
        let y = map_rows(&values::<T>(x)?, pixels, |plane, x, y| {
            let b = bias_[plane % c];
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x + b);
        });
        record2("add_channels", [x, bias], (y, x.shape()), |[_, bias], _, dy| {
            let db = if bias.track_op() { Some(channel_sums::<T>(dy)?) } else { None };
            Ok([Some(dy.clone()), db])
        })
    })?)
}
