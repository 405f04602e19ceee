//! What sparse PCA learned.

use super::SparsePca;
use super::coder::{decode, ridge};
use ndarray::{Array1, Array2, ArrayRef2};
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::math;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, validate};

/// The components that [`SparsePca`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct SparsePcaModel<F> {
    spec: SparsePca,
    mean: Array1<F>,
    components: Array2<F>,
    /// what a centred row is multiplied by, `[d, k]`
    encoder: Array2<F>,
    history: History,
}

impl<F: Float> SparsePcaModel<F> {
    pub(super) fn new(
        spec: SparsePca,
        mean: Array1<F>,
        components: Array2<F>,
        history: History,
    ) -> Result<Self> {
        let encoder = ridge(&components, spec.ridge)?.mapv(F::of);
        Ok(SparsePcaModel { spec, mean, components, encoder, history })
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &SparsePca {
        &self.spec
    }

    /// The mean of the rows. `[d]`
    pub fn mean(&self) -> &Array1<F> {
        &self.mean
    }

    /// The components, one a row, of length 1, or zero when the price of its loadings is too high for one. Not orthogonal.
    /// `[k, d]`
    pub fn components(&self) -> &Array2<F> {
        &self.components
    }

    /// The objective ½‖X_c − UV‖² + α‖V‖₁ after each iteration, and why the fit ended. Online: summed over a pass as each batch of
    /// columns met it.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// x: `[n, d]`. Returns the scores `[n, k]`: ridge codes of the centred rows for the components.
impl<F: Float> Transform<ArrayRef2<F>> for SparsePcaModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        validate::width(x, self.mean.len(), "x")?;
        math::checked_product(x, self.mean.as_slice().unwrap_or_default(), &self.encoder, "x")
    }
}

/// z: `[n, k]`. Returns z·V + mean, `[n, d]`.
impl<F: Float> InverseTransform<ArrayRef2<F>> for SparsePcaModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        Ok(decode(z, &self.components)? + &self.mean)
    }
}

impl<F: Float> Persist for SparsePcaModel<F> {
    fn kind() -> String {
        format!("SparsePcaModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("mean", &self.mean)
            .array("components", &self.components)
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let (mean, components) = (record.read_list::<F>("mean")?, record.read_table::<F>("components")?);
        let spec: SparsePca = record.read_value("spec")?;
        let (k, d) = components.dim();
        record.require(k * d > 0 && mean.len() == d, "`components` and `mean` differ in width")?;
        record.require(
            spec.check((0, 0)).is_ok() && spec.components == k,
            "the spec is not one of these components",
        )?;
        SparsePcaModel::new(spec, mean, components, record.read_value("history")?)
    }
}
