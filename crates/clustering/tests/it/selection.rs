//! How many clusters: the definitions, data whose answer is known, and bad input by name.

use approx::assert_relative_eq;
use ndarray::{Array1, Array2, Axis, array, concatenate};
use proptest::prelude::*;
use rand::RngExt;
use serde::Deserialize;
use std::ops::ControlFlow;
use unsup_clustering::selection::{OwnScore, gap_statistic};
use unsup_clustering::{
    BayesianGaussianMixture, ClusterCount, ClusterCountModel, Criterion, GaussianMixture, KMeans, Reference,
};
use unsup_core::estimator::Fit;
use unsup_core::observe::{Event, Silent, Stop};
use unsup_core::store::Persist;
use unsup_core::{Error, Seed, data, metrics};

type Failure = Box<dyn std::error::Error>;

/// Four clouds at the corners of a square, `[240, 2]`.
fn corners() -> Result<Array2<f64>, Failure> {
    let centers = array![[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]];
    Ok(data::synthetic::blobs_around(&centers, 240, 0.8, Seed::new(5))?.x)
}

fn uniform(n: usize, d: usize) -> Array2<f64> {
    let mut rng = Seed::new(11).rng();
    Array2::from_shape_simple_fn((n, d), || rng.random::<f64>())
}

#[derive(Deserialize)]
struct Oracle {
    data: Vec<f64>,
    references: Vec<Vec<f64>>,
    inertias: Vec<f64>,
    gap: Vec<f64>,
    standard_error: Vec<f64>,
    chosen: usize,
}

/// `oracles/gap.py`: exact k-means in one dimension, on the same references.
#[test]
fn the_gap_is_its_definition() -> Result<(), Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/gap.json");
    let oracle: Oracle = serde_json::from_slice(&std::fs::read(path)?)?;
    let inertia = |x: &[f64], k: usize| -> Result<f64, Error> {
        let x = Array1::from(x.to_vec()).insert_axis(Axis(1));
        Ok(KMeans::new(k).restarts(200).tolerance(0.0).fit(&x)?.inertia())
    };
    for k in 1..=oracle.gap.len() {
        let of_data = inertia(&oracle.data, k)?;
        assert_relative_eq!(of_data, oracle.inertias[k - 1], max_relative = 1e-10);
        let references: Vec<f64> =
            oracle.references.iter().map(|r| inertia(r, k)).collect::<Result<_, _>>()?;
        let gap = gap_statistic(of_data, &references);
        assert_relative_eq!(gap.gap, oracle.gap[k - 1], max_relative = 1e-9);
        assert_relative_eq!(gap.standard_error, oracle.standard_error[k - 1], max_relative = 1e-9);
    }
    let x = Array1::from(oracle.data).insert_axis(Axis(1));
    let table = ClusterCount::new(1..=6).criteria(&[Criterion::Gap]).fit(&x)?;
    assert_eq!(table.chosen(Criterion::Gap), Some(oracle.chosen));
    Ok(())
}

