//! How many clusters? Every criterion in one call, on data that have five, two that are bent, none, and ten that overlap.
//!
//!     cargo run --release --example how_many_clusters            # some seconds
//!     cargo run --release --example how_many_clusters -- --quick # fewer references and resamples
//!
//! Writes pictures, tables and a self-contained page to `target/how_many_clusters/`; the last line is JSON.

use ndarray::{Array1, Array2, array, s};
use unsup::clustering::selection::OwnScore;
use unsup::clustering::{ClusterCount, Criterion};
use unsup::core::data::synthetic;
use unsup::core::plot::Scatter;
use unsup::prelude::*;
use unsup_examples::{Failure, Report};

fn main() -> Result<(), Failure> {
    let quick = unsup_examples::quick()?;
    let mut report = Report::new("how_many_clusters", "How many clusters?")?;

    let centers = array![[0.0, 0.0], [6.0, 0.0], [3.0, 5.0], [10.0, 6.0], [-3.0, 7.0]];
    let clouds = synthetic::blobs_around(&centers, 600, 0.8, Seed::new(1))?;
    // a shelf costs as much as a detour of 2.5 for each row, squared, divided among the rows
    let shelves = |k: usize, labels: &Array1<usize>| Ok(-within(&clouds.x, labels) - 0.5 * k as f64);
    ask(
        &mut report,
        quick,
        [
            "clouds",
            "Five clouds",
            "Round, apart, of one size: all say five but the gap, whose rule stops at the first k that is no worse than the next. The last row is a score of one's own, \
         the mean squared distance to the centroid plus a price for each cluster.",
        ],
        &clouds.x,
        &clouds.labels,
        &[("own: distance + price", &shelves)],
    )?;

    let moons = synthetic::moons(600, 0.08, Seed::new(2))?;
    let text = "Two bent groups. k-means cuts them into pieces, and its criteria count pieces: the wrong question, whatever k.";
    ask(&mut report, quick, ["moons", "Two moons", text], &moons.x, &moons.labels, &[])?;

    let normals = Seed::new(3).normals(1200);
    let cloud = Array2::from_shape_fn((600, 2), |(i, j)| [3.0, 1.0][j] * normals[2 * i + j]);
    let text = "One Gaussian cloud. Silhouette, the variance ratio and their like cannot answer one; the gap and BIC can.";
    ask(&mut report, quick, ["one", "No clusters", text], &cloud, &Array1::zeros(600), &[])?;

    let digits = data::digits();
    let codes = Pca::new().components(10).fit(&digits.x)?.transform(&digits.x)?;
    let text = "1797 handwritten digits, their first ten principal components. Ten classes that overlap and that have several ways of \
         being written: criteria differ, and none of them knows the classes.";
    ask(&mut report, quick, ["digits", "Digits", text], &codes, &digits.labels, &[])?;
    report.finish()
}

fn ask(
    report: &mut Report,
    quick: bool,
    [key, title, text]: [&str; 3],
    x: &Array2<f64>,
    truth: &Array1<usize>,
    own: &[OwnScore<'_>],
) -> Result<(), Failure> {
    let draws = if quick { 5 } else { 50 };
    let most = if key == "digits" { 14 } else { 10 };
    let spec = ClusterCount::new(1..=most)
        .restarts(if quick { 2 } else { 10 })
        .references(draws)
        .resamples(draws)
        .seed(7);
    let table = spec.fit_scored(x, own, &mut ProgressBar::new())?;
    eprintln!("{table}");
    report.section(title, &format!("{text}</p>\n<pre>{table}</pre>\n<p>"));
    let plot = Scatter::new(title).points(&x.slice(s![.., ..2]), truth)?.equal_units();
    report.picture(&format!("{key}_truth"), &plot, "The groups that the rows come from.")?;
    report.picture(
        key,
        &table.plot(title),
        "Each criterion over the number of clusters, and what it chooses.",
    )?;
    for criterion in Criterion::ALL {
        let chosen = table.chosen(criterion).map_or(f64::NAN, |k| k as f64);
        let name = criterion.name().split(' ').next().unwrap_or_default().to_lowercase();
        report.figure(&format!("{key}_{name}"), &format!("chosen by {criterion}"), chosen);
    }
    if let Some((k, _)) = table.votes().first() {
        let labels = KMeans::new(*k).restarts(10).seed(7).fit(x)?.labels().clone();
        report.figure(&format!("{key}_votes"), "chosen by most criteria", *k as f64);
        let ari = metrics::adjusted_rand(truth, &labels)?;
        report.figure(&format!("{key}_ari"), "adjusted Rand index of k-means with so many", ari);
    }
    Ok(())
}

/// The mean squared distance of a row to the centroid of its cluster.
fn within(x: &Array2<f64>, labels: &Array1<usize>) -> f64 {
    let clusters = labels.iter().max().map_or(0, |m| m + 1);
    let (mut sums, mut counts) = (Array2::<f64>::zeros((clusters, x.ncols())), vec![0.0; clusters]);
    for (row, &label) in x.rows().into_iter().zip(labels) {
        let mut sum = sums.row_mut(label);
        sum += &row;
        counts[label] += 1.0;
    }
    let distance = |(row, &label): (ndarray::ArrayView1<'_, f64>, &usize)| {
        (&row - &(&sums.row(label) / counts[label])).mapv(|v| v * v).sum()
    };
    x.rows().into_iter().zip(labels).map(distance).sum::<f64>() / x.nrows() as f64
}
