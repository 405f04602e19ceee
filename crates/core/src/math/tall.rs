//! The triangular factor of a tall table.
//!
//! R with RᵀR = XᵀX is found block of rows by block of rows (TSQR, Demmel et al. 2012): each block is stacked under the factor
//! so far and reflected away. The zeros of the factor are never touched: a reflection of column j is the unit vector e_j beside
//! a vector of the block's rows, and changes row j of the factor and the block. Reflections are gathered in panels,
//! I − VTVᵀ (Schreiber & Van Loan 1989), and a panel is gathered by halves (Elmroth & Gustavson 2000), so that nearly all of the n·d²
//! multiply-adds are matrix products: backward stable as Householder's QR is, in one pass over the rows.
//!
//! Blocks lie turned, a column of the table after the other, and so does the factor: L = Rᵀ, row-major.

use super::chunks::{apart, chunks, square_groups};
use super::gemm::{Mat, multiply, multiply_panels};
use super::kernel::Panels;
use super::varying::Varying;
use crate::Float;
use ndarray::{Array1, Array2, ArrayRef2};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a block.
const ROWS: usize = 512;
/// From the start of a column of a block to that of the next.
const APART: usize = apart::<f64>(ROWS);
/// Reflections of a panel at most.
const PANEL: usize = 32;
/// Reflections that are applied one by one.
const FEW: usize = 8;
/// Columns that a panel is applied to at a time: they stay in the cache between the two products.
const COLUMNS: usize = 48;
/// Independent sums of an inner product: its bits are the same with registers of any length.
const LANES: usize = 16;

