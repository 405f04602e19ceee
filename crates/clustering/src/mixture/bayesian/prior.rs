//! What is believed before the data: the checks of a spec, and the prior that it and the data make.

use super::weights::WeightPrior;
use super::{BayesianGaussianMixture, METHOD};
use crate::mixture::covariance::{Collapse, Covariance};
use crate::mixture::factor::Factor;
use crate::mixture::fit::check_common;
use crate::mixture::pass::{Assignment, Rows};
use crate::mixture::start::Start;
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use unsup_core::math::{Nearest, Scatter};
use unsup_core::{Error, Result, validate};

/// What is believed before the data.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prior {
    pub(super) family: Covariance,
    pub(super) weights: WeightPrior,
    /// γ
    pub(super) concentration: f64,
    /// β₀
    pub(super) mean_precision: f64,
    /// m₀, relative to the shift `[d]`
    pub(super) mean: Vec<f64>,
    /// ν₀
    pub(super) degrees_of_freedom: f64,
    /// W₀⁻¹, as the family stores one component
    pub(super) covariance: Vec<f64>,
    /// log det W₀
    pub(super) log_det: f64,
    pub(super) floor: f64,
}

impl Prior {
    /// log det W₀ of a covariance W₀⁻¹.
    pub(super) fn log_det(family: Covariance, covariance: &[f64], d: usize) -> Result<f64, Collapse> {
        Ok(2.0 * Factor::new(family, covariance, &vec![0.0; d], d)?.log_det(0))
    }
}

impl BayesianGaussianMixture {
    pub(super) fn check<F: Nearest>(&self, x: &ArrayRef2<F>) -> Result<()> {
        let (n, d) = x.dim();
        check_common(self.components, self.restarts, self.tolerance, self.covariance_floor)?;
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let above_zero = "a finite number above 0";
        if let Some(value) = self.weight_concentration.filter(|&v| !positive(v)) {
            return Err(Error::parameter("weight_concentration", value, above_zero));
        }
        if !positive(self.mean_precision) {
            return Err(Error::parameter("mean_precision", self.mean_precision, above_zero));
        }
        if let Some(value) = self.degrees_of_freedom.filter(|v| !(v.is_finite() && *v > d as f64 - 1.0)) {
            return Err(Error::parameter("degrees_of_freedom", value, "a finite number above d − 1"));
        }
        if let Some(mean) = &self.mean {
            validate::table_of_width(&mean.view().insert_axis(Axis(0)), d, "mean_prior")?;
        }
        if matches!(&self.start, Start::Given { weights, precisions, .. } if weights.is_some() || precisions.is_some())
        {
            return Err(Error::parameter("start", "weights or precisions", "means alone"));
        }
        if n < self.components {
            return Err(Error::TooFewRows { method: METHOD, needed: self.components, found: n });
        }
        self.start.check(self.covariance, self.components, d)
    }

    /// The prior, with what was not given taken from the data.
    pub(super) fn prior<F: Nearest>(&self, rows: &Rows<'_, F>) -> Result<Prior> {
        let (family, d) = (self.covariance, rows.x.ncols());
        let singular = |_| Error::Numerical {
            method: METHOD,
            problem: "the covariance of the prior is not positive definite; give one by covariance_prior"
                .to_owned(),
        };
        let (covariance, log_det) = if let Some(given) = &self.covariance_prior {
            let shape = &family.shape(1, d)
                [if family == Covariance::Full || family == Covariance::Diagonal { 1 } else { 0 }..];
            if given.shape() != shape {
                let found = format!("{:?}", given.shape());
                return Err(Error::shape("covariance_prior", format!("{shape:?}"), found));
            }
            let covariance: Vec<f64> = given.iter().copied().collect();
            if let Some(index) = family.asymmetric(&covariance, d) {
                let (value, allowed) = (covariance[index].to_string(), "a symmetric matrix");
                return Err(Error::Value { what: "covariance_prior", index, value, allowed });
            }
            let log_det = Prior::log_det(family, &covariance, d).map_err(singular)?;
            (covariance, log_det)
        } else {
            let total = rows.total_weight();
            let mut covariance = of_data(family, &(products(rows)? / (total - 1.0).max(0.5 * total)));
            let log_det = Prior::log_det(family, &covariance, d).or_else(|_| {
                family.add_to_diagonal(&mut covariance, d, self.covariance_floor);
                Prior::log_det(family, &covariance, d).map_err(singular)
            })?;
            (covariance, log_det)
        };
        let relative = |mean: &Array1<f64>| mean.iter().zip(rows.shift).map(|(v, m)| v - m).collect();
        Ok(Prior {
            family,
            weights: self.weight_prior,
            concentration: self.weight_concentration.unwrap_or(1.0 / self.components as f64),
            mean_precision: self.mean_precision,
            mean: self.mean.as_ref().map_or_else(|| vec![0.0; d], relative),
            degrees_of_freedom: self.degrees_of_freedom.unwrap_or(d as f64),
            covariance,
            log_det,
            floor: self.covariance_floor,
        })
    }
}

/// Σ w(x − mean)(x − mean)ᵀ of rows whose shift is their mean. `[d, d]`
fn products<F: Nearest>(rows: &Rows<'_, F>) -> Result<Array2<f64>> {
    if rows.weights.is_none() {
        return Ok(Scatter::of(rows.x, "x")?.products);
    }
    let (labels, mean, d) = (vec![0; rows.x.nrows()], vec![0.0; rows.x.ncols()], rows.x.ncols());
    let squares = rows.pass(Assignment::Labels(&labels), Covariance::Full, &mean).squares;
    Ok(Array2::from_shape_fn((d, d), |(i, j)| squares[i.max(j) * d + i.min(j)]))
}

/// A covariance matrix as the family stores one component.
fn of_data(family: Covariance, covariance: &Array2<f64>) -> Vec<f64> {
    match family {
        Covariance::Full | Covariance::Tied => covariance.iter().copied().collect(),
        Covariance::Diagonal => covariance.diag().to_vec(),
        Covariance::Spherical => vec![covariance.diag().mean().unwrap_or(0.0)],
    }
}
