//! Spherical, mini-batch and bisecting k-means, and the ways of choosing first centroids.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, ArrayRef2, Axis, array, concatenate, s};
use proptest::prelude::*;
use unsup_clustering::kmeans::CentroidSpec;
use unsup_clustering::{
    BisectingKMeans, BisectingKMeansModel, Cut, Init, KMeans, KMeansModel, MiniBatchKMeans,
    MiniBatchKMeansModel, SphericalKMeans,
};
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, Predict, Transform};
use unsup_core::math::Nearest;
use unsup_core::observe::Silent;
use unsup_core::store::Persist;
use unsup_core::{Error, Result, Seed, data};

type Failure = Box<dyn std::error::Error>;

fn answers<F: Nearest, M>(model: &M, x: &ArrayRef2<F>) -> Result<Array2<f64>>
where
    M: Predict<ArrayRef2<F>> + Transform<ArrayRef2<F>, Code = Array2<F>> + AnomalyScore<ArrayRef2<F>>,
{
    let labels = model.predict(x)?.mapv(|l| l as f64).insert_axis(Axis(1));
    let distances = model.transform(x)?.mapv(|v| v.f64());
    let scores = model.anomaly_score(x)?.insert_axis(Axis(1));
    Ok(concatenate(Axis(1), &[labels.view(), distances.view(), scores.view()]).unwrap_or_default())
}

fn centroid_questions<F: Nearest, S: CentroidSpec>() -> Questions<KMeansModel<F, S>, F> {
    Questions { answer: |model, x| answers(model, x), history: |model| Some(model.history()) }
}

fn batch_questions<F: Nearest>() -> Questions<MiniBatchKMeansModel<F>, F> {
    Questions { answer: |model, x| answers(model, x), history: |model| Some(model.history()) }
}

fn tree_questions<F: Nearest>() -> Questions<BisectingKMeansModel<F>, F> {
    Questions {
        answer: |model, x| Ok(model.predict(x)?.mapv(|l| l as f64).insert_axis(Axis(1))),
        history: |model| Some(model.history()),
    }
}

#[test]
fn the_estimator_contract_of_the_family() {
    let x = data::iris().x;
    contract::check(
        &SphericalKMeans::new(3).restarts(2),
        &x,
        1e-3,
        &centroid_questions(),
        &centroid_questions(),
    );
    contract::check(
        &MiniBatchKMeans::new(3).batch(40).epochs(8),
        &x,
        1e-3,
        &batch_questions(),
        &batch_questions(),
    );
    for cut in [Cut::LargestInertia, Cut::LargestCluster] {
        contract::check(&BisectingKMeans::new(5).cut(cut), &x, 1e-5, &tree_questions(), &tree_questions());
    }
    for init in [Init::PlainKMeansPlusPlus, Init::PARALLEL] {
        contract::check(&KMeans::new(3).init(init), &x, 1e-4, &centroid_questions(), &centroid_questions());
    }
}

#[test]
fn every_init_finds_groups_that_are_apart() -> Result<(), Failure> {
    let x = Array2::from_shape_fn((600, 2), |(i, j)| {
        let noise = Seed::new(i as u64).normals(2)[j];
        [100.0 * (i % 3) as f64, 70.0 * (i % 2) as f64][j] + noise
    });
    for init in [Init::KMeansPlusPlus, Init::PlainKMeansPlusPlus, Init::PARALLEL] {
        for seed in 0..10 {
            let model = KMeans::new(6).init(init.clone()).restarts(3).seed(seed).fit(&x)?;
            assert!(model.inertia() < 1500.0, "{init:?}, seed {seed}: {}", model.inertia());
        }
    }
    Ok(())
}

#[test]
fn k_means_parallel_copes_with_few_distinct_rows_and_weights_of_zero() -> Result<(), Failure> {
    let x = array![[0.0, 1.0], [0.0, 1.0], [2.0, 2.0], [3.0, 5.0], [3.0, 5.0], [8.0, 1.0]];
    for seed in 0..20 {
        let spec = KMeans::new(5).init(Init::PARALLEL).seed(seed);
        let model = spec.fit(&x)?;
        assert!(model.distinct_clusters() <= 4);
        assert_eq!(model.labels(), &model.predict(&x)?);
        // ORACLES 13: a row of weight zero is never a seed
        let spec = KMeans::new(2).init(Init::PARALLEL).max_iterations(1).tolerance(1e9).seed(seed);
        let far = array![[0.0], [1.0], [2.0], [1e6]];
        let model = spec.fit_weighted(&far, &array![1.0, 1.0, 1.0, 0.0], &mut Silent)?;
        assert!(model.centroids().iter().all(|&c| c < 3.0), "{}", model.centroids());
    }
    for (init, name) in [
        (Init::KMeansParallel { rounds: 0, oversampling: 2.0 }, "rounds"),
        (Init::KMeansParallel { rounds: 1, oversampling: 0.0 }, "oversampling"),
        (Init::KMeansParallel { rounds: 1, oversampling: f64::NAN }, "oversampling"),
    ] {
        let fit = KMeans::new(2).init(init).fit(&x);
        assert!(matches!(fit, Err(Error::Parameter { name: found, .. }) if found == name));
    }
    Ok(())
}

