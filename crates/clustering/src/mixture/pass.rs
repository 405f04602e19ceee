//! One pass over the rows: responsibilities, and the sums that the next parameters are made of.
//!
//! A tile of rows is scored, normalised by log-sum-exp and added to the sums while it is in the cache, so that neither the n × k
//! responsibilities nor a centred copy of the data exist. Sums are taken about a reference near the result (the component's last
//! mean): far from it the difference of two large numbers would drown a covariance.

use super::covariance::Covariance;
use super::kernel::Kernel;
use super::normalize::normalize;
use super::tile::Tile;
use ndarray::ArrayRef2;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;
use unsup_core::Float;
use unsup_core::math::{Mat, chunks, multiply, sum_in_order};

/// A smaller responsibility is left out of the sums: 10¹² rows of it do not change the last bit of the count of a component that
/// has one row.
const NEGLIGIBLE: f64 = 1e-30;

/// The rows of a fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a, F> {
    pub(super) x: &'a ArrayRef2<F>,
    pub(super) weights: Option<&'a [f64]>,
    pub(super) shift: &'a [f64],
}

/// Which component a row belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Assignment<'a> {
    /// By the responsibilities under these densities.
    Posterior(&'a Kernel),
    /// As given.
    Labels(&'a [usize]),
}

/// What a pass found.
#[derive(Debug, Clone)]
pub(super) struct Statistics {
    /// Σ w·log Σₖ of the densities; 0 for labels
    pub(super) log_likelihood: f64,
    /// Σ w·r of each component `[k]`
    pub(super) counts: Vec<f64>,
    /// Σ w·r·(x − reference) `[k, d]`
    pub(super) sums: Vec<f64>,
    /// Σ w·r·(x − reference)(x − reference)ᵀ, or its diagonal, as the family stores its covariances; for the spherical `[k, d]`
    pub(super) squares: Vec<f64>,
}

impl Statistics {
    /// The totals of all chunks, added up in their order.
    pub(super) fn sum<'a>(totals: impl Iterator<Item = &'a [f64]>, k: usize, d: usize) -> Self {
        let total = sum_in_order(totals);
        let (counts, rest) = total[1..].split_at(k);
        let (sums, squares) = rest.split_at(k * d);
        Statistics {
            log_likelihood: total[0],
            counts: counts.to_vec(),
            sums: sums.to_vec(),
            squares: squares.to_vec(),
        }
    }
}

/// The family whose layout the squares have.
pub(super) fn layout(family: Covariance) -> Covariance {
    if family == Covariance::Spherical { Covariance::Diagonal } else { family }
}

/// The ranges of n rows that are summed apart. Their sums together stay a fraction of the data, yet there are chunks enough for
/// many threads. A function of the shape alone: see [`chunks`].
pub(super) fn ranges(n: usize, k: usize, d: usize, family: Covariance) -> Vec<Range<usize>> {
    chunks(n, (n * d / (10 * (k * d + layout(family).len(k, d)))).clamp(4, 64))
}

impl<F: Float> Rows<'_, F> {
    /// The statistics of all rows about `reference`, `[k, d]`.
    pub(super) fn pass(
        &self,
        assignment: Assignment<'_>,
        family: Covariance,
        reference: &[f64],
    ) -> Statistics {
        let (n, d) = self.x.dim();
        let k = reference.len() / d;
        let parts: Vec<Vec<f64>> = ranges(n, k, d, family)
            .into_par_iter()
            .map_init(
                || Chunk::new(k, d, family, reference),
                |chunk, range| chunk.run(self, range, assignment),
            )
            .collect();
        Statistics::sum(parts.iter().map(Vec::as_slice), k, d)
    }

    /// Σ w.
    pub(super) fn total_weight(&self) -> f64 {
        self.weights.map_or(self.x.nrows() as f64, |w| w.iter().sum())
    }
}

