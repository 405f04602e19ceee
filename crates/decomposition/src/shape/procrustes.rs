//! Procrustes alignment: shapes without their place, orientation and, if asked, size.
//!
//! *Ordinary*: the similarity that moves one shape nearest to another, min ‖s·X·R + t − Y‖², in closed form: both are centred, R
//! comes from the singular value decomposition of XᵀY (Schönemann 1966), s = tr(RᵀXᵀY)/‖X‖². *Generalized* (Gower 1975): all shapes
//! to their own mean, which is found by turns: align each shape to the mean, average, until the sum of the squared distances from
//! the mean, which never rises, no longer falls. With scaling the mean is kept at size 1 meanwhile (full Procrustes mean, Dryden &
//! Mardia 1998, ch. 5): else all shapes would shrink to a point.
//!
//! **Use it** before anything is said about shape: landmarks must correspond. **Do not use it** where size or position is the matter
//! ([`scaling`](Procrustes::scaling) keeps size), nor for point sets without correspondence. Few landmarks far from the others
//! rule the fit: squares are minimised.
//!
//! Rotations are proper unless [`reflections`](Procrustes::reflections) are allowed: a left hand is not a right hand. A mirrored member
//! of a population is then no error: it is turned as near to the mean as it comes, which is farther than it would lie. With
//! reflections it is mirrored back, to the side of the first shape, and the determinant of its pose's rotation says so.
//!
//! Complexity: iterations × n·p·d² for n shapes of p landmarks in d dimensions; memory: two copies of the shapes.

use super::checked;
use super::pose::{Centred, Similarity, pose, rotation, squared_difference};
use ndarray::{Array2, Array3, ArrayRef2, ArrayRef3, Axis};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use unsup_core::estimator::Fit;
use unsup_core::observe::{Event, History, Observer, Stop};
use unsup_core::{Error, Float, Result};

/// How shapes are aligned; see the [module](self).
///
/// ```
/// use unsup_core::{data, estimator::Fit};
/// use unsup_decomposition::shape::Procrustes;
/// let hands = data::hands_3d();
/// let model = Procrustes::new().fit(&hands.joints)?;
/// assert_eq!(model.mean().dim(), (22, 3));
/// assert!(model.history().converged());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Procrustes {
    scaling: bool,
    reflections: bool,
    max_iterations: usize,
    tolerance: f64,
}

impl Default for Procrustes {
    fn default() -> Self {
        Procrustes { scaling: true, reflections: false, max_iterations: 100, tolerance: 1e-12 }
    }
}

impl Procrustes {
    /// With scaling, without reflections; at most 100 iterations, tolerance 10⁻¹².
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether shapes may be scaled.
    #[must_use]
    pub fn scaling(mut self, scaling: bool) -> Self {
        self.scaling = scaling;
        self
    }

    /// Whether shapes may be mirrored.
    #[must_use]
    pub fn reflections(mut self, reflections: bool) -> Self {
        self.reflections = reflections;
        self
    }

    /// Stops after so many iterations, from 1 up.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// Converged when the sum of squares falls by less than this share of the shapes' own sum of squares, from 0 up.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The pose that moves `shape` nearest to `reference`, both `[landmarks, dimensions]`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`] when they differ in shape, [`Error::NonFinite`]; [`Error::Value`] when all landmarks of one
    /// coincide.
    pub fn align(&self, shape: &ArrayRef2<f64>, reference: &ArrayRef2<f64>) -> Result<Similarity> {
        let [shape, reference] = pair(shape, reference)?;
        pose(&shape, &reference, self.scaling, self.reflections)
    }

    /// Procrustes disparity, 0 for the same shape and at most 1: both are centred and brought to size 1, then the least sum of
    /// squared differences under rotation and scaling. scipy's `procrustes` allows reflections.
    ///
    /// ```
    /// use ndarray::array;
    /// use unsup_decomposition::shape::Procrustes;
    /// let a = array![[1.0, 3.0], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0]];
    /// let mirrored = array![[4.0, -2.0], [4.0, -4.0], [4.0, -6.0], [2.0, -6.0]];
    /// assert!(Procrustes::new().reflections(true).disparity(&a, &mirrored)? < 1e-12);
    /// assert!(Procrustes::new().disparity(&a, &mirrored)? > 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`align`](Self::align).
    pub fn disparity(&self, a: &ArrayRef2<f64>, b: &ArrayRef2<f64>) -> Result<f64> {
        let [a, b] = pair(a, b)?;
        let (a, b) = (&a.landmarks / a.size, &b.landmarks / b.size);
        let (rotation, agreement) = rotation(&a, &b, self.reflections)?;
        // from the differences and not 1 − agreement², which would cancel for shapes that agree
        Ok(squared_difference(&(a.dot(&rotation) * agreement.max(0.0)), &b))
    }

