//! Rows at the edge of what has clusters, for the relatives of k-means: equal ones, fewer distinct ones than clusters, constant
//! columns, denormals, a column a million times another. What is expected is what each method's page says.
//!
//! k-means itself: `kmeans`, `kmeans_invariants`; mixtures by EM: `mixture::degenerate`; equal, few and constant rows of the
//! Bayesian one: `bayesian_mixture::few_and_degenerate_rows_are_held_up_by_the_prior`.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, ArrayRef2, Axis, array, s};
use std::ops::ControlFlow;
use unsup_clustering::mixture::Start;
use unsup_clustering::{
    BayesianGaussianMixture, BisectingKMeans, Covariance, Dissimilarity, KMeans, KMedoids, MiniBatchKMeans,
    SphericalKMeans,
};
use unsup_core::Seed;
use unsup_core::data::synthetic;
use unsup_core::estimator::{Fit, Predict};
use unsup_core::math::Nearest;
use unsup_core::observe::Event;

type Failure = Box<dyn std::error::Error>;

fn normals(n: usize, d: usize, seed: u64) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

fn distinct(labels: &Array1<usize>) -> usize {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    labels.dedup();
    labels.len()
}

/// What a method said of the rows that it was fitted on.
struct Answer {
    method: &'static str,
    labels: Array1<usize>,
    predicted: Array1<usize>,
    /// inertia or deviation
    cost: f64,
}

/// The answers of the methods that go by the distances of rows.
fn by_distance<F: Nearest>(clusters: usize, x: &ArrayRef2<F>) -> Result<[Answer; 3], Failure> {
    let batches = MiniBatchKMeans::new(clusters).seed(3).fit(x)?;
    let bisecting = BisectingKMeans::new(clusters).seed(3).fit(x)?;
    let medoids = KMedoids::new(clusters).restarts(3).seed(3).fit(x)?;
    let answer = |method, labels: &Array1<usize>, predicted, cost| Answer {
        method,
        labels: labels.clone(),
        predicted,
        cost,
    };
    Ok([
        answer("mini-batch k-means", batches.labels(), batches.predict(x)?, batches.inertia()),
        answer("bisecting k-means", bisecting.labels(), bisecting.predict(x)?, bisecting.inertia()),
        answer("k-medoids", medoids.labels(), medoids.predict(x)?, medoids.deviation()),
    ])
}

/// What the observer of a fit is warned of.
pub(crate) fn warnings(
    spec: &impl Fit<ArrayRef2<f64>>,
    x: &ArrayRef2<f64>,
) -> unsup_core::Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mut note = |event: &Event<'_>| {
        if let Event::Warning { task, message } = event {
            warnings.push(format!("{task}: {message}"));
        }
        ControlFlow::Continue(())
    };
    spec.fit_observed(x, &mut note)?;
    Ok(warnings)
}

#[test]
fn equal_rows_are_one_cluster_that_costs_nothing() -> Result<(), Failure> {
    for value in [0.1, 1e8] {
        let x = Array2::from_elem((20, 3), value);
        let single = x.mapv(|v| v as f32);
        for Answer { method, labels, predicted, cost } in
            by_distance(4, &x)?.into_iter().chain(by_distance(4, &single)?)
        {
            assert_eq!((distinct(&labels), cost), (1, 0.0), "{method} of {value}");
            assert_eq!(labels, predicted, "{method} of {value}");
        }
        // norms are rounded
        let model = SphericalKMeans::new(4).seed(3).fit(&x)?;
        assert_eq!((model.distinct_clusters(), model.labels()), (1, &model.predict(&x)?));
        assert_abs_diff_eq!(model.inertia(), 0.0, epsilon = 1e-28);
        assert_abs_diff_eq!(
            *model.centroids(),
            Array2::from_elem((4, 3), 3_f64.sqrt().recip()),
            epsilon = 1e-15
        );
    }
    assert_eq!(
        BisectingKMeans::new(4).fit(&Array2::<f64>::ones((20, 3)))?.centroids(),
        array![[1.0, 1.0, 1.0]]
    );
    Ok(())
}

#[test]
fn fewer_distinct_rows_than_clusters_are_a_cluster_each() -> Result<(), Failure> {
    // row i is a copy of row i mod 4, or its direction
    let rows = array![[0.0, 1.0], [2.0, 2.0], [3.0, -5.0], [-8.0, 1.0]];
    let x = Array2::from_shape_fn((20, 2), |(i, j)| rows[[i % 4, j]]);
    let lengths = Array2::from_shape_fn((20, 1), |(i, _)| 2_f64.powi(i as i32 / 4 - 2));
    let scaled = &x * &lengths;
    let spherical = SphericalKMeans::new(6).seed(3).fit(&scaled)?;
    let directions = Answer {
        method: "spherical k-means",
        labels: spherical.labels().clone(),
        predicted: spherical.predict(&scaled)?,
        cost: spherical.inertia(),
    };
    for Answer { method, labels, predicted, cost } in by_distance(6, &x)?.into_iter().chain([directions]) {
        assert_eq!((distinct(&labels), &labels), (4, &predicted), "{method}");
        assert!((0..20).all(|i| labels[i] == labels[i % 4]), "{method}: {labels}");
        assert_abs_diff_eq!(cost, 0.0, epsilon = 1e-28);
    }
    assert_eq!(BisectingKMeans::new(6).fit(&x)?.centroids().nrows(), 4);
    Ok(())
}