/// The triangular factor of a tall table: R with RᵀR = (x − shift)ᵀ(x − shift), as accurate as Householder's QR and in one pass over
/// the rows. Rows are widened to `f64` before the shift is taken off. Memory: a d × d matrix for each of at most 32 groups of rows, which
/// is a tenth of a tall `f32` table, and 520 rows for each thread.
/// x: `[n, d]`, shift: `[d]`. Returns `[d, d]`, upper triangular, whatever n is.
pub fn triangular_factor<F: Float>(x: &ArrayRef2<F>, shift: &Array1<f64>) -> Array2<f64> {
    let varying = Varying::about(x, &shift.to_vec());
    let (n, d, shift) = (x.nrows(), varying.columns().len(), varying.of(&shift.to_vec()));
    // to merge two factors takes as long as to take in d / 3 rows, and nobody helps
    let groups = square_groups(n, d).min(n / ROWS.max(2 * d)).max(1);
    let parts: Vec<Factor> = chunks(n, groups)
        .into_par_iter()
        .map(|range| {
            let (mut factor, mut block) = (Factor::new(d), Block::new(d));
            for start in range.clone().step_by(ROWS) {
                block.load(x, start..range.end.min(start + ROWS), varying.columns(), &shift);
                factor.absorb(&mut block, 0);
            }
            factor
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut factor = parts.next().unwrap_or_else(|| Factor::new(d));
    parts.for_each(|part| factor.merge(&part));
    let (columns, mut out) = (varying.columns(), Array2::zeros((x.ncols(), x.ncols())));
    for (&column, turned) in columns.iter().zip(factor.turned.chunks(d.max(1))) {
        columns.iter().zip(turned).for_each(|(&row, &value)| out[[row, column]] = value);
    }
    out
}

/// Rows of the table, turned.
struct Block {
    /// column after column, `APART` values from each other
    values: Vec<f64>,
    /// a multiple of `LANES`: those beyond the table's are zeros
    rows: usize,
}

impl Block {
    fn new(d: usize) -> Self {
        Block { values: vec![0.0; d * APART], rows: 0 }
    }

    /// Takes these rows and columns of a table.
    fn load<F: Float>(&mut self, x: &ArrayRef2<F>, rows: Range<usize>, of: &[usize], shift: &[f64]) {
        self.rows = rows.len().next_multiple_of(LANES);
        let d = of.len();
        // a few rows and columns at a time: lines that are written piece by piece stay in the cache
        for (first, i) in (0..self.rows).step_by(LANES).zip(rows.clone().step_by(LANES)) {
            let (some, beyond) = (i..rows.end.min(i + LANES), first + LANES);
            for start in (0..d).step_by(COLUMNS) {
                let columns = start..d.min(start + COLUMNS);
                for (at, i) in (first..).zip(some.clone()) {
                    let row = x.row(i);
                    let column = self.values[start * APART + at..].iter_mut().step_by(APART);
                    column
                        .zip(&of[columns.clone()])
                        .zip(&shift[columns.clone()])
                        .for_each(|((to, &from), shift)| *to = row[from].f64() - shift);
                }
                for j in columns.filter(|_| some.len() < LANES) {
                    self.values[j * APART + first + some.len()..j * APART + beyond].fill(0.0);
                }
            }
        }
    }

    /// Some columns, a row each.
    fn columns(&self, columns: &Range<usize>) -> Mat<'_, f64> {
        Mat::strided(&self.values[columns.start * APART..], columns.len(), self.rows, APART)
    }
}

/// The factor of the rows so far.
struct Factor {
    d: usize,
    /// L = Rᵀ, `[d, d]`, zeros above the diagonal
    turned: Vec<f64>,
}

/// T of a panel of reflections, upper triangular.
type Triangle = [[f64; PANEL]; PANEL];

impl Factor {
    fn new(d: usize) -> Self {
        Factor { d, turned: vec![0.0; d * d] }
    }

    /// Takes in the rows of a block, of which the columns before `first` are zero. The block is left in ruins.
    fn absorb(&mut self, block: &mut Block, first: usize) {
        // gathering a panel is slower work than applying it: narrow ones where there are few columns to apply it to
        let width = (self.d / 8).next_multiple_of(FEW).clamp(FEW, PANEL);
        for start in (first..self.d).step_by(width) {
            let panel = start..self.d.min(start + width);
            let mut t = [[0.0; PANEL]; PANEL];
            self.reflect(block, panel.clone(), panel.start, &mut t);
            self.apply(block, panel.clone(), panel.start, &t, panel.end..self.d);
        }
    }

    /// Takes in another factor, from which rows are taken like those of a table.
    fn merge(&mut self, other: &Factor) {
        let (d, mut block) = (self.d, Block::new(self.d));
        for first in (0..d).step_by(ROWS) {
            let rows = ROWS.min(d - first);
            block.rows = rows.next_multiple_of(LANES);
            for (column, row) in
                block.values.chunks_exact_mut(APART).zip(other.turned.chunks_exact(d)).skip(first)
            {
                column[..rows].copy_from_slice(&row[first..first + rows]);
                column[rows..block.rows].fill(0.0);
            }
            self.absorb(&mut block, first);
        }
    }

    /// Reflects these columns of the block into the factor. They become V, and their part of the panel's T is written; the panel
    /// begins with column `origin`.
    fn reflect(&mut self, block: &mut Block, columns: Range<usize>, origin: usize, t: &mut Triangle) {
        if columns.len() <= FEW {
            Arch::new().dispatch(Reflect { factor: self, block, columns, origin, t });
            return;
        }
        let middle = columns.start + columns.len() / 2;
        let (left, right) = (columns.start..middle, middle..columns.end);
        self.reflect(block, left.clone(), origin, t);
        self.apply(block, left.clone(), origin, t, right.clone());
        self.reflect(block, right.clone(), origin, t);
        // the two halves as one: I − V₁T₁V₁ᵀ times I − V₂T₂V₂ᵀ has −T₁V₁ᵀV₂T₂ beside T₁ and T₂
        let (mut inner, mut half) = ([[0.0; PANEL]; PANEL], [[0.0; PANEL]; PANEL]);
        multiply(inner.as_flattened_mut(), PANEL, false, block.columns(&left), block.columns(&right).t());
        let (l, r) = (left.start - origin..left.end - origin, right.start - origin..right.end - origin);
        for i in l.clone() {
            for j in 0..r.len() {
                half[i][j] = (i..l.end).map(|p| t[i][p] * inner[p - l.start][j]).sum();
            }
        }
        for i in l {
            for j in r.clone() {
                t[i][j] = -(r.start..=j).map(|p| half[i][p - r.start] * t[p][j]).sum::<f64>();
            }
        }
    }

    /// Applies the reflections of some columns to others: W = R + VᵀX, R the factor's rows of the former, then R −= TᵀW and
    /// X −= V·TᵀW; all of them turned.
    fn apply(&mut self, block: &mut Block, of: Range<usize>, origin: usize, t: &Triangle, to: Range<usize>) {
        if to.is_empty() {
            return;
        }
        let (d, width) = (self.d, of.len());
        let v = block.columns(&of);
        // the right sides of the products
        let (v, turned_v) = (Panels::pack(v), Panels::pack(v.t()));
        let first = of.start - origin;
        let minus: Vec<f64> = t[first..first + width]
            .iter()
            .flat_map(|row| row[first..first + width].iter().map(|t| -t))
            .collect();
        let minus = Panels::pack(Mat::new(&minus, width, width));
        let (mut w, mut step) = (Vec::new(), vec![0.0; to.len().min(COLUMNS) * width]);
        for start in to.clone().step_by(COLUMNS) {
            let columns = start..to.end.min(start + COLUMNS);
            let len = columns.len();
            w.clear();
            columns.clone().for_each(|j| w.extend_from_slice(&self.turned[j * d + of.start..j * d + of.end]));
            multiply_panels(&mut w, width, true, block.columns(&columns), &turned_v, &[]);
            multiply_panels(&mut step, width, false, Mat::new(&w, len, width), &minus, &[]);
            for (step, j) in step.chunks_exact(width).zip(columns) {
                let row = &mut self.turned[j * d + of.start..j * d + of.end];
                row.iter_mut().zip(step).for_each(|(r, s)| *r += s);
            }
            multiply_panels(
                &mut block.values[start * APART..],
                APART,
                true,
                Mat::new(&step, len, width),
                &v,
                &[],
            );
        }
    }
}

/// Reflections one by one, each applied to the columns after it.
struct Reflect<'a> {
    factor: &'a mut Factor,
    block: &'a mut Block,
    columns: Range<usize>,
    origin: usize,
    t: &'a mut Triangle,
}

