//! Shapes and images as points: what is their mean, and how do they vary?
//!
//! | method | spec | when |
//! | --- | --- | --- |
//! | [generalized Procrustes alignment](procrustes) | [`Procrustes`] | landmarks that correspond, in poses that do not matter |
//! | [statistical shape model](statistical) | [`StatisticalShape`] | a mean shape and its modes; plausible shapes only |
//! | [its quality](mod@quality) | [`quality()`] | how many modes: compactness, generalization, specificity |
//! | [eigen-images](eigen_images) | [`EigenImages`] | images of one size, registered: mean, modes, reconstruction |
//!
//! Shapes are `[n, landmarks, 2 or 3]`: landmark `l` of every shape is the same place of the body. Images are `[n, height, width]`.

pub mod eigen_images;
pub mod pose;
pub mod procrustes;
pub mod quality;
pub mod statistical;

pub use eigen_images::{EigenImages, EigenImagesModel};
pub use pose::Similarity;
pub use procrustes::{Procrustes, ProcrustesModel};
pub use quality::{ShapeQuality, quality};
pub use statistical::{FittedShape, StatisticalShape, StatisticalShapeModel};

use ndarray::{Array3, ArrayRef3, Axis};
use unsup_core::{Error, Float, Result};

/// Shapes as `f64`, in row-major order so that sums come in one order whatever the layout, of at least two landmarks in at least two
/// dimensions, every coordinate finite.
fn checked<F: Float>(shapes: &ArrayRef3<F>, what: &'static str) -> Result<Array3<f64>> {
    let (_, landmarks, dimensions) = shapes.dim();
    if shapes.is_empty() {
        return Err(Error::Empty { what, shape: shapes.shape().to_vec() });
    }
    if landmarks < 2 || dimensions < 2 {
        return Err(Error::Shape {
            what,
            expected: "at least 2 landmarks in at least 2 dimensions".to_owned(),
            found: format!("{landmarks} landmarks in {dimensions} dimensions"),
        });
    }
    for (row, shape) in shapes.axis_iter(Axis(0)).enumerate() {
        if let Some((column, value)) = shape.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(Error::NonFinite { what, row, column, value: value.f64() });
        }
    }
    Ok(shapes.as_standard_layout().mapv(Float::f64))
}
