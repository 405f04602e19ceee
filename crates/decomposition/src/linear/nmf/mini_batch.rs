//! NMF by small batches, and of streams.
//!
//! The codes of a batch take a multiplicative step; the components' step is made of the parts of the gradient of all
//! batches so far, in which those before count ρ: A ← ρA + H∘N, B ← ρB + D, H ← (A/B), where N and D are the numerator and the
//! denominator of the [multiplicative update](super::Solver::Multiplicative). With ρ = 0 and one batch of all rows this is NMF by
//! multiplicative updates.
//!
//! **Use it** where the data are too many for a pass an iteration, or come as a stream ([`start`](MiniBatchNmf::start), then
//! [`partial_fit`](MiniBatchNmfModel::partial_fit)). **Do not use it** where the data fit in memory: coordinate descent on all
//! rows ends lower, and soon.
//!
//! Source: Lefèvre, Bach & Févotte, *Online algorithms for nonnegative matrix factorization with the Itakura–Saito divergence*,
//! WASPAA 2011; the forgetting ρ = f^(batch / n) is scikit-learn's.

use super::mini_batch_model::MiniBatchNmfModel;
use super::table::Dense;
use super::{Loss, Nmf, Solver, Start};
use ndarray::{ArrayRef2, s};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result, Seed};

const METHOD: &str = "mini-batch NMF";

/// The hyper-parameters of mini-batch NMF; see the [module](super).
///
/// ```
/// use unsup_core::{data, estimator::Fit};
/// use unsup_decomposition::{MiniBatchNmf, Nmf};
/// let x = data::digits().x;
/// let model = MiniBatchNmf::new(16).batch(256).fit(&x)?;
/// assert!(model.error(&x)? < 1.2 * Nmf::new(16).fit(&x)?.reconstruction_error());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MiniBatchNmf {
    pub(super) nmf: Nmf,
    batch: usize,
    pub(super) forgetting: f64,
}

impl MiniBatchNmf {
    /// `components` parts, the Frobenius loss, NNDSVDa, no penalties, batches of 1024 rows, a forgetting of 0.7, at most 200
    /// passes over the rows, a tolerance of 10⁻⁴ and seed 0.
    pub fn new(components: usize) -> Self {
        let nmf = Nmf::new(components).solver(Solver::Multiplicative);
        MiniBatchNmf { nmf, batch: 1024, forgetting: 0.7 }
    }

    /// What is minimised.
    #[must_use]
    pub fn loss(mut self, loss: Loss) -> Self {
        self.nmf.loss = loss;
        self
    }

    /// Where the factors start; of a stream, those of its first batch.
    #[must_use]
    pub fn start_from(mut self, start: Start) -> Self {
        self.nmf.start = start;
        self
    }

    /// As [`Nmf::alpha_codes`].
    #[must_use]
    pub fn alpha_codes(mut self, alpha: f64) -> Self {
        self.nmf.alpha_codes = alpha;
        self
    }

    /// As [`Nmf::alpha_components`], multiplied by the rows of a batch.
    #[must_use]
    pub fn alpha_components(mut self, alpha: f64) -> Self {
        self.nmf.alpha_components = alpha;
        self
    }

    /// As [`Nmf::l1_ratio`].
    #[must_use]
    pub fn l1_ratio(mut self, ratio: f64) -> Self {
        self.nmf.l1_ratio = ratio;
        self
    }

    /// How many rows a step takes. At least 1.
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// What is left of the batches so far after a pass over the rows (of a stream: after each batch), from 0, which forgets them
    /// at once, to 1.
    #[must_use]
    pub fn forgetting(mut self, forgetting: f64) -> Self {
        self.forgetting = forgetting;
        self
    }

    /// The most passes over the rows, and the most iterations for the codes of a new row. At least 1.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.nmf.max_iterations = epochs;
        self
    }

    /// The fit has converged when a pass over the rows changes the components by less than this fraction of their length; the
    /// codes of a new row as those of [`Nmf`] do.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.nmf.tolerance = tolerance;
        self
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.nmf.seed = seed.into();
        self
    }

    /// `[n, d]`: the table.
    pub(super) fn check(&self, table: (usize, usize)) -> Result<()> {
        self.nmf.check(table)?;
        if self.batch == 0 {
            return Err(Error::parameter("batch", 0, "at least 1"));
        }
        if !(0.0..=1.0).contains(&self.forgetting) {
            return Err(Error::parameter("forgetting", self.forgetting, "from 0 to 1"));
        }
        Ok(())
    }

    /// A model that has met one batch: the beginning of a stream. x: `[n, d]`, at least 0.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit).
    pub fn start<F: Float>(&self, x: &ArrayRef2<F>) -> Result<MiniBatchNmfModel<F>> {
        self.nmf.check_table(x)?;
        self.check(x.dim())?;
        let seed = self.nmf.seed.named(METHOD);
        let (_, h) = self.nmf.start.factors(&Dense(&x.as_standard_layout()), self.nmf.components, seed)?;
        MiniBatchNmfModel::new(self.clone(), h).partial_fit(x)
    }
}

/// x: `[n, d]`, at least 0. Batches are runs of rows in their order. The objective of the history is the mean of a row over a
/// pass, as each batch met it.
///
/// # Errors
/// Those of [`Nmf`], and [`Error::Parameter`] for `batch` or `forgetting` out of range.
impl<F: Float> Fit<ArrayRef2<F>> for MiniBatchNmf {
    type Model = MiniBatchNmfModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        self.nmf.check_table(x)?;
        self.check(x.dim())?;
        let x = x.as_standard_layout();
        let (n, epochs) = (x.nrows(), self.nmf.max_iterations);
        let (mut w, h) =
            self.nmf.start.factors(&Dense(&x), self.nmf.components, self.nmf.seed.named(METHOD))?;
        let mut model = MiniBatchNmfModel::new(self.clone(), h);
        let batch = self.batch.min(n);
        let memory = self.forgetting.powf(batch as f64 / n as f64);
        let _ = observer.observe(&Event::Started { task: METHOD, total: epochs });
        let mut history = History::new();
        for epoch in 1..=epochs {
            let before = model.components().clone();
            let mut sum = 0.0;
            for start in (0..n).step_by(batch) {
                let rows = s![start..n.min(start + batch), ..];
                let (of_batch, mut codes) = (x.slice(rows).to_owned(), w.slice(rows).to_owned());
                sum += model.step(&of_batch, &mut codes, memory);
                w.slice_mut(rows).assign(&codes);
            }
            let objective = sum / n as f64;
            history.record(objective, &[]);
            let event = Event::Progress { task: METHOD, done: epoch, objective, terms: &[] };
            if observer.observe(&event).is_break() {
                history.finish(Stop::Interrupted);
                break;
            }
            let moved = (&before - model.components()).iter().map(|v| v.f64().powi(2)).sum::<f64>();
            let length = before.iter().map(|v| v.f64().powi(2)).sum::<f64>();
            if self.nmf.tolerance > 0.0 && moved.sqrt() <= self.nmf.tolerance * length.sqrt() {
                history.finish(Stop::Converged);
                break;
            }
        }
        let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
        Ok(model.with_history(history))
    }
}
