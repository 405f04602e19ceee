//! The estimator contract of shapes and images: layouts, threads, element types, files, bad input, interruption.

use ndarray::{Array2, Array3, ArrayRef2, ArrayView3, Axis, ShapeBuilder, concatenate, s};
use std::ops::ControlFlow;
use unsup_core::contract::{self, Questions};
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, Transform};
use unsup_core::observe::{Event, Observer};
use unsup_core::store::Persist;
use unsup_core::{Error, Float, Result, data};
use unsup_decomposition::shape::{
    EigenImages, EigenImagesModel, Procrustes, StatisticalShape, StatisticalShapeModel, quality,
};
use unsup_decomposition::{Pca, Route};

type Failure = Box<dyn std::error::Error>;

/// Images one pixel wide, which are rows of a table in the table's own layout: what the contract of tables can be asked of.
struct Narrow(EigenImages);

impl<F: Float> Fit<ArrayRef2<F>> for Narrow {
    type Model = EigenImagesModel<F>;

    fn fit_observed(&self, x: &ArrayRef2<F>, observer: &mut dyn Observer) -> Result<EigenImagesModel<F>> {
        self.0.fit_observed(&images(x), observer)
    }
}

fn images<F: Float>(x: &ArrayRef2<F>) -> ArrayView3<'_, F> {
    x.view().insert_axis(Axis(2))
}

fn questions<F: Float>() -> Questions<EigenImagesModel<F>, F> {
    Questions {
        answer: |model, x| {
            let codes = model.transform(&images(x))?;
            let rebuilt = model.inverse_transform(&codes)?.index_axis_move(Axis(2), 0).mapv(|v| v.f64());
            let (codes, scores) = (codes.mapv(|v| v.f64()), model.anomaly_score(&images(x))?);
            let parts = [codes.view(), rebuilt.view(), scores.view().insert_axis(Axis(1))];
            Ok(concatenate(Axis(1), &parts).unwrap_or_default())
        },
        history: |_| None,
    }
}

#[test]
fn eigen_images_keep_the_estimator_contract() {
    let randomized = EigenImages::new().pca(Pca::new().components(2).route(Route::RANDOMIZED).seed(4));
    for spec in [EigenImages::new().components(2), EigenImages::new().variance(0.9), randomized] {
        contract::check(&Narrow(spec), &data::iris().x, 2e-5, &questions(), &questions());
    }
}

/// The same numbers in other orders of memory: column by column, and with gaps.
fn layouts(x: &Array3<f64>) -> [Array3<f64>; 2] {
    let mut columns = Array3::zeros(x.raw_dim().f());
    columns.assign(x);
    let (n, landmarks, dimensions) = x.dim();
    let mut wide = Array3::zeros((n, landmarks, 2 * dimensions));
    wide.slice_mut(s![.., .., ..;2]).assign(x);
    [columns, wide.slice_move(s![.., .., ..;2])]
}

#[test]
fn any_layout_and_number_of_threads_give_the_same_bits() -> Result<(), Failure> {
    let hands = data::hands_3d().joints;
    let spec = StatisticalShape::new().components(8);
    let everything = |x: &Array3<f64>| -> Result<_> {
        let (aligned, model) = (Procrustes::new().fit(x)?, spec.fit(x)?);
        let shapes = (aligned.aligned().clone(), aligned.mean().clone(), aligned.poses().to_vec());
        let fitted = model.fit_shape(&x.index_axis(Axis(0), 5))?;
        Ok((shapes, model.transform(x)?, model.anomaly_score(x)?, fitted, model))
    };
    let expected = everything(&hands)?;
    for x in layouts(&hands) {
        assert_eq!(x, hands);
        assert!(everything(&x)? == expected, "layout changes an answer");
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        assert!(pool.install(|| everything(&hands))? == expected, "{threads} threads give other bits");
    }
    let digits = data::digits().x.into_shape_with_order((1797, 8, 8))?;
    let model = EigenImages::new().components(5).fit(&digits)?;
    for x in layouts(&digits) {
        assert_eq!(EigenImages::new().components(5).fit(&x)?, model);
        assert_eq!(model.transform(&x)?, model.transform(&digits)?);
    }
    Ok(())
}

