//! The iterations of principal component pursuit.

use ndarray::{Array1, Array2, Zip};
use unsup_core::Result;
use unsup_core::math::{self, Svd};

/// The state of the alternation.
pub(super) struct Pursuit {
    pub(super) low_rank: Array2<f64>,
    pub(super) sparse: Array2<f64>,
    /// Y/μ, the multipliers over the price
    scaled: Array2<f64>,
    price: f64,
    lambda: f64,
    length: f64,
    iterations: usize,
    /// the singular values of L that are not zero, and their right vectors `[r, d]`
    pub(super) singular_values: Array1<f64>,
    pub(super) directions: Array2<f64>,
}

/// The thin SVD, by the triangular factor of the longer side: x = QR, R = USVᵀ.
fn thin_svd(x: &Array2<f64>) -> Result<Svd> {
    let (n, d) = x.dim();
    if n < d {
        let Svd { u, s, vt } = thin_svd(&x.t().as_standard_layout().into_owned())?;
        return Ok(Svd { u: vt.reversed_axes(), s, vt: u.reversed_axes() });
    }
    let factor = math::triangular_factor(x, &Array1::zeros(d));
    let (s, vt) = math::right_singular(&factor)?;
    let codes = math::product(x, &vec![0.0; d], &vt.t().as_standard_layout().into_owned());
    let inverse = s.mapv(|s| if s > 0.0 { 1.0 / s } else { 0.0 });
    Ok(Svd { u: codes * &inverse, s, vt })
}

fn shrink(value: f64, by: f64) -> f64 {
    value.signum() * (value.abs() - by).max(0.0)
}

impl Pursuit {
    /// The paper's price, n·d / (4‖X‖₁), and no multipliers yet.
    pub(super) fn new(x: &Array2<f64>, lambda: f64) -> Self {
        let sum: f64 = x.iter().map(|v| v.abs()).sum();
        Pursuit {
            low_rank: Array2::zeros(x.dim()),
            sparse: Array2::zeros(x.dim()),
            scaled: Array2::zeros(x.dim()),
            // a table of zeros is its own answer
            price: if sum > 0.0 { x.len() as f64 / (4.0 * sum) } else { 1.0 },
            lambda,
            length: x.iter().map(|v| v * v).sum::<f64>().sqrt(),
            iterations: 0,
            singular_values: Array1::zeros(0),
            directions: Array2::zeros((0, x.ncols())),
        }
    }

    /// One iteration. Returns the primal residual ‖X − L − S‖ / ‖X‖, and the dual one, μ‖S − S₋‖ / ‖Y‖: both 0 at the optimum
    /// and nowhere else (Boyd et al., section 3.3).
    pub(super) fn iterate(&mut self, x: &Array2<f64>) -> Result<[f64; 2]> {
        self.shrink_singular_values(&(x - &self.sparse + &self.scaled))?;
        let by = self.lambda / self.price;
        let (mut primal, mut dual, mut multipliers) = (0.0, 0.0, 0.0);
        Zip::from(&mut self.sparse).and(x).and(&self.low_rank).and(&mut self.scaled).for_each(
            |s, &x, &l, y| {
                let next = shrink(x - l + *y, by);
                let residual = x - l - next;
                *y += residual;
                primal += residual * residual;
                dual += (next - *s).powi(2);
                multipliers += *y * *y;
                *s = next;
            },
        );
        let ratio = |a: f64, b: f64| if a > 0.0 { a.sqrt() / b } else { 0.0 };
        let residuals = [ratio(primal, self.length), ratio(dual, multipliers.sqrt().max(f64::MIN_POSITIVE))];
        self.iterations += 1;
        self.balance(residuals);
        Ok(residuals)
    }

    /// Keeps the two residuals within a factor of ten of each other (Boyd et al., 3.4.1). Only so often, since convergence is proved
    /// for a price that no longer changes.
    fn balance(&mut self, [primal, dual]: [f64; 2]) {
        const ADAPTED: usize = 100;
        let factor = match () {
            () if self.iterations >= ADAPTED => 1.0,
            () if primal > 10.0 * dual => 2.0,
            () if dual > 10.0 * primal => 0.5,
            () => 1.0,
        };
        if factor != 1.0 {
            self.price *= factor;
            self.scaled /= factor;
        }
    }

    fn shrink_singular_values(&mut self, target: &Array2<f64>) -> Result<()> {
        let Svd { u, s, vt } = thin_svd(target)?;
        let kept = s.mapv(|s| (s - 1.0 / self.price).max(0.0));
        let rank = kept.iter().filter(|&&s| s > 0.0).count();
        let range = ndarray::s![..rank];
        self.singular_values = kept.slice(range).to_owned();
        self.directions = vt.slice(ndarray::s![..rank, ..]).to_owned();
        let left = &u.slice(ndarray::s![.., ..rank]) * &self.singular_values;
        let left = left.as_standard_layout().into_owned();
        self.low_rank = math::product(&left, &vec![0.0; rank], &self.directions);
        Ok(())
    }

    pub(super) fn rank(&self) -> usize {
        self.singular_values.len()
    }

    pub(super) fn nonzeros(&self) -> usize {
        self.sparse.iter().filter(|&&s| s != 0.0).count()
    }
}
