//! How the time of an iteration of k-means and its memory grow with the number of rows.
//!
//!     cargo run --release --example kmeans_scaling            # up to 10 million rows of 16 values: 2 GB, two minutes
//!     cargo run --release --example kmeans_scaling -- --quick # up to 100,000
//!
//! Lloyd's iterations on blobs, k = 64, and the memory that a fit adds to the data at its peak, of it what the model returns.
//! Memory is read from /proc where there is one. Writes a picture and a page to `target/kmeans_scaling/`; the last line is JSON.

use ndarray::{Array2, Axis, s};
use std::time::Instant;
use unsup::clustering::kmeans::{Algorithm, Init};
use unsup::core::plot::Lines;
use unsup::prelude::*;
use unsup_examples::Report;

type Failure = Box<dyn std::error::Error>;

const WIDTH: usize = 16;
const CLUSTERS: usize = 64;
const ITERATIONS: usize = 10;

fn main() -> Result<(), Failure> {
    let most = if unsup_examples::quick()? { 100_000 } else { 10_000_000 };
    let mut report = Report::new("kmeans_scaling", "k-means: time and memory over the number of rows")?;
    let x = blobs(most);
    let (mut rows, mut seconds, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    let mut n = 10_000;
    while n <= most {
        let x = x.slice(s![..n, ..]);
        let start = x.slice(s![..CLUSTERS, ..]).mapv(f64::from);
        let spec = KMeans::new(CLUSTERS)
            .init(Init::Centroids(start))
            .algorithm(Algorithm::Lloyd)
            .max_iterations(ITERATIONS)
            .tolerance(0.0);
        let mut best = f64::INFINITY;
        let before = resident()?;
        for _ in 0..if n < 1_000_000 { 5 } else { 3 } {
            let clock = Instant::now();
            let model = spec.fit(&x)?;
            // one pass more assigns the rows to the last centroids
            let passes = model.history().objective().len() + 1;
            best = best.min(clock.elapsed().as_secs_f64() / passes as f64);
        }
        let data = (n * WIDTH * size_of::<f32>()) as f64;
        let memory = (peak()? - before) / data;
        eprintln!(
            "{n:>9} rows: {:.2} ms an iteration, {:.1} % of the data beside them",
            1e3 * best,
            100.0 * memory
        );
        (rows.push(n as f64), seconds.push(best), extra.push(memory));
        n *= 10;
    }
    let per_row: Vec<f64> = rows.iter().zip(&seconds).map(|(n, s)| 1e9 * s / n).collect();
    report.section(
        "Time",
        "An iteration reads each row once, so that its time grows as their number does: a row costs the same nanoseconds among \
         ten thousand, whose data fit into the caches, as among millions.",
    );
    let decades: Vec<f64> = rows.iter().map(|n| n.log10()).collect();
    let plot = Lines::new(format!("an iteration of k-means, rows of {WIDTH} values, k = {CLUSTERS}"))
        .curve_over("nanoseconds a row", &decades, &per_row)
        .axes("rows, powers of ten", "ns")
        .dots();
    report.picture("time", &plot, "Level is linear.")?;
    for ((n, ns), extra) in rows.iter().zip(&per_row).zip(&extra) {
        report.figure(&format!("ns_per_row_{n}"), &format!("ns a row and iteration, {n} rows"), *ns);
        report.figure(&format!("extra_{n}"), &format!("memory beside the data, {n} rows"), *extra);
    }
    report.finish()
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

/// Bytes of this process in memory now; from now on, [`peak`] counts anew. 0 where /proc is missing.
fn resident() -> Result<f64, Failure> {
    let now = status("VmRSS:")?;
    if now > 0.0 {
        std::fs::write("/proc/self/clear_refs", "5")?;
    }
    Ok(now)
}

/// The most bytes in memory since [`resident`].
fn peak() -> Result<f64, Failure> {
    status("VmHWM:")
}

fn status(field: &str) -> Result<f64, Failure> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(0.0) };
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).map_or(Ok(0.0), str::parse)? * 1024.0)
}