impl WithSimd for Reflect<'_> {
    type Output = ();

    /// Plain loops, compiled for the instruction set at hand.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Reflect {
            factor: Factor { d, turned: factor },
            block: Block { values, rows },
            columns,
            origin,
            t,
        } = self;
        let (d, rows) = (*d, *rows);
        for j in columns.clone() {
            let (before, others) = values.split_at_mut((j + 1) * APART);
            let (before, v) = before.split_at_mut(j * APART);
            let v = &mut v[..rows];
            let pivot = &mut factor[j * d + j];
            let tau = reflector(pivot, v);
            for (l, x) in (j + 1..columns.end).zip(others.chunks_mut(APART)) {
                let (r, x) = (&mut factor[l * d + j], &mut x[..rows]);
                let step = tau * (*r + dot(v, x));
                *r -= step;
                x.iter_mut().zip(&*v).for_each(|(x, v)| *x = (-step).mul_add(*v, *x));
            }
            // T's column of this reflection: −τ·T·Vᵀv above τ
            let (first, at) = (columns.start - origin, j - origin);
            let mut inner = [0.0; FEW];
            for (inner, i) in inner.iter_mut().zip(columns.start..j) {
                *inner = dot(&before[i * APART..i * APART + rows], v);
            }
            for (i, row) in t.iter_mut().enumerate().take(at).skip(first) {
                row[at] = -tau * (i..at).map(|p| row[p] * inner[p - first]).sum::<f64>();
            }
            t[at][at] = tau;
        }
    }
}

/// The reflection I − τ(1, v)(1, v)ᵀ that takes (pivot, x) to (±‖(pivot, x)‖, 0): x becomes v. Returns τ.
#[inline(always)]
fn reflector(pivot: &mut f64, x: &mut [f64]) -> f64 {
    let tail = dot(x, x);
    let square = tail + *pivot * *pivot;
    let squares_hold = (1e-280..1e300).contains(&square);
    let length = if squares_hold { square.sqrt() } else { scaled_length(*pivot, x) };
    if length == 0.0 || squares_hold && tail == 0.0 {
        x.fill(0.0);
        return 0.0;
    }
    let length = -length.copysign(*pivot);
    let (tau, divisor) = ((length - *pivot) / length, *pivot - length);
    if squares_hold {
        let inverse = 1.0 / divisor;
        x.iter_mut().for_each(|x| *x *= inverse);
    } else {
        x.iter_mut().for_each(|x| *x /= divisor);
    }
    *pivot = length;
    tau
}

