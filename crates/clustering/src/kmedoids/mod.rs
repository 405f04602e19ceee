//! k-medoids: k of the rows themselves that minimise the deviation Σᵢ wᵢ · minⱼ d(xᵢ, mⱼ), for any dissimilarity d.
//!
//! FasterPAM swaps a medoid for another row whenever that lowers the deviation, as soon as it finds such a swap, and ends
//! where no swap does: in a local minimum of the swap neighbourhood, which is that of PAM. One pass over the rows finds for a
//! candidate the best of all k medoids to give up, at the cost of one.
//!
//! **Use it** where a centre must be a row, where d is not Euclidean (edit distances, correlations, Manhattan distances
//! against outliers), or where only the dissimilarities are known. **Do not use it** for many rows: all n² dissimilarities are
//! held.
//!
//! Cost: n²·d for the dissimilarities, then n² a round of swaps, usually 2–4 rounds; memory: n².
//!
//! Sources: Kaufman & Rousseeuw, *Finding groups in data* (1990), chapter 2; Schubert & Rousseeuw, *Fast and eager
//! k-medoids clustering*, Information Systems 101 (2021), algorithm 4.

mod dissimilarity;
mod faster_pam;
mod model;

pub use dissimilarity::Dissimilarity;
pub use model::KMedoidsModel;

use crate::used::warn_of_unused;
use crate::weights::checked;
use faster_pam::{Medoids, build};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::Nearest;
use unsup_core::observe::{Event, Observer, Stop};
use unsup_core::{Error, Result, Seed, validate};

/// How k-medoids chooses its first medoids.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MedoidInit {
    /// k distinct rows of positive weight, drawn uniformly: what the authors of FasterPAM recommend.
    #[default]
    Random,
    /// BUILD of PAM: one medoid after another, each the row that lowers the deviation most. n²·k operations.
    Build,
    /// These rows, k different ones of positive weight.
    Rows(Vec<usize>),
}

/// The hyper-parameters of k-medoids; see the [module](self).
///
/// ```
/// use ndarray::array;
/// use unsup_clustering::{Dissimilarity, KMedoids};
/// use unsup_core::estimator::{Fit, Predict};
/// // the outlier moves no medoid away
/// let x = array![[0.0], [1.0], [2.0], [50.0], [51.0], [52.0], [9000.0]];
/// let model = KMedoids::new(3).dissimilarity(Dissimilarity::Manhattan).restarts(5).seed(1).fit(&x)?;
/// let mut medoids = model.medoids().to_vec();
/// medoids.sort();
/// assert_eq!(medoids, [1, 4, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KMedoids {
    clusters: usize,
    dissimilarity: Dissimilarity,
    init: MedoidInit,
    restarts: usize,
    max_iterations: usize,
    seed: Seed,
}

impl KMedoids {
    /// `clusters` medoids under the Euclidean distance, random first ones, one start, at most 100 rounds and seed 0.
    pub fn new(clusters: usize) -> Self {
        KMedoids {
            clusters,
            dissimilarity: Dissimilarity::default(),
            init: MedoidInit::default(),
            restarts: 1,
            max_iterations: 100,
            seed: Seed::default(),
        }
    }

    /// How unlike two rows are.
    #[must_use]
    pub fn dissimilarity(mut self, dissimilarity: Dissimilarity) -> Self {
        self.dissimilarity = dissimilarity;
        self
    }

    /// How the first medoids are chosen.
    #[must_use]
    pub fn init(mut self, init: MedoidInit) -> Self {
        self.init = init;
        self
    }

    /// How many random starts are made; the one of least deviation is kept. At least 1.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// The most rounds over all rows of one start. At least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    /// Learns from the dissimilarities of all pairs; the spec's own [`Dissimilarity`] is not asked. d: `[n, n]`, not
    /// negative; neither symmetry nor the triangle inequality is needed: d\[i, j\] is how unlike row i is to medoid j.
    ///
    /// The model has no rows to compare others with: its `predict` is an [`Error::Shape`].
    ///
    /// # Errors
    /// As [`fit`](Fit::fit); [`Error::Shape`] when d is not square, [`Error::Value`] for a negative entry, whose index is counted
    /// row after row.
    pub fn fit_dissimilarities<F: Nearest>(
        &self,
        d: &ArrayRef2<F>,
        observer: &mut dyn Observer,
    ) -> Result<KMedoidsModel<F>> {
        self.fit_pairs(d, vec![1.0; d.nrows()], observer)
    }

    /// As [`fit_dissimilarities`](Self::fit_dissimilarities), of rows that count `weights` times each. d: `[n, n]`, weights: `[n]`.
    ///
    /// # Errors
    /// As [`fit_dissimilarities`](Self::fit_dissimilarities) and [`fit_weighted`](Self::fit_weighted).
    pub fn fit_dissimilarities_weighted<F: Nearest>(
        &self,
        d: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
        observer: &mut dyn Observer,
    ) -> Result<KMedoidsModel<F>> {
        self.fit_pairs(d, checked(weights, d.nrows())?, observer)
    }