    pub(super) fn scales(&self) -> bool {
        self.scaling
    }

    pub(super) fn reflects(&self) -> bool {
        self.reflections
    }

    fn check(&self) -> Result<()> {
        if self.max_iterations == 0 {
            return Err(Error::parameter("max_iterations", 0, "at least 1"));
        }
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(Error::parameter("tolerance", self.tolerance, "a number from 0 up"));
        }
        Ok(())
    }
}

/// Two shapes, centred.
fn pair(a: &ArrayRef2<f64>, b: &ArrayRef2<f64>) -> Result<[Centred; 2]> {
    if a.dim() != b.dim() {
        let words = |x: &ArrayRef2<f64>| format!("{} landmarks in {} dimensions", x.nrows(), x.ncols());
        return Err(Error::Shape { what: "shape", expected: words(b), found: words(a) });
    }
    let both = ndarray::stack(Axis(0), &[a.view(), b.view()]).map_err(|e| Error::Shape {
        what: "shape",
        expected: "two shapes alike".to_owned(),
        found: e.to_string(),
    })?;
    let mut both = centred(&checked(&both, "shapes")?)?.into_iter();
    match (both.next(), both.next()) {
        (Some(a), Some(b)) => Ok([a, b]),
        _ => Err(Error::Empty { what: "shapes", shape: vec![0] }),
    }
}

/// Every shape about its centre.
fn centred(shapes: &ArrayRef3<f64>) -> Result<Vec<Centred>> {
    let centre = |(index, shape): (usize, ndarray::ArrayView2<'_, f64>)| {
        Centred::of(&shape).ok_or(Error::Value {
            what: "shapes",
            index,
            value: "a point".to_owned(),
            allowed: "a shape whose landmarks do not all coincide",
        })
    };
    shapes.axis_iter(Axis(0)).enumerate().map(centre).collect()
}

/// Shapes in one frame: that of the first shape's orientation, about the origin, the mean as large as the shapes are on average.
#[derive(Debug, Clone)]
pub struct ProcrustesModel {
    aligned: Array3<f64>,
    mean: Array2<f64>,
    poses: Vec<Similarity>,
    history: History,
}

impl ProcrustesModel {
    /// The shapes, aligned. `[n, landmarks, dimensions]`
    pub fn aligned(&self) -> &Array3<f64> {
        &self.aligned
    }

    /// The mean of the aligned shapes. `[landmarks, dimensions]`
    pub fn mean(&self) -> &Array2<f64> {
        &self.mean
    }

    /// What moved each shape into the common frame. `[n]`
    pub fn poses(&self) -> &[Similarity] {
        &self.poses
    }

    /// Σᵢ‖aligned shape − mean‖² of each iteration, the mean being of size 1 with scaling.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The root of the mean squared distance of a landmark from its mean, in units of the shapes.
    pub fn spread(&self) -> f64 {
        let (n, landmarks, _) = self.aligned.dim();
        let squares: f64 =
            self.aligned.axis_iter(Axis(0)).map(|shape| squared_difference(&shape, &self.mean)).sum();
        (squares / (n * landmarks) as f64).sqrt()
    }
}

/// shapes: `[n, landmarks, dimensions]`, n ≥ 1.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`] for a single landmark or dimension, [`Error::NonFinite`] (row: the shape, column: the
/// coordinate); [`Error::Value`] naming a shape whose landmarks all coincide; [`Error::Parameter`].
impl<F: Float> Fit<ArrayRef3<F>> for Procrustes {
    type Model = ProcrustesModel;