/// The buffers of one chunk.
pub(super) struct Chunk<'a> {
    family: Covariance,
    reference: &'a [f64],
    k: usize,
    d: usize,
    pub(super) tile: Tile,
    whitened: Vec<f64>,
    /// of the tile, component by component `[k, stride]`; scores until they are normalised
    pub(super) responsibilities: Vec<f64>,
    /// log Σₖ of each row of the tile
    pub(super) log_sums: Vec<f64>,
    /// the rows of a tile that one component has a share of, about its reference, and the same times that share
    near: Vec<f64>,
    shared: Vec<f64>,
    /// which they are, and that share
    members: Vec<(usize, f64)>,
    /// log-likelihood, counts, sums, squares
    pub(super) total: Vec<f64>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(k: usize, d: usize, family: Covariance, reference: &'a [f64]) -> Self {
        let tile = Tile::new(d);
        let (room, stride) = (tile.room(), tile.stride());
        Chunk {
            family,
            reference,
            k,
            d,
            whitened: Vec::new(),
            responsibilities: vec![0.0; k * stride],
            log_sums: vec![0.0; stride],
            near: vec![0.0; room * d],
            shared: vec![0.0; room * d],
            members: vec![(0, 0.0); room],
            total: vec![0.0; 1 + k + k * d + layout(family).len(k, d)],
            tile,
        }
    }

    /// The totals of a range of rows.
    fn run<F: Float>(
        &mut self,
        rows: &Rows<'_, F>,
        range: Range<usize>,
        assignment: Assignment<'_>,
    ) -> Vec<f64> {
        self.total.fill(0.0);
        let (room, stride) = (self.tile.room(), self.tile.stride());
        for start in range.clone().step_by(room) {
            let range = start..range.end.min(start + room);
            let weights = rows.weights.map(|w| &w[range.clone()]);
            self.tile.load(rows.x, range.clone(), rows.shift);
            match assignment {
                Assignment::Posterior(kernel) => {
                    self.score(kernel);
                    self.normalize();
                    let log_sums = self.log_sums.iter().take(self.tile.count());
                    self.total[0] += match weights {
                        None => log_sums.sum::<f64>(),
                        // 0 times a distance that overflows is no number
                        Some(weights) => {
                            log_sums.zip(weights).filter(|(_, w)| **w > 0.0).map(|(l, w)| l * w).sum()
                        }
                    };
                }
                Assignment::Labels(labels) => {
                    self.responsibilities.fill(0.0);
                    labels[range]
                        .iter()
                        .enumerate()
                        .for_each(|(i, c)| self.responsibilities[c * stride + i] = 1.0);
                }
            }
            self.accumulate(weights);
        }
        self.total.clone()
    }

    /// The scores of the tile.
    pub(super) fn score(&mut self, kernel: &Kernel) {
        kernel.scores(&self.tile, &mut self.whitened, &mut self.responsibilities);
    }

    /// Scores to responsibilities.
    pub(super) fn normalize(&mut self) {
        let log_sums = &mut self.log_sums[..self.tile.padded()];
        normalize(&mut self.responsibilities, self.tile.stride(), log_sums);
    }

    /// Adds the tile to the sums.
    pub(super) fn accumulate(&mut self, weights: Option<&[f64]>) {
        (0..self.k).for_each(|c| self.accumulate_component(c, weights));
    }

    /// Adds the rows of the tile that component c has a share of.
    fn accumulate_component(&mut self, c: usize, weights: Option<&[f64]>) {
        let (k, d, stride) = (self.k, self.d, self.tile.stride());
        let (counts, rest) = self.total[1..].split_at_mut(k);
        let (sums, squares) = rest.split_at_mut(k * d);
        let squares = &mut squares[layout(self.family).range(c, d)];
        let matrix = matches!(self.family, Covariance::Full | Covariance::Tied);
        let m = Arch::new().dispatch(Gather {
            tile: &self.tile,
            responsibilities: &self.responsibilities[c * stride..],
            weights,
            reference: &self.reference[c * d..][..d],
            near: &mut self.near,
            shared: &mut self.shared,
            members: &mut self.members,
            count: &mut counts[c],
            sums: &mut sums[c * d..][..d],
            squares: if matrix { None } else { Some(&mut *squares) },
        });
        if matrix && m > 0 {
            multiply(squares, d, true, Mat::new(&self.near, m, d).t(), Mat::new(&self.shared, m, d));
        }
    }
}

struct Gather<'a> {
    tile: &'a Tile,
    responsibilities: &'a [f64],
    weights: Option<&'a [f64]>,
    reference: &'a [f64],
    near: &'a mut [f64],
    shared: &'a mut [f64],
    members: &'a mut [(usize, f64)],
    count: &'a mut f64,
    sums: &'a mut [f64],
    squares: Option<&'a mut [f64]>,
}

