//! The objective and its terms, one value an iteration.

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
pub struct Curve {
    objective: Vec<f64>,
    #[serde(with = "nan_as_null")]
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

/// JSON has no NaN, which stands for *not recorded* among the terms.
mod nan_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Terms = Vec<(String, Vec<f64>)>;

    pub(super) fn serialize<S: Serializer>(terms: &Terms, serializer: S) -> Result<S::Ok, S::Error> {
        let option = |v: &f64| (!v.is_nan()).then_some(*v);
        let terms: Vec<(&str, Vec<Option<f64>>)> =
            terms.iter().map(|(name, values)| (name.as_str(), values.iter().map(option).collect())).collect();
        terms.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Terms, D::Error> {
        let terms = Vec::<(String, Vec<Option<f64>>)>::deserialize(deserializer)?;
        let values = |values: Vec<Option<f64>>| values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect();
        Ok(terms.into_iter().map(|(name, v)| (name, values(v))).collect())
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
