//! k-means against scikit-learn 1.9.1 from the same initial centroids (`oracles/kmeans.py`).

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis};
use serde::Deserialize;
use unsup_clustering::{Init, KMeans};
use unsup_core::data;
use unsup_core::observe::Silent;

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Oracle {
    blobs: Vec<Vec<f64>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    tolerance: f64,
    weighted: bool,
    start_rows: Vec<usize>,
    labels: Vec<usize>,
    inertia: f64,
    iterations: usize,
    centroids: Vec<Vec<f64>>,
}

fn table(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn oracle() -> Result<Oracle, Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/kmeans.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

#[test]
fn labels_inertia_and_centroids_are_those_of_scikit_learn() -> Result<(), Failure> {
    let oracle = oracle()?;
    assert_eq!(oracle.cases.len(), 12);
    for case in oracle.cases {
        let x = match case.data.as_str() {
            "digits" => data::digits().x,
            "iris" => data::iris().x,
            _ => table(&oracle.blobs),
        };
        let start = x.select(Axis(0), &case.start_rows);
        let spec = KMeans::new(start.nrows()).init(Init::Centroids(start)).tolerance(case.tolerance);
        let weights =
            Array1::from_shape_fn(x.nrows(), |i| if case.weighted { 1.0 + (i % 3) as f64 } else { 1.0 });
        let model = spec.fit_weighted(&x, &weights, &mut Silent)?;
        assert_eq!(model.labels().to_vec(), case.labels, "{}", case.data);
        assert_relative_eq!(model.inertia(), case.inertia, max_relative = 1e-9);
        assert_abs_diff_eq!(*model.centroids(), table(&case.centroids), epsilon = 1e-9);
        assert_eq!(
            model.history().iterations(),
            case.iterations,
            "{} at tolerance {}",
            case.data,
            case.tolerance
        );

        // single precision: the same clusters up to rows that lie on a boundary
        let single = spec.fit_weighted(&x.mapv(|v| v as f32), &weights.mapv(|v| v as f32), &mut Silent)?;
        assert_relative_eq!(single.inertia(), case.inertia, max_relative = 1e-4);
    }
    Ok(())
}

#[test]
fn the_best_of_many_starts_reaches_the_known_optima_of_iris() -> Result<(), Failure> {
    use unsup_core::estimator::Fit;
    // shared notes: best of 100, k = 1..8, scikit-learn 1.9.1
    let best = [681.3706, 152.347952, 78.851441, 57.228473, 46.446182, 39.039987, 34.298230, 29.988944];
    let x = data::iris().x;
    for (k, expected) in (1..).zip(best) {
        let model = KMeans::new(k).restarts(1000).seed(1).fit(&x)?;
        assert_relative_eq!(model.inertia(), expected, max_relative = 2e-4);
        assert!(model.inertia() >= expected - 1e-4, "k {k}: {} is below the optimum", model.inertia());
    }
    Ok(())
}

#[derive(Deserialize)]
struct Family {
    start_rows: Vec<usize>,
    batches: Vec<Batch>,
    weighted_batches: Vec<Batch>,
    bisecting: Vec<Bisected>,
}

#[derive(Deserialize)]
struct Batch {
    centroids: Vec<Vec<f64>>,
    counts: Vec<f64>,
}

#[derive(Deserialize)]
struct Bisected {
    strategy: String,
    weighted: bool,
    clusters: usize,
    inertia: f64,
    sizes: Vec<usize>,
}

fn family() -> Result<Family, Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/kmeans_family.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

#[test]
fn a_stream_of_batches_moves_the_centroids_as_in_scikit_learn() -> Result<(), Failure> {
    use unsup_clustering::MiniBatchKMeans;
    let (x, oracle) = (data::digits().x, family()?);
    let spec = MiniBatchKMeans::new(10)
        .init(Init::Centroids(x.select(Axis(0), &oracle.start_rows)))
        .reassignment(0.0);
    let batch = |b: usize| x.slice(ndarray::s![b * 200..(b + 1) * 200, ..]);
    // 0, ½, 1, 1½, again and again
    let weights = Array1::from_shape_fn(200, |i| (i % 4) as f64 / 2.0);
    let mut model = spec.start(&batch(0))?;
    let mut weighted = spec.start_weighted(&batch(0), &weights)?;
    assert_eq!((oracle.batches.len(), oracle.weighted_batches.len()), (8, 8));
    for (b, (of_rows, of_weighted)) in oracle.batches.iter().zip(&oracle.weighted_batches).enumerate() {
        if b > 0 {
            model = model.partial_fit(&batch(b))?;
            weighted = weighted.partial_fit_weighted(&batch(b), &weights)?;
        }
        for (model, expected) in [(&model, of_rows), (&weighted, of_weighted)] {
            assert_eq!(model.counts().to_vec(), expected.counts, "batch {b}");
            assert_abs_diff_eq!(*model.centroids(), table(&expected.centroids), epsilon = 1e-9);
        }
    }
    Ok(())
}

#[test]
fn cuts_of_iris_are_those_of_scikit_learn() -> Result<(), Failure> {
    use unsup_clustering::{BisectingKMeans, Cut};
    let x = data::iris().x;
    for case in family()?.bisecting {
        let cut = if case.strategy == "biggest_inertia" { Cut::LargestInertia } else { Cut::LargestCluster };
        let spec = BisectingKMeans::new(case.clusters).cut(cut).restarts(50).tolerance(0.0).seed(1);
        let weights = Array1::from_shape_fn(150, |i| if case.weighted { 1.0 + (i % 3) as f64 } else { 1.0 });
        let model = spec.fit_weighted(&x, &weights, &mut Silent)?;
        let mut sizes: Vec<usize> =
            (0..case.clusters).map(|c| model.labels().iter().filter(|&&l| l == c).count()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, case.sizes, "{} clusters by {}", case.clusters, case.strategy);
        assert_relative_eq!(model.inertia(), case.inertia, max_relative = 1e-9);
    }
    Ok(())
}
