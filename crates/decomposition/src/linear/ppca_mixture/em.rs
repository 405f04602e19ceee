//! E and M steps in turn.

use super::{METHOD, PpcaMixture};
use crate::linear::gaussian::Gaussian;
use crate::linear::signs::fix_signs;
use ndarray::{Array1, Array2, ArrayRef2, s};
use rayon::prelude::*;
use std::ops::{ControlFlow, Range};
use unsup_core::math::{self, Eigen, Mat, ROW_TILE, chunks, multiply, sum_in_order};
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result};

/// A smaller responsibility is left out of the sums: 10¹² rows of it do not change the last bit of the count of a component that has
/// one row.
const NEGLIGIBLE: f64 = 1e-30;

/// One component.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) weight: f64,
    /// `[d]`
    pub(super) mean: Array1<f64>,
    /// orthonormal, from the greatest variance down `[q, d]`
    pub(super) directions: Array2<f64>,
    /// along each, noise included `[q]`
    pub(super) variances: Array1<f64>,
    pub(super) noise: f64,
    pub(super) gaussian: Gaussian,
}

impl Plane {
    pub(super) fn new(
        weight: f64,
        mean: Array1<f64>,
        directions: Array2<f64>,
        variances: Array1<f64>,
        noise: f64,
    ) -> Result<Self> {
        let ones = Array1::ones(mean.len());
        let gaussian =
            Gaussian::new(METHOD, mean.clone(), ones, directions.clone(), variances.clone(), noise)?;
        Ok(Plane { weight, mean, directions, variances, noise, gaussian })
    }
}

/// Where one start ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) planes: Vec<Plane>,
    /// of a row on average, under these planes, in nats
    pub(super) log_likelihood: f64,
    pub(super) history: History,
}

/// EM from a partition. scale: the mean variance of a column.
pub(super) fn climb<F: Float>(
    spec: &PpcaMixture,
    x: &ArrayRef2<F>,
    means: &Array1<f64>,
    labels: &[usize],
    scale: f64,
    observer: &mut dyn Observer,
) -> Result<Run> {
    let n = x.nrows() as f64;
    let step = |sums: &[Sums], iteration: usize| -> Result<Vec<Plane>> {
        sums.iter().enumerate().map(|(c, sums)| sums.maximization(spec, c, iteration, n, scale)).collect()
    };
    let _ = observer.observe(&Event::Started { task: METHOD, total: spec.max_iterations });
    let references = vec![means.clone(); spec.components];
    let (_, sums) = pass(x, &references, |range, shares| {
        for (i, row) in range.zip(shares.chunks_exact_mut(spec.components)) {
            row[labels[i]] = 1.0;
        }
        0.0
    });
    let mut planes = step(&sums, 0)?;
    let (mut log_likelihood, mut sums) = expectation(x, &planes);
    let mut history = History::new();
    for iteration in 1..=spec.max_iterations {
        planes = step(&sums, iteration)?;
        let before = log_likelihood;
        (log_likelihood, sums) = expectation(x, &planes);
        history.record(log_likelihood, &[]);
        let event = Event::Progress { task: METHOD, done: iteration, objective: log_likelihood, terms: &[] };
        if observer.observe(&event) == ControlFlow::Break(()) {
            history.finish(Stop::Interrupted);
            break;
        }
        if (log_likelihood - before).abs() < spec.tolerance {
            history.finish(Stop::Converged);
            break;
        }
    }
    let _ = observer.observe(&Event::Finished { task: METHOD, stop: history.stop() });
    Ok(Run { planes, log_likelihood, history })
}

/// The mean log-likelihood, and the sums of each component over the rows in the shares that it has of them.
fn expectation<F: Float>(x: &ArrayRef2<F>, planes: &[Plane]) -> (f64, Vec<Sums>) {
    let references: Vec<Array1<f64>> = planes.iter().map(|p| p.mean.clone()).collect();
    let (total, sums) =
        pass(x, &references, |range, shares| responsibilities(x, range, planes, shares).iter().sum());
    (total / x.nrows() as f64, sums)
}

/// Fills the responsibilities of some rows, `[rows, k]`, and returns their log-densities.
pub(super) fn responsibilities<F: Float>(
    x: &ArrayRef2<F>,
    range: Range<usize>,
    planes: &[Plane],
    shares: &mut [f64],
) -> Vec<f64> {
    let k = planes.len();
    for (c, plane) in planes.iter().enumerate() {
        let densities = plane.gaussian.log_density_of_rows(x, range.clone());
        shares.iter_mut().skip(c).step_by(k).zip(densities).for_each(|(s, v)| *s = plane.weight.ln() + v);
    }
    shares
        .chunks_exact_mut(k)
        .map(|row| {
            let highest = row.iter().fold(f64::MIN, |m, v| m.max(*v));
            row.iter_mut().for_each(|v| *v = (*v - highest).exp());
            let sum: f64 = row.iter().sum();
            // a row that is infinitely far from everything belongs to everything alike
            row.iter_mut().for_each(|v| *v = if sum > 0.0 { *v / sum } else { 1.0 / k as f64 });
            highest + sum.ln()
        })
        .collect()
}

