//! Principal component analysis: the orthogonal directions of greatest variance.
//!
//! The centred table X_c `[n, d]` is described by k orthonormal directions v₁ … v_k such that each
//! captures as much of the variance left by those before it as a direction can. The field derives
//! them in two ways, and both are here, with one for wide tables and one for large ones:
//!
//! * [`Route::Covariance`]: eigenvectors of X_cᵀX_c / (n − 1). One pass of n·d² multiply-adds; the
//!   cheapest when n ≫ d. Squares the condition number: directions whose standard deviation is
//!   below 10⁻⁸ of the largest are noise.
//! * [`Route::Gram`]: eigenvectors of the n × n matrix X_c X_cᵀ, mapped back through X_cᵀ and made orthonormal there; n²·d/2
//!   multiply-adds, the cheapest when n ≪ d. Squares the condition number as well.
//! * [`Route::Svd`]: right singular vectors of X_c, which is never squared; small variances keep
//!   their digits. 2·n·d² multiply-adds in parallel for tall tables (a QR factor by chunks, then
//!   the SVD of d × d).
//! * [`Route::Randomized`]: subspace iteration on a random start (Halko, Martinsson & Tropp 2011,
//!   algorithm 4.4, applied to the row space): q + 2 passes of 2·n·d·(k + p), or one of n·d²/2 for the matrix of products
//!   where that is less, and one of n·d·(k + p). Approximate, to far
//!   below the variance of the directions left out; for k ≪ min(n, d). [`PcaModel::residuals`] says how far off it
//!   is, [`Pca::tolerance`] lets it go on until it is near enough.
//!
//! # The probabilistic reading
//!
//! The model is also the maximum-likelihood fit of x = Wz + μ + ε with z ~ N(0, I) and ε ~ N(0, σ²I) (Tipping & Bishop 1999): the
//! Gaussian whose covariance has the variances λₖ along the components and σ² along everything else. It answers
//! [`LogDensity`](unsup_core::estimator::LogDensity) and [`Sample`](unsup_core::estimator::Sample). Its variances are those of maximum
//! likelihood, divided by n; σ² is the mean of the d − k left-out eigenvalues, also where n < d and most of them are zero.
//! [`PcaModel::explained_variance`] is the unbiased one, divided by n − 1. For missing values and EM see
//! [`ProbabilisticPca`](crate::ProbabilisticPca).
//!
//! **Use it** for linear structure, to compress or decorrelate before another method, as a first
//! look at a table. Scale the columns first when their units differ. **Do not use it** to find
//! groups or curved structure; the directions of greatest variance need not be those that matter.
//!
//! Data are centred before anything is multiplied, by all routes, so the accuracy does not depend on
//! how far from the origin they lie. A direction's sign is fixed by making its largest loading
//! positive. Sources: Pearson (1901); Hotelling (1933); Halko, Martinsson & Tropp, *Finding structure
//! with randomness*, SIAM Review 53 (2011); Tipping & Bishop, *Probabilistic principal component analysis*, JRSS B 61 (1999);
//! Minka, *Automatic choice of dimensionality for PCA*, NIPS 2000.

mod dimension;
mod model;
pub(in crate::linear) mod routes;

pub use model::PcaModel;

use super::second_moment::{finite, is_constant};
use ndarray::ArrayRef2;
use routes::{Effort, Spectrum};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::{Moments, Scatter};
use unsup_core::observe::Observer;
use unsup_core::{Error, Float, Result, Seed, validate};

/// How many components to keep.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Components {
    /// All min(n, d) of them.
    #[default]
    All,
    /// This many.
    Count(usize),
    /// As few as explain more than this fraction of the variance.
    Fraction(f64),
    /// As many as have the greatest evidence (Minka 2000). Needs at least as many rows as columns. Data that lie in a plane of
    /// r < d dimensions have r.
    Mle,
}

/// How the components are computed; see the [module](self) for when each is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Route {
    /// Chosen by shape: the covariance when n ≥ 2d and d ≤ 4096; the Gram matrix when d ≥ 2n and n ≤ 4096; else randomized when a
    /// count of at most a tenth of min(n, d) is asked of a table with min(n, d) > 500; else the SVD.
    #[default]
    Auto,
    /// Eigenvectors of the covariance matrix.
    Covariance,
    /// Eigenvectors of the n × n products of rows, mapped back. Of a table with more rows than columns the triangular factor takes
    /// their place.
    Gram,
    /// Singular vectors of the centred table.
    Svd,
    /// Subspace iteration from a random start.
    Randomized {
        /// Directions carried along beyond those asked for.
        oversamples: usize,
        /// Power iterations; each multiplies the gap between kept and left-out variances.
        iterations: usize,
    },
}

impl Route {
    /// The randomized route with 10 oversamples and 7 power iterations.
    pub const RANDOMIZED: Route = Route::Randomized { oversamples: 10, iterations: 7 };
}

/// The hyper-parameters of PCA; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::{Fit, InverseTransform, Transform}};
/// use unsup_decomposition::Pca;
/// let iris = data::iris();
/// let model = Pca::new().variance(0.95).fit(&iris.x)?;
/// assert_eq!(model.components().nrows(), 2);
/// let rebuilt = model.inverse_transform(&model.transform(&iris.x)?)?;
/// assert!((&rebuilt - &iris.x).mapv(|v| v * v).mean() < Some(0.03));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pca {
    components: Components,
    route: Route,
    whiten: bool,
    tolerance: f64,
    seed: Seed,
}

