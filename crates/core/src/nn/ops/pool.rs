//! Global pooling and nearest-neighbour upsampling.

use super::element::{Element, by_type, float, ours, tensor, values};
use super::record::record1;
use super::reduce::{pieces, sum};
use crate::{Error, Float, Result};
use candle_core::Tensor;
use rayon::prelude::*;

/// x as a batch of images: [n, c, h, w].
pub(super) fn images(x: &Tensor) -> Result<[usize; 4]> {
    float(x, "x")?;
    match *x.dims() {
        [n, c, h, w] => Ok([n, c, h, w]),
        _ => Err(Error::shape("x", "shape [n, c, h, w]", format!("shape {:?}", x.dims()))),
    }
}

/// A batch of images at least as large as a window.
pub(super) fn windowed(x: &Tensor, kernel: usize, stride: usize) -> Result<[usize; 4]> {
    let [n, c, h, w] = images(x)?;
    if kernel == 0 || stride == 0 {
        return Err(Error::parameter("kernel and stride", format!("{kernel}, {stride}"), "at least 1"));
    }
    if h < kernel || w < kernel {
        let found = format!("{h} x {w} pixels");
        return Err(Error::shape("x", format!("at least {kernel} x {kernel} pixels"), found));
    }
    Ok([n, c, h, w])
}

/// The mean of each map. x: `[n, c, h, w]`. Returns `[n, c]`.
///
/// # Errors
/// [`Error::Shape`] when x is not a batch of images with at least one pixel.
pub fn global_average_pool(x: &Tensor) -> Result<Tensor> {
    let [n, c, h, w] = images(x)?;
    let pixels = h * w;
    if pixels == 0 {
        return Err(Error::shape("x", "at least one pixel", format!("{h} x {w} pixels")));
    }
    if !ours(x) {
        return Ok(x.mean((2, 3))?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let mean = |map: &[T]| T::of(sum(map, |v| v) / pixels as f64);
        let y: Vec<T> = values::<T>(x)?.par_chunks(pixels).with_min_len(64).map(mean).collect();
        record1("global_average_pool", x, (y, (n, c)), move |x, _, dy| {
            let dy = values::<T>(dy)?;
            let share = T::of(1.0 / pixels as f64);
            let dx = pieces(n * c * pixels, 64 * pixels, |i, dx: &mut [T]| {
                dx.chunks_exact_mut(pixels).zip(&dy[i * 64..]).for_each(|(dx, &dy)| dx.fill(dy * share));
            });
            tensor(dx, x.shape()).map(Some)
        })
    })?)
}

/// Repeats each pixel `factor` times along both axes. x: `[n, c, h, w]`. Returns
/// `[n, c, factor·h, factor·w]`.
///
/// # Errors
/// [`Error::Shape`] when x is not a batch of images, [`Error::Parameter`] for a factor of 0.
pub fn upsample_nearest2d(x: &Tensor, factor: usize) -> Result<Tensor> {
    let [n, c, h, w] = images(x)?;
    if factor == 0 {
        return Err(Error::parameter("factor", factor, "at least 1"));
    }
    if !ours(x) {
        let x = x.reshape(&[n, c, h, 1, w, 1][..])?.broadcast_as(&[n, c, h, factor, w, factor][..])?;
        return Ok(x.contiguous()?.reshape((n, c, h * factor, w * factor))?);
    }
    let x = &x.contiguous()?;
    Ok(by_type!(x, T => {
        let y = upsampled(&values::<T>(x)?, w, factor);
        record1("upsample_nearest2d", x, (y, &[n, c, h * factor, w * factor]), move |x, _, dy| {
            tensor(window_sums(&values::<T>(dy)?, w, factor), x.shape()).map(Some)
        })
    })?)
}

fn upsampled<T: Element>(x: &[T], w: usize, factor: usize) -> Vec<T> {
    let mut y = vec![T::of(0.0); x.len() * factor * factor];
    let rows = y.par_chunks_mut((w * factor * factor).max(1)).with_min_len(64);
    rows.zip(x.par_chunks(w.max(1))).for_each(|(y, x)| {
        let (first, rest) = y.split_at_mut(w * factor);
        first.chunks_exact_mut(factor).zip(x).for_each(|(pixels, &x)| pixels.fill(x));
        rest.chunks_exact_mut(w * factor).for_each(|row| row.copy_from_slice(first));
    });
    y
}

fn window_sums<T: Element>(y: &[T], w: usize, factor: usize) -> Vec<T> {
    let mut x = vec![T::of(0.0); y.len() / (factor * factor)];
    let rows = x.par_chunks_mut(w.max(1)).with_min_len(64);
    rows.zip(y.par_chunks((w * factor * factor).max(1))).for_each(|(x, y)| {
        for row in y.chunks_exact(w * factor) {
            x.iter_mut().zip(row.chunks_exact(factor)).for_each(|(x, y)| y.iter().for_each(|&y| *x += y));
        }
    });
    x
}