/// Σ r, Σ r(x − reference) and Σ r(x − reference)(x − reference)ᵀ of one component.
struct Sums {
    count: f64,
    reference: Array1<f64>,
    first: Array1<f64>,
    second: Array2<f64>,
}

/// One pass over the rows. `share` fills the shares of a tile, zeros so far, and returns what is added up beside them.
fn pass<F: Float>(
    x: &ArrayRef2<F>,
    references: &[Array1<f64>],
    share: impl Fn(Range<usize>, &mut [f64]) -> f64 + Sync,
) -> (f64, Vec<Sums>) {
    let (k, d) = (references.len(), x.ncols());
    let size = 1 + d + d * d;
    // as many independent sums as fit the data's own memory
    let groups = (x.nrows() / (k * d)).clamp(4, 32);
    let parts: Vec<Vec<f64>> = chunks(x.nrows(), groups)
        .into_par_iter()
        .map(|range| {
            let mut total = vec![0.0; 1 + k * size];
            let (mut rows, mut weighted) = (Vec::new(), Vec::new());
            for start in range.clone().step_by(ROW_TILE) {
                let tile = start..range.end.min(start + ROW_TILE);
                let mut shares = vec![0.0; tile.len() * k];
                total[0] += share(tile.clone(), &mut shares);
                for (c, reference) in references.iter().enumerate() {
                    rows.clear();
                    weighted.clear();
                    let sums = &mut total[1 + c * size..][..size];
                    for (i, share) in tile.clone().zip(shares.iter().skip(c).step_by(k)) {
                        if *share > NEGLIGIBLE {
                            sums[0] += share;
                            let moved = x.row(i);
                            let moved = moved.iter().zip(reference).map(|(v, m)| v.f64() - m);
                            rows.extend(moved.clone());
                            weighted.extend(moved.map(|v| v * share));
                        }
                    }
                    for row in weighted.chunks_exact(d) {
                        sums[1..=d].iter_mut().zip(row).for_each(|(s, v)| *s += v);
                    }
                    let count = rows.len() / d;
                    let (left, right) = (Mat::new(&weighted, count, d), Mat::new(&rows, count, d));
                    multiply(&mut sums[1 + d..], d, true, left.t(), right);
                }
            }
            total
        })
        .collect();
    let total = sum_in_order(parts.iter().map(Vec::as_slice));
    let of = |(sums, reference): (&[f64], &Array1<f64>)| Sums {
        count: sums[0],
        reference: reference.clone(),
        first: Array1::from(sums[1..=d].to_vec()),
        second: Array2::from_shape_vec((d, d), sums[1 + d..].to_vec()).unwrap_or_default(),
    };
    (total[0], total[1..].chunks_exact(size).zip(references).map(of).collect())
}

impl Sums {
    /// The plane of greatest likelihood for these sums, and for a noise of at least the floor.
    fn maximization(
        &self,
        spec: &PpcaMixture,
        c: usize,
        iteration: usize,
        n: f64,
        scale: f64,
    ) -> Result<Plane> {
        let collapse = |cause: &str| Error::Numerical {
            method: METHOD,
            problem: format!("component {c} collapsed in iteration {iteration}: {cause}"),
        };
        if self.count <= 10.0 * f64::EPSILON * n {
            return Err(collapse("no row belongs to it"));
        }
        let (d, q) = (self.first.len(), spec.directions);
        let step = &self.first / self.count;
        let column = step.view().insert_axis(ndarray::Axis(1));
        let covariance = &self.second / self.count - &column * &step;
        let total = covariance.diag().sum();
        let Eigen { values, vectors } = math::leading_eigen(&((&covariance + &covariance.t()) / 2.0), q)?;
        let left = (total - values.sum()) / (d - q) as f64;
        let noise = left.max(spec.noise_floor * scale);
        // what is left of a covariance that was rounded at its own size, and moved by its mean
        let far = self.reference.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let rounding = 8.0 * f64::EPSILON * total.max(f64::EPSILON * far * far);
        if noise <= rounding || noise.is_nan() {
            return Err(collapse(
                "no noise is left around its plane; raise the noise floor or ask for fewer",
            ));
        }
        let directions = fix_signs(vectors.slice(s![..q, ..]).to_owned());
        let variances = values.mapv(|v| v.max(noise));
        Plane::new(self.count / n, &self.reference + &step, directions, variances, noise)
    }
}
