//! Procrustes alignment, statistical shape models and eigen-images: oracles, invariants, bad input by name.

use ndarray::{Array1, Array2, Array3, Axis, array, s};
use proptest::prelude::*;
use serde_json::Value;
use std::ops::ControlFlow;
use unsup_core::contract;
use unsup_core::estimator::{AnomalyScore, Fit, InverseTransform, Sample, Transform};
use unsup_core::observe::{Event, Stop};
use unsup_core::store::Persist;
use unsup_core::{Error, Seed, data};
use unsup_decomposition::shape::{
    EigenImages, EigenImagesModel, Procrustes, StatisticalShape, StatisticalShapeModel, quality,
};

fn oracle() -> Value {
    serde_json::from_str(include_str!("../../../../oracles/shape.json")).expect("oracles/shape.json")
}

/// Random shapes: a common one, and noise of this size.
fn shapes(n: usize, landmarks: usize, dimensions: usize, noise: f64, seed: u64) -> Array3<f64> {
    let common = Seed::new(seed).named("common").normals(landmarks * dimensions);
    let z = Seed::new(seed).named("noise").normals(n * landmarks * dimensions);
    Array3::from_shape_fn((n, landmarks, dimensions), |(i, l, j)| {
        let at = l * dimensions + j;
        common[at] + noise * z[i * landmarks * dimensions + at]
    })
}

/// A proper rotation of two or three dimensions.
fn rotation(dimensions: usize, angles: [f64; 3]) -> Array2<f64> {
    let plane = |a: usize, b: usize, angle: f64| {
        let mut r = Array2::eye(dimensions);
        (r[[a, a]], r[[b, b]], r[[a, b]], r[[b, a]]) = (angle.cos(), angle.cos(), angle.sin(), -angle.sin());
        r
    };
    match dimensions {
        2 => plane(0, 1, angles[0]),
        _ => plane(0, 1, angles[0]).dot(&plane(1, 2, angles[1])).dot(&plane(0, 2, angles[2])),
    }
}

/// Every shape in a pose of its own.
fn posed(shapes: &Array3<f64>, seed: u64, scaling: bool) -> Array3<f64> {
    let mut out = shapes.clone();
    for (i, mut shape) in out.axis_iter_mut(Axis(0)).enumerate() {
        let z = Seed::new(seed).named("pose").indexed(i).normals(7);
        let d = shape.ncols();
        let scale = if scaling { (0.5 * z[3]).exp() } else { 1.0 };
        let moved = shape.dot(&rotation(d, [z[0], z[1], z[2]])) * scale + &Array1::from(z[4..4 + d].to_vec());
        shape.assign(&moved);
    }
    out
}

fn greatest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, |m, v| m.max(v.abs()))
}

#[test]
fn ordinary_alignment_is_that_of_scipy() {
    let (oracle, hands) = (oracle(), data::hands_3d().joints);
    let free = Procrustes::new().reflections(true);
    for pair in oracle["pairs"].as_array().expect("pairs") {
        let [a, b] =
            ["a", "b"].map(|name| hands.index_axis(Axis(0), pair[name].as_u64().expect("index") as usize));
        let disparity = free.disparity(&a, &b).expect("hands");
        assert!((disparity - pair["disparity"].as_f64().expect("number")).abs() < 1e-10);
        let pose = free.align(&b, &a).expect("hands");
        assert!((pose.scale() - pair["scale"].as_f64().expect("number")).abs() < 1e-10);
        for ((i, j), value) in pose.rotation().indexed_iter() {
            assert!((value - pair["rotation"][i][j].as_f64().expect("number")).abs() < 1e-10);
        }
    }
}

