//! A figure as a list of shapes, which both file formats are rendered from.

use super::{png, svg};
use crate::Result;
use crate::fs::write_atomic;
use std::path::Path;

/// Red, green, blue.
pub(super) type Color = [u8; 3];

pub(super) const INK: Color = [38, 38, 38];
pub(super) const FAINT: Color = [232, 232, 232];
pub(super) const PAPER: Color = [255, 255, 255];

/// Which side of a text its position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Center,
    Right,
}

/// An RGB image, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pixels {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) rgb: Vec<u8>,
}

/// What pictures are made of, in points from the top left corner; the later lies on top.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Polyline {
        points: Vec<[f64; 2]>,
        color: Color,
        width: f64,
    },
    Disc {
        center: [f64; 2],
        radius: f64,
        color: Color,
        opacity: f64,
    },
    Rect {
        corner: [f64; 2],
        size: [f64; 2],
        color: Color,
    },
    /// One line of text, centred vertically at `at`; turned by a quarter to read upwards if `upwards`.
    Text {
        at: [f64; 2],
        text: String,
        size: f64,
        color: Color,
        align: Align,
        upwards: bool,
    },
    Image {
        corner: [f64; 2],
        size: [f64; 2],
        pixels: Pixels,
    },
}

impl Shape {
    pub(super) fn text(at: [f64; 2], text: impl Into<String>, size: f64, align: Align) -> Self {
        Shape::Text { at, text: text.into(), size, color: INK, align, upwards: false }
    }

    pub(super) fn line(from: [f64; 2], to: [f64; 2], color: Color, width: f64) -> Self {
        Shape::Polyline { points: vec![from, to], color, width }
    }
}

/// A figure, laid out and ready to be rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) shapes: Vec<Shape>,
}

/// Whatever can be drawn.
pub trait Figure {
    /// Lays the figure out.
    ///
    /// # Errors
    /// When there is nothing to draw, or the picture would be larger than 100 megapixels.
    fn drawing(&self) -> Result<Drawing>;

    /// The figure as the bytes of a PNG file.
    ///
    /// # Errors
    /// As [`drawing`](Self::drawing).
    fn png_bytes(&self) -> Result<Vec<u8>> {
        png::render(&self.drawing()?)
    }

    /// The figure as the text of an SVG file.
    ///
    /// # Errors
    /// As [`drawing`](Self::drawing).
    fn svg_string(&self) -> Result<String> {
        svg::render(&self.drawing()?)
    }

    /// Writes a PNG file, atomically.
    ///
    /// # Errors
    /// As [`drawing`](Self::drawing), and [`Error::Io`](crate::Error::Io).
    fn png(&self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        let bytes = self.png_bytes()?;
        write_atomic(path, |writer| writer.write_all(&bytes))
    }

    /// Writes an SVG file, atomically.
    ///
    /// # Errors
    /// As [`drawing`](Self::drawing), and [`Error::Io`](crate::Error::Io).
    fn svg(&self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        let text = self.svg_string()?;
        write_atomic(path, |writer| writer.write_all(text.as_bytes()))
    }
}
