//! Hidden Markov random fields.

use ndarray::Array3;
use unsup_clustering::segmentation::Image;
use unsup_core::Seed;

mod contract;
mod field;
mod images;

type Failure = Box<dyn std::error::Error>;

/// Three nested ellipsoids with intensities 0, 1, 2 and noise of this standard deviation; the mask leaves a margin. Returns the
/// volume, the mask and the truth (1, 2, 3 inside).
fn phantom(shape: [usize; 3], noise: f64, seed: u64) -> (Array3<f64>, Array3<bool>, Array3<usize>) {
    let centre = shape.map(|s| (s as f64 - 1.0) / 2.0);
    let radius = |(z, y, x): (usize, usize, usize)| {
        let scaled = |at: usize, axis: usize| {
            if shape[axis] == 1 { 0.0 } else { (at as f64 - centre[axis]) / centre[axis] }
        };
        (scaled(z, 0).powi(2) + scaled(y, 1).powi(2) + scaled(x, 2).powi(2)).sqrt()
    };
    let truth = Array3::from_shape_fn(shape, |at| match radius(at) {
        r if r < 0.35 => 3,
        r if r < 0.65 => 2,
        r if r < 0.95 => 1,
        _ => 0,
    });
    let mut normals = Seed::new(seed).normals(truth.len()).into_iter();
    let volume = truth.mapv(|t| t as f64 - 1.0 + noise * normals.next().unwrap_or(0.0));
    let mask = truth.mapv(|t| t > 0);
    (volume, mask, truth)
}

fn accuracy(
    image: &Image<f64>,
    labels: &ndarray::Array1<usize>,
    truth: &Array3<usize>,
) -> Result<f64, Failure> {
    let painted = image.paint(labels)?;
    let inside = truth.iter().filter(|&&t| t > 0).count();
    let right = painted.iter().zip(truth).filter(|(p, t)| **t > 0 && p == t).count();
    Ok(right as f64 / inside as f64)
}
