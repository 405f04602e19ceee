//! The fixed point of the mean field under parameters that stay.
//!
//! Most of an image is settled after a few sweeps, while here and there a border still moves by a site a sweep, for hundreds of
//! them in a noisy volume. A block is updated only when the blocks that it borders on have moved since its last update, so
//! that late sweeps cost what still moves.

use super::field::{Field, Half};
use super::image::Image;
use super::update::{Potts, Update};
use rayon::prelude::*;
use std::ops::Range;
use unsup_core::Float;
use unsup_core::math::ROW_TILE;

/// Sites of a block: part of a tile, of which every size is a multiple. The smaller, the fewer wait for one that still moves.
const BLOCK: usize = ROW_TILE;
/// A block is settled when the responsibilities around it have moved by no more than this since its last update.
const SETTLED: f64 = 1e-4;
const MOST_SWEEPS: usize = 1000;

/// The blocks of one colour.
struct Blocks {
    /// how far the responsibilities of each have moved so far: the sum of the greatest changes
    moved: Vec<f64>,
    /// that of the blocks around it at its last update
    seen: Vec<f64>,
    /// the blocks of the other colour that it borders on
    around: Vec<Vec<u32>>,
}

impl Blocks {
    /// `first`: the row of the table of responsibilities that the other colour begins with.
    fn new<F: Float>(image: &Image<F>, sites: Range<usize>, first: usize) -> Self {
        let around: Vec<Vec<u32>> = image.neighbours[sites]
            .par_chunks(BLOCK)
            .map(|block| {
                let rows = block.iter().flatten().map(|&row| row as usize).filter(|&row| row != image.even);
                let mut blocks: Vec<u32> = rows.map(|row| ((row - first) / BLOCK) as u32).collect();
                blocks.sort_unstable();
                blocks.dedup();
                blocks
            })
            .collect();
        Blocks { moved: vec![0.0; around.len()], seen: vec![f64::NEG_INFINITY; around.len()], around }
    }

    /// Updates the blocks that are not settled. Returns whether there were any.
    fn update<F: Float>(&mut self, half: Half<'_, F>, potts: &Potts<'_>, k: usize, others: &[f64]) -> bool {
        let Half { sites, mine, around } = half;
        let blocks = self.moved.par_iter_mut().zip(&mut self.seen).zip(&self.around).enumerate();
        mine.par_chunks_mut(BLOCK * k)
            .zip(blocks)
            .map_init(
                || Update::new(potts),
                |update, (mine, (block, ((moved, seen), borders)))| {
                    let now: f64 = borders.iter().map(|&b| others[b as usize]).sum();
                    let awake = now - *seen > SETTLED;
                    if awake {
                        *seen = now;
                        *moved += update.tile(around, sites.start + block * BLOCK, mine);
                    }
                    awake
                },
            )
            .reduce(|| false, |a, b| a | b)
    }
}

impl<F: Float> Field<'_, F> {
    /// Sweeps until every block is settled.
    pub(super) fn settle(&mut self, potts: &Potts<'_>) {
        let (k, n, even) = (self.k, self.image.rows().nrows(), self.image.even);
        let mut evens = Blocks::new(self.image, 0..even, even + 1);
        let mut odds = Blocks::new(self.image, even..n, 0);
        for _ in 0..MOST_SWEEPS {
            let moving = evens.update(self.evens(), potts, k, &odds.moved);
            if !odds.update(self.odds(), potts, k, &evens.moved) && !moving {
                break;
            }
        }
    }
}
