//! One data set under the four readings of principal component analysis: the directions of greatest variance, the fitted ellipsoid,
//! the best reconstruction from k numbers, and the linear probabilistic model.
//!
//!     cargo run --release --example pca_readings            # seconds
//!     cargo run --release --example pca_readings -- --quick # the same with fewer comparisons and pictures
//!
//! The data are the handwritten threes among the bundled digits. Writes pictures and a self-contained page to `target/pca_readings/`; the
//! last line is JSON.

use ndarray::{Array1, Array2, Array3, ArrayRef2, Axis, array, s};
use unsup::core::math;
use unsup::core::plot::{ImageGrid, Lines, Scatter};
use unsup::decomposition::PcaModel;
use unsup::prelude::*;
use unsup_examples::{Failure, Report};

const DIGIT: usize = 3;

fn main() -> Result<(), Failure> {
    let quick = unsup_examples::quick()?;
    let digits = data::digits();
    let of = |wanted: bool| -> Vec<usize> {
        (0..digits.labels.len()).filter(|&i| (digits.labels[i] == DIGIT) == wanted).collect()
    };
    let (threes, others) = (digits.x.select(Axis(0), &of(true)), digits.x.select(Axis(0), &of(false)));
    let mut report = Report::new("pca_readings", "Four readings of principal component analysis")?;
    report.section(
        "The data",
        &format!("{} handwritten threes of 8 × 8 pixels: points in 64 dimensions.", threes.nrows()),
    );
    let some = threes.slice(s![..16, ..]).to_owned();
    report.picture("data", &grid("Threes", &some, &[])?.range(0.0, 16.0), "Some of them.")?;
    let model = Pca::new().fit(&threes)?;
    variance(&mut report, &model, &threes, if quick { 100 } else { 10_000 })?;
    ellipsoid(&mut report, &model, &threes)?;
    reconstruction(&mut report, &threes)?;
    probability(&mut report, &threes, &others, quick)?;
    report.finish()
}

/// Rows as images, dark on light.
fn grid(title: &str, rows: &ArrayRef2<f64>, captions: &[String]) -> Result<ImageGrid, Failure> {
    let images: Array3<f64> = rows.to_shape((rows.nrows(), 8, 8))?.to_owned();
    Ok(ImageGrid::new(title).grey(&images)?.inverted().columns(8).captions(captions))
}

fn variance(
    report: &mut Report,
    model: &PcaModel<f64>,
    x: &Array2<f64>,
    draws: usize,
) -> Result<(), Failure> {
    report.section(
        "1. Directions of greatest variance",
        "The first direction is the one along which the threes differ most; each next one is the same among the directions at right \
         angles to those before it. Shown is the mean three moved two standard deviations either way.",
    );
    let steps = [-2.0, 0.0, 2.0];
    let moved = Array2::from_shape_fn((12, 64), |(i, j)| {
        let (k, step) = (i / 3, steps[i % 3]);
        model.mean()[j] + step * model.explained_variance()[k].sqrt() * model.components()[[k, j]]
    });
    let step = |i: usize| if i % 3 == 1 { "mean".to_owned() } else { format!("{:+.0} sd", steps[i % 3]) };
    let captions: Vec<String> = (0..12).map(|i| format!("{}: {}", i / 3 + 1, step(i))).collect();
    let figure = grid("Along the first four directions", &moved, &captions)?.columns(6).range(0.0, 16.0);
    report.picture("directions", &figure, "The mean three, moved along each direction.")?;

    let centred = x - model.mean();
    let random = Array2::from_shape_vec((64, draws), Seed::new(1).normals(64 * draws))?;
    let lengths = (&random * &random).sum_axis(Axis(0)).mapv(f64::sqrt);
    let codes = centred.dot(&(random / &lengths));
    let best = (&codes * &codes).sum_axis(Axis(0)).fold(0.0_f64, |m, v| m.max(*v)) / (x.nrows() as f64 - 1.0);
    report.figure("variance_first", "variance along the first direction", model.explained_variance()[0]);
    report.figure("variance_random", &format!("the greatest along {draws} random directions"), best);
    report.figure(
        "share_of_ten",
        "share of the variance that ten directions of 64 have",
        model.explained_variance_ratio().slice(s![..10]).sum(),
    );
    let ratios = model.explained_variance_ratio();
    let shown = ratios.slice(s![..30]).to_vec();
    let numbers: Vec<f64> = (1..=30).map(f64::from).collect();
    let plot = Lines::new("Shares of the variance")
        .curve_over("share", &numbers, &shown)
        .dots()
        .axes("direction", "share of the variance");
    report.picture("variances", &plot, "How much of the variance lies along each direction.")
}

fn ellipsoid(report: &mut Report, model: &PcaModel<f64>, x: &Array2<f64>) -> Result<(), Failure> {
    report.section(
        "2. The fitted ellipsoid",
        "The same directions are the axes of the ellipsoid that the covariance describes, and the standard deviations their lengths. \
         In the plane of the first two it is an ellipse with axes along the coordinates.",
    );
    let codes = model.transform(x)?.slice(s![.., ..2]).to_owned();
    let variances = model.explained_variance();
    let ellipse = Array3::from_shape_vec((1, 2, 2), vec![variances[0], 0.0, 0.0, variances[1]])?;
    let middle = array![[0.0, 0.0]];
    let plot = Scatter::new("Threes in the plane of the first two directions")
        .points(&codes, &Array1::zeros(codes.nrows()))?
        .names(&["a three"])
        .ellipses(&middle, &ellipse, 1.0)?
        .ellipses(&middle, &ellipse, 2.0)?
        .axes("first direction", "second direction")
        .equal_units();
    report.picture("ellipse", &plot, "Ellipses of one and two standard deviations.")?;
    let inside = codes
        .rows()
        .into_iter()
        .filter(|c| c[0] * c[0] / variances[0] + c[1] * c[1] / variances[1] <= 4.0)
        .count();
    let share = inside as f64 / codes.nrows() as f64;
    report.figure("inside_two", "share of the threes within two deviations (86 % of a Gaussian)", share);
    report.figure("axis_first", "the longest semi-axis, in grey levels", variances[0].sqrt());
    report.figure("axis_second", "the second", variances[1].sqrt());
    Ok(())
}

