//! Means, variances and covariances that keep their accuracy far from the origin.
//!
//! Sums are of centred products, accumulated in `f64` over chunks. The textbook one-pass formula E\[x²\] − μ² loses every digit when the mean
//! is large beside the spread (at 10⁸, in `f64`; at 10⁴ in `f32`).

use super::chunks::{ROW_TILE, apart, chunks, square_groups};
use super::gemm::{Mat, multiply};
use super::kernel::panel_width;
use super::products::centred_tile;
use super::varying::{Varying, replaced};
use crate::{Error, Float, Result};
use ndarray::{Array1, Array2, ArrayRef2};
use rayon::prelude::*;

/// The mean and the variance of each column.
#[derive(Debug, Clone)]
pub struct Moments {
    /// `[d]`
    pub means: Array1<f64>,
    /// About the mean, divided by n (not n − 1). `[d]`
    pub variances: Array1<f64>,
}

impl Moments {
    /// Both moments of a valid table, in one pass over it: the sums of a tile that is in the cache are
    /// taken about its own mean, and tiles are merged (Chan, Golub & LeVeque 1983). x: `[n, d]`.
    ///
    /// # Errors
    /// Those of [`validate::table`](crate::validate::table), found on the way.
    pub fn of<F: Float>(x: &ArrayRef2<F>, what: &'static str) -> Result<Moments> {
        crate::validate::not_empty(x, what)?;
        let parts: Vec<Partial> =
            chunks(x.nrows(), 64).into_par_iter().map(|range| partial(x, range)).collect();
        let mut total = Partial::new(x.ncols());
        parts.iter().for_each(|part| total.merge(part));
        // a NaN or an infinity spoils its column's mean: only then is the culprit looked for
        if total.means.iter().chain(&total.squares).any(|v| !v.is_finite()) {
            crate::validate::table(x, what)?;
        }
        let means = total.means.iter().zip(x.row(0)).map(|(mean, origin)| origin.f64() + mean).collect();
        Ok(Moments { means, variances: Array1::from(total.squares) / total.count })
    }
}

/// The mean of each column. x: `[n, d]`. Returns `[d]`, in `f64`.
pub fn column_means<F: Float>(x: &ArrayRef2<F>) -> Array1<f64> {
    Moments::of(x, "x").map_or_else(|_| Array1::from_elem(x.ncols(), f64::NAN), |moments| moments.means)
}

/// Count, means, and sums of squares about the means.
struct Partial {
    count: f64,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Partial {
    fn new(d: usize) -> Self {
        Partial { count: 0.0, means: vec![0.0; d], squares: vec![0.0; d] }
    }

    #[inline(always)]
    fn merge(&mut self, other: &Partial) {
        let count = self.count + other.count;
        let (share, weight) = (other.count / count, self.count * other.count / count);
        for ((mean, square), (&m, &s)) in
            self.means.iter_mut().zip(&mut self.squares).zip(other.means.iter().zip(&other.squares))
        {
            let step = m - *mean;
            *mean += share * step;
            *square += s + weight * step * step;
        }
        self.count = count;
    }
}

/// The moments of some rows, about the first row of all, so that means far from the origin keep
/// their last digits.
fn partial<F: Float>(x: &ArrayRef2<F>, range: std::ops::Range<usize>) -> Partial {
    let origin: Vec<F> = x.row(0).to_vec();
    let (mut total, mut of_tile, mut tile) = (Partial::new(x.ncols()), Partial::new(x.ncols()), Vec::new());
    for start in range.clone().step_by(ROW_TILE) {
        let rows = ROW_TILE.min(range.end - start);
        centred_tile(x, start..start + rows, &origin, &mut tile);
        pulp::Arch::new().dispatch(Accumulate { tile: &tile, of_tile: &mut of_tile, total: &mut total });
    }
    total
}

struct Accumulate<'a, F> {
    tile: &'a [F],
    of_tile: &'a mut Partial,
    total: &'a mut Partial,
}

