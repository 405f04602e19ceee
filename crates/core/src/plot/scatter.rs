//! Points in the plane.

use super::axes::{Frame, MARGIN, Scale, TICK};
use super::drawing::{Align, Color, Drawing, Figure, INK, PAPER, Pixels, Shape};
use super::legend::{self, Key};
use super::palette::{label_color, ramp_color};
use crate::{Error, Float, Result, validate};
use ndarray::{ArrayRef1, ArrayRef2, ArrayRef3};

/// A scatter plot, coloured by label (with a legend) or by value (with a colour bar).
///
/// ```
/// use unsup_core::{Seed, data::synthetic, plot::{Figure, Scatter}};
/// let blobs = synthetic::blobs(200, 3, 2, 1.0, Seed::new(1))?;
/// let figure = Scatter::new("Three blobs").points(&blobs.x, &blobs.labels)?.marks(&blobs.centers)?.equal_units();
/// assert!(figure.png_bytes()?.starts_with(b"\x89PNG"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    title: String,
    labels: [String; 2],
    points: Vec<[f64; 2]>,
    colors: Vec<Color>,
    legend: Vec<(String, Color)>,
    bar: Option<(f64, f64)>,
    marks: Vec<[f64; 2]>,
    outlines: Vec<Vec<[f64; 2]>>,
    equal: bool,
    size: [f64; 2],
}

impl Scatter {
    /// An empty plot with this title, which may be empty.
    pub fn new(title: impl Into<String>) -> Self {
        Scatter {
            title: title.into(),
            labels: [String::new(), String::new()],
            points: Vec::new(),
            colors: Vec::new(),
            legend: Vec::new(),
            bar: None,
            marks: Vec::new(),
            outlines: Vec::new(),
            equal: false,
            size: [640.0, 480.0],
        }
    }

    /// The points, `[n, 2]`, coloured by their labels. Labels are numbers as in clusterings: each distinct one
    /// gets a colour, in ascending order.
    ///
    /// # Errors
    /// Those of [`validate::table_of_width`], and [`Error::Shape`] for a wrong number of labels.
    pub fn points<F: Float>(mut self, xy: &ArrayRef2<F>, labels: &ArrayRef1<usize>) -> Result<Self> {
        self.points = plane(xy, labels.len())?;
        let mut distinct: Vec<usize> = labels.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let color = |label: usize| label_color(distinct.partition_point(|&l| l < label), distinct.len());
        self.colors = labels.iter().map(|&label| color(label)).collect();
        self.legend = distinct.iter().map(|&label| (label.to_string(), color(label))).collect();
        self.bar = None;
        Ok(self)
    }

