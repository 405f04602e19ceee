//! Codes of rows for a dictionary that is given.

use super::lars::{LassoPath, walk};
use super::lasso::Lasso;
use super::omp::pursue;
use ndarray::{Array2, ArrayRef1, ArrayRef2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::math;
use unsup_core::{Error, Float, Result, validate};

/// Which code of a row x is wanted, for atoms D.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Coding {
    /// The minimum of ½‖x − zD‖² + α‖z‖₁ with α > 0, by coordinate descent until the duality gap is 10⁻⁸ of ½‖x‖².
    Lasso {
        /// The price of a code, in squared units of the data over units of the code.
        alpha: f64,
    },
    /// The same minimum without an iteration to converge, by following its [path](SparseCoder::path) down to α: where codes must be exact,
    /// or few atoms are used.
    Lars {
        /// As of the lasso.
        alpha: f64,
    },
    /// At most so many values that are not zero, at least 1, by orthogonal matching pursuit.
    Pursuit {
        /// How many.
        nonzeros: usize,
    },
    /// The minimum of ‖x − zD‖² + α‖z‖² with α ≥ 0, which is not sparse.
    Ridge {
        /// The price of a squared code.
        alpha: f64,
    },
}

impl Coding {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Coding::Lasso { alpha } | Coding::Lars { alpha } if !(alpha > 0.0 && alpha.is_finite()) => {
                Err(Error::parameter("alpha", alpha, "a finite number above 0"))
            }
            Coding::Ridge { alpha } if !(alpha >= 0.0 && alpha.is_finite()) => {
                Err(Error::parameter("alpha", alpha, "a finite number of at least 0"))
            }
            Coding::Pursuit { nonzeros: 0 } => Err(Error::parameter("nonzeros", 0, "at least 1")),
            _ => Ok(()),
        }
    }
}

/// Sparse coding with a dictionary that is given, not learned.
///
/// ```
/// use ndarray::array;
/// use unsup_core::estimator::Transform;
/// use unsup_decomposition::{Coding, SparseCoder};
/// let atoms = array![[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]];
/// let coder = SparseCoder::new(atoms, Coding::Pursuit { nonzeros: 1 })?;
/// let codes = coder.transform(&array![[3.0, 4.0]])?;
/// assert!((codes[[0, 2]] - 5.0_f64).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SparseCoder<F> {
    dictionary: Array2<F>,
    coding: Coding,
}

impl<F: Float> SparseCoder<F> {
    /// dictionary: `[k, d]`, one atom a row, of any length.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`]; [`Error::Parameter`] for a coding out of range.
    pub fn new(dictionary: Array2<F>, coding: Coding) -> Result<Self> {
        validate::table(&dictionary, "dictionary")?;
        coding.check()?;
        Ok(SparseCoder { dictionary, coding })
    }

    /// The atoms, one a row. `[k, d]`
    pub fn dictionary(&self) -> &Array2<F> {
        &self.dictionary
    }

    /// The lasso's codes of one row for every price from the one at which they are zero down to `least` ≥ 0, whatever the
    /// coding is. x: `[d]`.
    ///
    /// ```
    /// use ndarray::array;
    /// use unsup_decomposition::{Coding, SparseCoder};
    /// let coder = SparseCoder::new(array![[1.0, 0.0], [0.0, 1.0]], Coding::Lars { alpha: 1.0 })?;
    /// let path = coder.path(&array![3.0, -2.0], 0.0)?;
    /// assert_eq!(path.alphas().to_vec(), [3.0, 2.0, 0.0]);
    /// assert_eq!(path.at(1.0).to_vec(), [2.0, -1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for another width; [`Error::NonFinite`] (row 0); [`Error::Parameter`] for `least`.
    pub fn path(&self, x: &ArrayRef1<F>, least: f64) -> Result<LassoPath> {
        if !(least >= 0.0 && least.is_finite()) {
            return Err(Error::parameter("least", least, "a finite number of at least 0"));
        }
        validate::table_of_width(&x.view().insert_axis(Axis(0)), self.dictionary.ncols(), "x")?;
        let correlations = self.dictionary.mapv(F::f64).dot(&x.mapv(F::f64));
        let gram = gram(&self.dictionary);
        Ok(LassoPath::new(
            gram.as_slice().unwrap_or_default(),
            correlations.as_slice().unwrap_or_default(),
            least,
        ))
    }

    /// Which codes it gives.
    pub fn coding(&self) -> Coding {
        self.coding
    }
}

/// x: `[n, d]`. Returns the codes `[n, k]`, each row's by itself.
///
/// # Errors
/// Also [`Error::Numerical`] for a ridge of 0 on atoms that depend on each other.
impl<F: Float> Transform<ArrayRef2<F>> for SparseCoder<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        encode(x, &self.dictionary, self.coding)
    }
}