impl<F: Float> pulp::WithSimd for Accumulate<'_, F> {
    type Output = ();

    /// Plain loops, compiled for the instruction set at hand.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Accumulate { tile, of_tile, total } = self;
        let d = of_tile.means.len();
        of_tile.count = (tile.len() / d) as f64;
        of_tile.means.fill(0.0);
        of_tile.squares.fill(0.0);
        for row in tile.chunks_exact(d) {
            of_tile.means.iter_mut().zip(row).for_each(|(sum, v)| *sum += v.f64());
        }
        of_tile.means.iter_mut().for_each(|sum| *sum /= of_tile.count);
        for row in tile.chunks_exact(d) {
            for ((square, mean), v) in of_tile.squares.iter_mut().zip(&of_tile.means).zip(row) {
                let difference = v.f64() - mean;
                *square += difference * difference;
            }
        }
        total.merge(of_tile);
    }
}

/// The mean of each column and the matrix of centred products.
#[derive(Debug, Clone)]
pub struct Scatter {
    /// How many rows there were.
    pub rows: usize,
    /// `[d]`
    pub means: Array1<f64>,
    /// Σ (x − mean)(x − mean)ᵀ, `[d, d]`, symmetric.
    pub products: Array2<f64>,
}

impl Scatter {
    /// Both, in one pass over a valid table. x: `[n, d]`.
    ///
    /// Rows are moved by a guess of the mean, the mean of up to 256 of them, and the result is corrected
    /// for what the guess was off; only when it was off by more than half a standard deviation is
    /// there a second pass, about the mean. Cost: n·d²/2 multiply-adds, d being the columns that are not constant.
    ///
    /// # Errors
    /// Those of [`validate::table`](crate::validate::table), found on the way; [`Error::Numerical`] when products of the values
    /// overflow.
    pub fn of<F: Float>(x: &ArrayRef2<F>, what: &'static str) -> Result<Scatter> {
        let (n, d) = x.dim();
        crate::validate::not_empty(x, what)?;
        let first: Vec<f64> = x.row(0).iter().map(|v| v.f64()).collect();
        let varying = Varying::about(x, &first);
        let mut guess = vec![0.0; d];
        let sampled = (0..n).step_by(n.div_ceil(256));
        let share = 1.0 / sampled.len() as f64;
        sampled.for_each(|i| guess.iter_mut().zip(x.row(i)).for_each(|(g, v)| *g += share * v.f64()));
        // a constant column's mean is its value
        let guess = replaced(&Array1::from(first), varying.columns(), varying.of(&guess).into_iter());
        let scatter = Self::about(x, &varying, &guess);
        // a NaN or an infinity spoils its column: only then is the culprit looked for
        if scatter.products.diag().iter().any(|v| !v.is_finite()) {
            crate::validate::table(x, what)?;
            let problem = format!("products of the values overflow {}; scale the columns down", F::NAME);
            return Err(Error::Numerical { method: "covariance", problem });
        }
        let far = |((guess, mean), square): ((&f64, &f64), &f64)| {
            4.0 * n as f64 * (guess - mean).powi(2) > *square && guess != mean
        };
        if guess.iter().zip(&scatter.means).zip(scatter.products.diag()).any(far) {
            return Ok(Self::about(x, &varying, &scatter.means));
        }
        Ok(scatter)
    }

    /// The covariance matrix, with this divisor: n or n − 1.
    pub fn covariance(&self, divisor: f64) -> Array2<f64> {
        &self.products / divisor
    }

