//! Made-up data whose answer is known.
//!
//! | function | what it is for |
//! | --- | --- |
//! | [`blobs`], [`blobs_around`] | Gaussian clouds: what k-means and mixtures assume |
//! | [`moons`], [`circles`] | clusters that no straight line separates: density and spectral methods |
//! | [`swiss_roll`], [`s_curve`] | a sheet bent in space: manifold learning, with its true coordinates |
//!
//! The shapes are those of scikit-learn's `make_*` functions; the random numbers are not, so
//! compare methods and not coordinates. Everything costs O(n d). Synthetic data flatters a method whose
//! assumptions it was made from: conclude nothing about real data from it.

use super::Labelled;
use crate::validate::room;
use crate::{Error, Result, Seed};
use ndarray::{Array1, Array2, ArrayRef2};
use rand::RngExt;
use std::f64::consts::PI;

/// Gaussian clouds and where they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Blobs {
    /// The points in random order, `[n, d]`.
    pub x: Array2<f64>,
    /// The cloud of each point, `0..k`.
    pub labels: Array1<usize>,
    /// The true centres, `[k, d]`.
    pub centers: Array2<f64>,
}

/// `n` points in `k` spherical Gaussian clouds of standard deviation `spread`, with centres uniform
/// in the cube from -10 to 10 in `d` dimensions. Clouds differ in size by at most one point.
///
/// # Errors
/// [`Error::Parameter`] for `n < k`, `k` or `d` of 0, more points than memory holds, and a spread that is negative or not finite.
///
/// ```
/// use unsup_core::{Seed, data::synthetic};
/// let blobs = synthetic::blobs(300, 4, 2, 0.5, Seed::new(7))?;
/// assert_eq!((blobs.x.dim(), blobs.centers.dim()), ((300, 2), (4, 2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn blobs(n: usize, k: usize, d: usize, spread: f64, seed: Seed) -> Result<Blobs> {
    at_least("k", k, 1, "at least one cloud")?;
    at_least("d", d, 1, "at least one dimension")?;
    room("k", k, d)?;
    let mut rng = seed.named("centers").rng();
    let centers = Array2::from_shape_simple_fn((k, d), || rng.random_range(-10.0..10.0));
    blobs_around(&centers, n, spread, seed)
}

/// As [`blobs`], around the centres that are given (`[k, d]`).
///
/// # Errors
/// As [`blobs`], and those of [`validate::table`](crate::validate::table) for the centres.
pub fn blobs_around(centers: &ArrayRef2<f64>, n: usize, spread: f64, seed: Seed) -> Result<Blobs> {
    crate::validate::table(centers, "centers")?;
    let (k, d) = centers.dim();
    at_least("n", n, k, "at least one point a cloud")?;
    room("n", n, d)?;
    non_negative("spread", spread)?;
    let labels = Array1::from(seed.named("order").permutation(n)).mapv(|i| i % k);
    let mut x = normal(n, d, spread, seed);
    for (mut row, &label) in x.rows_mut().into_iter().zip(&labels) {
        row += &centers.row(label);
    }
    Ok(Blobs { x, labels, centers: centers.to_owned() })
}

/// Two interleaving half circles in the plane, `[n, 2]`, with Gaussian noise of this standard deviation.
///
/// # Errors
/// [`Error::Parameter`] for `n < 2`, more points than memory holds, and a noise that is negative or not finite.
pub fn moons(n: usize, noise: f64, seed: Seed) -> Result<Labelled> {
    two_curves(n, noise, seed, |label, t| match label {
        0 => [(PI * t).cos(), (PI * t).sin()],
        _ => [1.0 - (PI * t).cos(), 0.5 - (PI * t).sin()],
    })
}

/// Two circles in the plane, `[n, 2]`, the inner one (label 1) `factor` times as wide, with Gaussian
/// noise of this standard deviation.
///
/// # Errors
/// [`Error::Parameter`] for `n < 2`, more points than memory holds, a noise that is negative or not finite, and a factor outside (0, 1).
pub fn circles(n: usize, noise: f64, factor: f64, seed: Seed) -> Result<Labelled> {
    if !(factor > 0.0 && factor < 1.0) {
        return Err(Error::parameter("factor", factor, "a number between 0 and 1"));
    }
    two_curves(n, noise, seed, |label, t| {
        let radius = if label == 0 { 1.0 } else { factor };
        [radius * (2.0 * PI * t).cos(), radius * (2.0 * PI * t).sin()]
    })
}

