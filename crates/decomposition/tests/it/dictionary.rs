//! Sparse coding, dictionary learning and sparse PCA: scikit-learn's numbers from the same starts (`oracles/dictionary.py`), the
//! contract, invariants as properties, degenerate and bad input.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use proptest::prelude::*;
use serde::Deserialize;
use unsup_core::contract::{self, Questions};
use unsup_core::data::StandardScaler;
use unsup_core::estimator::{Fit, InverseTransform, Transform};
use unsup_core::store::Persist;
use unsup_core::{Error, Float, Seed, data};
use unsup_decomposition::{
    Coding, DictionaryLearning, DictionaryLearningModel, Pca, SparseCoder, SparsePca, SparsePcaModel,
};

type Failure = Box<dyn std::error::Error>;

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

fn digits() -> Array2<f64> {
    data::digits().x.slice(s![..400, ..]).mapv(|v| v / 16.0)
}

fn wine() -> Result<Array2<f64>, Failure> {
    let x = data::wine().x;
    Ok(StandardScaler::new().fit(&x)?.transform(&x)?)
}

/// Atoms of length 1, as the oracle's.
fn start(k: usize, d: usize) -> Array2<f64> {
    let mut atoms = Array2::from_shape_fn((k, d), |(t, j)| {
        (1.0 + 3.0 * t as f64 + j as f64 * (t as f64 + 1.0) / k as f64).cos()
    });
    atoms.rows_mut().into_iter().for_each(|mut row| row /= row.dot(&row).sqrt());
    atoms
}

fn objective(x: &Array2<f64>, codes: &Array2<f64>, atoms: &Array2<f64>, alpha: f64) -> f64 {
    0.5 * (x - &codes.dot(atoms)).mapv(|v| v * v).sum() + alpha * codes.mapv(f64::abs).sum()
}

#[derive(Deserialize)]
struct Oracle {
    lasso: Codes,
    pursuit: Codes,
    batch: Vec<Batch>,
    online: Online,
    sparse_pca: Vec<Sparse>,
    online_sparse_pca: Vec<OnlineSparse>,
}

