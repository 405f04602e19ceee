//! Element-wise loops over all threads, and sums whose order is fixed.

use super::element::Element;
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
pub(super) fn cleared<T: Element>(room: &mut [MaybeUninit<T>]) -> &mut [T] {
    room.iter_mut().for_each(|value| _ = value.write(T::zero()));
    // SAFETY: every value has just been written, and `MaybeUninit<T>` has the layout of T.
    unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), room.len()) }
}

/// A new array of `len` values that one thread, or several when it is long, write in pieces of [`STRETCH`].
///
/// # Safety
/// `f` must write every value of each piece.
unsafe fn stretches<T: Element>(len: usize, f: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync) -> Vec<T> {
    let mut out = Vec::with_capacity(len);
    let room = &mut out.spare_capacity_mut()[..len];
    if len > SERIAL {
        room.par_chunks_mut(STRETCH).enumerate().for_each(|(i, room)| f(i, room));
    } else {
        room.chunks_mut(STRETCH).enumerate().for_each(|(i, room)| f(i, room));
    }
    // SAFETY: the caller's promise.
    unsafe { out.set_len(len) };
    out
}

/// Writes f of each value of x, of which there are as many.
#[inline(always)]
pub(super) fn write<T: Element>(room: &mut [MaybeUninit<T>], x: &[T], f: impl Fn(T) -> T) {
    assert_eq!(room.len(), x.len(), "a value for each place");
    room.iter_mut().zip(x).for_each(
        #[inline(always)]
        |(out, &x)| _ = out.write(f(x)),
    );
}

/// Writes f of each pair of values, of which there are as many.
#[inline(always)]
pub(super) fn write2<T: Element>(room: &mut [MaybeUninit<T>], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    assert!(room.len() == a.len() && room.len() == b.len(), "two values for each place");
    room.iter_mut().zip(a.iter().zip(b)).for_each(
        #[inline(always)]
        |(out, (&a, &b))| _ = out.write(f(a, b)),
    );
}

/// f of each element. What f holds it must hold itself: behind a reference it is read again for each element, one by one.
pub(super) fn map<T: Element>(x: &[T], f: impl Fn(T) -> T + Copy + Sync) -> Vec<T> {
    let piece = |i: usize, out: &mut [MaybeUninit<T>]| {
        Arch::new().dispatch(Map { x: &x[i * STRETCH..][..out.len()], out, f });
    };
    // SAFETY: `write` writes every value.
    unsafe { stretches(x.len(), piece) }
}

struct Map<'a, T, F> {
    x: &'a [T],
    out: &'a mut [MaybeUninit<T>],
    f: F,
}

impl<T: Element, F: Fn(T) -> T> WithSimd for Map<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        write(self.out, self.x, self.f);
    }
}

/// f of each pair of elements, as [`map`].
pub(super) fn map2<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Copy + Sync) -> Vec<T> {
    let piece = |i: usize, out: &mut [MaybeUninit<T>]| {
        let [a, b] = [a, b].map(|values| &values[i * STRETCH..][..out.len()]);
        Arch::new().dispatch(Map2 { a, b, out, f });
    };
    // SAFETY: `write2` writes every value.
    unsafe { stretches(a.len(), piece) }
}

struct Map2<'a, T, F> {
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [MaybeUninit<T>],
    f: F,
}

impl<T: Element, F: Fn(T, T) -> T> WithSimd for Map2<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        write2(self.out, self.a, self.b, self.f);
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

/// The sums of both results of f over pairs: thirty-two lanes within a stretch, stretches in their order, in `f64`. Lanes go
/// by value, one result after the other: written as pairs in one loop they are compiled one by one.
#[inline(always)]
pub(super) fn sums2<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> [T; 2]) -> [f64; 2] {
    const LANES: usize = 32;
    let mut totals = [0.0; 2];
    for (a, b) in a.chunks(4096).zip(b.chunks(4096)) {
        let mut lanes = [[T::zero(); LANES]; 2];
        let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (i, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
            let [first, second] = f(a, b);
            lanes[0][i] += first;
            lanes[1][i] += second;
        }
        let [firsts, seconds] = &mut lanes;
        for (&a, &b) in a.iter().zip(b) {
            let first: [T; LANES] = std::array::from_fn(
                #[inline(always)]
                |i| f(a[i], b[i])[0],
            );
            let second: [T; LANES] = std::array::from_fn(
                #[inline(always)]
                |i| f(a[i], b[i])[1],
            );
            firsts.iter_mut().zip(first).for_each(|(lane, value)| *lane += value);
            seconds.iter_mut().zip(second).for_each(|(lane, value)| *lane += value);
        }
        for (total, lanes) in totals.iter_mut().zip(lanes) {
            *total += lanes.iter().map(|l| l.f64()).sum::<f64>();
        }
    }
    totals
}

/// The sum of arrays of one size, in their order and in `f64`.
pub(super) fn sum_parts<T: Element>(parts: &[impl AsRef<[T]> + Sync], size: usize) -> Vec<T> {
    const COLUMNS: usize = 1024;
    let mut total = vec![T::zero(); size];
    total.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, total)| {
        let mut wide = [0.0; COLUMNS];
        for part in parts {
            wide.iter_mut().zip(&part.as_ref()[i * COLUMNS..]).for_each(|(w, p)| *w += p.f64());
        }
        total.iter_mut().zip(wide).for_each(|(t, w)| *t = T::of(w));
    });
    total
}
