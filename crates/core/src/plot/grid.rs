//! Many small images side by side.

use super::axes::{MARGIN, TICK, TITLE};
use super::drawing::{Align, Drawing, FAINT, Figure, Pixels, Shape};
use super::font;
use crate::{Error, Float, Result};
use ndarray::{ArrayRef3, ArrayRef4, ArrayView2};

const GAP: f64 = 4.0;

/// A grid of grey or RGB images, filled row by row, each with a caption if there are captions.
///
/// Small images are magnified to about 72 points a side without smoothing, so that each pixel can be seen.
///
/// ```
/// use unsup_core::{data, plot::{Figure, ImageGrid}};
/// let digits = data::digits();
/// let images = digits.x.to_shape((1797, 8, 8))?;
/// let figure = ImageGrid::new("Digits").grey(&images.slice(ndarray::s![..20, .., ..]))?.range(0.0, 16.0).inverted();
/// assert!(figure.png_bytes()?.starts_with(b"\x89PNG"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ImageGrid {
    title: String,
    /// Height, width, and values row by row; three a pixel for RGB.
    images: Vec<Vec<f64>>,
    height: usize,
    width: usize,
    channels: usize,
    range: Option<(f64, f64)>,
    inverted: bool,
    columns: Option<usize>,
    captions: Vec<String>,
    zoom: Option<f64>,
}

impl ImageGrid {
    /// An empty grid with this title, which may be empty.
    pub fn new(title: impl Into<String>) -> Self {
        ImageGrid {
            title: title.into(),
            images: Vec::new(),
            height: 0,
            width: 0,
            channels: 1,
            range: None,
            inverted: false,
            columns: None,
            captions: Vec::new(),
            zoom: None,
        }
    }

    /// Adds grey images, `[n, height, width]`.
    ///
    /// # Errors
    /// [`Error::Empty`], and [`Error::Shape`] when images of another shape are there already.
    pub fn grey<F: Float>(self, images: &ArrayRef3<F>) -> Result<Self> {
        let (n, height, width) = images.dim();
        let image = |i: usize| images.index_axis(ndarray::Axis(0), i).iter().map(|v| v.f64()).collect();
        self.extend([n, 1, height, width], (0..n).map(image))
    }

    /// Adds RGB images, `[n, 3, height, width]`.
    ///
    /// # Errors
    /// As [`grey`](Self::grey), and [`Error::Shape`] for other than three channels.
    pub fn rgb<F: Float>(self, images: &ArrayRef4<F>) -> Result<Self> {
        let (n, channels, height, width) = images.dim();
        if channels != 3 {
            return Err(Error::shape("images", "3 channels", format!("{channels} channels")));
        }
        let image = |i: usize| {
            let image = images.index_axis(ndarray::Axis(0), i);
            image.permuted_axes([1, 2, 0]).iter().map(|v| v.f64()).collect()
        };
        self.extend([n, 3, height, width], (0..n).map(image))
    }

    fn extend(
        mut self,
        [n, channels, height, width]: [usize; 4],
        images: impl Iterator<Item = Vec<f64>>,
    ) -> Result<Self> {
        if n * height * width == 0 {
            return Err(Error::Empty { what: "images", shape: vec![n, channels, height, width] });
        }
        if self.images.is_empty() {
            (self.channels, self.height, self.width) = (channels, height, width);
        }
        let (there, added) = ([self.channels, self.height, self.width], [channels, height, width]);
        if there != added {
            return Err(Error::shape("images", format!("shape {there:?}"), format!("shape {added:?}")));
        }
        self.images.extend(images);
        Ok(self)
    }

    /// Adds a batch of images, `[n, 1 or 3, height, width]`.
    ///
    /// # Errors
    /// As [`grey`](Self::grey) and [`rgb`](Self::rgb), and [`Error::Backend`] when the tensor cannot be read.
    #[cfg(feature = "nn")]
    pub fn tensor(self, images: &candle_core::Tensor) -> Result<Self> {
        let Ok((n, channels, height, width)) = images.dims4() else {
            return Err(Error::shape("images", "[n, 1 or 3, height, width]", format!("{:?}", images.dims())));
        };
        let values = images.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let array = ndarray::Array4::from_shape_vec((n, channels, height, width), values)
            .map_err(|e| Error::shape("images", "a full tensor", e.to_string()))?;
        if channels == 1 { self.grey(&array.index_axis(ndarray::Axis(1), 0)) } else { self.rgb(&array) }
    }

