//! Truncated singular value decomposition: the leading singular vectors of a table, sparse or dense.
//!
//! X ≈ U·diag(s)·Vᵀ with k columns: the best approximation of rank k. X is only ever multiplied, so a sparse table stays
//! sparse. By default nothing is subtracted: on counts of words this is latent semantic analysis.
//! [`centred`](TruncatedSvd::centred) takes the mean row off by a rank-one correction of the products,
//! (X − 1μᵀ)b = Xb − 1(μᵀb), which makes it PCA of a sparse table whose zeros are never filled in.
//!
//! **Use it** for large sparse tables (texts, clicks, genes), and where the origin means something. **Do not use it** for
//! dense tables to be centred: [PCA](crate::pca) knows faster and more accurate routes, and centres before it multiplies; the
//! correction here loses digits when the mean is far larger than the spread, which sparse data cannot be.
//!
//! Cost: q + 2 passes of 4·z·(k + p) multiply-adds for z stored values (n·d of a dense table). Memory beside the data: a second,
//! transposed copy of a sparse table, and tables of n·(k + p) and d·(k + p) numbers.
//!
//! Source: Halko, Martinsson & Tropp, *Finding structure with randomness*, SIAM Review 53 (2011), algorithms 4.4 and 5.1.
//! Singular values below about 10⁻⁸ of the largest are noise, since the iteration squares them.

mod model;

pub use model::TruncatedSvdModel;

use super::signs::fix_signs;
use super::subspace::{Corrected, Operator, Shifted, leading_svd};
use ndarray::{Array1, ArrayBase, ArrayRef2, Data, Ix2};
use serde::{Deserialize, Serialize};
use unsup_core::data::Sparse;
use unsup_core::estimator::Fit;
use unsup_core::math::{Moments, Svd};
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result, Seed};

const METHOD: &str = "truncated SVD";

/// The hyper-parameters of the truncated SVD; see the [module](self).
///
/// ```
/// use unsup_core::data::{self, Sparse};
/// use unsup_core::estimator::{Fit, Transform};
/// use unsup_decomposition::TruncatedSvd;
/// let pixels = Sparse::from_dense(&data::digits().x)?; // half of them are zero
/// let model = TruncatedSvd::new(10).fit(&pixels)?;
/// assert_eq!(model.transform(&pixels)?.dim(), (1797, 10));
/// assert!(model.explained_variance_ratio().sum() > 0.7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruncatedSvd {
    components: usize,
    centred: bool,
    oversamples: usize,
    iterations: usize,
    seed: Seed,
}

impl TruncatedSvd {
    /// `components` singular vectors of the table as it is, 10 oversamples, 7 power iterations and seed 0.
    pub fn new(components: usize) -> Self {
        TruncatedSvd { components, centred: false, oversamples: 10, iterations: 7, seed: Seed::default() }
    }

    /// Whether the mean row is taken off each row, which makes this PCA.
    #[must_use]
    pub fn centred(mut self, centred: bool) -> Self {
        self.centred = centred;
        self
    }

    /// Directions carried along beyond those asked for.
    #[must_use]
    pub fn oversamples(mut self, oversamples: usize) -> Self {
        self.oversamples = oversamples;
        self
    }

    /// Power iterations; each multiplies the gap between kept and left-out singular values.
    #[must_use]
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    /// Where the random start comes from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    fn check(&self, n: usize, d: usize) -> Result<()> {
        if self.centred && n < 2 {
            return Err(Error::TooFewRows { method: "centred truncated SVD", needed: 2, found: n });
        }
        if self.components == 0 || self.components > n.min(d) {
            let allowed = "at least 1 and at most the smaller of rows and columns";
            return Err(Error::parameter("components", self.components, allowed));
        }
        Ok(())
    }

    fn decompose<F: Float>(
        &self,
        x: &dyn Operator,
        mean: Array1<f64>,
        variances: &Array1<f64>,
        observer: &mut dyn Observer,
    ) -> Result<TruncatedSvdModel<F>> {
        let _ = observer.observe(&Event::Started { task: METHOD, total: self.iterations + 1 });
        let mut history = History::new();
        history.finish(Stop::IterationLimit);
        let seed = self.seed.named(METHOD);
        let Svd { u, s, vt } =
            leading_svd(x, self.components, self.oversamples, self.iterations, seed, |done, objective| {
                history.record(objective, &[]);
                let told = observer.observe(&Event::Progress { task: METHOD, done, objective, terms: &[] });
                if told.is_break() {
                    history.finish(Stop::Interrupted);
                }
                told
            })?;
        let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
        let n = x.dim().0 as f64;
        let degrees = (n - 1.0).max(1.0);
        let of_codes = Moments::of(&(&u * &s), "the codes")?.variances;
        Ok(TruncatedSvdModel {
            spec: self.clone(),
            mean: mean.mapv(F::of),
            components: fix_signs(vt).mapv(F::of),
            singular_values: s,
            explained_variance: of_codes * (n / degrees),
            total_variance: variances.sum() * n / degrees,
            history,
        })
    }
}

/// x: `[n, d]`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::Parameter`] for `components` out of 1 to min(n, d); [`Error::TooFewRows`] for
/// one row that is to be centred.
impl<F: Float> Fit<ArrayRef2<F>> for TruncatedSvd {
    type Model = TruncatedSvdModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        let Moments { means, variances } = Moments::of(x, "x")?;
        self.check(x.nrows(), x.ncols())?;
        let mean = if self.centred { means } else { Array1::zeros(x.ncols()) };
        let shift = mean.iter().map(|&m| F::of(m)).collect();
        self.decompose(&Shifted { x, shift }, mean, &variances, observer)
    }
}

/// The same for owned arrays and views: with two kinds of table the compiler does not find its way to the one above.
impl<S: Data<Elem: Float>> Fit<ArrayBase<S, Ix2>> for TruncatedSvd {
    type Model = TruncatedSvdModel<S::Elem>;

    fn fit_observed(&self, x: &ArrayBase<S, Ix2>, observer: &mut dyn Observer) -> Result<Self::Model> {
        let x: &ArrayRef2<S::Elem> = x;
        self.fit_observed(x, observer)
    }
}

/// x: `[n, d]`, which stays sparse.
///
/// # Errors
/// [`Error::Parameter`] for `components` out of 1 to min(n, d); [`Error::TooFewRows`] for one row that is to be centred.
impl<F: Float> Fit<Sparse<F>> for TruncatedSvd {
    type Model = TruncatedSvdModel<F>;

    fn fit_observed(&self, x: &Sparse<F>, observer: &mut dyn Observer) -> Result<Self::Model> {
        let (n, d) = x.dim();
        self.check(n, d)?;
        let (means, variances) = x.moments();
        let mean = if self.centred { means } else { Array1::zeros(d) };
        let operator = Corrected { x, transposed: &x.transpose(), mean: mean.clone() };
        self.decompose(&operator, mean, &variances, observer)
    }
}
