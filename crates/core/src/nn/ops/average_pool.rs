//! The mean of each window of an image.

use super::element::{Element, by_type, ours, tensor, values};
use super::pool::windowed;
use super::record::record1;
use super::reduce::{STRETCH, pieces};
use super::separable::{Axis, composed};
use crate::Result;
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};

/// The mean of each window, without padding. x: `[n, c, h, w]`. Returns `[n, c, oh, ow]` with
/// oh = ⌊(h − kernel) / stride⌋ + 1. Pixels that no window reaches get no gradient.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when x is not a batch of images at least as large as the window,
/// [`Error::Parameter`](crate::Error::Parameter) for a kernel or stride of 0.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[[[1_f32, 2., 9.], [3., 6., 9.]]]], &Device::Cpu)?;
/// assert_eq!(ops::avg_pool2d(&x, 2, 1)?.flatten_all()?.to_vec1::<f32>()?, [3., 6.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let [n, c, h, w] = windowed(x, kernel, stride)?;
    if !ours(x) {
        return composed(x, &windows(h, kernel, stride), &windows(w, kernel, stride));
    }
    let sizes = Sizes { h, w, kernel, stride };
    let (oh, ow) = sizes.out();
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let y = means(sizes, &values::<T>(x)?);
        record1("avg_pool2d", x, (y, &[n, c, oh, ow]), move |x, _, dy| {
            tensor(shares(sizes, &values::<T>(dy)?), x.shape()).map(Some)
        })
    })?)
}

/// The windows along one axis as weights of its pixels.
pub(super) fn windows(size: usize, kernel: usize, stride: usize) -> Axis {
    let weights = |window: usize| (0..kernel).map(move |k| (window * stride + k, 1.0 / kernel as f64));
    Axis { size, outputs: (0..=(size - kernel) / stride).map(|i| weights(i).collect()).collect() }
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    h: usize,
    w: usize,
    kernel: usize,
    stride: usize,
}

impl Sizes {
    fn out(&self) -> (usize, usize) {
        let windows = |size: usize| (size - self.kernel) / self.stride + 1;
        (windows(self.h), windows(self.w))
    }

    /// Planes that a thread takes at a time.
    fn at_least(&self) -> usize {
        (STRETCH / (self.h * self.w)).max(1)
    }

    /// A window's first pixel row to its last, in a plane.
    fn rows(&self, oy: usize) -> std::ops::Range<usize> {
        let start = oy * self.stride * self.w;
        start..start + self.kernel * self.w
    }
}

/// x: `[planes, h, w]`. Returns `[planes, oh, ow]`.
fn means<T: Element>(sizes: Sizes, x: &[T]) -> Vec<T> {
    let ((oh, ow), plane) = (sizes.out(), sizes.h * sizes.w);
    let together = sizes.at_least();
    pieces(x.len() / plane * oh * ow, together * oh * ow, |i, y| {
        let planes = y.chunks_exact_mut(oh * ow).zip(x[i * together * plane..].chunks_exact(plane));
        for (y, x) in planes {
            T::with_scratch(|row| Arch::new().dispatch(Means { sizes, x, y, row }));
        }
    })
}

/// dy: `[planes, oh, ow]`. Returns `[planes, h, w]`.
fn shares<T: Element>(sizes: Sizes, dy: &[T]) -> Vec<T> {
    let ((oh, ow), plane) = (sizes.out(), sizes.h * sizes.w);
    let together = sizes.at_least();
    pieces(dy.len() / (oh * ow) * plane, together * plane, |i, dx| {
        let planes = dx.chunks_exact_mut(plane).zip(dy[i * together * oh * ow..].chunks_exact(oh * ow));
        for (dx, dy) in planes {
            T::with_scratch(|row| Arch::new().dispatch(Shares { sizes, dy, dx, row }));
        }
    })
}

/// One plane: rows of a window are summed first, so that it costs 2·kernel additions and not kernel².
struct Means<'a, T> {
    sizes: Sizes,
    x: &'a [T],
    y: &'a mut [T],
    row: &'a mut Vec<T>,
}

impl<T: Element> WithSimd for Means<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (Sizes { w, kernel, stride, .. }, column_sums) = (self.sizes, self.row);
        let area = T::of((kernel * kernel) as f64);
        for (oy, y) in self.y.chunks_exact_mut(self.sizes.out().1).enumerate() {
            let window = &self.x[self.sizes.rows(oy)];
            column_sums.clear();
            column_sums.extend_from_slice(&window[..w]);
            for row in window.chunks_exact(w).skip(1) {
                column_sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
            }
            for (y, window) in y.iter_mut().zip(column_sums.windows(kernel).step_by(stride)) {
                *y = window.iter().fold(T::zero(), |sum, &x| sum + x) / area;
            }
        }
    }
}

/// The transpose of [`Means`].
struct Shares<'a, T> {
    sizes: Sizes,
    dy: &'a [T],
    dx: &'a mut [T],
    row: &'a mut Vec<T>,
}

impl<T: Element> WithSimd for Shares<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (Sizes { w, kernel, stride, .. }, row) = (self.sizes, self.row);
        let area = T::of((kernel * kernel) as f64);
        for (oy, dy) in self.dy.chunks_exact(self.sizes.out().1).enumerate() {
            row.clear();
            row.resize(w, T::zero());
            for (i, &dy) in dy.iter().enumerate() {
                let share = dy / area;
                row[i * stride..][..kernel].iter_mut().for_each(|r| *r += share);
            }
            for dx in self.dx[self.sizes.rows(oy)].chunks_exact_mut(w) {
                dx.iter_mut().zip(&row[..]).for_each(|(dx, &r)| *dx += r);
            }
        }
    }
}
