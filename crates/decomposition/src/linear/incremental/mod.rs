//! Incremental PCA: principal components of rows that come in batches, none of which is kept.
//!
//! What is kept is a [`Summary`] of the rows so far:
//!
//! * [`Summary::Scatter`]: their number, mean and d × d centred products. Those of two sets of rows merge exactly (Chan, Golub &
//!   LeVeque 1983): S = S₁ + S₂ + n₁n₂/(n₁ + n₂)·δδᵀ with δ the difference of the means. The components are those of [`Pca`](crate::Pca)
//!   on all rows at once, up to rounding, whatever the sizes of the batches, which may be single rows. A batch of m rows costs m·d²/2
//!   multiply-adds and nothing is decomposed until the components are asked for. Memory: d² numbers.
//! * [`Summary::Truncated`]: the leading k + `extra` singular values and directions (Ross, Lim, Lin & Yang 2008): those of the kept factor
//!   stacked on the centred batch and √(n₁n₂/(n₁ + n₂))·δ. **Approximate**: what a batch has outside the kept directions is forgotten.
//!   A batch costs (k + extra + m)²·d/2 multiply-adds; memory: (k + extra)·d numbers. For tables of very many columns. The mean and
//!   the total variance stay exact.
//!
//! **Use it** for streams, and for tables larger than the memory. **Do not use it** when the table fits: [`Pca`](crate::Pca) answers
//! at once and knows more routes.
//!
//! Sources: Chan, Golub & LeVeque, *Algorithms for computing the sample variance*, The American Statistician 37 (1983); Ross, Lim, Lin
//! & Yang, *Incremental learning for robust visual tracking*, IJCV 77 (2008).

mod model;
mod stream;

pub use model::IncrementalPcaModel;

use ndarray::{ArrayRef2, s};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use stream::Stream;
use unsup_core::estimator::Fit;
use unsup_core::observe::{Event, Observer, Stop};
use unsup_core::{Error, Float, Result, validate};

/// What is kept of the rows so far; see the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Summary {
    /// [`Scatter`](Summary::Scatter) up to 4096 columns; beyond, [`Truncated`](Summary::Truncated) with as many extra directions as
    /// there are components, and at least 10.
    #[default]
    Auto,
    /// The d × d centred products: exact.
    Scatter,
    /// The leading directions: approximate.
    Truncated {
        /// Directions kept beyond the components.
        extra: usize,
    },
}

/// The hyper-parameters of incremental PCA; see the [module](self).
///
/// ```
/// use ndarray::Axis;
/// use unsup_core::{data, estimator::{Fit, Transform}};
/// use unsup_decomposition::{IncrementalPca, Pca};
/// let x = data::digits().x;
/// let mut batches = x.axis_chunks_iter(Axis(0), 100);
/// let first = batches.next().ok_or("no rows")?;
/// let mut model = IncrementalPca::new(3).start(&first)?;
/// for batch in batches {
///     model = model.partial_fit(&batch)?;
/// }
/// let at_once = Pca::new().components(3).fit(&x)?;
/// let difference = model.transform(&x)? - at_once.transform(&x)?;
/// assert!(difference.iter().all(|v| v.abs() < 1e-9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncrementalPca {
    components: usize,
    summary: Summary,
    batch: usize,
    whiten: bool,
}

impl IncrementalPca {
    /// `components` directions, the summary chosen by the number of columns, batches of 1024 rows, no whitening.
    pub fn new(components: usize) -> Self {
        IncrementalPca { components, summary: Summary::Auto, batch: 1024, whiten: false }
    }

    /// What is kept of the rows.
    #[must_use]
    pub fn summary(mut self, summary: Summary) -> Self {
        self.summary = summary;
        self
    }

    /// How many rows [`fit`](Fit::fit) takes at a time, at least 1. A stream has batches of its own.
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Divides each code by its standard deviation.
    #[must_use]
    pub fn whiten(mut self, whiten: bool) -> Self {
        self.whiten = whiten;
        self
    }

    /// How many directions are kept, when not the d × d products.
    fn kept_directions(&self, d: usize) -> Option<usize> {
        let extra = match self.summary {
            Summary::Auto if d > 4096 => self.components.max(10),
            Summary::Truncated { extra } => extra,
            Summary::Auto | Summary::Scatter => return None,
        };
        Some((self.components + extra).min(d))
    }

    fn check(&self, d: usize) -> Result<()> {
        if self.components == 0 || self.components > d {
            let allowed = "at least 1 and at most the number of columns";
            return Err(Error::parameter("components", self.components, allowed));
        }
        if self.batch == 0 {
            return Err(Error::parameter("batch", 0, "at least 1"));
        }
        Ok(())
    }

    /// A model that has met one batch: the beginning of a stream. x: `[n, d]`, n at least 1. The components can be asked for once
    /// there have been as many rows as components, and at least two.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`], [`Error::Parameter`].
    pub fn start<F: Float>(&self, x: &ArrayRef2<F>) -> Result<IncrementalPcaModel<F>> {
        validate::table(x, "x")?;
        self.check(x.ncols())?;
        let stream = Stream::new(&x.row(0), self.kept_directions(x.ncols()));
        IncrementalPcaModel::new(self.clone(), stream).partial_fit(x)
    }
}

/// x: `[n, d]`, at least two rows and as many as components. The observer is told of every batch, with the total variance of the rows
/// so far; when it breaks, the model is that of these rows.
///
/// # Errors
/// Those of [`start`](IncrementalPca::start); [`Error::TooFewRows`].
impl<F: Float> Fit<ArrayRef2<F>> for IncrementalPca {
    type Model = IncrementalPcaModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        const TASK: &str = "incremental PCA";
        validate::table(x, "x")?;
        self.check(x.ncols())?;
        let needed = self.components.max(2);
        if x.nrows() < needed {
            return Err(Error::TooFewRows { method: TASK, needed, found: x.nrows() });
        }
        let total = x.nrows().div_ceil(self.batch);
        let _ = observer.observe(&Event::Started { task: TASK, total });
        let stream = Stream::new(&x.row(0), self.kept_directions(x.ncols()));
        let (mut model, mut stop) = (IncrementalPcaModel::new(self.clone(), stream), Stop::Converged);
        for (done, start) in (0..x.nrows()).step_by(self.batch).enumerate() {
            model = model.partial_fit(&x.slice(s![start..x.nrows().min(start + self.batch), ..]))?;
            let event =
                Event::Progress { task: TASK, done: done + 1, objective: model.total_variance(), terms: &[] };
            // a model of fewer rows would have no components yet
            if observer.observe(&event) == ControlFlow::Break(()) && model.rows() >= needed {
                stop = Stop::Interrupted;
                break;
            }
        }
        let _ = observer.observe(&Event::Finished { task: TASK, stop });
        Ok(model)
    }
}
