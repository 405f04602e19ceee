//! Statistical shape models: a mean shape and the modes in which shapes of a population differ from it.
//!
//! Shapes are aligned ([Procrustes](super::procrustes)), written as vectors of all coordinates and described by their principal
//! components: x = x̄ + Σₘ bₘ√λₘ·φₘ with modes φₘ and coefficients bₘ in standard deviations (the *point distribution model* of
//! Cootes, Taylor, Cooper & Graham 1995). A shape is *plausible* while |bₘ| ≤ 3.
//!
//! A new shape is fitted by turns (their section 5): move it nearest to the model's present shape, project it onto the modes, hold
//! the coefficients within the limit. Each step lowers the squared distance in the model's frame, so the fit converges.
//!
//! **Use it** for shapes with corresponding landmarks whose variation is nearly linear: organs, faces, hands at rest. **Do not use
//! it** where parts turn by large angles (a bending finger moves on an arc; its mean is shortened), or with few shapes and many
//! modes: they follow the noise ([quality](mod@super::quality) shows where that begins). A mirrored shape among the others (a left
//! hand among right ones) adds variance that is none of the shape: allow [reflections](Procrustes::reflections), or turn it over beforehand.
//!
//! Complexity: alignment, then n²·p·d for n shapes of p landmarks in d dimensions (n < p·d); a fit takes iterations × k·p·d.

use super::checked;
use super::pose::{Centred, Similarity, pose, squared_difference};
use super::procrustes::Procrustes;
use crate::linear::pca::Pca;
use ndarray::{Array1, Array2, Array3, ArrayRef2, ArrayRef3, Axis};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, Sample, Transform};
use unsup_core::observe::Observer;
use unsup_core::seed::{Rng, StandardNormal};
use unsup_core::store::{Persist, Record};
use unsup_core::{Error, Float, Result, Seed, validate};

/// A fit has settled when no coefficient changes by more, in standard deviations.
const SETTLED: f64 = 1e-9;
const MOST_TURNS: usize = 1000;

/// How a statistical shape model is made; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::Fit};
/// use unsup_decomposition::shape::StatisticalShape;
/// let hands = data::hands_3d();
/// let model = StatisticalShape::new().variance(0.95).fit(&hands.joints)?;
/// let bent = model.mode(0, 2.0)?; // the mean, two standard deviations along the first mode
/// assert_eq!(bent.dim(), (22, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatisticalShape {
    pca: Pca,
    procrustes: Procrustes,
    /// in standard deviations
    limit: Option<f64>,
}

impl Default for StatisticalShape {
    fn default() -> Self {
        StatisticalShape { pca: Pca::new(), procrustes: Procrustes::new(), limit: Some(3.0) }
    }
}

impl StatisticalShape {
    /// All modes, alignment with scaling, coefficients within 3 standard deviations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps so many modes, from 1 to the smaller of shapes and coordinates.
    #[must_use]
    pub fn components(mut self, count: usize) -> Self {
        self.pca = self.pca.components(count);
        self
    }

    /// Keeps as few modes as explain more than this fraction of the variance, within (0, 1).
    #[must_use]
    pub fn variance(mut self, fraction: f64) -> Self {
        self.pca = self.pca.variance(fraction);
        self
    }

    /// How shapes are aligned.
    #[must_use]
    pub fn procrustes(mut self, procrustes: Procrustes) -> Self {
        self.procrustes = procrustes;
        self
    }

    pub(super) fn alignment(&self) -> &Procrustes {
        &self.procrustes
    }

    /// How many standard deviations a plausible coefficient has at most, above 0.
    #[must_use]
    pub fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Every coefficient is plausible.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.limit = None;
        self
    }
}

/// The mean shape and its modes; see the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticalShapeModel {
    spec: StatisticalShape,
    mean: Array2<f64>,
    /// orthonormal as vectors of all coordinates `[k, landmarks, dimensions]`
    modes: Array3<f64>,
    variances: Array1<f64>,
    total_variance: f64,
}

