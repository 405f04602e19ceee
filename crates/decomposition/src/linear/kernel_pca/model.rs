//! What kernel PCA learned.

use super::pre_image::{fixed_points, regression};
use super::{Kernel, KernelPca, METHOD, PreImage, centre};
use ndarray::{Array1, Array2, ArrayRef2, Axis, s};
use std::marker::PhantomData;
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::math;
use unsup_core::store::{Persist, Record};
use unsup_core::{Error, Float, Result, validate};

/// What is learned, in `f64`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts {
    /// what is taken off each row before anything else, `[d]`
    pub(super) shift: Array1<f64>,
    /// the training rows less that, `[n, d]`, none of a precomputed kernel
    pub(super) rows: Array2<f64>,
    pub(super) gamma: f64,
    /// the means of the kernel's columns, `[n]`, and of all of it
    pub(super) means: Array1<f64>,
    pub(super) mean: f64,
    /// of length 1, `[k, n]`
    pub(super) vectors: Array2<f64>,
    pub(super) eigenvalues: Array1<f64>,
}

/// The components that [`KernelPca`] found; see the [module](super). Holds the training rows, which codes of new rows need.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelPcaModel<F> {
    spec: KernelPca,
    parts: Parts,
    /// vectors/√λ, of length 1 in the feature space; 0 where λ is `[k, n]`
    directions: Array2<f64>,
    /// the codes of the training rows, `[n, k]`
    codes: Array2<f64>,
    /// the dual coefficients of a ridge regression of the rows about their mean, `[n, d]`, and that mean
    dual: Option<(Array2<f64>, Array1<f64>)>,
    element: PhantomData<F>,
}

impl<F: Float> KernelPcaModel<F> {
    pub(super) fn new(spec: KernelPca, parts: Parts) -> Result<Self> {
        let scales = parts.eigenvalues.mapv(|v| if v > 0.0 { 1.0 / v.sqrt() } else { 0.0 });
        let directions = &parts.vectors * &scales.insert_axis(Axis(1));
        let codes =
            (&parts.vectors.t() * &parts.eigenvalues.mapv(f64::sqrt)).as_standard_layout().into_owned();
        let dual = match spec.pre_image {
            Some(PreImage::Ridge { alpha }) => {
                let mean = math::column_means(&parts.rows);
                let about = &parts.rows - &mean;
                Some((regression(spec.kernel, parts.gamma, &codes, &about, alpha)?, mean))
            }
            _ => None,
        };
        Ok(KernelPcaModel { spec, parts, directions, codes, dual, element: PhantomData })
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &KernelPca {
        &self.spec
    }

    /// The leading eigenvalues of the centred kernel matrix, from the largest down: n times the variance along each component in the
    /// feature space. `[k]`
    pub fn eigenvalues(&self) -> &Array1<f64> {
        &self.parts.eigenvalues
    }

    /// The eigenvectors, one a row, of length 1, the largest value of each positive. `[k, n]`
    pub fn eigenvectors(&self) -> &Array2<f64> {
        &self.parts.vectors
    }

    /// The codes of the training rows. `[n, k]`
    pub fn codes(&self) -> Array2<F> {
        self.codes.mapv(F::of)
    }

    fn width(&self) -> usize {
        if self.spec.kernel == Kernel::Precomputed { self.parts.means.len() } else { self.parts.shift.len() }
    }
}

/// x: `[m, d]`, or `[m, n]` of a precomputed kernel: its values at the new rows and the training rows. Returns the codes `[m, k]`.
impl<F: Float> Transform<ArrayRef2<F>> for KernelPcaModel<F> {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        /// Rows whose kernel is held at a time.
        const ROWS: usize = 512;
        validate::table_of_width(x, self.width(), "x")?;
        let parts = &self.parts;
        let directions = self.directions.t().as_standard_layout().into_owned();
        let zeros = vec![0.0; parts.means.len()];
        let mut codes = Array2::zeros((x.nrows(), self.directions.nrows()));
        for start in (0..x.nrows()).step_by(ROWS) {
            let range = s![start..x.nrows().min(start + ROWS), ..];
            let rows = x.slice(range).mapv(F::f64) - &parts.shift;
            let mut kernel =
                self.spec.kernel.matrix(parts.gamma, &rows.as_standard_layout().into_owned(), &parts.rows);
            centre(&mut kernel, &parts.means, parts.mean);
            codes.slice_mut(range).assign(&math::product(&kernel, &zeros, &directions).mapv(F::of));
        }
        if codes.iter().any(|v: &F| !v.is_finite()) {
            let problem = "a row is so far away that its code overflows".to_owned();
            return Err(Error::Numerical { method: METHOD, problem });
        }
        Ok(codes)
    }
}

/// z: `[m, k]`. Returns pre-images `[m, d]`.
///
/// # Errors
/// Also [`Error::Parameter`] when the spec has no [`PreImage`].
impl<F: Float> InverseTransform<ArrayRef2<F>> for KernelPcaModel<F> {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        validate::table_of_width(z, self.directions.nrows(), "z")?;
        let parts = &self.parts;
        let wide = z.mapv(F::f64).as_standard_layout().into_owned();
        let rows = match (self.spec.pre_image, &self.dual) {
            (Some(PreImage::FixedPoint { iterations }), _) => {
                fixed_points(parts.gamma, &parts.rows, &self.codes, &self.directions, &wide, iterations)
            }
            (Some(PreImage::Ridge { .. }), Some((dual, mean))) => {
                let kernel = self.spec.kernel.matrix(parts.gamma, &wide, &self.codes);
                math::product(&kernel, &vec![0.0; parts.means.len()], dual) + mean
            }
            _ => {
                return Err(Error::parameter(
                    "pre_image",
                    "none",
                    "a way to pre-images, chosen before the fit",
                ));
            }
        };
        Ok((rows + &parts.shift).mapv(F::of))
    }
}

impl<F: Float> Persist for KernelPcaModel<F> {
    fn kind() -> String {
        format!("KernelPcaModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        let parts = &self.parts;
        Record::new(Self::kind())
            .array("shift", &parts.shift)
            .array("rows", &parts.rows)
            .array("means", &parts.means)
            .array("vectors", &parts.vectors)
            .array("eigenvalues", &parts.eigenvalues)
            .value("gamma", &parts.gamma)?
            .value("mean", &parts.mean)?
            .value("spec", &self.spec)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let parts = Parts {
            shift: record.read_list("shift")?,
            rows: record.read_table("rows")?,
            gamma: record.read_value("gamma")?,
            means: record.read_list("means")?,
            mean: record.read_value("mean")?,
            vectors: record.read_table("vectors")?,
            eigenvalues: record.read_list("eigenvalues")?,
        };
        let spec: KernelPca = record.read_value("spec")?;
        let (k, n) = parts.vectors.dim();
        record
            .require(k > 0 && k <= n && spec.check(n).is_ok(), "the spec is not one of these components")?;
        let fit = parts.means.len() == n && parts.eigenvalues.len() == k;
        record.require(fit, "the vectors, means and eigenvalues do not fit")?;
        let rows = if spec.kernel == Kernel::Precomputed { (0, n) } else { (n, parts.shift.len()) };
        record.require(parts.rows.dim() == rows, "the rows do not fit the vectors")?;
        record.require(parts.eigenvalues.iter().all(|&v| v >= 0.0), "an eigenvalue is negative")?;
        KernelPcaModel::new(spec, parts)
    }
}