#[test]
fn clusters_without_a_row_are_warned_of_once() -> Result<(), Failure> {
    let x =
        Array2::from_shape_fn((20, 2), |(i, j)| [[0.0, 1.0], [2.0, 2.0], [3.0, -5.0], [-8.0, 1.0]][i % 4][j]);
    let warned = |clusters: usize| -> Result<Vec<String>, Failure> {
        Ok([
            warnings(&KMeans::new(clusters).restarts(3), &x)?,
            warnings(&SphericalKMeans::new(clusters).restarts(3), &x)?,
            warnings(&MiniBatchKMeans::new(clusters), &x)?,
            warnings(&BisectingKMeans::new(clusters), &x)?,
            warnings(&KMedoids::new(clusters).restarts(3), &x)?,
        ]
        .concat())
    };
    let methods = ["k-means", "spherical k-means", "mini-batch k-means", "bisecting k-means", "k-medoids"];
    assert_eq!(warned(6)?, methods.map(|method| format!("{method}: only 4 of 6 clusters have a row")));
    assert!(warned(4)?.is_empty());
    Ok(())
}

#[test]
fn a_constant_column_changes_no_cluster_of_distances_and_turns_directions() -> Result<(), Failure> {
    let x = normals(200, 3, 5);
    let with = |value: f64| {
        let mut table = Array2::from_elem((200, 4), value);
        table.slice_mut(s![.., ..3]).assign(&x);
        table
    };
    for (plain, constant) in by_distance(4, &x)?.iter().zip(by_distance(4, &with(1e6))?) {
        assert_eq!(plain.labels, constant.labels, "{}", plain.method);
        assert_eq!(constant.labels, constant.predicted, "{}", plain.method);
        assert_relative_eq!(plain.cost, constant.cost, max_relative = 1e-12);
    }
    let batches = MiniBatchKMeans::new(4).seed(3).fit(&with(1e6))?;
    assert!(batches.centroids().column(3).iter().all(|&v| v == 1e6));
    let spec = SphericalKMeans::new(4).seed(3);
    assert_eq!(spec.fit(&x)?.labels(), spec.fit(&with(0.0))?.labels());
    let turned = spec.fit(&with(1e6))?;
    assert!(turned.centroids().column(3).iter().all(|&v| (v - 1.0).abs() < 1e-9));
    assert_eq!(turned.labels(), &turned.predict(&with(1e6))?);
    Ok(())
}

#[test]
fn a_column_of_denormals_is_as_good_as_none_and_a_table_of_them_is_equal_rows_to_squares()
-> Result<(), Failure> {
    let x = normals(200, 3, 5);
    let mut denormal = Array2::from_shape_fn((200, 4), |(i, _)| (i % 7) as f64 * 1e-320);
    denormal.slice_mut(s![.., ..3]).assign(&x);
    for (plain, with) in by_distance(4, &x)?.iter().zip(by_distance(4, &denormal)?) {
        assert_eq!((&plain.labels, &plain.labels), (&with.labels, &with.predicted), "{}", plain.method);
    }
    let spec = SphericalKMeans::new(4).seed(3);
    assert_eq!(spec.fit(&x)?.labels(), spec.fit(&denormal)?.labels());

    // two groups, of which no squared distance is above 0
    let least = f64::from_bits(1);
    let tiny = Array2::from_shape_fn((20, 2), |(i, j)| (900 * (i % 2) + 3 * i + j) as f64 * least);
    for Answer { method, labels, predicted, cost } in by_distance(2, &tiny)? {
        assert_eq!((distinct(&labels), cost), (1, 0.0), "{method}");
        assert_eq!(labels, predicted, "{method}");
    }
    let manhattan = KMedoids::new(2).dissimilarity(Dissimilarity::Manhattan).fit(&tiny)?;
    let labels = manhattan.labels();
    assert!(labels[0] != labels[1] && (0..20).all(|i| labels[i] == labels[i % 2]), "{labels}");
    Ok(())
}

