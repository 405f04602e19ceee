//! Similarity transforms of a shape: scale, rotation, translation.

use ndarray::{Array1, Array2, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use unsup_core::Result;
use unsup_core::math::{self, Svd};

/// x ↦ s·x·R + t for the landmarks x, which are rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Similarity {
    scale: f64,
    rotation: Array2<f64>,
    translation: Array1<f64>,
}

impl Similarity {
    /// About the centre of a shape, which comes to lie at the origin.
    pub(super) fn new(scale: f64, rotation: Array2<f64>, centre: &Array1<f64>) -> Self {
        Similarity { translation: centre.dot(&rotation) * -scale, scale, rotation }
    }

    /// s, from 0 up.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// R, orthogonal; its determinant is −1 when it reflects. `[dimensions, dimensions]`
    pub fn rotation(&self) -> &Array2<f64> {
        &self.rotation
    }

    /// t, in units of the target. `[dimensions]`
    pub fn translation(&self) -> &Array1<f64> {
        &self.translation
    }

    /// The shape moved. shape: `[landmarks, dimensions]`; one of another dimension is returned as it is.
    ///
    /// ```
    /// use ndarray::array;
    /// use unsup_decomposition::shape::Procrustes;
    /// let triangle = array![[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]];
    /// let turned = array![[5.0, 5.0], [5.0, 9.0], [3.0, 5.0]]; // a quarter turn, twice the size
    /// let pose = Procrustes::new().align(&triangle, &turned)?;
    /// assert!((pose.scale() - 2.0).abs() < 1e-12);
    /// assert!((pose.apply(&triangle) - &turned).iter().all(|v| v.abs() < 1e-12));
    /// assert!((pose.inverse().apply(&turned) - &triangle).iter().all(|v| v.abs() < 1e-12));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&self, shape: &ArrayRef2<f64>) -> Array2<f64> {
        if shape.ncols() != self.translation.len() {
            return shape.to_owned();
        }
        shape.dot(&self.rotation) * self.scale + &self.translation
    }

    /// The transform back. That of scale 0 has none: it is returned with scale 0.
    #[must_use]
    pub fn inverse(&self) -> Similarity {
        let scale = if self.scale > 0.0 { 1.0 / self.scale } else { 0.0 };
        let rotation = self.rotation.t().to_owned();
        Similarity { translation: self.translation.dot(&rotation) * -scale, scale, rotation }
    }
}

/// The parts of a shape: its centre, its landmarks about it, and its centroid size √Σ‖xₗ − x̄‖².
pub(super) struct Centred {
    pub(super) centre: Array1<f64>,
    pub(super) landmarks: Array2<f64>,
    pub(super) size: f64,
}

impl Centred {
    /// `None` where all landmarks coincide, as far as rounding can tell.
    pub(super) fn of(shape: &ArrayRef2<f64>) -> Option<Centred> {
        let centre = math::column_means(shape);
        let landmarks = shape.to_owned() - &centre;
        let size = landmarks.iter().map(|v| v * v).sum::<f64>().sqrt();
        let extent = shape.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let rounding = 4.0 * f64::EPSILON * extent * (shape.len() as f64).sqrt();
        (size > rounding && size.is_finite()).then_some(Centred { centre, landmarks, size })
    }
}

/// The rotation that brings `from` nearest to `to`, both centred, and ⟨from·R, to⟩ (Schönemann 1966; without
/// reflections Kabsch 1976).
pub(super) fn rotation(
    from: &ArrayRef2<f64>,
    to: &ArrayRef2<f64>,
    reflections: bool,
) -> Result<(Array2<f64>, f64)> {
    let Svd { mut u, s, vt } = math::svd(&from.t().dot(to))?;
    let mut agreement = s.sum();
    if !reflections && determinant(&u.dot(&vt)) < 0.0 {
        // the direction in which the shapes agree least is turned round
        let last = s.len() - 1;
        u.index_axis_mut(Axis(1), last).mapv_inplace(|v| -v);
        agreement -= 2.0 * s[last];
    }
    Ok((u.dot(&vt), agreement))
}

/// The pose that moves `from` nearest to `to`: minimises ‖s·from·R + t − to‖².
pub(super) fn pose(from: &Centred, to: &Centred, scaling: bool, reflections: bool) -> Result<Similarity> {
    // of size 1 both, so that nothing overflows
    let (unit_from, unit_to) = (&from.landmarks / from.size, &to.landmarks / to.size);
    let (rotation, agreement) = rotation(&unit_from, &unit_to, reflections)?;
    let scale = if scaling { agreement.max(0.0) * to.size / from.size } else { 1.0 };
    let translation = &to.centre - &(from.centre.dot(&rotation) * scale);
    Ok(Similarity { scale, rotation, translation })
}

/// ‖a − b‖²
pub(super) fn squared_difference(a: &ArrayRef2<f64>, b: &ArrayRef2<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// By elimination; for the few dimensions of a shape.
fn determinant(a: &Array2<f64>) -> f64 {
    let (mut a, d) = (a.clone(), a.nrows());
    let mut product = 1.0;
    for i in 0..d {
        let pivot = (i..d).fold(i, |best, r| if a[[r, i]].abs() > a[[best, i]].abs() { r } else { best });
        if a[[pivot, i]] == 0.0 {
            return 0.0;
        }
        if pivot != i {
            (0..d).for_each(|j| a.swap([i, j], [pivot, j]));
            product = -product;
        }
        product *= a[[i, i]];
        for r in i + 1..d {
            let factor = a[[r, i]] / a[[i, i]];
            (i..d).for_each(|j| a[[r, j]] -= factor * a[[i, j]]);
        }
    }
    product
}