#[test]
fn the_generalized_mean_and_the_modes_are_those_of_numpy() {
    let oracle = &oracle()["generalized"];
    let hands = data::hands_3d().joints;
    let aligned = Procrustes::new().max_iterations(1000).tolerance(0.0).fit(&hands).expect("hands");
    let squares = aligned.history().objective().last().copied().expect("an iteration");
    assert!((squares - oracle["squares"].as_f64().expect("number")).abs() < 1e-10);
    let spec = StatisticalShape::new().procrustes(Procrustes::new().max_iterations(1000).tolerance(0.0));
    let model = spec.components(20).fit(&hands).expect("hands");
    for (ours, theirs) in model.variances().iter().zip(oracle["variances"].as_array().expect("variances")) {
        let theirs = theirs.as_f64().expect("number");
        assert!((ours - theirs).abs() <= 1e-8 * model.variances()[0], "{ours} {theirs}");
    }
}

#[test]
fn a_mirrored_shape_is_another_one_unless_reflections_are_allowed() {
    let hand = data::hands_3d().joints.index_axis(Axis(0), 3).to_owned();
    let mirrored = &hand * &array![-1.0, 1.0, 1.0];
    assert!(Procrustes::new().disparity(&hand, &mirrored).expect("hands") > 0.01);
    assert!(Procrustes::new().reflections(true).disparity(&hand, &mirrored).expect("hands") < 1e-20);
    let pose = Procrustes::new().reflections(true).align(&hand, &mirrored).expect("hands");
    assert!(greatest((pose.apply(&hand) - &mirrored).into_iter()) < 1e-12);
}

/// Of a 3 × 3 matrix.
fn determinant(r: &Array2<f64>) -> f64 {
    let minor = |a: usize, b: usize| r[[1, a]] * r[[2, b]] - r[[1, b]] * r[[2, a]];
    r[[0, 0]] * minor(1, 2) - r[[0, 1]] * minor(0, 2) + r[[0, 2]] * minor(0, 1)
}

#[test]
fn a_mirrored_member_of_a_population_stays_apart_unless_reflections_are_allowed() {
    let hands = data::hands_3d().joints;
    let with_mirrored = |member: usize| {
        let mut population = hands.clone();
        population.index_axis_mut(Axis(0), member).column_mut(0).mapv_inplace(|x| -x);
        population
    };
    let population = with_mirrored(7);
    // it is turned as near to the mean as it comes, which is farther than it lies unmirrored, and adds to the variance
    let distance = |shapes: &Array3<f64>| {
        let aligned = Procrustes::new().fit(shapes).expect("hands");
        assert!(aligned.poses().iter().all(|pose| determinant(pose.rotation()) > 0.0));
        (&aligned.aligned().index_axis(Axis(0), 7) - aligned.mean()).mapv(|v| v * v).sum()
    };
    assert!(distance(&population) > 1.1 * distance(&hands), "{} {}", distance(&population), distance(&hands));
    let spec = StatisticalShape::new().components(5).unlimited();
    let (plain, mixed) = (spec.fit(&hands).expect("hands"), spec.fit(&population).expect("hands"));
    assert!(mixed.total_variance() > plain.total_variance());
    // mirrored back it is as if it had never been mirrored; only its pose tells
    let free = Procrustes::new().reflections(true).tolerance(0.0).max_iterations(1000);
    let (plain, mixed) = (free.fit(&hands).expect("hands"), free.fit(&population).expect("hands"));
    let extent = greatest(plain.mean().iter().copied());
    assert!(greatest((plain.aligned() - mixed.aligned()).into_iter()) < 1e-6 * extent);
    for (i, (a, b)) in plain.poses().iter().zip(mixed.poses()).enumerate() {
        let turned_over = determinant(a.rotation()) * determinant(b.rotation()) < 0.0;
        assert_eq!(turned_over, i == 7, "{i}");
    }
    let spec = spec.procrustes(free.clone());
    let (plain, mixed) = (spec.fit(&hands).expect("hands"), spec.fit(&population).expect("hands"));
    assert!(greatest((plain.variances() - mixed.variances()).into_iter()) < 1e-6 * plain.variances()[0]);
    let hand = |of: &Array3<f64>| plain.fit_shape(&of.index_axis(Axis(0), 7)).expect("a hand").rms;
    assert!((hand(&hands) - hand(&population)).abs() < 1e-6 * extent);
    // the first shape says which side all are brought to
    let first = free.fit(&with_mirrored(0)).expect("hands");
    let mirrored = free.fit(&hands).expect("hands").mean() * &array![-1.0, 1.0, 1.0];
    assert!(greatest((first.mean() - &mirrored).into_iter()) < 1e-6 * extent);
}