#[test]
fn spherical_centroids_are_unit_vectors_and_lengths_do_not_count() -> Result<(), Failure> {
    let x = data::digits().x;
    let model = SphericalKMeans::new(10).seed(2).fit(&x)?;
    for centroid in model.centroids().rows() {
        assert_abs_diff_eq!(centroid.dot(&centroid), 1.0, epsilon = 1e-12);
    }
    let objective = model.history().objective();
    assert!(objective.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-12)), "{objective:?}");
    // Σ(2 − 2 cos), by hand
    let cosines: f64 = x
        .rows()
        .into_iter()
        .zip(model.labels())
        .map(|(row, &l)| row.dot(&model.centroids().row(l)) / row.dot(&row).sqrt())
        .sum();
    assert_relative_eq!(model.inertia(), 2.0 * (x.nrows() as f64 - cosines), max_relative = 1e-9);
    let lengths = Array1::from_shape_fn(x.nrows(), |i| 2f64.powi(i as i32 % 7 - 3));
    let scaled = &x * &lengths.insert_axis(Axis(1));
    let again = SphericalKMeans::new(10).seed(2).fit(&scaled)?;
    assert_eq!((model.labels(), model.labels()), (again.labels(), &model.predict(&scaled)?));
    let zero = array![[1.0, 2.0], [0.0, 0.0]];
    assert!(matches!(SphericalKMeans::new(1).fit(&zero), Err(Error::Value { what: "x", index: 1, .. })));
    assert!(matches!(model.predict(&Array2::zeros((1, 64))), Err(Error::Value { what: "x", index: 0, .. })));
    // squares that leave the range of f32
    for scale in [1e-30_f32, 1e30] {
        let x = x.mapv(|v| v as f32 * scale);
        assert_relative_eq!(
            SphericalKMeans::new(10).seed(2).fit(&x)?.inertia(),
            model.inertia(),
            max_relative = 0.05
        );
    }
    Ok(())
}

#[test]
fn bisecting_stops_where_nothing_is_left_to_cut() -> Result<(), Failure> {
    // ORACLES 18: scikit-learn's test_no_crash_on_empty_bisections
    let x = array![[0.0, 1.0], [0.0, 1.0], [2.0, 2.0], [2.0, 2.0], [2.0, 2.0], [2.0, 2.0]];
    let model = BisectingKMeans::new(5).fit(&x)?;
    assert_eq!((model.centroids().nrows(), model.inertia()), (2, 0.0));
    assert_eq!(&model.predict(&x)?, model.labels());
    let one = BisectingKMeans::new(1).fit(&x)?;
    assert_eq!(one.predict(&x)?, Array1::<usize>::zeros(6));
    assert!(matches!(BisectingKMeans::new(7).fit(&x), Err(Error::TooFewRows { .. })));
    let huge = array![[1e30_f32], [-1e30]];
    assert!(matches!(
        BisectingKMeans::new(1).fit(&huge),
        Err(Error::Numerical { method: "bisecting k-means", .. })
    ));
    let mini = MiniBatchKMeans::new(1).fit(&huge);
    assert!(matches!(mini, Err(Error::Numerical { method: "mini-batch k-means", .. })));
    let given = BisectingKMeans::new(3).init(Init::Centroids(array![[0.0, 0.0]]));
    assert!(matches!(given.fit(&x), Err(Error::Shape { what: "initial centroids", .. })));
    Ok(())
}

