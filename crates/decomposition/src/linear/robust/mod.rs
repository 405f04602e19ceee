//! Robust PCA: a table as a low-rank part plus a sparse part, however large the sparse errors are.
//!
//! Principal component pursuit: min ‖L‖_* + λ‖S‖₁ with L + S = X, the sum of the singular values of L plus the absolute values of
//! S. When the directions of L are spread over many columns and rows, and the errors S lie at random, both are recovered exactly
//! (Candès et al., theorem 1.1), with λ = 1/√max(n, d) and nothing to tune.
//!
//! Solved by alternating directions: with the multipliers Y and the price μ of a residual,
//!
//! L ← D_{1/μ}(X − S + Y/μ), S ← S_{λ/μ}(X − L + Y/μ), Y ← Y + μ(X − L − S),
//!
//! where D shrinks singular values and S values. μ follows the residuals at first and then stays, so that where it ends is the
//! optimum of every table. (The inexact augmented Lagrangian method, whose μ grows without end, takes fewer iterations and ends
//! there only when the table is low-rank plus sparse.)
//!
//! **Use it** for tables with gross errors or outliers in single values: video (background and what moves), corrupted
//! measurements. **Do not use it** for small dense noise alone ([PCA](crate::pca)), or when whole rows are outliers.
//!
//! Cost of an iteration: a thin SVD of `[n, d]`, by a triangular factor of the longer side and the SVD of that: 4·n·d·min(n, d)
//! multiply-adds in parallel and some 20·min(n, d)³ on one thread.
//! Memory: five tables like the data, in `f64`.
//!
//! Sources: Candès, Li, Ma & Wright, *Robust principal component analysis?*, J. ACM 58 (2011); Boyd, Parikh, Chu, Peleato & Eckstein,
//! *Distributed optimization and statistical learning via the alternating direction method of multipliers* (2011), sections 3.3 and 3.4.

mod model;
mod pursuit;

pub use model::RobustPcaModel;

use ndarray::ArrayRef2;
use pursuit::Pursuit;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result, validate};

const METHOD: &str = "robust PCA";

/// The hyper-parameters of robust PCA; see the [module](self).
///
/// ```
/// use ndarray::Array2;
/// use unsup_core::estimator::Fit;
/// use unsup_decomposition::RobustPca;
/// // rank 1, and every 17th value is wrong by a lot
/// let low = Array2::from_shape_fn((40, 30), |(i, j)| (i as f64 / 5.0).sin() * (1.0 + (j as f64 / 7.0).cos()));
/// let mut x = low.clone();
/// x.iter_mut().step_by(17).for_each(|v| *v += 50.0);
/// let model = RobustPca::new().fit(&x)?;
/// assert_eq!(model.rank(), 1);
/// assert!((model.low_rank() - &low).iter().all(|e| e.abs() < 1e-5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RobustPca {
    lambda: Option<f64>,
    max_iterations: usize,
    tolerance: f64,
}

impl Default for RobustPca {
    fn default() -> Self {
        RobustPca { lambda: None, max_iterations: 1000, tolerance: 1e-7 }
    }
}

impl RobustPca {
    /// λ = 1/√max(n, d), at most 1000 iterations, a tolerance of 10⁻⁷.
    pub fn new() -> Self {
        Self::default()
    }

    /// The price λ > 0 of a sparse value against a singular value: the larger, the sparser S.
    #[must_use]
    pub fn lambda(mut self, lambda: f64) -> Self {
        self.lambda = Some(lambda);
        self
    }

    /// The most iterations. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// It has converged when ‖X − L − S‖ is at most this fraction of ‖X‖, and the step of S, times μ, this fraction of ‖Y‖.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    fn check(&self) -> Result<()> {
        if let Some(lambda) = self.lambda.filter(|l| !(*l > 0.0 && l.is_finite())) {
            return Err(Error::parameter("lambda", lambda, "a finite number above 0"));
        }
        if self.max_iterations == 0 {
            return Err(Error::parameter("max_iterations", 0, "at least 1"));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::parameter("tolerance", self.tolerance, "a finite number of at least 0"));
        }
        Ok(())
    }
}

/// x: `[n, d]`. Nothing is subtracted: a mean row is part of L, of rank 1.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::Parameter`] for a hyper-parameter out of range.
impl<F: Float> Fit<ArrayRef2<F>> for RobustPca {
    type Model = RobustPcaModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<RobustPcaModel<F>> {
        validate::table(x, "x")?;
        self.check()?;
        let (n, d) = x.dim();
        let x = x.mapv(F::f64).as_standard_layout().into_owned();
        let lambda = self.lambda.unwrap_or(1.0 / (n.max(d) as f64).sqrt());
        let _ = observer.observe(&Event::Started { task: METHOD, total: self.max_iterations });
        let mut history = History::new();
        let mut pursuit = Pursuit::new(&x, lambda);
        for iteration in 1..=self.max_iterations {
            let [residual, dual] = pursuit.iterate(&x)?;
            let (rank, nonzeros) = (pursuit.rank() as f64, pursuit.nonzeros() as f64);
            history.record(residual, &[("dual", dual), ("rank", rank), ("nonzeros", nonzeros)]);
            let event = Event::Progress { task: METHOD, done: iteration, objective: residual, terms: &[] };
            if observer.observe(&event).is_break() {
                history.finish(Stop::Interrupted);
                break;
            }
            if residual.max(dual) <= self.tolerance {
                history.finish(Stop::Converged);
                break;
            }
        }
        let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
        Ok(RobustPcaModel::new(self.clone(), pursuit, lambda, history))
    }
}