    /// One triangle of the products of rows moved by `centre`, and their sums, corrected to the mean.
    /// Products are formed in the element type over 128 rows and added up over 2048 in it, then in `f64`.
    fn about<F: Float>(x: &ArrayRef2<F>, varying: &Varying, all_centres: &Array1<f64>) -> Scatter {
        /// rows of a tile, and tiles whose products are added up in the element type
        const ROWS: usize = 2 * ROW_TILE;
        const TILES: usize = 16;
        let (n, d) = (x.nrows(), varying.columns().len());
        let centre: Vec<F> = varying.columns().iter().map(|&column| F::of(all_centres[column])).collect();
        let (strips, triangle) = strips(d, panel_width::<F>());
        let stride = apart::<F>(d);
        let parts: Vec<Vec<f64>> = chunks(n, square_groups(n, d))
            .into_par_iter()
            .map(|range| {
                let (mut tile, mut part) = (Vec::new(), vec![F::zero(); triangle]);
                // the sums of the columns, then the products
                let mut total = vec![0.0; d + triangle];
                let tiles = range.len().div_ceil(ROWS);
                for (t, start) in range.clone().step_by(ROWS).enumerate() {
                    let rows = ROWS.min(range.end - start);
                    varying.rows(x, start..start + rows, &centre, stride, &mut tile);
                    pulp::Arch::new().dispatch(AddRows { tile: &tile, stride, sums: &mut total[..d] });
                    let tile = Mat::strided(&tile, rows, d, stride);
                    for strip in &strips {
                        let columns = strip.columns.clone();
                        let rows = tile.columns(columns.start..d).t();
                        multiply(
                            &mut part[strip.start..],
                            columns.len(),
                            t % TILES > 0,
                            rows,
                            tile.columns(columns),
                        );
                    }
                    if t % TILES == TILES - 1 || t + 1 == tiles {
                        total[d..].iter_mut().zip(&part).for_each(|(t, p)| *t += p.f64());
                    }
                }
                total
            })
            .collect();
        // added to the first, so that no copy of a d × d matrix is made
        let mut parts = parts.into_iter();
        let mut total = parts.next().unwrap_or_default();
        parts.for_each(|part| total.iter_mut().zip(part).for_each(|(t, p)| *t += p));
        let (sums, total) = total.split_at(d);
        let off: Vec<f64> = sums.iter().map(|sum| sum / n as f64).collect();
        let (at, mut products) = (varying.columns(), Array2::zeros((x.ncols(), x.ncols())));
        for strip in &strips {
            let columns = strip.columns.clone();
            for (i, row) in (columns.start..d).zip(total[strip.start..].chunks(columns.len())) {
                for (j, &sum) in columns.clone().zip(row).take_while(|&(j, _)| j <= i) {
                    products[[at[i], at[j]]] = sum - n as f64 * off[i] * off[j];
                    products[[at[j], at[i]]] = products[[at[i], at[j]]];
                }
            }
        }
        let means = centre.iter().zip(&off).map(|(c, o)| c.f64() + o);
        let means = replaced(all_centres, at, means);
        Scatter { rows: n, means, products }
    }
}

/// Some columns of a symmetric matrix, from the diagonal down, row after row.
struct Strip {
    columns: std::ops::Range<usize>,
    /// Where its values begin.
    start: usize,
}

/// The strips of the lower triangle of a d × d matrix, and how many values they have.
fn strips(d: usize, width: usize) -> (Vec<Strip>, usize) {
    let mut end = 0;
    let strip = |first: usize| {
        let (columns, start) = (first..d.min(first + width), end);
        end += (d - first) * columns.len();
        Strip { columns, start }
    };
    ((0..d).step_by(width).map(strip).collect(), end)
}

/// Adds the rows of a tile to `sums`.
struct AddRows<'a, F> {
    tile: &'a [F],
    stride: usize,
    sums: &'a mut [f64],
}

impl<F: Float> pulp::WithSimd for AddRows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for row in self.tile.chunks(self.stride) {
            self.sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v.f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use approx::assert_relative_eq;

    fn covariance<F: Float>(x: &Array2<F>) -> Array2<f64> {
        Scatter::of(x, "x").map(|s| s.covariance(x.nrows() as f64 - 1.0)).unwrap_or_default()
    }

    #[test]
    fn moments_keep_their_digits_far_from_the_origin() {
        let (n, d) = (3000, 9);
        let base = Array2::from_shape_vec((n, d), Seed::new(5).normals(n * d)).unwrap_or_default();
        // powers of two, so that the shifted numbers are rounded once and compared with themselves
        let expected = covariance(&base);
        for offset in [2f64.powi(20), 2f64.powi(27)] {
            let x = base.mapv(|v| (v + offset) - offset);
            let far = x.mapv(|v| v + offset);
            let (near, mean) = (column_means(&x), column_means(&far));
            assert_relative_eq!(mean.mapv(|m| m - offset), near, epsilon = 1e-8, max_relative = 1e-6);
            let cov = covariance(&far);
            assert_relative_eq!(cov, covariance(&x), epsilon = 1e-12, max_relative = 1e-9);
            assert_relative_eq!(cov, expected, epsilon = 1e-6);
            let variances = Moments::of(&far, "x").map(|m| m.variances * (n as f64 / (n as f64 - 1.0)));
            assert_relative_eq!(variances.unwrap_or_default(), cov.diag().to_owned(), max_relative = 1e-10);
        }
    }

