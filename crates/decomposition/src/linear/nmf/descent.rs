//! Coordinate descent on the Frobenius loss (HALS): each row of a factor in turn goes to its exact minimum.
//!
//! With G = HHᵀ and C = HXᵀ, component t of every code is set to max(0, wₜ − (Gw − C)ₜ / Gₜₜ), for t = 1 … k. The codes are
//! updated tile by tile, and while a tile is in the cache WᵀX and WᵀW, which the components' turn needs, are summed: one
//! pass over the data an iteration.

use super::loss::values;
use super::tiles::Tiles;
use ndarray::{Array2, ArrayRef2};
use rayon::prelude::*;
use unsup_core::Float;
use unsup_core::math::{Mat, Panels, multiply, multiply_panels, sum_in_order};

/// What a penalty adds to a factor's problem: l1·Σw + ½·l2·Σw².
#[derive(Clone, Copy)]
pub(super) struct Penalty {
    pub(super) l1: f64,
    pub(super) l2: f64,
}

impl Penalty {
    pub(super) fn of<F: Float>(self, factor: &Array2<F>) -> f64 {
        if self.l1 == 0.0 && self.l2 == 0.0 {
            return 0.0;
        }
        factor.iter().map(|v| self.l1 * v.f64() + 0.5 * self.l2 * v.f64().powi(2)).sum()
    }
}

/// Rows whose sums are added up in the element type.
const ADDED: usize = 512;

/// The sums that the components' turn needs.
pub(super) struct Pass {
    /// WᵀX, `[k, d]`
    pub(super) cross: Array2<f64>,
    /// WᵀW, `[k, k]`
    pub(super) gram: Array2<f64>,
    pub(super) violation: f64,
}

/// The codes' turn, and the sums for the components'. x: `[n, d]`, w: `[n, k]`, h: `[k, d]`, all row-major.
pub(super) fn codes_turn<F: Float>(
    x: &ArrayRef2<F>,
    w: &mut Array2<F>,
    h: &Array2<F>,
    penalty: Penalty,
) -> Pass {
    let ((n, d), k) = (x.dim(), h.nrows());
    let (x, gram) = (values(x), gram(h, penalty.l2));
    let components = Panels::pack(Mat::new(values(h), k, d).t());
    let tiles = Tiles::new::<F>(n, d, k);
    let w = w.as_slice_mut().unwrap_or_default();
    // the sums WᵀX, WᵀW and the violation, one after the other
    let parts: Vec<Vec<f64>> = tiles
        .chunks()
        .into_par_iter()
        .zip(w.par_chunks_mut(tiles.size() * k))
        .map(|(chunk, w)| {
            let (mut block, mut products) = (Block::default(), Vec::new());
            let (mut part, mut total) = (vec![F::zero(); k * (d + k)], vec![0.0; k * (d + k) + 1]);
            let mut added = 0;
            for rows in chunk.tiles() {
                let m = rows.len();
                let tile = Mat::new(&x[rows.start * d..rows.end * d], m, d);
                let w = &mut w[(rows.start - chunk.rows.start) * k..][..m * k];
                block.load(w, k, m);
                let ahead = &x[rows.end * d..(rows.end + m).min(chunk.rows.end) * d];
                cross_products(tile, &components, ahead, &mut products, &mut block.cross);
                block.penalise(penalty.l1);
                block.descend(&gram);
                block.store(w);
                let codes = Mat::new(&block.w, k, m);
                multiply(&mut part[..k * d], d, added > 0, codes, tile);
                multiply(&mut part[k * d..], k, added > 0, codes, codes.t());
                added += m;
                if added >= ADDED || rows.end == chunk.rows.end {
                    total.iter_mut().zip(&part).for_each(|(t, p)| *t += p.f64());
                    added = 0;
                }
                total[k * (d + k)] += block.violations();
            }
            total
        })
        .collect();
    let total = sum_in_order(parts.iter().map(Vec::as_slice));
    Pass {
        cross: Array2::from_shape_vec((k, d), total[..k * d].to_vec()).unwrap_or_default(),
        gram: Array2::from_shape_vec((k, k), total[k * d..k * (d + k)].to_vec()).unwrap_or_default(),
        violation: total[k * (d + k)],
    }
}