impl WithSimd for Gather<'_> {
    type Output = usize;

    /// Returns how many rows lie in `near` and `shared`: none when the squares are added up here.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let Gather {
            tile,
            responsibilities,
            weights,
            reference,
            near,
            shared,
            members,
            count,
            sums,
            squares,
        } = self;
        let mut found = 0;
        // found without branches, which would be mispredicted once a row
        for (i, &share) in responsibilities[..tile.count()].iter().enumerate() {
            let weighted = share * weights.map_or(1.0, |w| w[i]);
            members[found] = (i, weighted);
            found += usize::from((share >= NEGLIGIBLE) & (weighted > 0.0));
        }
        let members = &members[..found];
        *count = members.iter().fold(*count, |count, (_, share)| count + share);
        if let Some(squares) = squares {
            let registers = reference.len().div_ceil(S::F64_LANES);
            for first in (0..registers).step_by(4) {
                match registers - first {
                    1 => moments::<S, 1>(simd, tile, first, members, reference, sums, squares),
                    2 => moments::<S, 2>(simd, tile, first, members, reference, sums, squares),
                    3 => moments::<S, 3>(simd, tile, first, members, reference, sums, squares),
                    _ => moments::<S, 4>(simd, tile, first, members, reference, sums, squares),
                }
            }
            return 0;
        }
        // plain loops, each of which writes one array: with more, compilers give up on registers
        let d = reference.len();
        let (sums, near, shared) = (&mut sums[..d], near.chunks_exact_mut(d), shared.chunks_exact_mut(d));
        for (&(i, share), (near, shared)) in members.iter().zip(near.zip(shared)) {
            near.iter_mut().zip(tile.row(i).iter().zip(reference)).for_each(|(n, (x, r))| *n = x - r);
            shared.iter_mut().zip(&*near).for_each(|(s, n)| *s = share * n);
            sums.iter_mut().zip(&*shared).for_each(|(sum, s)| *sum += s);
        }
        members.len()
    }
}

/// Adds Σ share·(x − reference) and Σ share·(x − reference)² over the members, for N registers of columns from register `first` on,
/// which hold both sums meanwhile.
#[inline(always)]
fn moments<S: Simd, const N: usize>(
    simd: S,
    tile: &Tile,
    first: usize,
    members: &[(usize, f64)],
    reference: &[f64],
    sums: &mut [f64],
    squares: &mut [f64],
) {
    let lanes = S::F64_LANES;
    let columns = |b: usize| (first + b) * lanes..reference.len().min((first + b + 1) * lanes);
    let load = |values: &[f64]| -> [S::f64s; N] {
        std::array::from_fn(|b| simd.partial_load_f64s(&values[columns(b)]))
    };
    let origin = load(reference);
    let (mut sum, mut square) = (load(sums), load(squares));
    for &(i, share) in members {
        let (row, _) = S::as_simd_f64s(tile.row(i));
        let share = simd.splat_f64s(share);
        for (b, &x) in row[first..][..N].iter().enumerate() {
            let step = simd.sub_f64s(x, origin[b]);
            let shared = simd.mul_f64s(share, step);
            sum[b] = simd.add_f64s(sum[b], shared);
            square[b] = simd.mul_add_f64s(shared, step, square[b]);
        }
    }
    for b in 0..N {
        simd.partial_store_f64s(&mut sums[columns(b)], sum[b]);
        simd.partial_store_f64s(&mut squares[columns(b)], square[b]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use unsup_core::Seed;

    /// Widths of one to five registers, whole and not, on any machine.
    #[test]
    fn sums_are_those_of_the_formula_for_every_width() {
        let (n, k) = (700, 3);
        for d in 1..=40 {
            let x = Array2::from_shape_vec((n, d), Seed::new(d as u64).normals(n * d)).unwrap_or_default();
            let labels: Vec<usize> = (0..n).map(|i| i * i % k).collect();
            let weights: Vec<f64> = (0..n).map(|i| (i % 5) as f64).collect();
            let reference = Seed::new(7).normals(k * d);
            let shift = vec![0.25; d];
            let rows = Rows { x: &x, weights: Some(&weights), shift: &shift };
            let found = rows.pass(Assignment::Labels(&labels), Covariance::Diagonal, &reference);
            let of = |c: usize, j: usize, power: i32| -> f64 {
                let members = (0..n).filter(|&i| labels[i] == c);
                members.map(|i| weights[i] * (x[[i, j]] - 0.25 - reference[c * d + j]).powi(power)).sum()
            };
            for c in 0..k {
                assert_eq!(found.counts[c], of(c, 0, 0));
                for j in 0..d {
                    let (sum, square) = (found.sums[c * d + j], found.squares[c * d + j]);
                    assert!((sum - of(c, j, 1)).abs() < 1e-9, "d = {d}: {sum}");
                    assert!((square - of(c, j, 2)).abs() < 1e-9, "d = {d}: {square}");
                }
            }
        }
    }
}