    /// Learns from rows that count `weights` times each. x: `[n, d]`, weights: `[n]`.
    ///
    /// A row of weight 0 is labelled, but changes no medoid and becomes none.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit), where k rows must have a positive weight; [`Error::Value`] for a weight that is negative or not
    /// finite, or when all are zero; [`Error::Shape`] when there is not one a row.
    pub fn fit_weighted<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &ArrayRef1<F>,
        observer: &mut dyn Observer,
    ) -> Result<KMedoidsModel<F>> {
        self.fit_rows(x, &checked(weights, x.nrows())?, observer)
    }

    fn fit_rows<F: Nearest>(
        &self,
        x: &ArrayRef2<F>,
        weights: &[f64],
        observer: &mut dyn Observer,
    ) -> Result<KMedoidsModel<F>> {
        validate::table(x, "x")?;
        self.check(weights)?;
        let pairs = self.dissimilarity.table(x, x)?;
        self.run(&pairs, weights, observer, |medoids| x.select(Axis(0), medoids))
    }

    fn fit_pairs<F: Nearest>(
        &self,
        d: &ArrayRef2<F>,
        weights: Vec<f64>,
        observer: &mut dyn Observer,
    ) -> Result<KMedoidsModel<F>> {
        validate::table(d, "dissimilarities")?;
        let (n, columns) = d.dim();
        if n != columns {
            return Err(Error::shape(
                "dissimilarities",
                "as many columns as rows",
                format!("{n} × {columns}"),
            ));
        }
        if let Some((index, value)) = d.iter().enumerate().find(|(_, v)| **v < F::zero()) {
            let allowed = "dissimilarities that are not negative";
            return Err(Error::Value { what: "dissimilarities", index, value: value.to_string(), allowed });
        }
        // a candidate's column is what the search reads: it becomes a row
        let transposed: Vec<F> = d.t().iter().copied().collect();
        self.check(&weights)?;
        self.run(&transposed, &weights, observer, |_| Array2::zeros((0, 0)))
    }

    fn run<F: Nearest>(
        &self,
        to: &[F],
        weights: &[f64],
        observer: &mut dyn Observer,
        rows_of: impl Fn(&[usize]) -> Array2<F>,
    ) -> Result<KMedoidsModel<F>> {
        let counted: Vec<usize> = (0..weights.len()).filter(|&row| weights[row] > 0.0).collect();
        let mut best: Option<Medoids<'_, F>> = None;
        for restart in 0..if self.init == MedoidInit::Random { self.restarts } else { 1 } {
            let seed = self.seed.named("k-medoids").indexed(restart);
            let first = match &self.init {
                MedoidInit::Random => {
                    let order = seed.permutation(counted.len());
                    order[..self.clusters].iter().map(|&at| counted[at]).collect()
                }
                MedoidInit::Build => build(to, weights, self.clusters),
                MedoidInit::Rows(rows) => rows.clone(),
            };
            let mut medoids = Medoids::new(to, weights, first);
            let _ = observer.observe(&Event::Started { task: "k-medoids", total: self.max_iterations });
            medoids.swap_until_none_helps(self.max_iterations, observer);
            let stop = medoids.history.stop();
            let _ = observer.observe(&Event::Finished { task: "k-medoids", stop });
            if best.as_ref().is_none_or(|b| medoids.deviation() < b.deviation()) {
                best = Some(medoids);
            }
            if stop == Stop::Interrupted {
                break;
            }
        }
        let found = best.ok_or_else(|| Error::parameter("restarts", 0, "at least 1"))?;
        let labels = found.labels();
        warn_of_unused("k-medoids", &labels, self.clusters, observer);
        Ok(KMedoidsModel {
            spec: self.clone(),
            rows: rows_of(&found.medoids),
            labels,
            deviation: found.deviation(),
            medoids: Array1::from(found.medoids),
            history: found.history,
        })
    }

    fn check(&self, weights: &[f64]) -> Result<()> {
        let positive = [
            ("clusters", self.clusters),
            ("restarts", self.restarts),
            ("max_iterations", self.max_iterations),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(Error::parameter(name, 0, "at least 1"));
            }
        }
        let (n, counted) = (weights.len(), weights.iter().filter(|&&w| w > 0.0).count());
        if counted < self.clusters {
            return Err(Error::TooFewRows { method: "k-medoids", needed: self.clusters, found: counted });
        }
        if n > u32::MAX as usize {
            return Err(Error::parameter("rows", n, "fewer than 2³²: all pairs are held"));
        }
        if let MedoidInit::Rows(rows) = &self.init {
            if rows.len() != self.clusters {
                let found = format!("{} rows", rows.len());
                return Err(Error::shape("initial medoids", format!("{} rows", self.clusters), found));
            }
            let unfit = |&i: &usize| rows[i] >= n || weights[rows[i]] == 0.0 || rows[..i].contains(&rows[i]);
            if let Some(at) = (0..rows.len()).find(unfit) {
                let allowed = "different rows of x, of positive weight";
                let value = rows[at].to_string();
                return Err(Error::Value { what: "initial medoids", index: at, value, allowed });
            }
        }
        Ok(())
    }
}

/// x: `[n, d]`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`] (with row and column); [`Error::TooFewRows`] when k > n; [`Error::Parameter`] for a
/// hyper-parameter out of range; [`Error::Shape`] and [`Error::Value`] for first medoids that are not k different rows;
/// [`Error::Numerical`] when a dissimilarity overflows or all pairs do not fit into memory; [`Error::Value`] for a row of zeros under the cosine.
///
/// With fewer distinct rows than k some medoids are equal rows; of those the first has all the rows, the others none, and the observer
/// gets an [`Event::Warning`].
impl<F: Nearest> Fit<ArrayRef2<F>> for KMedoids {
    type Model = KMedoidsModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        self.fit_rows(x, &vec![1.0; x.nrows()], observer)
    }
}
