//! What NMF learned: the components, and the codes of the rows it saw.

use super::Nmf;
use ndarray::{Array2, ArrayBase, ArrayRef2, Data, Ix2};
use unsup_core::data::Sparse;
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::math;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Error, Float, Result, validate};

/// The factorisation that [`Nmf`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct NmfModel<F> {
    spec: Nmf,
    codes: Array2<F>,
    components: Array2<F>,
    divergence: f64,
    history: History,
}

impl<F: Float> NmfModel<F> {
    pub(super) fn new(
        spec: Nmf,
        codes: Array2<F>,
        components: Array2<F>,
        divergence: f64,
        history: History,
    ) -> Self {
        NmfModel { spec, codes, components, divergence, history }
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &Nmf {
        &self.spec
    }

    /// The parts H, one a row, at least 0. `[k, d]`
    pub fn components(&self) -> &Array2<F> {
        &self.components
    }

    /// The codes W of the rows it was fitted on, at least 0. `[n, k]`
    pub fn codes(&self) -> &Array2<F> {
        &self.codes
    }

    /// Σ d(x | wh) over all values, without penalties.
    pub fn divergence(&self) -> f64 {
        self.divergence
    }

    /// √(2·divergence): for the Frobenius loss ‖X − WH‖, in units of the data.
    pub fn reconstruction_error(&self) -> f64 {
        (2.0 * self.divergence).sqrt()
    }

    /// The objective (divergence and penalties) after each iteration, and why the fit ended.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// x: `[n, d]`, at least 0. Returns the codes `[n, k]`: for each row by itself, to the spec's tolerance.
impl<F: Float> Transform<ArrayRef2<F>> for NmfModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        codes(&self.spec, &self.components, x)
    }
}

/// The same for owned arrays and views.
impl<F: Float, S: Data<Elem = F>> Transform<ArrayBase<S, Ix2>> for NmfModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayBase<S, Ix2>) -> Result<Array2<F>> {
        let x: &ArrayRef2<F> = x;
        self.transform(x)
    }
}

/// x: `[n, d]`, at least 0, which stays sparse. Returns the codes `[n, k]`, those of the dense table up to rounding.
///
/// # Errors
/// As for a dense table, and [`Error::Parameter`] for a loss other than Frobenius and Kullback–Leibler.
impl<F: Float> Transform<Sparse<F>> for NmfModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &Sparse<F>) -> Result<Array2<F>> {
        let (d, found) = (self.components.ncols(), x.dim().1);
        if found != d {
            return Err(Error::shape("x", format!("{d} columns"), format!("{found} columns")));
        }
        self.spec.check_sparse(x)?;
        Ok(self.spec.sparse_codes(x, &self.components))
    }
}

/// The codes of new rows.
pub(super) fn codes<F: Float>(spec: &Nmf, components: &Array2<F>, x: &ArrayRef2<F>) -> Result<Array2<F>> {
    validate::width(x, components.ncols(), "x")?;
    spec.check_table(x)?;
    Ok(spec.codes(&x.as_standard_layout(), components))
}

/// z: `[n, k]`. Returns z·H, `[n, d]`.
impl<F: Float> InverseTransform<ArrayRef2<F>> for NmfModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        decode(&self.components, z)
    }
}

pub(super) fn decode<F: Float>(components: &Array2<F>, z: &ArrayRef2<F>) -> Result<Array2<F>> {
    validate::width(z, components.nrows(), "z")?;
    math::checked_product(z, &vec![F::zero(); components.nrows()], components, "z")
}

/// A stored table whose values are all at least 0.
pub(super) fn read_factor<F: Float>(record: &Record, name: &'static str) -> Result<Array2<F>> {
    let factor = record.read_table::<F>(name)?;
    record.require(
        !factor.is_empty() && factor.iter().all(|&v| v >= F::zero()),
        "a factor is empty or negative",
    )?;
    Ok(factor.as_standard_layout().into_owned())
}

/// A stored spec that can be one.
pub(super) fn read_spec(record: &Record, components: usize) -> Result<Nmf> {
    let spec: Nmf = record.read_value("spec")?;
    record.require(spec.check((0, 0)).is_ok(), "a hyper-parameter is out of range")?;
    record.require(spec.components == components, "the spec has another number of components")?;
    Ok(spec)
}

impl<F: Float> Persist for NmfModel<F> {
    fn kind() -> String {
        format!("NmfModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("codes", &self.codes)
            .array("components", &self.components)
            .value("spec", &self.spec)?
            .number("divergence", self.divergence)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let (codes, components) =
            (read_factor::<F>(record, "codes")?, read_factor::<F>(record, "components")?);
        let spec = read_spec(record, components.nrows())?;
        record.require(codes.ncols() == components.nrows(), "`codes` and `components` do not fit")?;
        let (divergence, history) = (record.read_number("divergence")?, record.read_value("history")?);
        Ok(NmfModel { spec, codes, components, divergence, history })
    }
}