/// ‖(pivot, x)‖ where squares leave the range of `f64`.
#[cold]
fn scaled_length(pivot: f64, x: &[f64]) -> f64 {
    let most = x.iter().fold(pivot.abs(), |most, x| most.max(x.abs()));
    if most == 0.0 {
        return 0.0;
    }
    most * x.iter().chain([&pivot]).map(|v| (v / most).powi(2)).sum::<f64>().sqrt()
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = a.mul_add(*b, *sum);
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use approx::{assert_abs_diff_eq, assert_relative_eq};
    use proptest::prelude::*;

    fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
        Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_factor_has_the_products_of_the_table(n in 1usize..1500, d in 1usize..90, seed in any::<u64>()) {
            let x = table(seed, n, d);
            let r = triangular_factor(&x, &Array1::zeros(d));
            prop_assert_eq!(r.dim(), (d, d));
            prop_assert!(r.indexed_iter().all(|((i, j), &v)| i <= j || v == 0.0));
            assert_abs_diff_eq!(r.t().dot(&r), x.t().dot(&x), epsilon = 1e-13 * (n * d) as f64);
        }
    }

    /// In the products of the table the small ones would have lost all of them.
    #[test]
    fn small_singular_values_keep_their_digits() -> crate::Result<()> {
        let (n, d) = (4000, 70);
        let expected: Array1<f64> =
            (0..d).map(|j| if j % 7 == 3 { 2f64.powi(-24) } else { 1.0 + j as f64 }).collect();
        let (left, right) =
            (super::super::orthonormal(&table(1, n, d)), super::super::orthonormal(&table(2, d, d)));
        let r = triangular_factor(&(left * &expected).dot(&right.t()), &Array1::zeros(d));
        let mut expected = expected.to_vec();
        expected.sort_by(|a, b| b.total_cmp(a));
        assert_relative_eq!(super::super::svd(&r)?.s, Array1::from(expected), max_relative = 1e-7);
        Ok(())
    }

    #[test]
    fn columns_without_values_and_the_same_column_twice_are_no_trouble() {
        let mut x = table(3, 900, 40);
        x.column_mut(0).fill(0.0);
        x.column_mut(17).fill(0.0);
        let twice = x.column(5).to_owned();
        x.column_mut(39).assign(&twice);
        let r = triangular_factor(&x, &Array1::zeros(40));
        assert_abs_diff_eq!(r.t().dot(&r), x.t().dot(&x), epsilon = 1e-10);
        assert!(r.column(0).iter().chain(r.column(17)).all(|&v| v == 0.0));
        (18..25).for_each(|j| x.column_mut(j).fill(2.5)); // enough of them to be left out
        let mut shift = Array1::zeros(40);
        shift.slice_mut(ndarray::s![18..25]).fill(2.5);
        let (r, centred) = (triangular_factor(&x, &shift), &x - &shift);
        assert_abs_diff_eq!(r.t().dot(&r), centred.t().dot(&centred), epsilon = 1e-10);
        assert!(r.indexed_iter().all(|((i, j), &v)| i <= j || v == 0.0));
        assert!(r[[39, 39]].abs() < 1e-12);
        assert_eq!(
            triangular_factor(&Array2::<f32>::zeros((0, 3)), &Array1::zeros(3)),
            Array2::<f64>::zeros((3, 3))
        );
    }

    /// Panels of panels, several strips of columns, factors of several blocks; rows in `f32`, moved, and lying turned.
    #[test]
    fn wide_tables_of_any_layout_have_their_factor() {
        for (n, d) in [(700, 150), (900, 260), (5000, 600), (513, 17), (40, 300)] {
            let x = Array2::from_shape_fn((d, n), {
                let values = Seed::new(7).normals(n * d);
                move |(j, i)| values[i * d + j] as f32
            });
            let (x, shift) = (x.t(), Array1::from_shape_fn(d, |j| j as f64 / d as f64));
            let r = triangular_factor(&x, &shift);
            let centred = x.mapv(f64::from) - &shift;
            assert_abs_diff_eq!(r.t().dot(&r), centred.t().dot(&centred), epsilon = 1e-10 * n as f64);
            assert!(r.indexed_iter().all(|((i, j), &v)| i <= j || v == 0.0), "{n} × {d}");
        }
    }

    #[test]
    fn fewer_rows_than_columns_lose_nothing_behind_dependent_columns() {
        let mut x = table(8, 5, 9);
        x.column_mut(0).fill(0.0);
        let twice = x.column(1).to_owned();
        x.column_mut(2).assign(&twice);
        let r = triangular_factor(&x, &Array1::zeros(9));
        assert_abs_diff_eq!(r.t().dot(&r), x.t().dot(&x), epsilon = 1e-13);
    }

    #[test]
    fn squares_may_leave_the_range_of_numbers() {
        let x = table(9, 700, 30);
        let expected = triangular_factor(&x, &Array1::zeros(30));
        for scale in [2f64.powi(600), 2f64.powi(-600), 2f64.powi(-1000)] {
            let found = triangular_factor(&(&x * scale), &Array1::zeros(30)) / scale;
            assert_relative_eq!(found, expected, max_relative = 1e-9, epsilon = 1e-12);
        }
    }

    #[test]
    fn a_tall_factor_has_the_same_bits_on_any_number_of_threads() {
        let x = table(4, 5000, 12);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.map(|p| p.install(|| triangular_factor(&x, &Array1::zeros(12)))).unwrap_or_default()
        };
        assert_eq!(on(1), on(2));
        assert_eq!(on(1).dim(), (12, 12));
    }

    #[test]
    fn the_scalar_path_reflects_to_the_same_bits() {
        let x = table(6, 300, 8);
        let reflected = |wide: bool| {
            let (mut factor, mut block, mut t) = (Factor::new(8), Block::new(8), [[0.0; PANEL]; PANEL]);
            block.load(&x, 0..300, &[0, 1, 2, 3, 4, 5, 6, 7], &[0.5; 8]);
            let reflect =
                Reflect { factor: &mut factor, block: &mut block, columns: 0..8, origin: 0, t: &mut t };
            if wide {
                Arch::new().dispatch(reflect);
            } else {
                pulp::Scalar::new().vectorize(reflect);
            }
            (factor.turned, block.values, t)
        };
        assert_eq!(reflected(true), reflected(false));
    }
}
