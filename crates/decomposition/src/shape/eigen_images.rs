//! Eigen-images: the mean of a set of images and the directions in which they differ, as images.
//!
//! Each image is one row of height × width pixels, and the rows are described by their principal components ([`Pca`]): the
//! *eigenfaces* of Sirovich & Kirby (1987) and Turk & Pentland (1991). An image is then the mean plus k coefficients times k
//! eigen-images; the squared difference from it is least among all such sets of k.
//!
//! **Use it** for images of one size that are registered and lit alike: pixels must correspond, as landmarks must. **Do not use it**
//! where things move between the images: the mean blurs, and edges take many components.
//!
//! Complexity and memory: those of PCA with d = height × width; with fewer images than pixels no d × d matrix is formed.

use crate::linear::pca::{Pca, PcaModel};
use ndarray::{Array1, Array2, Array3, ArrayRef2, ArrayRef3};
use serde::{Deserialize, Serialize};
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, Transform};
use unsup_core::observe::Observer;
use unsup_core::store::{Persist, Record};
use unsup_core::{Error, Float, Result};

/// How images are described; see the [module](self).
///
/// ```
/// use ndarray::s;
/// use unsup_core::{data, estimator::Fit};
/// use unsup_decomposition::shape::EigenImages;
/// let digits = data::digits().x.into_shape_with_order((1797, 8, 8))?;
/// let model = EigenImages::new().components(16).fit(&digits)?;
/// assert_eq!(model.directions().dim(), (16, 8, 8));
/// let few = model.reconstruct(&digits.slice(s![..5, .., ..]), 4)?;
/// assert_eq!(few.dim(), (5, 8, 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EigenImages {
    pca: Pca,
}

impl EigenImages {
    /// All components.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps so many components, from 1 to the smaller of images and pixels.
    #[must_use]
    pub fn components(mut self, count: usize) -> Self {
        self.pca = self.pca.components(count);
        self
    }

    /// Keeps as few components as explain more than this fraction of the variance, within (0, 1).
    #[must_use]
    pub fn variance(mut self, fraction: f64) -> Self {
        self.pca = self.pca.variance(fraction);
        self
    }

    /// The principal component analysis itself, with all its settings.
    #[must_use]
    pub fn pca(mut self, pca: Pca) -> Self {
        self.pca = pca;
        self
    }
}

/// The mean image and its modes; see the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub struct EigenImagesModel<F> {
    pca: PcaModel<F>,
    height: usize,
    width: usize,
}

impl<F: Float> EigenImagesModel<F> {
    /// The principal components of the images as rows: variances, shares, routes.
    pub fn pca(&self) -> &PcaModel<F> {
        &self.pca
    }

    /// The mean image. `[height, width]`
    pub fn mean(&self) -> Array2<F> {
        let mean = self.pca.mean();
        Array2::from_shape_fn((self.height, self.width), |(y, x)| mean[y * self.width + x])
    }

    /// The eigen-images, orthonormal as rows of pixels, from the greatest variance down. `[k, height, width]`
    pub fn directions(&self) -> Array3<F> {
        self.images(self.pca.components())
    }

    /// The mean image, moved `deviations` standard deviations along component `m`. `[height, width]`
    ///
    /// # Errors
    /// [`Error::Parameter`] when there is no such component or the deviations are not finite.
    pub fn mode(&self, m: usize, deviations: f64) -> Result<Array2<F>> {
        let variances = self.pca.explained_variance();
        if m >= variances.len() {
            return Err(Error::parameter("m", m, "a component of the model"));
        }
        if !deviations.is_finite() {
            return Err(Error::parameter("deviations", deviations, "a finite number"));
        }
        let (components, step) = (self.pca.components(), F::of(deviations * variances[m].sqrt()));
        Ok(Array2::from_shape_fn((self.height, self.width), |(y, x)| {
            let at = y * self.width + x;
            self.pca.mean()[at] + step * components[[m, at]]
        }))
    }

    /// The images, seen through the first k components only, at most all: the mean for k = 0. images: `[n, height, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for images of another size, [`Error::NonFinite`].
    pub fn reconstruct(&self, images: &ArrayRef3<F>, k: usize) -> Result<Array3<F>> {
        let mut codes = self.transform(images)?;
        codes.columns_mut().into_iter().skip(k).for_each(|mut column| column.fill(F::zero()));
        self.inverse_transform(&codes)
    }

    fn images(&self, rows: &ArrayRef2<F>) -> Array3<F> {
        Array3::from_shape_fn((rows.nrows(), self.height, self.width), |(i, y, x)| {
            rows[[i, y * self.width + x]]
        })
    }

    fn rows(&self, images: &ArrayRef3<F>) -> Result<Array2<F>> {
        let (_, height, width) = images.dim();
        if (height, width) != (self.height, self.width) {
            return Err(Error::Shape {
                what: "images",
                expected: format!("{} × {} pixels", self.height, self.width),
                found: format!("{height} × {width} pixels"),
            });
        }
        Ok(rows(images))
    }
}

/// One row of pixels an image.
fn rows<F: Float>(images: &ArrayRef3<F>) -> Array2<F> {
    let (n, height, width) = images.dim();
    Array2::from_shape_fn((n, height * width), |(i, at)| images[[i, at / width, at % width]])
}

/// images: `[n, height, width]`, n ≥ 2.
///
/// # Errors
/// Those of [`Pca`], a column being a pixel in reading order.
impl<F: Float> Fit<ArrayRef3<F>> for EigenImages {
    type Model = EigenImagesModel<F>;

    fn fit_observed(
        &self,
        images: &ArrayRef3<F>,
        observer: &mut dyn Observer,
    ) -> Result<EigenImagesModel<F>> {
        let (_, height, width) = images.dim();
        Ok(EigenImagesModel { pca: self.pca.fit_observed(&rows(images), observer)?, height, width })
    }
}

/// images: `[n, height, width]`. Returns codes `[n, k]`, as [`PcaModel`] gives them.
impl<F: Float> Transform<ArrayRef3<F>> for EigenImagesModel<F> {
    type Code = Array2<F>;

    fn transform(&self, images: &ArrayRef3<F>) -> Result<Array2<F>> {
        self.pca.transform(&self.rows(images)?)
    }
}

/// z: `[n, k]`. Returns images `[n, height, width]`.
impl<F: Float> InverseTransform<ArrayRef2<F>> for EigenImagesModel<F> {
    type Output = Array3<F>;

    fn inverse_transform(&self, z: &ArrayRef2<F>) -> Result<Array3<F>> {
        Ok(self.images(&self.pca.inverse_transform(z)?))
    }
}

/// The squared difference of an image from its reconstruction, over all pixels: *distance from face space*.
impl<F: Float> AnomalyScore<ArrayRef3<F>> for EigenImagesModel<F> {
    fn anomaly_score(&self, images: &ArrayRef3<F>) -> Result<Array1<f64>> {
        self.pca.anomaly_score(&self.rows(images)?)
    }
}

impl<F: Float> Persist for EigenImagesModel<F> {
    fn kind() -> String {
        format!("EigenImagesModel<{}>", F::NAME)
    }

    fn to_record(&self) -> Result<Record> {
        self.pca.to_record()?.renamed(Self::kind()).value("image", &[self.height, self.width])
    }

    fn from_record(record: &Record) -> Result<Self> {
        let pca = PcaModel::from_record(record)?;
        let [height, width]: [usize; 2] = record.read_value("image")?;
        record.require(
            height.checked_mul(width) == Some(pca.mean().len()),
            "`image` is not the size of `mean`",
        )?;
        Ok(EigenImagesModel { pca, height, width })
    }
}
