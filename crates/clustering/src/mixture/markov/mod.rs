//! Hidden Markov random fields: a Gaussian mixture over an image whose neighbouring sites tend to be alike.
//!
//! A mixture looks at each intensity alone, so noise makes speckles. Here the classes of the sites are a Potts field,
//! p(z) ∝ exp(Σᵢ α(zᵢ) + β Σ₍ᵢⱼ₎ \[zᵢ = zⱼ\]) over pairs of direct neighbours (4 in a slice, 6 in a volume), and the intensities are
//! Gaussian given the class. With β = 0 it is the plain mixture.
//!
//! EM with a mean-field E step. E: the responsibilities of a site given those of its neighbours,
//! rᵢₖ ∝ exp(αₖ + β Σⱼ rⱼₖ) N(xᵢ | μₖ, Σₖ): first of all even sites, then of all odd ones, as on a chessboard, where sites of one
//! colour are no neighbours and so each half is an exact ascent. M: means and covariances as in a mixture; α by one step of iterative scaling,
//! αₖ += log(mean rₖ / mean prior probability of k), which with β = 0 makes exp(αₖ) the mixture's weights. The objective is the mean
//! log pseudo-likelihood of a site, log Σₖ p(k | neighbours) N(x | μₖ, Σₖ), in nats; with β = 0 the log-likelihood.
//!
//! **Use it** to segment an image or a volume whose regions are larger than a pixel and whose noise is not. **Do not use it**
//! where regions are as thin as a pixel (the field erodes them), or where intensity drifts across the image (correct
//! the bias field first). β is the user's choice: near the critical value of the Potts field (1.0 for three classes in a slice, 0.5 or so in a
//! volume) whole regions flip.
//!
//! Cost of an iteration, n sites: that of the mixture, and n·k·(neighbours + an exponential). Memory: one table n × k, and six
//! neighbours a site.
//!
//! Sources: Zhang, Brady & Smith, *Segmentation of brain MR images through a hidden Markov random field model and the
//! expectation-maximization algorithm*, IEEE Trans. Med. Imaging 20 (2001), with the mean-field E step of Celeux, Forbes & Peyrard, *EM
//! procedures using mean field-like approximations for Markov model-based image segmentation*, Pattern Recognition 36 (2003), in place
//! of iterated conditional modes: probabilities of the neighbours instead of their labels, so that a doubtful
//! neighbour counts as such.

mod field;
mod fit;
mod image;
mod model;
mod settle;
mod update;

pub use image::Image;
pub use model::HiddenMarkovRandomFieldModel;

use super::GaussianMixture;
use serde::{Deserialize, Serialize};
use unsup_core::Seed;

const METHOD: &str = "hidden Markov random field";

/// The hyper-parameters of a hidden Markov random field; see the [module](self).
///
/// ```
/// use unsup_clustering::{HiddenMarkovRandomField, segmentation::Image};
/// use unsup_core::{data, estimator::{Fit, Predict}};
/// let slice = data::mni_slice();
/// let brain = Image::new(&slice.t1, &slice.t1.mapv(|v| v > 0.0))?;
/// let model = HiddenMarkovRandomField::new(3).coupling(0.5).seed(7).fit(&brain)?;
/// let tissue = brain.paint(&model.predict(&brain)?)?; // 0 outside, then dark to bright
/// assert_eq!(tissue.dim(), (1, 233, 197));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiddenMarkovRandomField {
    mixture: GaussianMixture,
    coupling: f64,
    max_iterations: usize,
    tolerance: f64,
}

impl HiddenMarkovRandomField {
    /// A field of `components` classes with a coupling of 0.5, from the plain mixture (5 restarts), at most 100 iterations, a tolerance of
    /// 10⁻⁵ nats and seed 0.
    pub fn new(components: usize) -> Self {
        HiddenMarkovRandomField {
            mixture: GaussianMixture::new(components).restarts(5),
            coupling: 0.5,
            max_iterations: 100,
            tolerance: 1e-5,
        }
    }

    /// The β of the field: by how much a neighbour of the same class raises the log-odds of a class, in nats. At least 0; at 0 the
    /// field is a mixture.
    #[must_use]
    pub fn coupling(mut self, coupling: f64) -> Self {
        self.coupling = coupling;
        self
    }

    /// The mixture that the field starts from: its components, family, floor, restarts and seed.
    #[must_use]
    pub fn mixture(mut self, mixture: GaussianMixture) -> Self {
        self.mixture = mixture;
        self
    }

    /// The most iterations; at least 1.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// Converged when the mean log pseudo-likelihood of a site changes by less than this, in nats. At 0 it never is.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// How many starts the mixture makes. At least 1.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.mixture = self.mixture.restarts(restarts);
        self
    }

    /// Where the random numbers of the mixture come from.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Seed>) -> Self {
        self.mixture = self.mixture.seed(seed);
        self
    }
}
