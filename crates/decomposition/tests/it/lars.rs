//! The path of the lasso: scikit-learn's knots (`oracles/lars.py`), the optimality conditions, coordinate descent.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, array, s};
use proptest::prelude::*;
use serde::Deserialize;
use unsup_core::estimator::Transform;
use unsup_core::{Error, Seed, data};
use unsup_decomposition::dictionary::LassoPath;
use unsup_decomposition::{Coding, SparseCoder};

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Oracle {
    paths: Vec<Path>,
}

#[derive(Deserialize)]
struct Path {
    atoms: String,
    row: usize,
    least: f64,
    alphas: Vec<f64>,
    knots: Vec<usize>,
    codes: Vec<Vec<f64>>,
}

fn cosines() -> Array2<f64> {
    let mut atoms = Array2::from_shape_fn((12, 64), |(t, j)| {
        (1.0 + 3.0 * t as f64 + j as f64 * (t as f64 + 1.0) / 12.0).cos()
    });
    atoms.rows_mut().into_iter().for_each(|mut row| row /= row.dot(&row).sqrt());
    atoms
}

#[test]
fn the_knots_are_those_of_scikit_learn() -> Result<(), Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/lars.json");
    let oracle: Oracle = serde_json::from_slice(&std::fs::read(path)?)?;
    let digits = data::digits().x / 16.0;
    assert_eq!(oracle.paths.len(), 4);
    for expected in oracle.paths {
        let atoms =
            if expected.atoms == "cosines" { cosines() } else { digits.slice(s![100..250, ..]).to_owned() };
        let coder = SparseCoder::new(atoms, Coding::Lars { alpha: expected.least })?;
        let path = coder.path(&digits.row(expected.row), expected.least)?;
        assert_eq!(path.alphas().len(), expected.alphas.len(), "{} {}", expected.atoms, expected.row);
        assert_abs_diff_eq!(*path.alphas(), Array1::from(expected.alphas), epsilon = 1e-8);
        for (&knot, codes) in expected.knots.iter().zip(expected.codes) {
            assert_abs_diff_eq!(path.codes().row(knot), Array1::from(codes), epsilon = 1e-8);
        }
    }
    Ok(())
}

/// How far the codes are from the conditions of the minimum, relative to the price: the residual's correlation is ±α with what
/// is used, and no more with the rest.
fn violation(x: &Array1<f64>, atoms: &Array2<f64>, codes: &Array1<f64>, alpha: f64) -> f64 {
    let left = atoms.dot(&(x - &codes.dot(atoms)));
    let of = |(&z, &c): (&f64, &f64)| {
        if z == 0.0 { (c.abs() - alpha).max(0.0) } else { (c - alpha * z.signum()).abs() }
    };
    codes.iter().zip(&left).map(of).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_point_of_a_path_is_the_minimum(k in 1usize..40, d in 1usize..25, seed in any::<u64>()) {
        let draw = |name: &str, n: usize, d: usize| {
            Array2::from_shape_vec((n, d), Seed::new(seed).named(name).normals(n * d)).unwrap_or_default()
        };
        let (atoms, x) = (draw("atoms", k, d), draw("x", 1, d).row(0).to_owned());
        let coder = SparseCoder::new(atoms.clone(), Coding::Lars { alpha: 0.1 })?;
        let path: LassoPath = coder.path(&x, 1e-3)?;
        let (alphas, most) = (path.alphas(), path.alphas()[0]);
        prop_assert!(alphas.windows(2).into_iter().all(|a| a[0] > a[1]));
        prop_assert!(alphas[alphas.len() - 1] <= 1e-3 || most <= 1e-3);
        for at in 0..alphas.len() {
            let middle = 0.5 * (alphas[at] + alphas[(at + 1).min(alphas.len() - 1)]);
            for alpha in [alphas[at], middle] {
                let wrong = violation(&x, &atoms, &path.at(alpha), alpha);
                prop_assert!(wrong < 1e-9 * most.max(1.0), "{} of {} at {}", wrong, most, alpha);
            }
        }
        prop_assert!(path.at(2.0 * most).iter().all(|&z| z == 0.0));
    }
}

#[test]
fn the_codes_are_those_of_coordinate_descent() -> Result<(), Failure> {
    let x = data::digits().x.slice(s![..200, ..]).mapv(|v| v / 16.0);
    let objective = |codes: &Array2<f64>, alpha: f64| {
        0.5 * (&x - &codes.dot(&cosines())).mapv(|v| v * v).sum() + alpha * codes.mapv(f64::abs).sum()
    };
    for alpha in [1e-3, 0.3, 100.0] {
        let lars = SparseCoder::new(cosines(), Coding::Lars { alpha })?.transform(&x)?;
        let descent = SparseCoder::new(cosines(), Coding::Lasso { alpha })?.transform(&x)?;
        assert_relative_eq!(objective(&lars, alpha), objective(&descent, alpha), max_relative = 1e-8);
        for (row, codes) in x.rows().into_iter().zip(lars.rows()) {
            assert!(violation(&row.to_owned(), &cosines(), &codes.to_owned(), alpha) < 1e-10);
        }
    }
    Ok(())
}

#[test]
fn copies_of_atoms_and_rows_of_zeros_are_no_obstacle() -> Result<(), Failure> {
    let atoms = array![[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.6, 0.8]];
    let coder = SparseCoder::new(atoms.clone(), Coding::Lars { alpha: 0.5 })?;
    let x = array![[3.0, 1.0], [0.0, 0.0], [-2.0, 5.0]];
    for (row, codes) in x.rows().into_iter().zip(coder.transform(&x)?.rows()) {
        assert!(violation(&row.to_owned(), &atoms, &codes.to_owned(), 0.5) < 1e-10, "{codes}");
    }
    let path = coder.path(&array![0.0, 0.0], 0.0)?;
    assert_eq!((path.alphas().to_vec(), path.codes().sum()), (vec![0.0], 0.0));
    // a price above all correlations
    let path = coder.path(&array![1.0, 0.0], 7.0)?;
    assert_eq!((path.alphas().to_vec(), path.codes().sum()), (vec![1.0], 0.0));
    assert!(matches!(coder.path(&array![1.0], 0.0), Err(Error::Shape { what: "x", .. })));
    assert!(matches!(coder.path(&array![1.0, f64::NAN], 0.0), Err(Error::NonFinite { column: 1, .. })));
    assert!(matches!(coder.path(&array![1.0, 1.0], -1.0), Err(Error::Parameter { name: "least", .. })));
    let refused = SparseCoder::new(array![[1.0]], Coding::Lars { alpha: 0.0 });
    assert!(matches!(refused, Err(Error::Parameter { name: "alpha", .. })));
    Ok(())
}