    /// The values drawn as black and white, or as no and full colour; by default the least and the
    /// greatest of all images.
    #[must_use]
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Draws low values light and high values dark, like ink.
    #[must_use]
    pub fn inverted(mut self) -> Self {
        self.inverted = true;
        self
    }

    /// How many images stand in a row; by default about as many as there are rows.
    #[must_use]
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = Some(columns.max(1));
        self
    }

    /// One text below each image, in order.
    #[must_use]
    pub fn captions<S: AsRef<str>>(mut self, captions: &[S]) -> Self {
        self.captions = captions.iter().map(|c| c.as_ref().to_owned()).collect();
        self
    }

    /// Points a pixel.
    #[must_use]
    pub fn zoom(mut self, zoom: f64) -> Self {
        self.zoom = Some(zoom.max(0.5));
        self
    }

    fn limits(&self) -> (f64, f64) {
        let finite = self.images.iter().flatten().filter(|v| v.is_finite());
        self.range.unwrap_or_else(|| {
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)))
        })
    }

    fn pixels(&self, image: &[f64], (low, high): (f64, f64)) -> Pixels {
        let level = |value: f64| {
            let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
            let share = if self.inverted { 1.0 - share } else { share };
            (255.0 * share).round() as u8
        };
        let rgb = match self.channels {
            1 => image.iter().flat_map(|&v| [level(v); 3]).collect(),
            _ => image.iter().map(|&v| level(v)).collect(),
        };
        Pixels { width: self.width, height: self.height, rgb }
    }
}

impl Figure for ImageGrid {
    fn drawing(&self) -> Result<Drawing> {
        let n = self.images.len();
        if n == 0 {
            return Err(Error::Empty { what: "images", shape: vec![0] });
        }
        let zoom = self.zoom.unwrap_or_else(|| (72.0 / self.width.max(self.height) as f64).round().max(1.0));
        let (width, height) = (self.width as f64 * zoom, self.height as f64 * zoom);
        let columns = self.columns.unwrap_or_else(|| (n as f64).sqrt().ceil() as usize).min(n);
        let caption = if self.captions.is_empty() { 0.0 } else { TICK + 7.0 };
        let top = MARGIN + if self.title.is_empty() { 0.0 } else { TITLE + 12.0 };
        let limits = self.limits();
        let mut shapes = Vec::new();
        if !self.title.is_empty() {
            shapes.push(Shape::text([MARGIN, MARGIN + TITLE / 2.0], &self.title, TITLE, Align::Left));
        }
        for (i, image) in self.images.iter().enumerate() {
            let corner = [
                MARGIN + (i % columns) as f64 * (width + GAP),
                top + (i / columns) as f64 * (height + GAP + caption),
            ];
            if self.inverted {
                // White images need an edge on white paper.
                let (corner, size) = ([corner[0] - 0.5, corner[1] - 0.5], [width + 1.0, height + 1.0]);
                shapes.push(Shape::Rect { corner, size, color: FAINT });
            }
            shapes.push(Shape::Image { corner, size: [width, height], pixels: self.pixels(image, limits) });
            if let Some(text) = self.captions.get(i) {
                let at = [corner[0] + width / 2.0, corner[1] + height + 3.0 + TICK / 2.0];
                shapes.push(Shape::text(at, text, TICK, Align::Center));
            }
        }
        let rows = n.div_ceil(columns);
        let grid = columns as f64 * (width + GAP) - GAP;
        Ok(Drawing {
            width: 2.0 * MARGIN + grid.max(font::width(&self.title, TITLE)),
            height: top + rows as f64 * (height + GAP + caption) - GAP + MARGIN,
            shapes,
        })
    }
}

/// A single grey image as pixels.
pub(super) fn grey_levels<F: Float>(image: &ArrayView2<'_, F>) -> Vec<u8> {
    let (low, high) = image
        .iter()
        .map(|v| v.f64())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    image.iter().map(|v| (255.0 * (v.f64() - low) / (high - low)).round() as u8).collect()
}
