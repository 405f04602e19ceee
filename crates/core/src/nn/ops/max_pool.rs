//! The largest value of each window of an image.

use super::element::{Element, by_type, ours, tensor, values};
use super::pool::windowed;
use super::record::record1;
use super::reduce::{STRETCH, pieces};
use crate::{Error, Float, Result};
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// The largest value of each window, without padding. x: `[n, c, h, w]`. Returns `[n, c, oh, ow]` with
/// oh = ⌊(h − kernel) / stride⌋ + 1. Of equal values the first in the window gets the gradient; on a
/// device other than the CPU they share it.
///
/// # Errors
/// [`Error::Shape`] when x is not a batch of images at least as large as the window,
/// [`Error::Parameter`] for a kernel or stride of 0.
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    max_pool2d_with(x, kernel, stride, 0)
}

/// The same with `padding` pixels of −∞ around the image, which are never the largest.
/// x: `[n, c, h, w]`. Returns `[n, c, oh, ow]` with oh = ⌊(h + 2·padding − kernel) / stride⌋ + 1.
///
/// # Errors
/// [`Error::Shape`] when x is not a batch of images that, padded, are at least as large as the window;
/// [`Error::Parameter`] for a kernel or stride of 0 or a padding of more than half the kernel.
///
/// ```
/// use unsup_core::candle::{Device, Tensor};
/// use unsup_core::nn::ops;
/// let x = Tensor::new(&[[[[-1_f32, -2., -3.], [-4., -5., -6.]]]], &Device::Cpu)?;
/// let y = ops::max_pool2d_with(&x, 3, 2, 1)?; // the pooling of ResNet's stem
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [-1., -2.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn max_pool2d_with(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let [n, c, h, w] = padded(x, kernel, stride, padding)?;
    let (oh, ow) = ((h + 2 * padding - kernel) / stride + 1, (w + 2 * padding - kernel) / stride + 1);
    if !ours(x) {
        // candle's own max-pool has a wrong gradient, and its maximum along an axis gives equal values the whole each
        return max_of_taps(x, [oh, ow], kernel, stride, padding);
    }
    // the pixels of a window along one axis, without the padding
    let span = move |window: usize, size: usize| {
        let start = window * stride;
        start.saturating_sub(padding)..(start + kernel - padding).min(size)
    };
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let x_ = values::<T>(x)?;
        let mut y = vec![T::of(0.0); n * c * oh * ow];
        let mut winners = vec![0_u32; y.len()];
        let planes = y.par_chunks_mut(oh * ow).zip(winners.par_chunks_mut(oh * ow));
        planes.zip(x_.par_chunks(h * w)).for_each(|((y, winners), x)| {
            if (kernel, stride, padding) == (2, 2, 0) {
                return Arch::new().dispatch(OfQuarters { x, width: w, y, winners });
            }
            for (i, (y, winner)) in y.iter_mut().zip(winners).enumerate() {
                let (rows, columns) = (span(i / ow, h), span(i % ow, w));
                let first = rows.start * w + columns.start;
                (*y, *winner) = (x[first], first as u32);
                for at in rows.flat_map(|row| row * w + columns.start..row * w + columns.end) {
                    if x[at] > *y || x[at].is_nan() {
                        (*y, *winner) = (x[at], at as u32);
                    }
                }
            }
        });
        drop(x_);
        record1("max_pool2d", x, (y, &[n, c, oh, ow]), move |x, _, dy| {
            let dy = values::<T>(dy)?;
            let together = (STRETCH / (h * w)).max(1); // planes
            let dx = pieces(n * c * h * w, together * h * w, |i, dx: &mut [T]| {
                let from = i * together * oh * ow;
                let planes = dy[from..].chunks_exact(oh * ow).zip(winners[from..].chunks_exact(oh * ow));
                for (dx, (dy, winners)) in dx.chunks_exact_mut(h * w).zip(planes) {
                    if (kernel, stride, padding) == (2, 2, 0) {
                        Arch::new().dispatch(ToQuarters { dy, winners, dx, width: w });
                    } else {
                        winners.iter().zip(dy).for_each(|(&at, &dy)| dx[at as usize] += dy);
                    }
                }
            });
            tensor(dx, x.shape()).map(Some)
        })
    })?)
}

/// The forward pass of windows of 2 x 2 side by side.
struct OfQuarters<'a, T> {
    /// One plane.
    x: &'a [T],
    width: usize,
    y: &'a mut [T],
    winners: &'a mut [u32],
}

