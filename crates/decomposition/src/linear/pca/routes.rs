//! The four ways to the principal components.

use crate::linear::singular;
use crate::linear::subspace::{Shifted, iterate};
use ndarray::{Array1, Array2, ArrayRef2, s};
use std::ops::ControlFlow;
use unsup_core::math::{self, Eigen, Scatter};
use unsup_core::observe::{Event, Observer, Stop};
use unsup_core::{Float, Result, Seed};

/// Variances from the largest down, and a direction of length 1 for each.
pub(in crate::linear) struct Spectrum {
    /// `[m]`
    pub(in crate::linear) variances: Array1<f64>,
    /// `[m, d]`
    pub(in crate::linear) directions: Array2<f64>,
    /// a variance of at most this share of the total is nothing but rounding
    pub(in crate::linear) rounding: f64,
}

/// The mean as the element type rounds it: what is taken off each row.
fn shift<F: Float>(means: &Array1<f64>) -> Vec<F> {
    means.iter().map(|&m| F::of(m)).collect()
}

/// Eigen-decomposition of X_cᵀX_c / (n − 1). `precision` is that of the products.
pub(in crate::linear) fn covariance(scatter: &Scatter, count: usize, precision: f64) -> Result<Spectrum> {
    let n = scatter.rows;
    // of the products themselves: no copy of them is divided
    let Eigen { values, vectors } = math::leading_eigen(&scatter.products, count)?;
    let kept = n.min(values.len());
    Ok(Spectrum {
        // rounding can leave a variance of zero slightly negative
        variances: values.slice(s![..kept]).mapv(|v| v.max(0.0) / (n as f64 - 1.0)),
        directions: vectors.slice(s![..kept, ..]).to_owned(),
        rounding: 4.0 * precision * (scatter.means.len() as f64).sqrt(),
    })
}

/// Eigenvectors of the n × n matrix X_c X_cᵀ, mapped back.
pub(super) fn gram<F: Float>(x: &ArrayRef2<F>, means: &Array1<f64>, count: usize) -> Result<Spectrum> {
    let n = x.nrows();
    let (s, directions) = singular::leading(&singular::centred(x, means), count)?;
    Ok(Spectrum {
        variances: s.mapv(|v| v * v / (n as f64 - 1.0)),
        directions,
        rounding: 4.0 * f64::EPSILON * (n as f64).sqrt(),
    })
}

/// Singular value decomposition of X_c.
pub(super) fn svd_of_design<F: Float>(x: &ArrayRef2<F>, means: &Array1<f64>) -> Result<Spectrum> {
    let (n, d) = x.dim();
    let (s, vt) = singular::of_centred(x, means)?;
    Ok(Spectrum {
        variances: s.mapv(|v| v * v / (n as f64 - 1.0)),
        directions: vt,
        rounding: (f64::EPSILON * n.max(d) as f64).powi(2),
    })
}

/// How long the randomized route goes on.
pub(super) struct Effort {
    /// directions asked for
    pub(super) count: usize,
    /// directions carried along
    pub(super) width: usize,
    pub(super) iterations: usize,
    /// the largest residual, relative to its variance, at which it may stop before
    pub(super) tolerance: f64,
}

/// Subspace iteration: Q ← orth(X_cᵀX_c Q) from a Gaussian start of `width` columns, then the SVD of
/// X_c restricted to the subspace.
pub(super) fn randomized<F: Float>(
    x: &ArrayRef2<F>,
    means: &Array1<f64>,
    effort: &Effort,
    seed: Seed,
    observer: &mut dyn Observer,
) -> Result<Spectrum> {
    const TASK: &str = "randomized PCA";
    let ((n, d), &Effort { count, width, iterations, tolerance }) = (x.dim(), effort);
    let degrees = n as f64 - 1.0;
    let table = Shifted { x, shift: shift::<F>(means) };
    let _ = observer.observe(&Event::Started { task: TASK, total: iterations + 1 });
    let mut stop = Stop::IterationLimit;
    let basis =
        iterate(&table, width, iterations + 1, seed.named("randomized PCA"), |pass, basis, scattered| {
            let scattered = scattered / degrees;
            // the variance captured so far: the trace of the covariance within the subspace
            let captured = (basis * &scattered).sum();
            let residual = if tolerance > 0.0 { worst_residual(basis, &scattered, count)? } else { f64::NAN };
            let terms: &[_] = if tolerance > 0.0 { &[("residual", residual)] } else { &[] };
            let event = Event::Progress { task: TASK, done: pass, objective: captured, terms };
            if observer.observe(&event) == ControlFlow::Break(()) {
                stop = Stop::Interrupted;
            } else if residual <= tolerance {
                stop = Stop::Converged;
            }
            Ok(if stop == Stop::IterationLimit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    let _ = observer.observe(&Event::Finished { task: TASK, stop });
    let codes = math::product(x, &table.shift, &basis.mapv(F::of));
    let code_means = math::column_means(&codes);
    let (s, vt) = math::right_singular(&math::triangular_factor(&codes, &code_means))?;
    Ok(Spectrum {
        variances: s.mapv(|v| v * v / degrees),
        directions: vt.dot(&basis.t()),
        rounding: 4.0 * F::EPS * (d as f64).sqrt(),
    })
}

/// The largest ‖Cy − θy‖/θ of the `count` best pairs (θ, y) that the subspace holds (Rayleigh–Ritz), from Q and CQ.
fn worst_residual(basis: &Array2<f64>, scattered: &Array2<f64>, count: usize) -> Result<f64> {
    let Eigen { values, vectors } = math::leading_eigen(&basis.t().dot(scattered), count)?;
    let ritz = basis.dot(&vectors.t());
    let left = scattered.dot(&vectors.t()) - &ritz * &values;
    let worst = left
        .columns()
        .into_iter()
        .zip(&values)
        .map(|(r, v)| if *v > 0.0 { r.dot(&r).sqrt() / v } else { 0.0 });
    Ok(worst.fold(0.0, f64::max))
}

/// ‖Cv − λv‖ of each direction, C the covariance matrix, in one pass over the rows and in the arithmetic of their type.
pub(super) fn residuals<F: Float>(
    x: &ArrayRef2<F>,
    means: &Array1<f64>,
    directions: &Array2<f64>,
    variances: &Array1<f64>,
) -> Array1<f64> {
    let columns = directions.t().as_standard_layout().into_owned();
    let scattered = math::transposed_product(x, &shift::<F>(means), &columns) / (x.nrows() as f64 - 1.0);
    let left = scattered - &columns * variances;
    left.columns().into_iter().map(|r| r.dot(&r).sqrt()).collect()
}
