//! What mini-batch NMF has learned so far, and how it learns from one more batch.

use super::descent::Penalty;
use super::loss::values;
use super::mini_batch::MiniBatchNmf;
use super::model::{codes, decode, read_factor};
use super::multiplicative::{self, Parts};
use super::tiles::floor;
use ndarray::{Array2, ArrayRef2, Zip};
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result};

/// The components of [`MiniBatchNmf`], and what it remembers of the batches.
#[derive(Debug, Clone, PartialEq)]
pub struct MiniBatchNmfModel<F> {
    spec: MiniBatchNmf,
    components: Array2<F>,
    /// the sums A and B of the [method](super::mini_batch), `[k, d]`
    numerator: Array2<f64>,
    denominator: Array2<f64>,
    history: History,
}

impl<F: Float> MiniBatchNmfModel<F> {
    pub(super) fn new(spec: MiniBatchNmf, components: Array2<F>) -> Self {
        let (numerator, denominator) = (components.mapv(F::f64), Array2::ones(components.dim()));
        MiniBatchNmfModel { spec, components, numerator, denominator, history: History::new() }
    }

    pub(super) fn with_history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// Learns from one more batch: its codes are found for the components so far, then the components take a step.
    /// x: `[n, d]`, at least 0. A model saved and loaded goes on with the same bits.
    ///
    /// # Errors
    /// [`Error::Empty`](unsup_core::Error::Empty), [`Error::NonFinite`](unsup_core::Error::NonFinite),
    /// [`Error::Cell`](unsup_core::Error::Cell) for a value that is not allowed, [`Error::Shape`](unsup_core::Error::Shape)
    /// for another width.
    pub fn partial_fit(mut self, x: &ArrayRef2<F>) -> Result<Self> {
        let mut w = self.transform(x)?;
        let x = x.as_standard_layout();
        let objective = self.step(&x, &mut w, self.spec.forgetting) / x.nrows() as f64;
        self.history.record(objective, &[]);
        Ok(self)
    }

    /// One step with valid rows and their codes. Returns their objective between the two turns.
    pub(super) fn step(&mut self, x: &ArrayRef2<F>, w: &mut Array2<F>, memory: f64) -> f64 {
        let spec = &self.spec.nmf;
        let (of_codes, of_components) = spec.penalties(x.nrows(), x.ncols());
        let parts = multiplicative::codes_turn(spec.loss, x, w, &self.components, of_codes);
        let objective = spec.loss.sum(x, w, &self.components) + of_codes.of(w);
        if memory == 0.0 {
            // the same bits as without batches
            multiplicative::components_turn(spec.loss, &mut self.components, &parts, of_components);
        } else {
            self.remember(&parts, memory, of_components);
        }
        objective
    }

    fn remember(&mut self, parts: &Parts, memory: f64, penalty: Penalty) {
        let spec = &self.spec.nmf;
        let (exponent, floor) = (spec.loss.exponent(), floor::<F>().f64());
        Zip::from(&mut self.components)
            .and(&mut self.numerator)
            .and(&mut self.denominator)
            .and(&parts.numerator)
            .and(&parts.denominator)
            .for_each(|h, a, b, &n, &d| {
                let value = h.f64();
                let divisor = d + penalty.l1 + penalty.l2 * value;
                *a = memory * *a + value.powf(1.0 / exponent) * n;
                *b = memory * *b + if divisor > 0.0 { divisor } else { floor };
                *h = F::of((*a / *b).powf(exponent));
            });
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &MiniBatchNmf {
        &self.spec
    }

    /// The parts H, one a row, at least 0. `[k, d]`
    pub fn components(&self) -> &Array2<F> {
        &self.components
    }

    /// The mean objective of a row in each pass, of a stream in each batch, and why the fit ended.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// √(2·divergence) of rows from their best reconstruction. x: `[n, d]`.
    ///
    /// # Errors
    /// As [`transform`](Transform::transform).
    pub fn error(&self, x: &ArrayRef2<F>) -> Result<f64> {
        let w = self.transform(x)?;
        let x = x.as_standard_layout();
        Ok((2.0 * self.spec.nmf.loss.sum(&x, &w, &self.components)).sqrt())
    }
}

/// x: `[n, d]`, at least 0. Returns the codes `[n, k]`: for each row by itself, to the spec's tolerance.
impl<F: Float> Transform<ArrayRef2<F>> for MiniBatchNmfModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        codes(&self.spec.nmf, &self.components, x)
    }
}

/// z: `[n, k]`. Returns z·H, `[n, d]`.
impl<F: Float> InverseTransform<ArrayRef2<F>> for MiniBatchNmfModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        decode(&self.components, z)
    }
}

impl<F: Float> Persist for MiniBatchNmfModel<F> {
    fn kind() -> String {
        format!("MiniBatchNmfModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("components", &self.components)
            .array("numerator", &self.numerator)
            .array("denominator", &self.denominator)
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let components = read_factor::<F>(record, "components")?;
        let numerator = read_factor::<f64>(record, "numerator")?;
        let denominator = read_factor::<f64>(record, "denominator")?;
        let same = numerator.dim() == components.dim() && denominator.dim() == components.dim();
        record.require(same, "the sums and `components` differ in shape")?;
        record.require(values(&denominator).iter().all(|&b| b > 0.0), "a denominator is zero")?;
        let spec: MiniBatchNmf = record.read_value("spec")?;
        record.require(spec.check((0, 0)).is_ok(), "a hyper-parameter is out of range")?;
        record.require(
            spec.nmf.components == components.nrows(),
            "the spec has another number of components",
        )?;
        let history = record.read_value("history")?;
        Ok(MiniBatchNmfModel { spec, components, numerator, denominator, history })
    }
}
