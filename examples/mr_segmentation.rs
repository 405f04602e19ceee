//! Three tissues in an MR image of a brain, without an atlas: by k-means, by a Gaussian mixture, and by a hidden Markov random field.
//!
//!     cargo run --release --example mr_segmentation            # the bundled slice: seconds
//!     cargo run --release --example mr_segmentation -- --quick # the same with fewer restarts
//!     cargo run --release --example mr_segmentation -- --volume T1.nii.gz
//!     cargo run --release --example mr_segmentation -- --volume T1.nii.gz --grey GREY.nii.gz --white WHITE.nii.gz
//!
//! A volume is a skull-stripped T1 image in NIfTI, zero outside the brain. With probability maps of grey or white matter on the
//! same grid its tissues are scored by their Dice; without one they are only drawn.
//!
//! Writes pictures and a self-contained page to `target/mr_segmentation/`; the last line is JSON.

use ndarray::{Array1, Array3, Axis};
use nifti::{IntoNdArray, NiftiObject, ReaderOptions};
use std::time::Instant;
use unsup::clustering::HiddenMarkovRandomField;
use unsup::clustering::segmentation::Image;
use unsup::core::plot::Overlay;
use unsup::prelude::*;
use unsup_examples::{Failure, Report};

const TISSUES: [&str; 4] = ["", "fluid", "grey matter", "white matter"];

/// A T1 image and where grey and white matter are, as far as that is known, `[depth, height, width]`.
struct Brain {
    t1: Array3<f64>,
    grey: Option<Array3<bool>>,
    white: Option<Array3<bool>>,
}

fn main() -> Result<(), Failure> {
    let (quick, [volume, grey, white]) = unsup_examples::options(&["--volume", "--grey", "--white"])?;
    let brain = match volume {
        None if grey.is_some() || white.is_some() => {
            return Err("--grey and --white are maps of a --volume: give that too".into());
        }
        None => {
            let slice = data::mni_slice();
            let likely = |map: ndarray::Array2<f64>| Some(map.mapv(|p| p > 0.5).insert_axis(Axis(0)));
            Brain { t1: slice.t1.insert_axis(Axis(0)), grey: likely(slice.grey), white: likely(slice.white) }
        }
        Some(volume) => {
            let likely = |path: Option<String>| {
                path.map(|path| read(&path).map(|map| map.mapv(|p| p > 0.5 * 255.0))).transpose()
            };
            Brain { t1: read(&volume)?, grey: likely(grey)?, white: likely(white)? }
        }
    };
    let mut report = Report::new("mr_segmentation", "Tissues of a brain from one MR image")?;
    report.section(
        "As it is",
        "Three classes by intensity alone: fluid is dark in T1, white matter bright. Maps of grey and white matter, which no method sees, \
         serve to score the results. The bundled slice is of the MNI152 average of 152 brains and smooth: there a field takes thin grey matter away.",
    );
    segment(&mut report, "clean", &brain, 0.3, quick)?;

    report.section(
        "With noise",
        "The same with Gaussian noise of a standard deviation of 25 (white matter is some 50 brighter than grey). k-means and the mixture look at each \
         site alone and speckle; the field asks the neighbours as well.",
    );
    let normals = Seed::new(5).normals(brain.t1.len());
    let mut noisy = brain;
    for (value, z) in noisy.t1.iter_mut().zip(normals) {
        // zero is outside
        *value = if *value > 0.0 { (*value + 25.0 * z).max(1e-3) } else { 0.0 };
    }
    // a site of a volume has more neighbours
    let coupling = if noisy.t1.len_of(Axis(0)) > 1 { 0.8 } else { 1.2 };
    segment(&mut report, "noisy", &noisy, coupling, quick)?;
    report.finish()
}

fn segment(report: &mut Report, key: &str, brain: &Brain, coupling: f64, quick: bool) -> Result<(), Failure> {
    let restarts = if quick { 1 } else { 5 };
    let image = Image::volume(&brain.t1, &brain.t1.mapv(|v| v > 0.0))?;
    let mut show = |name: &str, title: &str, start: Instant, labels: &Array1<usize>| -> Result<(), Failure> {
        let seconds = start.elapsed().as_secs_f64();
        let tissue = image.paint(labels)?;
        for (class, short, truth) in [(2, "grey", &brain.grey), (3, "white", &brain.white)] {
            let Some(truth) = truth else { continue };
            let dice = metrics::dice(&tissue.mapv(|t| t == class), truth)?;
            let meaning = format!("Dice of {} by {title}", TISSUES[class]);
            report.figure(&format!("{key}_{name}_{short}"), &meaning, dice);
        }
        report.figure(&format!("{key}_{name}_seconds"), &format!("seconds of {title}"), seconds);
        let middle = tissue.len_of(Axis(0)) / 2;
        let (t1, plane) = (brain.t1.index_axis(Axis(0), middle), tissue.index_axis(Axis(0), middle));
        let overlay = Overlay::new(title, &t1, &plane)?.names(&TISSUES);
        report.picture(
            &format!("{key}_{name}"),
            &overlay,
            &format!("The image and its three classes by {title}."),
        )
    };

    let start = Instant::now();
    let kmeans = KMeans::new(3).restarts(restarts).seed(1).fit(image.rows())?;
    show("kmeans", "k-means", start, &ascending(&kmeans.centroids().column(0).to_vec(), kmeans.labels()))?;

    let start = Instant::now();
    let mixture = GaussianMixture::new(3).restarts(restarts).seed(1).fit(image.rows())?;
    let labels = mixture.predict(image.rows())?;
    show("mixture", "a mixture", start, &ascending(&mixture.means().column(0).to_vec(), &labels))?;

    let start = Instant::now();
    let field = HiddenMarkovRandomField::new(3).coupling(coupling).restarts(restarts).seed(1).fit(&image)?;
    let labels = field.predict(&image)?;
    show("field", "a Markov random field", start, &labels)?;
    Ok(())
}

/// Labels in the order of their means.
fn ascending(means: &[f64], labels: &Array1<usize>) -> Array1<usize> {
    labels.mapv(|label| means.iter().filter(|&&m| m < means[label]).count())
}

/// A NIfTI volume, its axes as those of the bundled slice: z, y from the front, x.
fn read(path: &str) -> Result<Array3<f64>, Failure> {
    let object = ReaderOptions::new().read_file(path).map_err(|e| format!("{path}: {e}"))?;
    let volume = object.into_volume().into_ndarray::<f64>().map_err(|e| format!("{path}: {e}"))?;
    let mut volume = volume.into_dimensionality::<ndarray::Ix3>()?.permuted_axes([2, 1, 0]);
    volume.invert_axis(Axis(1));
    Ok(volume.as_standard_layout().into_owned())
}
