//! What a chunk of rows contributes to the centroids, cluster by cluster.

use pulp::{Simd, WithSimd};
use std::ops::Range;
use unsup_core::math::Nearest;

/// The sums of one chunk. Those of a cluster are taken over its rows in their order, so that they have the
/// same bits whether all clusters are summed in one pass or a cluster is summed alone.
pub(super) struct Chunk {
    pub(super) rows: Range<usize>,
    /// Σ w·x of each cluster `[k, d]`
    pub(super) sums: Vec<f64>,
    /// Σ w of each cluster `[k]`
    pub(super) weights: Vec<f64>,
    /// Σ w‖x‖² over all rows, and whether the first pass has found it
    squares: f64,
    known: bool,
    /// Σ w(‖x‖² − ‖x − c‖²) over all rows
    explained: f64,
    /// how many rows have another label than before
    pub(super) changed: usize,
}

impl Chunk {
    pub(super) fn new(rows: Range<usize>, clusters: usize, d: usize) -> Self {
        Chunk {
            rows,
            sums: vec![0.0; clusters * d],
            weights: vec![0.0; clusters],
            squares: 0.0,
            known: false,
            explained: 0.0,
            changed: 0,
        }
    }

    /// Forgets all rows.
    pub(super) fn reset(&mut self) {
        self.sums.fill(0.0);
        self.weights.fill(0.0);
        self.changed = 0;
    }

    /// Forgets the rows of one cluster.
    pub(super) fn clear(&mut self, cluster: usize) {
        let d = self.sums.len() / self.weights.len();
        self.sums[cluster * d..(cluster + 1) * d].fill(0.0);
        self.weights[cluster] = 0.0;
    }

    /// Adds the rows of a tile to their clusters.
    pub(super) fn add<F: Nearest>(&mut self, tile: &[F], labels: &[u32], weight: impl Fn(usize) -> f64) {
        pulp::Arch::new().dispatch(Add { chunk: self, tile, labels, weight });
    }

    /// Ends a pass: finds what the centroids explain, Σ w(‖x‖² − ‖x − c‖²) = c·(2 Σ w·x − c Σ w) for each cluster, from
    /// the sums alone.
    pub(super) fn explain<F: Nearest>(&mut self, centroids: &[F]) {
        pulp::Arch::new().dispatch(Explain { chunk: self, centroids });
        self.known = true;
    }

    /// Σ w‖x‖² and Σ w‖x − c‖² over all rows.
    pub(super) fn inertia(&self) -> (f64, f64) {
        (self.squares, self.squares - self.explained)
    }
}

// What follows are plain loops, compiled for the instruction set at hand. Sums over rows are in `f64`, since they are long.

struct Add<'a, F, W> {
    chunk: &'a mut Chunk,
    tile: &'a [F],
    labels: &'a [u32],
    weight: W,
}

impl<F: Nearest, W: Fn(usize) -> f64> WithSimd for Add<'_, F, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Add { chunk, tile, labels, weight } = self;
        let d = tile.len() / labels.len().max(1);
        for (i, (row, &label)) in tile.chunks_exact(d.max(1)).zip(labels).enumerate() {
            let (weight, at) = (weight(i), label as usize * d);
            chunk.sums[at..at + d].iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x.f64());
            chunk.weights[label as usize] += weight;
            if !chunk.known {
                chunk.squares += weight * dot(row, row, |a, b| a.f64() * b.f64());
            }
        }
    }
}

struct Explain<'a, F> {
    chunk: &'a mut Chunk,
    centroids: &'a [F],
}

impl<F: Nearest> WithSimd for Explain<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Explain { chunk, centroids } = self;
        let d = (chunk.sums.len() / chunk.weights.len()).max(1);
        let clusters = chunk.sums.chunks_exact(d).zip(centroids.chunks_exact(d)).zip(&chunk.weights);
        chunk.explained = clusters
            .map(|((sum, centroid), weight)| {
                dot(sum, centroid, |s, c| c.f64() * (2.0 * s - weight * c.f64()))
            })
            .sum();
    }
}

/// Σ f(a, b) over the coordinates, in eight sums side by side: one would wait for each addition.
#[inline(always)]
fn dot<A: Copy, B: Copy>(a: &[A], b: &[B], f: impl Fn(A, B) -> f64) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for l in 0..8 {
            sums[l] += f(a[l], b[l]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a, b)).sum();
    sums.iter().sum::<f64>() + rest
}
