//! What the densities of the components say about new rows, tile by tile.

use super::factor::Factor;
use super::kernel::Kernel;
use super::normalize::normalize;
use super::tile::Tile;
use ndarray::{Array1, Array2, ArrayRef2};
use rand::RngExt;
use rayon::prelude::*;
use unsup_core::seed::StandardNormal;
use unsup_core::{Float, Result, Seed, validate};

/// The responsibilities of each row, in its tile: component c of row i is at `c * stride + i`.
struct Scored<'a> {
    shares: &'a [f64],
    stride: usize,
    /// log Σₖ of each row
    log_sums: &'a [f64],
}

impl Scored<'_> {
    fn share(&self, i: usize, c: usize) -> f64 {
        self.shares[c * self.stride + i]
    }
}

/// `transform` may change the scores of a component, `answer` writes `width` numbers for each row of a tile.
fn ask<F: Float, T: Send + Clone + Default>(
    x: &ArrayRef2<F>,
    shift: &[f64],
    kernel: &Kernel,
    width: usize,
    transform: impl Fn(usize, &mut [f64]) + Sync,
    answer: impl Fn(&Scored<'_>, usize, &mut [T]) + Sync,
) -> Result<Vec<T>> {
    validate::table_of_width(x, shift.len(), "x")?;
    let (room, stride) = (Tile::new(shift.len()).room(), Tile::new(shift.len()).stride());
    let mut out = vec![T::default(); x.nrows() * width];
    let buffers =
        || (Tile::new(shift.len()), Vec::new(), vec![0.0; kernel.components * stride], vec![0.0; stride]);
    out.par_chunks_mut(room * width).enumerate().for_each_init(
        buffers,
        |(tile, whitened, shares, log_sums), (t, out)| {
            let start = t * room;
            tile.load(x, start..start + out.len() / width, shift);
            kernel.scores(tile, whitened, shares);
            shares.chunks_exact_mut(stride).enumerate().for_each(|(c, scores)| transform(c, scores));
            let log_sums = &mut log_sums[..tile.padded()];
            normalize(shares, stride, log_sums);
            let scored = Scored { shares, stride, log_sums };
            out.chunks_exact_mut(width).enumerate().for_each(|(i, out)| answer(&scored, i, out));
        },
    );
    Ok(out)
}

pub(super) fn log_density<F: Float>(x: &ArrayRef2<F>, shift: &[f64], kernel: &Kernel) -> Result<Array1<f64>> {
    log_density_of(x, shift, kernel, as_they_are)
}

/// The same, of other densities whose logarithms are functions of the scores.
pub(super) fn log_density_of<F: Float>(
    x: &ArrayRef2<F>,
    shift: &[f64],
    kernel: &Kernel,
    transform: impl Fn(usize, &mut [f64]) + Sync,
) -> Result<Array1<f64>> {
    ask(x, shift, kernel, 1, transform, |scored, i, out| out[0] = scored.log_sums[i]).map(Array1::from)
}

fn as_they_are(_: usize, _: &mut [f64]) {}

pub(super) fn responsibilities<F: Float>(
    x: &ArrayRef2<F>,
    shift: &[f64],
    kernel: &Kernel,
) -> Result<Array2<f64>> {
    let k = kernel.components;
    let all = ask(x, shift, kernel, k, as_they_are, |scored, i, out: &mut [f64]| {
        out.iter_mut().enumerate().for_each(|(c, out)| *out = scored.share(i, c));
    })?;
    Ok(Array2::from_shape_vec((x.nrows(), k), all).unwrap_or_default())
}

/// The component of greatest responsibility; on a tie the one of lower index.
pub(super) fn predict<F: Float>(x: &ArrayRef2<F>, shift: &[f64], kernel: &Kernel) -> Result<Array1<usize>> {
    ask(x, shift, kernel, 1, as_they_are, |scored, i, out: &mut [usize]| {
        for c in 1..kernel.components {
            if scored.share(i, c) > scored.share(i, out[0]) {
                out[0] = c;
            }
        }
    })
    .map(Array1::from)
}

/// n draws: a component by its weight, then μ + T⁻¹z with a standard normal z. Returns rows and components, or an
/// error when memory does not hold them.
pub(super) fn sample(
    n: usize,
    seed: Seed,
    weights: &[f64],
    means: &ArrayRef2<f64>,
    factor: &Factor,
) -> Result<(Array2<f64>, Array1<usize>)> {
    let d = means.ncols();
    validate::room("n", n, d + 1)?;
    let (mut uniform, mut normal) = (seed.named("components").rng(), seed.named("rows").rng());
    let mut rows = Array2::zeros((n, d));
    let total: f64 = weights.iter().sum();
    let components = Array1::from_shape_fn(n, |_| {
        let mut left = uniform.random::<f64>() * total;
        let drawn = weights.iter().position(|w| {
            left -= w;
            left < 0.0
        });
        // rounding may leave a little of the sum: it belongs to the last component that has a weight
        drawn.unwrap_or_else(|| weights.iter().rposition(|&w| w > 0.0).unwrap_or(0))
    });
    let mut z = vec![0.0; d];
    for (mut row, &c) in rows.rows_mut().into_iter().zip(&components) {
        z.iter_mut().for_each(|z| *z = normal.sample(StandardNormal));
        factor.unwhiten(c, &mut z);
        row.iter_mut().zip(means.row(c)).zip(&z).for_each(|((r, m), z)| *r = m + z);
    }
    Ok((rows, components))
}
