//! EM for probabilistic PCA where values are missing, and the posterior of a row of which some values were observed.
//!
//! With O the observed columns of a row, y = x_O − μ_O and M = W_OᵀW_O + σ²I, the posterior of z is N(M⁻¹W_Oᵀy, σ²M⁻¹). The sums
//! over O are products with the table of zeros and ones that marks what was observed, so that rows with different holes are one
//! product. The maximisation is a regression of each column, where it was observed, on z and a constant, whose coefficients are
//! the column's row of W and its mean.

use super::ProbabilisticPca;
use super::em::{Course, Parameters, check_noise};
use crate::linear::pca::Pca;
use crate::linear::positive::Positive;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, s};
use rayon::prelude::*;
use std::ops::Range;
use unsup_core::estimator::Fit;
use unsup_core::math::{ROW_TILE, chunks, sum_in_order};
use unsup_core::observe::{History, Observer};
use unsup_core::{Error, Float, Result};

/// Whether some values are missing; infinities and columns without any value are errors.
pub(super) fn check<F: Float>(x: &ArrayRef2<F>) -> Result<bool> {
    check_rows(x)?;
    if let Some(index) = x.columns().into_iter().position(|c| c.iter().all(|v| v.is_nan())) {
        let allowed = "at least one observed value in every column";
        return Err(Error::Value { what: "columns of x", index, value: "only NaN".to_owned(), allowed });
    }
    Ok(x.iter().any(|v| v.is_nan()))
}

/// Rows that a model can be asked about: NaN but no infinity.
pub(super) fn check_rows<F: Float>(x: &ArrayRef2<F>) -> Result<()> {
    match x.indexed_iter().find(|(_, v)| v.is_infinite()) {
        Some(((row, column), v)) => Err(Error::NonFinite { what: "x", row, column, value: v.f64() }),
        None => Ok(()),
    }
}

/// Some rows, less the mean, with zeros where a value is missing; and what was observed, as ones.
struct Tile {
    values: Array2<f64>,
    observed: Array2<f64>,
}

impl Tile {
    fn load<F: Float>(x: &ArrayRef2<F>, range: Range<usize>, mean: &ArrayRef1<f64>) -> Self {
        let rows = x.slice(s![range, ..]);
        let observed = rows.mapv(|v| f64::from(u8::from(!v.is_nan())));
        let values = Array2::from_shape_fn(rows.dim(), |(i, j)| {
            if rows[[i, j]].is_nan() { 0.0 } else { rows[[i, j]].f64() - mean[j] }
        });
        Tile { values, observed }
    }
}

/// The posterior of z of each row of a tile.
pub(super) struct Posterior {
    /// `[rows, q]`
    pub(super) means: Array2<f64>,
    /// the q × q covariance of each row, one after the other
    covariances: Vec<Array2<f64>>,
    /// of what was observed of each row, in nats
    pub(super) log_density: Vec<f64>,
}

/// What every row shares: W, and the products of its rows, packed.
pub(super) struct Expectation<'a> {
    parameters: &'a Parameters,
    /// wⱼwⱼᵀ, the upper triangle in a row `[d, q(q + 1)/2]`
    squares: Array2<f64>,
}

impl<'a> Expectation<'a> {
    pub(super) fn new(parameters: &'a Parameters) -> Self {
        let (d, q) = parameters.loadings.dim();
        let mut squares = Array2::zeros((d, q * (q + 1) / 2));
        for (mut packed, w) in squares.rows_mut().into_iter().zip(parameters.loadings.rows()) {
            for (value, (a, b)) in packed.iter_mut().zip(pairs(q)) {
                *value = w[a] * w[b];
            }
        }
        Expectation { parameters, squares }
    }

    /// For rows `range` of x, the posterior. Some row of a tile may have no value at all.
    pub(super) fn of_rows<F: Float>(&self, x: &ArrayRef2<F>, range: Range<usize>) -> Result<Posterior> {
        self.of_tile(&Tile::load(x, range, &self.parameters.mean))
    }

