//! Where scikit-learn 1.9.1 and faiss 1.15.1 are wrong (`oracles/kmeans_defects.py`): what holds of our numbers, and not of theirs.

use approx::{assert_abs_diff_eq, assert_relative_eq, relative_eq};
use ndarray::{Array1, Array2, Axis, array};
use serde::Deserialize;
use unsup_clustering::{BisectingKMeans, Init, KMeans, MiniBatchKMeans};
use unsup_core::data;
use unsup_core::estimator::{Fit, Predict};
use unsup_core::observe::{Silent, Stop};

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Defects {
    far: Far,
    relocation: Relocation,
    single: Single,
    weights: Weights,
    units: Units,
}

/// Iris moved far from the origin.
#[derive(Deserialize)]
struct Far {
    offset: f64,
    start_rows: Vec<usize>,
    labels: Vec<usize>,
    predicted: Vec<usize>,
    mini_batch_near: f64,
    mini_batch_far: f64,
}

/// An empty cluster was given a row in the last iteration.
#[derive(Deserialize)]
struct Relocation {
    labels: Vec<usize>,
    predicted: Vec<usize>,
    inertia: f64,
}

/// A million rows in `f32`.
#[derive(Deserialize)]
struct Single {
    #[serde(rename = "scikit-learn")]
    scikit_learn: Sums,
    faiss: Sums,
}

#[derive(Deserialize)]
struct Sums {
    inertia: f64,
    centroids: [[f64; 2]; 2],
}

/// faiss's objective of iris with weights, and with weights twice as large.
#[derive(Deserialize)]
struct Weights {
    start_rows: Vec<usize>,
    once: f64,
    twice: f64,
}

/// Cuts of digits and of digits in another unit; both inertias in the unit of digits.
#[derive(Deserialize)]
struct Units {
    clusters: usize,
    scale: f64,
    inertia: f64,
    of_scaled: f64,
}

fn defects() -> Result<Defects, Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/kmeans_defects.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

#[test]
fn labels_far_from_the_origin_are_those_near_it_and_those_of_predict() -> Result<(), Failure> {
    let (x, theirs) = (data::iris().x, defects()?.far);
    assert_ne!(theirs.labels, theirs.predicted, "scikit-learn's predict does not move the rows");
    let fit = |offset: f64| {
        let rows = x.mapv(|v| v + offset);
        let start = rows.select(Axis(0), &theirs.start_rows);
        KMeans::new(3).init(Init::Centroids(start)).fit(&rows).map(|model| (model, rows))
    };
    let (near, _) = fit(0.0)?;
    for offset in [1e6, theirs.offset] {
        let (far, rows) = fit(offset)?;
        assert_eq!(far.labels().to_vec(), theirs.labels);
        assert_eq!((far.labels(), far.labels()), (near.labels(), &far.predict(&rows)?));
        assert_relative_eq!(far.inertia(), near.inertia(), max_relative = 1e-6);
    }
    Ok(())
}

#[test]
fn mini_batches_far_from_the_origin_find_the_same() -> Result<(), Failure> {
    let (x, theirs) = (data::iris().x, defects()?.far);
    assert!(theirs.mini_batch_far > 3.0 * theirs.mini_batch_near);
    let rows = x.mapv(|v| v + theirs.offset);
    let spec = MiniBatchKMeans::new(3).batch(50).seed(2);
    let (near, far) = (spec.fit(&x)?, spec.fit(&rows)?);
    assert_eq!((far.labels(), far.labels()), (near.labels(), &far.predict(&rows)?));
    assert_relative_eq!(near.inertia(), far.inertia(), max_relative = 1e-4);
    assert!(near.inertia() < 1.1 * theirs.mini_batch_near, "{}", near.inertia());
    assert_ne!(near.history().stop(), Stop::Interrupted);
    Ok(())
}