impl<T: Element> WithSimd for OfQuarters<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let OfQuarters { x, width, y, winners } = self;
        let out = width / 2;
        let lines = x.chunks_exact(2 * width).zip(y.chunks_exact_mut(out).zip(winners.chunks_exact_mut(out)));
        for (line, (x, (y, winners))) in lines.enumerate() {
            let (above, below) = x.split_at(width);
            let pixels = above.as_chunks::<2>().0.iter().zip(below.as_chunks::<2>().0);
            let mut first = (2 * line * width) as u32;
            for ((above, below), (y, winner)) in pixels.zip(y.iter_mut().zip(winners)) {
                let mut best = (above[0], first);
                let rest = [(above[1], 1), (below[0], width as u32), (below[1], width as u32 + 1)];
                for (value, place) in rest {
                    // NaN wins, the later one if there are several
                    let wins = (value > best.0) | value.is_nan();
                    best = if wins { (value, first + place) } else { best };
                }
                (*y, *winner) = best;
                first += 2;
            }
        }
    }
}

/// The backward pass of windows of 2 x 2 side by side, the usual ones: every pixel is written once, with the gradient of
/// its window or 0.
struct ToQuarters<'a, T> {
    dy: &'a [T],
    winners: &'a [u32],
    /// One plane.
    dx: &'a mut [T],
    width: usize,
}

impl<T: Element> WithSimd for ToQuarters<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let ToQuarters { dy, winners, dx, width } = self;
        let out = width / 2;
        let windows = dy.chunks_exact(out).zip(winners.chunks_exact(out));
        for (at, (dx, (dy, winners))) in dx.chunks_exact_mut(2 * width).zip(windows).enumerate() {
            let (above, below) = dx.split_at_mut(width);
            let first = (2 * at * width) as u32;
            line_of_quarters(dy, winners, above, first);
            line_of_quarters(dy, winners, below, first + width as u32);
        }
    }
}

/// One of the two lines of a line of windows; its first pixel is number `first` of the plane. Eight windows go by value:
/// a loop over single ones is compiled to branches where vectors have no masks.
#[inline(always)]
fn line_of_quarters<T: Element>(dy: &[T], winners: &[u32], dx: &mut [T], mut first: u32) {
    const WINDOWS: usize = 8;
    let (dy, rest_dy) = dy.as_chunks::<WINDOWS>();
    let (winners, rest_winners) = winners.as_chunks::<WINDOWS>();
    let (dx, rest_dx) = dx.as_chunks_mut::<{ 2 * WINDOWS }>();
    for ((dx, dy), winners) in dx.iter_mut().zip(dy).zip(winners) {
        let (left, right) = (quarter(*dy, *winners, first), quarter(*dy, *winners, first + 1));
        for (dx, (left, right)) in dx.as_chunks_mut::<2>().0.iter_mut().zip(left.into_iter().zip(right)) {
            *dx = [left, right];
        }
        first += 2 * WINDOWS as u32;
    }
    let pixels = rest_dx.as_chunks_mut::<2>().0;
    for (dx, (&dy, &winner)) in pixels.iter_mut().zip(rest_dy.iter().zip(rest_winners)) {
        let ([left], [right]) = (quarter([dy], [winner], first), quarter([dy], [winner], first + 1));
        *dx = [left, right];
        first += 2;
    }
}

/// The gradients of the pixels `first`, `first + 2`, …, one of each window.
#[inline(always)]
fn quarter<T: Element, const N: usize>(dy: [T; N], winners: [u32; N], first: u32) -> [T; N] {
    std::array::from_fn(
        #[inline(always)]
        |i| if winners[i] == first + 2 * i as u32 { dy[i] } else { T::zero() },
    )
}

