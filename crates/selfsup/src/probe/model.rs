//! What a linear probe learned.

use super::{LinearProbe, softmax, standardise};
use ndarray::{Array1, Array2, ArrayRef2};
use unsup_core::estimator::Predict;
use unsup_core::math::{Moments, product};
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, validate};

/// The classifier that [`LinearProbe`] found; see the [module](super).
#[derive(Debug, Clone)]
pub struct LinearProbeModel<F> {
    spec: LinearProbe,
    moments: Moments,
    weights: Array2<f64>,
    bias: Array1<f64>,
    history: History,
    element: std::marker::PhantomData<F>,
}

impl<F: Float> LinearProbeModel<F> {
    pub(super) fn new(
        spec: LinearProbe,
        moments: Moments,
        weights: Array2<f64>,
        bias: Array1<f64>,
        history: History,
    ) -> Self {
        LinearProbeModel { spec, moments, weights, bias, history, element: std::marker::PhantomData }
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &LinearProbe {
        &self.spec
    }

    /// The weights on standardised features. `[k, d]`
    pub fn weights(&self) -> &Array2<f64> {
        &self.weights
    }

    /// The bias of each class. `[k]`
    pub fn bias(&self) -> &Array1<f64> {
        &self.bias
    }

    /// The mean penalised loss after each iteration, in nats.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The probability of each class. features: `[n, d]`. Returns `[n, k]`; rows sum to 1.
    ///
    /// # Errors
    /// When the width is not that of the fit, or a value is not finite.
    pub fn probabilities(&self, features: &ArrayRef2<F>) -> Result<Array2<f64>> {
        validate::table_of_width(features, self.weights.ncols(), "features")?;
        let z = standardise(features, &self.moments);
        let by_column = self.weights.t().to_owned();
        let mut scores = product(&z, &vec![0.0; z.ncols()], &by_column) + &self.bias;
        scores.rows_mut().into_iter().for_each(|mut row| softmax(row.as_slice_mut().unwrap_or_default()));
        Ok(scores)
    }
}

/// The most probable class of each row; on a tie the lower one. features: `[n, d]`. Returns `[n]`.
impl<F: Float> Predict<ArrayRef2<F>> for LinearProbeModel<F> {
    fn predict(&self, features: &ArrayRef2<F>) -> Result<Array1<usize>> {
        let probabilities = self.probabilities(features)?;
        let best = |row: ndarray::ArrayView1<'_, f64>| {
            (1..row.len()).fold(0, |b, c| if row[c] > row[b] { c } else { b })
        };
        Ok(probabilities.rows().into_iter().map(best).collect())
    }
}

impl<F: Float> Persist for LinearProbeModel<F> {
    fn kind() -> String {
        format!("LinearProbeModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("means", &self.moments.means)
            .array("variances", &self.moments.variances)
            .array("weights", &self.weights)
            .array("bias", &self.bias)
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let moments =
            Moments { means: record.read_list("means")?, variances: record.read_list("variances")? };
        let (weights, bias) = (record.read_table::<f64>("weights")?, record.read_list::<f64>("bias")?);
        let d = weights.ncols();
        record.require(d > 0 && moments.means.len() == d && moments.variances.len() == d, "widths differ")?;
        record.require(
            !bias.is_empty() && bias.len() == weights.nrows(),
            "`weights` and `bias` differ in classes",
        )?;
        Ok(LinearProbeModel::new(
            record.read_value("spec")?,
            moments,
            weights,
            bias,
            record.read_value("history")?,
        ))
    }
}