    fn of_tile(&self, tile: &Tile) -> Result<Posterior> {
        let Parameters { loadings, noise, .. } = self.parameters;
        let q = loadings.ncols();
        let products = tile.observed.dot(&self.squares);
        let moved = tile.values.dot(loadings);
        let mut means = Array2::zeros(moved.dim());
        let (mut covariances, mut log_density) = (Vec::new(), Vec::new());
        for (i, packed) in products.rows().into_iter().enumerate() {
            let mut precision = Array2::eye(q) * *noise;
            for (&value, (a, b)) in packed.iter().zip(pairs(q)) {
                precision[[a, b]] += value;
                precision[[b, a]] = precision[[a, b]];
            }
            let factor = Positive::of(&precision)?;
            means.row_mut(i).assign(&factor.solve(&moved.row(i)));
            covariances.push(factor.inverse() * *noise);
            let observed = tile.observed.row(i).sum();
            log_density.push(
                -0.5 * (observed * std::f64::consts::TAU.ln()
                    + (observed - q as f64) * noise.ln()
                    + factor.log_det()),
            );
        }
        // the squared distance is min over z of ‖y − Wz‖²/σ² + ‖z‖², a sum of squares in which nothing cancels
        let left = &tile.values - &(means.dot(&loadings.t()) * &tile.observed);
        for ((value, left), z) in log_density.iter_mut().zip(left.rows()).zip(means.rows()) {
            *value -= 0.5 * (left.dot(&left) / noise + z.dot(&z));
        }
        Ok(Posterior { means, covariances, log_density })
    }
}

/// The index pairs of the upper triangle, row by row.
fn pairs(q: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..q).flat_map(move |a| (a..q).map(move |b| (a, b)))
}

/// The sums of one pass over the rows, those of a column over the rows in which it was observed. With z̃ = (z, 1):
struct Sums {
    log_likelihood: f64,
    /// Σ E z̃z̃ᵀ, upper triangles `[d, (q + 1)(q + 2)/2]`
    squares: Array2<f64>,
    /// Σ x E z̃, x less the reference `[d, q + 1]`
    products: Array2<f64>,
    /// Σ x² `[d]`
    lengths: Array1<f64>,
}

impl Sums {
    /// x is taken less the mean of the parameters.
    fn of<F: Float>(x: &ArrayRef2<F>, parameters: &Parameters) -> Result<Self> {
        let (d, q) = parameters.loadings.dim();
        let expectation = Expectation::new(parameters);
        let sizes = [1, d * (q + 1) * (q + 2) / 2, d * (q + 1), d];
        let parts = chunks(x.nrows(), 32)
            .into_par_iter()
            .map(|range| {
                let mut total = vec![0.0; sizes.iter().sum()];
                for start in range.clone().step_by(ROW_TILE) {
                    let tile = Tile::load(x, start..range.end.min(start + ROW_TILE), &parameters.mean);
                    let posterior = expectation.of_tile(&tile)?;
                    let (codes, squares) = augmented(&posterior);
                    total[0] += posterior.log_density.iter().sum::<f64>();
                    let sums = [
                        tile.observed.t().dot(&squares),
                        tile.values.t().dot(&codes),
                        (&tile.values * &tile.values)
                            .sum_axis(ndarray::Axis(0))
                            .insert_axis(ndarray::Axis(1)),
                    ];
                    let sums = sums.iter().flat_map(|table| table.iter());
                    total[1..].iter_mut().zip(sums).for_each(|(t, v)| *t += v);
                }
                Ok(total)
            })
            .collect::<Result<Vec<Vec<f64>>>>()?;
        let total = sum_in_order(parts.iter().map(Vec::as_slice));
        let (squares, rest) = total[1..].split_at(sizes[1]);
        let (products, lengths) = rest.split_at(sizes[2]);
        let table = |values: &[f64]| {
            Array2::from_shape_vec((d, values.len() / d), values.to_vec()).unwrap_or_default()
        };
        Ok(Sums {
            log_likelihood: total[0],
            squares: table(squares),
            products: table(products),
            lengths: Array1::from(lengths.to_vec()),
        })
    }