#[test]
fn a_stream_saved_and_loaded_goes_on_with_the_same_bits() -> Result<(), Failure> {
    let x = data::digits().x;
    let batches: Vec<_> = (0..8).map(|b| x.slice(s![b * 200..(b + 1) * 200, ..]).to_owned()).collect();
    let spec = MiniBatchKMeans::new(10).reassignment(0.3).seed(4);
    let mut whole = spec.start(&batches[0])?;
    let folder = tempfile::tempdir()?;
    let mut resumed = whole.clone();
    for (b, batch) in batches.iter().enumerate().skip(1) {
        whole = whole.partial_fit(batch)?;
        let path = folder.path().join(b.to_string());
        resumed.save(&path)?;
        resumed = MiniBatchKMeansModel::load(&path)?.partial_fit(batch)?;
    }
    assert_eq!(whole, resumed);
    assert_eq!((whole.steps(), whole.history().iterations()), (8, 8));
    let full = KMeans::new(10).seed(4).fit(&x)?;
    assert!(-whole.score(&x)? < 1.25 * full.inertia(), "{} {}", whole.score(&x)?, full.inertia());
    assert!(matches!(whole.partial_fit(&Array2::zeros((3, 5))), Err(Error::Shape { .. })));
    Ok(())
}

#[test]
fn a_step_moves_centroids_to_the_mean_of_all_they_have_met() -> Result<(), Failure> {
    let start = array![[0.0], [10.0]];
    let spec = MiniBatchKMeans::new(2).init(Init::Centroids(start)).reassignment(0.0);
    let model = spec.start(&array![[1.0], [3.0], [11.0]])?;
    assert_abs_diff_eq!(*model.centroids(), array![[2.0], [11.0]], epsilon = 1e-12);
    let model = model.partial_fit(&array![[5.0], [12.0], [13.0], [14.0]])?;
    assert_abs_diff_eq!(*model.centroids(), array![[3.0], [12.5]], epsilon = 1e-12);
    assert_eq!(model.counts().to_vec(), [3.0, 4.0]);
    Ok(())
}

#[test]
fn reassignment_leaves_perfect_centroids_alone_and_rescues_starved_ones() -> Result<(), Failure> {
    // ORACLES 17: scikit-learn's test_minibatch_reassign, a ratio of 1e-15
    let x = Array2::from_shape_fn((300, 2), |(i, j)| {
        20.0 * ((i % 3) * (1 + j)) as f64 + ((i * 7 + j) % 5) as f64 * 0.1
    });
    let means = Array2::from_shape_fn((3, 2), |(c, j)| {
        let rows = x.rows().into_iter().enumerate().filter(|(i, _)| i % 3 == c);
        rows.map(|(_, r)| r[j]).sum::<f64>() / 100.0
    });
    let perfect =
        MiniBatchKMeans::new(3).init(Init::Centroids(means.clone())).reassignment(1e-15).start(&x)?;
    assert_abs_diff_eq!(*perfect.centroids(), means, epsilon = 1e-9);
    // one centroid that no row reaches: it is put on a row
    let lost = array![[0.0, 0.0], [20.0, 40.0], [1e5, 1e5]];
    let model = MiniBatchKMeans::new(3).init(Init::Centroids(lost)).reassignment(0.01).seed(1).start(&x)?;
    assert!(model.centroids().iter().all(|&v| v < 100.0), "{}", model.centroids());
    Ok(())
}

#[test]
fn bad_hyper_parameters_of_mini_batches_are_named() {
    let x = data::iris().x;
    let parameter = |spec: MiniBatchKMeans| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(parameter(MiniBatchKMeans::new(0)), "clusters");
    assert_eq!(parameter(MiniBatchKMeans::new(2).batch(0)), "batch");
    assert_eq!(parameter(MiniBatchKMeans::new(2).patience(0)), "patience");
    assert_eq!(parameter(MiniBatchKMeans::new(2).reassignment(1.0)), "reassignment");
    assert_eq!(parameter(MiniBatchKMeans::new(2).reassignment(f64::NAN)), "reassignment");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_cut_lowers_the_inertia_and_labels_are_those_of_predict(n in 10usize..150, d in 1usize..5, k in 2usize..9, seed in any::<u64>()) {
        let x = Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d))?.mapv(|v| (v * 4.0).round() / 4.0);
        let model = BisectingKMeans::new(k).seed(seed).fit(&x)?;
        let objective = model.history().objective();
        prop_assert!(objective.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-12)), "{:?}", objective);
        prop_assert_eq!(&model.predict(&x)?, model.labels());
        let inertia: f64 = x.rows().into_iter().zip(model.labels())
            .map(|(row, &l)| (&row - &model.centroids().row(l)).mapv(|v| v * v).sum()).sum();
        prop_assert!((inertia - model.inertia()).abs() <= 1e-9 * (1.0 + inertia), "{} {}", inertia, model.inertia());
    }
}
