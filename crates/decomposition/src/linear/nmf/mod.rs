//! Non-negative matrix factorisation: every row as a sum of few parts, with nothing taken away.
//!
//! X ≈ WH with W ≥ 0 `[n, k]`, the codes, and H ≥ 0 `[k, d]`, the components. Since parts only add up, they tend to be parts:
//! of a face, of a chord, topics of texts. What is minimised is a β-divergence ([`Loss`]) and, if asked for, penalties:
//!
//! Σ d(xᵢⱼ | (WH)ᵢⱼ) + αw·d·(r‖W‖₁ + ½(1 − r)‖W‖²) + αh·n·(r‖H‖₁ + ½(1 − r)‖H‖²)
//!
//! * [`Solver::CoordinateDescent`] (HALS), for the Frobenius loss: each row of a factor in turn to its exact minimum.
//! * [`Solver::Multiplicative`], for every loss: slower to converge, and zeros stay zeros.
//!
//! Neither can raise the objective; where they end depends on the start. [`MiniBatchNmf`] learns from streams.
//!
//! The default start, scikit-learn's, puts the mean of the data where the SVD has zeros, while factors grow as the root of the
//! data: in units in which the data are large it is far from the optimum and the stopping rule, relative to the first step, may end
//! there. Scale the data so that they are about 1, or take [`Start::Svd`].
//!
//! **Use it** for counts, intensities, spectra: non-negative data whose zero means nothing there. **Do not use it** for data
//! with an arbitrary origin (then [PCA](crate::pca)), or when the parts must be unique: factorisations rarely are.
//!
//! Cost of an iteration: coordinate descent 2·n·d·k multiply-adds in one pass over the data, multiplicative updates 4·n·d·k
//! (2 with the Frobenius loss). Memory beside the data: the factors and some k·d sums a thread. Of a sparse table the stored values
//! count in place of n·d, and its transpose is made once.
//!
//! Sources: Lee & Seung, *Algorithms for non-negative matrix factorization*, NIPS 2000; Cichocki & Phan, *Fast local algorithms
//! for large scale nonnegative matrix and tensor factorizations*, IEICE 92-A (2009), algorithm 2; Févotte & Idier, *Algorithms
//! for nonnegative matrix factorization with the β-divergence*, Neural Computation 23 (2011); Boutsidis & Gallopoulos, *SVD based
//! initialization*, Pattern Recognition 41 (2008). Stopping rules and the scale of penalties are scikit-learn's.

mod descent;
mod loss;
mod mini_batch;
mod mini_batch_model;
mod model;
mod multiplicative;
mod sparse;
mod start;
mod table;
mod tiles;

pub use loss::Loss;
pub use mini_batch::MiniBatchNmf;
pub use mini_batch_model::MiniBatchNmfModel;
pub use model::NmfModel;
pub use start::Start;

use descent::Penalty;
use loss::values;
use ndarray::{Array2, ArrayBase, ArrayRef2, Data, Ix2};
use serde::{Deserialize, Serialize};
use sparse::SparseTable;
use table::{Dense, Table};
use unsup_core::data::Sparse;
use unsup_core::estimator::Fit;
use unsup_core::math::{Mat, Panels};
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result, Seed, validate};

const METHOD: &str = "NMF";

/// How the factors are improved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Solver {
    /// Coordinate descent for the Frobenius loss, multiplicative updates for the others.
    #[default]
    Auto,
    /// Each row of a factor in turn to its exact minimum (HALS). For the Frobenius loss.
    CoordinateDescent,
    /// Multiplicative updates, for every loss.
    Multiplicative,
}

/// The hyper-parameters of NMF; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::Fit};
/// use unsup_decomposition::Nmf;
/// let iris = data::iris();
/// let model = Nmf::new(2).tolerance(1e-6).max_iterations(2000).fit(&iris.x)?;
/// assert!((model.reconstruction_error() - 3.94).abs() < 0.01);
/// assert!(model.components().iter().all(|&h| h >= 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nmf {
    components: usize,
    loss: Loss,
    solver: Solver,
    start: Start,
    alpha_codes: f64,
    alpha_components: f64,
    l1_ratio: f64,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

impl Nmf {
    /// `components` parts, the Frobenius loss, the solver that suits it, NNDSVDa, no penalties, at most 200 iterations, a
    /// tolerance of 10⁻⁴ and seed 0.
    pub fn new(components: usize) -> Self {
        Nmf {
            components,
            loss: Loss::default(),
            solver: Solver::default(),
            start: Start::default(),
            alpha_codes: 0.0,
            alpha_components: 0.0,
            l1_ratio: 0.0,
            max_iterations: 200,
            tolerance: 1e-4,
            seed: Seed::default(),
        }
    }

