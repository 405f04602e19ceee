//! Random views of an image: what a contrastive method calls *the same*.
//!
//! A view keeps what the image shows and changes what should not matter: where it lies, how it is
//! turned, how bright it is. The choice of views **is** the supervision: features become invariant to
//! whatever the views vary. So never use a view that changes the meaning: no flips for digits, no
//! rotation where orientation is the answer, no strong intensity changes where intensity is (CT).
//!
//! Image i of a batch draws its numbers from the seed's i-th stream, so a batch gives the same bits
//! on any number of threads. Cost: O(c·h·w) an image and view (the blur: times its radius).
//!
//! ```
//! use unsup_core::{Seed, candle::{Device, Tensor}};
//! use unsup_selfsup::views::{Affine, Noise, Views};
//! let images = Tensor::zeros((4, 1, 8, 8), unsup_core::candle::DType::F32, &Device::Cpu)?;
//! let views = Views::new().then(Affine::new().rotation(15.0).shift(0.1)).then(Noise::new(0.05));
//! let seen = views.apply(&images, Seed::new(7))?;
//! assert_eq!(seen.dims(), [4, 1, 8, 8]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod geometric;
mod photometric;

pub use geometric::{Affine, HorizontalFlip, ResizedCrop};
pub use photometric::{Blur, Erase, Intensity, Noise};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unsup_core::seed::Rng;
use unsup_core::{Error, Result, Seed};

/// One image: channel after channel, each row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Number of channels.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
    /// `channels · height · width` values.
    pub pixels: Vec<f32>,
}

/// One random change of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum View {
    /// Rotation, shift and scaling about the centre.
    Affine(Affine),
    /// A random part of the image, brought back to its size.
    ResizedCrop(ResizedCrop),
    /// Left and right exchanged, half of the time.
    HorizontalFlip(HorizontalFlip),
    /// Brightness and contrast.
    Intensity(Intensity),
    /// Gaussian noise.
    Noise(Noise),
    /// Gaussian blur, some of the time.
    Blur(Blur),
    /// A rectangle painted over, some of the time.
    Erase(Erase),
}

macro_rules! view {
    ($($name:ident),*) => {
        $(impl From<$name> for View {
            fn from(view: $name) -> View {
                View::$name(view)
            }
        })*
        impl View {
            fn apply(&self, image: &mut Image, rng: &mut Rng) {
                match self {
                    $(View::$name(view) => view.apply(image, rng)),*
                }
            }
            fn check(&self) -> Result<()> {
                match self {
                    $(View::$name(view) => view.check()),*
                }
            }
        }
    };
}
view!(Affine, ResizedCrop, HorizontalFlip, Intensity, Noise, Blur, Erase);

/// A sequence of views, applied one after the other.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Views(Vec<View>);

impl Views {
    /// No view at all: images as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a view at the end.
    #[must_use]
    pub fn then(mut self, view: impl Into<View>) -> Self {
        self.0.push(view.into());
        self
    }

    /// Views for small grey drawings in which orientation and side matter, such as digits: up to 15°, up to
    /// a tenth of the size, 15 % larger or smaller; intensity, and noise strong enough that no single pixel
    /// identifies an image (an eighth of the range of pixels in \[0, 1\]).
    pub fn digits() -> Self {
        Views::new()
            .then(Affine::new().rotation(15.0).shift(0.1).scale(0.85, 1.15))
            .then(Intensity::new(0.1, 0.3))
            .then(Noise::new(0.12))
    }

    /// The views, in the order in which they are applied.
    pub fn views(&self) -> &[View] {
        &self.0
    }

    /// That every parameter is within its range.
    ///
    /// # Errors
    /// [`Error::Parameter`] for the first that is not.
    pub fn check(&self) -> Result<()> {
        self.0.iter().try_for_each(View::check)
    }

    /// A view of each image. images: `[n, c, h, w]`, f32. Returns the same shape, on the same device.
    ///
    /// # Errors
    /// [`Error::Shape`] when `images` has not four axes; [`Error::Parameter`] as [`check`](Self::check);
    /// [`Error::Backend`] when the device fails.
    pub fn apply(&self, images: &Tensor, seed: Seed) -> Result<Tensor> {
        self.check()?;
        let (n, channels, height, width) = images.dims4().map_err(|_| {
            Error::shape(
                "images",
                "four axes [n, channels, height, width]",
                format!("shape {:?}", images.shape()),
            )
        })?;
        let size = channels * height * width;
        let mut pixels =
            images.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        if size > 0 {
            pixels.par_chunks_mut(size).enumerate().for_each(|(i, pixels)| {
                let mut image = Image { channels, height, width, pixels: pixels.to_vec() };
                let mut rng = seed.indexed(i).rng();
                self.0.iter().for_each(|view| view.apply(&mut image, &mut rng));
                pixels.copy_from_slice(&image.pixels);
            });
        }
        Ok(Tensor::from_vec(pixels, (n, channels, height, width), &Device::Cpu)?
            .to_device(images.device())?)
    }
}

/// A range [low, high] of positive numbers.
fn check_range(
    name: &'static str,
    (low, high): (f32, f32),
    allowed: &'static str,
    at_most: f32,
) -> Result<()> {
    if low.is_finite() && high.is_finite() && low > 0.0 && low <= high && high <= at_most {
        Ok(())
    } else {
        Err(Error::parameter(name, format!("{low}..{high}"), allowed))
    }
}

/// A number within [0, at_most].
fn check_amount(name: &'static str, value: f32, allowed: &'static str, at_most: f32) -> Result<()> {
    if value >= 0.0 && value <= at_most { Ok(()) } else { Err(Error::parameter(name, value, allowed)) }
}
