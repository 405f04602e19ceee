//! Incremental PCA: exact on the union of its batches, the truncated summary, the contract. Numbers in parentheses are those of
//! scikit-learn's own tests, as a list of invariants.

use crate::oracle::Failure;
use approx::assert_relative_eq;
use ndarray::{Array1, Array2, Axis, concatenate, s};
use proptest::prelude::*;
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, LogDensity, Sample, Transform};
use unsup_core::observe::{Event, Silent};
use unsup_core::store::Persist;
use unsup_core::{Error, Float, Seed, data};
use unsup_decomposition::incremental::Summary;
use unsup_decomposition::{IncrementalPca, IncrementalPcaModel, Pca, Route};

fn questions<F: Float>() -> Questions<IncrementalPcaModel<F>, F> {
    Questions {
        answer: |model, x| {
            let codes = model.transform(x)?;
            let rebuilt = model.inverse_transform(&codes)?.mapv(|v| v.f64());
            let scores = model.anomaly_score(x)?.insert_axis(Axis(1));
            let codes = codes.mapv(|v| v.f64());
            Ok(concatenate(Axis(1), &[codes.view(), rebuilt.view(), scores.view()]).unwrap_or_default())
        },
        history: |_| None,
    }
}

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

/// Standard deviations that fall by a quarter from column to column: components that are told apart.
fn decaying(seed: u64, n: usize, d: usize) -> Array2<f64> {
    table(seed, n, d) * &Array1::from_shape_fn(d, |j| 0.75_f64.powi(j as i32) * 8.0)
}

#[test]
fn the_estimator_contract() {
    let x = decaying(1, 300, 12);
    for summary in [Summary::Scatter, Summary::Truncated { extra: 9 }] {
        for (batch, whiten) in [(1000, false), (64, true), (7, false)] {
            let spec = IncrementalPca::new(3).summary(summary).batch(batch).whiten(whiten);
            contract::check(&spec, &x, 2e-5, &questions(), &questions());
        }
    }
}