    /// What is minimised.
    #[must_use]
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// How it is minimised.
    #[must_use]
    pub fn solver(mut self, solver: Solver) -> Self {
        self.solver = solver;
        self
    }

    /// Where the factors start.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// The strength αw ≥ 0 of the codes' penalty, which is multiplied by d.
    #[must_use]
    pub fn alpha_codes(mut self, alpha: f64) -> Self {
        self.alpha_codes = alpha;
        self
    }

    /// The strength αh ≥ 0 of the components' penalty, which is multiplied by n.
    #[must_use]
    pub fn alpha_components(mut self, alpha: f64) -> Self {
        self.alpha_components = alpha;
        self
    }

    /// The share r of the L1 norm in both penalties, from 0 (squares only) to 1.
    #[must_use]
    pub fn l1_ratio(mut self, ratio: f64) -> Self {
        self.l1_ratio = ratio;
        self
    }

    /// The most iterations, of a fit and of the codes of a new row. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// Coordinate descent has converged when the violation of the optimality conditions is this fraction of the first
    /// iteration's; multiplicative updates when ten of them lower the error by less than this fraction of the start's. At 0
    /// they go on until nothing changes, or to the limit.
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

    fn descends(&self) -> bool {
        self.solver != Solver::Multiplicative && self.loss.beta() == 2.0
    }

    /// The penalties of codes and components.
    fn penalties(&self, n: usize, d: usize) -> (Penalty, Penalty) {
        let of = |alpha: f64, size: usize| Penalty {
            l1: alpha * size as f64 * self.l1_ratio,
            l2: alpha * size as f64 * (1.0 - self.l1_ratio),
        };
        (of(self.alpha_codes, d), of(self.alpha_components, n))
    }

    /// `[n, d]`: the table.
    fn check(&self, (n, d): (usize, usize)) -> Result<()> {
        for (name, value) in [("components", self.components), ("max_iterations", self.max_iterations)] {
            if value == 0 {
                return Err(Error::parameter(name, value, "at least 1"));
            }
        }
        validate::room("components", self.components, (n + d).saturating_add(self.components))?;
        let non_negative = |v: f64| v >= 0.0 && v.is_finite();
        for (name, value) in [
            ("alpha_codes", self.alpha_codes),
            ("alpha_components", self.alpha_components),
            ("tolerance", self.tolerance),
        ] {
            if !non_negative(value) {
                return Err(Error::parameter(name, value, "a finite number of at least 0"));
            }
        }
        if !(0.0..=1.0).contains(&self.l1_ratio) {
            return Err(Error::parameter("l1_ratio", self.l1_ratio, "from 0 to 1"));
        }
        if !self.loss.beta().is_finite() {
            return Err(Error::parameter("loss", self.loss.beta(), "a finite β"));
        }
        if self.solver == Solver::CoordinateDescent && self.loss.beta() != 2.0 {
            return Err(Error::parameter(
                "solver",
                "coordinate descent",
                "multiplicative updates for this loss",
            ));
        }
        Ok(())
    }

    /// A valid, non-negative table.
    fn check_table<F: Float>(&self, x: &ArrayRef2<F>) -> Result<()> {
        if self.loss.beta() <= 0.0 {
            validate::table_where(x, "x", "numbers above 0, which this loss needs", |v| v > F::zero())
        } else {
            validate::table_where(x, "x", "numbers of at least 0", |v| v >= F::zero())
        }
    }

    /// The codes of valid rows for fixed components. x: `[n, d]` row-major. Returns `[n, k]`.
    fn codes<F: Float>(&self, x: &ArrayRef2<F>, h: &Array2<F>) -> Array2<F> {
        use rayon::prelude::*;
        /// Rows whose problems are solved side by side.
        const ROWS: usize = 64;
        let (penalty, _) = self.penalties(x.nrows(), x.ncols());
        if !self.descends() {
            return multiplicative::codes(self.loss, x, h, penalty, self.tolerance, self.max_iterations);
        }
        let (k, d) = h.dim();
        let components = Panels::pack(Mat::new(values(h), k, d).t());
        let blocks: Vec<Vec<F>> = values(x)
            .par_chunks(ROWS * d)
            .map_init(Vec::new, |products, x| {
                let m = x.len() / d;
                descent::codes(m, h, penalty, self.tolerance, self.max_iterations, |cross| {
                    descent::cross_products(Mat::new(x, m, d), &components, &[], products, cross);
                })
            })
            .collect();
        Array2::from_shape_vec((x.nrows(), k), blocks.concat()).unwrap_or_default()
    }

    /// The same of a sparse table.
    fn sparse_codes<F: Float>(&self, x: &Sparse<F>, h: &Array2<F>) -> Array2<F> {
        let (penalty, _) = self.penalties(x.dim().0, x.dim().1);
        if self.descends() {
            sparse::descended(x, h, penalty, self.tolerance, self.max_iterations)
        } else {
            sparse::multiplied(self.loss, x, h, penalty, self.tolerance, self.max_iterations)
        }
    }