fn reconstruction(report: &mut Report, x: &Array2<f64>) -> Result<(), Failure> {
    report.section(
        "3. The best reconstruction from k numbers",
        "No table of rank k is nearer to the centred data than their projection onto the first k directions (Eckart and Young). What \
         is lost is the sum of the variances left out; a random plane loses more.",
    );
    let counts = [1, 2, 4, 8, 16, 32];
    let example = x.slice(s![5..6, ..]).to_owned();
    let mut images = vec![example.row(0).to_owned()];
    let (mut errors, mut of_random) = (Vec::new(), Vec::new());
    let centred = x - &x.mean_axis(Axis(0)).unwrap_or_default();
    for k in counts {
        let model = Pca::new().components(k).fit(x)?;
        images.push(model.inverse_transform(&model.transform(&example)?)?.row(0).to_owned());
        errors.push(model.reconstruction_error(x)?);
        let plane = Array2::from_shape_vec((64, k), Seed::new(2).indexed(k).normals(64 * k))?;
        let plane = math::orthonormal(&plane);
        let left = &centred - &centred.dot(&plane).dot(&plane.t());
        of_random.push((&left * &left).sum() / x.nrows() as f64);
    }
    let rows: Vec<_> = images.iter().map(|row| row.view()).collect();
    let mut captions = vec!["the row".to_owned()];
    captions.extend(counts.map(|k| format!("k = {k}")));
    let figure = grid("One three, rebuilt", &ndarray::stack(Axis(0), &rows)?, &captions)?.range(0.0, 16.0);
    report.picture("rebuilt", &figure, "A three, and its reconstructions from k numbers.")?;
    let plot = Lines::new("What k numbers lose")
        .curve_over("principal directions", &counts.map(|k| k as f64), &errors)
        .curve_over("a random plane", &counts.map(|k| k as f64), &of_random)
        .dots()
        .axes("k", "mean squared distance");
    report.picture("errors", &plot, "Mean squared distance of a three from its reconstruction.")?;
    // counts[3] is 8
    report.figure(
        "error_8",
        "mean squared distance of a three from its reconstruction from 8 numbers",
        errors[3],
    );
    report.figure("error_8_random", "the same, of a random plane", of_random[3]);
    let model = Pca::new().components(8).fit(x)?;
    let left = model.noise_variance() * (64.0 - 8.0);
    report.figure("left_out_8", "the sum of the variances left out, divided by n", left);
    Ok(())
}

fn probability(
    report: &mut Report,
    x: &Array2<f64>,
    others: &Array2<f64>,
    quick: bool,
) -> Result<(), Failure> {
    report.section(
        "4. The linear probabilistic model",
        "A plane of k dimensions with equal noise around it makes a density: rows that were not fitted say how many directions it \
         should have, new threes can be drawn, and other digits are unlikely under it.",
    );
    let (seen, unseen) = x.view().split_at(Axis(0), x.nrows() / 2);
    let counts: Vec<usize> = (1..=30).step_by(if quick { 4 } else { 1 }).collect();
    let (mut fitted, mut left_aside) = (Vec::new(), Vec::new());
    for &k in &counts {
        let model = Pca::new().components(k).fit(&seen)?;
        fitted.push(model.log_density(&seen)?.mean().unwrap_or(f64::NAN));
        left_aside.push(model.log_density(&unseen)?.mean().unwrap_or(f64::NAN));
    }
    let at = (0..counts.len()).max_by(|&a, &b| left_aside[a].total_cmp(&left_aside[b])).unwrap_or(0);
    let best = counts[at];
    let numbers: Vec<f64> = counts.iter().map(|&k| k as f64).collect();
    let plot = Lines::new("Likelihood and the number of directions")
        .curve_over("rows of the fit", &numbers, &fitted)
        .curve_over("rows left aside", &numbers, &left_aside)
        .dots()
        .axes("directions", "mean log-density, nats");
    report.picture(
        "likelihood",
        &plot,
        "More directions always fit better, and from some number on predict worse.",
    )?;
    report.figure("best_directions", "directions of greatest likelihood on rows left aside", best as f64);
    report.figure("log_density", "their mean log-density, in nats", left_aside[at]);

    let model = Pca::new().components(best).fit(&seen)?;
    let drawn = model.sample(8, Seed::new(5))?;
    let without_noise = model.inverse_transform(&model.transform(&drawn)?)?;
    let both = ndarray::concatenate(Axis(0), &[drawn.view(), without_noise.view()])?;
    let figure = grid("Threes that nobody wrote", &both, &[])?.range(0.0, 16.0);
    report.picture("drawn", &figure, "Draws from the model, and below them the same without their noise.")?;

    let scores = ndarray::concatenate(
        Axis(0),
        &[model.log_density(&unseen)?.mapv(|v| -v).view(), model.log_density(others)?.mapv(|v| -v).view()],
    )?;
    let is_other = Array1::from_shape_fn(scores.len(), |i| i >= unseen.nrows());
    let area = metrics::auroc(&scores, &is_other)?;
    report.figure(
        "auroc_other_digits",
        "area under the curve of telling other digits by their density",
        area,
    );
    Ok(())
}