#[test]
fn an_interrupted_alignment_keeps_what_it_has() {
    let hands = data::hands_3d().joints;
    let mut once = |event: &Event<'_>| match event {
        Event::Progress { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let model = Procrustes::new().fit_observed(&hands, &mut once).expect("hands");
    assert_eq!((model.history().stop(), model.history().iterations()), (Stop::Interrupted, 1));
    assert_eq!(model.poses().len(), 53);
}

#[test]
fn bad_shapes_are_named() {
    let good = shapes(4, 5, 2, 0.1, 1);
    let fit = |shapes: &Array3<f64>| Procrustes::new().fit(shapes).map(|_| ()).expect_err("bad shapes");
    let mut one_is_a_point = good.clone();
    one_is_a_point.index_axis_mut(Axis(0), 2).fill(3.7);
    assert!(matches!(fit(&one_is_a_point), Error::Value { what: "shapes", index: 2, .. }));
    let mut holed = good.clone();
    holed[[1, 3, 1]] = f64::NAN;
    assert!(matches!(fit(&holed), Error::NonFinite { row: 1, column: 7, .. }));
    assert!(matches!(fit(&Array3::zeros((0, 5, 2))), Error::Empty { .. }));
    assert!(matches!(fit(&Array3::zeros((3, 1, 2))), Error::Shape { .. }));
    assert!(matches!(fit(&Array3::zeros((3, 4, 1))), Error::Shape { .. }));
    let none = Procrustes::new().max_iterations(0).fit(&good).expect_err("no iterations");
    assert!(matches!(none, Error::Parameter { name: "max_iterations", .. }));
    let nan = Procrustes::new().tolerance(f64::NAN).fit(&good).expect_err("NaN");
    assert!(matches!(nan, Error::Parameter { name: "tolerance", .. }));
    let a = good.index_axis(Axis(0), 0);
    let short = a.slice(s![..4, ..]);
    assert!(matches!(Procrustes::new().align(&a, &short), Err(Error::Shape { .. })));

    let one = StatisticalShape::new().fit(&good.slice(s![..1, .., ..])).expect_err("one shape");
    assert!(matches!(one, Error::TooFewRows { .. }));
    let limit = StatisticalShape::new().limit(0.0).fit(&good).expect_err("limit 0");
    assert!(matches!(limit, Error::Parameter { name: "limit", .. }));
    let model = StatisticalShape::new().fit(&good).expect("good shapes");
    assert!(matches!(model.fit_shape(&short), Err(Error::Shape { .. })));
    assert!(matches!(model.fit_shape(&Array2::<f64>::ones((5, 2))), Err(Error::Value { .. })));
    assert!(matches!(model.mode(99, 1.0), Err(Error::Parameter { name: "m", .. })));
    assert!(matches!(model.mode(0, f64::NAN), Err(Error::Parameter { name: "deviations", .. })));
    for (modes, samples, name) in [(0, 1, "modes"), (3, 1, "modes"), (1, 0, "samples")] {
        let error = quality(&StatisticalShape::new(), &good, modes, samples, 0).expect_err("bad parameter");
        assert!(matches!(error, Error::Parameter { name: found, .. } if found == name));
    }
}

#[test]
fn landmarks_that_coincide_are_fine_while_others_do_not() {
    let mut twins = shapes(6, 5, 3, 0.1, 4);
    let first = twins.slice(s![.., 0, ..]).to_owned();
    twins.slice_mut(s![.., 1, ..]).assign(&first);
    let model = StatisticalShape::new().fit(&twins).expect("two landmarks coincide");
    for mode in model.modes().axis_iter(Axis(0)).take(2) {
        assert!(greatest((&mode.row(0) - &mode.row(1)).into_iter()) < 1e-10);
    }
}

#[test]
fn the_same_shape_in_many_poses_has_no_modes() {
    let one = shapes(1, 6, 3, 0.0, 9);
    let many = posed(&Array3::from_shape_fn((8, 6, 3), |(_, l, j)| one[[0, l, j]]), 5, true);
    let model = StatisticalShape::new().fit(&many).expect("shapes");
    assert!(model.variances()[0] < 1e-24 * model.mean().iter().map(|v| v * v).sum::<f64>());
    let fitted = model.fit_shape(&many.index_axis(Axis(0), 3)).expect("a training shape");
    assert!(fitted.coefficients.iter().all(|&b| b == 0.0) && fitted.rms < 1e-12);
}

#[test]
fn samples_are_plausible_and_normal_within_the_limit() {
    let spec = StatisticalShape::new().components(3).procrustes(Procrustes::new().scaling(false));
    let hands = data::hands_3d().joints;
    for limit in [3.0, 1.0, 0.1] {
        let model = spec.clone().limit(limit).fit(&hands).expect("hands");
        contract::check_sampler(&model);
        let drawn = model.sample(2000, Seed::new(3)).expect("samples");
        assert_eq!(drawn, model.sample(2000, Seed::new(3)).expect("samples"));
        // coefficients in the model's frame, where the samples lie
        let codes: Vec<f64> = drawn
            .axis_iter(Axis(0))
            .map(|shape| {
                let along: f64 = (&shape - model.mean())
                    .iter()
                    .zip(model.modes().index_axis(Axis(0), 0))
                    .map(|(a, b)| a * b)
                    .sum();
                along / model.variances()[0].sqrt()
            })
            .collect();
        assert!(greatest(codes.iter().copied()) <= limit * (1.0 + 1e-9));
        let variance = codes.iter().map(|z| z * z).sum::<f64>() / 2000.0;
        // of a normal number cut off at the limit
        let expected = [(3.0, 0.973), (1.0, 0.291), (0.1, 0.003_33)]
            .iter()
            .find(|(l, _)| *l == limit)
            .expect("a case")
            .1;
        assert!((variance / expected - 1.0).abs() < 0.1, "{limit}: {variance}, expected {expected}");
    }
}

#[test]
fn models_are_saved_and_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let hands = data::hands_3d().joints;
    for spec in [StatisticalShape::new().components(5), StatisticalShape::new().variance(0.9).unlimited()] {
        let model = spec.fit(&hands).expect("hands");
        let path = folder.path().join("shape");
        model.save(&path).expect("saved");
        assert_eq!(StatisticalShapeModel::load(&path).expect("loaded"), model);
        assert!(matches!(EigenImagesModel::<f64>::load(&path), Err(Error::File { .. })));
    }
    let images = data::digits().x.into_shape_with_order((1797, 8, 8)).expect("digits");
    let model = EigenImages::new().components(7).fit(&images).expect("digits");
    let path = folder.path().join("images");
    model.save(&path).expect("saved");
    assert_eq!(EigenImagesModel::<f64>::load(&path).expect("loaded"), model);
    let record = model.to_record().expect("a record").value("image", &[9, 8]).expect("a value");
    assert!(matches!(EigenImagesModel::<f64>::from_record(&record), Err(Error::File { .. })));
}

