//! Shapes to SVG elements.

use super::drawing::{Align, Color, Drawing, Pixels, Shape};
use super::png;
use crate::{Error, Result};
use std::fmt::Write;

/// Viewers without DejaVu Sans take Verdana, which is as wide.
const FONTS: &str = "DejaVu Sans, Verdana, sans-serif";

pub(super) fn render(drawing: &Drawing) -> Result<String> {
    let (width, height) = (drawing.width.ceil(), drawing.height.ceil());
    let mut text = String::new();
    let outcome = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"{FONTS}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"
    );
    let failed = |problem: String| Error::Numerical { method: "drawing", problem };
    outcome.map_err(|e| failed(e.to_string()))?;
    for shape in &drawing.shapes {
        element(&mut text, shape).map_err(failed)?;
    }
    text.push_str("</svg>\n");
    Ok(text)
}

fn element(to: &mut String, shape: &Shape) -> Result<(), String> {
    let outcome = match shape {
        Shape::Polyline { points, color, width } => {
            let points: Vec<String> =
                points.iter().map(|[x, y]| format!("{},{}", short(*x), short(*y))).collect();
            writeln!(
                to,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"/>",
                points.join(" "),
                hex(*color)
            )
        }
        Shape::Disc { center: [x, y], radius, color, opacity } => {
            let (x, y, color) = (short(*x), short(*y), hex(*color));
            writeln!(
                to,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{color}\" fill-opacity=\"{opacity}\"/>"
            )
        }
        Shape::Rect { corner: [x, y], size: [width, height], color } => writeln!(
            to,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
            short(*x),
            short(*y),
            short(*width),
            short(*height),
            hex(*color)
        ),
        Shape::Text { at: [x, y], text, size, color, align, upwards } => {
            let anchor = match align {
                Align::Left => "start",
                Align::Center => "middle",
                Align::Right => "end",
            };
            let (x, y) = (short(*x), short(*y));
            let turn = if *upwards { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
            writeln!(
                to,
                "<text x=\"{x}\" y=\"{y}\" dy=\"0.35em\" font-size=\"{size}\" fill=\"{}\" text-anchor=\"{anchor}\"{turn}>{}</text>",
                hex(*color),
                escape(text)
            )
        }
        Shape::Image {
            corner: [x, y],
            size: [width, height],
            pixels: Pixels { width: columns, height: rows, rgb },
        } => {
            let bytes = png::encode(rgb, *columns, *rows).map_err(|e| e.to_string())?;
            writeln!(
                to,
                "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
                 style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
                short(*x),
                short(*y),
                short(*width),
                short(*height),
                base64(&bytes)
            )
        }
    };
    outcome.map_err(|e| e.to_string())
}

/// Hundredths of a point are enough.
fn short(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn hex([r, g, b]: Color) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Text that cannot end its element; control characters, which XML forbids, become spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .enumerate()
            .fold(0_usize, |bits, (i, &byte)| bits | usize::from(byte) << (16 - 8 * i));
        for i in 0..4 {
            text.push(if i <= group.len() { char::from(ALPHABET[bits >> (18 - 6 * i) & 63]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let cases = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(cases.map(|case| base64(case.as_bytes())), expected);
    }

    #[test]
    fn text_cannot_break_out_of_its_element() {
        assert_eq!(escape("a</text>\u{1}&β"), "a&lt;/text&gt; &amp;β");
    }
}
