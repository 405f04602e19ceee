//! Element-wise loops over all threads, and sums whose order is fixed.

use super::element::{Backend, Element, by_type, float, shaped, tensor, values};
use super::record::record2;
use crate::{Error, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Elements that one thread takes at a time.
pub(super) const STRETCH: usize = 1 << 14;
/// Elements below which one thread does it all: waking another costs more.
pub(super) const SERIAL: usize = 1 << 16;

/// A new array of `len` values that threads write in pieces of `size`: `f` gets the number of a piece and the
/// piece, all zeros. Each thread clears its piece just before, where clearing the whole array first would be
/// another pass over memory on one thread.
pub(super) fn pieces<T: Element>(len: usize, size: usize, f: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let mut out = Vec::with_capacity(len);
    let room = &mut out.spare_capacity_mut()[..len];
    room.par_chunks_mut(size.max(1)).enumerate().for_each(|(i, room)| f(i, cleared(room)));
    // SAFETY: every value was written by `cleared`.
    unsafe { out.set_len(len) };
    out
}

/// [`pieces`] for work that is little more than reading and writing: one thread's, when it is short.
pub(super) fn light_pieces<T: Element>(
    len: usize,
    size: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    if len > SERIAL {
        return pieces(len, size, f);
    }
    let mut out = vec![T::zero(); len];
    out.chunks_mut(size.max(1)).enumerate().for_each(|(i, out)| f(i, out));
    out
}

/// Writes zeros, after which the values may be used.
fn cleared<T: Element>(room: &mut [MaybeUninit<T>]) -> &mut [T] {
    room.iter_mut().for_each(|value| _ = value.write(T::zero()));
    // SAFETY: every value has just been written, and `MaybeUninit<T>` has the layout of T.
    unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), room.len()) }
}

/// f of each element.
pub(super) fn map<T: Element>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    light_pieces(x.len(), STRETCH, |i, out| Arch::new().dispatch(Map { x: &x[i * STRETCH..], out, f: &f }))
}

struct Map<'a, T, F> {
    x: &'a [T],
    out: &'a mut [T],
    f: &'a F,
}

impl<T: Element, F: Fn(T) -> T> WithSimd for Map<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.out.iter_mut().zip(self.x).for_each(
            #[inline(always)]
            |(out, &x)| *out = (self.f)(x),
        );
    }
}

/// f of each pair of elements.
pub(super) fn map2<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    light_pieces(a.len(), STRETCH, |i, out| {
        Arch::new().dispatch(Map2 { a: &a[i * STRETCH..], b: &b[i * STRETCH..], out, f: &f });
    })
}

struct Map2<'a, T, F> {
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [T],
    f: &'a F,
}

impl<T: Element, F: Fn(T, T) -> T> WithSimd for Map2<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.out.iter_mut().zip(self.a.iter().zip(self.b)).for_each(
            #[inline(always)]
            |(out, (&a, &b))| *out = (self.f)(a, b),
        );
    }
}

/// f of each row of each input `[n, d]` into the same row of a new array `[n, d]`.
pub(super) fn map_rows<T: Element>(
    x: &[T],
    width: usize,
    f: impl Fn(usize, &[T], &mut [T]) + Sync,
) -> Vec<T> {
    let width = width.max(1);
    let rows = (STRETCH / width).max(1);
    light_pieces(x.len(), rows * width, |i, out| {
        Arch::new().dispatch(MapRows { x: &x[i * rows * width..], width, first: i * rows, out, f: &f });
    })
}

struct MapRows<'a, T, F> {
    x: &'a [T],
    width: usize,
    first: usize,
    out: &'a mut [T],
    f: &'a F,
}

impl<T: Element, F: Fn(usize, &[T], &mut [T])> WithSimd for MapRows<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.out.chunks_exact_mut(self.width).zip(self.x.chunks_exact(self.width));
        for (i, (out, x)) in rows.enumerate() {
            (self.f)(self.first + i, x, out);
        }
    }
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

/// The sums of both results of f over pairs, in the order of [`sum`].
#[inline(always)]
pub(super) fn sums2<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> [T; 2]) -> [f64; 2] {
    const LANES: usize = 16;
    let mut totals = [0.0; 2];
    for (a, b) in a.chunks(4096).zip(b.chunks(4096)) {
        let mut lanes = [[T::zero(); LANES]; 2];
        let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest = whole_a.remainder().iter().zip(whole_b.remainder());
        for (i, (&a, &b)) in rest.enumerate() {
            let [first, second] = f(a, b);
            lanes[0][i] += first;
            lanes[1][i] += second;
        }
        for (a, b) in whole_a.zip(whole_b) {
            for i in 0..LANES {
                let [first, second] = f(a[i], b[i]);
                lanes[0][i] += first;
                lanes[1][i] += second;
            }
        }
        for (total, lanes) in totals.iter_mut().zip(lanes) {
            *total += lanes.iter().map(|l| l.f64()).sum::<f64>();
        }
    }
    totals
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
    /// The plane of the next image, all zeros: cleared where it is about to be written, while it is in the cache.
    pub(super) fn next_plane(&mut self) -> &mut [T] {
        assert!(self.done < self.images, "a plane beyond the images");
        // SAFETY: `by_channel` made this from the room of the whole array, in which the planes of different
        // channels never overlap; what is only written need not be initialised.
        let room = unsafe {
            std::slice::from_raw_parts_mut(self.start.add(self.done * self.image_stride).cast(), self.pixels)
        };
        self.done += 1;
        cleared(room)
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
            channel.next_plane();
        }
        result
    };
    let results = (0..channels).into_par_iter().map(channel).collect();
    // SAFETY: every plane of every channel was cleared.
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
        return tensor(column_sums(&x_, n, c), c);
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

/// The sum of each column of x `[n, c]`: blocks of columns by thread, rows in their order, in `f64`.
fn column_sums<T: Element>(x: &[T], n: usize, c: usize) -> Vec<T> {
    const COLUMNS: usize = 64;
    let block = |i: usize| {
        let first = i * COLUMNS;
        Arch::new().dispatch(ColumnSums { x, n, c, first, width: COLUMNS.min(c - first) })
    };
    (0..c.div_ceil(COLUMNS)).into_par_iter().flat_map_iter(block).collect()
}

struct ColumnSums<'a, T> {
    x: &'a [T],
    n: usize,
    c: usize,
    first: usize,
    width: usize,
}

impl<T: Element> WithSimd for ColumnSums<'_, T> {
    type Output = Vec<T>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<T> {
        let mut totals = vec![0.0; self.width];
        for row in 0..self.n {
            let x = &self.x[row * self.c + self.first..][..self.width];
            for (total, v) in totals.iter_mut().zip(x) {
                *total += v.f64();
            }
        }
        totals.into_iter().map(T::of).collect()
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
