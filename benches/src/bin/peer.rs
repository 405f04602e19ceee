//! Our side of `benches/peers/run`: reads one job a line (JSON) from standard input, runs it on arrays
//! read beforehand, and answers with its seconds and the quality of its result.

use ndarray::{Array2, s};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use unsup::clustering::kmeans::{Algorithm, Init, greedy_kmeans_plus_plus};
use unsup::core::Float;
use unsup::core::data::npy;
use unsup::decomposition::Route;
use unsup::decomposition::nmf::Start;
use unsup::prelude::*;
use unsup_benches::{mixtures, nn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
enum Job {
    /// `iterations` of Lloyd from the given centroids
    Lloyd { x: String, start: String, iterations: usize },
    /// k-means from the given centroids to convergence
    Converged { x: String, start: String, algorithm: String },
    /// greedy k-means++ alone
    Seeding { x: String, k: usize, seed: u64 },
    /// PCA by one route
    Pca { x: String, components: usize, route: String },
    /// the projection onto the components, fitted outside the clock
    Project { x: String, components: usize },
    /// incremental PCA over batches of rows
    Incremental { x: String, components: usize, batch: usize },
    /// iterations of factor analysis; the mean log-likelihood
    Factor { x: String, factors: usize, iterations: usize },
    /// iterations of NMF from singular vectors; the Frobenius error
    Nmf { x: String, components: usize, iterations: usize },
    /// iterations of dictionary learning from the given atoms; the objective
    Dictionary { x: String, start: String, alpha: f64, iterations: usize },
    /// iterations of FastICA; how far the sources are from Gaussian
    Ica { x: String, iterations: usize },
    /// iterations of EM or of variational inference from the given means
    Mixture { x: String, start: String, iterations: usize, covariance: String, variational: bool },
    /// the mean silhouette of the clusters that start at the given rows
    Silhouette { x: String, start: String },
    /// one run of a workload of `unsup_benches::nn`
    Nn { row: String, folder: PathBuf },
    /// bytes that training steps of ResNet-18 add to the process's memory at their peak
    Memory { folder: PathBuf },
}

/// E[log cosh u] of a standard normal u.
const LOG_COSH_OF_NORMAL: f64 = 0.374_567_207_491_438;

/// What is kept between jobs.
#[derive(Default)]
struct State {
    arrays: Arrays<f32>,
    doubles: Arrays<f64>,
    networks: HashMap<String, nn::Run>,
}

#[derive(Default)]
struct Arrays<F>(HashMap<String, Array2<F>>);

impl<F: Float> Arrays<F> {
    fn get(&mut self, path: &str) -> Result<&Array2<F>, Failure> {
        if !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), npy::read_table(path)?);
        }
        self.0.get(path).ok_or_else(|| path.into())
    }
}

fn timed<T>(work: impl FnOnce() -> unsup::Result<T>) -> Result<(f64, T), Failure> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed().as_secs_f64(), result))
}

