//! Robust PCA: exact recovery on the experiments of Candès et al., optimality of the two parts, the contract, degenerate input.

use approx::assert_abs_diff_eq;
use ndarray::{Array2, Axis, concatenate};
use proptest::prelude::*;
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, Transform};
use unsup_core::{Error, Float, Seed};
use unsup_decomposition::{RobustPca, RobustPcaModel};

type Failure = Box<dyn std::error::Error>;

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

/// Section 4.1 of the paper: L = XYᵀ with entries N(0, 1/n), and S with signs ±1 on a random support.
fn experiment(seed: u64, n: usize, rank: usize, errors: usize) -> (Array2<f64>, Array2<f64>) {
    let low = table(seed, n, rank).dot(&table(seed ^ 1, rank, n)) / n as f64;
    let mut sparse = Array2::zeros((n, n));
    let (support, signs) = (Seed::new(seed ^ 2).permutation(n * n), table(seed ^ 3, 1, errors));
    for (&at, sign) in support.iter().zip(&signs) {
        sparse[[at / n, at % n]] = sign.signum();
    }
    (low, sparse)
}

fn apart(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    ((a - b).mapv(|v| v * v).sum() / b.mapv(|v| v * v).sum()).sqrt()
}

#[test]
fn the_experiments_of_the_paper_are_recovered_exactly() -> Result<(), Failure> {
    // table 1: rank 5 % of n, errors in 5 % and in 10 % of the values
    for (seed, n, share) in [(1, 100, 0.05), (2, 100, 0.10), (3, 160, 0.05), (4, 160, 0.10)] {
        let (rank, errors) = (n / 20, (share * (n * n) as f64) as usize);
        let (low, sparse) = experiment(seed, n, rank, errors);
        let model = RobustPca::new().tolerance(1e-9).fit(&(&low + &sparse))?;
        assert!(model.history().converged());
        assert_eq!(model.rank(), rank, "n {n}, {share}");
        let (of_low, of_sparse) = (apart(model.low_rank(), &low), apart(model.sparse(), &sparse));
        assert!(of_low < 1e-5 && of_sparse < 1e-6, "n {n}, {share}: {of_low} {of_sparse}");
        let found = model.sparse().iter().zip(&sparse).filter(|(a, b)| (a.abs() > 1e-3) != (**b != 0.0));
        assert_eq!(found.count(), 0);
        assert_eq!(model.lambda(), 1.0 / (n as f64).sqrt());
        let residual = model.history().objective();
        assert!(residual.len() < 400 && residual[residual.len() - 1] <= 1e-9, "{residual:?}");
        assert_eq!(model.history().term("rank").map(|r| r[r.len() - 1]), Some(rank as f64));
    }
    Ok(())
}

fn questions<F: Float>() -> Questions<RobustPcaModel<F>, F> {
    Questions {
        answer: |model, x| {
            let rebuilt = model.inverse_transform(&model.transform(x)?)?.mapv(|v| v.f64());
            let scores = model.anomaly_score(x)?.insert_axis(Axis(1));
            Ok(concatenate(Axis(1), &[rebuilt.view(), scores.view()]).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

#[test]
fn the_estimator_contract() {
    let (low, sparse) = experiment(5, 60, 3, 100);
    let x = low + sparse;
    let tall = x.slice(ndarray::s![.., ..20]).to_owned();
    let wide = x.slice(ndarray::s![..20, ..]).to_owned();
    for x in [&x, &tall, &wide] {
        contract::check(&RobustPca::new().max_iterations(40), x, 1e-3, &questions(), &questions());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_parts_are_optimal(n in 2usize..30, d in 2usize..20, seed in any::<u64>(), scale in -6..6_i32) {
        let x = table(seed, n, d) * 10_f64.powi(scale);
        let spec = RobustPca::new().tolerance(1e-8).max_iterations(20_000);
        let model = spec.fit(&x)?;
        prop_assert!(model.history().converged());
        assert_abs_diff_eq!(&(model.low_rank() + model.sparse()), &x, epsilon = 1e-7 * 10_f64.powi(scale) * (n * d) as f64);
        // no exchange between the parts, of any size, lowers ‖L‖_* + λ‖S‖₁
        let objective = |low: &Array2<f64>| -> Result<f64, Error> {
            let nuclear = unsup_core::math::svd(low)?.s.sum();
            Ok(nuclear + model.lambda() * (&x - low).mapv(f64::abs).sum())
        };
        let best = objective(model.low_rank())?;
        for (i, size) in [1e-4, 1e-2, 1.0].into_iter().enumerate() {
            let other = model.low_rank() + &(table(seed ^ (7 + i as u64), n, d) * (size * 10_f64.powi(scale)));
            prop_assert!(best <= objective(&other)? * (1.0 + 1e-4), "{best} {}", objective(&other)?);
        }
        prop_assert!(best <= objective(&Array2::zeros((n, d)))? * (1.0 + 1e-4));
        prop_assert!(best <= objective(&x)? * (1.0 + 1e-4));
    }
}

#[test]
fn the_price_moves_values_between_the_parts() -> Result<(), Failure> {
    let x = table(3, 20, 12);
    // nothing is sparse enough at a price above 1, nothing is low-rank at one near 0
    let dear = RobustPca::new().lambda(2.0).fit(&x)?;
    assert!(dear.sparse().iter().all(|s| s.abs() < 1e-5) && dear.rank() == 12);
    let cheap = RobustPca::new().lambda(1e-3).fit(&x)?;
    assert_eq!(cheap.rank(), 0);
    assert_abs_diff_eq!(cheap.sparse(), &x, epsilon = 1e-5);
    // without a component a row has no coordinates and lies at its own length
    assert_eq!(cheap.transform(&x)?.dim(), (20, 0));
    let lengths = x.mapv(|v| v * v).sum_axis(Axis(1));
    assert_abs_diff_eq!(cheap.anomaly_score(&x)?, lengths, epsilon = 1e-12);
    Ok(())
}

#[test]
fn degenerate_tables_have_an_answer() -> Result<(), Failure> {
    let zeros = RobustPca::new().fit(&Array2::<f64>::zeros((6, 4)))?;
    assert_eq!((zeros.rank(), zeros.history().iterations()), (0, 1));
    assert_eq!(zeros.sparse(), Array2::<f64>::zeros((6, 4)));
    // constant data far from the origin are of rank 1
    let constant = RobustPca::new().fit(&Array2::<f64>::from_elem((30, 10), 1e6))?;
    assert_eq!(constant.rank(), 1);
    assert!(constant.sparse().iter().all(|s| s.abs() < 1.0));
    for (n, d) in [(1, 5), (5, 1), (1, 1), (4, 9)] {
        let x = table(1, n, d);
        let model = RobustPca::new().fit(&x)?;
        assert_abs_diff_eq!(&(model.low_rank() + model.sparse()), &x, epsilon = 1e-6);
    }
    Ok(())
}

#[test]
fn bad_hyper_parameters_are_named() {
    let x = table(1, 6, 4);
    let named = |spec: RobustPca| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(RobustPca::new().lambda(0.0)), "lambda");
    assert_eq!(named(RobustPca::new().lambda(f64::NAN)), "lambda");
    assert_eq!(named(RobustPca::new().max_iterations(0)), "max_iterations");
    assert_eq!(named(RobustPca::new().tolerance(-1.0)), "tolerance");
}
