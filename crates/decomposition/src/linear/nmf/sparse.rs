//! Sparse tables: what is stored is visited, and the factors answer for the zeros.
//!
//! The Frobenius loss needs of X only XHᵀ and XᵀW; Kullback–Leibler needs (X ⊘ WH)Hᵀ, where X is zero and its ratio
//! too, and sums of the factors. Both divergences are sums over what is stored, and over WH as a whole:
//! ½‖WH‖² = ½⟨WᵀW, HHᵀ⟩ and ΣWH = Σₜ (Σᵢ wᵢₜ)(Σⱼ hₜⱼ).

use super::descent::{self, Block, Pass, Penalty, turn};
use super::loss::Loss;
use super::multiplicative::{Parts, step};
use super::table::Table;
use super::tiles::floor;
use crate::linear::subspace::{Corrected, Operator};
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;
use unsup_core::Float;
use unsup_core::data::Sparse;
use unsup_core::math::sum_in_order;

/// Rows that one task takes, and whose problems are solved side by side.
const ROWS: usize = 64;

/// A table, and its transpose for the components' turn.
pub(super) struct SparseTable<'a, F> {
    x: &'a Sparse<F>,
    transposed: Sparse<F>,
}

impl<'a, F: Float> SparseTable<'a, F> {
    pub(super) fn new(x: &'a Sparse<F>) -> Self {
        SparseTable { x, transposed: x.transpose() }
    }

    /// Σ over the stored values of `term(x, wh)`, row by row in a fixed order.
    fn sum(&self, w: &Array2<f64>, h: &Array2<f64>, term: impl Fn(f64, f64) -> f64 + Sync) -> f64 {
        let (w, h) = (rows(w), rows(h));
        let of_row = |i: usize| -> f64 { self.x.row(i).map(|(j, v)| term(v.f64(), dot(w(i), h(j)))).sum() };
        let sums: Vec<f64> = (0..self.x.dim().0).into_par_iter().with_min_len(ROWS).map(of_row).collect();
        sums.iter().sum()
    }
}

impl<F: Float> Table<F> for SparseTable<'_, F> {
    fn dim(&self) -> (usize, usize) {
        self.x.dim()
    }

    fn mean(&self) -> f64 {
        let (n, d) = self.dim();
        stored(self.x).sum::<f64>() / n as f64 / d as f64
    }

    fn squares(&self) -> f64 {
        stored(self.x).map(|v| v * v).sum()
    }

    fn operator(&self) -> Box<dyn Operator + '_> {
        let mean = Array1::zeros(self.dim().1);
        Box::new(Corrected { x: self.x, transposed: &self.transposed, mean })
    }

    fn descend(&self, w: &mut Array2<F>, h: &Array2<F>, penalty: Penalty) -> Pass {
        let k = h.nrows();
        let products = products(self.x, &transposed(h));
        let gram = descent::gram(h, penalty.l2);
        let codes = w.as_slice_mut().unwrap_or_default();
        let violations: Vec<f64> = codes
            .par_chunks_mut(ROWS * k)
            .zip(products.par_chunks(ROWS * k))
            .map(|(w, products)| {
                let mut block = Block::default();
                let m = w.len() / k;
                block.load(w, k, m);
                turn(products, k, &mut block.cross);
                block.penalise(penalty.l1);
                block.descend(&gram);
                block.store(w);
                block.violations()
            })
            .collect();
        let w = w.mapv(F::f64);
        Pass { cross: back(&self.transposed, &w), gram: gram_of(&w), violation: violations.iter().sum() }
    }

    fn multiply(&self, loss: Loss, w: &mut Array2<F>, h: &Array2<F>, penalty: Penalty) -> Parts {
        let (wide, right) = (h.mapv(F::f64), transposed(h));
        let frobenius = loss.beta() == 2.0;
        let before = w.mapv(F::f64);
        let (numerator, denominator) = if frobenius {
            (products(self.x, &right), before.dot(&wide.dot(&wide.t())))
        } else {
            let sums = wide.sum_axis(Axis(1)).insert_axis(Axis(0));
            (
                ratios(self.x, &before, &right),
                sums.broadcast(w.dim()).map(|s| s.to_owned()).unwrap_or_default(),
            )
        };
        let narrow = |v: &f64| F::of(*v);
        let numerator: Vec<F> = numerator.iter().map(narrow).collect();
        let denominator: Vec<F> = denominator.iter().map(narrow).collect();
        step(loss, w.as_slice_mut().unwrap_or_default(), &numerator, &denominator, penalty);
        let w = w.mapv(F::f64);
        if frobenius {
            return Parts { numerator: back(&self.transposed, &w), denominator: gram_of(&w).dot(&wide) };
        }
        let numerator = ratios(&self.transposed, &right, &w);
        let numerator = Array2::from_shape_vec(right.dim(), numerator).unwrap_or_default();
        let sums = w.sum_axis(Axis(0));
        Parts {
            numerator: numerator.t().as_standard_layout().into_owned(),
            denominator: Array2::from_shape_fn(h.dim(), |(t, _)| sums[t]),
        }
    }

    /// For the Frobenius loss to the rounding of ‖X‖².
    fn divergence(&self, loss: Loss, w: &Array2<F>, h: &Array2<F>) -> f64 {
        let (w, h) = (w.mapv(F::f64), transposed(h));
        let total = if loss.beta() == 2.0 {
            let product = 0.5 * (&gram_of(&w) * &gram_of(&h)).sum();
            product + self.sum(&w, &h, |x, y| 0.5 * x * x - x * y)
        } else {
            let floor = floor::<F>().f64();
            let product = (&w.sum_axis(Axis(0)) * &h.sum_axis(Axis(0))).sum();
            product + self.sum(&w, &h, |x, y| loss.of(x, y.max(floor)) - y)
        };
        total.max(0.0)
    }
}

