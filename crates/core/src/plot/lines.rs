//! Curves.

use super::axes::{Frame, MARGIN, Scale};
use super::drawing::{Color, Drawing, Figure, Shape};
use super::legend::{self, Key};
use super::palette::label_color;
use crate::{Error, Result};

/// A plot of one or several curves. A value that is NaN or infinite leaves a gap.
///
/// ```
/// use unsup_core::plot::{Figure, Lines};
/// let figure = Lines::new("Training").curve("loss", &[3.0, 1.5, 0.9, 0.7]).axes("epoch", "nats").log_y();
/// assert!(figure.svg_string()?.contains("Training"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    title: String,
    labels: [String; 2],
    curves: Vec<(String, Vec<[f64; 2]>)>,
    log_y: bool,
    dots: bool,
    size: [f64; 2],
}

impl Lines {
    /// An empty plot with this title, which may be empty.
    pub fn new(title: impl Into<String>) -> Self {
        Lines {
            title: title.into(),
            labels: [String::new(), String::new()],
            curves: Vec::new(),
            log_y: false,
            dots: false,
            size: [640.0, 420.0],
        }
    }

    /// Adds a curve over 1, 2, 3, …: an objective per iteration.
    #[must_use]
    pub fn curve(mut self, name: impl Into<String>, y: &[f64]) -> Self {
        let points = y.iter().enumerate().map(|(i, &y)| [i as f64 + 1.0, y]).collect();
        self.curves.push((name.into(), points));
        self
    }

    /// Adds a curve over x of your own; pairs are drawn as far as both lists reach.
    #[must_use]
    pub fn curve_over(mut self, name: impl Into<String>, x: &[f64], y: &[f64]) -> Self {
        self.curves.push((name.into(), x.iter().zip(y).map(|(&x, &y)| [x, y]).collect()));
        self
    }

    /// What the axes mean.
    #[must_use]
    pub fn axes(mut self, x: impl Into<String>, y: impl Into<String>) -> Self {
        self.labels = [x.into(), y.into()];
        self
    }

    /// A logarithmic y axis; values of 0 or less leave a gap.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.log_y = true;
        self
    }

    /// Marks each value by a dot, as few and separate values need (a score per k).
    #[must_use]
    pub fn dots(mut self) -> Self {
        self.dots = true;
        self
    }

    /// The size in points (640 x 420); a PNG has twice as many pixels along each side.
    #[must_use]
    pub fn size(mut self, width: f64, height: f64) -> Self {
        self.size = [width, height];
        self
    }
}

impl Figure for Lines {
    fn drawing(&self) -> Result<Drawing> {
        let all = || self.curves.iter().flat_map(|(_, points)| points);
        if all().next().is_none() {
            return Err(Error::Empty { what: "curves", shape: vec![self.curves.len(), 0] });
        }
        let x = Scale::over(all().map(|p| p[0]), false);
        let y = Scale::over(all().map(|p| p[1]), self.log_y);
        let names: Vec<String> = self.curves.iter().map(|(name, _)| name.clone()).collect();
        let alone = names.len() == 1;
        let colors: Vec<Color> = (0..names.len()).map(|i| label_color(i, names.len())).collect();
        let names = if alone { Vec::new() } else { names };
        let labels = [self.labels[0].as_str(), self.labels[1].as_str()];
        let frame = Frame::new(x, y, self.size, legend::width(&names), &self.title, labels);
        let mut shapes = frame.shapes(&self.title, labels);
        for ((_, points), &color) in self.curves.iter().zip(&colors) {
            let placed: Vec<Option<[f64; 2]>> = points.iter().map(|&[x, y]| frame.place(x, y)).collect();
            for run in placed.split(Option::is_none) {
                let points: Vec<[f64; 2]> = run.iter().flatten().copied().collect();
                if self.dots || points.len() == 1 {
                    let disc = |&center: &[f64; 2]| Shape::Disc { center, radius: 3.5, color, opacity: 1.0 };
                    shapes.extend(points.iter().map(disc));
                }
                if points.len() > 1 {
                    shapes.push(Shape::Polyline { points, color, width: 1.8 });
                }
            }
        }
        let corner = [frame.right() + legend::GAP, frame.top()];
        shapes.extend(legend::shapes(&names, &colors, Key::Line, corner));
        let tall = legend::height(names.len()) + frame.top() + MARGIN;
        Ok(Drawing { width: self.size[0], height: self.size[1].max(tall), shapes })
    }
}
