//! Sparse coding, dictionary learning and sparse PCA: rows as combinations of few atoms.
//!
//! * [`SparseCoder`]: the codes z of rows for atoms D that are given: the lasso, for one price or, as a [path](SparseCoder::path), for all,
//!   orthogonal matching pursuit, or ridge codes.
//! * [`DictionaryLearning`]: the atoms as well, min Σ ½‖x − zD‖² + α‖z‖₁ with ‖D_t‖ ≤ 1, by turns: each row's lasso from where
//!   its code is, then each atom's exact minimum. In batch neither turn raises the objective. Online
//!   ([`batch`](DictionaryLearning::batch), or [`start`](DictionaryLearning::start) and
//!   [`partial_fit`](DictionaryLearningModel::partial_fit)) the sums of the batches so far stand for their rows, older ones
//!   counting less, and the objective need not fall from batch to batch.
//! * [`SparsePca`]: the same with the parts exchanged: the components are sparse, and the scores of each are of length at most 1. Online
//!   ([`batch`](SparsePca::batch)) by columns of the table, a pass over them an iteration.
//!
//! **Use it** for denoising and features of patches and signals, for codes of which few are not zero; sparse PCA where components
//! must be read as few columns. **Do not use it** where an orthogonal basis will do: [PCA](crate::pca) is unique and a pass.
//!
//! Cost of an iteration: n·d·k multiply-adds for the correlations, n·k² at most a sweep of the lasso (rows are independent and
//! share the Gram matrix of the atoms), n·(d + k)·k for the sums, k²·d for the atoms. Memory: the codes, n·k numbers.
//!
//! Sources: Mairal, Bach, Ponce & Sapiro, *Online dictionary learning for sparse coding*, ICML 2009, algorithms 1 and 2; Zou, Hastie &
//! Tibshirani, *Sparse principal component analysis*, JCGS 15 (2006); Jenatton, Obozinski & Bach, *Structured sparse principal
//! component analysis*, AISTATS 2010, whose formulation it is; Friedman, Hastie & Tibshirani, *Regularization paths*, JSS 33 (2010),
//! for coordinate descent; Efron, Hastie, Johnstone & Tibshirani, *Least angle regression*, Annals of Statistics 32 (2004), for the path; Rubinstein, Zibulevsky & Elad, *Efficient implementation of the K-SVD algorithm* (2008), for pursuit.

mod alternate;
mod coder;
mod lars;
mod lasso;
mod model;
mod omp;
mod sparse_pca;
mod sparse_pca_model;

pub use coder::{Coding, SparseCoder};
pub use lars::LassoPath;
pub use model::DictionaryLearningModel;
pub use sparse_pca::SparsePca;
pub use sparse_pca_model::SparsePcaModel;

use alternate::{atoms_turn, codes_turn, first_atoms};
use ndarray::{Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result, Seed, validate};

const METHOD: &str = "dictionary learning";