/// The components' turn. Returns the violation.
pub(super) fn components_turn<F: Float>(h: &mut Array2<F>, pass: &Pass, penalty: Penalty) -> f64 {
    /// Columns that are updated together.
    const COLUMNS: usize = 256;
    let (k, d) = h.dim();
    let mut gram = pass.gram.mapv(F::of);
    gram.diag_mut().mapv_inplace(|g| g + F::of(penalty.l2));
    let blocks: Vec<Block<F>> = (0..d.div_ceil(COLUMNS))
        .into_par_iter()
        .map(|block| {
            let range = ndarray::s![.., block * COLUMNS..d.min((block + 1) * COLUMNS)];
            let (w, cross) = (h.slice(range), pass.cross.slice(range));
            let m = w.ncols();
            let mut block = Block {
                w: w.iter().copied().collect(),
                cross: cross.iter().map(|&c| F::of(c - penalty.l1)).collect(),
                m,
                ..Block::default()
            };
            block.violation.resize(m, F::zero());
            block.descend(values(&gram));
            block
        })
        .collect();
    for (block, mut columns) in blocks.iter().zip(h.axis_chunks_iter_mut(ndarray::Axis(1), COLUMNS)) {
        for (row, mut out) in block.w.chunks_exact(block.m).zip(columns.rows_mut()) {
            out.iter_mut().zip(row).for_each(|(out, &v)| *out = v);
        }
    }
    debug_assert_eq!(h.dim(), (k, d));
    blocks.iter().map(Block::violations).sum()
}

/// The best codes of m rows for fixed components: each row's own problem, whatever its neighbours. `products` writes
/// HXᵀ, `[k, m]`, for these rows. Returns `[m, k]`.
pub(super) fn codes<F: Float>(
    m: usize,
    h: &Array2<F>,
    penalty: Penalty,
    tolerance: f64,
    iterations: usize,
    products: impl FnOnce(&mut [F]),
) -> Vec<F> {
    let k = h.nrows();
    let gram = gram(h, penalty.l2);
    let mut block = Block::default();
    let mut out = vec![F::zero(); m * k];
    block.load(&out, k, m);
    products(&mut block.cross);
    block.penalise(penalty.l1);
    let mut left: Vec<usize> = (0..m).collect();
    let mut first: Vec<f64> = Vec::new();
    for _ in 0..iterations {
        block.violation.fill(F::zero());
        block.descend(&gram);
        if first.is_empty() {
            first = block.violation.iter().map(|v| v.f64()).collect();
        }
        let moves: Vec<bool> =
            block.violation.iter().zip(&first).map(|(v, first)| v.f64() > tolerance * first).collect();
        if moves.iter().all(|&m| m) {
            continue;
        }
        for (j, _) in moves.iter().enumerate().filter(|(_, moves)| !**moves) {
            (0..k).for_each(|t| out[left[j] * k + t] = block.w[t * block.m + j]);
        }
        keep(&mut left, &moves);
        keep(&mut first, &moves);
        block.keep(&moves);
        if left.is_empty() {
            return out;
        }
    }
    for (j, &row) in left.iter().enumerate() {
        (0..k).for_each(|t| out[row * k + t] = block.w[t * block.m + j]);
    }
    out
}

/// HHᵀ + l2·I in the element type, `[k, k]`.
pub(super) fn gram<F: Float>(h: &ArrayRef2<F>, l2: f64) -> Vec<F> {
    let wide = h.mapv(F::f64);
    let mut gram = wide.dot(&wide.t());
    gram.diag_mut().mapv_inplace(|g| g + l2);
    gram.iter().map(|&g| F::of(g)).collect()
}

/// Turns rows of k values, `[m, k]`, into `[k, m]` in the element type.
pub(super) fn turn<V: Float, F: Float>(rows: &[V], k: usize, turned: &mut [F]) {
    for (t, turned) in turned.chunks_exact_mut((rows.len() / k).max(1)).enumerate() {
        turned.iter_mut().zip(rows[t..].iter().step_by(k)).for_each(|(out, v)| *out = F::of(v.f64()));
    }
}

