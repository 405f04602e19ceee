//! Numbers of other implementations (`oracles/probabilistic.py`).

use ndarray::Array2;
use serde::Deserialize;
use std::collections::BTreeMap;
use unsup_core::data;

pub(crate) type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
pub(crate) struct Oracle {
    wide: Vec<Vec<f64>>,
    #[serde(rename = "two factors")]
    two_factors: Vec<Vec<f64>>,
    pub(crate) ppca: Vec<Ppca>,
    pub(crate) factor_analysis: Vec<Factors>,
    pub(crate) scikit_learn_wide_noise: f64,
    pub(crate) mle: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
pub(crate) struct Ppca {
    pub(crate) data: String,
    pub(crate) components: usize,
    pub(crate) noise: f64,
    pub(crate) log_density: Vec<f64>,
}

#[derive(Deserialize)]
pub(crate) struct Factors {
    pub(crate) data: String,
    pub(crate) factors: usize,
    pub(crate) log_density: Vec<f64>,
    pub(crate) loadings: Vec<Vec<f64>>,
    pub(crate) codes: Vec<Vec<f64>>,
    pub(crate) varimax: Vec<Vec<f64>>,
    pub(crate) quartimax: Vec<Vec<f64>>,
}

impl Oracle {
    pub(crate) fn table(&self, name: &str) -> Array2<f64> {
        match name {
            "iris" => data::iris().x,
            "digits" => data::digits().x,
            "wine" => data::wine().x,
            "standard wine" => {
                let x = data::wine().x;
                let mean = x.mean_axis(ndarray::Axis(0)).unwrap_or_default();
                (&x - &mean) / x.std_axis(ndarray::Axis(0), 0.0)
            }
            "two factors" => table(&self.two_factors),
            _ => table(&self.wide),
        }
    }
}

pub(crate) fn table(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

pub(crate) fn read() -> Result<Oracle, Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/probabilistic.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}
