//! Axes: round tick values, a frame, and the map from data to points.

use super::drawing::{Align, Color, FAINT, INK, Shape};
use super::font;

pub(super) const TITLE: f64 = 15.0;
pub(super) const LABEL: f64 = 12.0;
pub(super) const TICK: f64 = 11.0;
/// Free space around everything.
pub(super) const MARGIN: f64 = 14.0;
const SPINE: Color = [110, 110, 110];

/// Values beyond this are left out, and intervals below the other are widened.
const MOST: f64 = 1e300;
const LEAST: f64 = 1e-300;

/// One axis: the interval it shows, and its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// A scale over the values that can be shown, widened by a little so that nothing touches the frame.
    pub(super) fn over(values: impl Iterator<Item = f64>, log: bool) -> Self {
        let shown = values.filter_map(|value| shown(value, log));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let half = match (high - low) / 2.0 {
            0.0 if low == 0.0 => 0.5,
            half => half.max(low.abs().max(high.abs()) * 1e-9).max(LEAST),
        };
        let (low, high) = (low - 0.09 * half, high + 0.09 * half);
        let ticks = if log { decades(low, high) } else { round_values(low, high) };
        Scale { low, high, log, ticks }
    }

    /// Where a value lies, 0 at the low end and 1 at the high end. `None` if it cannot be shown.
    pub(super) fn position(&self, value: f64) -> Option<f64> {
        shown(value, self.log).map(|value| (value - self.low) / self.span())
    }

    fn span(&self) -> f64 {
        self.high - self.low
    }

    /// Widens the interval about its middle.
    fn stretch(&mut self, factor: f64) {
        let (middle, half) = ((self.low + self.high) / 2.0, self.span() / 2.0 * factor);
        (self.low, self.high) = (middle - half, middle + half);
        self.ticks = round_values(self.low, self.high);
    }
}

/// About seven multiples of 1, 2 or 5 times a power of ten.
fn round_values(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 7.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&s| s >= rough).unwrap_or(10.0 * power);
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    let count = (last - first).clamp(0.0, 20.0) as usize;
    (0..=count).map(|i| (first + i as f64) * step).map(|value| (value, spell(value, step))).collect()
}

fn decades(low: f64, high: f64) -> Vec<(f64, String)> {
    let every = ((high - low) / 8.0).ceil().max(1.0) as i32;
    let powers: Vec<i32> = (low.ceil() as i32..=high.floor() as i32).step_by(every as usize).collect();
    if powers.len() < 2 {
        return round_values(10_f64.powf(low), 10_f64.powf(high)).into_iter().filter(|t| t.0 > 0.0).collect();
    }
    powers.into_iter().map(|p| (10_f64.powi(p), format!("10{}", superscript(p)))).collect()
}

fn superscript(power: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digit = |c: char| c.to_digit(10).map_or('⁻', |d| DIGITS[d as usize]);
    power.to_string().chars().map(digit).collect()
}

/// A tick's value with as many decimals as the step needs, and a true minus sign.
fn spell(value: f64, step: f64) -> String {
    let value = if value.abs() < step / 2.0 { 0.0 } else { value };
    let text = if value != 0.0 && (value.abs() >= 1e6 || step < 1e-4) {
        format!("{value:.2e}").replace(".00e", "e").replace("0e", "e")
    } else {
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{value:.decimals$}")
    };
    text.replace('-', "−")
}

/// The coordinate of a value that can be shown: finite, positive on a logarithmic axis, and far enough from the
/// ends of the type for differences to be exact.
fn shown(value: f64, log: bool) -> Option<f64> {
    let value = if log { value.log10() } else { value };
    (value.abs() <= MOST).then_some(value)
}