    /// The regression of each column on z and a constant, and the noise that it leaves.
    fn maximization(&self, mean: &Array1<f64>) -> Result<Parameters> {
        let (d, augmented) = self.products.dim();
        let q = augmented - 1;
        let (mut loadings, mut new_mean) = (Array2::zeros((d, q)), mean.clone());
        let (mut left, mut observed) = (0.0, 0.0);
        for j in 0..d {
            let mut squares = Array2::zeros((augmented, augmented));
            for (&value, (a, b)) in self.squares.row(j).iter().zip(pairs(augmented)) {
                squares[[a, b]] = value;
                squares[[b, a]] = value;
            }
            let products = self.products.row(j);
            let coefficients = Positive::of(&squares)?.solve(&products);
            loadings.row_mut(j).assign(&coefficients.slice(s![..q]));
            new_mean[j] += coefficients[q];
            left += self.lengths[j] - coefficients.dot(&products);
            observed += squares[[q, q]];
        }
        Ok(Parameters { mean: new_mean, loadings, noise: left / observed })
    }
}

/// E z̃ `[rows, q + 1]` and the upper triangles of E z̃z̃ᵀ `[rows, (q + 1)(q + 2)/2]`.
fn augmented(posterior: &Posterior) -> (Array2<f64>, Array2<f64>) {
    let (rows, q) = posterior.means.dim();
    let codes =
        Array2::from_shape_fn((rows, q + 1), |(i, a)| if a < q { posterior.means[[i, a]] } else { 1.0 });
    let mut squares = Array2::zeros((rows, (q + 1) * (q + 2) / 2));
    for (i, mut packed) in squares.rows_mut().into_iter().enumerate() {
        for (value, (a, b)) in packed.iter_mut().zip(pairs(q + 1)) {
            let spread = if b < q { posterior.covariances[i][[a, b]] } else { 0.0 };
            *value = codes[[i, a]] * codes[[i, b]] + spread;
        }
    }
    (codes, squares)
}

/// EM from the principal components of the table with its holes filled by column means.
pub(super) fn fit<F: Float>(
    spec: &ProbabilisticPca,
    x: &ArrayRef2<F>,
    observer: &mut dyn Observer,
) -> Result<(Parameters, History)> {
    let (n, d) = x.dim();
    let mut filled = x.mapv(|v| v.f64());
    for mut column in filled.columns_mut() {
        let origin = column.iter().copied().find(|v| !v.is_nan()).unwrap_or(0.0);
        let seen: Vec<f64> = column.iter().filter(|v| !v.is_nan()).map(|v| v - origin).collect();
        let mean = origin + seen.iter().sum::<f64>() / seen.len() as f64;
        column.mapv_inplace(|v| if v.is_nan() { mean } else { v });
    }
    let pca = Pca::new().components(spec.directions).fit(&filled)?;
    let scale = pca.total_variance() / d as f64;
    check_noise(scale, 0.0, d)?;
    let mut parameters = Parameters::of_pca(&pca, n);
    // filling may have left a plane without noise where the data have some
    parameters.noise = parameters.noise.max(1e-3 * scale);
    let mut sums = Sums::of(x, &parameters)?;
    let mut course = Course::start(spec, observer);
    for _ in 0..spec.max_iterations {
        parameters = sums.maximization(&parameters.mean)?;
        check_noise(parameters.noise, scale, d)?;
        sums = Sums::of(x, &parameters)?;
        if !course.goes_on(sums.log_likelihood / n as f64) {
            break;
        }
    }
    Ok((parameters, course.finish()))
}
