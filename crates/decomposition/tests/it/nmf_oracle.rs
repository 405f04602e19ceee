//! NMF against scikit-learn 1.9.1 from the same start, iteration for iteration, and from its own (`oracles/nmf.py`).

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array2, s};
use serde::Deserialize;
use unsup_core::data;
use unsup_core::estimator::{Fit, Transform};
use unsup_decomposition::nmf::{Loss, Solver, Start};
use unsup_decomposition::{MiniBatchNmf, Nmf};

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Oracle {
    cases: Vec<Case>,
    batches: Vec<Batch>,
    from_svd: Vec<FromSvd>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    components: usize,
    beta: f64,
    solver: String,
    alpha_codes: f64,
    alpha_components: f64,
    l1_ratio: f64,
    iterations: usize,
    error: f64,
    h: Vec<Vec<f64>>,
    codes_first_rows: Vec<Vec<f64>>,
    transformed_first_rows: Option<Vec<Vec<f64>>>,
}

#[derive(Deserialize)]
struct Batch {
    data: String,
    components: usize,
    beta: f64,
    batch: usize,
    forgetting: f64,
    epochs: usize,
    h: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct FromSvd {
    data: String,
    components: usize,
    filled: bool,
    beta: f64,
    solver: String,
    iterations: usize,
    error: f64,
}

fn table(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn oracle() -> Result<Oracle, Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/nmf.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn named(name: &str) -> Array2<f64> {
    match name {
        "digits" => data::digits().x,
        "iris" => data::iris().x,
        _ => data::wine().x,
    }
}

fn start(x: &Array2<f64>, k: usize) -> Start {
    let scale = (x.mean().unwrap_or_default() / k as f64).sqrt();
    let at = |i: usize| i as f64;
    let codes = |(i, t)| scale * (1.0 + 0.5 * (1.0 + at(i) + 3.0 * at(t)).sin());
    let components = |(t, j)| scale * (1.0 + 0.5 * (2.0 + at(j) + 5.0 * at(t)).cos());
    Start::Given {
        codes: Array2::from_shape_fn((x.nrows(), k), codes),
        components: Array2::from_shape_fn((k, x.ncols()), components),
    }
}

fn solver(name: &str) -> Solver {
    if name == "cd" { Solver::CoordinateDescent } else { Solver::Multiplicative }
}

fn scale(table: &Array2<f64>) -> f64 {
    table.iter().fold(0.0_f64, |m, v| m.max(v.abs()))
}

#[test]
fn every_loss_and_solver_takes_the_steps_of_scikit_learn() -> Result<(), Failure> {
    let oracle = oracle()?;
    assert_eq!(oracle.cases.len(), 12);
    for case in oracle.cases {
        let x = named(&case.data);
        let solver = solver(&case.solver);
        let spec = Nmf::new(case.components)
            .loss(Loss::Beta(case.beta))
            .solver(solver)
            .start(start(&x, case.components))
            .alpha_codes(case.alpha_codes)
            .alpha_components(case.alpha_components)
            .l1_ratio(case.l1_ratio)
            .tolerance(0.0);
        let model = spec.max_iterations(case.iterations).fit(&x)?;
        assert_relative_eq!(model.reconstruction_error(), case.error, max_relative = 1e-6);
        let (h, codes) = (table(&case.h), table(&case.codes_first_rows));
        assert_abs_diff_eq!(*model.components(), h, epsilon = 1e-5 * scale(&h));
        assert_abs_diff_eq!(model.codes().slice(s![..5, ..]), codes, epsilon = 1e-5 * scale(&codes));
        if let Some(transformed) = case.transformed_first_rows {
            let transformed = table(&transformed);
            let found = model.transform(&x.slice(s![..5, ..]))?;
            assert_abs_diff_eq!(found, transformed, epsilon = 1e-5 * scale(&transformed));
        }
    }
    Ok(())
}

#[test]
fn the_start_by_the_svd_leads_to_the_objective_of_scikit_learn() -> Result<(), Failure> {
    let oracle = oracle()?;
    assert_eq!(oracle.from_svd.len(), 2);
    for case in oracle.from_svd {
        let spec = Nmf::new(case.components)
            .loss(Loss::Beta(case.beta))
            .solver(solver(&case.solver))
            .start(if case.filled { Start::SvdFilled } else { Start::Svd })
            .tolerance(0.0);
        let model = spec.max_iterations(case.iterations).fit(&named(&case.data))?;
        assert_relative_eq!(model.reconstruction_error(), case.error, max_relative = 1e-4);
    }
    Ok(())
}

#[test]
fn batches_move_the_components_as_scikit_learn_moves_them() -> Result<(), Failure> {
    let oracle = oracle()?;
    assert_eq!(oracle.batches.len(), 4);
    for case in oracle.batches {
        let x = named(&case.data);
        let spec = MiniBatchNmf::new(case.components)
            .loss(Loss::Beta(case.beta))
            .start_from(start(&x, case.components))
            .batch(case.batch)
            .forgetting(case.forgetting)
            .tolerance(0.0)
            .epochs(case.epochs);
        let h = table(&case.h);
        assert_abs_diff_eq!(*spec.fit(&x)?.components(), h, epsilon = 1e-6 * scale(&h));
    }
    Ok(())
}

#[test]
fn iris_has_its_published_error() -> Result<(), Failure> {
    // scikit-learn's at a tolerance of 1e-12, from NNDSVD and from NNDSVDa
    for start in [Start::Svd, Start::SvdFilled] {
        let model = Nmf::new(2).start(start).tolerance(1e-9).max_iterations(10_000).fit(&data::iris().x)?;
        assert!(model.history().converged());
        assert_abs_diff_eq!(model.reconstruction_error(), 3.940889887879, epsilon = 1e-8);
    }
    Ok(())
}
