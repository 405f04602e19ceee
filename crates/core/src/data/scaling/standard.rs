//! Mean 0 and standard deviation 1 for every column.

use crate::estimator::{Fit, InverseTransform, Transform};
use crate::observe::Observer;
use crate::store::{Persist, Record};
use crate::{Error, Float, Result, validate};
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Gives every column mean 0 and standard deviation 1 (over n, not n - 1, as in scikit-learn).
///
/// A constant column maps to 0.
///
/// ```
/// use unsup_core::{data, data::scaling::StandardScaler, estimator::{Fit, Transform}};
/// let wine = data::wine();
/// let scaled = StandardScaler::new().fit(&wine.x)?.transform(&wine.x)?;
/// assert!(scaled.column(12).sum().abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StandardScaler {}

impl StandardScaler {
    /// The scaler; there is nothing to choose.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The mean and the standard deviation of each column.
#[derive(Debug, Clone, PartialEq)]
pub struct StandardScalerModel {
    mean: Array1<f64>,
    scale: Array1<f64>,
}

impl StandardScalerModel {
    /// The mean of each column, `[d]`.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// What each column is divided by: its standard deviation, or 1 when that is 0. `[d]`.
    pub fn scale(&self) -> &Array1<f64> {
        &self.scale
    }
}

impl<F: Float> Fit<ArrayRef2<F>> for StandardScaler {
    type Model = StandardScalerModel;

    /// x: `[n, d]`, finite.
    ///
    /// # Errors
    /// Those of [`validate::table`]; [`Error::Numerical`] when a variance exceeds the range of `f64`.
    fn fit_observed(&self, x: &ArrayRef2<F>, _: &mut dyn Observer) -> Result<StandardScalerModel> {
        validate::table(x, "x")?;
        // Relative to the first row a constant column is exactly 0, and a large offset cancels exactly.
        let first = x.row(0).mapv(F::f64);
        let shifted_mean = column_means(x, &first, |deviation| deviation);
        let mean = &first + &shifted_mean;
        let deviation = column_means(x, &mean, |deviation| deviation);
        let square = column_means(x, &mean, |deviation| deviation * deviation);
        // The square of the mean deviation corrects for the rounding of the mean (Chan, Golub & LeVeque 1983).
        let variance = square - &deviation.mapv(|d| d * d);
        if let Some(column) = variance.iter().position(|v| !v.is_finite()) {
            return Err(Error::Numerical {
                method: "StandardScaler",
                problem: format!(
                    "the variance of column {column} exceeds the range of f64; rescale it first"
                ),
            });
        }
        let scale = variance.mapv(|v| if v > 0.0 { v.sqrt() } else { 1.0 });
        Ok(StandardScalerModel { mean, scale })
    }
}

/// The mean of `term(x - centre)` in each column, over chunks of rows that do not depend on the
/// number of threads.
fn column_means<F: Float>(
    x: &ArrayRef2<F>,
    centre: &Array1<f64>,
    term: impl Fn(f64) -> f64 + Sync,
) -> Array1<f64> {
    let chunks: Vec<_> = x.axis_chunks_iter(Axis(0), 1024).collect();
    let partial: Vec<Array1<f64>> = chunks
        .into_par_iter()
        .map(|chunk| {
            let mut sums = Array1::zeros(centre.len());
            for row in chunk.rows() {
                sums.iter_mut().zip(row).zip(centre).for_each(|((s, v), c)| *s += term(v.f64() - c));
            }
            sums
        })
        .collect();
    partial.iter().fold(Array1::zeros(centre.len()), |total, sums| total + sums) / x.nrows() as f64
}

impl<F: Float> Transform<ArrayRef2<F>> for StandardScalerModel {
    type Code = Array2<F>;

    fn transform(&self, x: &ArrayRef2<F>) -> Result<Array2<F>> {
        super::encode(x, &self.mean, &self.scale, 0.0)
    }
}

impl<F: Float> InverseTransform<ArrayRef2<F>> for StandardScalerModel {
    type Output = Array2<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array2<F>> {
        super::decode(z, &self.mean, &self.scale, 0.0)
    }
}

impl Persist for StandardScalerModel {
    fn kind() -> String {
        "StandardScalerModel".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        Ok(Record::new(Self::kind()).array("mean", &self.mean).array("scale", &self.scale))
    }

    fn from_record(record: &Record) -> Result<Self> {
        let model =
            StandardScalerModel { mean: record.read_list("mean")?, scale: record.read_list("scale")? };
        record.require(model.mean.len() == model.scale.len(), "one scale a column is needed")?;
        record.require(model.scale.iter().all(|&s| s > 0.0), "a scale must be positive")?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use ndarray::array;

    #[test]
    fn an_offset_of_1e8_costs_no_accuracy() -> Result<()> {
        let z = Array2::from_shape_vec((5000, 2), Seed::new(3).normals(10_000))
            .map_err(|e| Error::shape("z", "", e.to_string()))?;
        let fit = |x: &Array2<f64>| StandardScaler::new().fit(x);
        // multiples of 2^-20, so that adding 1e8 rounds nothing
        let x = z.mapv(|v| (v * 1_048_576.0).round() / 1_048_576.0);
        let (plain, offset) = (fit(&x)?, fit(&(&x + 1e8))?);
        for j in 0..2 {
            assert!((offset.scale()[j] / plain.scale()[j] - 1.0).abs() < 1e-12);
            assert!((offset.mean()[j] - 1e8 - plain.mean()[j]).abs() < 2e-8);
        }
        Ok(())
    }

    #[test]
    fn a_constant_column_maps_to_exactly_zero() -> Result<()> {
        for value in [0.1, 1e8 + 0.3, -1e300] {
            let x = array![[value, 1.0], [value, 2.0], [value, 4.0]];
            let model = StandardScaler::new().fit(&x)?;
            assert_eq!(model.transform(&x)?.column(0), array![0.0, 0.0, 0.0]);
            assert_eq!(model.scale()[0], 1.0);
        }
        Ok(())
    }

    #[test]
    fn f32_and_f64_agree_and_the_inverse_undoes() -> Result<()> {
        let x = crate::data::wine().x;
        let narrow = x.mapv(|v| v as f32);
        let model = StandardScaler::new().fit(&narrow)?;
        let z = model.transform(&narrow)?;
        let wide = StandardScaler::new().fit(&x)?.transform(&x)?;
        assert!(z.iter().zip(&wide).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4));
        let back = model.inverse_transform(&z)?;
        assert!(back.iter().zip(&narrow).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs()));
        Ok(())
    }

    #[test]
    fn a_variance_beyond_f64_is_an_error() {
        let result = StandardScaler::new().fit(&array![[1e200], [-1e200]]);
        assert!(matches!(result, Err(Error::Numerical { method: "StandardScaler", .. })));
    }
}