    /// The points, `[n, 2]`, coloured by a finite value each.
    ///
    /// # Errors
    /// Those of [`validate::table_of_width`]; [`Error::Shape`] for a wrong number of values;
    /// [`Error::Value`] for one that is not finite.
    pub fn values<F: Float>(mut self, xy: &ArrayRef2<F>, values: &ArrayRef1<F>) -> Result<Self> {
        self.points = plane(xy, values.len())?;
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            let value = values[index].to_string();
            return Err(Error::Value { what: "values", index, value, allowed: "a finite number" });
        }
        let (low, high) = values
            .iter()
            .map(|v| v.f64())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        self.colors = values
            .iter()
            .map(|v| ramp_color((v.f64() / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)))
            .collect();
        self.legend.clear();
        self.bar = Some((low, high));
        Ok(self)
    }

    /// Names for the legend, one for each label of [`points`](Self::points) in ascending order.
    #[must_use]
    pub fn names<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        for ((entry, _), name) in self.legend.iter_mut().zip(names) {
            name.as_ref().clone_into(entry);
        }
        self
    }

    /// Points drawn as crosses on top, `[m, 2]`: centroids, landmarks.
    ///
    /// # Errors
    /// Those of [`validate::table_of_width`].
    pub fn marks<F: Float>(mut self, xy: &ArrayRef2<F>) -> Result<Self> {
        self.marks = plane(xy, xy.nrows())?;
        Ok(self)
    }

    /// Ellipses drawn as lines on top: around each mean, `[m, 2]`, the rows that lie `deviations` standard deviations off
    /// under its covariance, `[m, 2, 2]`. Two deviations hold 86 % of a Gaussian in the plane.
    ///
    /// # Errors
    /// Those of [`validate::table_of_width`] for the means; [`Error::Shape`] for other covariances than one 2 × 2 a mean;
    /// [`Error::Numerical`] for one that is not positive definite.
    pub fn ellipses(
        mut self,
        means: &ArrayRef2<f64>,
        covariances: &ArrayRef3<f64>,
        deviations: f64,
    ) -> Result<Self> {
        const CORNERS: usize = 90;
        let m = means.nrows();
        if covariances.dim() != (m, 2, 2) {
            let found = format!("{:?}", covariances.shape());
            return Err(Error::shape("covariances", format!("[{m}, 2, 2]"), found));
        }
        for ([x, y], covariance) in plane(means, m)?.into_iter().zip(covariances.outer_iter()) {
            let l = crate::math::cholesky(&covariance)?;
            let corner = |i: usize| {
                let (sin, cos) = (i as f64 * std::f64::consts::TAU / CORNERS as f64).sin_cos();
                [x + deviations * l[[0, 0]] * cos, y + deviations * (l[[1, 0]] * cos + l[[1, 1]] * sin)]
            };
            self.outlines.push((0..=CORNERS).map(corner).collect());
        }
        Ok(self)
    }

    /// What the axes mean.
    #[must_use]
    pub fn axes(mut self, x: impl Into<String>, y: impl Into<String>) -> Self {
        self.labels = [x.into(), y.into()];
        self
    }

    /// Makes a unit as long along both axes, as distances in an embedding need.
    #[must_use]
    pub fn equal_units(mut self) -> Self {
        self.equal = true;
        self
    }

    /// The size in points (640 x 480); a PNG has twice as many pixels along each side.
    #[must_use]
    pub fn size(mut self, width: f64, height: f64) -> Self {
        self.size = [width, height];
        self
    }

    /// Fewer points are drawn larger and more solid.
    fn dot(&self) -> (f64, f64) {
        match self.points.len() {
            0..=200 => (4.0, 0.85),
            201..=1000 => (3.2, 0.75),
            1001..=5000 => (2.5, 0.65),
            _ => (1.7, 0.5),
        }
    }
}

impl Figure for Scatter {
    fn drawing(&self) -> Result<Drawing> {
        if self.points.is_empty() {
            return Err(Error::Empty { what: "points", shape: vec![0, 2] });
        }
        let all = || self.points.iter().chain(&self.marks).chain(self.outlines.iter().flatten());
        let scales = [0, 1].map(|axis| Scale::over(all().map(|p| p[axis]), false));
        let (names, colors): (Vec<String>, Vec<Color>) = self.legend.iter().cloned().unzip();
        let names = if names.len() > 1 { names } else { Vec::new() };
        let right = if self.bar.is_some() { 74.0 } else { legend::width(&names) };
        let labels = [self.labels[0].as_str(), self.labels[1].as_str()];
        let [x, y] = scales;
        let frame = Frame::new(x, y, self.size, right, &self.title, labels);
        let frame = if self.equal { frame.equal_units() } else { frame };
        let mut shapes = frame.shapes(&self.title, labels);
        let (radius, opacity) = self.dot();
        for (&[x, y], &color) in self.points.iter().zip(&self.colors) {
            shapes.extend(frame.place(x, y).map(|center| Shape::Disc { center, radius, color, opacity }));
        }
        for outline in &self.outlines {
            let points: Vec<[f64; 2]> = outline.iter().filter_map(|&[x, y]| frame.place(x, y)).collect();
            for (color, width) in [(PAPER, 3.6), (INK, 1.6)] {
                shapes.push(Shape::Polyline { points: points.clone(), color, width });
            }
        }
        for [x, y] in self.marks.iter().filter_map(|&[x, y]| frame.place(x, y)) {
            for (color, width) in [(PAPER, 5.0), (INK, 2.2)] {
                let arm = if color == PAPER { 7.0 } else { 6.0 };
                shapes.push(Shape::line([x - arm, y - arm], [x + arm, y + arm], color, width));
                shapes.push(Shape::line([x - arm, y + arm], [x + arm, y - arm], color, width));
            }
        }
        let corner = [frame.right() + legend::GAP, frame.top()];
        shapes.extend(legend::shapes(&names, &colors, Key::Disc, corner));
        let tall = legend::height(names.len()) + frame.top() + MARGIN;
        if let Some((low, high)) = self.bar {
            shapes.extend(color_bar(corner, low, high));
        }
        Ok(Drawing { width: self.size[0], height: self.size[1].max(tall), shapes })
    }
}

