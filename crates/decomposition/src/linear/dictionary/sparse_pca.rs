//! Sparse PCA: components of which most loadings are zero.
//!
//! min ½‖X_c − UV‖² + α‖V‖₁ with ‖U_t‖ ≤ 1 for the scores of each component: dictionary learning on the transposed table, in batch
//! or online.

use super::alternate::{codes_turn, first_atoms};
use super::sparse_pca_model::SparsePcaModel;
use super::{Alternation, Coding, DictionaryLearning, METHOD};
use crate::linear::signs::fix_signs;
use ndarray::{Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::Moments;
use unsup_core::observe::{Event, History, Observer};
use unsup_core::{Error, Float, Result, Seed, validate};

/// The hyper-parameters of sparse PCA; see the [module](super).
///
/// ```
/// use unsup_core::{data::{self, StandardScaler}, estimator::{Fit, Transform}};
/// use unsup_decomposition::SparsePca;
/// let x = StandardScaler::new().fit(&data::wine().x)?.transform(&data::wine().x)?;
/// let model = SparsePca::new(2).alpha(5.0).fit(&x)?;
/// let zeros = model.components().iter().filter(|&&v| v == 0.0).count();
/// assert!(zeros > 5); // of 26 loadings
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SparsePca {
    pub(super) components: usize,
    alpha: f64,
    pub(super) ridge: f64,
    start: Option<Array2<f64>>,
    batch: Option<usize>,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

impl SparsePca {
    /// `components` components, α = 1, a ridge of 0.01 for the scores, a start from singular vectors, all columns at once, at most 1000
    /// iterations, a tolerance of 10⁻⁸ and seed 0.
    pub fn new(components: usize) -> Self {
        SparsePca {
            components,
            alpha: 1.0,
            ridge: 0.01,
            start: None,
            batch: None,
            max_iterations: 1000,
            tolerance: 1e-8,
            seed: Seed::default(),
        }
    }

    /// The price α > 0 of a loading: the larger, the more of them are zero.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The ridge of the scores of [`transform`](unsup_core::estimator::Transform::transform), above 0: it keeps them finite where components
    /// depend on each other or are zero.
    #[must_use]
    pub fn ridge(mut self, ridge: f64) -> Self {
        self.ridge = ridge;
        self
    }

    /// The scores U to start from. `[n, k]`
    #[must_use]
    pub fn start(mut self, scores: Array2<f64>) -> Self {
        self.start = Some(scores);
        self
    }

    /// Learns the scores online, so many columns of x at a time: runs of columns in their order, each pass over them an iteration.
    /// For very wide tables, of which few passes tell enough; the last digits are the batch algorithm's. At least 1.
    ///
    /// ```
    /// use unsup_core::{data, estimator::Fit};
    /// use unsup_decomposition::SparsePca;
    /// let x = data::digits().x / 16.0; // 64 columns
    /// let online = SparsePca::new(5).batch(8).max_iterations(10).fit(&x)?;
    /// assert!(online.components().iter().any(|&v| v == 0.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn batch(mut self, columns: usize) -> Self {
        self.batch = Some(columns);
        self
    }

    /// The most iterations: pairs of turns, or passes over the columns. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// It has converged when an iteration lowers the objective by less than this fraction of it; online, when a pass moves the
    /// scores by less than this fraction of their length.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    /// `[n, d]`: the table.
    pub(super) fn check(&self, (n, d): (usize, usize)) -> Result<()> {
        for (name, value) in [
            ("components", self.components),
            ("batch", self.batch.unwrap_or(1)),
            ("max_iterations", self.max_iterations),
        ] {
            if value == 0 {
                return Err(Error::parameter(name, value, "at least 1"));
            }
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::parameter("tolerance", self.tolerance, "a finite number of at least 0"));
        }
        validate::room("components", self.components, (n + d).saturating_add(self.components))?;
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return Err(Error::parameter("ridge", self.ridge, "a finite number above 0"));
        }
        Coding::Lasso { alpha: self.alpha }.check()
    }

    /// The loadings, `[d, k]`, of all columns for the scores that batches of them have taught. columns: `[d, n]`, scores: `[k, n]`.
    fn online<F: Float>(
        &self,
        columns: &Array2<F>,
        scores: Array2<f64>,
        batch: usize,
        observer: &mut dyn Observer,
    ) -> Result<(Array2<F>, History)> {
        let learner = DictionaryLearning::new(self.components).alpha(self.alpha).start_from(scores);
        let learner = learner.max_iterations(self.max_iterations).tolerance(self.tolerance).seed(self.seed);
        let model = learner.online(columns, batch, observer)?;
        let mut loadings = Array2::zeros((columns.nrows(), self.components));
        codes_turn(columns, &mut loadings, model.atoms(), self.alpha);
        Ok((loadings, model.history().clone()))
    }
}

/// x: `[n, d]`, centred by the fit.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::Parameter`] for a hyper-parameter out of range; [`Error::Shape`] for a start of
/// another shape.
impl<F: Float> Fit<ArrayRef2<F>> for SparsePca {
    type Model = SparsePcaModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<SparsePcaModel<F>> {
        let means = Moments::of(x, "x")?.means;
        let (n, d) = x.dim();
        self.check((n, d))?;
        // a row a column of x
        let columns = Array2::from_shape_fn((d, n), |(j, i)| F::of(x[[i, j]].f64() - means[j]));
        let mut scores = match &self.start {
            None => first_atoms(&columns, self.components, self.seed.named("sparse PCA"))?,
            Some(start) if start.dim() != (n, self.components) => {
                let found = format!("{} × {}", start.nrows(), start.ncols());
                return Err(Error::shape("start", format!("{n} × {}", self.components), found));
            }
            Some(start) => {
                validate::table(start, "start")?;
                start.t().as_standard_layout().into_owned()
            }
        };
        let _ = observer.observe(&Event::Started { task: METHOD, total: self.max_iterations });
        let (loadings, history) = if let Some(batch) = self.batch {
            self.online(&columns, scores, batch, observer)?
        } else {
            let (alpha, max_iterations, tolerance) = (self.alpha, self.max_iterations, self.tolerance);
            let alternation = Alternation { alpha, max_iterations, tolerance, seed: self.seed };
            alternation.run(&columns, &mut scores, observer)
        };
        let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
        let mut components = fix_signs(loadings.t().mapv(F::f64));
        for mut component in components.axis_iter_mut(Axis(0)) {
            let length = component.dot(&component).sqrt();
            if length > 0.0 {
                component /= length;
            }
        }
        SparsePcaModel::new(self.clone(), means.mapv(F::of), components.mapv(F::of), history)
    }
}
