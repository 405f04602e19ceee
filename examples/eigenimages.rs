//! Images as points: the mean image, the directions in which images differ, and images rebuilt from a few of them.
//!
//!     cargo run --release --example eigenimages            # the bundled digits: seconds
//!     cargo run --release --example eigenimages -- --quick # the same: it is quick
//!     cargo run --release --example eigenimages -- --images PATH
//!
//! `PATH` is a folder of PNG, JPEG or PNM images of one size, an NPZ file whose first array is `[n, height, width]` (or `[n, height, width, colours]`), or an IDX file (gzip or
//! not). Writes pictures and a self-contained page to `target/eigenimages/`; the last line is JSON.

use ndarray::{Array3, Axis, concatenate, s, stack};
use std::path::Path;
use unsup::core::data::npy::Npz;
use unsup::core::data::{idx, images};
use unsup::core::plot::{ImageGrid, Lines};
use unsup::decomposition::shape::{EigenImages, EigenImagesModel};
use unsup::prelude::*;
use unsup_examples::{Failure, Report};

const SHOWN: usize = 8;
const STEPS: [f64; 5] = [-3.0, -1.5, 0.0, 1.5, 3.0];

fn main() -> Result<(), Failure> {
    let (_, [path]) = unsup_examples::options(&["--images"])?;
    let images = match path {
        None => data::digits().x.mapv(|v| v as f32 / 16.0).into_shape_with_order((1797, 8, 8))?,
        Some(path) => read(Path::new(&path))?,
    };
    let (n, height, width) = images.dim();
    let mut report = Report::new("eigenimages", "Eigen-images")?;
    report.section(
        "Mean and directions",
        &format!(
            "{n} images of {height} × {width} pixels, each one point in {} dimensions. The mean image, then the directions of greatest variance, \
             bright where a pixel grows along the direction and dark where it shrinks.",
            height * width
        ),
    );
    // half the images are left out, to see how images are rebuilt that the model does not know
    let (known, unknown) = (images.slice(s![..;2, .., ..]), images.slice(s![1..;2, .., ..]));
    let most = (known.dim().0 - 1).min(height * width).min(128);
    let model = EigenImages::new().components(most).fit_observed(&known, &mut ProgressBar::new())?;
    let shares = model.pca().explained_variance_ratio();
    let shown = SHOWN.min(most);
    report.picture(
        "mean",
        &ImageGrid::new("The mean").grey(&model.mean().insert_axis(Axis(0)))?,
        "The mean of the images.",
    )?;
    let directions = model.directions();
    let directions = directions.slice(s![..shown, .., ..]);
    // zero is grey: the range is symmetric
    let range = directions.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let captions: Vec<String> = (0..shown).map(|m| format!("{:.1} %", 100.0 * shares[m])).collect();
    report.picture(
        "directions",
        &ImageGrid::new("Eigen-images")
            .grey(&directions)?
            .range(f64::from(-range), f64::from(range))
            .columns(shown)
            .captions(&captions),
        "The first directions, with their shares of the variance.",
    )?;
    report.picture(
        "modes",
        &modes(&model, shown.min(4))?,
        "Modes of variation: the mean, moved along each of the first directions.",
    )?;
    for fraction in [0.5, 0.8, 0.9, 0.95] {
        let mut sum = 0.0;
        let needed = shares.iter().position(|share| {
            sum += share;
            sum >= fraction
        });
        let key = format!("components_{:.0}", 100.0 * fraction);
        let count = needed.map_or(f64::NAN, |k| (k + 1) as f64);
        report.figure(&key, &format!("components for {:.0} % of the variance", 100.0 * fraction), count);
    }

    report.section(
        "Reconstruction",
        "Images that the model has not seen, rebuilt from 1 to many components; the original is on top. Then the share of the variance of those \
         images that k components leave unexplained.",
    );
    let counts: Vec<usize> = [1, 4, 16, 32, 64, 128].into_iter().filter(|&k| k <= most).collect();
    report.picture(
        "reconstruction",
        &rebuilt(&model, &unknown.slice(s![..shown.min(unknown.dim().0), .., ..]).to_owned(), &counts)?,
        "Originals and reconstructions.",
    )?;
    let mean = model.mean();
    let energy = |x: &Array3<f32>| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
    let total = energy(&(&unknown - &mean));
    let mut left = Vec::new();
    for &k in &counts {
        left.push(energy(&(&model.reconstruct(&unknown, k)? - &unknown)) / total);
        report.figure(
            &format!("left_{k}"),
            &format!("variance of unseen images left by {k} components"),
            left[left.len() - 1],
        );
    }
    let counts: Vec<f64> = counts.iter().map(|&k| k as f64).collect();
    report.picture(
        "left",
        &Lines::new("Unexplained")
            .curve_over("unseen images", &counts, &left)
            .dots()
            .axes("components", "share of the variance"),
        "What reconstructions of unseen images lack.",
    )?;
    report.finish()
}

/// One row a mode: from three standard deviations below the mean to three above.
fn modes(model: &EigenImagesModel<f32>, count: usize) -> Result<ImageGrid, Failure> {
    let mut images = Vec::new();
    let mut captions = Vec::new();
    for m in 0..count {
        for step in STEPS {
            images.push(model.mode(m, step)?);
            let side = if step == 0.0 { "mean".to_owned() } else { format!("{step:+} sd") };
            captions.push(format!("{}: {side}", m + 1));
        }
    }
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    Ok(ImageGrid::new("Modes of variation")
        .grey(&stack(Axis(0), &views)?)?
        .columns(STEPS.len())
        .captions(&captions))
}

/// The originals in the first row, then one row for each number of components.
fn rebuilt(
    model: &EigenImagesModel<f32>,
    originals: &Array3<f32>,
    counts: &[usize],
) -> Result<ImageGrid, Failure> {
    let columns = originals.dim().0;
    let mut rows = vec![originals.clone()];
    let mut captions = vec!["original".to_owned(); columns];
    for &k in counts {
        rows.push(model.reconstruct(originals, k)?);
        captions.extend(vec![format!("k = {k}"); columns]);
    }
    let views: Vec<_> = rows.iter().map(|row| row.view()).collect();
    let (low, high) =
        originals.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    Ok(ImageGrid::new("Rebuilt from k components")
        .grey(&concatenate(Axis(0), &views)?)?
        .range(f64::from(low), f64::from(high))
        .columns(columns)
        .captions(&captions))
}

fn read(path: &Path) -> Result<Array3<f32>, Failure> {
    if path.is_dir() {
        return Ok(images::read_folder(path)?.pixels);
    }
    let array = if path.extension().is_some_and(|e| e == "npz") {
        let mut file = Npz::open(path)?;
        let name = file.names().first().cloned().ok_or("the archive is empty")?;
        file.read_as::<f32>(&name)?
    } else {
        idx::read_as::<f32>(path)?
    };
    let shape = array.shape().to_vec();
    // colours are brought to grey
    let array = if shape.len() == 4 { array.mean_axis(Axis(3)).unwrap_or(array) } else { array };
    Ok(array
        .into_dimensionality()
        .map_err(|_| format!("{}: {shape:?}, expected [n, height, width]", path.display()))?)
}