/// Points uniform on two curves that are parametrised over `0..1`.
fn two_curves(n: usize, noise: f64, seed: Seed, curve: impl Fn(usize, f64) -> [f64; 2]) -> Result<Labelled> {
    at_least("n", n, 2, "at least one point a curve")?;
    room("n", n, 2)?;
    non_negative("noise", noise)?;
    let mut rng = seed.named("position").rng();
    let labels = Array1::from(seed.named("order").permutation(n)).mapv(|i| i % 2);
    let mut x = normal(n, 2, noise, seed);
    for (mut row, &label) in x.rows_mut().into_iter().zip(&labels) {
        let point = curve(label, rng.random());
        row[0] += point[0];
        row[1] += point[1];
    }
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    Ok(Labelled { x, labels, feature_names: names(["x", "y"]), label_names: names(["0", "1"]) })
}

/// A sheet bent in space, with the true coordinates on the sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// The points in space, `[n, 3]`.
    pub x: Array2<f64>,
    /// The parameter along the bend: the angle of the roll, or the position along the S.
    pub along: Array1<f64>,
    /// The position across the sheet, where it is flat.
    pub across: Array1<f64>,
}

/// A sheet rolled up one and a half times: `(t cos t, height, t sin t)` with `t` uniform in
/// `1.5π..4.5π` and the height in `0..21`. `along` is the roll coordinate `t`.
///
/// # Errors
/// [`Error::Parameter`] for `n` of 0, more points than memory holds, and a noise that is negative or not finite.
///
/// ```
/// use unsup_core::{Seed, data::synthetic};
/// let roll = synthetic::swiss_roll(500, 0.0, Seed::new(1))?;
/// let radius = roll.x[[0, 0]].hypot(roll.x[[0, 2]]);
/// assert!((radius - roll.along[0]).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn swiss_roll(n: usize, noise: f64, seed: Seed) -> Result<Sheet> {
    sheet(n, noise, seed, [1.5 * PI, 4.5 * PI], 21.0, |t, height| [t * t.cos(), height, t * t.sin()])
}

/// A sheet bent to an S: `(sin t, height, sign(t)(cos t - 1))` with `t` uniform in `-1.5π..1.5π` and the
/// height in `0..2`.
///
/// # Errors
/// As [`swiss_roll`].
pub fn s_curve(n: usize, noise: f64, seed: Seed) -> Result<Sheet> {
    sheet(n, noise, seed, [-1.5 * PI, 1.5 * PI], 2.0, |t, height| {
        [t.sin(), height, t.signum() * (t.cos() - 1.0)]
    })
}

fn sheet(
    n: usize,
    noise: f64,
    seed: Seed,
    [from, to]: [f64; 2],
    height: f64,
    bend: impl Fn(f64, f64) -> [f64; 3],
) -> Result<Sheet> {
    at_least("n", n, 1, "at least one point")?;
    room("n", n, 3)?;
    non_negative("noise", noise)?;
    let mut rng = seed.named("position").rng();
    let along = Array1::from_shape_simple_fn(n, || rng.random_range(from..to));
    let across = Array1::from_shape_simple_fn(n, || rng.random_range(0.0..height));
    let mut x = normal(n, 3, noise, seed);
    for ((mut row, &t), &h) in x.rows_mut().into_iter().zip(&along).zip(&across) {
        bend(t, h).iter().zip(&mut row).for_each(|(b, v)| *v += b);
    }
    Ok(Sheet { x, along, across })
}

fn normal(n: usize, d: usize, deviation: f64, seed: Seed) -> Array2<f64> {
    let mut rng = seed.named("noise").rng();
    Array2::from_shape_simple_fn((n, d), || deviation * rng.sample::<f64, _>(rand_distr::StandardNormal))
}

fn at_least(name: &'static str, value: usize, least: usize, allowed: &'static str) -> Result<()> {
    if value < least { Err(Error::parameter(name, value, allowed)) } else { Ok(()) }
}