/// The frame that data is drawn into.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) x: Scale,
    pub(super) y: Scale,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Frame {
    /// Lays out a frame within `size`, with room for title, labels and ticks, and `right` points left
    /// for a legend.
    pub(super) fn new(
        x: Scale,
        y: Scale,
        size: [f64; 2],
        right: f64,
        title: &str,
        labels: [&str; 2],
    ) -> Self {
        let widest = y.ticks.iter().map(|(_, text)| font::width(text, TICK)).fold(0.0, f64::max);
        let left = MARGIN + widest + 12.0 + if labels[1].is_empty() { 0.0 } else { LABEL + 10.0 };
        let top = MARGIN + if title.is_empty() { 0.0 } else { TITLE + 14.0 };
        let bottom = MARGIN + TICK + 12.0 + if labels[0].is_empty() { 0.0 } else { LABEL + 10.0 };
        let width = (size[0] - left - right - MARGIN).max(40.0);
        Frame { x, y, left, top, width, height: (size[1] - top - bottom).max(40.0) }
    }

    /// Makes a unit as long along both axes, by widening one of them.
    pub(super) fn equal_units(mut self) -> Self {
        let (x_unit, y_unit) = (self.width / self.x.span(), self.height / self.y.span());
        if x_unit > y_unit {
            self.x.stretch(x_unit / y_unit);
        } else {
            self.y.stretch(y_unit / x_unit);
        }
        self
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn top(&self) -> f64 {
        self.top
    }

    /// Where a point of the data is drawn.
    pub(super) fn place(&self, x: f64, y: f64) -> Option<[f64; 2]> {
        let (x, y) = (self.x.position(x)?, self.y.position(y)?);
        Some([self.left + x * self.width, self.top + (1.0 - y) * self.height])
    }

    /// Title, grid, spines, ticks and labels.
    pub(super) fn shapes(&self, title: &str, labels: [&str; 2]) -> Vec<Shape> {
        let (left, top) = (self.left, self.top);
        let (right, bottom) = (self.right(), top + self.height);
        let mut shapes = Vec::new();
        for (value, text) in &self.x.ticks {
            if let Some(at) = self.x.position(*value).filter(|p| (0.0..=1.0).contains(p)) {
                let x = left + at * self.width;
                shapes.push(Shape::line([x, top], [x, bottom], FAINT, 0.8));
                shapes.push(Shape::line([x, bottom], [x, bottom + 4.0], SPINE, 1.0));
                shapes.push(Shape::text([x, bottom + 7.0 + TICK / 2.0], text, TICK, Align::Center));
            }
        }
        for (value, text) in &self.y.ticks {
            if let Some(at) = self.y.position(*value).filter(|p| (0.0..=1.0).contains(p)) {
                let y = bottom - at * self.height;
                shapes.push(Shape::line([left, y], [right, y], FAINT, 0.8));
                shapes.push(Shape::line([left - 4.0, y], [left, y], SPINE, 1.0));
                shapes.push(Shape::text([left - 8.0, y], text, TICK, Align::Right));
            }
        }
        shapes.push(Shape::line([left, top], [left, bottom], SPINE, 1.0));
        shapes.push(Shape::line([left, bottom], [right, bottom], SPINE, 1.0));
        if !title.is_empty() {
            shapes.push(Shape::text([left, MARGIN + TITLE / 2.0], title, TITLE, Align::Left));
        }
        if !labels[0].is_empty() {
            let at = [(left + right) / 2.0, bottom + 7.0 + TICK + 8.0 + LABEL / 2.0];
            shapes.push(Shape::text(at, labels[0], LABEL, Align::Center));
        }
        if !labels[1].is_empty() {
            let at = [MARGIN + LABEL / 2.0, (top + bottom) / 2.0];
            let (text, align) = (labels[1].to_owned(), Align::Center);
            shapes.push(Shape::Text { at, text, size: LABEL, color: INK, align, upwards: true });
        }
        shapes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|t| t.1.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_spelled_with_the_decimals_they_need() {
        assert_eq!(texts(&Scale::over([0.0, 10.0].into_iter(), false)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(
            texts(&Scale::over([-0.2, 0.2].into_iter(), false)),
            ["−0.2", "−0.1", "0.0", "0.1", "0.2"]
        );
        assert_eq!(texts(&Scale::over([1e6, 5e6].into_iter(), false))[0], "1e6");
        assert_eq!(
            texts(&Scale::over([0.001, 1000.0].into_iter(), true)),
            ["10⁻³", "10⁻²", "10⁻¹", "10⁰", "10¹", "10²", "10³"]
        );
    }

    #[test]
    fn any_values_give_a_finite_scale() {
        for values in [
            vec![],
            vec![f64::NAN],
            vec![3.0],
            vec![0.0, 0.0],
            vec![f64::MAX, f64::MIN],
            vec![1e8, 1e8 + 1e-8],
        ] {
            for log in [false, true] {
                let scale = Scale::over(values.iter().copied(), log);
                assert!(
                    scale.span().is_finite() && scale.span() > 0.0 && scale.ticks.len() < 30,
                    "{values:?}"
                );
            }
        }
    }
}
