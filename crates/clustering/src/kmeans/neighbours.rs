//! The surroundings of each centroid: how far its nearest neighbour is, and who lies in its ball.

use super::movement::Movement;
use rayon::prelude::*;
use std::sync::OnceLock;
use unsup_core::math::{Candidates, Nearest, ROW_TILE};

/// What lies around a centroid.
pub(super) struct Surroundings<F> {
    /// the distance to the nearest other centroid, rounded down
    pub(super) apart: f64,
    /// the centroids within twice the reach of its rows, in their order, itself among them; empty when they are many
    pub(super) ball: Vec<u32>,
    /// the least distance of a centroid outside the ball, rounded down
    pub(super) outside: f64,
    packed: OnceLock<Candidates<F>>,
}

impl<F: Nearest> Surroundings<F> {
    /// The ball packed for the kernel, when first asked for.
    pub(super) fn packed(&self, centroids: &[F], d: usize) -> &Candidates<F> {
        self.packed.get_or_init(|| {
            let rows: Vec<F> = self.ball.iter().flat_map(|&c| &centroids[c as usize * d..][..d]).copied().collect();
            Candidates::pack(&rows, d)
        })
    }
}

/// The surroundings of all centroids. `reach`: how far a row of each cluster was from its centroid at most, in the pass
/// before; `[k]`, or empty when no balls are wanted.
pub(super) fn surroundings<F: Nearest>(
    centroids: &[F],
    candidates: &Candidates<F>,
    movement: &Movement<F>,
    reach: &[f64],
    d: usize,
) -> Vec<Surroundings<F>> {
    let (k, padded) = (candidates.len(), candidates.padded());
    let distance = |squared: F| (squared.f64() * (1.0 - (d + 4) as f64 * F::EPS)).max(0.0).sqrt() * (1.0 - 1e-15);
    let tiles = (0..k).into_par_iter().step_by(ROW_TILE).map_init(Vec::new, |squares, first| {
        let count = ROW_TILE.min(k - first);
        squares.resize(count * padded, F::zero());
        candidates.squared_distances(&centroids[first * d..(first + count) * d], squares);
        let around = |(t, squares): (usize, &[F])| {
            let c = first + t;
            let least = |from: &mut dyn Iterator<Item = usize>| {
                distance(from.map(|j| squares[j]).fold(F::infinity(), F::min))
            };
            let apart = least(&mut (0..c).chain(c + 1..k));
            let (mut ball, mut outside) = (Vec::new(), 0.0);
            if let Some(reach) = reach.get(c) {
                // a little wider than need be, so that rows at its edge are not in doubt
                let radius = F::of((2.2 * (reach + movement.steps[c])).powi(2));
                ball.extend((0..k as u32).filter(|&j| squares[j as usize] <= radius));
                if ball.len() > (k / 8).max(F::lanes()) {
                    ball.clear();
                }
                outside = least(&mut (0..k).filter(|&j| squares[j] > radius));
            }
            Surroundings { apart, ball, outside, packed: OnceLock::new() }
        };
        squares.chunks_exact(padded).enumerate().map(around).collect::<Vec<_>>()
    });
    tiles.collect::<Vec<_>>().into_iter().flatten().collect()
}
