//! k-means‖: candidates drawn many at a time, then k-means++ among them.
//!
//! A round draws every row with probability min(1, ℓ·w·D²/φ), where D is its distance from the candidates so far,
//! φ = Σ w·D² and ℓ = oversampling × k. After the last round each candidate weighs what the rows nearest to
//! it weigh, and greedy k-means++ chooses k of them (Bahmani et al., *Scalable k-means++*, VLDB 2012, algorithm 2).
//!
//! Cost: n·d·ℓ multiply-adds a round, in one pass over the data; then k-means++ on about rounds × ℓ rows.

use super::init::random_rows;
use super::seeding::{greedy_trials, seeds};
use ndarray::{ArrayRef2, Axis};
use rand::RngExt;
use rayon::prelude::*;
use unsup_core::Seed;
use unsup_core::math::{Candidates, Nearest, ROW_TILE, centred_rows, centred_tile, squared_distance};

/// Rows that one stream of random numbers serves.
const BLOCK: usize = 64 * ROW_TILE;

/// What is known of a row: the position of its nearest candidate and the squared distance from it.
#[derive(Clone, Copy)]
struct Found {
    candidate: u32,
    squared: f64,
}

pub(super) fn parallel_seeds<F: Nearest>(
    x: &ArrayRef2<F>,
    weights: Option<&[f64]>,
    shift: &[F],
    k: usize,
    rounds: usize,
    oversampling: f64,
    seed: Seed,
) -> Vec<usize> {
    let n = x.nrows();
    let weight = |row: usize| weights.map_or(1.0, |w| w[row]);
    let mut found = vec![Found { candidate: 0, squared: f64::INFINITY }; n];
    let mut chosen = random_rows(n, weights, 1, seed.named("k-means‖"));
    confront(x, shift, &chosen, 0, &mut found);
    for round in 0..rounds {
        let mass = |(row, found): (usize, &Found)| weight(row) * found.squared;
        let potential: f64 = found.iter().enumerate().map(mass).sum();
        if potential <= 0.0 {
            break;
        }
        let scale = oversampling * k as f64 / potential;
        let drawn: Vec<Vec<usize>> = found
            .par_chunks(BLOCK)
            .enumerate()
            .map(|(block, found)| {
                let mut rng = seed.named("k-means‖ rounds").indexed(round).indexed(block).rng();
                let rows = (block * BLOCK..).zip(found);
                rows.filter(|&(row, found)| rng.random::<f64>() < scale * mass((row, found)))
                    .map(|(row, _)| row)
                    .collect()
            })
            .collect();
        let first = chosen.len();
        chosen.extend(drawn.into_iter().flatten());
        confront(x, shift, &chosen[first..], first, &mut found);
    }
    let mut masses = vec![0.0; chosen.len()];
    found.iter().enumerate().for_each(|(row, found)| masses[found.candidate as usize] += weight(row));
    let mut rows: Vec<usize> = if chosen.len() > k {
        let candidates = x.select(Axis(0), &chosen);
        let kept =
            seeds(&candidates, Some(&masses), k, greedy_trials(k), seed.named("k-means‖ among candidates"));
        kept.into_iter().map(|c| chosen[c]).collect()
    } else {
        chosen
    };
    // too few candidates, since rows repeat or luck had it so: other rows fill up
    if rows.len() < k {
        let others = random_rows(n, weights, n, seed.named("k-means‖ others"));
        let missing = k - rows.len();
        let others: Vec<usize> = others.into_iter().filter(|row| !rows.contains(row)).take(missing).collect();
        rows.extend(others);
    }
    rows
}

/// Lets each row look for a nearer candidate among `fresh` ones, of which the first has position `first`.
fn confront<F: Nearest>(x: &ArrayRef2<F>, shift: &[F], fresh: &[usize], first: usize, found: &mut [Found]) {
    if fresh.is_empty() {
        return;
    }
    let d = shift.len();
    let mut coordinates = Vec::new();
    centred_rows(x, fresh.iter().copied(), shift, &mut coordinates);
    let candidates = Candidates::pack(&coordinates, d);
    found.par_chunks_mut(ROW_TILE).enumerate().for_each_init(
        || (Vec::new(), [0; ROW_TILE]),
        |(tile, nearest), (t, found)| {
            centred_tile(x, t * ROW_TILE..t * ROW_TILE + found.len(), shift, tile);
            candidates.nearest(tile, &mut nearest[..found.len()]);
            for ((found, row), &c) in found.iter_mut().zip(tile.chunks_exact(d)).zip(&*nearest) {
                let squared = squared_distance(row, &coordinates[c as usize * d..][..d]).f64();
                if squared < found.squared {
                    *found = Found { candidate: first as u32 + c, squared };
                }
            }
        },
    );
}