/// The codes of rows for fixed components by coordinate descent, each row's own problem. Returns `[n, k]`.
pub(super) fn descended<F: Float>(
    x: &Sparse<F>,
    h: &Array2<F>,
    penalty: Penalty,
    tolerance: f64,
    iterations: usize,
) -> Array2<F> {
    let k = h.nrows();
    let blocks: Vec<Vec<F>> = products(x, &transposed(h))
        .par_chunks(ROWS * k)
        .map(|products| {
            let m = products.len() / k;
            descent::codes(m, h, penalty, tolerance, iterations, |cross| turn(products, k, cross))
        })
        .collect();
    Array2::from_shape_vec((x.dim().0, k), blocks.concat()).unwrap_or_default()
}

/// The same by multiplicative updates, from equal codes, until ten updates lower a row's error by less than `tolerance` of the
/// first.
pub(super) fn multiplied<F: Float>(
    loss: Loss,
    x: &Sparse<F>,
    h: &Array2<F>,
    penalty: Penalty,
    tolerance: f64,
    iterations: usize,
) -> Array2<F> {
    let (k, d) = h.dim();
    let frobenius = loss.beta() == 2.0;
    let (right, floor) = (transposed(h), floor::<F>().f64());
    let (gram, sums) = (gram_of(&right), right.sum_axis(Axis(0)));
    let of_row = |i: usize| {
        let right = rows(&right);
        let mean = x.row(i).map(|(_, v)| v.f64()).sum::<f64>() / d as f64;
        let mut w = vec![F::of((mean / k as f64).sqrt()); k];
        let error = |w: &[F]| {
            let w: Vec<f64> = w.iter().map(|v| v.f64()).collect();
            let of_stored = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
                x.row(i).map(|(j, v)| term(v.f64(), dot(&w, right(j)))).sum()
            };
            let total = if frobenius {
                let w = Array1::from(w.clone());
                0.5 * w.dot(&gram.dot(&w)) + of_stored(&|x, y| 0.5 * x * x - x * y)
            } else {
                dot(&w, sums.as_slice().unwrap_or_default()) + of_stored(&|x, y| loss.of(x, y.max(floor)) - y)
            };
            total.max(0.0).sqrt()
        };
        let first = error(&w);
        let mut last = first;
        for iteration in 1..=iterations {
            let before: Vec<f64> = w.iter().map(|v| v.f64()).collect();
            let mut numerator = vec![0.0; k];
            for (j, v) in x.row(i) {
                let ratio = if frobenius { 1.0 } else { dot(&before, right(j)).max(floor) };
                add(&mut numerator, v.f64() / ratio, right(j));
            }
            let before = Array1::from(before);
            let denominator = if frobenius { gram.dot(&before) } else { sums.clone() };
            let narrow = |values: &[f64]| -> Vec<F> { values.iter().map(|&v| F::of(v)).collect() };
            let denominator = narrow(denominator.as_slice().unwrap_or_default());
            step(loss, &mut w, &narrow(&numerator), &denominator, penalty);
            if iteration % 10 == 0 {
                let now = error(&w);
                if last - now <= tolerance * first {
                    break;
                }
                last = now;
            }
        }
        w
    };
    let codes: Vec<Vec<F>> = (0..x.dim().0).into_par_iter().with_min_len(ROWS / 8).map(of_row).collect();
    Array2::from_shape_vec((x.dim().0, k), codes.concat()).unwrap_or_default()
}