/// Seconds, and a number that says how good the result is.
fn run(job: &Job, State { arrays, doubles, networks }: &mut State) -> Result<(f64, f64), Failure> {
    match job {
        Job::Nn { row, folder } => {
            if !networks.contains_key(row) {
                networks.clear(); // one workload at a time: its memory is not the next one's
                networks.insert(row.clone(), nn::prepare(row, folder)?);
            }
            Ok(networks.get_mut(row).ok_or("a workload")?()?)
        }
        Job::Memory { folder } => {
            let fresh =
                std::process::Command::new(std::env::current_exe()?).arg("memory").arg(folder).output()?;
            Ok((String::from_utf8(fresh.stdout)?.trim().parse()?, 1.0))
        }
        Job::Mixture { x, start, iterations, covariance, variational } => {
            let means = doubles.get(start)?.clone();
            let x = doubles.get(x)?;
            let family = mixtures::family(covariance);
            if *variational {
                let spec = mixtures::variational(means, family, *iterations);
                let (seconds, model) = timed(|| spec.fit(x))?;
                Ok((seconds, mixtures::plug_in(&model, family, x)?))
            } else {
                let spec = mixtures::em(means, family, *iterations);
                let (seconds, model) = timed(|| spec.fit(x))?;
                Ok((seconds, model.lower_bound()))
            }
        }
        Job::Silhouette { x, start } => {
            let start = doubles.get(start)?.clone();
            let x = doubles.get(x)?;
            let spec = KMeans::new(start.nrows()).init(Init::Centroids(start)).max_iterations(20);
            let labels = spec.fit(x)?.labels().clone();
            timed(|| metrics::silhouette(x, &labels))
        }
        Job::Lloyd { x, start, iterations } => {
            let start = arrays.get(start)?.mapv(f64::from);
            let spec = KMeans::new(start.nrows())
                .init(Init::Centroids(start))
                .algorithm(Algorithm::Lloyd)
                .max_iterations(*iterations)
                .tolerance(0.0);
            let x = arrays.get(x)?;
            let (seconds, model) = timed(|| spec.fit(x))?;
            Ok((seconds, model.inertia()))
        }
        Job::Converged { x, start, algorithm } => {
            let start = arrays.get(start)?.mapv(f64::from);
            let spec = KMeans::new(start.nrows())
                .init(Init::Centroids(start))
                .algorithm(if algorithm == "lloyd" { Algorithm::Lloyd } else { Algorithm::Auto })
                .max_iterations(1000)
                .tolerance(0.0);
            let x = arrays.get(x)?;
            let (seconds, model) = timed(|| spec.fit(x))?;
            Ok((seconds, model.inertia()))
        }
        Job::Seeding { x, k, seed } => {
            let x = arrays.get(x)?;
            let (seconds, rows) = timed(|| greedy_kmeans_plus_plus(x, *k, Seed::new(*seed)))?;
            let start = x.select(ndarray::Axis(0), &rows).mapv(f64::from);
            // the inertia of the seeds themselves: one assignment, no update
            let mut stop = |event: &unsup::core::observe::Event<'_>| match event {
                unsup::core::observe::Event::Progress { .. } => std::ops::ControlFlow::Break(()),
                _ => std::ops::ControlFlow::Continue(()),
            };
            let model = KMeans::new(*k).init(Init::Centroids(start)).fit_observed(x, &mut stop)?;
            Ok((seconds, model.inertia()))
        }
        Job::Pca { x, components, route } => {
            let route = match route.as_str() {
                "covariance" => Route::Covariance,
                "svd" => Route::Svd,
                _ => Route::RANDOMIZED,
            };
            let x = arrays.get(x)?;
            let (seconds, model) = timed(|| Pca::new().components(*components).route(route).fit(x))?;
            Ok((seconds, model.explained_variance().sum()))
        }
        Job::Incremental { x, components, batch } => {
            let x = arrays.get(x)?;
            let spec = IncrementalPca::new(*components).batch(*batch);
            timed(|| spec.fit(x)?.pca().map(|model| model.explained_variance().sum()))
        }
        Job::Factor { x, factors, iterations } => {
            let x = doubles.get(x)?;
            let spec = FactorAnalysis::new(*factors).max_iterations(*iterations).tolerance(0.0);
            let (seconds, model) = timed(|| spec.fit(x))?;
            Ok((seconds, model.log_density(x)?.mean().unwrap_or(f64::NAN)))
        }
        Job::Nmf { x, components, iterations } => {
            let x = arrays.get(x)?;
            let spec =
                Nmf::new(*components).start(Start::SvdFilled).max_iterations(*iterations).tolerance(0.0);
            let (seconds, model) = timed(|| spec.fit(x))?;
            Ok((seconds, model.reconstruction_error()))
        }
        Job::Dictionary { x, start, alpha, iterations } => {
            let atoms = doubles.get(start)?.clone();
            let x = doubles.get(x)?;
            let spec = DictionaryLearning::new(atoms.nrows()).alpha(*alpha).start_from(atoms);
            let (seconds, model) = timed(|| spec.max_iterations(*iterations).tolerance(0.0).fit(x))?;
            Ok((seconds, model.history().objective().last().copied().unwrap_or(f64::NAN)))
        }
        Job::Ica { x, iterations } => {
            let x = doubles.get(x)?;
            let (seconds, model) =
                timed(|| FastIca::new().max_iterations(*iterations).tolerance(0.0).fit(x))?;
            let sources = model.transform(x)?;
            let far = |source: ndarray::ArrayView1<'_, f64>| {
                (source.iter().map(|s| s.cosh().ln()).sum::<f64>() / source.len() as f64 - LOG_COSH_OF_NORMAL)
                    .powi(2)
            };
            Ok((seconds, sources.columns().into_iter().map(far).sum()))
        }
        Job::Project { x, components } => {
            let x = arrays.get(x)?;
            let model = Pca::new().components(*components).fit(&x.slice(s![..5000.min(x.nrows()), ..]))?;
            let (seconds, codes) = timed(|| model.transform(x))?;
            Ok((seconds, codes.iter().map(|&v| f64::from(v).powi(2)).sum()))
        }
    }
}

/// Bytes of the process now, and at most since the last call.
fn resident() -> Result<(f64, f64), Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).ok_or(name)?;
        let kib = line.split_whitespace().nth(1).ok_or(name)?;
        Ok::<f64, Failure>(kib.parse::<f64>()? * 1024.0)
    };
    let found = (field("VmRSS:")?, field("VmHWM:")?);
    std::fs::write("/proc/self/clear_refs", "5")?;
    Ok(found)
}

fn memory(folder: &Path) -> Result<(), Failure> {
    let (before, _) = resident()?;
    let mut step = nn::resnet18(nn::Arrays::Written(folder))?;
    for _ in 0..3 {
        step()?;
    }
    println!("{}", resident()?.1 - before);
    Ok(())
}

fn main() -> Result<(), Failure> {
    if let [_, what, folder] = &std::env::args().collect::<Vec<_>>()[..] {
        return if what == "memory" { memory(Path::new(folder)) } else { Err("unknown argument".into()) };
    }
    let mut state = State::default();
    for line in std::io::stdin().lock().lines() {
        let answer =
            match serde_json::from_str(&line?).map_err(Failure::from).and_then(|job| run(&job, &mut state)) {
                Ok((seconds, quality)) => json!({ "seconds": seconds, "quality": quality }),
                Err(error) => json!({ "error": error.to_string() }),
            };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