/// The ramp from the highest value down to the lowest.
fn color_bar(corner: [f64; 2], low: f64, high: f64) -> Vec<Shape> {
    const HEIGHT: usize = 160;
    let rgb = (0..HEIGHT).flat_map(|row| ramp_color(1.0 - row as f64 / (HEIGHT - 1) as f64)).collect();
    let pixels = Pixels { width: 1, height: HEIGHT, rgb };
    let mut shapes = vec![Shape::Image { corner, size: [12.0, HEIGHT as f64], pixels }];
    let scale = Scale::over([low, high].into_iter(), false);
    for (value, text) in scale.ticks.iter().filter(|(v, _)| (low..=high).contains(v) && high > low) {
        let y = corner[1] + HEIGHT as f64 * ((high / 2.0 - value / 2.0) / (high / 2.0 - low / 2.0));
        shapes.push(Shape::text([corner[0] + 18.0, y], text, TICK, Align::Left));
    }
    shapes
}

fn plane<F: Float>(xy: &ArrayRef2<F>, rows: usize) -> Result<Vec<[f64; 2]>> {
    validate::table_of_width(xy, 2, "points")?;
    if xy.nrows() != rows {
        return Err(Error::shape(
            "points",
            format!("{rows} rows, one a label"),
            format!("{} rows", xy.nrows()),
        ));
    }
    Ok(xy.rows().into_iter().map(|row| [row[0].f64(), row[1].f64()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn an_ellipse_lies_so_many_deviations_off_and_a_covariance_without_one_is_refused() -> Result<()> {
        let (x, labels) = (array![[0.0, 0.0], [1.0, 1.0]], ndarray::arr1(&[0, 1]));
        let covariance = array![[[4.0, 1.0], [1.0, 2.0]]];
        let plot = Scatter::new("").points(&x, &labels)?;
        let found = plot.clone().ellipses(&array![[3.0, -1.0]], &covariance, 2.0)?;
        let inverse = array![[2.0, -1.0], [-1.0, 4.0]] / 7.0;
        for corner in &found.outlines[0] {
            let off = array![corner[0] - 3.0, corner[1] + 1.0];
            assert!((off.dot(&inverse.dot(&off)) - 4.0).abs() < 1e-12);
        }
        // each in paper, and on it in ink
        let drawn = |shape: &&Shape| matches!(shape, Shape::Polyline { points, .. } if points.len() == 91);
        assert_eq!(found.drawing()?.shapes.iter().filter(drawn).count(), 2);
        let misfit = plot.clone().ellipses(&x, &covariance, 2.0);
        assert!(matches!(misfit, Err(Error::Shape { what: "covariances", .. })));
        let flat = plot.ellipses(&array![[0.0, 0.0]], &Array3::ones((1, 2, 2)), 2.0);
        assert!(matches!(flat, Err(Error::Numerical { .. })));
        Ok(())
    }
}