/// Every answer of a stream against PCA of all rows by the SVD.
fn agrees(
    model: &IncrementalPcaModel<f64>,
    x: &Array2<f64>,
    k: usize,
    tolerance: f64,
) -> Result<(), Failure> {
    let whole = Pca::new().components(k).route(Route::Svd).fit(x)?;
    let found = model.pca()?;
    let relative = |a: &Array1<f64>, b: &Array1<f64>| (a / b - 1.0).fold(0.0_f64, |m, v| m.max(v.abs()));
    assert!(relative(found.explained_variance(), whole.explained_variance()) < tolerance);
    assert_relative_eq!(model.total_variance(), whole.total_variance(), max_relative = tolerance);
    assert_relative_eq!(found.noise_variance(), whole.noise_variance(), max_relative = tolerance);
    let codes = whole.transform(x)?;
    let scale = codes.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let worst = (model.transform(x)? - &codes).fold(0.0_f64, |m, v| m.max(v.abs()));
    assert!(worst < tolerance * scale, "{worst:e}");
    let densities = model.log_density(x)? - whole.log_density(x)?;
    assert!(densities.iter().all(|v| v.abs() < 100.0 * tolerance), "{densities:e}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    // (42) single rows, and any other cut
    #[test]
    fn any_cut_into_batches_gives_the_components_of_all_rows(n in 20usize..90, d in 4usize..12, seed in any::<u64>(), cuts in prop::collection::vec(0usize..20, 0..30)) {
        let x = decaying(seed, n, d);
        for offset in [0.0, 1e7] {
            let far = x.mapv(|v| v + offset);
            let singles = stream(&far, std::iter::repeat_n(1, n));
            let cut = stream(&far, cuts.iter().map(|c| c + 1).chain([n]));
            for model in [singles, cut] {
                let near = far.mapv(|v| v - offset);
                let whole = Pca::new().components(3).route(Route::Svd).fit(&near)?;
                let model = model.map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert_eq!(model.rows(), n);
                let variances = model.pca()?.explained_variance() / whole.explained_variance() - 1.0;
                prop_assert!(variances.iter().all(|v| v.abs() < 1e-8), "{:e}", variances);
                prop_assert!((model.total_variance() / whole.total_variance() - 1.0).abs() < 1e-8);
                let mean = model.mean() - offset - near.mean_axis(Axis(0)).unwrap_or_default();
                prop_assert!(mean.iter().all(|v| v.abs() < 1e-8), "{:e}", mean);
                // projections: directions may be near each other, planes of all are not
                let rebuilt = model.pca()?.reconstruction_error(&far)? - whole.reconstruction_error(&near)?;
                prop_assert!(rebuilt.abs() < 1e-8 * whole.total_variance(), "{:e}", rebuilt);
            }
        }
    }
}

fn stream(x: &Array2<f64>, sizes: impl Iterator<Item = usize>) -> Result<IncrementalPcaModel<f64>, Error> {
    let spec = IncrementalPca::new(3);
    let (mut model, mut start) = (None::<IncrementalPcaModel<f64>>, 0);
    for size in sizes {
        let end = x.nrows().min(start + size);
        if end > start {
            let batch = x.slice(s![start..end, ..]);
            model = Some(match model {
                None => spec.start(&batch)?,
                Some(model) => model.partial_fit(&batch)?,
            });
        }
        start = end;
    }
    model.ok_or(Error::parameter("batches", 0, "some"))
}

#[test]
fn real_tables_in_batches_are_the_tables() -> Result<(), Failure> {
    for (x, k, batch) in [(data::digits().x, 20, 100), (data::digits().x, 5, 7), (data::iris().x, 2, 1)] {
        agrees(&IncrementalPca::new(k).batch(batch).fit(&x)?, &x, k, 1e-8)?;
    }
    Ok(())
}

// (43)
#[test]
fn signs_stay_from_batch_to_batch() -> Result<(), Failure> {
    // loadings of which one is the largest by far
    let x = table(7, 500, 6) * &Array1::from(vec![32.0, 16.0, 8.0, 4.0, 2.0, 1.0]);
    let mut model = IncrementalPca::new(5).start(&x.slice(s![..50, ..]))?;
    for start in (50..500).step_by(50) {
        let before = model.pca()?.components().clone();
        model = model.partial_fit(&x.slice(s![start..start + 50, ..]))?;
        let same = (&before * model.pca()?.components()).sum_axis(Axis(1));
        assert!(same.iter().all(|&v| v > 0.9), "{same}");
    }
    Ok(())
}

#[test]
fn a_factor_that_keeps_the_rank_is_exact_and_one_that_does_not_is_near() -> Result<(), Failure> {
    let flat = table(1, 400, 6).dot(&decaying(2, 6, 40)) + 1e3;
    for batch in [1, 30, 400] {
        let model =
            IncrementalPca::new(3).summary(Summary::Truncated { extra: 3 }).batch(batch).fit(&flat)?;
        let whole = Pca::new().components(3).fit(&flat)?;
        let ratio = model.pca()?.explained_variance() / whole.explained_variance() - 1.0;
        assert!(ratio.iter().all(|v| v.abs() < 1e-9), "{batch}: {ratio:e}");
    }
    let x = decaying(3, 600, 30);
    let model = IncrementalPca::new(3).summary(Summary::Truncated { extra: 7 }).batch(50).fit(&x)?;
    let whole = Pca::new().components(3).fit(&x)?;
    let ratio = model.pca()?.explained_variance() / whole.explained_variance() - 1.0;
    assert!(ratio.iter().all(|v| v.abs() < 2e-3), "{ratio:e}");
    assert_relative_eq!(model.total_variance(), whole.total_variance(), max_relative = 1e-12);
    // chosen by the number of columns
    let wide = table(4, 40, 5000);
    let model = IncrementalPca::new(2).batch(10).fit(&wide)?;
    assert_eq!(model.pca()?.route(), Route::Svd);
    let whole = Pca::new().components(2).fit(&wide)?;
    assert_relative_eq!(model.total_variance(), whole.total_variance(), max_relative = 1e-12);
    assert!(model.pca()?.explained_variance()[0] <= whole.explained_variance()[0] * (1.0 + 1e-9));
    Ok(())
}

#[test]
fn a_stream_that_is_saved_goes_on_with_the_same_bits() -> Result<(), Failure> {
    let (x, folder) = (decaying(5, 90, 6), tempfile::tempdir()?);
    for summary in [Summary::Scatter, Summary::Truncated { extra: 2 }] {
        let half = IncrementalPca::new(2).summary(summary).start(&x.slice(s![..40, ..]))?;
        let path = folder.path().join("stream");
        half.save(&path)?;
        let loaded = IncrementalPcaModel::<f64>::load(&path)?.partial_fit(&x.slice(s![40.., ..]))?;
        let whole = half.partial_fit(&x.slice(s![40.., ..]))?;
        assert_eq!(loaded.transform(&x)?, whole.transform(&x)?);
        contract::check_sampler(&whole);
        assert_eq!(loaded.sample(3, Seed::new(1))?, whole.sample(3, Seed::new(1))?);
    }
    Ok(())
}

#[test]
fn too_few_rows_and_bad_input_are_named() -> Result<(), Failure> {
    let x = table(1, 6, 4);
    let named = |spec: IncrementalPca| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(IncrementalPca::new(0)), "components");
    assert_eq!(named(IncrementalPca::new(5)), "components");
    assert_eq!(named(IncrementalPca::new(2).batch(0)), "batch");
    assert!(matches!(
        IncrementalPca::new(3).fit(&x.slice(s![..2, ..])),
        Err(Error::TooFewRows { needed: 3, found: 2, .. })
    ));
    // a stream may begin with fewer rows than components: only its components must wait
    let young = IncrementalPca::new(3).start(&x.slice(s![..1, ..]))?;
    assert!(matches!(young.transform(&x), Err(Error::TooFewRows { needed: 3, found: 1, .. })));
    assert_eq!(young.total_variance(), 0.0);
    assert_eq!(young.clone().partial_fit(&x.slice(s![1.., ..]))?.transform(&x)?.dim(), (6, 3));
    assert!(matches!(young.clone().partial_fit(&table(1, 2, 3)), Err(Error::Shape { .. })));
    let mut bad = x.clone();
    bad[[2, 1]] = f64::NAN;
    assert!(matches!(young.partial_fit(&bad), Err(Error::NonFinite { row: 2, column: 1, .. })));
    // an observer that breaks gets the batches so far, once they have components
    let mut batches = 0;
    let mut stop = |event: &Event<'_>| {
        if let Event::Progress { .. } = event {
            batches += 1;
            return std::ops::ControlFlow::Break(());
        }
        std::ops::ControlFlow::Continue(())
    };
    let model = IncrementalPca::new(3).batch(1).fit_observed(&x, &mut stop)?;
    assert_eq!((model.rows(), batches), (3, 3));
    assert_eq!(IncrementalPca::new(3).batch(1).fit_observed(&x, &mut Silent)?.rows(), 6);
    Ok(())
}