/// A batch of images with a pixel that, padded, are at least as large as a window.
fn padded(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<[usize; 4]> {
    if padding == 0 {
        return windowed(x, kernel, stride);
    }
    if padding > kernel / 2 {
        return Err(Error::parameter("padding", padding, "at most half the kernel"));
    }
    let [n, c, h, w] = windowed(x, 1, stride)?;
    let least = kernel - 2 * padding;
    if h < least || w < least {
        let found = format!("{h} x {w} pixels");
        return Err(Error::shape("x", format!("at least {least} x {least} pixels"), found));
    }
    Ok([n, c, h, w])
}

/// The maximum over the taps of a window, each a strided image of its own: by candle's operations.
fn max_of_taps(x: &Tensor, out: [usize; 2], kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let mut x = x.clone();
    for (axis, out) in [(2, out[0]), (3, out[1])] {
        // enough behind the image for every tap to be cut into whole strides
        let after = (kernel - 1 + out * stride).saturating_sub(padding + x.dim(axis)?);
        let infinite = |size: usize| -> Result<Tensor> {
            let mut dims = x.dims().to_vec();
            dims[axis] = size;
            Ok(Tensor::full(f32::NEG_INFINITY, dims, x.device())?.to_dtype(x.dtype())?)
        };
        x = Tensor::cat(&[&infinite(padding)?, &x, &infinite(after)?], axis)?;
    }
    let (n, c, [oh, ow]) = (x.dim(0)?, x.dim(1)?, out);
    let tap = |row: usize, column: usize| -> Result<Tensor> {
        let x = x.narrow(2, row, oh * stride)?.narrow(3, column, ow * stride)?.contiguous()?;
        let x = x.reshape(&[n, c, oh, stride, ow, stride][..])?.narrow(3, 0, 1)?.narrow(5, 0, 1)?;
        Ok(x.contiguous()?.reshape((n, c, oh, ow))?)
    };
    let mut taps = (1..kernel * kernel).map(|k| tap(k / kernel, k % kernel));
    let first = tap(0, 0)?;
    taps.try_fold(first, |largest, tap| Ok(largest.maximum(&tap?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::check::{gradient_error, input};
    use candle_core::Device;

    #[test]
    fn padding_is_never_the_largest() -> Result<()> {
        let x = Tensor::new(&[[[[-1_f64, -5., -2.], [-4., -3., -9.], [-7., -8., -6.]]]], &Device::Cpu)?;
        let pooled = |stride| -> Result<Vec<f64>> {
            Ok(max_pool2d_with(&x, 3, stride, 1)?.flatten_all()?.to_vec1::<f64>()?)
        };
        assert_eq!(pooled(2)?, [-1., -2., -3., -3.]);
        assert_eq!(pooled(1)?, [-1., -1., -2., -1., -1., -2., -3., -3., -3.]);
        Ok(())
    }

    #[test]
    fn padded_gradients_on_both_paths() -> Result<()> {
        for (shape, kernel, stride, padding) in [
            ([2, 2, 5, 7], 3, 2, 1),
            ([1, 3, 6, 3], 2, 2, 1),
            ([1, 1, 1, 2], 3, 2, 1),
            ([1, 2, 7, 4], 5, 3, 2),
            ([2, 1, 4, 6], 2, 3, 0),
            ([2, 2, 5, 7], 2, 2, 0), // by vectors
            ([1, 1, 40, 66], 2, 2, 0),
        ] {
            let x = [input(&shape, 1)?];
            let pool = |x: &[Tensor]| max_pool2d_with(&x[0], kernel, stride, padding);
            let error = gradient_error(&x, pool)?;
            assert!(error < 1e-8, "{shape:?} {kernel} {stride} {padding}: {error:e}");
            let y = pool(&x)?;
            let out = [y.dim(2)?, y.dim(3)?];
            assert_eq!(out[0], (shape[2] + 2 * padding - kernel) / stride + 1);
            let other = |x: &[Tensor]| max_of_taps(&x[0], out, kernel, stride, padding);
            let error = gradient_error(&x, other)?;
            assert!(error < 1e-8, "{shape:?} {kernel} {stride} {padding} composed: {error:e}");
            let bits = |y: &Tensor| y.flatten_all()?.to_vec1::<f64>();
            assert_eq!(bits(&y)?, bits(&other(&x)?)?);
        }
        Ok(())
    }

    #[test]
    fn the_first_of_equal_values_and_nan() -> Result<()> {
        let x = candle_core::Var::new(&[[[[1_f32, 1., 2., f32::NAN], [1., 1., 3., 2.]]]], &Device::Cpu)?;
        let y = max_pool2d(&x, 2, 2)?;
        let maxima = y.flatten_all()?.to_vec1::<f32>()?;
        assert!(maxima[0] == 1.0 && maxima[1].is_nan());
        let gradients = y.backward()?;
        let dx = gradients.get(&x).map(|g| g.flatten_all()?.to_vec1::<f32>()).transpose()?;
        assert_eq!(dx, Some(vec![1., 0., 0., 1., 0., 0., 0., 0.]));
        Ok(())
    }

    #[test]
    fn equal_values_share_one_gradient_where_the_maximum_is_composed() -> Result<()> {
        let x = candle_core::Var::new(&[[[[1_f64, 1., 2., 0.], [1., 1., 2., 2.]]]], &Device::Cpu)?;
        let gradients = max_of_taps(&x, [1, 2], 2, 2, 0)?.backward()?;
        let dx = gradients.get(&x).map(|g| g.reshape((2, 4))?.to_vec2::<f64>()).transpose()?;
        let dx = dx.unwrap_or_default();
        for window in [0, 2] {
            let sum: f64 = dx.iter().map(|row| row[window] + row[window + 1]).sum();
            assert_eq!(sum, 1.0, "{dx:?}");
        }
        Ok(())
    }

    #[test]
    fn paddings_and_images_that_do_not_fit_are_refused() -> Result<()> {
        let x = input(&[1, 1, 2, 5], 1)?;
        let too_wide = max_pool2d_with(&x, 3, 1, 2);
        assert!(matches!(too_wide, Err(Error::Parameter { name: "padding", .. })));
        assert!(matches!(max_pool2d_with(&x, 5, 1, 1), Err(Error::Shape { .. })));
        let empty = Tensor::zeros((1, 1, 0, 5), candle_core::DType::F32, &Device::Cpu)?;
        assert!(matches!(max_pool2d_with(&empty, 2, 1, 1), Err(Error::Shape { .. })));
        Ok(())
    }
}
