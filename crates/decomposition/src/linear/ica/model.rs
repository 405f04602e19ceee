//! What FastICA learned: how to unmix, and how to mix again.

use super::FastIca;
use super::whiten::Whitening;
use ndarray::{Array1, Array2, ArrayRef2};
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::math;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, validate};

/// The independent components that [`FastIca`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct FastIcaModel<F> {
    spec: FastIca,
    mean: Array1<F>,
    components: Array2<F>,
    mixing: Array2<F>,
    whitening: Array2<f64>,
    history: History,
}

impl<F: Float> FastIcaModel<F> {
    pub(super) fn new(spec: FastIca, whitening: Whitening, unmixing: &Array2<f64>, history: History) -> Self {
        let matrix = whitening.matrix();
        // the pseudo-inverse of W·diag(1/σ)·V, whose factors are orthogonal
        let mixing = (&whitening.directions.t() * &whitening.deviations).dot(&unmixing.t());
        FastIcaModel {
            spec,
            mean: whitening.mean.mapv(F::of),
            components: unmixing.dot(&matrix).mapv(F::of),
            mixing: mixing.mapv(F::of),
            whitening: matrix,
            history,
        }
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &FastIca {
        &self.spec
    }

    /// The mean of the rows. `[d]`
    pub fn mean(&self) -> &Array1<F> {
        &self.mean
    }

    /// The unmixing, one source a row: s = components·(x − mean). `[k, d]`
    pub fn components(&self) -> &Array2<F> {
        &self.components
    }

    /// The mixing, one source a column: x ≈ mixing·s + mean. `[d, k]`
    pub fn mixing(&self) -> &Array2<F> {
        &self.mixing
    }

    /// The whitening that came before: K with K(x − mean) of covariance I. `[k, d]`
    pub fn whitening(&self) -> &Array2<f64> {
        &self.whitening
    }

    /// How far the directions turned (1 − |cosine|, the most of any) in each iteration, and why the fit ended. Deflation lists the
    /// iterations of all components one after the other.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// x: `[n, d]`. Returns the sources `[n, k]`, of variance 1 on the rows of the fit.
impl<F: Float> Transform<ArrayRef2<F>> for FastIcaModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        validate::width(x, self.mean.len(), "x")?;
        let shift = self.mean.as_slice().unwrap_or_default();
        math::checked_product(x, shift, &self.components.t().to_owned(), "x")
    }
}

/// z: `[n, k]`. Returns the rows `[n, d]` that these sources mix to.
impl<F: Float> InverseTransform<ArrayRef2<F>> for FastIcaModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        let k = self.components.nrows();
        validate::width(z, k, "z")?;
        Ok(math::checked_product(z, &vec![F::zero(); k], &self.mixing.t().to_owned(), "z")? + &self.mean)
    }
}

impl<F: Float> Persist for FastIcaModel<F> {
    fn kind() -> String {
        format!("FastIcaModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("mean", &self.mean)
            .array("components", &self.components)
            .array("mixing", &self.mixing)
            .array("whitening", &self.whitening)
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let model = FastIcaModel {
            spec: record.read_value("spec")?,
            mean: record.read_list("mean")?,
            components: record.read_table("components")?,
            mixing: record.read_table("mixing")?,
            whitening: record.read_table("whitening")?,
            history: record.read_value("history")?,
        };
        let (k, d) = model.components.dim();
        let fit = model.mixing.dim() == (d, k) && model.whitening.dim() == (k, d) && model.mean.len() == d;
        record.require(k > 0 && fit, "the shapes of mean, components, mixing and whitening do not fit")?;
        record.require(model.spec.max_iterations > 0, "the spec allows no iteration")?;
        Ok(model)
    }
}
