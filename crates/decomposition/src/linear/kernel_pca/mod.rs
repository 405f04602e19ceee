//! Kernel PCA: principal components after a map that is never written down.
//!
//! PCA needs of its rows only their inner products. With k(a, b) = φ(a)·φ(b) in their place it is PCA of φ(x): the centred matrix
//! K_c `[n, n]` has eigenvectors αₜ and eigenvalues λₜ, and the code of a row is Σᵢ αₜᵢ k_c(xᵢ, x)/√λₜ. Linear in φ(x), bent in x.
//!
//! Codes have no exact inverse: few points of the feature space are the φ of a row. A [`PreImage`] is a row whose φ is
//! near, by the fixed point of Mika et al. (RBF only), or learned by kernel ridge regression from codes to rows.
//!
//! **Use it** for curved structure in up to some thousands of rows, for denoising, for data that are known only by a kernel. **Do not use
//! it** for large n (memory n², time n² to n³), or to see clusters in the plane.
//!
//! Cost: n²·d multiply-adds for the kernel; n²·(k + 8) a step of block Lanczos for few components, 4/3·n³ for many, or where Lanczos takes
//! more than n/4 directions; m·n·(d + k) for m new rows. Memory: some n² numbers.
//!
//! Sources: Schölkopf, Smola & Müller, *Nonlinear component analysis as a kernel eigenvalue problem*, Neural Computation 10 (1998);
//! Mika et al., *Kernel PCA and de-noising in feature spaces*, NIPS 1998, equation 10; Bakır, Weston & Schölkopf, *Learning to find
//! pre-images*, NIPS 2003.

mod kernel;
mod leading;
mod model;
mod pre_image;

pub use kernel::Kernel;
pub use model::KernelPcaModel;
pub use pre_image::PreImage;

use super::signs::fix_signs;
use leading::leading;
use model::Parts;
use ndarray::{Array1, Array2, ArrayRef2, Axis, s};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::Fit;
use unsup_core::math::{self, Eigen};
use unsup_core::observe::Observer;
use unsup_core::{Error, Float, Result, validate};

const METHOD: &str = "kernel PCA";

/// The hyper-parameters of kernel PCA; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::Fit};
/// use unsup_decomposition::{Kernel, KernelPca};
/// let model = KernelPca::new(Kernel::Rbf { gamma: Some(0.25) }).components(3).fit(&data::iris().x)?;
/// assert!((model.eigenvalues()[0] - 48.1105).abs() < 1e-4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelPca {
    kernel: Kernel,
    components: Option<usize>,
    pre_image: Option<PreImage>,
}

impl KernelPca {
    /// All components of eigenvalue above 0, no pre-images.
    pub fn new(kernel: Kernel) -> Self {
        KernelPca { kernel, components: None, pre_image: None }
    }

    /// Keeps `count` components, from 1 to n. Those of eigenvalue 0 have codes of 0.
    #[must_use]
    pub fn components(mut self, count: usize) -> Self {
        self.components = Some(count);
        self
    }

    /// How codes are turned into rows.
    #[must_use]
    pub fn pre_image(mut self, pre_image: PreImage) -> Self {
        self.pre_image = Some(pre_image);
        self
    }

    fn check(&self, n: usize) -> Result<()> {
        self.kernel.check()?;
        if let Some(k) = self.components.filter(|&k| k == 0 || k > n) {
            return Err(Error::parameter("components", k, "at least 1 and at most the number of rows"));
        }
        self.pre_image.map_or(Ok(()), |p| p.check(self.kernel))
    }
}

/// A matrix that is symmetric up to rounding.
fn check_symmetric<F: Float>(x: &ArrayRef2<F>) -> Result<()> {
    let (n, d) = x.dim();
    if n != d {
        return Err(Error::shape("x", "a square matrix, as a precomputed kernel is", format!("{n} × {d}")));
    }
    let scale = x.iter().fold(0.0_f64, |m, v| m.max(v.f64().abs()));
    for i in 0..n {
        for j in 0..i {
            let (lower, upper) = (x[[i, j]].f64(), x[[j, i]].f64());
            if (lower - upper).abs() > 64.0 * F::EPS * scale {
                let (what, allowed) =
                    ("x", "the value on the other side of the diagonal: a kernel is symmetric");
                return Err(Error::Cell { what, row: i, column: j, value: lower, allowed });
            }
        }
    }
    Ok(())
}

