//! Numbers in a model file: JSON has no infinity and no NaN, a model may hold them.

use super::Record;
use crate::Result;
use serde::{Deserialize, Serialize};

/// An `f64` that survives JSON whatever it is: a finite number as itself, the infinities as `"inf"` and `"-inf"`, NaN as
/// `null`. For the fields of what a [`Record`] holds as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub(crate) struct Number(pub(crate) f64);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Number(Option<f64>),
    Infinite(Infinity),
}

#[derive(Serialize, Deserialize)]
enum Infinity {
    #[serde(rename = "inf")]
    Positive,
    #[serde(rename = "-inf")]
    Negative,
}

impl From<Number> for Form {
    fn from(Number(value): Number) -> Self {
        match value {
            f64::INFINITY => Form::Infinite(Infinity::Positive),
            f64::NEG_INFINITY => Form::Infinite(Infinity::Negative),
            _ => Form::Number((!value.is_nan()).then_some(value)),
        }
    }
}

impl From<Form> for Number {
    fn from(form: Form) -> Self {
        Number(match form {
            Form::Number(value) => value.unwrap_or(f64::NAN),
            Form::Infinite(Infinity::Positive) => f64::INFINITY,
            Form::Infinite(Infinity::Negative) => f64::NEG_INFINITY,
        })
    }
}

impl Record {
    /// Adds a number that need not be finite: a likelihood, a bound, a divergence.
    ///
    /// # Errors
    /// As [`value`](Self::value); there is no number without a form.
    ///
    /// ```
    /// use unsup_core::store::Record;
    /// let record = Record::new("Example").number("lower bound", f64::NEG_INFINITY)?;
    /// assert_eq!(record.read_number("lower bound")?, f64::NEG_INFINITY);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn number(self, name: &str, value: f64) -> Result<Self> {
        self.value(name, &Number(value))
    }

    /// The number of this name.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) when it is missing or no number.
    pub fn read_number(&self, name: &str) -> Result<f64> {
        self.read_value(name).map(|Number(value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_json() -> Result<(), Box<dyn std::error::Error>> {
        let numbers = [0.0, -0.0, 1.0, 1.0 / 3.0, -5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY];
        for value in numbers {
            let text = serde_json::to_string(&Number(value))?;
            let Number(back) = serde_json::from_str(&text)?;
            assert_eq!(back.to_bits(), value.to_bits(), "{text}");
        }
        assert!(serde_json::from_str::<Number>(&serde_json::to_string(&Number(f64::NAN))?)?.0.is_nan());
        assert!(serde_json::from_str::<Number>("\"infinite\"").is_err());
        Ok(())
    }
}