/// What [`fit_shape`](StatisticalShapeModel::fit_shape) found.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedShape {
    /// In standard deviations, within the limit. `[k]`
    pub coefficients: Array1<f64>,
    /// From the frame of the given shape to the model's.
    pub pose: Similarity,
    /// The model's shape in the frame of the given one. `[landmarks, dimensions]`
    pub shape: Array2<f64>,
    /// The root of the mean squared distance of a landmark from the given one, in units of the given shape.
    pub rms: f64,
    /// ‖S(given) − x‖² in the model's frame after each turn; it never rises.
    pub residuals: Vec<f64>,
}

impl StatisticalShapeModel {
    /// The spec it was fitted with.
    pub fn spec(&self) -> &StatisticalShape {
        &self.spec
    }

    /// The mean shape, about the origin, of the average size of the shapes. `[landmarks, dimensions]`
    pub fn mean(&self) -> &Array2<f64> {
        &self.mean
    }

    /// The modes, of length 1 as vectors of all coordinates, from the greatest variance down. `[k, landmarks, dimensions]`
    pub fn modes(&self) -> &Array3<f64> {
        &self.modes
    }

    /// The variance of each mode (divided by n − 1), in squared units of the shapes. `[k]`
    pub fn variances(&self) -> &Array1<f64> {
        &self.variances
    }

    /// The variance of all modes, kept or not, in squared units of the shapes.
    pub fn total_variance(&self) -> f64 {
        self.total_variance
    }

    /// The mean, moved `deviations` standard deviations along mode `m`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when there is no such mode or the deviations are not finite.
    pub fn mode(&self, m: usize, deviations: f64) -> Result<Array2<f64>> {
        if m >= self.variances.len() {
            return Err(Error::parameter("m", m, "a mode of the model"));
        }
        if !deviations.is_finite() {
            return Err(Error::parameter("deviations", deviations, "a finite number"));
        }
        Ok(&self.mean + &(&self.modes.index_axis(Axis(0), m) * (deviations * self.variances[m].sqrt())))
    }

    /// The same with the first k modes only, at most all.
    #[must_use]
    pub fn truncated(&self, k: usize) -> Self {
        let mut model = self.clone();
        let k = k.min(self.variances.len());
        model.modes = self.modes.slice(ndarray::s![..k, .., ..]).to_owned();
        model.variances = self.variances.slice(ndarray::s![..k]).to_owned();
        model
    }

    /// The plausible shape nearest to a given one, in any pose. shape: `[landmarks, dimensions]`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`] for other landmarks than the model's, [`Error::NonFinite`] (row 0, column: the coordinate),
    /// [`Error::Value`] when all landmarks coincide.
    pub fn fit_shape<F: Float>(&self, shape: &ArrayRef2<F>) -> Result<FittedShape> {
        let shapes = shape.to_owned().insert_axis(Axis(0));
        self.fit_within(&checked(&shapes, "shape")?.index_axis(Axis(0), 0), 0, self.spec.limit)
    }

    /// The shape of these coefficients, in standard deviations, in the model's frame.
    fn shape(&self, coefficients: &Array1<f64>) -> Array2<f64> {
        let mut shape = self.mean.clone();
        for ((mode, b), variance) in self.modes.axis_iter(Axis(0)).zip(coefficients).zip(&self.variances) {
            shape.scaled_add(b * variance.sqrt(), &mode);
        }
        shape
    }

    /// Whether a mode has any variance beyond rounding.
    fn varies(&self, variance: f64) -> bool {
        let extent: f64 = self.mean.iter().map(|v| v * v).sum();
        variance > extent * (f64::EPSILON * self.mean.len() as f64).powi(2)
    }