#[test]
fn single_precision_is_widened() -> Result<(), Failure> {
    let single = data::hands_3d().joints.mapv(|v| v as f32);
    let double = single.mapv(f64::from);
    let (of_single, of_double) = (Procrustes::new().fit(&single)?, Procrustes::new().fit(&double)?);
    assert_eq!(of_single.aligned(), of_double.aligned());
    let spec = StatisticalShape::new().components(8);
    let model = spec.fit(&single)?;
    assert_eq!(model, spec.fit(&double)?);
    assert_eq!(model.transform(&single)?, model.transform(&double)?);
    let hand = |i| (single.index_axis(Axis(0), i), double.index_axis(Axis(0), i));
    assert_eq!(model.fit_shape(&hand(3).0)?, model.fit_shape(&hand(3).1)?);
    Ok(())
}

#[test]
fn empty_shapes_and_values_that_are_not_finite_are_named() -> Result<(), Failure> {
    let hands = data::hands_3d().joints;
    let (alignment, spec) = (Procrustes::new(), StatisticalShape::new().components(4));
    let model = spec.fit(&hands)?;
    let answers = |x: &Array3<f64>| {
        [
            alignment.fit(x).err(),
            spec.fit(x).err(),
            model.transform(x).err(),
            model.anomaly_score(x).err(),
            quality(&spec, x, 2, 3, 0).err(),
        ]
    };
    for shape in [(0, 22, 3), (4, 0, 3), (4, 22, 0), (0, 0, 0)] {
        let found = answers(&Array3::zeros(shape));
        assert!(found.iter().all(|e| matches!(e, Some(Error::Empty { .. }))), "{shape:?}: {found:?}");
    }
    for shape in [(0, 3), (22, 0), (0, 0)] {
        let nothing = Array2::<f64>::zeros(shape);
        assert!(matches!(model.fit_shape(&nothing), Err(Error::Empty { .. })), "{shape:?}");
        assert!(matches!(alignment.align(&nothing, &nothing), Err(Error::Empty { .. })), "{shape:?}");
        assert!(matches!(alignment.disparity(&nothing, &nothing), Err(Error::Empty { .. })), "{shape:?}");
    }
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut with = hands.clone();
        with[[52, 21, 2]] = bad;
        let found = answers(&with);
        let named = |e: &Option<Error>| matches!(e, Some(Error::NonFinite { row: 52, column: 65, .. }));
        assert!(found.iter().all(named), "{bad}: {found:?}");
        let (hand, last) = (hands.index_axis(Axis(0), 0), with.index_axis(Axis(0), 52));
        let named = |e: Option<Error>| matches!(e, Some(Error::NonFinite { column: 65, .. }));
        assert!(named(model.fit_shape(&last).err()));
        assert!(named(alignment.align(&last, &hand).err()) && named(alignment.disparity(&hand, &last).err()));
        let codes = Array2::from_elem((1, 4), bad);
        assert!(matches!(
            model.inverse_transform(&codes),
            Err(Error::NonFinite { what: "z", row: 0, column: 0, .. })
        ));
    }
    Ok(())
}

#[test]
fn a_model_file_that_is_cut_off_is_an_error() -> Result<(), Failure> {
    let model = StatisticalShape::new().components(4).fit(&data::hands_3d().joints)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("shape");
    model.save(&path)?;
    let whole = std::fs::read(&path)?;
    for length in [0, 7, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length])?;
        assert!(matches!(StatisticalShapeModel::load(&path), Err(Error::File { .. })), "{length} bytes");
    }
    Ok(())
}

#[test]
fn an_interrupted_shape_model_is_that_of_the_iterations_so_far() -> Result<(), Failure> {
    let hands = data::hands_3d().joints;
    let mut at_once = |event: &Event<'_>| match event {
        Event::Progress { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let interrupted = StatisticalShape::new().components(4).fit_observed(&hands, &mut at_once)?;
    let once = Procrustes::new().max_iterations(1);
    let expected = StatisticalShape::new().components(4).procrustes(once).fit(&hands)?;
    assert_eq!((interrupted.mean(), interrupted.modes()), (expected.mean(), expected.modes()));
    assert!(interrupted.transform(&hands)?.iter().all(|v| v.is_finite()));
    Ok(())
}
