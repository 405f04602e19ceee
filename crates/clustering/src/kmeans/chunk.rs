//! What a chunk of rows contributes to the centroids, cluster by cluster.

use pulp::{Simd, WithSimd};
use std::ops::Range;
use unsup_core::math::{Nearest, squared_distance};

/// The sums of one chunk. Those of a cluster are taken over its rows in their order, so that they have the
/// same bits whether all clusters are summed in one pass or a cluster is summed alone.
pub(super) struct Chunk {
    pub(super) rows: Range<usize>,
    /// Σ w·x of each cluster `[k, d]`
    pub(super) sums: Vec<f64>,
    /// Σ w of each cluster `[k]`
    pub(super) weights: Vec<f64>,
    /// Σ w‖x − c‖² of each cluster `[k]`
    pub(super) inertia: Vec<f64>,
    /// how many rows have another label than before
    pub(super) changed: usize,
}

impl Chunk {
    pub(super) fn new(rows: Range<usize>, clusters: usize, d: usize) -> Self {
        Chunk {
            rows,
            sums: vec![0.0; clusters * d],
            weights: vec![0.0; clusters],
            inertia: vec![0.0; clusters],
            changed: 0,
        }
    }

    /// Forgets all rows.
    pub(super) fn reset(&mut self) {
        self.sums.fill(0.0);
        self.weights.fill(0.0);
        self.inertia.fill(0.0);
        self.changed = 0;
    }

    /// Forgets the rows of one cluster.
    pub(super) fn clear(&mut self, cluster: usize) {
        let d = self.sums.len() / self.weights.len();
        self.sums[cluster * d..(cluster + 1) * d].fill(0.0);
        (self.weights[cluster], self.inertia[cluster]) = (0.0, 0.0);
    }

    /// Adds the rows of a tile to their clusters.
    pub(super) fn add<F: Nearest>(
        &mut self,
        tile: &[F],
        labels: &[u32],
        weight: impl Fn(usize) -> f64,
        centroids: &[F],
    ) {
        pulp::Arch::new().dispatch(Add { chunk: self, tile, labels, weight, centroids });
    }
}

struct Add<'a, F, W> {
    chunk: &'a mut Chunk,
    tile: &'a [F],
    labels: &'a [u32],
    weight: W,
    centroids: &'a [F],
}

impl<F: Nearest, W: Fn(usize) -> f64> WithSimd for Add<'_, F, W> {
    type Output = ();

    /// Plain loops, compiled for the instruction set at hand. Sums over rows are in `f64`, since they are
    /// long.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Add { chunk, tile, labels, weight, centroids } = self;
        let d = tile.len() / labels.len().max(1);
        for (i, (row, &label)) in tile.chunks_exact(d.max(1)).zip(labels).enumerate() {
            let (weight, at) = (weight(i), label as usize * d);
            chunk.sums[at..at + d].iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x.f64());
            chunk.inertia[label as usize] += weight * squared_distance(row, &centroids[at..at + d]).f64();
            chunk.weights[label as usize] += weight;
        }
    }
}