/// z: `[n, k]`. Returns z·D, `[n, d]`.
impl<F: Float> InverseTransform<ArrayRef2<F>> for SparseCoder<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        decode(z, &self.dictionary)
    }
}

pub(super) fn decode<F: Float>(z: &ArrayRef2<F>, dictionary: &Array2<F>) -> Result<Array2<F>> {
    let k = dictionary.nrows();
    validate::width(z, k, "z")?;
    math::checked_product(z, &vec![F::zero(); k], dictionary, "z")
}

/// DDᵀ, `[k, k]` row-major.
pub(super) fn gram<F: Float>(dictionary: &Array2<F>) -> Array2<f64> {
    let wide = dictionary.mapv(F::f64);
    wide.dot(&wide.t()).as_standard_layout().into_owned()
}

/// Dᵀ(DDᵀ + αI)⁻¹: what a row is multiplied by to give its ridge code. `[d, k]`
pub(super) fn ridge<F: Float>(dictionary: &Array2<F>, alpha: f64) -> Result<Array2<f64>> {
    let mut gram = gram(dictionary);
    let k = gram.nrows();
    gram.diag_mut().mapv_inplace(|g| g + alpha);
    let factor = math::cholesky(&gram)?;
    // solve L·Lᵀ·M = D row by row
    let mut m = dictionary.mapv(F::f64);
    for i in 0..k {
        for j in 0..i {
            let (known, l) = (m.row(j).to_owned(), factor[[i, j]]);
            m.row_mut(i).scaled_add(-l, &known);
        }
        m.row_mut(i).mapv_inplace(|v| v / factor[[i, i]]);
    }
    for i in (0..k).rev() {
        for j in i + 1..k {
            let (known, l) = (m.row(j).to_owned(), factor[[j, i]]);
            m.row_mut(i).scaled_add(-l, &known);
        }
        m.row_mut(i).mapv_inplace(|v| v / factor[[i, i]]);
    }
    Ok(m.reversed_axes())
}

/// The codes of rows that nobody has looked at.
pub(super) fn encode<F: Float>(
    x: &ArrayRef2<F>,
    dictionary: &Array2<F>,
    coding: Coding,
) -> Result<Array2<F>> {
    let (k, d) = dictionary.dim();
    validate::width(x, d, "x")?;
    let zeros = vec![F::zero(); d];
    if let Coding::Ridge { alpha } = coding {
        return math::checked_product(x, &zeros, &ridge(dictionary, alpha)?.mapv(F::of), "x");
    }
    let mut codes = math::checked_product(x, &zeros, &dictionary.t().to_owned(), "x")?;
    let gram = gram(dictionary);
    let gram = gram.as_slice().unwrap_or_default();
    let n = x.nrows();
    let rows = codes.as_slice_mut().unwrap_or_default();
    rows.par_chunks_mut(k).zip(0..n).for_each_init(Room::default, |room, (code, row)| {
        room.correlations.clear();
        room.correlations.extend(code.iter().map(|c| c.f64()));
        room.z.clear();
        room.z.resize(k, 0.0);
        match coding {
            Coding::Pursuit { nonzeros } => pursue(gram, &room.correlations, nonzeros, &mut room.z),
            Coding::Lasso { alpha } => {
                let squares = x.row(row).iter().map(|v| v.f64().powi(2)).sum();
                room.solve(gram, squares, alpha);
            }
            Coding::Lars { alpha } => {
                let squares = x.row(row).iter().map(|v| v.f64().powi(2)).sum();
                walk(gram, &room.correlations, alpha, |_, z| room.z.copy_from_slice(z));
                // at once at its end, unless atoms depend on each other
                room.solve(gram, squares, alpha);
            }
            Coding::Ridge { .. } => {}
        }
        code.iter_mut().zip(&room.z).for_each(|(code, &z)| *code = F::of(z));
    });
    Ok(codes)
}

/// What the problem of a row needs.
#[derive(Default)]
pub(super) struct Room {
    pub(super) correlations: Vec<f64>,
    pub(super) z: Vec<f64>,
    left: Vec<f64>,
}

impl Room {
    /// The lasso, from where z is.
    pub(super) fn solve(&mut self, gram: &[f64], squares: f64, alpha: f64) {
        self.left.resize(self.z.len(), 0.0);
        pulp::Arch::new().dispatch(Lasso {
            gram,
            correlations: &self.correlations,
            squares,
            alpha,
            tolerance: 1e-8,
            iterations: 1000,
            z: &mut self.z,
            left: &mut self.left,
        });
    }
}