    #[test]
    fn the_scatter_is_that_of_the_definition_at_every_width() {
        for (n, d) in [(1, 1), (2, 3), (700, 64), (1000, 65), (5000, 130)] {
            let x = Array2::from_shape_vec((n, d), Seed::new(6).normals(n * d)).unwrap_or_default();
            let centred = &x - &x.mean_axis(ndarray::Axis(0)).unwrap_or_default();
            let found = Scatter::of(&x, "x").map(|s| (s.rows, s.products));
            assert_eq!(found.as_ref().map(|(rows, _)| *rows).ok(), Some(n));
            assert_relative_eq!(
                found.unwrap_or_default().1,
                centred.t().dot(&centred),
                epsilon = 1e-10,
                max_relative = 1e-12
            );
        }
    }

    /// The borders of images.
    #[test]
    fn constant_columns_cost_nothing_and_are_exactly_zero() {
        let (n, d) = (3000, 60);
        let values = Seed::new(8).normals(n * d);
        let x =
            Array2::from_shape_fn(
                (n, d),
                |(i, j)| if j % 5 < 2 { 0.1_f32 } else { 7.0 + values[i * d + j] as f32 },
            );
        let Ok(Scatter { means, products, .. }) = Scatter::of(&x, "x") else { panic!("no scatter") };
        let varying: Vec<usize> = (0..d).filter(|j| j % 5 >= 2).collect();
        let expected = Scatter::of(&x.select(ndarray::Axis(1), &varying), "x").map(|s| (s.means, s.products));
        let select =
            |m: &Array2<f64>| m.select(ndarray::Axis(0), &varying).select(ndarray::Axis(1), &varying);
        assert_eq!(expected.ok(), Some((means.select(ndarray::Axis(0), &varying), select(&products))));
        assert!((0..d).filter(|j| j % 5 < 2).all(|j| means[j] == f64::from(0.1_f32)));
        assert_eq!(products.iter().filter(|&&v| v != 0.0).count(), varying.len() * varying.len());
    }

    #[test]
    fn a_guess_of_the_mean_far_off_costs_a_pass_and_no_digits() {
        // the rows that the guess is made of lie a million standard deviations from the others
        let n = 256 * 40;
        let x = Array2::from_shape_fn((n, 2), |(i, j)| {
            if i % 40 == 0 { 1e6_f32 } else { ((i * 7 + j * 3) % 11) as f32 - 5.0 }
        });
        let expected = covariance(&x.mapv(f64::from));
        assert_relative_eq!(covariance(&x), expected, max_relative = 1e-6);
    }

    #[test]
    fn a_value_that_is_not_finite_is_found() {
        let mut x = Array2::<f32>::zeros((500, 3));
        x[[411, 2]] = f32::INFINITY;
        assert!(matches!(Scatter::of(&x, "x"), Err(Error::NonFinite { row: 411, column: 2, .. })));
    }

    #[test]
    fn single_precision_sums_are_not_single_precision() {
        let n = 2_000_000;
        let x = Array2::from_shape_fn((n, 1), |(i, _)| if i % 2 == 0 { 100.1_f32 } else { 100.3 });
        let mean = column_means(&x);
        let exact = (f64::from(100.1_f32) + f64::from(100.3_f32)) / 2.0;
        assert_relative_eq!(mean[0], exact, max_relative = 1e-14);
        let half = (f64::from(100.3_f32) - f64::from(100.1_f32)) / 2.0;
        let scatter = Scatter::of(&x, "x").map(|s| (s.means[0], s.products[[0, 0]] / n as f64));
        let (mean, variance) = scatter.unwrap_or_default();
        assert_relative_eq!(mean, exact, max_relative = 1e-14);
        assert_relative_eq!(variance, half * half, max_relative = 1e-6);
    }
}
