//! The fixed point of the mean field under parameters that stay.
//!
//! Most of an image is settled after a few sweeps, while here and there a border still moves by a site a sweep. A tile is
//! updated only when the tiles that it borders on have moved since its last update, so that late sweeps cost what still moves.

use super::field::{Field, Half};
use super::image::Image;
use super::update::{Potts, Update};
use crate::mixture::tile::Tile;
use rayon::prelude::*;
use std::ops::Range;
use unsup_core::Float;

/// A tile is settled when the responsibilities around it have moved by no more than this since its last update.
const SETTLED: f64 = 1e-4;
const MOST_SWEEPS: usize = 1000;

/// The tiles of one colour.
struct Tiles {
    /// how far the responsibilities of each have moved so far: the sum of the greatest changes
    moved: Vec<f64>,
    /// that of the tiles around it at its last update
    seen: Vec<f64>,
    /// the tiles of the other colour that it borders on
    around: Vec<Vec<u32>>,
}

impl Tiles {
    /// `first`: the row of the table of responsibilities that the other colour begins with.
    fn new<F: Float>(image: &Image<F>, sites: Range<usize>, first: usize, stride: usize) -> Self {
        let around: Vec<Vec<u32>> = image.neighbours[sites]
            .par_chunks(stride)
            .map(|tile| {
                let rows = tile.iter().flatten().map(|&row| row as usize).filter(|&row| row != image.even);
                let mut tiles: Vec<u32> = rows.map(|row| ((row - first) / stride) as u32).collect();
                tiles.sort_unstable();
                tiles.dedup();
                tiles
            })
            .collect();
        Tiles { moved: vec![0.0; around.len()], seen: vec![f64::NEG_INFINITY; around.len()], around }
    }

    /// Updates the tiles that are not settled. Returns whether there were any.
    fn update<F: Float>(&mut self, half: Half<'_, F>, potts: &Potts<'_>, k: usize, others: &[f64]) -> bool {
        let Half { sites, mine, around } = half;
        let stride = Tile::new(around.shift.len()).stride();
        let tiles = self.moved.par_iter_mut().zip(&mut self.seen).zip(&self.around).enumerate();
        mine.par_chunks_mut(stride * k)
            .zip(tiles)
            .map_init(
                || Update::new(potts),
                |update, (mine, (tile, ((moved, seen), borders)))| {
                    let now: f64 = borders.iter().map(|&t| others[t as usize]).sum();
                    let awake = now - *seen > SETTLED;
                    if awake {
                        *seen = now;
                        *moved += update.tile(around, sites.start + tile * stride, mine);
                    }
                    awake
                },
            )
            .reduce(|| false, |a, b| a | b)
    }
}

impl<F: Float> Field<'_, F> {
    /// Sweeps until every tile is settled.
    pub(super) fn settle(&mut self, potts: &Potts<'_>) {
        let (k, n, even) = (self.k, self.image.rows().nrows(), self.image.even);
        let stride = Tile::new(self.shift.len()).stride();
        let mut evens = Tiles::new(self.image, 0..even, even + 1, stride);
        let mut odds = Tiles::new(self.image, even..n, 0, stride);
        for _ in 0..MOST_SWEEPS {
            let moving = evens.update(self.evens(), potts, k, &odds.moved);
            if !odds.update(self.odds(), potts, k, &evens.moved) && !moving {
                break;
            }
        }
    }
}
