//! How good is a shape model, and how many modes should it have? Three curves over the number of modes (Davies 2002; Styner et al.
//! 2003).
//!
//! * **Compactness**: the share of the variance in the first k modes. High is good.
//! * **Generalization**: how far the model of all other shapes, with k modes, stays from a shape it has not seen: the root of the
//!   mean squared distance of a landmark. Falls with k; low is good.
//! * **Specificity**: how far shapes drawn from the model are from the nearest training shape. Rises with k; low is good.
//!
//! **Use it** to choose k where generalization no longer falls, and to compare models of the same shapes (landmarks placed by two
//! methods). Distances are only comparable between shapes of the same units.
//!
//! Complexity: n fits of the model and n·k fits of a shape for generalization; samples × n alignments for each k for specificity.

use super::checked;
use super::pose::{Centred, pose, squared_difference};
use super::statistical::{StatisticalShape, StatisticalShapeModel};
use ndarray::{Array1, Array2, Array3, ArrayRef3, Axis};
use unsup_core::estimator::{Fit, Sample};
use unsup_core::{Error, Float, Result, Seed};

/// The three curves; entry k − 1 is that of k modes.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeQuality {
    /// The share of the variance, 0 to 1. `[k]`
    pub compactness: Array1<f64>,
    /// The mean distance from a shape left out, in units of the shapes. `[k]`
    pub generalization: Array1<f64>,
    /// The standard error of that mean. `[k]`
    pub generalization_error: Array1<f64>,
    /// The mean distance of a sample from the nearest training shape, in units of the shapes. `[k]`
    pub specificity: Array1<f64>,
    /// The standard error of that mean. `[k]`
    pub specificity_error: Array1<f64>,
}

/// The quality of the model that `spec` makes of the shapes `[n, landmarks, dimensions]`, n ≥ 3, for 1 to `modes` modes, by
/// `samples` drawn shapes each. The spec's own number of modes is not used.
///
/// ```
/// use unsup_core::data;
/// use unsup_decomposition::shape::{StatisticalShape, quality};
/// let hands = data::hands_3d().joints;
/// let curves = quality(&StatisticalShape::new(), &hands, 3, 20, 0)?;
/// assert!(curves.compactness[2] > curves.compactness[0]);
/// assert!(curves.generalization[2] < curves.generalization[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of the spec's fit; [`Error::TooFewRows`] for fewer than 3 shapes; [`Error::Parameter`] for no modes, more than n − 2 or
/// than there are coordinates, or no samples.
pub fn quality<F: Float>(
    spec: &StatisticalShape,
    shapes: &ArrayRef3<F>,
    modes: usize,
    samples: usize,
    seed: impl Into<Seed>,
) -> Result<ShapeQuality> {
    let shapes = checked(shapes, "shapes")?;
    let (n, landmarks, dimensions) = shapes.dim();
    if n < 3 {
        return Err(Error::TooFewRows { method: "shape quality", needed: 3, found: n });
    }
    if modes == 0 || modes > (n - 2).min(landmarks * dimensions) {
        return Err(Error::parameter("modes", modes, "from 1 to the shapes less 2, at most the coordinates"));
    }
    if samples == 0 {
        return Err(Error::parameter("samples", samples, "at least 1"));
    }
    let seed = seed.into();
    let spec = spec.clone().components(modes);
    let model = spec.fit(&shapes)?;
    let left_out = leave_one_out(&spec, &shapes, modes)?;
    let training: Vec<Centred> = shapes.axis_iter(Axis(0)).filter_map(|shape| Centred::of(&shape)).collect();
    let specific = (1..=modes)
        .map(|k| distances(&model.truncated(k), &training, samples, seed.named("specificity")))
        .collect::<Result<Vec<_>>>()?;
    let mut sum = 0.0;
    let compactness = model.variances().mapv(|variance| {
        sum += variance;
        if model.total_variance() > 0.0 { sum / model.total_variance() } else { 1.0 }
    });
    let (generalization, generalization_error) = left_out
        .columns()
        .into_iter()
        .map(|column| mean_and_error(&column.to_vec()))
        .unzip::<_, _, Vec<_>, Vec<_>>();
    let (specificity, specificity_error) =
        specific.iter().map(|values| mean_and_error(values)).unzip::<_, _, Vec<_>, Vec<_>>();
    Ok(ShapeQuality {
        compactness,
        generalization: generalization.into(),
        generalization_error: generalization_error.into(),
        specificity: specificity.into(),
        specificity_error: specificity_error.into(),
    })
}

/// The distance of each shape from the model of the others, by the number of modes. `[n, modes]`
fn leave_one_out(spec: &StatisticalShape, shapes: &Array3<f64>, modes: usize) -> Result<Array2<f64>> {
    let n = shapes.len_of(Axis(0));
    let mut errors = Array2::zeros((n, modes));
    for i in 0..n {
        let others: Vec<usize> = (0..n).filter(|&other| other != i).collect();
        let model = spec.fit(&shapes.select(Axis(0), &others))?;
        for k in 1..=modes {
            errors[[i, k - 1]] = model.truncated(k).fit_shape(&shapes.index_axis(Axis(0), i))?.rms;
        }
    }
    Ok(errors)
}

/// The distance of each sample from the nearest training shape: the root of the mean squared distance of a landmark after
/// alignment, in the units of the training shapes.
fn distances(
    model: &StatisticalShapeModel,
    training: &[Centred],
    samples: usize,
    seed: Seed,
) -> Result<Vec<f64>> {
    let procrustes = model.spec().alignment();
    let drawn = model.sample(samples, seed)?;
    let nearest = |sample: ndarray::ArrayView2<'_, f64>| -> Result<f64> {
        let Some(sample) = Centred::of(&sample) else { return Ok(f64::NAN) };
        let mut least = f64::INFINITY;
        for shape in training {
            let pose = pose(&sample, shape, procrustes.scales(), procrustes.reflects())?;
            let moved = (sample.landmarks.dot(pose.rotation())) * pose.scale();
            least = least.min(squared_difference(&moved, &shape.landmarks) / moved.nrows() as f64);
        }
        Ok(least.sqrt())
    };
    drawn.axis_iter(Axis(0)).map(nearest).collect()
}

/// The mean and its standard error, 0 for one value.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, if n > 1.0 { (squares / (n * (n - 1.0))).sqrt() } else { 0.0 })
}
