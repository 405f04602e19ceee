//! The objective and its terms, one value an iteration.

use crate::store::Number;
use serde::{Deserialize, Serialize};

/// An objective and the terms it is made of, after each iteration.
///
/// ```
/// use unsup_core::observe::Curve;
/// let mut curve = Curve::default();
/// curve.record(3.0, &[("kl", 1.0)]);
/// curve.record(2.0, &[("kl", 0.5)]);
/// assert_eq!((curve.objective(), curve.term("kl")), (&[3.0, 2.0][..], Some(&[1.0, 0.5][..])));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Curve {
    objective: Vec<f64>,
    terms: Vec<(String, Vec<f64>)>,
}

impl Curve {
    /// Appends one iteration. A term that was absent so far is filled up with NaN.
    pub fn record(&mut self, objective: f64, terms: &[(&str, f64)]) {
        for &(name, value) in terms {
            let at = match self.terms.iter().position(|(n, _)| n == name) {
                Some(at) => at,
                None => {
                    self.terms.push((name.to_owned(), vec![f64::NAN; self.objective.len()]));
                    self.terms.len() - 1
                }
            };
            self.terms[at].1.push(value);
        }
        self.objective.push(objective);
        for (_, values) in &mut self.terms {
            values.resize(self.objective.len(), f64::NAN);
        }
    }

    /// The objective after each iteration.
    pub fn objective(&self) -> &[f64] {
        &self.objective
    }

    /// One of the objective's terms after each iteration, if there is a term of that name.
    pub fn term(&self, name: &str) -> Option<&[f64]> {
        self.terms.iter().find(|(n, _)| n == name).map(|(_, values)| &values[..])
    }

    /// The names of the terms, in the order they first appeared.
    pub fn term_names(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|(name, _)| name.as_str())
    }

    /// How many iterations were made.
    pub fn iterations(&self) -> usize {
        self.objective.len()
    }
}

/// A [`Curve`] in a file, with every number that it may hold: a bound may be infinite, and a term that was not recorded is NaN.
#[derive(Serialize, Deserialize)]
struct Written {
    objective: Vec<Number>,
    terms: Vec<(String, Vec<Number>)>,
}

impl From<Curve> for Written {
    fn from(curve: Curve) -> Self {
        let write = |values: Vec<f64>| values.into_iter().map(Number).collect();
        let terms = curve.terms.into_iter().map(|(name, values)| (name, write(values))).collect();
        Written { objective: write(curve.objective), terms }
    }
}

impl From<Written> for Curve {
    fn from(written: Written) -> Self {
        let read = |values: Vec<Number>| values.into_iter().map(|Number(value)| value).collect();
        let terms = written.terms.into_iter().map(|(name, values)| (name, read(values))).collect();
        Curve { objective: read(written.objective), terms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_stay_aligned_with_the_objective() {
        let mut curve = Curve::default();
        curve.record(3.0, &[("kl", 1.0)]);
        curve.record(2.0, &[]);
        curve.record(1.0, &[("late", 5.0), ("kl", 0.5)]);
        assert_eq!(curve.objective(), [3.0, 2.0, 1.0]);
        let kl = curve.term("kl").map(<[f64]>::to_vec).unwrap_or_default();
        assert!(kl[0] == 1.0 && kl[1].is_nan() && kl[2] == 0.5, "{kl:?}");
        let late = curve.term("late").map(<[f64]>::to_vec).unwrap_or_default();
        assert!(late[0].is_nan() && late[1].is_nan() && late[2] == 5.0, "{late:?}");
        assert_eq!(curve.term("none"), None);
    }
}