#[derive(Deserialize)]
struct Codes {
    objective: Option<f64>,
    first_rows: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Batch {
    components: usize,
    alpha: f64,
    iterations: usize,
    objective: Vec<f64>,
    atoms: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Online {
    components: usize,
    alpha: f64,
    batch: usize,
    passes: usize,
    atoms: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Sparse {
    components: usize,
    alpha: f64,
    objective: f64,
    vectors: Vec<Vec<f64>>,
    scores: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct OnlineSparse {
    components: usize,
    alpha: f64,
    batch: usize,
    passes: usize,
    vectors: Vec<Vec<f64>>,
}

fn rows(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn oracle() -> Result<Oracle, Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/dictionary.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

#[test]
fn codes_are_those_of_scikit_learn() -> Result<(), Failure> {
    let (oracle, x, atoms) = (oracle()?, digits(), start(12, 64));
    let lasso = SparseCoder::new(atoms.clone(), Coding::Lasso { alpha: 0.3 })?.transform(&x)?;
    let expected = oracle.lasso.objective.unwrap_or_default();
    assert_relative_eq!(objective(&x, &lasso, &atoms, 0.3), expected, max_relative = 1e-7);
    assert_abs_diff_eq!(lasso.slice(s![..5, ..]), rows(&oracle.lasso.first_rows), epsilon = 1e-3);
    let pursuit = SparseCoder::new(atoms, Coding::Pursuit { nonzeros: 3 })?.transform(&x)?;
    assert_abs_diff_eq!(pursuit.slice(s![..5, ..]), rows(&oracle.pursuit.first_rows), epsilon = 1e-9);
    Ok(())
}

#[test]
fn batch_and_online_learning_take_the_steps_of_scikit_learn() -> Result<(), Failure> {
    let (oracle, x) = (oracle()?, digits());
    assert_eq!(oracle.batch.len(), 2);
    for case in oracle.batch {
        let spec = DictionaryLearning::new(case.components).alpha(case.alpha).tolerance(0.0);
        let model = spec.start_from(start(case.components, 64)).max_iterations(case.iterations).fit(&x)?;
        let found = Array1::from(model.history().objective().to_vec());
        assert_relative_eq!(found, Array1::from(case.objective), max_relative = 1e-4);
        assert_abs_diff_eq!(*model.components(), rows(&case.atoms), epsilon = 1e-2);
    }
    let case = oracle.online;
    let spec = DictionaryLearning::new(case.components).alpha(case.alpha).batch(case.batch).tolerance(0.0);
    let spec = spec.start_from(start(case.components, 64)).max_iterations(case.passes);
    assert_abs_diff_eq!(*spec.fit(&x)?.components(), rows(&case.atoms), epsilon = 1e-4);
    Ok(())
}

#[test]
fn sparse_components_are_those_of_scikit_learn() -> Result<(), Failure> {
    let (oracle, x) = (oracle()?, wine()?);
    assert_eq!(oracle.sparse_pca.len(), 2);
    for case in oracle.sparse_pca {
        let scores = start(case.components, x.nrows()).t().to_owned();
        let spec = SparsePca::new(case.components).alpha(case.alpha).start(scores).tolerance(1e-12);
        let model = spec.max_iterations(5000).fit(&x)?;
        let last = model.history().objective().last().copied().unwrap_or_default();
        assert_relative_eq!(last, case.objective, max_relative = 1e-4);
        // order and sign are not determined: an unused component is drawn anew on the way
        let (theirs, scores) = (rows(&case.vectors), rows(&case.scores));
        let cosines = model.components().dot(&theirs.t());
        let codes = model.transform(&x)?;
        for (t, cosines) in cosines.columns().into_iter().enumerate() {
            let best =
                (0..case.components).fold(0, |b, i| if cosines[i].abs() > cosines[b].abs() { i } else { b });
            assert!(cosines[best].abs() > 1.0 - 1e-6, "{cosines}");
            let found = codes.slice(s![..5, best]).mapv(|v| v * cosines[best].signum());
            assert_abs_diff_eq!(found, scores.column(t), epsilon = 1e-3);
        }
    }
    Ok(())
}

#[test]
fn sparse_components_learned_online_are_those_of_scikit_learn() -> Result<(), Failure> {
    let (oracle, x) = (oracle()?, wine()?);
    assert_eq!(oracle.online_sparse_pca.len(), 2);
    for case in oracle.online_sparse_pca {
        let scores = start(case.components, x.nrows()).t().to_owned();
        let spec = SparsePca::new(case.components).alpha(case.alpha).start(scores).tolerance(0.0);
        let model = spec.batch(case.batch).max_iterations(case.passes).fit(&x)?;
        let theirs = rows(&case.vectors);
        let signs = (model.components() * &theirs).sum_axis(Axis(1)).mapv(f64::signum);
        let found = model.components() * &signs.insert_axis(Axis(1));
        assert_abs_diff_eq!(found, theirs, epsilon = 1e-4);
        assert_eq!(found.mapv(|v| v == 0.0), theirs.mapv(|v| v == 0.0));
    }
    Ok(())
}

#[test]
fn sparse_pca_learned_online_comes_near_the_objective_of_the_batch() -> Result<(), Failure> {
    let x = data::digits().x.slice(s![..300, ..]).mapv(|v| v / 16.0);
    let spec = SparsePca::new(5).alpha(0.5);
    let batch = spec.fit(&x)?;
    let last = |model: &SparsePcaModel<f64>| model.history().objective().last().copied().unwrap_or(f64::NAN);
    let online = spec.batch(8).max_iterations(100).fit(&x)?;
    assert_eq!(online.history().iterations(), 100);
    // other steps, another minimum
    assert!((last(&online) / last(&batch) - 1.0).abs() < 0.05, "{} {}", last(&online), last(&batch));
    Ok(())
}

fn questions<F: Float>() -> Questions<DictionaryLearningModel<F>, F> {
    Questions {
        answer: |model, x| Ok(model.inverse_transform(&model.transform(x)?)?.mapv(|v| v.f64())),
        history: |model| Some(model.history()),
    }
}

fn sparse_questions<F: Float>() -> Questions<SparsePcaModel<F>, F> {
    Questions {
        answer: |model, x| {
            let codes = model.transform(x)?;
            let rebuilt = model.inverse_transform(&codes)?.mapv(|v| v.f64());
            Ok(concatenate(Axis(1), &[codes.mapv(|v| v.f64()).view(), rebuilt.view()]).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

#[test]
fn the_estimator_contract() {
    let x = table(1, 300, 8);
    for coding in [Coding::Lasso { alpha: 0.5 }, Coding::Ridge { alpha: 0.1 }] {
        let spec = DictionaryLearning::new(5).alpha(0.5).coding(coding).max_iterations(8).seed(2);
        contract::check(&spec, &x, 2e-3, &questions(), &questions());
        contract::check(&spec.batch(64), &x, 2e-3, &questions(), &questions());
    }
    let spec = SparsePca::new(2).alpha(2.0).max_iterations(20);
    contract::check(&spec, &data::iris().x, 2e-3, &sparse_questions(), &sparse_questions());
    contract::check(&spec.batch(3), &data::iris().x, 2e-3, &sparse_questions(), &sparse_questions());
}

#[test]
fn a_stream_goes_on_from_its_file_with_the_same_bits() -> Result<(), Failure> {
    let x = digits();
    let first = DictionaryLearning::new(10).alpha(0.3).start(&x.slice(s![..100, ..]))?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("stream");
    first.save(&path)?;
    let second = x.slice(s![100..200, ..]);
    let gone_on = DictionaryLearningModel::<f64>::load(&path)?.partial_fit(&second)?;
    assert_eq!(gone_on, first.partial_fit(&second)?);
    assert_eq!((gone_on.steps(), gone_on.history().iterations()), (2, 2));
    Ok(())
}

#[test]
fn atoms_that_made_the_data_are_found() -> Result<(), Failure> {
    // two atoms of eight a row, with weights far from zero
    let mut atoms = table(3, 8, 16);
    atoms.rows_mut().into_iter().for_each(|mut row| row /= row.dot(&row).sqrt());
    let mut codes = Array2::<f64>::zeros((600, 8));
    let weights = table(4, 600, 2);
    for i in 0..600 {
        let order = Seed::new(5).indexed(i).permutation(8);
        (0..2).for_each(|t| codes[[i, order[t]]] = weights[[i, t]].signum() * (1.0 + weights[[i, t]].abs()));
    }
    let x = codes.dot(&atoms);
    let model = DictionaryLearning::new(8).alpha(0.05).max_iterations(300).seed(1).fit(&x)?;
    let cosines = model.components().dot(&atoms.t()).mapv(f64::abs);
    let best = cosines.fold_axis(Axis(0), 0.0, |m: &f64, c| m.max(*c));
    assert!(best.iter().filter(|&&c| c > 0.98).count() >= 7, "{best:.3}");
    // and three atoms a row are too many: pursuit leaves the third at zero wherever its first two are those that made the row
    let pursuit = SparseCoder::new(atoms, Coding::Pursuit { nonzeros: 3 })?.transform(&x)?;
    let mut exact = 0;
    for (found, codes) in pursuit.rows().into_iter().zip(codes.rows()) {
        let same = found.iter().zip(codes).all(|(a, b)| (a - b).abs() < 1e-9);
        assert_eq!(found.iter().filter(|&&z| z != 0.0).count(), if same { 2 } else { 3 }, "{found} {codes}");
        exact += usize::from(same);
    }
    assert!(exact > 500, "{exact}");
    Ok(())
}

#[test]
fn sparse_pca_with_a_small_price_spans_what_pca_spans() -> Result<(), Failure> {
    let x = wine()?;
    let model = SparsePca::new(2).alpha(1e-6).ridge(1e-9).max_iterations(5000).fit(&x)?;
    let pca = Pca::new().components(2).fit(&x)?;
    let rebuilt = model.inverse_transform(&model.transform(&x)?)?;
    assert_abs_diff_eq!(rebuilt, pca.inverse_transform(&pca.transform(&x)?)?, epsilon = 1e-3);
    let zeros = |alpha: f64| -> Result<usize, Failure> {
        let model = SparsePca::new(3).alpha(alpha).fit(&x)?;
        Ok(model.components().iter().filter(|&&v| v == 0.0).count())
    };
    assert!(zeros(0.1)? < zeros(3.0)? && zeros(3.0)? < zeros(9.0)?);
    // a price that no loading is worth
    assert_eq!(zeros(1e6)?, 39);
    Ok(())
}

#[test]
fn degenerate_tables_have_finite_answers() -> Result<(), Failure> {
    let tables = [
        Array2::zeros((10, 4)),
        Array2::from_elem((30, 4), 7.5),
        table(1, 30, 1).dot(&table(2, 1, 6)),
        table(1, 1, 5),
        table(1, 5, 1),
        table(1, 4, 9),
    ];
    for x in &tables {
        for k in [1, 3, 7] {
            for spec in
                [DictionaryLearning::new(k).alpha(0.1), DictionaryLearning::new(k).alpha(0.1).batch(3)]
            {
                let model = spec.max_iterations(30).fit(x)?;
                let codes = model.transform(x)?;
                assert_eq!(codes.dim(), (x.nrows(), k));
                assert!(codes.iter().chain(model.components()).all(|v| v.is_finite()));
            }
            for spec in [SparsePca::new(k).alpha(0.1), SparsePca::new(k).alpha(0.1).batch(2)] {
                let model = spec.max_iterations(30).fit(x)?;
                let codes = model.transform(x)?;
                assert!(codes.iter().chain(model.components()).all(|v| v.is_finite()));
                let rebuilt = model.inverse_transform(&codes)?;
                let constant = x.nrows() == 1 || x.iter().all(|&v| v == x[[0, 0]]);
                assert!(!constant || (&rebuilt - x).iter().all(|v| v.abs() < 1e-9));
            }
        }
    }
    Ok(())
}

#[test]
fn bad_hyper_parameters_are_named() {
    let x = table(1, 6, 4);
    let named = |spec: DictionaryLearning| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(DictionaryLearning::new(0)), "components");
    assert_eq!(named(DictionaryLearning::new(2).alpha(0.0)), "alpha");
    assert_eq!(named(DictionaryLearning::new(2).alpha(f64::NAN)), "alpha");
    assert_eq!(named(DictionaryLearning::new(2).batch(0)), "batch");
    assert_eq!(named(DictionaryLearning::new(2).max_iterations(0)), "max_iterations");
    assert_eq!(named(DictionaryLearning::new(2).tolerance(-1.0)), "tolerance");
    assert_eq!(named(DictionaryLearning::new(2).coding(Coding::Pursuit { nonzeros: 0 })), "nonzeros");
    let found = DictionaryLearning::new(2).start_from(table(1, 3, 4)).fit(&x);
    assert!(matches!(found, Err(Error::Shape { what: "start", .. })));
    let named = |spec: SparsePca| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(SparsePca::new(0)), "components");
    assert_eq!(named(SparsePca::new(2).alpha(-1.0)), "alpha");
    assert_eq!(named(SparsePca::new(2).ridge(0.0)), "ridge");
    assert_eq!(named(SparsePca::new(2).batch(0)), "batch");
    assert_eq!(named(SparsePca::new(2).max_iterations(0)), "max_iterations");
    assert_eq!(named(SparsePca::new(2).tolerance(f64::INFINITY)), "tolerance");
    assert!(matches!(
        SparsePca::new(2).start(table(1, 5, 2)).fit(&x),
        Err(Error::Shape { what: "start", .. })
    ));
    let atoms = array![[1.0, 0.0], [2.0, 0.0]];
    let coder = SparseCoder::new(atoms.clone(), Coding::Ridge { alpha: 0.0 });
    assert!(matches!(coder.and_then(|c| c.transform(&atoms)), Err(Error::Numerical { .. })));
    let coder = SparseCoder::new(Array2::from_elem((2, 2), f64::NAN), Coding::Ridge { alpha: 0.0 });
    assert!(matches!(coder, Err(Error::NonFinite { what: "dictionary", row: 0, column: 0, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_batch_objective_never_rises(n in 2usize..60, d in 1usize..15, k in 1usize..10, seed in any::<u64>(), alpha in 0.01..2.0_f64) {
        let x = table(seed, n, d);
        let model = DictionaryLearning::new(k).alpha(alpha).seed(seed).max_iterations(40).fit(&x)?;
        let found = model.history().objective();
        prop_assert!(found.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-12) + 1e-12), "{:?}", found);
        prop_assert!(model.components().rows().into_iter().all(|r| r.dot(&r) < 1.0 + 1e-12));
        let model = SparsePca::new(k).alpha(alpha).seed(seed).max_iterations(40).fit(&x)?;
        let found = model.history().objective();
        prop_assert!(found.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-12) + 1e-12), "{:?}", found);
    }

    #[test]
    fn codes_satisfy_the_conditions_of_their_optimum(n in 1usize..20, d in 1usize..12, k in 1usize..9, seed in any::<u64>(), alpha in 0.05..2.0_f64) {
        let (x, atoms) = (table(seed, n, d), table(seed ^ 1, k, d));
        let codes = SparseCoder::new(atoms.clone(), Coding::Lasso { alpha })?.transform(&x)?;
        // a duality gap of 1e-8 of ½‖x‖² bounds the objective, and with it how far a correlation can exceed the price
        let left = (&x - &codes.dot(&atoms)).dot(&atoms.t());
        let curvature = atoms.dot(&atoms.t()).diag().sum();
        for (row, (code, left)) in codes.rows().into_iter().zip(left.rows()).enumerate() {
            let gap = 0.5e-8 * x.row(row).dot(&x.row(row));
            let slack = (2.0 * curvature * gap).sqrt() + 1e-12;
            for (z, l) in code.iter().zip(left) {
                prop_assert!(l.abs() <= alpha + slack, "{l} beyond {alpha}");
                prop_assert!(*z == 0.0 || (l - alpha * z.signum()).abs() * z.abs() <= slack * (1.0 + z.abs()) , "{z} {l}");
            }
        }
        // pursuit: what is left is orthogonal to what was chosen
        let nonzeros = 1 + k / 2;
        let codes = SparseCoder::new(atoms.clone(), Coding::Pursuit { nonzeros })?.transform(&x)?;
        let left = (&x - &codes.dot(&atoms)).dot(&atoms.t());
        for (code, left) in codes.rows().into_iter().zip(left.rows()) {
            prop_assert!(code.iter().filter(|z| **z != 0.0).count() <= nonzeros);
            prop_assert!(code.iter().zip(left).all(|(z, l)| *z == 0.0 || l.abs() < 1e-5 * curvature));
        }
        // ridge: (G + αI) z = Dx
        let codes = SparseCoder::new(atoms.clone(), Coding::Ridge { alpha })?.transform(&x)?;
        let expected = x.dot(&atoms.t()) - codes.dot(&atoms.dot(&atoms.t())) - &codes * alpha;
        assert_abs_diff_eq!(expected, Array2::zeros((n, k)), epsilon = 1e-9 * curvature.max(1.0));
    }
}
