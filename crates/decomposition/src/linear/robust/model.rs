//! The two parts of a table.

use super::RobustPca;
use super::pursuit::Pursuit;
use ndarray::{Array1, Array2, ArrayRef2};
use unsup_core::estimator::{AnomalyScore, InverseTransform, Transform};
use unsup_core::math;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, validate};

/// The low-rank and the sparse part that [`RobustPca`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct RobustPcaModel<F> {
    spec: RobustPca,
    low_rank: Array2<F>,
    sparse: Array2<F>,
    components: Array2<F>,
    singular_values: Array1<f64>,
    lambda: f64,
    history: History,
}

impl<F: Float> RobustPcaModel<F> {
    pub(super) fn new(spec: RobustPca, pursuit: Pursuit, lambda: f64, history: History) -> Self {
        RobustPcaModel {
            spec,
            low_rank: pursuit.low_rank.mapv(F::of),
            sparse: pursuit.sparse.mapv(F::of),
            components: crate::linear::signs::fix_signs(pursuit.directions).mapv(F::of),
            singular_values: pursuit.singular_values,
            lambda,
            history,
        }
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &RobustPca {
        &self.spec
    }

    /// L. `[n, d]`
    pub fn low_rank(&self) -> &Array2<F> {
        &self.low_rank
    }

    /// S. `[n, d]`
    pub fn sparse(&self) -> &Array2<F> {
        &self.sparse
    }

    /// The right singular vectors of L, one a row. `[r, d]`, none when L is zero
    pub fn components(&self) -> &Array2<F> {
        &self.components
    }

    /// The singular values of L, from the largest down, all above 0. `[r]`
    pub fn singular_values(&self) -> &Array1<f64> {
        &self.singular_values
    }

    /// The rank of L.
    pub fn rank(&self) -> usize {
        self.singular_values.len()
    }

    /// The λ that was used.
    pub fn lambda(&self) -> f64 {
        self.lambda
    }

    /// ‖X − L − S‖ / ‖X‖ after each iteration, with the terms `dual` (the other residual), `rank` and `nonzeros`, and why the fit ended.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// x: `[m, d]`. Returns the coordinates `[m, r]` of rows along the components of L: plain projections, which the sparse errors of
/// new rows do move.
impl<F: Float> Transform<ArrayRef2<F>> for RobustPcaModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        let d = self.components.ncols();
        validate::table_of_width(x, d, "x")?;
        Ok(math::product(x, &vec![F::zero(); d], &self.components.t().as_standard_layout().into_owned()))
    }
}

/// z: `[m, r]`. Returns the rows `[m, d]` of the span of L that have these coordinates.
impl<F: Float> InverseTransform<ArrayRef2<F>> for RobustPcaModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        validate::width(z, self.rank(), "z")?;
        if self.rank() > 0 {
            validate::table(z, "z")?;
        }
        Ok(math::product(z, &vec![F::zero(); self.rank()], &self.components))
    }
}

/// The squared distance of rows from the span of L, in squared units of the data. x: `[m, d]`. Returns `[m]`.
impl<F: Float> AnomalyScore<ArrayRef2<F>> for RobustPcaModel<F> {
    fn anomaly_score(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        let rebuilt = self.inverse_transform(&self.transform(x)?)?;
        let distance = |(a, b): (ndarray::ArrayView1<'_, F>, ndarray::ArrayView1<'_, F>)| {
            a.iter().zip(b).map(|(a, b)| (a.f64() - b.f64()).powi(2)).sum()
        };
        Ok(x.rows().into_iter().zip(rebuilt.rows()).map(distance).collect())
    }
}

impl<F: Float> Persist for RobustPcaModel<F> {
    fn kind() -> String {
        format!("RobustPcaModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("low_rank", &self.low_rank)
            .array("sparse", &self.sparse)
            .array("components", &self.components)
            .array("singular_values", &self.singular_values)
            .value("spec", &self.spec)?
            .value("lambda", &self.lambda)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let model = RobustPcaModel {
            spec: record.read_value("spec")?,
            low_rank: record.read_table("low_rank")?,
            sparse: record.read_table("sparse")?,
            components: record.read_table("components")?,
            singular_values: record.read_list("singular_values")?,
            lambda: record.read_value("lambda")?,
            history: record.read_value("history")?,
        };
        record.require(model.spec.check().is_ok(), "a hyper-parameter is out of range")?;
        let shapes = model.low_rank.dim() == model.sparse.dim()
            && model.components.dim() == (model.rank(), model.low_rank.ncols());
        record.require(shapes && !model.low_rank.is_empty(), "the parts and the components do not fit")?;
        Ok(model)
    }
}
