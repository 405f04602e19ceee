//! k-means: k centroids that minimise the inertia Σᵢ wᵢ · minⱼ ‖xᵢ − cⱼ‖².
//!
//! Lloyd's algorithm alternates two exact steps, neither of which can raise the inertia: assign
//! each row to its nearest centroid, then move each centroid to the mean of its rows. It ends in a
//! local minimum, and which one depends on the start; hence k-means++ (seeds drawn far from each
//! other) and restarts, of which the best is kept.
//!
//! **Use it** for compact groups of similar spread, for quantisation, or as the start of a mixture.
//! **Do not use it** where groups are elongated, nested or of very different density, or where
//! columns have different units (scale them first): it will cut such groups along straight
//! lines between centroids, whatever the data say.
//!
//! Cost: n·k·d multiply-adds an iteration at most, usually 10–100 iterations; where groups are apart, bounds on the distances
//! ([`Algorithm`]) spare most of them without changing a bit of the result. Memory beside the data: the labels, two numbers a row when
//! there are bounds, and a few k × d sums. Rows are moved near the origin on the fly, sums are accumulated in
//! `f64` over fixed chunks: data at 10⁸ from the origin give the clusters they would give near it,
//! and the result has the same bits on any number of threads. Rows nearer to each other than 10⁻¹⁶² (10⁻²² in `f32`) are equal
//! rows: the square of their distance is no number above 0.
//!
//! Sources: Lloyd, *Least squares quantization in PCM*, IEEE Trans. Inf. Theory 28 (1982); Arthur &
//! Vassilvitskii, *k-means++: the advantages of careful seeding*, SODA 2007 (the greedy variant of
//! its section 5, as in scikit-learn). Stopping rule and default tolerance are scikit-learn's.

mod algorithm;
pub mod bisecting;
mod bisecting_model;
mod bounds;
mod chunk;
mod init;
mod lloyd;
pub mod mini_batch;
mod mini_batch_model;
mod model;
mod movement;
mod parallel;
mod restarts;
mod seeding;
pub mod spherical;

pub use algorithm::Algorithm;
pub use bisecting::{BisectingKMeans, Cut};
pub use bisecting_model::BisectingKMeansModel;
pub use init::Init;
pub use mini_batch::MiniBatchKMeans;
pub use mini_batch_model::MiniBatchKMeansModel;
pub use model::{CentroidSpec, KMeansModel};
pub use seeding::greedy_kmeans_plus_plus;
pub(crate) use spherical::directions;
pub use spherical::{SphericalKMeans, SphericalKMeansModel};

use crate::weights::{RowWeights, weighted_moments};
use lloyd::Lloyd;
use ndarray::{Array1, ArrayRef1, ArrayRef2};
use restarts::Starts;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::{Moments, Nearest};
use unsup_core::observe::Observer;
use unsup_core::{Error, Result, Seed};

/// The hyper-parameters of k-means; see the [module](self).
///
/// ```
/// use unsup_clustering::{Init, KMeans};
/// use unsup_core::{data, estimator::Fit, metrics};
/// let digits = data::digits();
/// let model = KMeans::new(10).init(Init::KMeansPlusPlus).restarts(3).seed(7).fit(&digits.x)?;
/// assert!(model.history().converged());
/// assert!(metrics::adjusted_rand(&digits.labels, model.labels())? > 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KMeans {
    clusters: usize,
    init: Init,
    #[serde(default)]
    algorithm: Algorithm,
    restarts: usize,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

impl KMeans {
    /// k-means with `clusters` centroids, greedy k-means++ seeds, one start, at most 300 iterations, a
    /// tolerance of 10⁻⁴ and seed 0.
    pub fn new(clusters: usize) -> Self {
        KMeans {
            clusters,
            init: Init::default(),
            algorithm: Algorithm::default(),
            restarts: 1,
            max_iterations: 300,
            tolerance: 1e-4,
            seed: Seed::default(),
        }
    }

    /// How the first centroids are chosen.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// How rows are assigned: a matter of time, not of the result.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// How many starts are made; the one of least inertia is kept. At least 1. Given centroids
    /// are started from once.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// The most iterations of one start. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// A start has converged when the centroids move by less than this in total: Σ‖Δc‖² ≤ tolerance
    /// × the mean (weighted) variance of the columns; or when no label changes. At 0 only the latter counts.
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