#[test]
fn every_criterion_finds_four_corners() -> Result<(), Failure> {
    let table = ClusterCount::new(1..=8).seed(7).fit(&corners()?)?;
    for criterion in Criterion::ALL {
        // AIC charges too little for parameters to be exact
        let expected = if criterion == Criterion::Aic { 4..=8 } else { 4..=4 };
        assert!(table.chosen(criterion).is_some_and(|k| expected.contains(&k)), "{criterion}\n{table}");
    }
    assert_eq!(table.votes()[0].0, 4);
    assert_eq!(table.clusters(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(table.history().converged());
    Ok(())
}

#[test]
fn where_there_are_no_clusters_those_that_can_say_one_do() -> Result<(), Failure> {
    let noise = Seed::new(2).normals(600);
    let cloud = Array2::from_shape_fn((300, 2), |(i, j)| noise[2 * i + j]);
    for reference in [Reference::BoundingBox, Reference::PrincipalAxes] {
        for x in [&uniform(300, 3), &cloud] {
            let spec = ClusterCount::new(1..=5).criteria(&[Criterion::Gap]).reference(reference);
            assert_eq!(spec.fit(x)?.chosen(Criterion::Gap), Some(1));
        }
    }
    let table = ClusterCount::new(1..=4).criteria(&[Criterion::Bic]).fit(&cloud)?;
    assert_eq!(table.chosen(Criterion::Bic), Some(1), "{table}");
    Ok(())
}

#[test]
fn scores_are_those_of_the_fits_that_they_name() -> Result<(), Failure> {
    let x = data::iris().x;
    let table = ClusterCount::new(2..=4).restarts(3).seed(9).fit(&x)?;
    let value = |criterion, at: usize| table.criterion(criterion).map(|s| s.values()[at]);
    for (at, k) in (2..=4).enumerate() {
        let kmeans = KMeans::new(k).restarts(3).seed(9).fit(&x)?;
        assert_eq!(value(Criterion::Elbow, at), Some(kmeans.inertia()));
        assert_eq!(table.history().objective()[at], kmeans.inertia());
        assert_eq!(value(Criterion::Silhouette, at), Some(metrics::silhouette(&x, kmeans.labels())?));
        let ratio = metrics::calinski_harabasz(&x, kmeans.labels())?;
        assert_eq!(value(Criterion::CalinskiHarabasz, at), Some(ratio));
        assert_eq!(value(Criterion::DaviesBouldin, at), Some(metrics::davies_bouldin(&x, kmeans.labels())?));
        let mixture = GaussianMixture::new(k).restarts(3).max_iterations(300).seed(9).fit(&x)?;
        assert_eq!(value(Criterion::Bic, at), Some(mixture.bic(&x)?));
        assert_eq!(value(Criterion::Aic, at), Some(mixture.aic(&x)?));
    }
    let bayesian = BayesianGaussianMixture::new(4).restarts(3).max_iterations(1000).seed(9).fit(&x)?;
    let mut weights = bayesian.weights().to_vec();
    weights.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(table.criterion(Criterion::BayesianWeights).map(|s| s.values()), Some(&weights[1..]));
    assert_eq!(table.chosen(Criterion::BayesianWeights), Some(bayesian.active_components(0.02)));
    // published: k-means on iris, k = 2 (scikit-learn 1.9.1)
    assert!((value(Criterion::Silhouette, 0).unwrap_or(f64::NAN) - 0.681_046).abs() < 1e-6);
    assert_eq!(table.chosen(Criterion::Silhouette), Some(2));
    Ok(())
}

#[test]
fn position_and_unit_of_the_data_change_no_choice() -> Result<(), Failure> {
    // exact at 1e6
    let x = corners()?.mapv(|v| (v * 1024.0).round() / 1024.0);
    let criteria =
        [Criterion::Elbow, Criterion::Silhouette, Criterion::Gap, Criterion::Stability, Criterion::Bic];
    let spec = ClusterCount::new(1..=6).criteria(&criteria).restarts(2).references(5).resamples(5).seed(3);
    let near = spec.fit(&x)?;
    let far = spec.fit(&(&x + 1e6))?;
    let large = spec.fit(&(&x * 1024.0))?;
    for criterion in criteria {
        let values =
            |table: &ClusterCountModel| table.criterion(criterion).map_or(vec![], |s| s.values().to_vec());
        assert_eq!(near.chosen(criterion), far.chosen(criterion), "{criterion}");
        assert_eq!(near.chosen(criterion), large.chosen(criterion), "{criterion}");
        for (a, b) in values(&near).iter().zip(values(&far)) {
            assert!(a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-6 * a.abs(), "{criterion}: {a} {b}");
        }
        if criterion == Criterion::Gap || criterion == Criterion::Stability {
            for (a, b) in values(&near).iter().zip(values(&large)) {
                assert!(a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9, "{criterion}: {a} {b}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn bounded_scores_stay_in_their_bounds_and_weights_add_up(n in 12_usize..60, d in 1_usize..4, seed: u64) {
        let values = Seed::new(seed).normals(n * d);
        let x = Array2::from_shape_fn((n, d), |(i, j)| values[i * d + j]);
        let spec = ClusterCount::new(1..=5).restarts(1).references(2).resamples(2).seed(seed);
        let table = spec.fit(&x)?;
        let values = |criterion| table.criterion(criterion).map_or(&[][..], |s| s.values());
        prop_assert!(values(Criterion::Silhouette)[1..].iter().all(|v| (-1.0..=1.0).contains(v)));
        prop_assert!(values(Criterion::Stability)[1..].iter().all(|v| (-0.5..=1.0).contains(v)));
        prop_assert!(values(Criterion::CalinskiHarabasz)[1..].iter().all(|v| *v >= 0.0));
        prop_assert!(values(Criterion::DaviesBouldin)[1..].iter().all(|v| *v >= 0.0));
        // one cluster has no neighbour and is always found again
        for criterion in [Criterion::Silhouette, Criterion::Stability, Criterion::DaviesBouldin] {
            prop_assert!(values(criterion)[0].is_nan());
        }
        let weights = values(Criterion::BayesianWeights);
        prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        prop_assert!(weights.windows(2).all(|w| w[0] >= w[1]));
        for scores in table.scores() {
            prop_assert!(scores.chosen().is_none_or(|k| (1..=5).contains(&k)));
        }
        let errors = table.criterion(Criterion::Gap).map_or(&[][..], |s| s.standard_errors());
        prop_assert!(errors.iter().all(|e| *e >= 0.0));
    }
}

fn saved(model: &ClusterCountModel) -> Result<Vec<u8>, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("table");
    model.save(&path)?;
    Ok(std::fs::read(path)?)
}

#[test]
fn bits_depend_neither_on_threads_nor_on_layout_and_survive_a_file() -> Result<(), Failure> {
    let x = data::iris().x.mapv(|v| v as f32);
    let spec = ClusterCount::new(1..=4).restarts(2).references(4).resamples(4).seed(1);
    let table = spec.fit(&x)?;
    let bits = saved(&table)?;
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let there = pool.install(|| spec.fit(&x))?;
        assert!(saved(&there)? == bits, "{threads} threads give other bits");
    }
    let columns = x.t().as_standard_layout().into_owned();
    assert!(saved(&spec.fit(&columns.t())?)? == bits, "layout changes the table");

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("table");
    table.save(&path)?;
    let loaded = ClusterCountModel::load(&path)?;
    assert!(saved(&loaded)? == bits);
    assert_eq!((loaded.to_string(), loaded.spec()), (table.to_string(), &spec));
    std::fs::write(&path, &bits[..bits.len() / 2])?;
    assert!(matches!(ClusterCountModel::load(&path), Err(Error::File { .. })));
    Ok(())
}

#[test]
fn progress_is_reported_and_an_interrupted_sweep_keeps_what_is_complete() -> Result<(), Failure> {
    let x = corners()?;
    let criteria = [Criterion::Elbow, Criterion::Silhouette, Criterion::BayesianWeights];
    let spec = ClusterCount::new(1..=5).criteria(&criteria).restarts(1);
    let (mut ks, mut steps, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    spec.fit_observed(&x, &mut |event: &Event<'_>| {
        match event {
            Event::Started { total, .. } => assert_eq!(*total, 5),
            Event::Step { done, total: 15, .. } => steps.push(*done),
            Event::Progress { done, terms, .. } => ks.push((*done, terms[0].1)),
            Event::Finished { stop, .. } => ends.push(*stop),
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    })?;
    assert_eq!(ks, [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0)]);
    assert_eq!(steps, (1..=15).collect::<Vec<_>>());
    assert_eq!(ends, [Stop::Converged]);

    for (break_at, complete) in [(1, 1), (4, 1), (8, 2)] {
        let table = spec.fit_observed(&x, &mut |event: &Event<'_>| match event {
            Event::Step { done, .. } if *done >= break_at => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })?;
        assert_eq!(table.clusters().len(), complete, "broken at step {break_at}");
        assert_eq!(table.history().stop(), Stop::Interrupted);
        assert_eq!(table.scores()[0].values().len(), complete);
        // the mixture of all components was not fitted any more
        assert!(
            table.scores()[2].values().iter().all(|v| v.is_nan()) && table.scores()[2].chosen().is_none()
        );
    }
    let table = spec.fit_observed(&x, &mut |event: &Event<'_>| match event {
        Event::Progress { done: 3, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })?;
    assert_eq!(table.clusters(), [1, 2, 3]);
    Ok(())
}

#[test]
fn a_score_of_ones_own_chooses_its_greatest() -> Result<(), Failure> {
    let x = corners()?;
    // clusters are shelves: each costs 1, and each row of the largest costs a tenth to search
    let shelves = |k: usize, labels: &Array1<usize>| {
        let size = |c: usize| labels.iter().filter(|&&l| l == c).count();
        Ok(-(k as f64) - 0.1 * (0..k).map(size).max().unwrap_or(0) as f64)
    };
    let spec = ClusterCount::new(1..=6).criteria(&[]).seed(2);
    let table = spec.fit_scored(&x, &[("shelves", &shelves)], &mut Silent)?;
    let scores = table.scores_named("shelves").ok_or("scores")?;
    assert_eq!((scores.chosen(), scores.values()[0], scores.values()[3]), (Some(4), -25.0, -10.0));
    assert!(table.to_string().contains("shelves"));

    let fails = |_: usize, _: &Array1<usize>| Err(Error::parameter("mine", 1, "2"));
    let result = spec.fit_scored(&x, &[("fails", &fails)], &mut Silent);
    assert!(matches!(result, Err(Error::Parameter { name: "mine", .. })));
    // a row of the table is found by its name
    let bic: OwnScore<'_> = ("BIC", &shelves);
    for own in [[("shelves", bic.1), bic], [("shelves", bic.1), ("shelves", &fails)]] {
        let result = spec.fit_scored(&x, &own, &mut Silent);
        assert!(matches!(result, Err(Error::Value { what: "own", index: 1, .. })), "{result:?}");
    }
    Ok(())
}

#[test]
fn the_table_prints_every_criterion_and_number() -> Result<(), Failure> {
    let spec = ClusterCount::new(2..=3).restarts(1).references(2).resamples(2);
    let text = spec.fit(&data::iris().x)?.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + Criterion::ALL.len());
    assert!(lines[0].contains("k = 2") && lines[0].contains("k = 3"));
    for (line, criterion) in lines[1..].iter().zip(Criterion::ALL) {
        assert!(line.starts_with(criterion.name()), "{line}");
        assert_eq!(line.chars().count(), lines[0].chars().count(), "{text}");
    }
    Ok(())
}

#[cfg(feature = "plot")]
#[test]
fn the_plot_has_a_curve_a_score_from_its_least_to_its_greatest_with_the_choice_in_the_legend()
-> Result<(), Failure> {
    use unsup_core::plot::{Figure, Lines};
    let with = |values: [f64; 4]| move |k: usize, _: &Array1<usize>| Ok(values[k - 1]);
    let (rising, holed) = (with([-10.0, 5.0, 15.0, 20.0]), with([3.0, f64::NAN, 1.0, 2.0]));
    let (flat, none) = (with([7.0; 4]), with([f64::NAN; 4]));
    let own: [OwnScore<'_>; 4] = [("rising", &rising), ("holed", &holed), ("flat", &flat), ("none", &none)];
    let table = ClusterCount::new(1..=4).criteria(&[]).fit_scored(&corners()?, &own, &mut Silent)?;
    let k = [1.0, 2.0, 3.0, 4.0];
    let expected = Lines::new("How many?")
        .axes("clusters", "score, scaled to its range")
        .dots()
        .curve_over("rising: 4", &k, &[0.0, 0.5, 25.0 / 30.0, 1.0])
        .curve_over("holed: 1", &k, &[1.0, f64::NAN, 0.0, 0.5])
        // no range to be scaled to
        .curve_over("flat: 1", &k, &[f64::NAN; 4])
        .curve_over("none: –", &k, &[f64::NAN; 4]);
    assert_eq!(table.plot("How many?").svg_string()?, expected.svg_string()?);
    Ok(())
}

#[test]
fn fewer_distinct_rows_than_clusters_leave_scores_out_and_choose_as_many_as_there_are() -> Result<(), Failure>
{
    let distinct = array![[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]];
    let x = concatenate(Axis(0), &vec![distinct.view(); 10])?;
    let table = ClusterCount::new(1..=5).restarts(2).references(3).resamples(3).fit(&x)?;
    for criterion in [Criterion::Elbow, Criterion::Silhouette, Criterion::CalinskiHarabasz, Criterion::Bic] {
        assert_eq!(table.chosen(criterion), Some(3), "{criterion}\n{table}");
    }
    // more components than distinct rows have no density
    assert!(table.criterion(Criterion::Bic).is_some_and(|s| s.values()[3].is_nan()), "{table}");

    // one row many times: no criterion has anything to go by, and none fails
    let table = ClusterCount::new(1..=3).references(2).resamples(2).fit(&Array2::<f64>::ones((20, 2)))?;
    assert_eq!(table.chosen(Criterion::Silhouette), None);
    assert_eq!(table.chosen(Criterion::Elbow), None);
    Ok(())
}

#[test]
fn bad_input_is_named() -> Result<(), Failure> {
    let x = corners()?;
    let parameter = |spec: ClusterCount| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    let spec = || ClusterCount::new(1..=3);
    assert_eq!(parameter(ClusterCount::new(0..=3)), "clusters");
    #[allow(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    let reversed = 3..=2;
    assert_eq!(parameter(ClusterCount::new(reversed)), "clusters");
    assert_eq!(parameter(spec().criteria(&[])), "criteria");
    assert_eq!(parameter(spec().criteria(&[Criterion::Gap, Criterion::Gap])), "criteria");
    assert_eq!(parameter(spec().restarts(0)), "restarts");
    assert_eq!(parameter(spec().references(1)), "references");
    assert_eq!(parameter(spec().resamples(1)), "resamples");
    for bad in [0.5, 1.0, f64::NAN] {
        assert_eq!(parameter(spec().subsample(bad)), "subsample");
    }
    for bad in [0.0, 1.0, f64::NAN] {
        assert_eq!(parameter(spec().least_weight(bad)), "least_weight");
    }
    let few = ClusterCount::new(1..=241).criteria(&[Criterion::Elbow]).fit(&x);
    assert!(matches!(few, Err(Error::TooFewRows { needed: 241, found: 240, .. })));
    // a subsample of 80 % must hold the clusters
    let few = ClusterCount::new(1..=193).criteria(&[Criterion::Stability]).fit(&x);
    assert!(matches!(few, Err(Error::TooFewRows { needed: 242, found: 240, .. })));
    assert!(matches!(spec().fit(&Array2::<f64>::zeros((0, 2))), Err(Error::Empty { what: "x", .. })));
    let mut bad = x.clone();
    bad[[7, 1]] = f64::NAN;
    assert!(matches!(spec().fit(&bad), Err(Error::NonFinite { row: 7, column: 1, .. })));
    let huge = array![[f32::MAX], [f32::MIN], [0.0], [1.0]];
    assert!(matches!(spec().fit(&huge), Err(Error::Numerical { .. })));
    Ok(())
}
