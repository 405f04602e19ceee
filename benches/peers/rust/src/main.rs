//! linfa's side of `benches/peers/run`: one job a line (JSON), answered with seconds and the quality of the result.

use linfa::prelude::*;
use linfa_clustering::{KMeans, KMeansInit};
use linfa_nn::distance::L2Dist;
use linfa_reduction::Pca;
use ndarray::{Array2, Axis};
use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
enum Job {
    Lloyd { x: String, start: String, iterations: u64 },
    Pca { x: String, components: usize },
}

fn load(path: &str) -> Result<Array2<f32>, Failure> {
    Ok(ndarray_npy::read_npy(path)?)
}

fn run(job: &Job, arrays: &mut HashMap<String, Array2<f32>>) -> Result<(f64, f64), Failure> {
    let mut array = |path: &String| -> Result<Array2<f32>, Failure> {
        if !arrays.contains_key(path) {
            arrays.insert(path.clone(), load(path)?);
        }
        Ok(arrays[path].clone())
    };
    match job {
        Job::Lloyd { x, start, iterations } => {
            let (x, start) = (array(x)?, array(start)?);
            let data = DatasetBase::from(x);
            let spec = KMeans::params_with(start.nrows(), Xoshiro256Plus::seed_from_u64(0), L2Dist)
                .init_method(KMeansInit::Precomputed(start))
                .max_n_iterations(*iterations)
                .n_runs(1)
                .tolerance(1e-30);
            let clock = Instant::now();
            let model = spec.fit(&data)?;
            let seconds = clock.elapsed().as_secs_f64();
            let inertia = f64::from(model.inertia()) * data.records().nrows() as f64;
            Ok((seconds, inertia))
        }
        Job::Pca { x, components } => {
            // linfa's PCA knows f64 only
            let data = DatasetBase::from(array(x)?.mapv(f64::from));
            let clock = Instant::now();
            let model = Pca::params(*components).fit(&data)?;
            let seconds = clock.elapsed().as_secs_f64();
            let n = data.records().nrows() as f64;
            let variance = model.singular_values().mapv(|s| s * s / (n - 1.0)).sum_axis(Axis(0)).into_scalar();
            Ok((seconds, variance))
        }
    }
}

fn main() -> Result<(), Failure> {
    let mut arrays = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?).map_err(Failure::from).and_then(|job| run(&job, &mut arrays)) {
            Ok((seconds, quality)) => json!({ "seconds": seconds, "quality": quality }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