#[test]
fn directions_of_denormals_and_of_norms_that_overflow_keep_all_their_digits() -> Result<(), Failure> {
    // in either table the rows are integers times a power of two
    let x =
        Array2::from_shape_fn((60, 8), |(i, j)| (400 + 200 * ((i + j) % 3) + (7 * i + 31 * j) % 100) as f64);
    let spherical = SphericalKMeans::new(3).seed(1);
    let medoids = KMedoids::new(3).dissimilarity(Dissimilarity::Cosine).seed(1);
    let (directions, rows) = (spherical.fit(&x)?, medoids.fit(&x)?);
    assert!(directions.inertia() < 1.0, "{}", directions.inertia());
    for unit in [f64::from_bits(1), 2_f64.powi(1014)] {
        let x = x.mapv(|v| v * unit);
        let (model, medoids) = (spherical.fit(&x)?, medoids.fit(&x)?);
        assert_eq!((model.labels(), model.centroids()), (directions.labels(), directions.centroids()));
        assert_eq!((medoids.medoids(), medoids.deviation()), (rows.medoids(), rows.deviation()));
        assert_eq!((model.labels(), medoids.labels()), (&model.predict(&x)?, &medoids.predict(&x)?));
    }
    Ok(())
}

#[test]
fn a_column_a_million_times_another_decides_alone() -> Result<(), Failure> {
    let mut x = normals(200, 3, 5);
    x.column_mut(1).mapv_inplace(|v| v * 1e6);
    let alone = x.slice(s![.., 1..2]);
    for (all, one) in by_distance(4, &x)?.iter().zip(by_distance(4, &alone)?) {
        assert_eq!((&all.labels, &all.predicted), (&one.labels, &one.labels), "{}", all.method);
        assert_relative_eq!(all.cost, one.cost, max_relative = 1e-3);
    }
    // of a direction nothing is left but the sign
    let model = SphericalKMeans::new(2).seed(3).fit(&x)?;
    let positive = |i: usize| alone[[i, 0]] > 0.0;
    for i in 1..200 {
        assert_eq!(model.labels()[i] == model.labels()[0], positive(i) == positive(0), "row {i}");
    }
    Ok(())
}

/// A posterior follows the unit of a column where its family can: n rows in a unit s are n·ln s nats less likely.
#[test]
fn a_bayesian_mixture_follows_the_unit_of_a_column() -> Result<(), Failure> {
    // each column alone tells the groups apart, so that both starts are the same partition
    let centers = array![[0.0, 0.0], [10.0, 10.0], [20.0, -10.0]];
    let blobs = synthetic::blobs_around(&centers, 300, 0.8, Seed::new(4))?;
    // a power of two near a million rounds nothing
    let unit = 2_f64.powi(20);
    let wide = |table: &Array2<f64>| {
        let mut table = table.clone();
        table.column_mut(1).mapv_inplace(|v| v * unit);
        table
    };
    let fit = |family: Covariance, x: &Array2<f64>, means: Array2<f64>| {
        let start = Start::Given { means, weights: None, precisions: None };
        BayesianGaussianMixture::new(3).covariance(family).covariance_floor(0.0).start(start).fit(x)
    };
    let x = wide(&blobs.x);
    for family in [Covariance::Full, Covariance::Tied, Covariance::Diagonal] {
        let (near, far) = (fit(family, &blobs.x, centers.clone())?, fit(family, &x, wide(&centers))?);
        assert_eq!(near.predict(&blobs.x)?, far.predict(&x)?);
        assert_relative_eq!(far.elbo(), near.elbo() - 300.0 * unit.ln(), max_relative = 1e-9);
        assert_relative_eq!(*far.means(), wide(near.means()), max_relative = 1e-9, epsilon = 1e-9);
    }
    // one variance for both columns: that of the wide one
    let spherical = fit(Covariance::Spherical, &x, wide(&centers))?;
    assert_eq!(unsup_core::metrics::adjusted_rand(&spherical.predict(&x)?, &blobs.labels)?, 1.0);
    Ok(())
}

#[test]
fn a_bayesian_mixture_sees_denormals_as_equal_rows_and_keeps_a_constant_column() -> Result<(), Failure> {
    let x = normals(60, 2, 7);
    let mut constant = x.clone();
    constant.column_mut(1).fill(1e6);
    let families = [Covariance::Full, Covariance::Tied, Covariance::Diagonal, Covariance::Spherical];
    for family in families {
        let spec = BayesianGaussianMixture::new(3).covariance(family);
        let equal = spec.fit(&Array2::<f64>::zeros((60, 2)))?;
        let tiny = spec.fit(&x.mapv(|v| v * 1e-310))?;
        assert_relative_eq!(tiny.elbo(), equal.elbo(), max_relative = 1e-9);
        assert_abs_diff_eq!(*tiny.covariances(), *equal.covariances(), epsilon = 1e-12);
        let model = spec.fit(&constant)?;
        assert!(model.elbo().is_finite());
        assert!(model.means().index_axis(Axis(1), 1).iter().all(|m| (m - 1e6).abs() < 1e-9));
    }
    Ok(())
}