    /// Learns from rows that count `weights` times each. x: `[n, d]`, weights: `[n]`.
    ///
    /// A row of weight 0 is labelled and otherwise as good as not there.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit), for the rows of positive weight; [`Error::Value`] for a weight that is negative or not finite, or
    /// when all are zero; [`Error::Shape`] when there is not one a row.
    pub fn fit_weighted<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
        observer: &mut dyn Observer,
    ) -> Result<KMeansModel<F>> {
        let weights = RowWeights::of(weights, x.nrows())?;
        let model = self.run(&weights.select(x)?, weights.values.as_deref(), observer)?;
        if weights.rows.is_some() { model.labelling(x) } else { Ok(model) }
    }

    /// Weights: above zero.
    pub(crate) fn run<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: Option<&[f64]>,
        observer: &mut dyn Observer,
    ) -> Result<KMeansModel<F>> {
        let Moments { means, variances } = finite_moments(x, weights, "k-means")?;
        let (n, d) = x.dim();
        check_counts("k-means", n, self.clusters, self.restarts, self.max_iterations, self.tolerance)?;
        self.init.check(self.clusters, d)?;
        let shift: Vec<F> = means.iter().map(|&m| F::of(m)).collect();
        let tolerance = self.tolerance * variances.mean().unwrap_or(0.0);
        let restarts = if matches!(self.init, Init::Centroids(_)) { 1 } else { self.restarts };
        let seed = self.seed.named("k-means");
        let starts = Starts {
            task: "k-means",
            restarts,
            max_iterations: self.max_iterations,
            tolerance,
            lloyd: &|| Lloyd::new(x, weights, &shift, self.clusters, self.algorithm, false),
            centroids: &|start| self.init.centroids(x, weights, &shift, self.clusters, seed.indexed(start)),
        };
        let run = starts.best(n * d * self.clusters, observer)?;
        Ok(KMeansModel::of_run(self.clone(), Array1::from(shift), run))
    }
}

impl CentroidSpec for KMeans {
    const MODEL: &'static str = "KMeansModel";
}

/// The hyper-parameters that all methods of this family share.
fn check_counts(
    method: &'static str,
    rows: usize,
    clusters: usize,
    restarts: usize,
    max_iterations: usize,
    tolerance: f64,
) -> Result<()> {
    // the kernel counts registers of candidates in single precision
    if clusters == 0 || clusters > 1 << 24 {
        return Err(Error::parameter("clusters", clusters, "at least 1 and at most 2²⁴"));
    }
    if restarts == 0 {
        return Err(Error::parameter("restarts", 0, "at least 1"));
    }
    if max_iterations == 0 {
        return Err(Error::parameter("max_iterations", 0, "at least 1"));
    }
    if !(tolerance.is_finite() && tolerance >= 0.0) {
        return Err(Error::parameter("tolerance", tolerance, "a finite number, at least 0"));
    }
    if rows < clusters {
        return Err(Error::TooFewRows { method, needed: clusters, found: rows });
    }
    Ok(())
}

/// The (weighted) moments of a valid table whose squared distances fit the element type.
fn finite_moments<F: Nearest>(
    x: &ArrayRef2<F>,
    weights: Option<&[f64]>,
    method: &'static str,
) -> Result<Moments> {
    let moments = Moments::of(x, "x")?;
    // no two rows are farther apart than this, squared
    let farthest = 2.0 * x.nrows() as f64 * moments.variances.sum();
    if farthest.is_nan() || farthest >= F::max_value().f64() {
        return Err(overflow::<F>(method, farthest));
    }
    let Some(weights) = weights else { return Ok(moments) };
    if !(farthest * weights.iter().sum::<f64>()).is_finite() {
        let problem = "weights times squared distances overflow f64; scale the weights down".to_owned();
        return Err(Error::Numerical { method, problem });
    }
    Ok(weighted_moments(x, weights, moments.means.as_slice().unwrap_or_default()))
}

fn overflow<F: Nearest>(method: &'static str, farthest: f64) -> Error {
    let problem =
        format!("squared distances up to {farthest:e} overflow {}; scale the columns down", F::NAME);
    Error::Numerical { method, problem }
}

/// x: `[n, d]`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`] (with row and column); [`Error::TooFewRows`] when k > n;
/// [`Error::Parameter`] for a hyper-parameter out of range; [`Error::Shape`] when given centroids
/// are not k × d; [`Error::Numerical`] when squared distances overflow the element type.
///
/// With fewer distinct rows than k some centroids coincide or stay without rows: the observer gets an
/// [`Event::Warning`](unsup_core::observe::Event::Warning), and the model's
/// [`distinct_clusters`](KMeansModel::distinct_clusters) says how many are in use.
impl<F: Nearest> Fit<ArrayRef2<F>> for KMeans {
    type Model = KMeansModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<KMeansModel<F>> {
        self.run(x, None, observer)
    }
}