    fn fit_observed(&self, shapes: &ArrayRef3<F>, observer: &mut dyn Observer) -> Result<ProcrustesModel> {
        const TASK: &str = "Procrustes";
        self.check()?;
        let shapes = checked(shapes, "shapes")?;
        let centred = centred(&shapes)?;
        let n = centred.len() as f64;
        let mean_size = centred.iter().map(|shape| shape.size / n).sum::<f64>();
        // without scaling in units of the mean size
        let unit = |shape: &Centred| if self.scaling { shape.size } else { mean_size };
        let units: Vec<Array2<f64>> = centred.iter().map(|shape| &shape.landmarks / unit(shape)).collect();
        let total: f64 = units.iter().flatten().map(|v| v * v).sum();

        let mut mean = units[0].clone();
        let (mut aligned, mut turns) = (units.clone(), Vec::new());
        let mut history = History::new();
        let _ = observer.observe(&Event::Started { task: TASK, total: self.max_iterations });
        for iteration in 1..=self.max_iterations {
            turns = self.turn(&units, &mean)?;
            for ((aligned, unit), (rotation, scale)) in aligned.iter_mut().zip(&units).zip(&turns) {
                *aligned = unit.dot(rotation) * *scale;
            }
            mean = average(&aligned);
            if self.scaling {
                let size = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
                mean /= size.max(f64::MIN_POSITIVE);
            }
            let squares: f64 = aligned.iter().map(|shape| squared_difference(shape, &mean)).sum();
            let before = history.objective().last().copied().unwrap_or(f64::INFINITY);
            history.record(squares, &[]);
            let event = Event::Progress { task: TASK, done: iteration, objective: squares, terms: &[] };
            if observer.observe(&event) == ControlFlow::Break(()) {
                history.finish(Stop::Interrupted);
                break;
            }
            if before - squares <= self.tolerance * total {
                history.finish(Stop::Converged);
                break;
            }
        }
        let _ = observer.observe(&Event::Finished { task: TASK, stop: history.stop() });
        self.finish(&centred, turns, mean_size, history)
    }
}

impl Procrustes {
    /// The rotation and the scale of each shape that bring it nearest to the mean.
    fn turn(&self, units: &[Array2<f64>], mean: &Array2<f64>) -> Result<Vec<(Array2<f64>, f64)>> {
        let turn = |unit: &Array2<f64>| {
            let (rotation, agreement) = rotation(unit, mean, self.reflections)?;
            // ⟨unit·R, mean⟩/‖unit‖², the unit being of size 1
            let scale = if self.scaling { agreement.max(0.0) } else { 1.0 };
            Ok((rotation, scale))
        };
        units.iter().map(turn).collect()
    }

    /// Turns everything back to the first shape's orientation and gives it the size of the shapes.
    fn finish(
        &self,
        centred: &[Centred],
        turns: Vec<(Array2<f64>, f64)>,
        mean_size: f64,
        history: History,
    ) -> Result<ProcrustesModel> {
        let unit = |shape: &Centred| if self.scaling { shape.size } else { mean_size };
        let shapes = centred.iter().zip(&turns);
        let turned: Vec<Array2<f64>> =
            shapes.map(|(shape, (turn, scale))| shape.landmarks.dot(turn) * (scale / unit(shape))).collect();
        let mean = average(&turned);
        let size = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
        let (back, _) = rotation(&mean, &(&centred[0].landmarks / centred[0].size), self.reflections)?;
        let factor = if self.scaling && size > 0.0 { mean_size / size } else { mean_size };
        let (landmarks, dimensions) = mean.dim();
        let mut aligned = Array3::zeros((turned.len(), landmarks, dimensions));
        let mut poses = Vec::with_capacity(turned.len());
        for (i, (shape, (turn, scale))) in centred.iter().zip(turns).enumerate() {
            let pose = Similarity::new(scale * factor / unit(shape), turn.dot(&back), &shape.centre);
            aligned.index_axis_mut(Axis(0), i).assign(&(turned[i].dot(&back) * factor));
            poses.push(pose);
        }
        Ok(ProcrustesModel { aligned, mean: mean.dot(&back) * factor, poses, history })
    }
}

/// The mean of shapes, at least one.
fn average(shapes: &[Array2<f64>]) -> Array2<f64> {
    let mut mean = Array2::zeros(shapes[0].dim());
    shapes.iter().for_each(|shape| mean += shape);
    mean / shapes.len() as f64
}
