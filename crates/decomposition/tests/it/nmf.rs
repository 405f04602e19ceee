//! NMF: the contract, its invariants as properties, bad and degenerate input.

use approx::assert_abs_diff_eq;
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use proptest::prelude::*;
use unsup_core::contract::{self, Questions};
use unsup_core::data::Sparse;
use unsup_core::estimator::{Fit, InverseTransform, Transform};
use unsup_core::store::Persist;
use unsup_core::{Error, Float, Seed, data};
use unsup_decomposition::nmf::{Loss, MiniBatchNmfModel, NmfModel, Solver, Start};
use unsup_decomposition::{MiniBatchNmf, Nmf};

type Failure = Box<dyn std::error::Error>;

fn questions<F: Float>() -> Questions<NmfModel<F>, F> {
    Questions {
        answer: |model, x| {
            let codes = model.transform(x)?;
            let rebuilt = model.inverse_transform(&codes)?.mapv(|v| v.f64());
            Ok(concatenate(Axis(1), &[codes.mapv(|v| v.f64()).view(), rebuilt.view()]).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

fn batch_questions<F: Float>() -> Questions<MiniBatchNmfModel<F>, F> {
    Questions {
        answer: |model, x| Ok(model.inverse_transform(&model.transform(x)?)?.mapv(|v| v.f64())),
        history: |model| Some(model.history()),
    }
}

/// |N(0, 1)|, of any rank.
fn positive(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default().mapv(f64::abs)
}

#[test]
fn the_estimator_contract() {
    let (iris, wide) = (data::iris().x, positive(3, 700, 40));
    for (loss, solver) in [
        (Loss::Frobenius, Solver::CoordinateDescent),
        (Loss::Frobenius, Solver::Multiplicative),
        (Loss::KullbackLeibler, Solver::Auto),
        (Loss::Beta(0.5), Solver::Auto),
    ] {
        // where they are after 30 iterations is not a fixed point: f32 and f64 part a little
        let spec = Nmf::new(2).loss(loss).solver(solver).max_iterations(30).tolerance(1e-6);
        contract::check(&spec, &iris, 3e-3, &questions(), &questions());
        let spec = spec.start(Start::Random).alpha_codes(1e-3).l1_ratio(0.5);
        contract::check(&spec, &wide, 3e-3, &questions(), &questions());
    }
    let spec = MiniBatchNmf::new(2).batch(40).epochs(10);
    contract::check(&spec, &iris, 3e-3, &batch_questions(), &batch_questions());
}

#[test]
fn invariant_48_multiplicative_updates_strictly_lower_six_divergences() -> Result<(), Failure> {
    let x = positive(1, 20, 15).mapv(|v| v + 0.1);
    for beta in [-1.2, 0.0, 0.2, 1.0, 2.0, 2.5] {
        let spec = Nmf::new(10).loss(Loss::Beta(beta)).solver(Solver::Multiplicative);
        let model = spec.start(Start::Random).tolerance(0.0).max_iterations(30).fit(&x)?;
        let objective = model.history().objective();
        assert!(objective.windows(2).all(|w| w[1] < w[0]), "β = {beta}: {objective:?}");
        assert_abs_diff_eq!(model.divergence(), objective[29], epsilon = 1e-10 * objective[0]);
    }
    Ok(())
}

#[test]
fn invariant_50_one_batch_of_all_rows_is_nmf() -> Result<(), Failure> {
    let x = data::digits().x;
    for loss in [Loss::Frobenius, Loss::KullbackLeibler, Loss::Beta(0.5), Loss::Beta(2.5)] {
        let full = Nmf::new(5).loss(loss).solver(Solver::Multiplicative).tolerance(0.0).max_iterations(15);
        let full = full.start(given(&x, 5)).fit(&x)?;
        let spec = MiniBatchNmf::new(5).loss(loss).batch(x.nrows()).forgetting(0.0).tolerance(0.0).epochs(15);
        let batch = spec.start_from(given(&x, 5)).fit(&x)?;
        assert_eq!(batch.components(), full.components(), "{loss:?}");
    }
    Ok(())
}

fn given(x: &Array2<f64>, k: usize) -> Start {
    Start::Given { codes: positive(5, x.nrows(), k), components: positive(6, k, x.ncols()) }
}

#[test]
fn given_factors_may_lie_in_memory_column_by_column() -> Result<(), Failure> {
    let x = positive(1, 20, 6);
    let (codes, components) = (positive(5, 20, 3), positive(6, 3, 6));
    let turned = |table: &Array2<f64>| table.t().as_standard_layout().into_owned().reversed_axes();
    let columns = Start::Given { codes: turned(&codes), components: turned(&components) };
    let rows = Nmf::new(3).start(Start::Given { codes, components }).fit(&x)?;
    assert_eq!(Nmf::new(3).start(columns).fit(&x)?.components(), rows.components());
    Ok(())
}

#[test]
fn a_stream_goes_on_from_its_file_with_the_same_bits() -> Result<(), Failure> {
    let x = data::digits().x;
    let spec = MiniBatchNmf::new(8).loss(Loss::KullbackLeibler);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("stream");
    let first = spec.start(&x.slice(s![..300, ..]))?;
    first.save(&path)?;
    let gone_on = MiniBatchNmfModel::<f64>::load(&path)?.partial_fit(&x.slice(s![300..600, ..]))?;
    let straight = first.clone().partial_fit(&x.slice(s![300..600, ..]))?;
    assert_eq!(gone_on, straight);
    let mut model = straight;
    for start in (600..1500).step_by(300) {
        model = model.partial_fit(&x.slice(s![start..start + 300, ..]))?;
    }
    let rest = x.slice(s![1500.., ..]);
    assert!(
        model.error(&rest)? < 0.98 * first.error(&rest)?,
        "{} {}",
        model.error(&rest)?,
        first.error(&rest)?
    );
    assert_eq!(model.history().iterations(), 5);
    Ok(())
}

#[test]
fn parts_that_made_the_data_are_found() -> Result<(), Failure> {
    // each part has columns of its own, and each has rows of its own: the factorisation is unique
    let mut h = Array2::<f64>::zeros((3, 12));
    (0..12).for_each(|j| h[[j / 4, j]] = 1.0 + j as f64);
    let mut w = positive(2, 60, 3);
    (0..30).for_each(|i| (0..3).filter(|&t| t != i % 3).for_each(|t| w[[i, t]] = 0.0));
    let x = w.dot(&h);
    let model = Nmf::new(3).max_iterations(5000).tolerance(1e-12).fit(&x)?;
    assert!(model.reconstruction_error() < 1e-6 * (&x * &x).sum().sqrt(), "{}", model.reconstruction_error());
    for part in h.rows() {
        let cosine = |found: ndarray::ArrayView1<'_, f64>| {
            found.dot(&part) / (found.dot(&found) * part.dot(&part)).sqrt()
        };
        assert!(model.components().rows().into_iter().any(|f| cosine(f) > 1.0 - 1e-9));
    }
    Ok(())
}

#[test]
fn the_codes_of_a_row_do_not_depend_on_its_neighbours() -> Result<(), Failure> {
    let x = data::digits().x;
    for loss in [Loss::Frobenius, Loss::KullbackLeibler] {
        let model = Nmf::new(12).loss(loss).max_iterations(60).fit(&x)?;
        let together = model.transform(&x)?;
        for row in [0, 63, 64, 1000, 1796] {
            let alone = model.transform(&x.slice(s![row..=row, ..]))?;
            assert_abs_diff_eq!(alone.row(0), together.row(row), epsilon = 1e-9);
        }
    }
    Ok(())
}

#[test]
fn penalties_make_codes_sparser_at_the_price_of_the_error() -> Result<(), Failure> {
    let x = data::digits().x;
    let plain = Nmf::new(10).fit(&x)?;
    let penalised = Nmf::new(10).alpha_codes(0.3).alpha_components(0.01).l1_ratio(1.0).fit(&x)?;
    let zeros = |m: &NmfModel<f64>| m.codes().iter().filter(|&&v| v == 0.0).count();
    assert!(zeros(&penalised) > zeros(&plain), "{} {}", zeros(&penalised), zeros(&plain));
    assert!(penalised.reconstruction_error() > plain.reconstruction_error());
    Ok(())
}

#[test]
fn what_is_negative_is_named_with_row_and_column() {
    let mut x = positive(1, 50, 4);
    x[[31, 2]] = -0.5;
    for solver in [Solver::Auto, Solver::Multiplicative] {
        let found = Nmf::new(2).solver(solver).fit(&x);
        assert!(matches!(found, Err(Error::Cell { what: "x", row: 31, column: 2, value: -0.5, .. })));
    }
    let model = Nmf::new(2).fit(&positive(1, 50, 4));
    let found = model.and_then(|m| m.transform(&x));
    assert!(matches!(found, Err(Error::Cell { row: 31, column: 2, .. })));
    assert!(matches!(MiniBatchNmf::new(2).start(&x), Err(Error::Cell { row: 31, .. })));
    x[[31, 2]] = 0.0;
    let found = Nmf::new(2).loss(Loss::ItakuraSaito).fit(&x);
    assert!(matches!(found, Err(Error::Cell { row: 31, column: 2, value: 0.0, .. })));
    assert!(Nmf::new(2).loss(Loss::KullbackLeibler).fit(&x).is_ok_and(|m| m.reconstruction_error() < 20.0));
}

#[test]
fn factors_that_do_not_fit_have_no_divergence() -> Result<(), Failure> {
    let (x, w, h) = (positive(1, 6, 4), positive(2, 6, 2), positive(3, 2, 4));
    let sparse = Sparse::from_dense(&x)?;
    for (w, h) in
        [(positive(2, 5, 2), h.clone()), (w.clone(), positive(3, 2, 3)), (positive(2, 6, 3), h.clone())]
    {
        assert!(matches!(Loss::Frobenius.divergence(&x, &w, &h), Err(Error::Shape { .. })));
        assert!(matches!(Loss::Frobenius.sparse_divergence(&sparse, &w, &h), Err(Error::Shape { .. })));
    }
    let negative = Sparse::from_dense(&-x)?;
    let found = Loss::Frobenius.sparse_divergence(&negative, &w, &h);
    assert!(matches!(found, Err(Error::Cell { what: "x", row: 0, column: 0, .. })));
    Ok(())
}

#[test]
fn bad_hyper_parameters_are_named() {
    let x = positive(1, 6, 4);
    let named = |spec: Nmf| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(Nmf::new(0)), "components");
    assert_eq!(named(Nmf::new(5).start(Start::Svd)), "components");
    assert_eq!(named(Nmf::new(2).max_iterations(0)), "max_iterations");
    assert_eq!(named(Nmf::new(2).tolerance(-1.0)), "tolerance");
    assert_eq!(named(Nmf::new(2).alpha_codes(f64::NAN)), "alpha_codes");
    assert_eq!(named(Nmf::new(2).alpha_components(-1.0)), "alpha_components");
    assert_eq!(named(Nmf::new(2).l1_ratio(1.5)), "l1_ratio");
    assert_eq!(named(Nmf::new(2).loss(Loss::Beta(f64::NAN))), "loss");
    let kl = Nmf::new(2).loss(Loss::KullbackLeibler).solver(Solver::CoordinateDescent);
    assert_eq!(named(kl), "solver");
    let given = |codes: Array2<f64>| Nmf::new(2).start(Start::Given { codes, components: positive(1, 2, 4) });
    assert!(matches!(given(positive(1, 5, 2)).fit(&x), Err(Error::Shape { what: "codes", .. })));
    assert!(matches!(
        given(-positive(1, 6, 2)).fit(&x),
        Err(Error::Cell { what: "codes", row: 0, column: 0, .. })
    ));
    let batch = |spec: MiniBatchNmf| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(batch(MiniBatchNmf::new(2).batch(0)), "batch");
    assert_eq!(batch(MiniBatchNmf::new(2).forgetting(1.5)), "forgetting");
}

#[test]
fn degenerate_tables_have_finite_factors() -> Result<(), Failure> {
    let rank_one = Array2::from_shape_fn((30, 6), |(i, j)| (i + 1) as f64 * (j + 1) as f64);
    let mut with_zero_column = positive(1, 30, 6);
    with_zero_column.column_mut(3).fill(0.0);
    let tables = [
        Array2::zeros((10, 4)),
        Array2::from_elem((30, 4), 7.5),
        rank_one,
        with_zero_column,
        positive(1, 1, 5),
        positive(1, 5, 1),
        positive(1, 4, 9),
        positive(1, 20, 4).mapv(|v| v + 1e6),
    ];
    for x in &tables {
        // more components than the rank, and than rows or columns
        for k in [1, 3, 7] {
            for (loss, solver) in [
                (Loss::Frobenius, Solver::Auto),
                (Loss::Frobenius, Solver::Multiplicative),
                (Loss::KullbackLeibler, Solver::Auto),
            ] {
                let model = Nmf::new(k).loss(loss).solver(solver).fit(x)?;
                let codes = model.transform(x)?;
                assert_eq!((codes.dim(), model.components().dim()), ((x.nrows(), k), (k, x.ncols())));
                assert!(model.inverse_transform(&codes)?.iter().all(|v| v.is_finite()));
                let rises = |w: &[f64]| w[1] > w[0] + 1e-12 * (x * x).sum();
                assert!(!model.history().objective().windows(2).any(rises), "{loss:?} {k}");
                if matches!(x.dim(), (10 | 30, 4)) {
                    assert!(
                        model.reconstruction_error() <= 1e-6 + 1e-3 * x.sum(),
                        "{}",
                        model.reconstruction_error()
                    );
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_objective_never_rises(
        n in 1usize..60, d in 1usize..20, k in 1usize..6, seed in any::<u64>(),
        beta in prop::sample::select(vec![0.5, 1.0, 1.5, 2.0, 3.0]), penalty in 0.0..0.02_f64, ratio in 0.0..1.0_f64,
    ) {
        let x = positive(seed, n, d);
        for solver in [Solver::Auto, Solver::Multiplicative] {
            // penalties keep the guarantee where the exponent of the update is 1
            let penalty = if (1.0..=2.0).contains(&beta) { penalty } else { 0.0 };
            let spec = Nmf::new(k).loss(Loss::Beta(beta)).solver(solver).start(Start::Random).seed(seed);
            let spec = spec.alpha_codes(penalty).alpha_components(penalty).l1_ratio(ratio).tolerance(0.0);
            let model = spec.max_iterations(40).fit(&x)?;
            let objective = model.history().objective();
            let slack = 1e-12 * (&x * &x).sum().max(objective[0]);
            prop_assert!(objective.windows(2).all(|w| w[1] <= w[0] + slack), "{:?}", objective);
            prop_assert!(model.components().iter().chain(model.codes()).all(|&v| v >= 0.0));
        }
    }

    #[test]
    fn invariant_49_the_divergence_of_a_sparse_table_is_that_of_the_dense_one(n in 1usize..90, d in 1usize..12, k in 1usize..4, seed in any::<u64>()) {
        let (w, h) = (positive(seed ^ 1, n, k), positive(seed ^ 2, k, d));
        for beta in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0] {
            // two thirds of the values are zero, where the loss allows it
            let x = positive(seed, n, d).mapv(|v| if v > 1.0 || beta == 0.0 { v } else { 0.0 });
            let loss = Loss::Beta(beta);
            let dense = loss.divergence(&x, &w, &h)?;
            prop_assert_eq!(loss.sparse_divergence(&Sparse::from_dense(&x)?, &w, &h)?, dense);
            let y = w.dot(&h);
            let expected: f64 = x.iter().zip(&y).map(|(&x, &y)| loss.of(x, y)).sum();
            prop_assert!((dense - expected).abs() <= 1e-10 * (1.0 + expected), "{dense} {expected}");
        }
    }

    #[test]
    fn codes_satisfy_the_conditions_of_their_optimum(n in 1usize..30, d in 1usize..15, k in 1usize..5, seed in any::<u64>()) {
        let x = positive(seed, n, d);
        let model = Nmf::new(k).start(Start::Random).seed(seed).tolerance(1e-13).max_iterations(20_000).fit(&x)?;
        let codes = model.transform(&x)?;
        let h = model.components();
        let gradient = (codes.dot(h) - &x).dot(&h.t());
        let scale = x.dot(&h.t()).iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for (w, g) in codes.iter().zip(&gradient) {
            prop_assert!(*g > -1e-6 * scale && (*w == 0.0 || g.abs() < 1e-6 * scale), "{w} {g} of {scale}");
        }
    }
}

#[test]
fn the_divergence_of_a_value() {
    assert_eq!(Loss::Frobenius.of(2.0, 2.0), 0.0);
    let betas = array![-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0];
    let at: Array1<f64> = betas.mapv(|b| Loss::Beta(b).of(2.0, 3.0));
    // by hand from the definition
    let expected = array![
        1.0 / 36.0,
        2.0 / 3.0 - (2.0_f64 / 3.0).ln() - 1.0,
        0.0,
        2.0 * (2.0_f64 / 3.0).ln() + 1.0,
        0.0,
        0.5,
        8.0 / 6.0
    ];
    for i in [0, 1, 3, 5, 6] {
        assert!((at[i] - expected[i]).abs() < 1e-12, "β = {}: {} {}", betas[i], at[i], expected[i]);
    }
    assert!(at.iter().all(|&v| v > 0.0));
}
