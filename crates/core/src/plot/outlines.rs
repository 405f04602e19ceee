//! Shapes drawn by their landmarks, in panels of one scale.

use super::axes::{LABEL, MARGIN, TITLE};
use super::drawing::{Align, Color, Drawing, Figure, Shape};
use super::font;
use super::palette::label_color;
use crate::{Error, Float, Result};
use ndarray::ArrayRef2;

const PANEL: f64 = 150.0;
const GAP: f64 = 10.0;

/// A grid of panels, filled row by row, each with a caption and any number of shapes on top of each other.
///
/// Landmarks are joined as [`edges`](Self::edges) say, else each to the next. All panels have the same scale, equal on both axes,
/// so that sizes can be compared; y points upwards.
///
/// ```
/// use ndarray::array;
/// use unsup_core::plot::{Figure, Outlines};
/// let square = array![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]];
/// let figure = Outlines::new("Squares")
///     .panel("one")
///     .shape(&square, 0)?
///     .panel("two")
///     .shape(&square, 0)?
///     .shape(&(&square * 1.5), 1)?;
/// assert!(figure.png_bytes()?.starts_with(b"\x89PNG"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Outlines {
    title: String,
    columns: usize,
    edges: Option<Vec<[usize; 2]>>,
    panels: Vec<Panel>,
}

#[derive(Debug, Clone, PartialEq)]
struct Panel {
    caption: String,
    shapes: Vec<(Vec<[f64; 2]>, usize)>,
}

impl Outlines {
    /// No panel yet, five in a row; the title may be empty.
    pub fn new(title: impl Into<String>) -> Self {
        Outlines { title: title.into(), columns: 5, edges: None, panels: Vec::new() }
    }

    /// So many panels in a row, at least 1.
    #[must_use]
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = columns.max(1);
        self
    }

    /// Which landmarks are joined; those that a shape does not have are left out.
    #[must_use]
    pub fn edges(mut self, edges: &[[usize; 2]]) -> Self {
        self.edges = Some(edges.to_vec());
        self
    }

    /// Begins a panel; the shapes that follow are drawn in it.
    #[must_use]
    pub fn panel(mut self, caption: impl Into<String>) -> Self {
        self.panels.push(Panel { caption: caption.into(), shapes: Vec::new() });
        self
    }

    /// Adds a shape to the last panel in the colour of a label (one of seven). landmarks: `[n, 2]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of columns, [`Error::NonFinite`].
    pub fn shape<F: Float>(mut self, landmarks: &ArrayRef2<F>, label: usize) -> Result<Self> {
        crate::validate::table(landmarks, "landmarks")?;
        if landmarks.ncols() != 2 {
            return Err(Error::Shape {
                what: "landmarks",
                expected: "2 columns".to_owned(),
                found: format!("{} columns", landmarks.ncols()),
            });
        }
        if self.panels.is_empty() {
            self = self.panel("");
        }
        let points = landmarks.rows().into_iter().map(|row| [row[0].f64(), row[1].f64()]).collect();
        if let Some(panel) = self.panels.last_mut() {
            panel.shapes.push((points, label));
        }
        Ok(self)
    }

    /// The corner of all panels' shapes and the larger side.
    fn extent(&self) -> ([f64; 2], f64) {
        let points =
            || self.panels.iter().flat_map(|panel| panel.shapes.iter().flat_map(|(points, _)| points));
        let side = |axis: usize| {
            let values = || points().map(|p| p[axis]);
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
        };
        let [x, y] = [side(0), side(1)];
        let larger = (x.1 - x.0).max(y.1 - y.0).max(f64::MIN_POSITIVE);
        // the smaller side in the middle
        let corner = |(low, high): (f64, f64)| low - 0.5 * (larger - (high - low));
        ([corner(x), corner(y)], larger)
    }

    fn strokes(&self, points: &[[f64; 2]], color: Color, place: impl Fn([f64; 2]) -> [f64; 2]) -> Vec<Shape> {
        let mut strokes: Vec<Shape> = match &self.edges {
            None => vec![Shape::Polyline {
                points: points.iter().map(|&p| place(p)).collect(),
                color,
                width: 1.8,
            }],
            Some(edges) => {
                let both = |&[a, b]: &[usize; 2]| Some([*points.get(a)?, *points.get(b)?]);
                edges
                    .iter()
                    .filter_map(both)
                    .map(|[a, b]| Shape::line(place(a), place(b), color, 1.8))
                    .collect()
            }
        };
        let dot = |&p: &[f64; 2]| Shape::Disc { center: place(p), radius: 1.9, color, opacity: 1.0 };
        strokes.extend(points.iter().map(dot));
        strokes
    }
}

