//! k-medoids against brute force, and the contract.

use ndarray::{Array2, ArrayRef2, Axis, array, concatenate};
use proptest::prelude::*;
use unsup_clustering::{Dissimilarity, KMedoids, KMedoidsModel, MedoidInit};
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, Predict, Transform};
use unsup_core::math::Nearest;
use unsup_core::observe::Silent;
use unsup_core::{Error, Result, Seed, data};

type Failure = Box<dyn std::error::Error>;

const ALL: [Dissimilarity; 5] = [
    Dissimilarity::Euclidean,
    Dissimilarity::SquaredEuclidean,
    Dissimilarity::Manhattan,
    Dissimilarity::Chebyshev,
    Dissimilarity::Cosine,
];

fn questions<F: Nearest>() -> Questions<KMedoidsModel<F>, F> {
    Questions {
        answer: |model, x: &ArrayRef2<F>| -> Result<Array2<f64>> {
            let labels = model.predict(x)?.mapv(|l| l as f64).insert_axis(Axis(1));
            let distances = model.transform(x)?.mapv(|v| v.f64());
            let scores = model.anomaly_score(x)?.insert_axis(Axis(1));
            Ok(concatenate(Axis(1), &[labels.view(), distances.view(), scores.view()]).unwrap_or_default())
        },
        history: |model| Some(model.history()),
    }
}

#[test]
fn the_estimator_contract() {
    let x = data::iris().x;
    for dissimilarity in ALL {
        let spec = KMedoids::new(3).dissimilarity(dissimilarity).init(MedoidInit::Build);
        contract::check(&spec, &x, 1e-3, &questions(), &questions());
    }
    contract::check(&KMedoids::new(4).restarts(3).seed(1), &x, 1e-3, &questions(), &questions());
}

/// By the definition.
fn dissimilarity(kind: Dissimilarity, a: &[f64], b: &[f64]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(a, b)| a - b);
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    match kind {
        Dissimilarity::SquaredEuclidean => pairs().map(|v| v * v).sum(),
        Dissimilarity::Manhattan => pairs().map(f64::abs).sum(),
        Dissimilarity::Chebyshev => pairs().map(f64::abs).fold(0.0, f64::max),
        Dissimilarity::Cosine => {
            (1.0 - a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / norm(a) / norm(b)).max(0.0)
        }
        _ => pairs().map(|v| v * v).sum::<f64>().sqrt(),
    }
}

fn table(x: &Array2<f64>, kind: Dissimilarity) -> Array2<f64> {
    let row = |i: usize| x.row(i).to_vec();
    Array2::from_shape_fn((x.nrows(), x.nrows()), |(i, j)| dissimilarity(kind, &row(i), &row(j)))
}

fn deviation(d: &Array2<f64>, medoids: &[usize]) -> f64 {
    let nearest = |row: usize| medoids.iter().map(|&m| d[[row, m]]).fold(f64::INFINITY, f64::min);
    (0..d.nrows()).map(nearest).sum()
}

/// All sets of k rows.
fn subsets(n: usize, k: usize) -> Vec<Vec<usize>> {
    if k == 0 {
        return vec![vec![]];
    }
    let with = |last: usize| {
        subsets(last, k - 1).into_iter().map(move |mut set| {
            set.push(last);
            set
        })
    };
    (0..n).flat_map(with).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_swap_helps_and_nothing_beats_brute_force(
        n in 4usize..12, k in 1usize..4, kind in prop::sample::select(ALL.to_vec()), seed in any::<u64>(),
    ) {
        let x = Array2::from_shape_vec((n, 2), Seed::new(seed).normals(2 * n))?;
        let d = table(&x, kind);
        let spec = KMedoids::new(k).dissimilarity(kind).seed(seed);
        let model = spec.clone().restarts(30).fit(&x)?;
        let medoids = model.medoids().to_vec();
        prop_assert!((model.deviation() - deviation(&d, &medoids)).abs() <= 1e-9);
        // swaps may end in a local minimum (two rows of eleven: 30 starts of 55 can all miss), but not below the
        // optimum, and from the optimum itself no swap leads away
        let all = subsets(n, k);
        let optimum = all.iter().min_by(|a, b| deviation(&d, a).total_cmp(&deviation(&d, b))).cloned().unwrap_or_default();
        let least = deviation(&d, &optimum);
        prop_assert!(model.deviation() >= least - 1e-9, "{} for {}", model.deviation(), least);
        prop_assert!(model.deviation() <= spec.fit(&x)?.deviation());
        let from_optimum = spec.clone().init(MedoidInit::Rows(optimum)).fit(&x)?;
        prop_assert!((from_optimum.deviation() - least).abs() <= 1e-9, "{} for {}", from_optimum.deviation(), least);
        // one start: a local minimum of the swaps, PAM's guarantee
        for init in [MedoidInit::Random, MedoidInit::Build] {
            let one = KMedoids::new(k).init(init).seed(seed).fit_dissimilarities(&d, &mut Silent)?;
            let found = one.medoids().to_vec();
            prop_assert!(one.history().converged());
            let objective = one.history().objective();
            prop_assert!(objective.windows(2).all(|w| w[1] <= w[0]), "{:?}", objective);
            for m in 0..k {
                for row in (0..n).filter(|row| !found.contains(row)) {
                    let mut swapped = found.clone();
                    swapped[m] = row;
                    prop_assert!(deviation(&d, &swapped) >= one.deviation() - 1e-9);
                }
            }
        }
        prop_assert_eq!(model.labels(), &model.predict(&x)?);
    }
}

