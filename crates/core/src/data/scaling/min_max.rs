//! A common range for every column.

use crate::estimator::{Fit, InverseTransform, Transform};
use crate::observe::Observer;
use crate::store::{Persist, Record};
use crate::{Error, Float, Result, validate};
use ndarray::{Array1, Array2, ArrayRef2};
use serde::{Deserialize, Serialize};

/// Maps the smallest value of each column to the low end of a range (0) and the largest to its
/// high end (1).
///
/// A constant column maps to the low end. New values beyond the fitted ones land outside the range.
///
/// ```
/// use ndarray::array;
/// use unsup_core::{data::scaling::MinMaxScaler, estimator::{Fit, Transform}};
/// let x = array![[2.0, 7.0], [4.0, 7.0], [3.0, 7.0]];
/// let model = MinMaxScaler::new().fit(&x)?;
/// assert_eq!(model.transform(&x)?, array![[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MinMaxScaler {
    low: f64,
    high: f64,
}

impl Default for MinMaxScaler {
    fn default() -> Self {
        MinMaxScaler { low: 0.0, high: 1.0 }
    }
}

impl MinMaxScaler {
    /// The range 0 to 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another range, `low < high`.
    #[must_use]
    pub fn range(mut self, low: f64, high: f64) -> Self {
        (self.low, self.high) = (low, high);
        self
    }
}

/// The range of each column, and the one it is mapped to.
#[derive(Debug, Clone, PartialEq)]
pub struct MinMaxScalerModel {
    minimum: Array1<f64>,
    scale: Array1<f64>,
    low: f64,
}

impl MinMaxScalerModel {
    /// The smallest value of each column, `[d]`.
    pub fn minimum(&self) -> &Array1<f64> {
        &self.minimum
    }

    /// What each column is divided by: its range over the target's, or 1 for a constant column. `[d]`.
    pub fn scale(&self) -> &Array1<f64> {
        &self.scale
    }
}

impl<F: Float> Fit<ArrayRef2<F>> for MinMaxScaler {
    type Model = MinMaxScalerModel;

    /// x: `[n, d]`, finite.
    ///
    /// # Errors
    /// Those of [`validate::table`]; [`Error::Parameter`] for a range that is empty or not finite;
    /// [`Error::Numerical`] when a column's range exceeds that of `f64`.
    fn fit_observed(&self, x: &ArrayRef2<F>, _: &mut dyn Observer) -> Result<MinMaxScalerModel> {
        let width = self.high - self.low;
        if !(width > 0.0 && width.is_finite()) {
            let value = format!("{}..{}", self.low, self.high);
            return Err(Error::parameter("range", value, "finite numbers, the low end below the high end"));
        }
        validate::table(x, "x")?;
        let mut minimum = x.row(0).mapv(F::f64);
        let mut maximum = minimum.clone();
        for row in x.rows() {
            minimum.iter_mut().zip(row).for_each(|(m, v)| *m = m.min(v.f64()));
            maximum.iter_mut().zip(row).for_each(|(m, v)| *m = m.max(v.f64()));
        }
        let scale = (maximum - &minimum).mapv(|range| if range > 0.0 { range / width } else { 1.0 });
        if let Some(column) = scale.iter().position(|s| !s.is_normal()) {
            return Err(Error::Numerical {
                method: "MinMaxScaler",
                problem: format!("the range of column {column} exceeds that of f64; rescale it first"),
            });
        }
        Ok(MinMaxScalerModel { minimum, scale, low: self.low })
    }
}

impl<F: Float> Transform<ArrayRef2<F>> for MinMaxScalerModel {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        super::encode(x, &self.minimum, &self.scale, self.low)
    }
}

impl<F: Float> InverseTransform<ArrayRef2<F>> for MinMaxScalerModel {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        super::decode(z, &self.minimum, &self.scale, self.low)
    }
}

impl Persist for MinMaxScalerModel {
    fn kind() -> String {
        "MinMaxScalerModel".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        Record::new(Self::kind())
            .array("minimum", &self.minimum)
            .array("scale", &self.scale)
            .value("low", &self.low)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let minimum = record.read_list("minimum")?;
        let model =
            MinMaxScalerModel { minimum, scale: record.read_list("scale")?, low: record.read_value("low")? };
        record.require(model.minimum.len() == model.scale.len(), "one scale a column is needed")?;
        record.require(model.scale.iter().all(|&s| s > 0.0), "a scale must be positive")?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_ends_of_each_column_map_to_the_ends_of_the_range_and_back() -> Result<()> {
        let x = array![[1e8_f32, -3.0], [1e8 + 64.0, 5.0], [1e8 + 32.0, 1.0]];
        let model = MinMaxScaler::new().range(-1.0, 3.0).fit(&x)?;
        let z = model.transform(&x)?;
        assert_eq!(z, array![[-1.0, -1.0], [3.0, 3.0], [1.0, 1.0]]);
        assert_eq!(model.inverse_transform(&z)?, x);
        Ok(())
    }

    #[test]
    fn what_has_no_answer_is_refused() {
        let x = array![[0.0, 1.0]];
        let range = |low, high| MinMaxScaler::new().range(low, high).fit(&x);
        assert!(matches!(range(1.0, 1.0), Err(Error::Parameter { name: "range", .. })));
        assert!(matches!(range(0.0, f64::NAN), Err(Error::Parameter { name: "range", .. })));
        let wide = MinMaxScaler::new().fit(&array![[f64::MAX], [f64::MIN]]);
        assert!(matches!(wide, Err(Error::Numerical { method: "MinMaxScaler", .. })));
    }

    #[test]
    fn a_saved_scaler_is_the_same() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("scaler.safetensors");
        let model = MinMaxScaler::new().range(-0.1, 0.7).fit(&crate::data::iris().x)?;
        model.save(&path)?;
        assert_eq!(MinMaxScalerModel::load(&path)?, model);
        Ok(())
    }
}