    /// A sparse table, and a loss that can be told from what it stores.
    fn check_sparse<F: Float>(&self, x: &Sparse<F>) -> Result<()> {
        if self.loss.beta() != 2.0 && self.loss.beta() != 1.0 {
            let allowed = "Frobenius or Kullback-Leibler for a sparse table";
            return Err(Error::parameter("loss", format!("{:?}", self.loss), allowed));
        }
        loss::non_negative(x)
    }

    /// The factors of a valid, non-negative table.
    fn factorise<F: Float>(&self, x: &dyn Table<F>, observer: &mut dyn Observer) -> Result<NmfModel<F>> {
        let (n, d) = x.dim();
        let (mut w, mut h) = self.start.factors(x, self.components, self.seed.named(METHOD))?;
        let (of_codes, of_components) = self.penalties(n, d);
        let penalty = |w: &Array2<F>, h: &Array2<F>| of_codes.of(w) + of_components.of(h);
        let _ = observer.observe(&Event::Started { task: METHOD, total: self.max_iterations });
        let mut history = History::new();
        let squares = if self.descends() { x.squares() } else { 0.0 };
        let error = |objective: f64| objective.max(0.0).sqrt();
        let (mut violation, mut last) = (None, None);
        if !self.descends() {
            last = Some(error(x.divergence(self.loss, &w, &h) + penalty(&w, &h)));
        }
        let first_error = last;
        for iteration in 1..=self.max_iterations {
            let (objective, converged) = if self.descends() {
                let pass = x.descend(&mut w, &h, of_codes);
                let moved = pass.violation + descent::components_turn(&mut h, &pass, of_components);
                let wide = h.mapv(F::f64);
                let loss = 0.5
                    * (squares - 2.0 * (&pass.cross * &wide).sum()
                        + (&pass.gram * &wide.dot(&wide.t())).sum());
                let first = *violation.get_or_insert(moved);
                (loss.max(0.0) + penalty(&w, &h), moved <= self.tolerance * first)
            } else {
                let parts = x.multiply(self.loss, &mut w, &h, of_codes);
                multiplicative::components_turn(self.loss, &mut h, &parts, of_components);
                let objective = x.divergence(self.loss, &w, &h) + penalty(&w, &h);
                let mut converged = false;
                if let (0, Some(before), Some(first)) = (iteration % 10, last, first_error) {
                    converged = self.tolerance > 0.0 && before - error(objective) < self.tolerance * first;
                    last = Some(error(objective));
                }
                (objective, converged)
            };
            history.record(objective, &[]);
            let event = Event::Progress { task: METHOD, done: iteration, objective, terms: &[] };
            if observer.observe(&event).is_break() {
                history.finish(Stop::Interrupted);
                break;
            }
            if converged {
                history.finish(Stop::Converged);
                break;
            }
        }
        let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
        let divergence = x.divergence(self.loss, &w, &h);
        Ok(NmfModel::new(self.clone(), w, h, divergence, history))
    }
}

/// x: `[n, d]`, at least 0. There may be more components than columns or rows.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::Cell`] for a negative value, and for a zero when β ≤ 0;
/// [`Error::Parameter`] for a hyper-parameter out of range; [`Error::Shape`] for given factors of another shape.
impl<F: Float> Fit<ArrayRef2<F>> for Nmf {
    type Model = NmfModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<NmfModel<F>> {
        self.check_table(x)?;
        self.check(x.dim())?;
        self.factorise(&Dense(&x.as_standard_layout()), observer)
    }
}

/// The same for owned arrays and views: with two kinds of table the compiler does not find its way to the one above.
impl<S: Data<Elem: Float>> Fit<ArrayBase<S, Ix2>> for Nmf {
    type Model = NmfModel<S::Elem>;

    fn fit_observed(&self, x: &ArrayBase<S, Ix2>, observer: &mut dyn Observer) -> Result<Self::Model> {
        let x: &ArrayRef2<S::Elem> = x;
        self.fit_observed(x, observer)
    }
}

/// x: `[n, d]`, at least 0, which stays sparse: only what is stored is visited, with the result that the dense table has, up to
/// rounding.
///
/// # Errors
/// As for a dense table, and [`Error::Parameter`] for a loss other than Frobenius and Kullback–Leibler.
impl<F: Float> Fit<Sparse<F>> for Nmf {
    type Model = NmfModel<F>;

    fn fit_observed(&self, x: &Sparse<F>, observer: &mut dyn Observer) -> Result<NmfModel<F>> {
        self.check(x.dim())?;
        self.check_sparse(x)?;
        self.factorise(&SparseTable::new(x), observer)
    }
}