    fn fit_within(&self, shape: &ArrayRef2<f64>, index: usize, limit: Option<f64>) -> Result<FittedShape> {
        if shape.dim() != self.mean.dim() {
            let words = |x: &ArrayRef2<f64>| format!("{} landmarks in {} dimensions", x.nrows(), x.ncols());
            return Err(Error::Shape { what: "shape", expected: words(&self.mean), found: words(shape) });
        }
        let coincide = |index| Error::Value {
            what: "shape",
            index,
            value: "a point".to_owned(),
            allowed: "a shape whose landmarks do not all coincide",
        };
        let given = Centred::of(shape).ok_or_else(|| coincide(index))?;
        let (scaling, reflections) = (self.spec.procrustes.scales(), self.spec.procrustes.reflects());
        let mut coefficients = Array1::<f64>::zeros(self.variances.len());
        let mut present = self.mean.clone();
        let (mut moved, mut residuals) = (None, Vec::new());
        for _ in 0..MOST_TURNS {
            let target = Centred::of(&present).ok_or_else(|| coincide(index))?;
            let to_model = pose(&given, &target, scaling, reflections)?;
            let seen = to_model.apply(shape);
            let offset = &seen - &self.mean;
            let mut change = 0.0_f64;
            for (m, mode) in self.modes.axis_iter(Axis(0)).enumerate() {
                let deviation = self.variances[m].sqrt();
                let along: f64 = mode.iter().zip(&offset).map(|(a, b)| a * b).sum();
                let b = if self.varies(self.variances[m]) { along / deviation } else { 0.0 };
                let b = limit.map_or(b, |limit| b.clamp(-limit, limit));
                change = change.max((b - coefficients[m]).abs());
                coefficients[m] = b;
            }
            present = self.shape(&coefficients);
            residuals.push(squared_difference(&seen, &present));
            moved = Some(to_model);
            if change <= SETTLED {
                break;
            }
        }
        let pose = moved.ok_or_else(|| coincide(index))?;
        let fitted = pose.inverse().apply(&present);
        let rms = (squared_difference(&fitted, shape) / shape.nrows() as f64).sqrt();
        Ok(FittedShape { coefficients, pose, shape: fitted, rms, residuals })
    }

    fn fit_all<F: Float>(&self, shapes: &ArrayRef3<F>, limit: Option<f64>) -> Result<Vec<FittedShape>> {
        let shapes = checked(shapes, "shapes")?;
        let fit = |(i, shape): (usize, ndarray::ArrayView2<'_, f64>)| self.fit_within(&shape, i, limit);
        shapes.axis_iter(Axis(0)).enumerate().map(fit).collect()
    }
}

/// shapes: `[n, landmarks, dimensions]`, n ≥ 2.
///
/// # Errors
/// Those of the alignment ([`Procrustes`]) and of [`Pca`]; [`Error::Parameter`] for a limit that is not above 0.
impl<F: Float> Fit<ArrayRef3<F>> for StatisticalShape {
    type Model = StatisticalShapeModel;

    fn fit_observed(
        &self,
        shapes: &ArrayRef3<F>,
        observer: &mut dyn Observer,
    ) -> Result<StatisticalShapeModel> {
        if let Some(limit) = self.limit.filter(|limit| !(*limit > 0.0 && limit.is_finite())) {
            return Err(Error::parameter("limit", limit, "a finite number above 0"));
        }
        let aligned = self.procrustes.fit_observed(shapes, observer)?;
        let (n, landmarks, dimensions) = aligned.aligned().dim();
        let rows = Array2::from_shape_fn((n, landmarks * dimensions), |(i, j)| {
            aligned.aligned()[[i, j / dimensions, j % dimensions]]
        });
        let pca = self.pca.fit_observed(&rows, observer)?;
        let k = pca.components().nrows();
        let modes = Array3::from_shape_fn((k, landmarks, dimensions), |(m, l, j)| {
            pca.components()[[m, l * dimensions + j]]
        });
        Ok(StatisticalShapeModel {
            spec: self.clone(),
            mean: aligned.mean().clone(),
            modes,
            variances: pca.explained_variance().clone(),
            total_variance: pca.total_variance(),
        })
    }
}

/// shapes: `[n, landmarks, dimensions]`, in any pose. Returns coefficients `[n, k]`, in standard deviations and without limit.
impl<F: Float> Transform<ArrayRef3<F>> for StatisticalShapeModel {
    type Code = Array2<f64>;

