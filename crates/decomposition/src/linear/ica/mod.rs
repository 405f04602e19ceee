//! Independent component analysis by FastICA: sources that are as independent, that is as little Gaussian, as can be.
//!
//! The rows are x = As + mean for unknown independent sources s and an unknown mixing A. After whitening (z = K(x − mean) has
//! covariance I) what is left of A is a rotation, and each row w of the unmixing W is found as an extremum of the non-Gaussianity
//! of wᵀz, by the fixed point
//!
//! w ← E\[z g(wᵀz)\] − E\[g′(wᵀz)\] w, made orthogonal to the other rows.
//!
//! * [`Algorithm::Parallel`]: all rows together, W ← (WWᵀ)^(−½)W after each step. No source is privileged.
//! * [`Algorithm::Deflation`]: one after the other; errors of the first go into the later ones.
//!
//! **Use it** to separate what was mixed linearly: signals of several sensors, spectra, independent factors. **Do not use it** for
//! sources that are Gaussian (at most one can be), or to compress ([PCA](crate::pca)). Order, sign and scale of the sources are
//! not determined: here their variance is 1.
//!
//! Cost: n·d²/2 multiply-adds to whiten by the covariance, 2·n·d² where it is ill-conditioned; an iteration: 4·n·k² multiply-adds and n·k values of g, in one pass over the whitened rows. Memory: those, n·k numbers.
//!
//! Sources: Hyvärinen, *Fast and robust fixed-point algorithms for independent component analysis*, IEEE Trans. Neural Networks 10
//! (1999), equations 20 and 21; Hyvärinen, Karhunen & Oja, *Independent component analysis* (2001), tables 8.3 and 8.4.

mod model;
mod pass;
mod whiten;

pub use model::FastIcaModel;
pub use pass::Contrast;

use ndarray::{Array1, Array2, ArrayRef2, ArrayView1, Axis};
use pass::fixed_point;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use unsup_core::estimator::Fit;
use unsup_core::math::{self, Eigen, Elementary};
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result, Seed, validate};
use whiten::Whitening;

const METHOD: &str = "FastICA";

/// In what order the rows of the unmixing are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// Together, with symmetric decorrelation.
    #[default]
    Parallel,
    /// One after the other, each orthogonal to those before.
    Deflation,
}

/// The hyper-parameters of FastICA; see the [module](self).
///
/// ```
/// use ndarray::{Array2, array};
/// use unsup_core::estimator::{Fit, Transform};
/// use unsup_decomposition::FastIca;
/// // a tone and a square wave, each microphone hears both
/// let sources = Array2::from_shape_fn((1000, 2), |(i, j)| {
///     let t = i as f64 / 100.0;
///     if j == 0 { (7.0 * t).sin() } else { (11.0 * t).sin().signum() }
/// });
/// let heard = sources.dot(&array![[1.0, 0.4], [0.6, 1.0]]);
/// let found = FastIca::new().fit(&heard)?.transform(&heard)?;
/// // one of the two found is the square wave: of modulus 1 everywhere
/// let flat = |j: usize| found.column(j).iter().all(|v| (v.abs() - 1.0).abs() < 0.2);
/// assert!(flat(0) != flat(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FastIca {
    components: Option<usize>,
    algorithm: Algorithm,
    contrast: Contrast,
    start: Option<Array2<f64>>,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

impl Default for FastIca {
    fn default() -> Self {
        FastIca {
            components: None,
            algorithm: Algorithm::default(),
            contrast: Contrast::default(),
            start: None,
            max_iterations: 200,
            tolerance: 1e-4,
            seed: Seed::default(),
        }
    }
}

impl FastIca {
    /// As many components as the data have directions of variance, all in parallel, the log cosh contrast, a random start, at most
    /// 200 iterations, a tolerance of 10⁻⁴ and seed 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the `count` directions of greatest variance before unmixing: from 1 to the rank of the data.
    #[must_use]
    pub fn components(mut self, count: usize) -> Self {
        self.components = Some(count);
        self
    }

    /// Together or one after the other.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// How non-Gaussianity is measured.
    #[must_use]
    pub fn contrast(mut self, contrast: Contrast) -> Self {
        self.contrast = contrast;
        self
    }

    /// The unmixing of the whitened rows to start from, `[k, k]`, of full rank; whitened directions go from the greatest variance
    /// down, with the sign that makes the first loading beyond 10⁻⁹ positive. Without it the start is Gaussian.
    #[must_use]
    pub fn start(mut self, unmixing: Array2<f64>) -> Self {
        self.start = Some(unmixing);
        self
    }

