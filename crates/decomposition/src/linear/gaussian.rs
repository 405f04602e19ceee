//! The Gaussian that every linear latent model makes of its data, without its d × d matrices.
//!
//! C = D (I·r + Σ (λₖ − r) vₖvₖᵀ) D with few orthonormal directions vₖ, their variances λₖ ≥ r, the variance r of everything else, and the
//! standard deviations D of the noise of each column (1 in probabilistic PCA, √ψ in factor analysis). With ρ = D⁻¹(x − μ)
//! and cₖ = vₖ·ρ the squared Mahalanobis distance is Σ cₖ²/λₖ + ‖ρ − Σ cₖvₖ‖²/r: the Woodbury identity as a sum of squares, in
//! which nothing cancels. 2·n·d·q multiply-adds, in `f64` over tiles of rows.

use ndarray::{Array1, Array2, ArrayRef2, Axis, s};
use rayon::prelude::*;
use std::ops::Range;
use unsup_core::math::{Mat, multiply};
use unsup_core::{Error, Float, Result, Seed, validate};

/// Rows that a thread takes at a time.
const TILE: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gaussian {
    /// `[d]`
    mean: Array1<f64>,
    /// of the noise of each column `[d]`
    deviations: Array1<f64>,
    /// orthonormal `[q, d]`
    basis: Array2<f64>,
    /// along each of them, in units of the noise `[q]`
    variances: Array1<f64>,
    /// along everything else, in units of the noise
    rest: f64,
    /// log of the normalising constant, in nats
    constant: f64,
}

impl Gaussian {
    /// `rest` is of no account when there are as many directions as columns.
    ///
    /// # Errors
    /// [`Error::Numerical`] when a variance is not positive: there is no density.
    pub(crate) fn new(
        method: &'static str,
        mean: Array1<f64>,
        deviations: Array1<f64>,
        basis: Array2<f64>,
        variances: Array1<f64>,
        rest: f64,
    ) -> Result<Self> {
        let (q, d) = basis.dim();
        // with every direction there is no rest: any value gives the same matrix, and this one the same digits
        let rest = if q == d { variances.fold(f64::INFINITY, |least, &v| least.min(v)) } else { rest };
        let positive = |v: &f64| *v > 0.0 && v.is_finite();
        if !variances.iter().chain(&deviations).chain([&rest]).all(positive) {
            let problem = "the data lie in a plane of fewer dimensions than they have columns and leave no noise around it: there is \
                           no density; keep fewer components, or leave out constant and dependent columns";
            return Err(Error::Numerical { method, problem: problem.to_owned() });
        }
        let log_det =
            variances.mapv(f64::ln).sum() + (d - q) as f64 * rest.ln() + 2.0 * deviations.mapv(f64::ln).sum();
        let basis = basis.as_standard_layout().into_owned();
        let constant = -0.5 * (d as f64 * std::f64::consts::TAU.ln() + log_det);
        Ok(Gaussian { mean, deviations, basis, variances, rest, constant })
    }

    /// log p(x) in nats. x: `[n, d]`. Returns `[n]`.
    pub(crate) fn log_density<F: Float>(&self, x: &ArrayRef2<F>) -> Result<Array1<f64>> {
        validate::table_of_width(x, self.mean.len(), "x")?;
        let mut out = vec![0.0; x.nrows()];
        out.par_chunks_mut(TILE).enumerate().for_each(|(t, out)| {
            out.copy_from_slice(&self.log_density_of_rows(x, t * TILE..t * TILE + out.len()));
        });
        Ok(Array1::from(out))
    }

    /// The same for some rows of a valid table, on the calling thread.
    pub(crate) fn log_density_of_rows<F: Float>(&self, x: &ArrayRef2<F>, range: Range<usize>) -> Vec<f64> {
        let (mut tile, mut out) = (Vec::new(), vec![0.0; range.len()]);
        let codes = self.codes_of_tile(x, range.start, range.len(), &mut tile);
        self.distances(&mut tile, &codes, &mut out);
        out.iter_mut().for_each(|v| *v = self.constant - 0.5 * *v);
        out
    }

