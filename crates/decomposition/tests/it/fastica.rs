//! FastICA: scikit-learn's sources from the same start (`oracles/fastica.py`), the contract, known mixtures, bad input.

use approx::assert_abs_diff_eq;
use ndarray::{Array2, Axis, array, concatenate, s};
use proptest::prelude::*;
use serde::Deserialize;
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{Fit, InverseTransform, Transform};
use unsup_core::{Error, Float, Seed, data};
use unsup_decomposition::FastIca;
use unsup_decomposition::ica::{Algorithm, Contrast, FastIcaModel};

type Failure = Box<dyn std::error::Error>;

fn questions<F: Float>() -> Questions<FastIcaModel<F>, F> {
    Questions {
        answer: |model, x| {
            let codes = model.transform(x)?;
            let rebuilt = model.inverse_transform(&codes)?.mapv(|v| v.f64());
            Ok(concatenate(Axis(1), &[codes.mapv(|v| v.f64()).view(), rebuilt.view()]).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

fn signals() -> Array2<f64> {
    let signals = Array2::from_shape_fn((2000, 3), |(i, j)| {
        let t = (i as f64 + 0.5) * 0.004;
        match j {
            0 => (2.0 * t).sin(),
            1 => (3.0 * t).sin().signum(),
            _ => (t * 1.7).fract(),
        }
    });
    let mixing = array![[1.0, 1.0, 1.0], [0.5, 2.0, 1.0], [1.5, 1.0, 2.0]];
    signals.dot(&mixing.t()) + &array![3.0, -1.0, 100.0]
}

/// Uniform sources, which have light tails, of variance 1.
fn uniform(seed: u64, n: usize, k: usize) -> Array2<f64> {
    use rand::RngExt;
    let mut rng = Seed::new(seed).rng();
    Array2::from_shape_fn((n, k), |_| (rng.random::<f64>() - 0.5) * 12_f64.sqrt())
}

#[derive(Deserialize)]
struct Oracle {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    components: usize,
    algorithm: String,
    contrast: String,
    alpha: f64,
    iterations: usize,
    tolerance: f64,
    unmixing: Vec<Vec<f64>>,
    mixing: Vec<Vec<f64>>,
    sources: Vec<Vec<f64>>,
}

fn table(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn close(ours: &Array2<f64>, theirs: &Array2<f64>, what: &str) {
    let scale = theirs.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let worst = (ours - theirs).iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    assert!(worst <= 1e-5 * scale, "{what}: {worst} of {scale}");
}

#[test]
fn every_algorithm_and_contrast_has_the_sources_of_scikit_learn() -> Result<(), Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/fastica.json");
    let oracle: Oracle = serde_json::from_slice(&std::fs::read(path)?)?;
    assert_eq!(oracle.cases.len(), 8);
    for case in oracle.cases {
        let x = match case.data.as_str() {
            "signals" => signals(),
            "wine" => data::wine().x,
            _ => data::digits().x.slice(s![.., 2..]).to_owned(),
        };
        let start = Array2::from_shape_fn((case.components, case.components), |(i, j)| {
            (1.0 + 3.0 * i as f64 + (i * j) as f64).cos() + f64::from(i == j)
        });
        let contrast = match case.contrast.as_str() {
            "logcosh" => Contrast::LogCosh(case.alpha),
            "exp" => Contrast::Exp,
            _ => Contrast::Cube,
        };
        let algorithm = if case.algorithm == "parallel" { Algorithm::Parallel } else { Algorithm::Deflation };
        let spec = FastIca::new().components(case.components).algorithm(algorithm).contrast(contrast);
        let spec = spec.start(start).max_iterations(case.iterations).tolerance(case.tolerance);
        let model = spec.fit(&x)?;
        let what = format!("{} {} {}", case.data, case.algorithm, case.contrast);
        close(&model.transform(&x)?.slice(s![..20, ..]).to_owned(), &table(&case.sources), &what);
        close(model.components(), &table(&case.unmixing), &what);
        close(model.mixing(), &table(&case.mixing), &what);
        assert_eq!(model.history().converged(), case.iterations > 15, "{what}");
    }
    Ok(())
}

#[test]
fn the_estimator_contract() {
    let x =
        uniform(1, 600, 3).dot(&array![[1.0, 0.5, 0.0, 0.2], [0.0, 1.0, 0.5, -0.3], [0.3, 0.0, 1.0, 1.0]]);
    for algorithm in [Algorithm::Parallel, Algorithm::Deflation] {
        for contrast in [Contrast::LogCosh(1.0), Contrast::Exp, Contrast::Cube] {
            let spec = FastIca::new().components(3).algorithm(algorithm).contrast(contrast).tolerance(1e-6);
            contract::check(&spec.seed(3), &x, 1e-3, &questions(), &questions());
        }
    }
}

#[test]
fn components_by_default_are_as_many_as_the_rank() -> Result<(), Failure> {
    let mixed = uniform(5, 400, 2).dot(&array![[1.0, 2.0, 3.0, -1.0], [1.0, -1.0, 0.5, 2.0]]);
    for far in [0.0, 1e6] {
        let x = mixed.mapv(|v| v + far);
        assert_eq!(FastIca::new().fit(&x)?.components().dim(), (2, 4));
        let found = FastIca::new().components(3).fit(&x);
        assert!(matches!(found, Err(Error::Numerical { method: "FastICA", .. })), "{found:?}");
    }
    assert_eq!(FastIca::new().fit(&mixed.mapv(|v| v as f32))?.components().dim(), (2, 4));
    for constant in [0.0, 7.1, 1e8] {
        let found = FastIca::new().fit(&Array2::from_elem((30, 4), constant));
        assert!(matches!(found, Err(Error::Numerical { .. })), "{constant}: {found:?}");
    }
    // a constant column has no share in any source
    let mut x = uniform(6, 300, 3);
    x.column_mut(1).fill(5.0);
    let model = FastIca::new().fit(&x)?;
    assert_eq!(model.components().nrows(), 2);
    assert_abs_diff_eq!(model.inverse_transform(&model.transform(&x)?)?, x, epsilon = 1e-10);
    // fewer rows than columns vary in one direction less than there are rows
    let wide = uniform(7, 6, 20);
    assert_eq!(FastIca::new().max_iterations(5).fit(&wide)?.components().nrows(), 5);
    assert_eq!(FastIca::new().fit(&uniform(8, 50, 1))?.components().dim(), (1, 1));
    Ok(())
}

#[test]
fn bad_hyper_parameters_and_bad_data_are_named() {
    let x = uniform(1, 20, 4);
    let named = |spec: FastIca| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(FastIca::new().components(0)), "components");
    assert_eq!(named(FastIca::new().components(5)), "components");
    assert_eq!(named(FastIca::new().max_iterations(0)), "max_iterations");
    assert_eq!(named(FastIca::new().tolerance(f64::NAN)), "tolerance");
    assert_eq!(named(FastIca::new().contrast(Contrast::LogCosh(0.5))), "contrast");
    assert_eq!(named(FastIca::new().start(Array2::ones((4, 4)))), "start");
    let found = FastIca::new().start(Array2::eye(3)).fit(&x);
    assert!(matches!(found, Err(Error::Shape { what: "start", .. })));
    let found = FastIca::new().fit(&uniform(1, 1, 4));
    assert!(matches!(found, Err(Error::TooFewRows { needed: 2, found: 1, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sources_are_white_and_mix_back(n in 30usize..300, d in 1usize..7, seed in any::<u64>(), far in -1e3..1e3_f64) {
        let x = uniform(seed, n, d).dot(&(uniform(seed ^ 1, d, d) + &(Array2::<f64>::eye(d) * 4.0))) + far;
        for algorithm in [Algorithm::Parallel, Algorithm::Deflation] {
            let model = FastIca::new().algorithm(algorithm).seed(seed).max_iterations(20).fit(&x)?;
            let sources = model.transform(&x)?;
            assert_abs_diff_eq!(sources.t().dot(&sources) / n as f64, Array2::eye(d), epsilon = 1e-8);
            assert_abs_diff_eq!(model.components().dot(model.mixing()), Array2::eye(d), epsilon = 1e-8);
            assert_abs_diff_eq!(model.inverse_transform(&sources)?, x, epsilon = 1e-7);
        }
    }
}

#[test]
fn uniform_sources_are_separated() -> Result<(), Failure> {
    let sources = uniform(11, 5000, 4);
    let mixing =
        array![[1.0, 0.4, 0.2, 0.1], [0.3, 1.0, 0.5, 0.2], [0.1, 0.2, 1.0, 0.6], [0.5, 0.1, 0.3, 1.0]];
    let x = sources.dot(&mixing.t());
    for algorithm in [Algorithm::Parallel, Algorithm::Deflation] {
        let model = FastIca::new().algorithm(algorithm).contrast(Contrast::Cube).fit(&x)?;
        assert!(model.history().converged());
        // unmixing times mixing is a permutation with signs, to what 5000 rows can say
        let product = model.components().dot(&mixing).mapv(f64::abs);
        for row in product.rows() {
            let mut sorted = row.to_vec();
            sorted.sort_by(f64::total_cmp);
            assert!((sorted[3] - 1.0).abs() < 0.05 && sorted[2] < 0.1, "{product:.3}");
        }
    }
    Ok(())
}