/// HXᵀ, `[k, m]`, from the products of m rows where they lie with the packed components, which go to `products` first; the
/// values `ahead` are fetched meanwhile.
pub(super) fn cross_products<F: Float>(
    rows: Mat<'_, F>,
    components: &Panels<F>,
    ahead: &[F],
    products: &mut Vec<F>,
    cross: &mut [F],
) {
    let ((m, _), (_, k)) = (rows.dim(), components.dim());
    products.resize(m * k, F::zero());
    multiply_panels(products, k, false, rows, components, ahead);
    turn(products, k, cross);
}

/// Keeps the values whose flag is set; flags are cycled over.
fn keep<T: Copy>(values: &mut Vec<T>, flags: &[bool]) {
    let mut flags = flags.iter().cycle();
    values.retain(|_| flags.next().copied().unwrap_or_default());
}

/// m problems side by side, so that a coordinate of all of them is one vector.
#[derive(Default)]
pub(super) struct Block<F> {
    /// `[k, m]`
    pub(super) w: Vec<F>,
    /// `[k, m]`
    pub(super) cross: Vec<F>,
    gradient: Vec<F>,
    /// how far each problem was from its optimality conditions, summed over coordinates
    violation: Vec<F>,
    m: usize,
}

impl<F: Float> Block<F> {
    pub(super) fn load(&mut self, codes: &[F], k: usize, m: usize) {
        self.m = m;
        self.w.resize(k * m, F::zero());
        turn(codes, k, &mut self.w);
        self.cross.resize(k * m, F::zero());
        self.violation.clear();
        self.violation.resize(m, F::zero());
    }

    pub(super) fn store(&self, codes: &mut [F]) {
        let k = self.w.len() / self.m;
        for (i, row) in codes.chunks_exact_mut(k).enumerate() {
            row.iter_mut().enumerate().for_each(|(t, v)| *v = self.w[t * self.m + i]);
        }
    }

    pub(super) fn penalise(&mut self, l1: f64) {
        if l1 > 0.0 {
            self.cross.iter_mut().for_each(|c| *c -= F::of(l1));
        }
    }

    fn keep(&mut self, flags: &[bool]) {
        keep(&mut self.w, flags);
        keep(&mut self.cross, flags);
        keep(&mut self.violation, flags);
        self.m = self.violation.len();
    }

    pub(super) fn violations(&self) -> f64 {
        self.violation.iter().map(|v| v.f64()).sum()
    }

    pub(super) fn descend(&mut self, gram: &[F]) {
        self.gradient.resize(self.m, F::zero());
        pulp::Arch::new().dispatch(Sweep { block: self, gram });
    }
}

struct Sweep<'a, F> {
    block: &'a mut Block<F>,
    gram: &'a [F],
}

impl<F: Float> pulp::WithSimd for Sweep<'_, F> {
    type Output = ();

    /// Plain loops, compiled for the instruction set at hand.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Block { w, cross, gradient, violation, m } = self.block;
        let m = *m;
        let k = w.len() / m.max(1);
        let gradient = &mut gradient[..m];
        for t in 0..k {
            gradient.iter_mut().zip(&cross[t * m..]).for_each(|(g, &c)| *g = -c);
            for (row, &g) in w.chunks_exact(m).zip(&self.gram[t * k..]) {
                gradient.iter_mut().zip(row).for_each(|(sum, &w)| *sum += g * w);
            }
            let curvature = self.gram[t * k + t];
            // a component that is zero everywhere says nothing about its codes
            let inverse = if curvature > F::zero() { F::one() / curvature } else { F::zero() };
            for ((w, &g), violation) in w[t * m..(t + 1) * m].iter_mut().zip(&*gradient).zip(&mut *violation)
            {
                let projected = if *w > F::zero() { g } else { g.min(F::zero()) };
                *violation += projected.abs();
                *w = (*w - g * inverse).max(F::zero());
            }
        }
    }
}