    /// The coordinates along the directions, in units of the noise. x: `[n, d]`. Returns `[n, q]`.
    pub(crate) fn coordinates<F: Float>(&self, x: &ArrayRef2<F>) -> Result<Array2<f64>> {
        validate::table_of_width(x, self.mean.len(), "x")?;
        let (n, q) = (x.nrows(), self.basis.nrows());
        let mut out = vec![0.0; n * q];
        out.par_chunks_mut(TILE * q).enumerate().for_each_init(Vec::new, |tile, (t, out)| {
            out.copy_from_slice(&self.codes_of_tile(x, t * TILE, out.len() / q, tile));
        });
        Ok(Array2::from_shape_vec((n, q), out).unwrap_or_default())
    }

    /// Loads rows as ρ and returns their coordinates, row by row.
    fn codes_of_tile<F: Float>(
        &self,
        x: &ArrayRef2<F>,
        start: usize,
        rows: usize,
        tile: &mut Vec<f64>,
    ) -> Vec<f64> {
        let (q, d) = self.basis.dim();
        tile.clear();
        for row in x.slice(s![start..start + rows, ..]).rows() {
            let scaled =
                row.iter().zip(&self.mean).zip(&self.deviations).map(|((v, m), s)| (v.f64() - m) / s);
            tile.extend(scaled);
        }
        let mut codes = vec![0.0; rows * q];
        multiply(&mut codes, q, false, Mat::new(tile, rows, d), self.basis().t());
        codes
    }

    /// The squared Mahalanobis distances of a tile; it is left with the negative of what lies outside the directions.
    fn distances(&self, tile: &mut [f64], codes: &[f64], out: &mut [f64]) {
        let (q, d) = self.basis.dim();
        tile.iter_mut().for_each(|v| *v = -*v);
        multiply(tile, d, true, Mat::new(codes, out.len(), q), self.basis());
        for ((out, row), codes) in out.iter_mut().zip(tile.chunks_exact(d)).zip(codes.chunks_exact(q)) {
            let within: f64 = codes.iter().zip(&self.variances).map(|(c, v)| c * c / v).sum();
            *out = within + row.iter().map(|v| v * v).sum::<f64>() / self.rest;
        }
    }

    fn basis(&self) -> Mat<'_, f64> {
        let (q, d) = self.basis.dim();
        Mat::new(self.basis.as_slice().unwrap_or_default(), q, d)
    }

    /// `[d, d]`
    pub(crate) fn covariance(&self) -> Array2<f64> {
        matrix(&self.basis, &self.variances, self.rest, &self.deviations)
    }

    /// The inverse of the covariance. `[d, d]`
    pub(crate) fn precision(&self) -> Array2<f64> {
        let inverse = |v: &f64| 1.0 / v;
        matrix(&self.basis, &self.variances.map(inverse), inverse(&self.rest), &self.deviations.map(inverse))
    }

    /// n draws. `[n, d]`
    pub(crate) fn sample(&self, n: usize, seed: Seed) -> Result<Array2<f64>> {
        let (q, d) = self.basis.dim();
        // codes, noise, what the codes give, and the rows
        validate::room("n", n, q + 3 * d)?;
        let table = |name: &str, m: usize| {
            Array2::from_shape_vec((n, m), seed.named(name).normals(n * m)).unwrap_or_default()
        };
        let along = self.variances.mapv(|v| (v - self.rest).max(0.0).sqrt());
        let rows = (table("codes", q) * &along).dot(&self.basis) + table("noise", d) * self.rest.sqrt();
        Ok(rows * &self.deviations + &self.mean)
    }
}

/// D (r·I + Σ (λₖ − r) vₖvₖᵀ) D.
fn matrix(basis: &Array2<f64>, variances: &Array1<f64>, rest: f64, scale: &Array1<f64>) -> Array2<f64> {
    let excess = variances.mapv(|v| v - rest).insert_axis(Axis(1));
    let mut matrix = basis.t().dot(&(basis * &excess));
    matrix.diag_mut().mapv_inplace(|v| v + rest);
    matrix * scale * scale.view().insert_axis(Axis(1))
}