#[test]
fn labels_and_inertia_are_fresh_after_a_relocation() -> Result<(), Failure> {
    let theirs = defects()?.relocation;
    assert_ne!(theirs.labels, theirs.predicted, "scikit-learn issue 34074");
    let x = array![[1.0], [2.0], [3.0]];
    let model = KMeans::new(3).init(Init::Centroids(array![[4.0], [0.0], [1.0]])).fit(&x)?;
    assert_eq!(model.labels(), &model.predict(&x)?);
    assert_eq!((model.distinct_clusters(), model.inertia()), (3, 0.0));
    assert!(theirs.inertia > model.inertia());
    Ok(())
}

#[test]
fn sums_over_many_rows_keep_the_digits_of_single_precision() -> Result<(), Failure> {
    let x = Array2::from_shape_fn((1_000_000, 2), |(i, j)| {
        ((i * 7919 + j * 31) % 1000) as f32 / 1000.0 + (i % 2) as f32 * 50.0
    });
    let spec = KMeans::new(2).init(Init::Centroids(array![[0.0, 0.0], [50.0, 50.0]]));
    let (single, double) = (spec.fit(&x)?, spec.fit(&x.mapv(f64::from))?);
    let right = |inertia: f64| relative_eq!(inertia, double.inertia(), max_relative = 1e-6);
    let off = |centroids: &Array2<f64>| (centroids - double.centroids()).fold(0.0_f64, |m, v| m.max(v.abs()));
    assert!(right(single.inertia()), "{}, not {}", single.inertia(), double.inertia());
    assert!(off(&single.centroids().mapv(f64::from)) < 4e-6);
    let theirs = defects()?.single;
    for sums in [theirs.scikit_learn, theirs.faiss] {
        assert!(!right(sums.inertia) && off(&Array2::from(sums.centroids.to_vec())) > 1e-4);
    }
    Ok(())
}

#[test]
fn inertia_counts_each_row_by_its_weight() -> Result<(), Failure> {
    let (x, theirs) = (data::iris().x, defects()?.weights);
    assert_eq!(theirs.once, theirs.twice, "faiss's objective leaves the weights out");
    let spec = KMeans::new(3).init(Init::Centroids(x.select(Axis(0), &theirs.start_rows)));
    let weights = Array1::from_shape_fn(150, |i| 1.0 + (i % 3) as f64);
    let once = spec.fit_weighted(&x, &weights, &mut Silent)?;
    let twice = spec.fit_weighted(&x, &(&weights * 2.0), &mut Silent)?;
    let squares = (&x - &once.centroids().select(Axis(0), &once.labels().to_vec())).mapv(|v| v * v);
    // theirs is the sum without them
    assert_relative_eq!(squares.sum(), theirs.once, max_relative = 1e-4);
    assert_relative_eq!(once.inertia(), squares.sum_axis(Axis(1)).dot(&weights), max_relative = 1e-12);
    assert_relative_eq!(twice.inertia(), 2.0 * once.inertia(), max_relative = 1e-12);
    Ok(())
}

#[test]
fn a_cut_does_not_depend_on_the_unit() -> Result<(), Failure> {
    let (x, theirs) = (data::digits().x, defects()?.units);
    assert!(theirs.of_scaled > 1.05 * theirs.inertia, "scikit-learn's tolerance is in squared units");
    for tolerance in [1e-4, 0.1] {
        let spec = BisectingKMeans::new(theirs.clusters).tolerance(tolerance).seed(3);
        // the scale is a power of two: every rounding is the same
        let (model, scaled) = (spec.fit(&x)?, spec.fit(&x.mapv(|v| v * theirs.scale))?);
        assert_eq!(model.labels(), scaled.labels());
        assert_abs_diff_eq!(*scaled.centroids(), model.centroids() * theirs.scale, epsilon = 1e-12);
        assert_relative_eq!(
            scaled.inertia(),
            model.inertia() * theirs.scale * theirs.scale,
            max_relative = 1e-12
        );
    }
    Ok(())
}
