//! Bilinear interpolation of images to another size.

use super::element::{Element, by_type, ours, tensor, values};
use super::pool::images;
use super::record::record1;
use super::reduce::STRETCH;
use super::separable::{Axis, composed};
use crate::{Error, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Interpolates to `size` = `[oh, ow]` between the centres of pixels, which are not moved to the
/// corners (`align_corners = false` in other libraries). x: `[n, c, h, w]`. Returns `[n, c, oh, ow]`.
///
/// The output pixel i lies at s = max((i + ½)·h/oh − ½, 0) and becomes `(1 − λ)·x[⌊s⌋] + λ·x[⌊s⌋ + 1]`
/// with λ = s − ⌊s⌋, along both axes; beyond the last pixel stands the last pixel. Smaller sizes are
/// allowed, and are sampled without smoothing.
///
/// # Errors
/// [`Error::Shape`] when x is not a batch of images with at least one pixel, [`Error::Parameter`] for a
/// size of 0.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[[[0_f32, 4.]]]], &Device::Cpu)?;
/// assert_eq!(ops::upsample_bilinear2d(&x, [1, 4])?.flatten_all()?.to_vec1::<f32>()?, [0., 1., 3., 4.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn upsample_bilinear2d(x: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    let [n, c, h, w] = images(x)?;
    let [oh, ow] = size;
    if h * w == 0 {
        return Err(Error::shape("x", "at least one pixel", format!("{h} x {w} pixels")));
    }
    if oh == 0 || ow == 0 {
        return Err(Error::parameter("size", format!("{oh} x {ow}"), "at least 1 x 1"));
    }
    if !ours(x) {
        return composed(x, &axis(h, oh), &axis(w, ow));
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let map = Map::<T> { rows: taps(h, oh), columns: taps(w, ow), h, w };
        let y = map.interpolate(&values(x)?);
        record1("upsample_bilinear2d", x, (y, &[n, c, oh, ow]), move |x, _, dy| {
            tensor(map.spread(&values(dy)?), x.shape()).map(Some)
        })
    })?)
}

/// The two pixels that an output pixel lies between, and the weight of the second.
#[derive(Debug, Clone, Copy)]
struct Tap<T> {
    first: usize,
    second: usize,
    weight: T,
}

fn taps<T: Element>(size: usize, out: usize) -> Vec<Tap<T>> {
    let scale = size as f64 / out as f64;
    let tap = |i: usize| {
        let at = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
        let first = (at as usize).min(size - 1);
        Tap { first, second: (first + 1).min(size - 1), weight: T::of(at - first as f64) }
    };
    (0..out).map(tap).collect()
}

pub(super) fn axis(size: usize, out: usize) -> Axis {
    let pair = |tap: Tap<f64>| vec![(tap.first, 1.0 - tap.weight), (tap.second, tap.weight)];
    Axis { size, outputs: taps(size, out).into_iter().map(pair).collect() }
}

/// Planes of h x w pixels to planes of another size.
struct Map<T> {
    rows: Vec<Tap<T>>,
    columns: Vec<Tap<T>>,
    h: usize,
    w: usize,
}

impl<T: Element> Map<T> {
    /// Pixels of a plane before and after, and planes that one thread takes at least.
    fn sizes(&self) -> (usize, usize, usize) {
        let (before, after) = (self.h * self.w, self.rows.len() * self.columns.len());
        (before, after, (STRETCH / (before + after)).max(1))
    }

    fn interpolate(&self, x: &[T]) -> Vec<T> {
        let (before, after, at_least) = self.sizes();
        let mut y = vec![T::zero(); x.len() / before * after];
        let planes = y.par_chunks_mut(after).zip(x.par_chunks(before)).with_min_len(at_least);
        planes.for_each(|(y, x)| {
            T::with_scratch(|wide| Arch::new().dispatch(Interpolate { map: self, x, y, wide }));
        });
        y
    }

    fn spread(&self, dy: &[T]) -> Vec<T> {
        let (before, after, at_least) = self.sizes();
        let mut dx = vec![T::zero(); dy.len() / after * before];
        let planes = dx.par_chunks_mut(before).zip(dy.par_chunks(after)).with_min_len(at_least);
        planes.for_each(|(dx, dy)| {
            T::with_scratch(|wide| Arch::new().dispatch(Spread { map: self, dy, dx, wide }));
        });
        dx
    }
}

/// One plane: along the rows of x first, then between its rows.
struct Interpolate<'a, T> {
    map: &'a Map<T>,
    x: &'a [T],
    y: &'a mut [T],
    wide: &'a mut Vec<T>,
}

impl<T: Element> WithSimd for Interpolate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Map { rows, columns, w, .. } = self.map;
        let (ow, wide) = (columns.len(), self.wide);
        wide.clear();
        for x in self.x.chunks_exact(*w) {
            wide.extend(columns.iter().map(|t| x[t.first] + t.weight * (x[t.second] - x[t.first])));
        }
        for (y, tap) in self.y.chunks_exact_mut(ow).zip(rows) {
            let (first, second) = (&wide[tap.first * ow..][..ow], &wide[tap.second * ow..][..ow]);
            for (y, (&a, &b)) in y.iter_mut().zip(first.iter().zip(second)) {
                *y = a + tap.weight * (b - a);
            }
        }
    }
}

/// The transpose of [`Interpolate`].
struct Spread<'a, T> {
    map: &'a Map<T>,
    dy: &'a [T],
    dx: &'a mut [T],
    wide: &'a mut Vec<T>,
}

impl<T: Element> WithSimd for Spread<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Map { rows, columns, w, .. } = self.map;
        let (ow, wide) = (columns.len(), self.wide);
        wide.clear();
        wide.resize(self.map.h * ow, T::zero());
        for (dy, tap) in self.dy.chunks_exact(ow).zip(rows) {
            for (at, weight) in [(tap.first, T::one() - tap.weight), (tap.second, tap.weight)] {
                wide[at * ow..][..ow].iter_mut().zip(dy).for_each(|(g, &dy)| *g += weight * dy);
            }
        }
        for (dx, wide) in self.dx.chunks_exact_mut(*w).zip(wide.chunks_exact(ow)) {
            for (&g, tap) in wide.iter().zip(columns) {
                dx[tap.first] += (T::one() - tap.weight) * g;
                dx[tap.second] += tap.weight * g;
            }
        }
    }
}