fn non_negative(name: &'static str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(Error::parameter(name, value, "a finite number, 0 or more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const SEED: Seed = Seed::new(11);

    #[test]
    fn blobs_lie_around_their_centres_and_differ_in_size_by_one() -> Result<()> {
        let centers = array![[0.0, 5.0], [100.0, -5.0], [-100.0, 0.0]];
        let blobs = blobs_around(&centers, 3001, 2.0, SEED)?;
        for k in 0..3 {
            let rows: Vec<usize> = (0..3001).filter(|&i| blobs.labels[i] == k).collect();
            assert!((1000..=1001).contains(&rows.len()));
            let cloud = blobs.x.select(ndarray::Axis(0), &rows);
            let offset = &cloud - &centers.row(k);
            let deviation = (offset.mapv(|v| v * v).sum() / offset.len() as f64).sqrt();
            assert!((deviation - 2.0).abs() < 0.1, "deviation {deviation}");
            assert!(offset.sum().abs() / (offset.len() as f64) < 0.1);
        }
        assert_ne!(blobs.labels.as_slice().map(|l| &l[..6]), Some(&[0, 1, 2, 0, 1, 2][..]));
        Ok(())
    }

    #[test]
    fn noiseless_shapes_satisfy_their_equations() -> Result<()> {
        for (row, &label) in moons(200, 0.0, SEED)?.x.rows().into_iter().zip(&moons(200, 0.0, SEED)?.labels) {
            let (cx, cy, side) = if label == 0 { (0.0, 0.0, 1.0) } else { (1.0, 0.5, -1.0) };
            assert!(((row[0] - cx).hypot(row[1] - cy) - 1.0).abs() < 1e-12);
            assert!(side * (row[1] - cy) >= -1e-12);
        }
        let circles = circles(201, 0.0, 0.3, SEED)?;
        for (row, &label) in circles.x.rows().into_iter().zip(&circles.labels) {
            assert!((row[0].hypot(row[1]) - [1.0, 0.3][label]).abs() < 1e-12);
        }
        let s = s_curve(300, 0.0, SEED)?;
        for (row, &t) in s.x.rows().into_iter().zip(&s.along) {
            assert!((row[0] - t.sin()).abs() < 1e-12 && row[2] * t <= 0.0 && (0.0..2.0).contains(&row[1]));
        }
        Ok(())
    }

    #[test]
    fn the_seed_alone_decides() -> Result<()> {
        assert_eq!(blobs(50, 3, 4, 1.0, SEED)?, blobs(50, 3, 4, 1.0, SEED)?);
        assert_ne!(blobs(50, 3, 4, 1.0, SEED)?.x, blobs(50, 3, 4, 1.0, Seed::new(12))?.x);
        assert_eq!(swiss_roll(50, 0.1, SEED)?, swiss_roll(50, 0.1, SEED)?);
        Ok(())
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let name = |result: Result<()>| match result {
            Err(Error::Parameter { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(blobs(2, 3, 2, 1.0, SEED).map(drop)), "n");
        assert_eq!(name(blobs(2, 0, 2, 1.0, SEED).map(drop)), "k");
        assert_eq!(name(blobs(2, 1, 0, 1.0, SEED).map(drop)), "d");
        assert_eq!(name(blobs(2, 1, 1, f64::NAN, SEED).map(drop)), "spread");
        assert_eq!(name(moons(1, 0.0, SEED).map(drop)), "n");
        assert_eq!(name(moons(10, -1.0, SEED).map(drop)), "noise");
        assert_eq!(name(circles(10, 0.0, 1.0, SEED).map(drop)), "factor");
        assert_eq!(name(s_curve(0, 0.0, SEED).map(drop)), "n");
        // more than any memory holds
        assert_eq!(name(blobs(usize::MAX, 2, 2, 1.0, SEED).map(drop)), "n");
        assert_eq!(name(blobs(usize::MAX, usize::MAX, 2, 1.0, SEED).map(drop)), "k");
        assert_eq!(name(moons(usize::MAX, 0.0, SEED).map(drop)), "n");
        assert_eq!(name(swiss_roll(usize::MAX, 0.0, SEED).map(drop)), "n");
    }
}
