//! How far centroids are from each other.

use rayon::prelude::*;
use unsup_core::math::{Candidates, Nearest, ROW_TILE};

/// The surroundings of each centroid.
pub(super) struct Neighbours<F> {
    /// the distance to the nearest other centroid, rounded down `[k]`
    pub(super) apart: Vec<f64>,
    _f: std::marker::PhantomData<F>,
}

impl<F: Nearest> Neighbours<F> {
    pub(super) fn of(centroids: &[F], candidates: &Candidates<F>, d: usize) -> Self {
        let (k, padded) = (candidates.len(), candidates.padded());
        let mut apart = vec![0.0; k];
        apart.par_chunks_mut(ROW_TILE).enumerate().for_each_init(Vec::new, |squares, (t, apart)| {
            squares.resize(apart.len() * padded, F::zero());
            let first = t * ROW_TILE;
            candidates.squared_distances(&centroids[first * d..(first + apart.len()) * d], squares);
            for (c, (apart, squares)) in apart.iter_mut().zip(squares.chunks_exact(padded)).enumerate() {
                let others = squares[..k].iter().enumerate().filter(|&(j, _)| j != first + c);
                let least = others.fold(F::infinity(), |least, (_, &s)| least.min(s)).f64();
                *apart = (least * (1.0 - (d + 4) as f64 * F::EPS)).sqrt() * (1.0 - 1e-15);
            }
        });
        Neighbours { apart, _f: std::marker::PhantomData }
    }
}