fn stored<F: Float>(x: &Sparse<F>) -> impl Iterator<Item = f64> + '_ {
    (0..x.dim().0).flat_map(|i| x.row(i).map(|(_, v)| v.f64()))
}

/// Hᵀ in f64, row-major, `[d, k]`: the numbers of one column side by side.
fn transposed<F: Float>(h: &Array2<F>) -> Array2<f64> {
    h.t().mapv(F::f64).as_standard_layout().into_owned()
}

/// X·b, row after row. b: `[d, k]`.
fn products<F: Float>(x: &Sparse<F>, b: &Array2<f64>) -> Vec<f64> {
    // the widths fit: both come from the same table
    x.times(b).unwrap_or_default().into_raw_vec_and_offset().0
}

/// WᵀX for the transposed table, `[k, d]`.
fn back<F: Float>(transposed: &Sparse<F>, w: &Array2<f64>) -> Array2<f64> {
    transposed.times(w).unwrap_or_default().t().as_standard_layout().into_owned()
}

/// (X ⊘ ABᵀ)·B over what is stored, row after row. a: `[n, k]`, b: `[d, k]`.
fn ratios<F: Float>(x: &Sparse<F>, a: &Array2<f64>, b: &Array2<f64>) -> Vec<f64> {
    let (k, floor) = (a.ncols(), floor::<F>().f64());
    let (a, b) = (rows(a), rows(b));
    let mut out = vec![0.0; x.dim().0 * k];
    out.par_chunks_mut(ROWS * k).enumerate().for_each(|(block, out)| {
        for (i, out) in out.chunks_exact_mut(k).enumerate() {
            let row = block * ROWS + i;
            x.row(row).for_each(|(j, v)| add(out, v.f64() / dot(a(row), b(j)).max(floor), b(j)));
        }
    });
    out
}

/// The rows of a row-major table.
fn rows<'a>(table: &'a Array2<f64>) -> impl Fn(usize) -> &'a [f64] + Copy + Sync {
    let (values, k) = (table.as_slice().unwrap_or_default(), table.ncols());
    move |i| &values[i * k..(i + 1) * k]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f64], factor: f64, row: &[f64]) {
    sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += factor * v);
}

/// AᵀA by chunks in a fixed order. a: `[n, k]`.
fn gram_of(a: &Array2<f64>) -> Array2<f64> {
    let k = a.ncols();
    let parts: Vec<Vec<f64>> = a
        .as_slice()
        .unwrap_or_default()
        .par_chunks(1024 * k)
        .map(|rows| {
            let mut gram = vec![0.0; k * k];
            for row in rows.chunks_exact(k) {
                row.iter().zip(gram.chunks_exact_mut(k)).for_each(|(&v, out)| add(out, v, row));
            }
            gram
        })
        .collect();
    Array2::from_shape_vec((k, k), sum_in_order(parts.iter().map(Vec::as_slice))).unwrap_or_default()
}
