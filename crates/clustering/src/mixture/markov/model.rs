//! The field that EM found, and the segmentations it makes.

use super::HiddenMarkovRandomField;
use super::field::Field;
use super::image::Image;
use super::update::Potts;
use crate::mixture::em::Parameters;
use ndarray::{Array1, Array2, Array3};
use unsup_core::estimator::Predict;
use unsup_core::math::Nearest;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};
use unsup_core::{Result, validate};

/// What [`HiddenMarkovRandomField`] learned, in `f64` whatever the data's type; see the [module](super). Classes
/// are in the order of their means in the first channel.
#[derive(Debug, Clone)]
pub struct HiddenMarkovRandomFieldModel {
    spec: HiddenMarkovRandomField,
    shift: Vec<f64>,
    parameters: Parameters,
    /// α: the log-weights of a site without neighbours
    alpha: Vec<f64>,
    means: Array2<f64>,
    history: History,
}

impl HiddenMarkovRandomFieldModel {
    pub(super) fn new(
        spec: HiddenMarkovRandomField,
        shift: Vec<f64>,
        parameters: Parameters,
        mut alpha: Vec<f64>,
        history: History,
    ) -> Self {
        // so that the exponentials have a sum of 1
        let highest = alpha.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = highest + alpha.iter().map(|a| (a - highest).exp()).sum::<f64>().ln();
        alpha.iter_mut().for_each(|a| *a -= log_sum);
        let means = parameters.means_with(&shift);
        HiddenMarkovRandomFieldModel { spec, shift, parameters, alpha, means, history }
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &HiddenMarkovRandomField {
        &self.spec
    }

    /// The mean intensities of the classes, one a row, ascending in the first channel. `[k, channels]`
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }

    /// The covariances of the classes. `[k, channels, channels]`
    pub fn covariance_matrices(&self) -> Array3<f64> {
        let (k, d) = self.means.dim();
        crate::mixture::model::matrices(self.parameters.factor.family, &self.parameters.covariances, k, d)
    }

    /// The share of the sites that each class has, with a sum of 1. `[k]`
    pub fn weights(&self) -> &[f64] {
        &self.parameters.weights
    }

    /// exp(α), with a sum of 1: the probabilities of the classes at a site without neighbours. With a coupling of 0 the weights of
    /// the mixture. `[k]`
    pub fn external_field(&self) -> Array1<f64> {
        self.alpha.iter().map(|a| a.exp()).collect()
    }

    /// The mean log pseudo-likelihood of a site after each iteration, in nats, and why the fit ended.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The mean-field probability that each class made each site. Returns `[sites, k]`, each row with a sum of 1.
    ///
    /// # Errors
    /// As [`predict`](Predict::predict).
    pub fn responsibilities<F: Nearest>(&self, image: &Image<F>) -> Result<Array2<f64>> {
        validate::width(image.rows(), self.shift.len(), "image")?;
        let mut field = Field::alone(image, &self.shift, &self.parameters, &self.alpha);
        field.settle(&Potts::new(&self.parameters, &self.alpha, self.spec.coupling));
        let shape = (image.rows().nrows(), self.alpha.len());
        Ok(Array2::from_shape_vec(shape, field.into_responsibilities()).unwrap_or_default())
    }
}

/// The class of greatest responsibility of each site, in the order of [`Image::rows`]; [`Image::paint`] puts them in their places. On a tie
/// the darker one. Returns `[sites]`.
impl<F: Nearest> Predict<Image<F>> for HiddenMarkovRandomFieldModel {
    fn predict(&self, image: &Image<F>) -> Result<Array1<usize>> {
        let responsibilities = self.responsibilities(image)?;
        let best = |row: ndarray::ArrayView1<'_, f64>| {
            (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best })
        };
        Ok(responsibilities.rows().into_iter().map(best).collect())
    }
}

impl Persist for HiddenMarkovRandomFieldModel {
    fn kind() -> String {
        "HiddenMarkovRandomField".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        let (k, d) = self.means.dim();
        let covariances = self.parameters.factor.family.array(self.parameters.covariances.clone(), k, d);
        Record::new(Self::kind())
            .slice("log weights", &[k], &self.alpha)
            .slice("shares", &[k], &self.parameters.weights)
            .slice("centred means", &[k, d], &self.parameters.means)
            .array("covariances", &covariances)
            .slice("shift", &[d], &self.shift)
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let spec: HiddenMarkovRandomField = record.read_value("spec")?;
        let alpha = record.read_list::<f64>("log weights")?;
        let (parameters, shift) = spec.mixture.read_parameters(record, "shares")?;
        record.require(
            alpha.len() == parameters.weights.len() && spec.check().is_ok(),
            "the spec or the weights are not those of the model",
        )?;
        Ok(HiddenMarkovRandomFieldModel {
            spec,
            means: parameters.means_with(shift.as_slice().unwrap_or_default()),
            shift: shift.to_vec(),
            parameters,
            alpha: alpha.to_vec(),
            history: record.read_value("history")?,
        })
    }
}
