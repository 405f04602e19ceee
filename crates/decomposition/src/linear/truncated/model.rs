//! What the truncated SVD learned: directions and their singular values.

use super::TruncatedSvd;
use ndarray::{Array1, Array2, ArrayBase, ArrayRef2, Data, Ix2};
use unsup_core::data::Sparse;
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::math;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Error, Float, Result, validate};

/// The singular vectors that [`TruncatedSvd`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct TruncatedSvdModel<F> {
    pub(super) spec: TruncatedSvd,
    pub(super) mean: Array1<F>,
    pub(super) components: Array2<F>,
    pub(super) singular_values: Array1<f64>,
    pub(super) explained_variance: Array1<f64>,
    pub(super) total_variance: f64,
    pub(super) history: History,
}

impl<F: Float> TruncatedSvdModel<F> {
    /// The spec it was fitted with.
    pub fn spec(&self) -> &TruncatedSvd {
        &self.spec
    }

    /// What is taken off each row: the mean of the rows when centred, else zeros. `[d]`
    pub fn mean(&self) -> &Array1<F> {
        &self.mean
    }

    /// The right singular vectors, orthonormal, one a row. `[k, d]`
    pub fn components(&self) -> &Array2<F> {
        &self.components
    }

    /// From the largest down, in units of the data. `[k]`
    pub fn singular_values(&self) -> &Array1<f64> {
        &self.singular_values
    }

    /// The variance of the codes (divided by n − 1), in squared units of the data. Without centring it need not fall. `[k]`
    pub fn explained_variance(&self) -> &Array1<f64> {
        &self.explained_variance
    }

    /// The share of the total variance of the columns; 0 for constant data. `[k]`
    pub fn explained_variance_ratio(&self) -> Array1<f64> {
        let total = self.total_variance;
        self.explained_variance.mapv(|v| if total > 0.0 { v / total } else { 0.0 })
    }

    /// The sum of squares within the subspace after each pass, and why the fit ended.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// x: `[n, d]`. Returns the codes `[n, k]`: coordinates along the components, in units of the data.
impl<F: Float> Transform<ArrayRef2<F>> for TruncatedSvdModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        validate::width(x, self.mean.len(), "x")?;
        let shift = self.mean.as_slice().unwrap_or_default();
        math::checked_product(x, shift, &self.components.t().to_owned(), "x")
    }
}

/// The same for owned arrays and views.
impl<F: Float, S: Data<Elem = F>> Transform<ArrayBase<S, Ix2>> for TruncatedSvdModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayBase<S, Ix2>) -> Result<Array2<F>> {
        let x: &ArrayRef2<F> = x;
        self.transform(x)
    }
}

/// x: `[n, d]`. Returns the codes `[n, k]`: coordinates along the components, in units of the data.
impl<F: Float> Transform<Sparse<F>> for TruncatedSvdModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &Sparse<F>) -> Result<Array2<F>> {
        let (d, found) = (self.mean.len(), x.dim().1);
        if found != d {
            return Err(Error::shape("x", format!("{d} columns"), format!("{found} columns")));
        }
        let directions = self.components.t().mapv(F::f64);
        let offset = self.mean.mapv(F::f64).dot(&directions);
        Ok((x.times(&directions)? - &offset).mapv(F::of))
    }
}

/// z: `[n, k]`. Returns the rows `[n, d]` that have these codes and nothing outside the components.
impl<F: Float> InverseTransform<ArrayRef2<F>> for TruncatedSvdModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        let k = self.components.nrows();
        validate::width(z, k, "z")?;
        Ok(math::checked_product(z, &vec![F::zero(); k], &self.components, "z")? + &self.mean)
    }
}

impl<F: Float> Persist for TruncatedSvdModel<F> {
    fn kind() -> String {
        format!("TruncatedSvdModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("mean", &self.mean)
            .array("components", &self.components)
            .array("singular_values", &self.singular_values)
            .array("explained_variance", &self.explained_variance)
            .value("spec", &self.spec)?
            .number("total_variance", self.total_variance)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let model = TruncatedSvdModel {
            spec: record.read_value("spec")?,
            mean: record.read_list("mean")?,
            components: record.read_table("components")?,
            singular_values: record.read_list("singular_values")?,
            explained_variance: record.read_list("explained_variance")?,
            total_variance: record.read_number("total_variance")?,
            history: record.read_value("history")?,
        };
        let (k, d) = model.components.dim();
        record.require(k > 0 && d == model.mean.len(), "`components` and `mean` differ in width")?;
        let numbers = [model.singular_values.len(), model.explained_variance.len(), model.spec.components];
        record.require(numbers.iter().all(|&m| m == k), "there is not one number a component")?;
        Ok(model)
    }
}