#[test]
fn one_row_one_column_and_a_column_that_is_constant() -> Result<(), Failure> {
    for summary in [Summary::Scatter, Summary::Truncated { extra: 2 }] {
        let spec = IncrementalPca::new(1).summary(summary).batch(7);
        let few = spec.fit(&table(1, 1, 5));
        assert!(matches!(few, Err(Error::TooFewRows { needed: 2, found: 1, .. })), "{few:?}");
        let column = table(2, 30, 1) + 1e3;
        let model = spec.fit(&column)?;
        assert_eq!(model.pca()?.components()[[0, 0]].abs(), 1.0);
        assert_relative_eq!(
            model.pca()?.explained_variance()[0],
            column.var_axis(Axis(0), 1.0)[0],
            max_relative = 1e-9
        );
        let mut x = decaying(3, 40, 4);
        x.column_mut(2).fill(7.3);
        let model = spec.fit(&x)?;
        assert!(model.pca()?.components().column(2).iter().all(|v| v.abs() < 1e-12));
        let rebuilt = model.inverse_transform(&model.transform(&x)?)?;
        assert!(rebuilt.column(2).iter().all(|v| (v - 7.3).abs() < 1e-12));
        // nothing but that column: a variance of zero along any direction
        let constant = Array2::from_elem((9, 3), 7.3_f64);
        let model = spec.fit(&constant)?;
        assert!(
            model.total_variance() < 1e-24 && model.transform(&constant)?.iter().all(|v| v.abs() < 1e-12)
        );
    }
    Ok(())
}
