//! The vocabulary: the traits that ask the field's three questions of any method.
//!
//! *What is its code or its cluster?* — [`Predict`], [`Transform`], [`InverseTransform`].
//! *What else could there be?* — [`Sample`].
//! *How likely is this?* — [`LogDensity`], [`AnomalyScore`].
//!
//! There are two types a method, always. The **spec** (`KMeans`, `Pca`, `Vae`) holds the
//! hyper-parameters and nothing learned; it implements [`Fit`]. The **model** (`KMeansModel`, …)
//! holds what was learned; it is immutable, `Send + Sync` and savable
//! ([`Persist`](crate::store::Persist)), and implements whichever of the questions the method can
//! answer. A model that does not exist cannot be asked to predict.
//!
//! The traits are generic over the data `X`: a table is an [`ndarray::ArrayRef2`] (so owned
//! arrays and views both work by reference), a batch of images is a candle tensor.

use crate::observe::{Observer, Silent};
use crate::{Result, Seed};
use ndarray::Array1;

/// Learn a model from data. Implemented by every spec.
pub trait Fit<X: ?Sized> {
    /// What is learned.
    type Model;

    /// Learns from `x`, reporting to `observer` after each iteration. When the observer breaks,
    /// the fit ends there and returns the best model so far.
    ///
    /// # Errors
    /// For invalid data or hyper-parameters; see the method's own documentation.
    fn fit_observed(&self, x: &X, observer: &mut dyn Observer) -> Result<Self::Model>;

    /// Learns from `x` in silence.
    ///
    /// # Errors
    /// As [`fit_observed`](Self::fit_observed).
    fn fit(&self, x: &X) -> Result<Self::Model> {
        self.fit_observed(x, &mut Silent)
    }
}

/// Which cluster or class is each row of `x`?
pub trait Predict<X: ?Sized> {
    /// One label a row, from 0.
    ///
    /// # Errors
    /// When `x` does not have the shape the model was fitted on, or is not finite.
    fn predict(&self, x: &X) -> Result<Array1<usize>>;
}

/// Encode x → z.
pub trait Transform<X: ?Sized> {
    /// The codes, one a row.
    type Code;
    /// Encodes `x`.
    ///
    /// # Errors
    /// When `x` does not have the shape the model was fitted on, or is not finite.
    fn transform(&self, x: &X) -> Result<Self::Code>;
}

/// Decode z → x̂.
pub trait InverseTransform<Z: ?Sized> {
    /// The reconstructions, one a row.
    type Output;
    /// Decodes `z`.
    ///
    /// # Errors
    /// When `z` does not have the width of the model's code, or is not finite.
    fn inverse_transform(&self, z: &Z) -> Result<Self::Output>;
}

/// Draw new x.
pub trait Sample {
    /// The samples, one a row.
    type Output;
    /// Draws `n` samples; the same seed gives the same ones.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for more samples than memory holds, and when they cannot be computed.
    fn sample(&self, n: usize, seed: Seed) -> Result<Self::Output>;
}

/// log p(x) in nats, exact or a stated bound.
pub trait LogDensity<X: ?Sized> {
    /// One log-density a row.
    ///
    /// # Errors
    /// When `x` does not have the shape the model was fitted on, or is not finite.
    fn log_density(&self, x: &X) -> Result<Array1<f64>>;
}

/// How unusual is each row of `x`? Larger is more unusual.
pub trait AnomalyScore<X: ?Sized> {
    /// One score a row; its unit is the method's own (a squared distance, a negative
    /// log-density).
    ///
    /// # Errors
    /// When `x` does not have the shape the model was fitted on, or is not finite.
    fn anomaly_score(&self, x: &X) -> Result<Array1<f64>>;
}