/// The hyper-parameters of dictionary learning; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::{Fit, Transform}};
/// use unsup_decomposition::DictionaryLearning;
/// let x = data::digits().x / 16.0;
/// let model = DictionaryLearning::new(30).alpha(0.5).max_iterations(10).fit(&x)?;
/// let codes = model.transform(&x)?;
/// let used = codes.iter().filter(|&&z| z != 0.0).count() as f64 / 1797.0;
/// assert!(used < 10.0); // of 30 atoms
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DictionaryLearning {
    components: usize,
    alpha: f64,
    start: Option<Array2<f64>>,
    coding: Option<Coding>,
    batch: Option<usize>,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

impl DictionaryLearning {
    /// `components` atoms, α = 1, a start from singular vectors, the lasso for new rows, all rows at once, at most 1000
    /// iterations, a tolerance of 10⁻⁶ and seed 0.
    pub fn new(components: usize) -> Self {
        DictionaryLearning {
            components,
            alpha: 1.0,
            start: None,
            coding: None,
            batch: None,
            max_iterations: 1000,
            tolerance: 1e-6,
            seed: Seed::default(),
        }
    }

    /// The price α > 0 of a code, in squared units of the data over units of the code: of rows that correlate with no atom by more
    /// than α, all codes are zero.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The atoms to start from. `[k, d]`
    #[must_use]
    pub fn start_from(mut self, atoms: Array2<f64>) -> Self {
        self.start = Some(atoms);
        self
    }

    /// Which codes new rows get, when not those of the lasso with the α of the fit.
    #[must_use]
    pub fn coding(mut self, coding: Coding) -> Self {
        self.coding = Some(coding);
        self
    }

    /// Learns online, so many rows at a time: runs of rows in their order, each pass over them an iteration. At least 1.
    #[must_use]
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = Some(rows);
        self
    }

    /// The most iterations: pairs of turns, or passes over the rows. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// It has converged when an iteration lowers the objective by less than this fraction of it; online, when a pass moves the
    /// atoms by less than this fraction of their length.
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
    fn check(&self, (n, d): (usize, usize)) -> Result<()> {
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
        Coding::Lasso { alpha: self.alpha }.check()?;
        self.new_rows().check()
    }

    fn new_rows(&self) -> Coding {
        self.coding.unwrap_or(Coding::Lasso { alpha: self.alpha })
    }

    fn first<F: Float>(&self, x: &Array2<F>) -> Result<Array2<f64>> {
        let shape = (self.components, x.ncols());
        let Some(atoms) = &self.start else {
            return first_atoms(x, self.components, self.seed.named(METHOD));
        };
        if atoms.dim() != shape {
            let found = format!("{} × {}", atoms.nrows(), atoms.ncols());
            return Err(Error::shape("start", format!("{} × {}", shape.0, shape.1), found));
        }
        validate::table(atoms, "start")?;
        Ok(atoms.as_standard_layout().into_owned())
    }

    /// A model that has met one batch: the beginning of a stream. x: `[n, d]`.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit).
    pub fn start<F: Float>(&self, x: &ArrayRef2<F>) -> Result<DictionaryLearningModel<F>> {
        validate::table(x, "x")?;
        self.check(x.dim())?;
        let atoms = self.first(&x.as_standard_layout().into_owned())?;
        DictionaryLearningModel::new(self.clone(), atoms).partial_fit(x)
    }

    fn online<F: Float>(
        &self,
        x: &Array2<F>,
        rows: usize,
        observer: &mut dyn Observer,
    ) -> Result<DictionaryLearningModel<F>> {
        let mut model = DictionaryLearningModel::new(self.clone(), self.first(x)?);
        let mut history = History::new();
        for iteration in 1..=self.max_iterations {
            let before = model.atoms().clone();
            let cost: f64 =
                x.axis_chunks_iter(Axis(0), rows).map(|batch| model.step(&batch.to_owned())).sum();
            let moved = (&before - model.atoms()).mapv(|v| v * v).sum().sqrt();
            let converged = moved <= self.tolerance * before.mapv(|v| v * v).sum().sqrt();
            if told(&mut history, iteration, cost, converged, observer) {
                break;
            }
        }
        Ok(model.with_history(history))
    }
}

/// Records an iteration; whether it was the last.
fn told(
    history: &mut History,
    done: usize,
    objective: f64,
    converged: bool,
    observer: &mut dyn Observer,
) -> bool {
    history.record(objective, &[]);
    if observer.observe(&Event::Progress { task: METHOD, done, objective, terms: &[] }).is_break() {
        history.finish(Stop::Interrupted);
        return true;
    }
    if converged {
        history.finish(Stop::Converged);
    }
    converged
}

/// The settings that the batch algorithm shares with sparse PCA.
struct Alternation {
    alpha: f64,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

impl Alternation {
    /// Turns until the objective falls no more. x: `[n, d]` row-major, atoms: `[k, d]`. Returns the codes, `[n, k]`.
    fn run<F: Float>(
        &self,
        x: &Array2<F>,
        atoms: &mut Array2<f64>,
        observer: &mut dyn Observer,
    ) -> (Array2<F>, History) {
        let mut z = Array2::zeros((x.nrows(), atoms.nrows()));
        let (mut history, mut last) = (History::new(), f64::INFINITY);
        for iteration in 1..=self.max_iterations {
            let sums = codes_turn(x, &mut z, atoms, self.alpha);
            atoms_turn(atoms, &sums.a, &sums.b, x, self.seed.named("unused").indexed(iteration));
            let objective = sums.objective(atoms, self.alpha);
            let converged = last - objective <= self.tolerance * objective;
            last = objective;
            if told(&mut history, iteration, objective, converged, observer) {
                break;
            }
        }
        (z, history)
    }
}

/// x: `[n, d]`. There may be more atoms than rows or columns.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::Parameter`] for a hyper-parameter out of range; [`Error::Shape`] for a start of
/// another shape.
impl<F: Float> Fit<ArrayRef2<F>> for DictionaryLearning {
    type Model = DictionaryLearningModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        validate::table(x, "x")?;
        self.check(x.dim())?;
        let x = x.as_standard_layout().into_owned();
        let _ = observer.observe(&Event::Started { task: METHOD, total: self.max_iterations });
        let model = if let Some(rows) = self.batch {
            self.online(&x, rows, observer)?
        } else {
            let mut atoms = self.first(&x)?;
            let (alpha, max_iterations, tolerance) = (self.alpha, self.max_iterations, self.tolerance);
            let alternation = Alternation { alpha, max_iterations, tolerance, seed: self.seed };
            let (_, history) = alternation.run(&x, &mut atoms, observer);
            DictionaryLearningModel::new(self.clone(), atoms).with_history(history)
        };
        let _ = observer.observe(&Event::Finished { task: METHOD, stop: model.history().stop() });
        Ok(model)
    }
}
