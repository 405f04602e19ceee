//! Spherical k-means: k directions that maximise Σᵢ wᵢ · maxⱼ cos(xᵢ, cⱼ).
//!
//! Rows count by their direction alone: they are divided by their norms, and each centroid is the sum of its rows brought
//! back to the unit sphere. Between unit vectors ‖x − c‖² = 2 − 2 cos(x, c), so the nearest centroid is
//! the one of largest cosine, and neither step can raise the inertia Σ w(2 − 2 cos).
//!
//! **Use it** for text (tf-idf rows), embeddings and spectra, where length says how much and direction says what. **Do not
//! use it** where lengths matter, or where rows are near the origin: their direction is noise. A constant column is not neutral: it
//! turns all rows towards its axis.
//!
//! Cost: as [k-means](super); memory: a copy of the data, divided by its norms.
//!
//! Source: Dhillon & Modha, *Concept decompositions for large sparse text data using clustering*, Machine Learning 42 (2001).

use super::algorithm::Algorithm;
use super::lloyd::Lloyd;
use super::model::{CentroidSpec, KMeansModel};
use super::restarts::Starts;
use super::{Init, check_counts};
use crate::weights::RowWeights;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::Nearest;
use unsup_core::observe::Observer;
use unsup_core::{Error, Result, Seed, validate};

/// The hyper-parameters of spherical k-means; see the [module](self).
///
/// ```
/// use ndarray::array;
/// use unsup_clustering::SphericalKMeans;
/// use unsup_core::estimator::{Fit, Predict};
/// let x = array![[1.0, 0.1], [30.0, 1.0], [0.2, 2.0], [1.0, 90.0]];
/// let model = SphericalKMeans::new(2).seed(1).fit(&x)?;
/// let labels = model.predict(&array![[0.01, 0.0], [0.0, 1e6]])?;
/// assert_eq!((labels[0], labels[1]), (model.labels()[1], model.labels()[2]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SphericalKMeans {
    clusters: usize,
    init: Init,
    restarts: usize,
    max_iterations: usize,
    tolerance: f64,
    seed: Seed,
}

/// The directions that [`SphericalKMeans`] found. Rows asked about are divided by their norms; a distance is
/// that of unit vectors, √(2 − 2 cos).
pub type SphericalKMeansModel<F> = KMeansModel<F, SphericalKMeans>;

impl CentroidSpec for SphericalKMeans {
    const MODEL: &'static str = "SphericalKMeansModel";
    const DIRECTIONS: bool = true;
}

impl SphericalKMeans {
    /// `clusters` directions, greedy k-means++ seeds, one start, at most 300 iterations, a tolerance of 10⁻⁴ and seed 0.
    pub fn new(clusters: usize) -> Self {
        SphericalKMeans {
            clusters,
            init: Init::default(),
            restarts: 1,
            max_iterations: 300,
            tolerance: 1e-4,
            seed: Seed::default(),
        }
    }

    /// How the first directions are chosen; given centroids count by their direction.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// How many starts are made; the best is kept. At least 1.
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

    /// A start has converged when Σ‖Δc‖² ≤ tolerance / d, or when no label changes.
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
    ) -> Result<SphericalKMeansModel<F>> {
        let weights = RowWeights::of(weights, x.nrows())?;
        validate::table(x, "x")?;
        let unit = directions(x)?;
        let model = self.run(&weights.select(&unit)?, weights.values.as_deref(), observer)?;
        if weights.rows.is_some() { model.labelling(x) } else { Ok(model) }
    }

    /// x: rows of norm 1.
    fn run<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: Option<&[f64]>,
        observer: &mut dyn Observer,
    ) -> Result<SphericalKMeansModel<F>> {
        let (n, d) = x.dim();
        check_counts(
            "spherical k-means",
            n,
            self.clusters,
            self.restarts,
            self.max_iterations,
            self.tolerance,
        )?;
        self.init.check(self.clusters, d)?;
        let init = match &self.init {
            Init::Centroids(centroids) => Init::Centroids(directions(centroids)?),
            init => init.clone(),
        };
        let origin = vec![F::zero(); d];
        let task = "spherical k-means";
        let seed = self.seed.named(task);
        let starts = Starts {
            task,
            restarts: if matches!(init, Init::Centroids(_)) { 1 } else { self.restarts },
            max_iterations: self.max_iterations,
            tolerance: self.tolerance / d as f64,
            lloyd: &|| Lloyd::new(x, weights, &origin, self.clusters, Algorithm::Auto, true),
            centroids: &|start| init.centroids(x, weights, &origin, self.clusters, seed.indexed(start)),
        };
        let run = starts.best(n * d * self.clusters, observer)?;
        Ok(KMeansModel::of_run(self.clone(), Array1::from(origin), run))
    }
}

/// x: `[n, d]`.
///
/// # Errors
/// Those of k-means, and [`Error::Value`] for a row of zeros, which has no direction.
///
/// With fewer distinct directions than k some centroids coincide or stay without rows: the observer gets an
/// [`Event::Warning`](unsup_core::observe::Event::Warning), and the model's
/// [`distinct_clusters`](KMeansModel::distinct_clusters) says how many are in use.
impl<F: Nearest> Fit<ArrayRef2<F>> for SphericalKMeans {
    type Model = SphericalKMeansModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        validate::table(x, "x")?;
        self.run(&directions(x)?, None, observer)
    }
}

/// The rows divided by their norms.
pub(crate) fn directions<F: Nearest>(x: &ArrayRef2<F>) -> Result<Array2<F>> {
    let mut rows = x.to_owned();
    for (index, mut row) in rows.axis_iter_mut(Axis(0)).enumerate() {
        // divided by the largest value first: squares of large and of small numbers leave the range, and so may the norm itself
        let largest = row.iter().fold(0.0, |m, v| v.abs().f64().max(m));
        if largest == 0.0 {
            let allowed = "rows that are not zero: these have no direction";
            return Err(Error::Value { what: "x", index, value: "a row of zeros".into(), allowed });
        }
        let norm = row.iter().map(|v| (v.f64() / largest).powi(2)).sum::<f64>().sqrt();
        row.mapv_inplace(|v| F::of(v.f64() / largest / norm));
    }
    Ok(rows)
}
