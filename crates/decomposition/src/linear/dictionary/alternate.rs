//! The two turns of dictionary learning: codes for the atoms, atoms for the codes.

use super::coder::{Room, gram};
use crate::linear::subspace::{Shifted, leading_svd};
use ndarray::{Array2, ArrayRef2, s};
use rand::RngExt;
use rayon::prelude::*;
use std::ops::ControlFlow;
use unsup_core::math::{Mat, ROW_TILE, chunks, multiply, sum_in_order};
use unsup_core::{Float, Result, Seed};

/// What the atoms' turn needs of rows and codes.
pub(super) struct Sums {
    /// ZᵀZ, `[k, k]`
    pub(super) a: Array2<f64>,
    /// ZᵀX, `[k, d]`
    pub(super) b: Array2<f64>,
    /// Σ‖x‖²
    squares: f64,
    /// Σ‖z‖₁
    norm: f64,
}

impl Sums {
    /// Σ ½‖x − zD‖² + α‖z‖₁ for these codes and any atoms.
    pub(super) fn objective(&self, atoms: &Array2<f64>, alpha: f64) -> f64 {
        let quadratic = (&self.a * &atoms.dot(&atoms.t())).sum();
        (0.5 * (self.squares - 2.0 * (&self.b * atoms).sum() + quadratic)).max(0.0) + alpha * self.norm
    }
}

/// The codes' turn: the lasso of each row, from where its code is, and the sums of rows and codes while they are in the cache.
/// x: `[n, d]`, z: `[n, k]`, row-major; atoms: `[k, d]`.
pub(super) fn codes_turn<F: Float>(
    x: &Array2<F>,
    z: &mut Array2<F>,
    atoms: &Array2<f64>,
    alpha: f64,
) -> Sums {
    let ((n, d), k) = (x.dim(), atoms.nrows());
    let in_type = atoms.mapv(F::of);
    let gram = gram(&in_type);
    let (gram, in_type) = (gram.as_slice().unwrap_or_default(), in_type.as_slice().unwrap_or_default());
    let x = x.as_slice().unwrap_or_default();
    let groups = chunks(n, (n / (10 * k.max(1))).clamp(8, 32));
    let size = groups.first().map_or(1, |rows| rows.len().max(1));
    // ZᵀX, ZᵀZ, Σ‖x‖² and Σ‖z‖₁, one after the other
    let parts: Vec<Vec<f64>> = groups
        .into_par_iter()
        .zip(z.as_slice_mut().unwrap_or_default().par_chunks_mut(size * k))
        .map(|(range, z)| {
            let (mut room, mut correlations) = (Room::default(), Vec::new());
            let (mut part, mut total) = (vec![F::zero(); k * (d + k)], vec![0.0; k * (d + k) + 2]);
            for (start, z) in range.clone().step_by(ROW_TILE).zip(z.chunks_mut(ROW_TILE * k)) {
                let rows = z.len() / k;
                let values = &x[start * d..(start + rows) * d];
                let tile = Mat::new(values, rows, d);
                correlations.resize(rows * k, F::zero());
                multiply(&mut correlations, k, false, tile, Mat::new(in_type, k, d).t());
                for ((row, code), c) in
                    values.chunks_exact(d).zip(z.chunks_exact_mut(k)).zip(correlations.chunks_exact(k))
                {
                    room.correlations.clear();
                    room.correlations.extend(c.iter().map(|c| c.f64()));
                    room.z.clear();
                    room.z.extend(code.iter().map(|z| z.f64()));
                    let squares = row.iter().map(|v| v.f64().powi(2)).sum::<f64>();
                    room.solve(gram, squares, alpha);
                    code.iter_mut().zip(&room.z).for_each(|(code, &z)| *code = F::of(z));
                    total[k * (d + k)] += squares;
                    total[k * (d + k) + 1] += code.iter().map(|z| z.f64().abs()).sum::<f64>();
                }
                let codes = Mat::new(z, rows, k);
                multiply(&mut part[..k * d], d, false, codes.t(), tile);
                multiply(&mut part[k * d..], k, false, codes.t(), codes);
                total.iter_mut().zip(&part).for_each(|(t, p)| *t += p.f64());
            }
            total
        })
        .collect();
    let total = sum_in_order(parts.iter().map(Vec::as_slice));
    Sums {
        b: Array2::from_shape_vec((k, d), total[..k * d].to_vec()).unwrap_or_default(),
        a: Array2::from_shape_vec((k, k), total[k * d..k * (d + k)].to_vec()).unwrap_or_default(),
        squares: total[k * (d + k)],
        norm: total[k * (d + k) + 1],
    }
}

/// The atoms' turn (Mairal et al. 2009, algorithm 2): each atom in turn to its minimum within the unit ball. An atom that codes
/// nothing is replaced by a row of x, brought to length 1, which changes no reconstruction.
pub(super) fn atoms_turn<F: Float>(
    atoms: &mut Array2<f64>,
    a: &Array2<f64>,
    b: &Array2<f64>,
    x: &ArrayRef2<F>,
    seed: Seed,
) {
    for t in 0..atoms.nrows() {
        let weight = a[[t, t]];
        if weight > 0.0 {
            let step = (&b.row(t) - &a.row(t).dot(atoms)) / weight;
            let mut atom = atoms.row_mut(t);
            atom += &step;
            let length = atom.dot(&atom).sqrt();
            if length > 1.0 {
                atom /= length;
            }
        } else {
            let row = x.row(seed.indexed(t).rng().random_range(0..x.nrows())).mapv(F::f64);
            let length = row.dot(&row).sqrt();
            if length > 0.0 {
                atoms.row_mut(t).assign(&(&row / length));
            }
        }
    }
}

/// The atoms to start from, of length 1: right singular vectors, and rows drawn at random where there are more atoms than those.
pub(super) fn first_atoms<F: Float>(x: &Array2<F>, k: usize, seed: Seed) -> Result<Array2<f64>> {
    let (n, d) = x.dim();
    let known = k.min(n).min(d);
    let operator = Shifted { x, shift: vec![F::zero(); d] };
    let silent = |_, _| ControlFlow::Continue(());
    let vt = leading_svd(&operator, known, 10, 7, seed.named("singular vectors"), silent)?.vt;
    let mut atoms = Array2::zeros((k, d));
    atoms.slice_mut(s![..known, ..]).assign(&vt);
    let order = seed.named("rows").permutation(n);
    for (t, &row) in (known..k).zip(order.iter().cycle()) {
        let row = x.row(row).mapv(F::f64);
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            atoms.row_mut(t).assign(&(&row / length));
        }
    }
    Ok(atoms)
}
