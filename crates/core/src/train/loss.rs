//! What a step minimises, and its means over many steps.

use crate::{Error, Result};
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// What a step minimises: a scalar, and the named terms it is made of, for the record.
#[derive(Debug, Clone)]
pub struct Loss {
    pub(super) total: Tensor,
    terms: Vec<(&'static str, Tensor)>,
}

impl Loss {
    /// A scalar to minimise.
    pub fn new(total: Tensor) -> Self {
        Loss { total, terms: Vec::new() }
    }

    /// Adds a term to be reported; it must be part of the total already.
    #[must_use]
    pub fn term(mut self, name: &'static str, value: &Tensor) -> Self {
        self.terms.push((name, value.detach()));
        self
    }
}

impl From<Tensor> for Loss {
    fn from(total: Tensor) -> Self {
        Loss::new(total)
    }
}

/// Sums over rows, from which the means of a report are made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Means {
    rows: f64,
    total: f64,
    terms: Vec<(String, f64)>,
}

impl Means {
    /// Adds a batch of `rows` rows. `of` goes before the names of terms that are not finite.
    pub(super) fn add(&mut self, loss: &Loss, rows: usize, step: usize, of: &str) -> Result<()> {
        let rows = rows as f64;
        let scalar = |x: &Tensor, term: &str| {
            let value = x.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            match value.is_finite() {
                true => Ok(rows * value),
                false => Err(Error::NonFiniteLoss { step, term: format!("{of}{term}"), value }),
            }
        };
        self.total += scalar(&loss.total, "total")?;
        for (name, value) in &loss.terms {
            let value = scalar(value, name)?;
            match self.terms.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += value,
                None => self.terms.push(((*name).to_owned(), value)),
            }
        }
        self.rows += rows;
        Ok(())
    }

    pub(super) fn objective(&self) -> f64 {
        self.total / self.rows
    }

    pub(super) fn terms(&self) -> Vec<(&str, f64)> {
        self.terms.iter().map(|(name, sum)| (name.as_str(), sum / self.rows)).collect()
    }
}
