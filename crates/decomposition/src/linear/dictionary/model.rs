//! The dictionary, and how it learns from one more batch.

use super::DictionaryLearning;
use super::alternate::{atoms_turn, codes_turn};
use super::coder::{decode, encode};
use ndarray::{Array2, ArrayRef2};
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Float, Result, validate};

/// The atoms that [`DictionaryLearning`] found; see the [module](super).
#[derive(Debug, Clone, PartialEq)]
pub struct DictionaryLearningModel<F> {
    spec: DictionaryLearning,
    components: Array2<F>,
    atoms: Array2<f64>,
    /// the sums of the batches so far, the older the less they count
    a: Array2<f64>,
    b: Array2<f64>,
    steps: usize,
    history: History,
}

impl<F: Float> DictionaryLearningModel<F> {
    pub(super) fn new(spec: DictionaryLearning, atoms: Array2<f64>) -> Self {
        let (k, d) = atoms.dim();
        let (a, b) = (Array2::zeros((k, k)), Array2::zeros((k, d)));
        DictionaryLearningModel {
            spec,
            components: atoms.mapv(F::of),
            atoms,
            a,
            b,
            steps: 0,
            history: History::new(),
        }
    }

    pub(super) fn with_history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    pub(super) fn atoms(&self) -> &Array2<f64> {
        &self.atoms
    }

    /// Learns from one more batch. x: `[n, d]`. A batch t of η rows leaves the sums before it β = (θ + 1 − η)/(θ + 1) of their
    /// weight, with θ = tη for t < η and η² + t − η after: at first a batch counts as its rows, later as one row, so that
    /// what is old is forgotten (Mairal et al. 2009, 3.4). A batch fit leaves no sums. A model saved and loaded goes on with the same bits.
    ///
    /// # Errors
    /// [`Error::Empty`](unsup_core::Error::Empty), [`Error::NonFinite`](unsup_core::Error::NonFinite),
    /// [`Error::Shape`](unsup_core::Error::Shape) for another width.
    pub fn partial_fit(mut self, x: &ArrayRef2<F>) -> Result<Self> {
        validate::table_of_width(x, self.components.ncols(), "x")?;
        let x = x.as_standard_layout().into_owned();
        let objective = self.step(&x) / x.nrows() as f64;
        self.history.record(objective, &[]);
        Ok(self)
    }

    /// One step with valid rows. Returns their objective with the atoms before it.
    pub(super) fn step(&mut self, x: &Array2<F>) -> f64 {
        let rows = x.nrows() as f64;
        let mut z = Array2::zeros((x.nrows(), self.atoms.nrows()));
        let sums = codes_turn(x, &mut z, &self.atoms, self.spec.alpha);
        let objective = sums.objective(&self.atoms, self.spec.alpha);
        self.steps += 1;
        let t = self.steps as f64;
        let theta = if t < rows { t * rows } else { rows * rows + t - rows };
        let kept = (theta + 1.0 - rows) / (theta + 1.0);
        self.a = &self.a * kept + &sums.a / rows;
        self.b = &self.b * kept + &sums.b / rows;
        let seed = self.spec.seed.named("unused").indexed(self.steps);
        atoms_turn(&mut self.atoms, &self.a, &self.b, x, seed);
        self.components = self.atoms.mapv(F::of);
        objective
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &DictionaryLearning {
        &self.spec
    }

    /// The atoms, one a row, of length at most 1. `[k, d]`
    pub fn components(&self) -> &Array2<F> {
        &self.components
    }

    /// The objective Σ ½‖x − zD‖² + α‖z‖₁ after each iteration, and why the fit ended. Online: summed over a pass as each batch
    /// met it; of a stream, the mean of a row in each batch.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many batches it has met.
    pub fn steps(&self) -> usize {
        self.steps
    }
}

/// x: `[n, d]`. Returns the codes `[n, k]`, each row's by itself.
impl<F: Float> Transform<ArrayRef2<F>> for DictionaryLearningModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        encode(x, &self.components, self.spec.new_rows())
    }
}

/// z: `[n, k]`. Returns z·D, `[n, d]`.
impl<F: Float> InverseTransform<ArrayRef2<F>> for DictionaryLearningModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        decode(z, &self.components)
    }
}

impl<F: Float> Persist for DictionaryLearningModel<F> {
    fn kind() -> String {
        format!("DictionaryLearningModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("atoms", &self.atoms)
            .array("a", &self.a)
            .array("b", &self.b)
            .value("steps", &self.steps)?
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let atoms: Array2<f64> = record.read_table("atoms")?;
        let (k, d) = atoms.dim();
        let (a, b) = (record.read_table::<f64>("a")?, record.read_table::<f64>("b")?);
        record.require(
            k * d > 0 && a.dim() == (k, k) && b.dim() == (k, d),
            "the sums and the atoms do not fit",
        )?;
        let spec: DictionaryLearning = record.read_value("spec")?;
        record.require(
            spec.check((0, 0)).is_ok() && spec.components == k,
            "the spec is not one of these atoms",
        )?;
        let mut model = DictionaryLearningModel::new(spec, atoms);
        (model.a, model.b) = (a, b);
        model.steps = record.read_value("steps")?;
        Ok(model.with_history(record.read_value("history")?))
    }
}
