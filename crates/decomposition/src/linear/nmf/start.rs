//! Where a factorisation starts from.

use super::table::Table;
use crate::linear::subspace::leading_svd;
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use unsup_core::{Error, Float, Result, Seed, validate};

/// How the first codes W and components H are chosen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Start {
    /// [`Start::SvdFilled`] when there are at most min(n, d) components, else [`Start::Random`].
    #[default]
    Auto,
    /// From the non-negative parts of singular vectors (NNDSVD; Boutsidis & Gallopoulos 2008). Its zeros stay zeros under
    /// multiplicative updates: for coordinate descent, and where a sparse answer is wanted.
    Svd,
    /// The same with its zeros filled by the mean of the data (NNDSVDa).
    SvdFilled,
    /// |N(0, 1)|·√(mean / k).
    Random,
    /// These.
    Given {
        /// W, `[n, k]`.
        codes: Array2<f64>,
        /// H, `[k, d]`.
        components: Array2<f64>,
    },
}

impl Start {
    /// The first W and H, row-major, for valid, non-negative rows. x: `[n, d]`.
    pub(super) fn factors<F: Float>(
        &self,
        x: &dyn Table<F>,
        k: usize,
        seed: Seed,
    ) -> Result<(Array2<F>, Array2<F>)> {
        let (n, d) = x.dim();
        let mean = x.mean();
        let (w, h) = match self {
            Start::Given { codes, components } => {
                given("codes", codes, (n, k))?;
                given("components", components, (k, d))?;
                (codes.clone(), components.clone())
            }
            Start::Random => random(n, d, k, mean, seed),
            Start::Auto if k > n.min(d) => random(n, d, k, mean, seed),
            Start::Svd | Start::SvdFilled if k > n.min(d) => {
                return Err(Error::parameter("components", k, "at most min(n, d) for a start by the SVD"));
            }
            Start::Svd => svd(x, k, seed)?,
            Start::Auto | Start::SvdFilled => {
                let (w, h) = svd(x, k, seed)?;
                let fill = |v: f64| if v == 0.0 { mean } else { v };
                (w.mapv_into(fill), h.mapv_into(fill))
            }
        };
        // given tables may lie in memory column by column
        let row_major = |table: Array2<f64>| table.as_standard_layout().mapv(F::of);
        Ok((row_major(w), row_major(h)))
    }
}

fn given(what: &'static str, table: &Array2<f64>, (rows, columns): (usize, usize)) -> Result<()> {
    if table.dim() != (rows, columns) {
        let found = format!("{} × {}", table.nrows(), table.ncols());
        return Err(Error::shape(what, format!("{rows} × {columns}"), found));
    }
    validate::table_where(table, what, "numbers of at least 0", |v| v >= 0.0)
}

fn random(n: usize, d: usize, k: usize, mean: f64, seed: Seed) -> (Array2<f64>, Array2<f64>) {
    let scale = (mean / k as f64).sqrt();
    let draw = |name: &str, rows: usize, columns: usize| {
        let values = seed.named(name).normals(rows * columns);
        Array2::from_shape_vec((rows, columns), values).unwrap_or_default().mapv_into(|v| scale * v.abs())
    };
    (draw("codes", n, k), draw("components", k, d))
}

/// NNDSVD. Each further singular pair u·vᵀ is the difference of two non-negative outer products on either half of signs; the
/// larger is kept.
fn svd<F: Float>(x: &dyn Table<F>, k: usize, seed: Seed) -> Result<(Array2<f64>, Array2<f64>)> {
    /// Below this a value counts as zero, as in scikit-learn.
    const ZERO: f64 = 1e-6;
    let silent = |_, _| ControlFlow::Continue(());
    let svd = leading_svd(&*x.operator(), k, 10, 7, seed.named("singular vectors"), silent)?;
    let (n, d) = x.dim();
    let (mut w, mut h) = (Array2::zeros((n, k)), Array2::zeros((k, d)));
    for j in 0..k {
        let (u, v) = (svd.u.column(j), svd.vt.row(j));
        // the leading pair of a non-negative table has one sign
        let signs: &[f64] = if j == 0 && u.sum() < 0.0 || j > 0 { &[1.0, -1.0] } else { &[1.0] };
        let mut best = (0.0, 1.0, 1.0, 1.0);
        for &sign in signs {
            let (a, b) = (part(u, sign), part(v, sign));
            if a * b > best.0 {
                best = (a * b, a, b, sign);
            }
        }
        let (product, a, b, sign) = best;
        let scale = (svd.s[j] * product).sqrt();
        w.column_mut(j).zip_mut_with(&u, |w, &u| *w = scale * (sign * u).max(0.0) / a);
        h.row_mut(j).zip_mut_with(&v, |h, &v| *h = scale * (sign * v).max(0.0) / b);
    }
    let cut = |v: f64| if v < ZERO { 0.0 } else { v };
    Ok((w.mapv_into(cut), h.mapv_into(cut)))
}

/// The length of the part of a vector that has this sign.
fn part(v: ArrayView1<'_, f64>, sign: f64) -> f64 {
    v.iter().map(|v| (sign * v).max(0.0).powi(2)).sum::<f64>().sqrt()
}
