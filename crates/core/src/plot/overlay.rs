//! A segmentation over the image that it is of.

use super::axes::{MARGIN, TITLE};
use super::drawing::{Align, Color, Drawing, Figure, Pixels, Shape};
use super::font;
use super::grid::grey_levels;
use super::legend::{self, Key};
use super::palette::label_color;
use crate::{Error, Float, Result, validate};
use ndarray::ArrayRef2;

/// A grey image with its segments in colour, and the same image bare beside it.
///
/// ```
/// use unsup_core::{data, plot::{Figure, Overlay}};
/// let slice = data::mni_slice();
/// let white = slice.white.mapv(|p| usize::from(p > 0.5));
/// let figure = Overlay::new("White matter", &slice.t1, &white)?.names(&["", "white matter"]);
/// assert!(figure.png_bytes()?.starts_with(b"\x89PNG"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Overlay {
    title: String,
    width: usize,
    height: usize,
    grey: Vec<u8>,
    labels: Vec<usize>,
    names: Vec<String>,
    opacity: f64,
    bare: bool,
    zoom: f64,
}

impl Overlay {
    /// `image`: `[height, width]`, drawn from its least value (black) to its greatest (white). `labels`: the
    /// segment of each pixel; 0 is the background and stays bare.
    ///
    /// # Errors
    /// Those of [`validate::table`] for the image; [`Error::Shape`] when the shapes differ.
    pub fn new<F: Float>(
        title: impl Into<String>,
        image: &ArrayRef2<F>,
        labels: &ArrayRef2<usize>,
    ) -> Result<Self> {
        validate::table(image, "image")?;
        if image.dim() != labels.dim() {
            return Err(Error::shape("labels", format!("{:?}", image.dim()), format!("{:?}", labels.dim())));
        }
        Ok(Overlay {
            title: title.into(),
            width: image.ncols(),
            height: image.nrows(),
            grey: grey_levels(&image.view()),
            labels: labels.iter().copied().collect(),
            names: Vec::new(),
            opacity: 0.55,
            bare: true,
            zoom: (320.0 / image.ncols().max(image.nrows()) as f64).round().max(1.0),
        })
    }

    /// The names of the segments from label 0 on, for the legend; an empty name is left out of it.
    #[must_use]
    pub fn names<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// How much of the image the colour hides, 0 to 1 (0.55).
    #[must_use]
    pub fn opacity(mut self, opacity: f64) -> Self {
        self.opacity = opacity.clamp(0.0, 1.0);
        self
    }

    /// Leaves out the bare image beside the overlay.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.bare = false;
        self
    }

    /// Points a pixel.
    #[must_use]
    pub fn zoom(mut self, zoom: f64) -> Self {
        self.zoom = zoom.max(0.5);
        self
    }

    /// The distinct segments but the background, ascending.
    fn segments(&self) -> Vec<usize> {
        let mut segments: Vec<usize> = self.labels.iter().copied().filter(|&label| label > 0).collect();
        segments.sort_unstable();
        segments.dedup();
        segments
    }

    fn pixels(&self, color_of: impl Fn(usize) -> Option<Color>) -> Pixels {
        let blend = |(&grey, &label): (&u8, &usize)| match color_of(label) {
            None => [grey; 3],
            Some(color) => color.map(|c| {
                (self.opacity * f64::from(c) + (1.0 - self.opacity) * f64::from(grey)).round() as u8
            }),
        };
        let rgb = self.grey.iter().zip(&self.labels).flat_map(blend).collect();
        Pixels { width: self.width, height: self.height, rgb }
    }
}

impl Figure for Overlay {
    fn drawing(&self) -> Result<Drawing> {
        let segments = self.segments();
        let color = |label: usize| {
            let position = segments.binary_search(&label).ok()?;
            Some(label_color(position, segments.len()))
        };
        let named: Vec<(usize, String)> = self
            .names
            .iter()
            .enumerate()
            .filter(|(label, name)| !name.is_empty() && color(*label).is_some())
            .map(|(label, name)| (label, name.clone()))
            .collect();
        let names: Vec<String> = named.iter().map(|(_, name)| name.clone()).collect();
        let colors: Vec<Color> = named.iter().filter_map(|(label, _)| color(*label)).collect();
        let size = [self.width as f64 * self.zoom, self.height as f64 * self.zoom];
        let top = MARGIN + if self.title.is_empty() { 0.0 } else { TITLE + 12.0 };
        let mut shapes = Vec::new();
        if !self.title.is_empty() {
            shapes.push(Shape::text([MARGIN, MARGIN + TITLE / 2.0], &self.title, TITLE, Align::Left));
        }
        let mut left = MARGIN;
        if self.bare {
            shapes.push(Shape::Image { corner: [left, top], size, pixels: self.pixels(|_| None) });
            left += size[0] + 8.0;
        }
        shapes.push(Shape::Image { corner: [left, top], size, pixels: self.pixels(color) });
        left += size[0];
        shapes.extend(legend::shapes(&names, &colors, Key::Patch, [left + legend::GAP, top]));
        let width = left + legend::width(&names) + MARGIN;
        let height = top + size[1].max(legend::height(names.len())) + MARGIN;
        Ok(Drawing { width: width.max(2.0 * MARGIN + font::width(&self.title, TITLE)), height, shapes })
    }
}