impl Figure for Outlines {
    fn drawing(&self) -> Result<Drawing> {
        if self.panels.iter().all(|panel| panel.shapes.is_empty()) {
            return Err(Error::Empty { what: "outlines", shape: vec![0] });
        }
        let (corner, larger) = self.extent();
        let top = MARGIN + if self.title.is_empty() { 0.0 } else { TITLE + 12.0 };
        let line = if self.panels.iter().all(|panel| panel.caption.is_empty()) { 0.0 } else { LABEL + 6.0 };
        let mut shapes = Vec::new();
        if !self.title.is_empty() {
            shapes.push(Shape::text([MARGIN, MARGIN + TITLE / 2.0], &self.title, TITLE, Align::Left));
        }
        for (i, panel) in self.panels.iter().enumerate() {
            let left = MARGIN + (i % self.columns) as f64 * (PANEL + GAP);
            let upper = top + (i / self.columns) as f64 * (PANEL + line + GAP);
            if !panel.caption.is_empty() {
                let at = [left + PANEL / 2.0, upper + LABEL / 2.0];
                shapes.push(Shape::text(at, &panel.caption, LABEL, Align::Center));
            }
            let scale = PANEL / larger;
            let place = |p: [f64; 2]| {
                [left + (p[0] - corner[0]) * scale, upper + line + PANEL - (p[1] - corner[1]) * scale]
            };
            for (points, label) in &panel.shapes {
                shapes.extend(self.strokes(points, label_color(label % 7, 7), place));
            }
        }
        let columns = self.columns.min(self.panels.len()) as f64;
        let rows = self.panels.len().div_ceil(self.columns) as f64;
        let width = 2.0 * MARGIN + columns * PANEL + (columns - 1.0) * GAP;
        let height = top + rows * (PANEL + line) + (rows - 1.0) * GAP + MARGIN;
        Ok(Drawing { width: width.max(2.0 * MARGIN + font::width(&self.title, TITLE)), height, shapes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn panels_have_one_scale_and_edges_that_exist() {
        let long = array![[0.0, 0.0], [4.0, 0.0]];
        let high = array![[1.0, 0.0], [1.0, 2.0]];
        let figure =
            Outlines::new("").edges(&[[0, 1], [0, 9]]).panel("a").shape(&long, 0).expect("two points");
        let figure = figure.panel("b").shape(&high, 1).expect("two points");
        let drawing = figure.drawing().expect("two panels");
        let lines: Vec<_> = drawing
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Polyline { points, .. } => Some([points[0], points[1]]),
                _ => None,
            })
            .collect();
        assert_eq!(lines.len(), 2);
        assert!((lines[0][1][0] - lines[0][0][0] - PANEL).abs() < 1e-9);
        // upwards, half as long
        assert!((lines[1][0][1] - lines[1][1][1] - PANEL / 2.0).abs() < 1e-9);
    }

    #[test]
    fn bad_shapes_are_named() {
        assert!(matches!(Outlines::new("").drawing(), Err(Error::Empty { .. })));
        assert!(matches!(
            Outlines::new("").shape(&Array2::<f64>::zeros((3, 3)), 0),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(Outlines::new("").shape(&array![[f64::NAN, 0.0]], 0), Err(Error::NonFinite { .. })));
        // one point, or all of them at one place
        assert!(Outlines::new("").shape(&array![[1.0, 1.0]], 0).expect("a point").png_bytes().is_ok());
    }
}