/// x: `[n, d]`, or `[n, n]` of a precomputed kernel.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`]; [`Error::Parameter`] for a hyper-parameter out of range; [`Error::Shape`] and [`Error::Cell`] for
/// a precomputed kernel that is not square or not symmetric; [`Error::Numerical`] when a component that is asked for has an
/// eigenvalue that is negative beyond rounding: then k is no inner product.
impl<F: Float> Fit<ArrayRef2<F>> for KernelPca {
    type Model = KernelPcaModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, _: &mut dyn Observer) -> Result<KernelPcaModel<F>> {
        validate::table(x, "x")?;
        let (n, d) = x.dim();
        self.check(n)?;
        if self.kernel == Kernel::Precomputed {
            check_symmetric(x)?;
        }
        let shift = if self.kernel.ignores_translation() { math::column_means(x) } else { Array1::zeros(d) };
        let rows = x.mapv(F::f64) - &shift;
        let gamma = self.kernel.gamma(d);
        let mut kernel = self.kernel.matrix(gamma, &rows, &rows);
        if kernel.iter().any(|v| !v.is_finite()) {
            let problem =
                "a value of the kernel is not finite; scale the data or choose a smaller gamma or degree";
            return Err(Error::Numerical { method: METHOD, problem: problem.to_owned() });
        }
        let means = kernel.sum_axis(Axis(0)) / n as f64;
        let mean = means.sum() / n as f64;
        // what rounding leaves in an eigenvalue of zero
        let rounding = n as f64 * f64::EPSILON * kernel.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        centre(&mut kernel, &means, mean);
        let Eigen { values, vectors } = leading(&kernel, self.components.unwrap_or(n))?;
        let values = significant(values, rounding)?;
        let k = match self.components {
            Some(k) => k,
            None => values.iter().filter(|&&v| v > 0.0).count(),
        };
        if k == 0 {
            let problem = "all rows are the same to this kernel; there is no component".to_owned();
            return Err(Error::Numerical { method: METHOD, problem });
        }
        let vectors = fix_signs(vectors.slice(s![..k, ..]).to_owned());
        let eigenvalues = values.slice(s![..k]).to_owned();
        let rows = if self.kernel == Kernel::Precomputed { Array2::zeros((0, n)) } else { rows };
        KernelPcaModel::new(self.clone(), Parts { shift, rows, gamma, means, mean, vectors, eigenvalues })
    }
}

/// Products of φ(x) less the mean of the training rows' φ. kernel: `[m, n]`, means: those of the training kernel's columns, `[n]`, and
/// of all of it.
fn centre(kernel: &mut Array2<f64>, means: &Array1<f64>, mean: f64) {
    let n = means.len() as f64;
    for mut row in kernel.rows_mut() {
        let own = row.sum() / n;
        row.zip_mut_with(means, |v, m| *v += mean - own - m);
    }
}

/// Eigenvalues with those of rounding size set to 0.
fn significant(mut values: Array1<f64>, rounding: f64) -> Result<Array1<f64>> {
    let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if let Some(&negative) = values.iter().find(|&&v| v < -1e-5 * largest && v < -4.0 * rounding) {
        let problem = format!(
            "eigenvalue {negative} beside a largest of {largest}: the kernel is not positive semi-definite; ask for fewer components"
        );
        return Err(Error::Numerical { method: METHOD, problem });
    }
    // where all rows are the same the centred kernel itself is rounding
    let floor = (1e-12 * largest).max(rounding);
    values.mapv_inplace(|v| if v > floor { v } else { 0.0 });
    Ok(values)
}
