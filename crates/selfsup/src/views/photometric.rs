//! Views that change values where they are: intensity, noise, blur, erasure.

use super::geometric::uniform;
use super::{Image, check_amount, check_range};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use unsup_core::Result;
use unsup_core::seed::Rng;

/// Brightness and contrast: x ← a·(x − mean) + mean + b, with a uniform in 1 ± contrast and b in ± brightness.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Intensity {
    brightness: f32,
    contrast: f32,
}

impl Intensity {
    /// By at most these amounts; brightness in units of the pixels.
    pub fn new(brightness: f32, contrast: f32) -> Self {
        Intensity { brightness, contrast }
    }

    pub(super) fn check(&self) -> Result<()> {
        check_amount("brightness", self.brightness, "a finite amount, at least 0", f32::MAX)?;
        check_amount("contrast", self.contrast, "from 0 to 1", 1.0)
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut Rng) {
        let mean = image.pixels.iter().sum::<f32>() / image.pixels.len() as f32;
        let a = uniform(rng, 1.0 - self.contrast, 1.0 + self.contrast);
        let b = uniform(rng, -self.brightness, self.brightness);
        image.pixels.iter_mut().for_each(|v| *v = a * (*v - mean) + mean + b);
    }
}

/// Independent Gaussian noise on every pixel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    deviation: f32,
}

impl Noise {
    /// Of this standard deviation, in units of the pixels.
    pub fn new(deviation: f32) -> Self {
        Noise { deviation }
    }

    pub(super) fn check(&self) -> Result<()> {
        check_amount("deviation", self.deviation, "a finite amount, at least 0", f32::MAX)
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut Rng) {
        image
            .pixels
            .iter_mut()
            .for_each(|v| *v += self.deviation * rng.sample::<f32, _>(unsup_core::seed::StandardNormal));
    }
}

/// Gaussian blur, some of the time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Blur {
    probability: f32,
    sigma: (f32, f32),
}

impl Blur {
    /// With this probability, with a standard deviation of the kernel within `low..high` pixels.
    pub fn new(probability: f32, low: f32, high: f32) -> Self {
        Blur { probability, sigma: (low, high) }
    }

    pub(super) fn check(&self) -> Result<()> {
        check_amount("probability", self.probability, "from 0 to 1", 1.0)?;
        check_range("sigma", self.sigma, "a range of positive numbers of pixels, at most 100", 100.0)
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut Rng) {
        if rng.random::<f32>() >= self.probability {
            return;
        }
        let sigma = uniform(rng, self.sigma.0, self.sigma.1);
        let radius = (3.0 * sigma).ceil() as isize;
        let kernel: Vec<f32> =
            (-radius..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
        let total: f32 = kernel.iter().sum();
        // separable: along rows, then along columns; the edge pixel is repeated outside
        for (stride, length) in [(1, image.width), (image.width, image.height)] {
            let source = image.pixels.clone();
            for (i, value) in image.pixels.iter_mut().enumerate() {
                let at = (i / stride % length) as isize;
                let start = i as isize - at * stride as isize;
                let blurred: f32 = kernel
                    .iter()
                    .zip(-radius..)
                    .map(|(k, o)| {
                        k * source
                            [(start + (at + o).clamp(0, length as isize - 1) * stride as isize) as usize]
                    })
                    .sum();
                *value = blurred / total;
            }
        }
    }
}

/// A rectangle painted over with the image's mean, some of the time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Erase {
    probability: f32,
    side: (f32, f32),
}

impl Erase {
    /// With this probability, with sides within `low..high` of the image's.
    pub fn new(probability: f32, low: f32, high: f32) -> Self {
        Erase { probability, side: (low, high) }
    }

    pub(super) fn check(&self) -> Result<()> {
        check_amount("probability", self.probability, "from 0 to 1", 1.0)?;
        check_range("side", self.side, "a range of fractions above 0 and at most 1", 1.0)
    }

    pub(super) fn apply(&self, image: &mut Image, rng: &mut Rng) {
        if rng.random::<f32>() >= self.probability {
            return;
        }
        let mean = image.pixels.iter().sum::<f32>() / image.pixels.len() as f32;
        let mut side = |length: usize| {
            let size =
                ((uniform(rng, self.side.0, self.side.1) * length as f32).round() as usize).clamp(1, length);
            let start = rng.random_range(0..=length - size);
            start..start + size
        };
        let (rows, columns) = (side(image.height), side(image.width));
        for plane in image.pixels.chunks_exact_mut(image.height * image.width) {
            for y in rows.clone() {
                plane[y * image.width..][columns.clone()].fill(mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unsup_core::Seed;

    fn noise(seed: u64) -> Image {
        let pixels = Seed::new(seed).normals(2 * 30 * 20).into_iter().map(|v| v as f32).collect();
        Image { channels: 2, height: 30, width: 20, pixels }
    }

    fn moments(image: &Image) -> (f32, f32) {
        let n = image.pixels.len() as f32;
        let mean = image.pixels.iter().sum::<f32>() / n;
        (mean, image.pixels.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n)
    }

    #[test]
    fn intensity_moves_the_mean_and_scales_the_contrast_within_its_range() {
        for s in 0..50 {
            let mut image = noise(s);
            let (mean, variance) = moments(&image);
            Intensity::new(0.5, 0.3).apply(&mut image, &mut Seed::new(s).rng());
            let (new_mean, new_variance) = moments(&image);
            assert!((new_mean - mean).abs() <= 0.5001);
            let ratio = (new_variance / variance).sqrt();
            assert!((0.699..=1.301).contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn noise_has_its_deviation() {
        let mut image = Image { pixels: vec![0.0; 1200], ..noise(1) };
        Noise::new(0.25).apply(&mut image, &mut Seed::new(3).rng());
        let (mean, variance) = moments(&image);
        assert!(mean.abs() < 0.03 && (variance.sqrt() - 0.25).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn blur_keeps_the_mean_of_a_point_and_never_mixes_channels() {
        let mut image = Image { pixels: vec![0.0; 1200], ..noise(1) };
        image.pixels[15 * 20 + 10] = 1.0;
        Blur::new(1.0, 1.0, 1.0).apply(&mut image, &mut Seed::new(3).rng());
        let (first, second) = image.pixels.split_at(600);
        assert!((first.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(second.iter().all(|&v| v == 0.0));
        assert!((first[15 * 20 + 10] - 0.159).abs() < 0.002, "{}", first[15 * 20 + 10]);
    }

    #[test]
    fn an_erased_rectangle_has_the_mean_and_the_rest_stays() {
        let before = noise(4);
        let mut after = before.clone();
        Erase::new(1.0, 0.5, 0.5).apply(&mut after, &mut Seed::new(5).rng());
        let changed = before.pixels.iter().zip(&after.pixels).filter(|(a, b)| a != b).count();
        assert_eq!(changed, 2 * 15 * 10);
    }
}