#[test]
fn quality_curves_are_what_their_definitions_say() {
    let hands = data::hands_3d().joints;
    let curves = quality(&StatisticalShape::new(), &hands, 10, 40, 1).expect("hands");
    assert!(curves.compactness.windows(2).into_iter().all(|w| w[0] <= w[1]) && curves.compactness[9] <= 1.0);
    // by hand: the ninth hand against the model of the others with two modes
    let others: Vec<usize> = (0..53).collect();
    let errors: Vec<f64> = (0..53)
        .map(|i| {
            let rest: Vec<usize> = others.iter().copied().filter(|&j| j != i).collect();
            let model =
                StatisticalShape::new().components(2).fit(&hands.select(Axis(0), &rest)).expect("hands");
            model.fit_shape(&hands.index_axis(Axis(0), i)).expect("a hand").rms
        })
        .collect();
    let mean = errors.iter().sum::<f64>() / 53.0;
    assert!((curves.generalization[1] - mean).abs() < 1e-9 * mean);
    assert!(curves.generalization[9] < curves.generalization[0]);
    assert!(curves.specificity.iter().all(|v| *v > 0.0) && curves.specificity[9] > curves.specificity[0]);
}

#[test]
fn eigen_images_are_the_components_of_the_pixels() {
    let digits = data::digits();
    let images = digits.x.clone().into_shape_with_order((1797, 8, 8)).expect("digits");
    let model = EigenImages::new().fit(&images).expect("digits");
    // with every component the image itself, with none the mean
    let all = model.reconstruct(&images, 64).expect("digits");
    assert!(greatest((&all - &images).into_iter()) < 1e-9);
    let none = model.reconstruct(&images.slice(s![..2, .., ..]), 0).expect("digits");
    assert!(greatest((&none.index_axis(Axis(0), 1) - &model.mean()).into_iter()) < 1e-12);
    // the squared difference left by k components is the variance of the others
    for k in [1, 10, 30] {
        let left: f64 =
            (&model.reconstruct(&images, k).expect("digits") - &images).iter().map(|v| v * v).sum();
        let others: f64 = model.pca().explained_variance().iter().skip(k).sum::<f64>() * 1796.0;
        assert!((left / others - 1.0).abs() < 1e-9);
    }
    let step = model.mode(2, 1.5).expect("a mode") - model.mean();
    let length = step.iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!((length - 1.5 * model.pca().explained_variance()[2].sqrt()).abs() < 1e-9);
    assert!(matches!(model.mode(64, 1.0), Err(Error::Parameter { name: "m", .. })));
    assert!(matches!(model.transform(&Array3::<f64>::zeros((2, 4, 16))), Err(Error::Shape { .. })));
    let scores = model.anomaly_score(&images).expect("digits");
    assert!(greatest(scores.into_iter()) < 1e-18);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn poses_do_not_matter(n in 2usize..8, landmarks in 3usize..9, dimensions in 2usize..4, seed in any::<u64>()) {
        let plain = shapes(n, landmarks, dimensions, 0.2, seed);
        let moved = posed(&plain, seed, true);
        let spec = Procrustes::new().tolerance(0.0).max_iterations(300);
        let (a, b) = (spec.fit(&plain).expect("shapes"), spec.fit(&moved).expect("shapes"));
        let last = |model: &unsup_decomposition::ProcrustesModel| model.history().objective().last().copied().expect("an iteration");
        prop_assert!((last(&a) - last(&b)).abs() < 1e-6, "{} {}", last(&a), last(&b));
    }

    #[test]
    fn the_sum_of_squares_never_rises_and_poses_give_the_aligned_shapes(
        n in 1usize..8, landmarks in 2usize..9, dimensions in 2usize..4, scaling in any::<bool>(), reflections in any::<bool>(), seed in any::<u64>(),
    ) {
        let moved = posed(&shapes(n, landmarks, dimensions, 0.5, seed), seed, true);
        let model = Procrustes::new().scaling(scaling).reflections(reflections).fit(&moved).expect("shapes");
        for pair in model.history().objective().windows(2) {
            prop_assert!(pair[1] <= pair[0] * (1.0 + 1e-12) + 1e-14 * n as f64, "{pair:?}");
        }
        for ((pose, shape), aligned) in model.poses().iter().zip(moved.axis_iter(Axis(0))).zip(model.aligned().axis_iter(Axis(0))) {
            prop_assert!(greatest((pose.apply(&shape) - aligned).into_iter()) < 1e-9);
            prop_assert!(scaling || (pose.scale() - 1.0).abs() < 1e-12);
        }
        let mean = model.aligned().mean_axis(Axis(0)).expect("shapes");
        prop_assert!(greatest((&mean - model.mean()).into_iter()) < 1e-10);
    }

    #[test]
    fn a_pose_is_the_best_one_and_is_undone_by_its_inverse(
        landmarks in 3usize..9, dimensions in 2usize..4, seed in any::<u64>(), angle in -0.3f64..0.3, stretch in 0.8f64..1.25,
    ) {
        let two = shapes(2, landmarks, dimensions, 1.0, seed);
        let (a, b) = (two.index_axis(Axis(0), 0), two.index_axis(Axis(0), 1));
        let pose = Procrustes::new().align(&a, &b).expect("shapes");
        let moved = pose.apply(&a);
        let cost = |x: &Array2<f64>| (x - &b).iter().map(|v| v * v).sum::<f64>();
        let centre = b.mean_axis(Axis(0)).expect("landmarks");
        let other = (&moved - &centre).dot(&rotation(dimensions, [angle, 0.5 * angle, -angle])) * stretch + &centre;
        prop_assert!(cost(&moved) <= cost(&other) * (1.0 + 1e-12));
        if pose.scale() > 1e-6 {
            prop_assert!(greatest((pose.inverse().apply(&moved) - a).into_iter()) < 1e-7);
        }
    }

    #[test]
    fn a_training_shape_is_fitted_exactly_in_any_pose_and_fits_never_get_worse(
        n in 3usize..8, landmarks in 4usize..9, dimensions in 2usize..4, seed in any::<u64>(),
    ) {
        let training = posed(&shapes(n, landmarks, dimensions, 0.1, seed), seed, true);
        let model = StatisticalShape::new().unlimited().procrustes(Procrustes::new().tolerance(0.0)).fit(&training).expect("shapes");
        let again = posed(&training, !seed, true);
        for shape in again.axis_iter(Axis(0)) {
            let fitted = model.fit_shape(&shape).expect("a training shape");
            for pair in fitted.residuals.windows(2) {
                prop_assert!(pair[1] <= pair[0] * (1.0 + 1e-9) + 1e-20, "{pair:?}");
            }
            let size = shape.iter().map(|v| v * v).sum::<f64>().sqrt();
            prop_assert!(fitted.rms < 1e-5 * size, "rms {} of {size}", fitted.rms);
        }
    }

    #[test]
    fn an_implausible_shape_is_held_within_the_limit(seed in any::<u64>(), limit in 0.1f64..3.0) {
        let training = shapes(6, 6, 2, 0.1, seed);
        let model = StatisticalShape::new().components(3).limit(limit).fit(&training).expect("shapes");
        let far = shapes(1, 6, 2, 1.0, !seed);
        let fitted = model.fit_shape(&far.index_axis(Axis(0), 0)).expect("a shape");
        prop_assert!(fitted.coefficients.iter().all(|b| b.abs() <= limit));
        let rebuilt = model.inverse_transform(&fitted.coefficients.clone().insert_axis(Axis(0))).expect("coefficients");
        let back = fitted.pose.inverse().apply(&rebuilt.index_axis(Axis(0), 0));
        prop_assert!(greatest((back - &fitted.shape).into_iter()) < 1e-9);
    }

    #[test]
    fn codes_of_shapes_in_the_models_frame_come_back(seed in any::<u64>()) {
        let training = shapes(8, 7, 3, 0.05, seed);
        let model = StatisticalShape::new().components(2).unlimited().fit(&training).expect("shapes");
        let z = Array2::from_shape_vec((3, 2), Seed::new(seed).normals(6)).expect("codes");
        let drawn = model.inverse_transform(&z).expect("codes");
        let fitted = model.anomaly_score(&drawn).expect("shapes");
        let size: f64 = model.mean().iter().map(|v| v * v).sum();
        prop_assert!(greatest(fitted.into_iter()) < 1e-10 * size);
        prop_assert_eq!(model.transform(&drawn).expect("shapes").dim(), (3, 2));
    }
}
