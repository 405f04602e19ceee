//! Shapes to pixels.
//!
//! Everything is drawn several times too large and averaged down, which smooths every edge alike.

use super::drawing::{Align, Color, Drawing, Pixels, Shape};
use super::font;
use crate::{Error, Result};
use ::png::{BitDepth, ColorType, Encoder};
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color as _, FontDesc, FontFamily, FontStyle, FontTransform, RGBAColor, ShapeStyle, TextStyle,
};

/// Pixels of the file a point of the layout.
const RESOLUTION: usize = 2;
/// Pixels drawn a pixel of the file, along each axis.
const SAMPLES: usize = 3;
const MOST_PIXELS: f64 = 1e8;

pub(super) fn render(drawing: &Drawing) -> Result<Vec<u8>> {
    let [width, height] =
        [drawing.width, drawing.height].map(|side| side.ceil().max(1.0) * RESOLUTION as f64);
    if width * height > MOST_PIXELS {
        let value = format!("{width} x {height} pixels");
        return Err(Error::parameter("the size of the figure", value, "at most 100 megapixels"));
    }
    let (width, height) = (width as usize, height as usize);
    let samples = if width * height > MOST_PIXELS as usize / 10 { 1 } else { SAMPLES };
    let (wide, high) = (width * samples, height * samples);
    let mut raster = vec![255; 3 * wide * high];
    paint(&mut raster, [wide, high], drawing, (RESOLUTION * samples) as f64).map_err(failed)?;
    encode(&shrink(&raster, wide, samples), width, height).map_err(failed)
}

fn failed(problem: impl std::fmt::Display) -> Error {
    Error::Numerical { method: "drawing", problem: problem.to_string() }
}

fn paint(raster: &mut [u8], [wide, high]: [usize; 2], drawing: &Drawing, scale: f64) -> Result<(), String> {
    font::register();
    // Far outside is outside; the rasteriser's integers must not overflow.
    let pixel = |v: f64| (v * scale).round().clamp(-1e6, 1e6) as i32;
    let place = |[x, y]: [f64; 2]| (pixel(x), pixel(y));
    for shape in &drawing.shapes {
        if let Shape::Image { corner, size, pixels } = shape {
            let [(left, top), (width, height)] = [place(*corner), place(*size)];
            blit(raster, wide, [left, top, width, height], pixels);
            continue;
        }
        let mut canvas = BitMapBackend::with_buffer(raster, (wide as u32, high as u32));
        let outcome = match shape {
            Shape::Polyline { points, color, width } => {
                let width = (width * scale).round().max(1.0) as u32;
                let ink = ink(*color, 1.0, width);
                // Round joints hide the gaps that thick segments leave at a corner.
                let joints = if width > 3 && points.len() > 2 { &points[..] } else { &[] };
                canvas.draw_path(points.iter().map(|&p| place(p)), &ink).and_then(|()| {
                    joints.iter().try_for_each(|&p| canvas.draw_circle(place(p), width / 2, &ink, true))
                })
            }
            Shape::Disc { center, radius, color, opacity } => {
                let ink = ink(*color, *opacity, 1);
                canvas.draw_circle(place(*center), (radius * scale).round() as u32, &ink, true)
            }
            Shape::Rect { corner, size, color } => {
                let end = place([corner[0] + size[0], corner[1] + size[1]]);
                canvas.draw_rect(place(*corner), end, &ink(*color, 1.0, 1), true)
            }
            Shape::Text { at, text, size, color, align, upwards } => {
                let side = match align {
                    Align::Left => HPos::Left,
                    Align::Center => HPos::Center,
                    Align::Right => HPos::Right,
                };
                let turn = if *upwards { FontTransform::Rotate270 } else { FontTransform::None };
                let style = TextStyle {
                    font: FontDesc::new(FontFamily::Name(font::FAMILY), size * scale, FontStyle::Normal)
                        .transform(turn),
                    color: ink(*color, 1.0, 1).color.to_backend_color(),
                    pos: Pos::new(side, VPos::Center),
                };
                // The rasteriser centres the line from ascender to descender; eyes centre the letters.
                let drop = 0.08 * size;
                let at = if *upwards { [at[0] + drop, at[1]] } else { [at[0], at[1] + drop] };
                canvas.draw_text(text, &style, place(at))
            }
            Shape::Image { .. } => Ok(()),
        };
        outcome.map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn ink([r, g, b]: Color, opacity: f64, stroke_width: u32) -> ShapeStyle {
    ShapeStyle { color: RGBAColor(r, g, b, opacity), filled: true, stroke_width }
}

/// Copies an image, each of its pixels as a block.
fn blit(raster: &mut [u8], wide: usize, [left, top, width, height]: [i32; 4], pixels: &Pixels) {
    let (left, top) = (left.max(0) as usize, top.max(0) as usize);
    let (width, height) = (width.max(0) as usize, height.max(0) as usize);
    for row in 0..height {
        let Some(line) = raster.chunks_exact_mut(3 * wide).nth(top + row) else { return };
        let from = row * pixels.height / height * pixels.width;
        for (column, pixel) in line.chunks_exact_mut(3).skip(left).take(width).enumerate() {
            let at = 3 * (from + column * pixels.width / width);
            pixel.copy_from_slice(&pixels.rgb[at..at + 3]);
        }
    }
}

/// Averages blocks of `samples` x `samples` pixels.
fn shrink(raster: &[u8], wide: usize, samples: usize) -> Vec<u8> {
    if samples == 1 {
        return raster.to_vec();
    }
    let count = (samples * samples) as u32;
    let mut small = Vec::with_capacity(raster.len() / count as usize);
    for rows in raster.chunks_exact(3 * wide * samples) {
        for left in (0..wide).step_by(samples) {
            for channel in 0..3 {
                let value =
                    |row: usize, column: usize| u32::from(rows[3 * (row * wide + left + column) + channel]);
                let sum: u32 = (0..samples)
                    .flat_map(|r| (0..samples).map(move |c| (r, c)))
                    .map(|(r, c)| value(r, c))
                    .sum();
                small.push(((sum + count / 2) / count) as u8);
            }
        }
    }
    small
}

/// The bytes of a PNG file of RGB pixels.
pub(super) fn encode(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>, ::png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(::png::Compression::Balanced);
    encoder.write_header()?.write_image_data(rgb)?;
    Ok(bytes)
}