    fn transform(&self, shapes: &ArrayRef3<F>) -> Result<Array2<f64>> {
        let fitted = self.fit_all(shapes, None)?;
        let mut codes = Array2::zeros((fitted.len(), self.variances.len()));
        codes.rows_mut().into_iter().zip(fitted).for_each(|(mut row, fit)| row.assign(&fit.coefficients));
        Ok(codes)
    }
}

/// z: `[n, k]`, in standard deviations. Returns shapes `[n, landmarks, dimensions]` in the model's frame.
impl<F: Float> InverseTransform<ArrayRef2<F>> for StatisticalShapeModel {
    type Output = Array3<f64>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array3<f64>> {
        validate::table_of_width(z, self.variances.len(), "z")?;
        let (landmarks, dimensions) = self.mean.dim();
        let mut shapes = Array3::zeros((z.nrows(), landmarks, dimensions));
        for (mut shape, z) in shapes.axis_iter_mut(Axis(0)).zip(z.rows()) {
            shape.assign(&self.shape(&z.mapv(Float::f64)));
        }
        Ok(shapes)
    }
}

/// Shapes `[n, landmarks, dimensions]` in the model's frame, whose coefficients are normal and within the limit: one
/// beyond it is drawn anew.
impl Sample for StatisticalShapeModel {
    type Output = Array3<f64>;

    fn sample(&self, n: usize, seed: Seed) -> Result<Array3<f64>> {
        let k = self.variances.len();
        let (landmarks, dimensions) = self.mean.dim();
        validate::room("n", n, self.mean.len())?;
        let mut shapes = Array3::zeros((n, landmarks, dimensions));
        for (i, mut shape) in shapes.axis_iter_mut(Axis(0)).enumerate() {
            let mut rng = seed.named("shapes").indexed(i).rng();
            let coefficients: Array1<f64> =
                (0..k).map(|_| normal_within(self.spec.limit, &mut rng)).collect();
            shape.assign(&self.shape(&coefficients));
        }
        Ok(shapes)
    }
}

/// A standard normal number, none beyond the limit, by rejection: of normal numbers where most are within, else of uniform ones.
fn normal_within(limit: Option<f64>, rng: &mut Rng) -> f64 {
    let Some(limit) = limit else { return rng.sample(StandardNormal) };
    loop {
        if limit >= 1.0 {
            let z: f64 = rng.sample(StandardNormal);
            if z.abs() <= limit {
                return z;
            }
        } else {
            let z = limit * (2.0 * rng.random::<f64>() - 1.0);
            if rng.random::<f64>() <= (-0.5 * z * z).exp() {
                return z;
            }
        }
    }
}

/// The squared distance, in the model's frame, from the nearest plausible shape, in squared units of the training shapes.
impl<F: Float> AnomalyScore<ArrayRef3<F>> for StatisticalShapeModel {
    fn anomaly_score(&self, shapes: &ArrayRef3<F>) -> Result<Array1<f64>> {
        let fitted = self.fit_all(shapes, self.spec.limit)?;
        Ok(fitted.iter().map(|fit| fit.residuals.last().copied().unwrap_or(0.0)).collect())
    }
}

impl Persist for StatisticalShapeModel {
    fn kind() -> String {
        "StatisticalShapeModel".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        let (k, coordinates) = (self.variances.len(), self.mean.len());
        let modes = Array2::from_shape_fn((k, coordinates), |(m, at)| {
            self.modes[[m, at / self.mean.ncols(), at % self.mean.ncols()]]
        });
        Record::new(Self::kind())
            .array("mean", &self.mean)
            .array("modes", &modes)
            .array("variances", &self.variances)
            .value("spec", &self.spec)?
            .number("total_variance", self.total_variance)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let mean: Array2<f64> = record.read_table("mean")?;
        let modes: Array2<f64> = record.read_table("modes")?;
        let variances: Array1<f64> = record.read_list("variances")?;
        let spec: StatisticalShape = record.read_value("spec")?;
        record.require(modes.ncols() == mean.len(), "`modes` and `mean` differ in shape")?;
        record.require(modes.nrows() == variances.len(), "`modes` and `variances` differ in number")?;
        record.require(variances.iter().all(|&v| v >= 0.0), "a variance is negative")?;
        record.require(spec.limit.is_none_or(|limit| limit > 0.0), "the limit is not above 0")?;
        let (landmarks, dimensions) = mean.dim();
        Ok(StatisticalShapeModel {
            modes: Array3::from_shape_fn((modes.nrows(), landmarks, dimensions), |(m, l, j)| {
                modes[[m, l * dimensions + j]]
            }),
            total_variance: record.read_number("total_variance")?,
            spec,
            mean,
            variances,
        })
    }
}
