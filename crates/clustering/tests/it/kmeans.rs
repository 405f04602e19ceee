//! k-means: the contract, its invariants as properties, small cases worked out by hand, bad input.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array2, Axis, array, concatenate};
use proptest::prelude::*;
use unsup_clustering::{Init, KMeans, KMeansModel};
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, Predict, Transform};
use unsup_core::math::Nearest;
use unsup_core::observe::{Event, Interrupt, Silent, Stop};
use unsup_core::{Error, Result, Seed, data};

type Failure = Box<dyn std::error::Error>;

fn questions<F: Nearest>() -> Questions<KMeansModel<F>, F> {
    Questions {
        answer: |model, x| {
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
    for init in
        [Init::KMeansPlusPlus, Init::Random, Init::Centroids(x.slice(ndarray::s![..;50, ..]).to_owned())]
    {
        let spec = KMeans::new(3).init(init).restarts(3).seed(5);
        contract::check(&spec, &x, 1e-5, &questions(), &questions());
    }
    contract::check(&KMeans::new(10).seed(1), &data::digits().x, 1e-5, &questions(), &questions());
}

#[test]
fn weighted_rows_worked_out_by_hand() -> Result<(), Failure> {
    // scikit-learn's test_kmeans_results: inertia 0.375 after two iterations
    let x = array![[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [1.0, 1.0]];
    let start = array![[0.0, 0.0], [1.0, 1.0]];
    let spec = KMeans::new(2).init(Init::Centroids(start));
    let model = spec.fit_weighted(&x, &array![3.0, 1.0, 1.0, 3.0], &mut Silent)?;
    assert_eq!(model.labels().to_vec(), [0, 0, 1, 1]);
    assert_abs_diff_eq!(*model.centroids(), array![[0.125, 0.0], [0.875, 1.0]], epsilon = 1e-15);
    assert_relative_eq!(model.inertia(), 0.375, max_relative = 1e-14);
    assert_eq!((model.history().iterations(), model.history().stop()), (2, Stop::Converged));
    let x = x.mapv(|v| v as f32);
    let single = spec.fit_weighted(&x, &array![3.0, 1.0, 1.0, 3.0], &mut Silent)?;
    assert_eq!((single.labels(), single.history().iterations()), (model.labels(), 2));
    assert_abs_diff_eq!(*single.centroids(), array![[0.125, 0.0], [0.875, 1.0]], epsilon = 1e-6);
    assert_relative_eq!(single.inertia(), 0.375, max_relative = 1e-6);
    Ok(())
}

#[test]
fn an_empty_cluster_gets_the_farthest_row() -> Result<(), Failure> {
    // scikit-learn's test_kmeans_relocated_clusters: inertia 0.25 after three iterations
    let x = array![[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [1.0, 1.0]];
    let spec = KMeans::new(2).init(Init::Centroids(array![[0.5, 0.5], [3.0, 3.0]]));
    let model = spec.fit(&x)?;
    assert_relative_eq!(model.inertia(), 0.25, max_relative = 1e-14);
    assert_eq!((model.distinct_clusters(), model.history().iterations()), (2, 3));
    // test_kmeans_empty_cluster_relocated: weights 1.9 and 0.1 give the centroids −1 and 1
    let spec = KMeans::new(2).init(Init::Centroids(array![[-1.0], [2.0]]));
    let model = spec.fit_weighted(&array![[-1.0], [1.0]], &array![1.9, 0.1], &mut Silent)?;
    assert_abs_diff_eq!(*model.centroids(), array![[-1.0], [1.0]], epsilon = 1e-12);
    Ok(())
}

#[test]
fn fewer_distinct_rows_than_clusters_leave_clusters_unused() -> Result<(), Failure> {
    let x = array![[0.0, 1.0], [0.0, 1.0], [2.0, 2.0], [3.0, 5.0], [3.0, 5.0], [8.0, 1.0]];
    for init in [Init::KMeansPlusPlus, Init::Random] {
        let model = KMeans::new(5).init(init).restarts(4).seed(3).fit(&x)?;
        assert!(model.distinct_clusters() <= 4);
        assert_eq!(model.labels(), &model.predict(&x)?);
    }
    let equal = Array2::<f32>::from_elem((20, 3), 1e8);
    let model = KMeans::new(4).seed(1).fit(&equal)?;
    assert_eq!((model.distinct_clusters(), model.inertia()), (1, 0.0));
    assert!(model.centroids().iter().all(|&v| v == 1e8));
    Ok(())
}

#[test]
fn bad_hyper_parameters_and_bad_data_are_named() {
    let x = array![[0.0, 1.0], [2.0, 3.0]];
    let parameter = |spec: KMeans| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(parameter(KMeans::new(0)), "clusters");
    assert_eq!(parameter(KMeans::new(1).restarts(0)), "restarts");
    assert_eq!(parameter(KMeans::new(1).max_iterations(0)), "max_iterations");
    assert_eq!(parameter(KMeans::new(1).tolerance(-1.0)), "tolerance");
    assert_eq!(parameter(KMeans::new(1).tolerance(f64::NAN)), "tolerance");
    assert!(matches!(KMeans::new(3).fit(&x), Err(Error::TooFewRows { needed: 3, found: 2, .. })));
    let narrow = KMeans::new(1).init(Init::Centroids(array![[0.0]]));
    assert!(matches!(narrow.fit(&x), Err(Error::Shape { what: "initial centroids", .. })));
    let nan = KMeans::new(1).init(Init::Centroids(array![[0.0, f64::NAN]]));
    assert!(matches!(nan.fit(&x), Err(Error::NonFinite { row: 0, column: 1, .. })));
    for weights in [array![1.0, -1.0], array![0.0, 0.0], array![f64::NAN, 1.0]] {
        let fit = KMeans::new(1).fit_weighted(&x, &weights, &mut Silent);
        assert!(matches!(fit, Err(Error::Value { what: "weights", .. })));
    }
    for huge in [array![[1e30_f32], [-1e30]], array![[f32::MAX], [f32::MIN]]] {
        assert!(matches!(KMeans::new(1).fit(&huge), Err(Error::Numerical { method: "k-means", .. })));
        assert!(KMeans::new(1).fit(&huge.mapv(f64::from)).is_ok_and(|m| m.inertia().is_finite()));
    }
    let model = KMeans::new(1).fit(&x).unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(model.predict_into(&x, &mut [0; 3]), Err(Error::Shape { what: "labels", .. })));
}

#[test]
fn an_interrupt_ends_every_restart_and_keeps_the_best_so_far() -> Result<(), Failure> {
    let x = data::digits().x;
    let (interrupt, mut started) = (Interrupt::new(), 0);
    let switch = interrupt.clone();
    let mut observer = (interrupt, |event: &Event<'_>| {
        match event {
            Event::Started { .. } => started += 1,
            Event::Progress { done: 2, .. } => switch.stop(),
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    });
    let model = KMeans::new(10).restarts(50).fit_observed(&x, &mut observer)?;
    assert_eq!(model.history().stop(), Stop::Interrupted);
    assert_eq!(model.labels(), &model.predict(&x)?);
    assert_eq!(started, 1, "no start is made after the interruption");
    Ok(())
}

fn rows(n: std::ops::Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    (n, 1usize..6, any::<u64>()).prop_map(|(n, d, seed)| {
        Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
    })
}

/// On a coarse grid, where duplicates and ties are common.
fn grid_rows(n: std::ops::Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    rows(n).prop_map(|x| x.mapv(|v| (v * 4.0).round() / 4.0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn inertia_never_rises_and_labels_are_those_of_predict(x in grid_rows(8..200), k in 1usize..8, seed in any::<u64>()) {
        let model = KMeans::new(k).init(Init::Random).tolerance(0.0).seed(seed).fit(&x)?;
        let objective = model.history().objective();
        prop_assert!(objective.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-12)), "{:?}", objective);
        prop_assert!(model.inertia() <= objective[objective.len() - 1] * (1.0 + 1e-12));
        prop_assert_eq!(model.labels(), &model.predict(&x)?);
        let scores: f64 = model.anomaly_score(&x)?.sum();
        prop_assert!((scores - model.inertia()).abs() <= 1e-9 * (1.0 + scores), "{} {}", scores, model.inertia());
        prop_assert!(model.history().converged());
    }
}

#[test]
fn starts_side_by_side_give_the_bits_and_the_events_of_starts_in_turn() -> Result<(), Failure> {
    let x = data::iris().x;
    for stop_at in [usize::MAX, 1, 7, 40] {
        let mut outcomes = Vec::new();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let outcome = pool.install(|| -> Result<_> {
                let (mut events, mut steps) = (Vec::new(), 0);
                let mut observer = |event: &Event<'_>| {
                    events.push(format!("{event:?}"));
                    steps += usize::from(matches!(event, Event::Progress { .. }));
                    if steps >= stop_at {
                        std::ops::ControlFlow::Break(())
                    } else {
                        std::ops::ControlFlow::Continue(())
                    }
                };
                let model = KMeans::new(4).restarts(70).seed(9).fit_observed(&x, &mut observer)?;
                Ok((model, events))
            })?;
            outcomes.push(outcome);
        }
        // one thread makes them in turn
        assert!(outcomes[0].0 == outcomes[1].0, "another model when stopped at {stop_at}");
        assert_eq!(outcomes[0].1, outcomes[1].1, "other events when stopped at {stop_at}");
    }
    Ok(())
}