    /// The most iterations; of deflation, for each component. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// It has converged when the cosine between each direction and its last one differs from 1 by less than this.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Where the random start comes from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    fn check(&self, n: usize, d: usize) -> Result<()> {
        if n < 2 {
            return Err(Error::TooFewRows { method: METHOD, needed: 2, found: n });
        }
        if let Some(k) = self.components.filter(|&k| k == 0 || k > n.min(d)) {
            let allowed = "at least 1 and at most the smaller of rows and columns";
            return Err(Error::parameter("components", k, allowed));
        }
        if self.max_iterations == 0 {
            return Err(Error::parameter("max_iterations", 0, "at least 1"));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::parameter("tolerance", self.tolerance, "a finite number of at least 0"));
        }
        self.contrast.check()
    }

    fn first(&self, k: usize) -> Result<Array2<f64>> {
        let Some(start) = &self.start else {
            let draws = self.seed.named(METHOD).normals(k * k);
            return Ok(Array2::from_shape_vec((k, k), draws).unwrap_or_default());
        };
        if start.dim() != (k, k) {
            let found = format!("{} × {}", start.nrows(), start.ncols());
            return Err(Error::shape("start", format!("{k} × {k}"), found));
        }
        validate::table(start, "start")?;
        let spectrum = math::svd(start)?.s;
        if spectrum[k - 1] <= 1e-12 * spectrum[0] {
            return Err(Error::parameter("start", "a singular matrix", "a matrix of full rank"));
        }
        Ok(start.clone())
    }

    /// All rows together.
    fn parallel<F: Float + Elementary>(
        &self,
        z: &Array2<F>,
        start: Array2<f64>,
        watch: &mut Watch<'_>,
    ) -> Result<Array2<f64>> {
        let mut w = decorrelated(&start)?;
        for _ in 0..self.max_iterations {
            let next = decorrelated(&fixed_point(z, &w, self.contrast))?;
            let turned = (&next * &w).sum_axis(Axis(1)).fold(0.0_f64, |m, c| m.max((c.abs() - 1.0).abs()));
            w = next;
            if watch.record(turned).is_break() {
                break;
            }
            if turned < self.tolerance {
                watch.history.finish(Stop::Converged);
                break;
            }
        }
        Ok(w)
    }

    /// One row after the other, each orthogonal to those before.
    fn deflation<F: Float + Elementary>(
        &self,
        z: &Array2<F>,
        mut w: Array2<f64>,
        watch: &mut Watch<'_>,
    ) -> Array2<f64> {
        let (mut converged, mut interrupted) = (true, false);
        for j in 0..w.nrows() {
            // a start need not be orthogonal to what was found; every step from it is
            let mut row = orthogonal(w.row(j), &w, if interrupted { j } else { 0 });
            let mut settled = false;
            for _ in 0..if interrupted { 0 } else { self.max_iterations } {
                let step = fixed_point(z, &row.clone().insert_axis(Axis(0)), self.contrast);
                let next = orthogonal(step.row(0), &w, j);
                let turned = (next.dot(&row).abs() - 1.0).abs();
                row = next;
                if watch.record(turned).is_break() {
                    interrupted = true;
                    break;
                }
                if turned < self.tolerance {
                    settled = true;
                    break;
                }
            }
            converged &= settled;
            w.row_mut(j).assign(&row);
        }
        if converged {
            watch.history.finish(Stop::Converged);
        }
        w
    }
}

/// The history, and whoever watches it grow.
struct Watch<'a> {
    history: History,
    observer: &'a mut dyn Observer,
}

impl Watch<'_> {
    fn record(&mut self, objective: f64) -> ControlFlow<()> {
        self.history.record(objective, &[]);
        let done = self.history.iterations();
        let told = self.observer.observe(&Event::Progress { task: METHOD, done, objective, terms: &[] });
        if told.is_break() {
            self.history.finish(Stop::Interrupted);
        }
        told
    }
}

/// (WWᵀ)^(−½)·W.
fn decorrelated(w: &Array2<f64>) -> Result<Array2<f64>> {
    let Eigen { values, vectors } = math::symmetric_eigen(&w.dot(&w.t()))?;
    let inverse_roots = values.mapv(|v| 1.0 / v.max(f64::MIN_POSITIVE).sqrt()).insert_axis(Axis(1));
    Ok(vectors.t().dot(&(&inverse_roots * &vectors)).dot(w))
}

/// v orthogonal to the first j rows of w, of length 1; twice, so that rounding leaves no rest.
fn orthogonal(v: ArrayView1<'_, f64>, w: &Array2<f64>, j: usize) -> Array1<f64> {
    let mut v = v.to_owned();
    for _ in 0..2 {
        for row in w.rows().into_iter().take(j) {
            let share = v.dot(&row);
            v.scaled_add(-share, &row);
        }
        let length = v.dot(&v).sqrt();
        if length > 0.0 {
            v /= length;
        }
    }
    v
}

/// x: `[n, d]`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::TooFewRows`] for one row; [`Error::Parameter`] for a hyper-parameter out of range;
/// [`Error::Shape`] for a start of another shape; [`Error::Numerical`] for constant data, and when more components are asked
/// for than there are directions of variance.
impl<F: Float + Elementary> Fit<ArrayRef2<F>> for FastIca {
    type Model = FastIcaModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<FastIcaModel<F>> {
        validate::table(x, "x")?;
        self.check(x.nrows(), x.ncols())?;
        let whitening = Whitening::of(x, self.components)?;
        let start = self.first(whitening.directions.nrows())?;
        let z = whitening.whiten(x);
        let _ = observer.observe(&Event::Started { task: METHOD, total: self.max_iterations });
        let mut watch = Watch { history: History::new(), observer };
        let unmixing = match self.algorithm {
            Algorithm::Parallel => self.parallel(&z, start, &mut watch)?,
            Algorithm::Deflation => self.deflation(&z, start, &mut watch),
        };
        let Watch { history, observer } = watch;
        let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
        Ok(FastIcaModel::new(self.clone(), whitening, &unmixing, history))
    }
}