impl Pca {
    /// All components, the route chosen by shape, no whitening, a tolerance of 0, seed 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `count` components, from 1 to min(n, d).
    #[must_use]
    pub fn components(mut self, count: usize) -> Self {
        self.components = Components::Count(count);
        self
    }

    /// Keeps as few components as explain more than `fraction` of the variance, within (0, 1).
    #[must_use]
    pub fn variance(mut self, fraction: f64) -> Self {
        self.components = Components::Fraction(fraction);
        self
    }

    /// Keeps as many components as have the greatest evidence (Minka 2000); see [`Components::Mle`].
    #[must_use]
    pub fn most_probable_components(mut self) -> Self {
        self.components = Components::Mle;
        self
    }

    /// Chooses the route by hand.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// Divides each code by its standard deviation, so that codes are uncorrelated with variance 1.
    #[must_use]
    pub fn whiten(mut self, whiten: bool) -> Self {
        self.whiten = whiten;
        self
    }

    /// The randomized route ends before its last iteration when every kept component satisfies ‖Cv − λv‖ ≤ tolerance·λ, C the
    /// covariance matrix. At 0, the default, it makes all of its iterations.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Where the randomized route's start comes from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    fn check(&self, n: usize, d: usize) -> Result<()> {
        if n < 2 {
            return Err(Error::TooFewRows { method: "PCA", needed: 2, found: n });
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::parameter("tolerance", self.tolerance, "a finite number, at least 0"));
        }
        match self.components {
            Components::Count(k) if k == 0 || k > n.min(d) => Err(Error::parameter(
                "components",
                k,
                "at least 1 and at most the smaller of rows and columns",
            )),
            Components::Fraction(f) if !(f > 0.0 && f < 1.0) => {
                Err(Error::parameter("variance", f, "a fraction above 0 and below 1"))
            }
            Components::Mle if n < d => Err(Error::parameter(
                "components",
                "the most probable number",
                "a count or a fraction where there are fewer rows than columns",
            )),
            Components::All | Components::Fraction(_) | Components::Mle
                if matches!(self.route, Route::Randomized { .. }) =>
            {
                Err(Error::parameter(
                    "components",
                    "not a count",
                    "a count, which the randomized route needs",
                ))
            }
            _ => Ok(()),
        }
    }

    fn chosen_route(&self, n: usize, d: usize) -> Route {
        match (self.route, self.components) {
            (Route::Auto, _) if n >= 2 * d && d <= 4096 => Route::Covariance,
            (Route::Auto, _) if d >= 2 * n && n <= 4096 => Route::Gram,
            (Route::Auto, Components::Count(k)) if n.min(d) > 500 && 10 * k <= n.min(d) => Route::RANDOMIZED,
            (Route::Auto, _) => Route::Svd,
            (chosen, _) => chosen,
        }
    }

    fn kept(&self, spectrum: &Spectrum, total: f64, rows: usize) -> usize {
        let variances = &spectrum.variances;
        match self.components {
            Components::All => variances.len(),
            Components::Count(k) => k,
            Components::Mle => dimension::minka(&variances.to_vec(), rows, spectrum.rounding * total),
            Components::Fraction(fraction) => {
                let mut sum = 0.0;
                let enough = |v: &f64| {
                    sum += v;
                    sum > fraction * total
                };
                variances.iter().position(enough).map_or(variances.len(), |k| k + 1)
            }
        }
    }
}

/// x: `[n, d]`, n ≥ 2.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`] (with row and column); [`Error::TooFewRows`] when n = 1;
/// [`Error::Parameter`] for a number of components beyond min(n, d) or a fraction outside (0, 1).
///
/// Constant data have no variance to explain: variances and ratios are 0, and so are whitened codes.
impl<F: Float> Fit<ArrayRef2<F>> for Pca {
    type Model = PcaModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<PcaModel<F>> {
        validate::not_empty(x, "x")?;
        let (n, d) = x.dim();
        self.check(n, d)?;
        let route = self.chosen_route(n, d);
        let degrees = n as f64 - 1.0;
        let count = if let Components::Count(k) = self.components { k } else { n.min(d) };
        let (means, variances, mut spectrum) = if route == Route::Covariance {
            let scatter = Scatter::of(x, "x")?;
            let variances = scatter.products.diag().to_owned() / degrees;
            let spectrum = routes::covariance(&scatter, count, F::EPS)?;
            (scatter.means, variances, spectrum)
        } else {
            let Moments { means, variances } = Moments::of(x, "x")?;
            let variances = variances * (n as f64 / degrees);
            finite(variances.sum())?;
            let spectrum = match route {
                Route::Randomized { oversamples, iterations } => {
                    let width = count.saturating_add(oversamples).min(n.min(d));
                    let effort = Effort { count, width, iterations, tolerance: self.tolerance };
                    routes::randomized(x, &means, &effort, self.seed, observer)?
                }
                Route::Gram => routes::gram(x, &means, count)?,
                _ => routes::svd_of_design(x, &means)?,
            };
            (means, variances, spectrum)
        };
        let mut total = variances.sum();
        if is_constant::<F>(&variances, &means) {
            total = 0.0;
            spectrum.variances.fill(0.0);
        }
        let k = self.kept(&spectrum, total, n).min(spectrum.variances.len());
        Ok(PcaModel::new(self.clone(), route, n, means, total, spectrum, k))
    }
}