#[test]
fn restarts_reach_the_optimum_of_brute_force() -> Result<(), Failure> {
    for (seed, kind) in ALL.into_iter().enumerate() {
        let x = Array2::from_shape_vec((11, 2), Seed::new(seed as u64).normals(22))?;
        let d = table(&x, kind);
        let optimum = subsets(11, 3).iter().map(|set| deviation(&d, set)).fold(f64::INFINITY, f64::min);
        let model = KMedoids::new(3).dissimilarity(kind).restarts(30).fit(&x)?;
        assert!((model.deviation() - optimum).abs() <= 1e-9, "{kind:?}: {} for {optimum}", model.deviation());
    }
    Ok(())
}

#[test]
fn far_from_the_origin_medoids_are_the_same() -> Result<(), Failure> {
    let x = data::iris().x;
    for kind in &ALL[..4] {
        let spec = KMedoids::new(3).dissimilarity(*kind).init(MedoidInit::Build);
        let (near, far) = (spec.fit(&x)?, spec.fit(&x.mapv(|v| v + 1e6))?);
        assert!((near.deviation() - far.deviation()).abs() <= 1e-6 * near.deviation(), "{kind:?}");
    }
    Ok(())
}

#[test]
fn asymmetric_dissimilarities_are_read_from_row_to_medoid() -> Result<(), Failure> {
    // everyone is near to row 2, and row 2 near to nobody
    let d = array![[0.0, 9.0, 1.0], [9.0, 0.0, 1.0], [9.0, 9.0, 0.0]];
    let model = KMedoids::new(1).fit_dissimilarities(&d, &mut Silent)?;
    assert_eq!((model.medoids()[0], model.deviation()), (2, 2.0));
    assert!(matches!(model.predict(&array![[0.0, 1.0]]), Err(Error::Shape { .. })));
    Ok(())
}

#[test]
fn equal_rows_and_as_many_medoids_as_rows() -> Result<(), Failure> {
    let equal = Array2::<f32>::from_elem((9, 2), 1e6);
    let model = KMedoids::new(3).fit(&equal)?;
    assert_eq!(model.deviation(), 0.0);
    let x = array![[0.0], [1.0], [5.0]];
    let model = KMedoids::new(3).fit(&x)?;
    assert_eq!(model.deviation(), 0.0);
    let mut medoids = model.medoids().to_vec();
    medoids.sort_unstable();
    assert_eq!(medoids, [0, 1, 2]);
    Ok(())
}

#[test]
fn bad_input_is_named() {
    let x = array![[0.0, 1.0], [2.0, 3.0], [0.0, 0.0]];
    let parameter = |spec: KMedoids| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(parameter(KMedoids::new(0)), "clusters");
    assert_eq!(parameter(KMedoids::new(1).restarts(0)), "restarts");
    assert_eq!(parameter(KMedoids::new(1).max_iterations(0)), "max_iterations");
    assert!(matches!(KMedoids::new(4).fit(&x), Err(Error::TooFewRows { needed: 4, found: 3, .. })));
    let cosine = KMedoids::new(1).dissimilarity(Dissimilarity::Cosine);
    assert!(matches!(cosine.fit(&x), Err(Error::Value { what: "x", index: 2, .. })));
    let rows = |rows: Vec<usize>| KMedoids::new(2).init(MedoidInit::Rows(rows)).fit(&x);
    assert!(matches!(rows(vec![0]), Err(Error::Shape { what: "initial medoids", .. })));
    assert!(matches!(rows(vec![0, 3]), Err(Error::Value { what: "initial medoids", index: 1, .. })));
    assert!(matches!(rows(vec![1, 1]), Err(Error::Value { what: "initial medoids", index: 1, .. })));
    let fit = |d: Array2<f64>| KMedoids::new(1).fit_dissimilarities(&d, &mut Silent);
    assert!(matches!(fit(array![[0.0, 1.0]]), Err(Error::Shape { what: "dissimilarities", .. })));
    assert!(matches!(fit(array![[0.0, -1.0], [1.0, 0.0]]), Err(Error::Value { index: 1, .. })));
    assert!(matches!(fit(array![[0.0, f64::NAN], [1.0, 0.0]]), Err(Error::NonFinite { column: 1, .. })));
    let huge = array![[f32::MAX], [f32::MIN]];
    assert!(matches!(KMedoids::new(1).fit(&huge), Err(Error::Numerical { method: "k-medoids", .. })));
}
