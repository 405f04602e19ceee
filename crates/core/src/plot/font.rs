//! The one font of all figures, and how wide a text is in it.

use plotters::style::{FontStyle, register_font};
use std::sync::Once;

/// A family name that no system font has.
pub(super) const FAMILY: &str = "unsup DejaVu Sans";

static DEJAVU: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");

/// Makes the font known to the rasteriser.
pub(super) fn register() {
    static ONCE: Once = Once::new();
    // A test draws a text, which fails if the font was refused.
    ONCE.call_once(|| drop(register_font(FAMILY, FontStyle::Normal, DEJAVU)));
}

/// The width of a text in points.
pub(super) fn width(text: &str, size: f64) -> f64 {
    register();
    // Measured large, because the rasteriser rounds to whole pixels.
    let measured =
        plotters::style::FontDesc::new(plotters::style::FontFamily::Name(FAMILY), 100.0, FontStyle::Normal)
            .box_size(text);
    measured.map_or(0.6 * text.chars().count() as f64, |(width, _)| f64::from(width) / 100.0) * size
}
