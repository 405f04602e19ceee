//! The list of names beside a figure.

use super::axes::LABEL;
use super::drawing::{Align, Color, Shape};
use super::font;

const LINE: f64 = 19.0;
const KEY: f64 = 22.0;
/// Space between the figure and the legend.
pub(super) const GAP: f64 = 16.0;

/// What stands before a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Disc,
    Line,
    Patch,
}

/// The width that these names need, with the gap and some slack for other fonts; 0 for none.
pub(super) fn width(names: &[String]) -> f64 {
    let widest = names.iter().map(|name| font::width(name, LABEL)).fold(0.0, f64::max);
    if names.is_empty() { 0.0 } else { GAP + KEY + 1.05 * widest }
}

/// The height that so many names need.
pub(super) fn height(count: usize) -> f64 {
    LINE * count as f64
}

/// The legend with its top left corner at `corner`.
pub(super) fn shapes(names: &[String], colors: &[Color], key: Key, corner: [f64; 2]) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (i, (name, &color)) in names.iter().zip(colors).enumerate() {
        let (x, y) = (corner[0], corner[1] + (i as f64 + 0.5) * LINE);
        shapes.push(match key {
            Key::Disc => Shape::Disc { center: [x + 7.0, y], radius: 4.5, color, opacity: 1.0 },
            Key::Line => Shape::line([x, y], [x + 15.0, y], color, 2.5),
            Key::Patch => Shape::Rect { corner: [x + 1.0, y - 6.0], size: [12.0, 12.0], color },
        });
        shapes.push(Shape::text([x + KEY, y], name, LABEL, Align::Left));
    }
    shapes
}
