//! Views that move pixels: affine maps, crops, flips. Values between pixels are bilinear; what comes
//! from outside the image is 0.

use super::{Image, check_amount, check_range};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use unsup_core::Result;
use unsup_core::seed::Rng;

/// Rotation, shift and scaling about the centre, each uniform in its range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    rotation: f32,
    shift: f32,
    scale: (f32, f32),
}

impl Default for Affine {
    fn default() -> Self {
        Affine { rotation: 0.0, shift: 0.0, scale: (1.0, 1.0) }
    }
}

impl Affine {
    /// The identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns by at most this many degrees either way.
    #[must_use]
    pub fn rotation(mut self, degrees: f32) -> Self {
        self.rotation = degrees;
        self
    }

    /// Shifts by at most this fraction of height and width.
    #[must_use]
    pub fn shift(mut self, fraction: f32) -> Self {
        self.shift = fraction;
        self
    }

    /// Scales by a factor within this range; 1 leaves the size as it is.
    #[must_use]
    pub fn scale(mut self, low: f32, high: f32) -> Self {
        self.scale = (low, high);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        check_amount("rotation", self.rotation, "degrees from 0 to 180", 180.0)?;
        check_amount("shift", self.shift, "a fraction of the size from 0 to 1", 1.0)?;
        check_range("scale", self.scale, "a range of positive factors, at most 100", 100.0)
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut Rng) {
        let (h, w) = (image.height as f32, image.width as f32);
        let angle = uniform(rng, -self.rotation, self.rotation).to_radians();
        let scale = uniform(rng, self.scale.0, self.scale.1);
        let (dy, dx) = (uniform(rng, -self.shift, self.shift) * h, uniform(rng, -self.shift, self.shift) * w);
        let (sin, cos) = (angle.sin() / scale, angle.cos() / scale);
        let (cy, cx) = ((h - 1.0) / 2.0, (w - 1.0) / 2.0);
        // where the output pixel (y, x) comes from
        resample(image, |y, x| {
            let (y, x) = (y - cy - dy, x - cx - dx);
            (cy + cos * y - sin * x, cx + sin * y + cos * x)
        });
    }
}

/// A random part of the image, brought back to the image's size (the crop of SimCLR).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ResizedCrop {
    area: (f32, f32),
    aspect: (f32, f32),
}

impl ResizedCrop {
    /// A crop whose area is within this range of fractions of the image's; aspect ratio 3:4 to 4:3.
    pub fn new(low: f32, high: f32) -> Self {
        ResizedCrop { area: (low, high), aspect: (0.75, 4.0 / 3.0) }
    }

    pub(super) fn check(&self) -> Result<()> {
        check_range("area", self.area, "a range of fractions above 0 and at most 1", 1.0)
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut Rng) {
        let (h, w) = (image.height as f32, image.width as f32);
        let area = uniform(rng, self.area.0, self.area.1);
        let aspect = uniform(rng, self.aspect.0.ln(), self.aspect.1.ln()).exp();
        let ch = (area / aspect).sqrt().min(1.0) * h;
        let cw = (area * aspect).sqrt().min(1.0) * w;
        let (top, left) = (uniform(rng, 0.0, h - ch), uniform(rng, 0.0, w - cw));
        resample(image, |y, x| (top + (y + 0.5) * ch / h - 0.5, left + (x + 0.5) * cw / w - 0.5));
    }
}

/// Left and right exchanged, half of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HorizontalFlip;

impl HorizontalFlip {
    #[allow(clippy::unused_self, reason = "the same form as the other views")]
    pub(super) fn check(&self) -> Result<()> {
        Ok(())
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut Rng) {
        if rng.random::<bool>() {
            image.pixels.chunks_exact_mut(image.width).for_each(<[f32]>::reverse);
        }
    }
}

pub(super) fn uniform(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Replaces each pixel by the bilinear value at the place `from` says.
fn resample(image: &mut Image, from: impl Fn(f32, f32) -> (f32, f32)) {
    let (h, w) = (image.height, image.width);
    let source = image.pixels.clone();
    for y in 0..h {
        for x in 0..w {
            let (sy, sx) = from(y as f32, x as f32);
            let (y0, x0) = (sy.floor(), sx.floor());
            let (fy, fx) = (sy - y0, sx - x0);
            let corners = [
                (0.0, 0.0, (1.0 - fy) * (1.0 - fx)),
                (0.0, 1.0, (1.0 - fy) * fx),
                (1.0, 0.0, fy * (1.0 - fx)),
                (1.0, 1.0, fy * fx),
            ];
            for c in 0..image.channels {
                let mut value = 0.0;
                for (dy, dx, weight) in corners {
                    let (py, px) = (y0 + dy, x0 + dx);
                    if py >= 0.0 && px >= 0.0 && py < h as f32 && px < w as f32 {
                        value += weight * source[(c * h + py as usize) * w + px as usize];
                    }
                }
                image.pixels[(c * h + y) * w + x] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unsup_core::Seed;

    fn ramp(h: usize, w: usize) -> Image {
        Image { channels: 2, height: h, width: w, pixels: (0..2 * h * w).map(|v| v as f32).collect() }
    }

    #[test]
    fn the_identity_changes_nothing() {
        let mut image = ramp(5, 7);
        Affine::new().apply(&mut image, &mut Seed::new(1).rng());
        assert_eq!(image, ramp(5, 7));
        ResizedCrop { area: (1.0, 1.0), aspect: (1.0, 1.0) }.apply(&mut image, &mut Seed::new(1).rng());
        image
            .pixels
            .iter()
            .zip(ramp(5, 7).pixels)
            .for_each(|(a, b)| assert!((a - b).abs() < 1e-3, "{a} {b}"));
    }

    #[test]
    fn a_half_turn_reverses_the_pixels() {
        let mut image = ramp(4, 6);
        let (cy, cx) = (1.5, 2.5);
        let (sin, cos) = (std::f32::consts::PI.sin(), std::f32::consts::PI.cos());
        resample(&mut image, |y, x| {
            let (y, x) = (y - cy, x - cx);
            (cy + cos * y - sin * x, cx + sin * y + cos * x)
        });
        for c in 0..2 {
            for i in 0..24 {
                assert!((image.pixels[c * 24 + i] - (c * 24 + 23 - i) as f32).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn a_whole_pixel_shift_moves_whole_pixels_and_fills_with_zero() {
        let mut image = Image { channels: 1, height: 1, width: 4, pixels: vec![1.0, 2.0, 3.0, 4.0] };
        resample(&mut image, |y, x| (y, x - 1.0));
        assert_eq!(image.pixels, [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_crop_of_a_constant_image_is_constant_and_flips_go_both_ways() {
        let mut flipped = 0;
        for s in 0..200 {
            let mut rng = Seed::new(s).rng();
            let mut image = Image { channels: 3, height: 9, width: 6, pixels: vec![0.7; 162] };
            ResizedCrop::new(0.2, 0.9).apply(&mut image, &mut rng);
            // half a pixel beyond the crop's edge may reach outside the image
            let inside = (1..8).flat_map(|y| (1..5).map(move |x| y * 6 + x));
            assert!(inside.into_iter().all(|i| (image.pixels[i] - 0.7).abs() < 1e-5));
            let mut image = ramp(1, 2);
            HorizontalFlip.apply(&mut image, &mut rng);
            flipped += usize::from(image.pixels == [1.0, 0.0, 3.0, 2.0]);
        }
        assert!((70..130).contains(&flipped), "{flipped}");
    }
}
