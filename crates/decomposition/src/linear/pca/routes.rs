//! The three ways to the principal components.

use ndarray::{Array1, Array2, ArrayRef2, s};
use std::ops::ControlFlow;
use unsup_core::math::{self, Eigen, Scatter, Svd};
use unsup_core::observe::{Event, Observer, Stop};
use unsup_core::{Float, Result, Seed};

/// Variances from the largest down, and a direction of length 1 for each.
pub(super) struct Spectrum {
    /// `[m]`
    pub(super) variances: Array1<f64>,
    /// `[m, d]`
    pub(super) directions: Array2<f64>,
}

/// The mean as the element type rounds it: what is taken off each row.
fn shift<F: Float>(means: &Array1<f64>) -> Vec<F> {
    means.iter().map(|&m| F::of(m)).collect()
}

/// Eigen-decomposition of X_cᵀX_c / (n − 1).
pub(super) fn covariance(scatter: &Scatter, count: usize) -> Result<Spectrum> {
    let n = scatter.rows;
    let Eigen { values, vectors } = math::leading_eigen(&scatter.covariance(n as f64 - 1.0), count)?;
    let kept = n.min(values.len());
    Ok(Spectrum {
        // rounding can leave a variance of zero slightly negative
        variances: values.slice(s![..kept]).mapv(|v| v.max(0.0)),
        directions: vectors.slice(s![..kept, ..]).to_owned(),
    })
}

/// Singular value decomposition of X_c: of its triangular factor when there are more rows than
/// columns, since R of X_c = QR has the same singular values and right vectors.
pub(super) fn svd_of_design<F: Float>(x: &ArrayRef2<F>, means: &Array1<f64>) -> Result<Spectrum> {
    let (n, d) = x.dim();
    let design = if n > d {
        // In f32 the rounded mean differs from the mean; the difference is a rank-one term that
        // belongs to no direction of the data, so rows are widened and centred exactly.
        math::triangular_factor(x, means)
    } else {
        Array2::from_shape_fn((n, d), |(i, j)| x[[i, j]].f64() - means[j])
    };
    let Svd { s, vt, .. } = math::svd(&design)?;
    Ok(Spectrum { variances: s.mapv(|v| v * v / (n as f64 - 1.0)), directions: vt })
}

/// Subspace iteration: Q ← orth(X_cᵀX_c Q) from a Gaussian start of `width` columns, then the SVD of
/// X_c restricted to the subspace.
pub(super) fn randomized<F: Float>(
    x: &ArrayRef2<F>,
    means: &Array1<f64>,
    width: usize,
    iterations: usize,
    seed: Seed,
    observer: &mut dyn Observer,
) -> Result<Spectrum> {
    const TASK: &str = "randomized PCA";
    let (n, d) = x.dim();
    let shift = shift::<F>(means);
    let start = seed.named("randomized PCA").normals(d * width);
    let mut basis = math::orthonormal(&Array2::from_shape_vec((d, width), start).unwrap_or_default());
    let _ = observer.observe(&Event::Started { task: TASK, total: iterations + 1 });
    let mut stop = Stop::IterationLimit;
    for iteration in 1..=iterations + 1 {
        let scattered = math::transposed_product(x, &shift, &basis);
        // the variance captured so far: the trace of the scatter within the subspace
        let captured = (&basis * &scattered).sum() / (n as f64 - 1.0);
        basis = math::orthonormal(&scattered);
        let event = Event::Progress { task: TASK, done: iteration, objective: captured, terms: &[] };
        if observer.observe(&event) == ControlFlow::Break(()) {
            stop = Stop::Interrupted;
            break;
        }
    }
    let _ = observer.observe(&Event::Finished { task: TASK, stop });
    let codes = math::product(x, &shift, &basis.mapv(F::of));
    let code_means = math::column_means(&codes);
    let Svd { s, vt, .. } = math::svd(&math::triangular_factor(&codes, &code_means))?;
    Ok(Spectrum { variances: s.mapv(|v| v * v / (n as f64 - 1.0)), directions: vt.dot(&basis.t()) })
}
