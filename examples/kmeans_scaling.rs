//! How the time of an iteration of k-means grows with the number of rows.
//!
//!     cargo run --release --example kmeans_scaling            # up to 10 million rows of 16 values: 1 GB, half a minute
//!     cargo run --release --example kmeans_scaling -- --quick # up to 100,000
//!
//! Lloyd's iterations on blobs, k = 64, `f32`; the median time from one to the next. Writes a picture and a page to
//! `target/kmeans_scaling/`; the last line is JSON. (What a fit adds to the memory of its data is held to by a test,
//! `crates/clustering/tests/memory.rs`.)

use ndarray::{Array2, ArrayView2, Axis, s};
use std::ops::ControlFlow;
use std::time::Instant;
use unsup::clustering::kmeans::{Algorithm, Init};
use unsup::core::observe::Event;
use unsup::core::plot::Lines;
use unsup::prelude::*;
use unsup_examples::{Failure, Report};

const WIDTH: usize = 16;
const CLUSTERS: usize = 64;
const ITERATIONS: usize = 12;

fn main() -> Result<(), Failure> {
    let most = if unsup_examples::quick()? { 100_000 } else { 10_000_000 };
    let mut report = Report::new("kmeans_scaling", "k-means: time over the number of rows")?;
    let x = blobs(most);
    let sizes: Vec<usize> =
        [1, 3].into_iter().flat_map(|m| (4..=7).map(move |e| m * 10_usize.pow(e))).collect();
    let mut sizes: Vec<usize> = sizes.into_iter().filter(|&n| n <= most).collect();
    sizes.sort_unstable();
    let mut milliseconds = Vec::new();
    for &n in &sizes {
        milliseconds.push(1e3 * iteration(&x.slice(s![..n, ..]))?);
        eprintln!("{n:>9} rows: {:.2} ms an iteration", milliseconds[milliseconds.len() - 1]);
    }
    report.section(
        "Time",
        "An iteration reads each row once, so that its time grows as their number does. Few rows pay for the start of threads.",
    );
    let powers: Vec<f64> = sizes.iter().map(|&n| (n as f64).log10()).collect();
    let per_row: Vec<f64> = sizes.iter().zip(&milliseconds).map(|(&n, ms)| 1e6 * ms / n as f64).collect();
    let last = per_row.last().copied().unwrap_or_default();
    let line: Vec<f64> = sizes.iter().map(|&n| 1e-6 * last * n as f64).collect();
    let plot = Lines::new(format!("an iteration of k-means, rows of {WIDTH} values, k = {CLUSTERS}"))
        .curve_over("measured", &powers, &milliseconds)
        .curve_over(format!("{last:.0} ns a row"), &powers, &line)
        .axes("rows, powers of ten", "milliseconds")
        .log_y()
        .dots();
    report.picture("time", &plot, "The time of an iteration over the number of rows.")?;
    for (n, ns) in sizes.iter().zip(&per_row) {
        report.figure(&format!("ns_per_row_{n}"), &format!("ns a row and iteration, {n} rows"), *ns);
    }
    report.finish()
}

/// The median time of an iteration, in seconds.
fn iteration(x: &ArrayView2<'_, f32>) -> Result<f64, Failure> {
    // every other row: half the groups have two centroids and the others none, so that there is something to do
    let start = x.slice(s![..2 * CLUSTERS;2, ..]).mapv(f64::from);
    let spec = KMeans::new(CLUSTERS)
        .init(Init::Centroids(start))
        .algorithm(Algorithm::Lloyd)
        .max_iterations(ITERATIONS)
        .tolerance(0.0);
    let mut times = Vec::new();
    for _ in 0..(3_000_000 / x.nrows()).clamp(1, 10) {
        let mut last = None;
        let mut watch = |event: &Event<'_>| {
            if let Event::Progress { .. } = event {
                let now = Instant::now();
                times.extend(last.replace(now).map(|before: Instant| (now - before).as_secs_f64()));
            }
            ControlFlow::Continue(())
        };
        spec.fit_observed(x, &mut watch)?;
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or(f64::NAN))
}

/// Rows around CLUSTERS centres.
fn blobs(n: usize) -> Array2<f32> {
    let centres = Seed::new(1).normals(CLUSTERS * WIDTH);
    let mut x = Array2::zeros((n, WIDTH));
    for (block, mut rows) in x.axis_chunks_iter_mut(Axis(0), 1000 * CLUSTERS).enumerate() {
        let noise = Seed::new(2).indexed(block).normals(rows.len());
        for ((i, j), value) in rows.indexed_iter_mut() {
            *value = (3.0 * centres[i % CLUSTERS * WIDTH + j] + noise[i * WIDTH + j]) as f32;
        }
    }
    x
}
