//! Hidden Markov random fields: the mixture at coupling 0, a phantom with noise, bad input by name.

use approx::assert_relative_eq;
use ndarray::{Array2, Array3, Array4, Axis, array};
use proptest::prelude::*;
use std::ops::ControlFlow;
use unsup_clustering::segmentation::Image;
use unsup_clustering::{Covariance, GaussianMixture, HiddenMarkovRandomField, HiddenMarkovRandomFieldModel};
use unsup_core::estimator::{Fit, Predict};
use unsup_core::observe::{Event, Silent, Stop};
use unsup_core::store::Persist;
use unsup_core::{Error, Seed, data, metrics};

type Failure = Box<dyn std::error::Error>;

/// Three nested ellipsoids with intensities 0, 1, 2 and noise of this standard deviation; the mask leaves a margin. Returns the
/// volume, the mask and the truth (1, 2, 3 inside).
fn phantom(shape: [usize; 3], noise: f64, seed: u64) -> (Array3<f64>, Array3<bool>, Array3<usize>) {
    let centre = shape.map(|s| (s as f64 - 1.0) / 2.0);
    let radius = |(z, y, x): (usize, usize, usize)| {
        let scaled = |at: usize, axis: usize| {
            if shape[axis] == 1 { 0.0 } else { (at as f64 - centre[axis]) / centre[axis] }
        };
        (scaled(z, 0).powi(2) + scaled(y, 1).powi(2) + scaled(x, 2).powi(2)).sqrt()
    };
    let truth = Array3::from_shape_fn(shape, |at| match radius(at) {
        r if r < 0.35 => 3,
        r if r < 0.65 => 2,
        r if r < 0.95 => 1,
        _ => 0,
    });
    let mut normals = Seed::new(seed).normals(truth.len()).into_iter();
    let volume = truth.mapv(|t| t as f64 - 1.0 + noise * normals.next().unwrap_or(0.0));
    let mask = truth.mapv(|t| t > 0);
    (volume, mask, truth)
}

fn accuracy(
    image: &Image<f64>,
    labels: &ndarray::Array1<usize>,
    truth: &Array3<usize>,
) -> Result<f64, Failure> {
    let painted = image.paint(labels)?;
    let inside = truth.iter().filter(|&&t| t > 0).count();
    let right = painted.iter().zip(truth).filter(|(p, t)| **t > 0 && p == t).count();
    Ok(right as f64 / inside as f64)
}

#[test]
fn in_a_noisy_phantom_the_field_beats_the_mixture_by_far_in_a_slice_and_in_a_volume() -> Result<(), Failure> {
    for (shape, coupling) in [([1, 90, 100], 0.8), ([24, 28, 26], 0.5)] {
        let (volume, mask, truth) = phantom(shape, 0.5, 4);
        let image = Image::volume(&volume, &mask)?;
        let mut shares = [0.0; 2];
        for (share, coupling) in shares.iter_mut().zip([0.0, coupling]) {
            let model = HiddenMarkovRandomField::new(3).coupling(coupling).seed(2).fit(&image)?;
            *share = accuracy(&image, &model.predict(&image)?, &truth)?;
            if coupling > 0.0 {
                for (mean, expected) in model.means().iter().zip([0.0, 1.0, 2.0]) {
                    assert!((mean - expected).abs() < 0.2, "{}", model.means());
                }
            }
        }
        assert!(shares[0] < 0.75 && shares[1] > 0.93, "{shape:?}: {shares:?}");
    }
    Ok(())
}

#[test]
fn without_coupling_it_is_the_mixture_iteration_by_iteration() -> Result<(), Failure> {
    let (volume, mask, _) = phantom([1, 40, 40], 0.4, 1);
    let image = Image::volume(&volume, &mask)?;
    for family in [Covariance::Full, Covariance::Tied, Covariance::Spherical] {
        // a mixture that is far from its end
        let start = GaussianMixture::new(3).covariance(family).max_iterations(1).seed(3);
        let first = start.fit(image.rows())?;
        for iterations in [1, 7] {
            let field = HiddenMarkovRandomField::new(3)
                .mixture(start.clone())
                .coupling(0.0)
                .max_iterations(iterations)
                .tolerance(0.0);
            let model = field.fit(&image)?;
            let on = start.clone().max_iterations(iterations).tolerance(0.0);
            let mixture = on.fit_from(&first, image.rows(), &mut Silent)?;
            for (a, b) in model.history().objective().iter().zip(mixture.history().objective()) {
                assert_relative_eq!(a, b, max_relative = 1e-10);
            }
            let mut order = [0, 1, 2];
            order.sort_by(|&a, &b| mixture.means()[[a, 0]].total_cmp(&mixture.means()[[b, 0]]));
            let matrices = mixture.covariance_matrices();
            for (c, &m) in order.iter().enumerate() {
                assert_relative_eq!(model.means()[[c, 0]], mixture.means()[[m, 0]], epsilon = 1e-9);
                assert_relative_eq!(model.weights()[c], mixture.weights()[m], epsilon = 1e-9);
                assert_relative_eq!(model.external_field()[c], mixture.weights()[m], epsilon = 1e-9);
                assert_relative_eq!(
                    model.covariance_matrices()[[c, 0, 0]],
                    matrices[[m, 0, 0]],
                    epsilon = 1e-9
                );
            }
            let shares = mixture.responsibilities(image.rows())?;
            let field = model.responsibilities(&image)?;
            for (c, &m) in order.iter().enumerate() {
                for (a, b) in field.column(c).iter().zip(shares.column(m)) {
                    assert!((a - b).abs() < 1e-7, "{a} {b}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn responsibilities_solve_the_mean_field_equations() -> Result<(), Failure> {
    // within a tile, and over several of them, which are updated only as long as something around them moves
    for shape in [[5, 9, 8], [6, 40, 44]] {
        let (volume, mask, _) = phantom(shape, 0.6, 8);
        let image = Image::volume(&volume, &mask)?;
        let model = HiddenMarkovRandomField::new(3).coupling(0.4).seed(1).fit(&image)?;
        let found = model.responsibilities(&image)?;
        // back on the grid, by painting the number of each site
        let site = image.paint(&ndarray::Array1::from_iter(0..found.nrows()))?;
        let covariances = model.covariance_matrices();
        let alpha = model.external_field().mapv(f64::ln);
        for ((z, y, x), &number) in site.indexed_iter().filter(|(_, s)| **s > 0) {
            let log_density = |c: usize| {
                let variance = covariances[[c, 0, 0]];
                -0.5 * (volume[[z, y, x]] - model.means()[[c, 0]]).powi(2) / variance - 0.5 * variance.ln()
            };
            let around =
                [(0, 1), (1, 1), (2, 1), (0, -1), (1, -1), (2, -1)].map(|(axis, step): (usize, isize)| {
                    let mut at = [z, y, x];
                    at[axis] = at[axis].wrapping_add_signed(step);
                    site.get(at).copied().unwrap_or(0)
                });
            let score = |c: usize| {
                let neighbours: f64 = around.iter().filter(|&&s| s > 0).map(|&s| found[[s - 1, c]]).sum();
                alpha[c] + 0.4 * neighbours + log_density(c)
            };
            let scores: Vec<f64> = (0..3).map(score).collect();
            let highest = scores.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = scores.iter().map(|s| (s - highest).exp()).sum();
            for c in 0..3 {
                let expected = (scores[c] - highest).exp() / total;
                assert!((found[[number - 1, c]] - expected).abs() < 1e-3, "{number}: {c}");
            }
        }
    }
    Ok(())
}

/// How many neighbours of a segmentation differ.
fn edges(image: &Image<f64>, model: &HiddenMarkovRandomFieldModel) -> Result<usize, Failure> {
    let painted = image.paint(&model.predict(image)?)?;
    let along = |axis: usize| {
        let pairs = painted.axis_windows(Axis(axis), 2).into_iter();
        let differ = |a: &usize, b: &usize| usize::from(*a > 0 && *b > 0 && a != b);
        pairs
            .map(|pair| {
                let (one, next) = (pair.index_axis(Axis(axis), 0), pair.index_axis(Axis(axis), 1));
                one.iter().zip(next).map(|(a, b)| differ(a, b)).sum::<usize>()
            })
            .sum::<usize>()
    };
    Ok(along(1) + along(2))
}

// of many images together: a field may well move a border by a site, and parameters with it
#[test]
fn a_stronger_field_is_smoother() -> Result<(), Failure> {
    let mut found = [0; 3];
    for seed in 0..8 {
        let (volume, mask, _) = phantom([1, 20, 17], 0.7, seed);
        let image = Image::volume(&volume, &mask)?;
        for (edges_of, coupling) in found.iter_mut().zip([0.0, 0.4, 0.8]) {
            let model = HiddenMarkovRandomField::new(2).coupling(coupling).max_iterations(1).fit(&image)?;
            *edges_of += edges(&image, &model)?;
        }
    }
    assert!(5 * found[1] < 4 * found[0] && 5 * found[2] < 4 * found[1], "{found:?}");
    Ok(())
}

/// Σ rᵢ·rⱼ over the neighbouring sites of a slice: how many pairs are of one class, in expectation.
fn agreement(image: &Image<f64>, responsibilities: &Array2<f64>) -> Result<f64, Error> {
    let site = image.paint(&ndarray::Array1::from_iter(0..responsibilities.nrows()))?;
    let mut sum = 0.0;
    for axis in [Axis(1), Axis(2)] {
        for pair in site.axis_windows(axis, 2) {
            for (&a, &b) in pair.index_axis(axis, 0).iter().zip(pair.index_axis(axis, 1)) {
                // 0 outside, 1 the first site
                if a > 0 && b > 0 {
                    sum += responsibilities.row(a - 1).dot(&responsibilities.row(b - 1));
                }
            }
        }
    }
    Ok(sum)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // Of the same classes. (Of classes learned anew under each coupling it need not hold, nor of labels.) The mean field starts from the sites
    // alone, which have the least free energy without a coupling, and no update lowers β·agreement minus that energy
    #[test]
    fn responsibilities_add_up_and_neighbours_never_agree_less_under_a_field(
        height in 6_usize..14, width in 6_usize..14, seed: u64,
    ) {
        let (volume, mask, _) = phantom([1, height, width], 0.7, seed);
        let image = Image::volume(&volume, &mask)?;
        let model = HiddenMarkovRandomField::new(2).coupling(0.8).max_iterations(1).fit(&image)?;
        let under = |coupling: f64| -> Result<f64, Error> {
            let spec = model.spec().clone().coupling(coupling);
            let record = model.to_record()?.value("spec", &spec)?;
            let responsibilities = HiddenMarkovRandomFieldModel::from_record(&record)?.responsibilities(&image)?;
            assert!(responsibilities.rows().into_iter().all(|r| (r.sum() - 1.0).abs() < 1e-12));
            agreement(&image, &responsibilities)
        };
        let alone = under(0.0)?;
        for coupling in [0.1, 0.8, 3.0] {
            prop_assert!(under(coupling)? >= alone - 1e-9, "{} {}", under(coupling)?, alone);
        }
    }
}

/// One iteration by its definition, site by site in the order of the colours, next to the fit's.
#[test]
fn an_iteration_is_its_definition() -> Result<(), Failure> {
    // more sites than a chunk and than a tile, a mask with holes
    let (volume, _, _) = phantom([4, 40, 33], 0.6, 8);
    let mask = Array3::from_shape_fn(volume.dim(), |(z, y, x)| (z * 5 + y * 3 + x * 7) % 11 != 0);
    let image = Image::volume(&volume, &mask)?;
    let (n, k, beta) = (image.rows().nrows(), 3, 0.6);
    let start = GaussianMixture::new(k).max_iterations(2).seed(3);
    let mixture = start.fit(image.rows())?;
    let site = image.paint(&ndarray::Array1::from_iter(0..n))?;
    let mut around = vec![Vec::new(); n];
    let mut colours = [Vec::new(), Vec::new()];
    for ((z, y, x), &number) in site.indexed_iter().filter(|(_, s)| **s > 0) {
        colours[(z + y + x) % 2].push(number - 1);
        for (axis, step) in [(0, 1), (1, 1), (2, 1), (0, -1), (1, -1), (2, -1)] {
            let mut at = [z, y, x];
            at[axis] = at[axis].wrapping_add_signed(step);
            around[number - 1].extend(site.get(at).filter(|&&s| s > 0).map(|s| s - 1));
        }
    }
    let mut alpha: Vec<f64> = mixture.weights().iter().map(|w| w.ln()).collect();
    let mut means = mixture.means().column(0).to_vec();
    let mut variances: Vec<f64> = mixture.covariance_matrices().iter().copied().collect();
    let mut shares = mixture.responsibilities(image.rows())?;
    let mut priors = vec![0.0; k];
    let mut objective = 0.0;
    for iteration in 0..2 {
        if iteration > 0 {
            let counts = shares.sum_axis(Axis(0));
            let x = image.rows().column(0);
            for c in 0..k {
                let r = shares.column(c);
                means[c] = r.dot(&x) / counts[c];
                let squares = x.mapv(|v| (v - means[c]).powi(2));
                variances[c] = r.dot(&squares) / counts[c] + 1e-6;
                alpha[c] += (counts[c] / priors[c]).ln();
            }
        }
        priors.fill(0.0);
        objective = 0.0;
        for i in colours.iter().flatten().copied() {
            let field = |c: usize| beta * around[i].iter().map(|&j| shares[[j, c]]).sum::<f64>();
            let prior: Vec<f64> = (0..k).map(|c| (alpha[c] + field(c)).exp()).collect();
            let density = |c: usize| {
                let z = image.rows()[[i, 0]] - means[c];
                (-0.5 * z * z / variances[c]).exp() / (std::f64::consts::TAU * variances[c]).sqrt()
            };
            let joint: Vec<f64> = (0..k).map(|c| prior[c] * density(c)).collect();
            let (all, total): (f64, f64) = (prior.iter().sum(), joint.iter().sum());
            objective += (total / all).ln();
            for c in 0..k {
                priors[c] += prior[c] / all;
                shares[[i, c]] = joint[c] / total;
            }
        }
    }
    let spec = HiddenMarkovRandomField::new(k).mixture(start).coupling(beta).max_iterations(1);
    let model = spec.fit(&image)?;
    assert_relative_eq!(model.history().objective()[0], objective / n as f64, max_relative = 1e-10);
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| means[a].total_cmp(&means[b]));
    let scale: f64 = alpha.iter().map(|a| a.exp()).sum();
    for (c, &by_hand) in order.iter().enumerate() {
        assert_relative_eq!(model.means()[[c, 0]], means[by_hand], epsilon = 1e-9);
        assert_relative_eq!(model.covariance_matrices()[[c, 0, 0]], variances[by_hand], epsilon = 1e-9);
        assert_relative_eq!(model.external_field()[c], alpha[by_hand].exp() / scale, epsilon = 1e-9);
    }
    Ok(())
}

#[test]
fn one_site_lines_far_intensities_and_overwhelming_fields() -> Result<(), Failure> {
    // a colour without sites, and sites without neighbours
    for (values, mask) in [
        (array![[3.0]], array![[true]]),
        (array![[1.0, 2.0, 5.0]], array![[true, false, true]]),
        (array![[1.0, 2.0, 5.0]], array![[false, true, false]]),
    ] {
        let image = Image::new(&values, &mask)?;
        let model = HiddenMarkovRandomField::new(1).fit(&image)?;
        assert!(model.predict(&image)?.iter().all(|&label| label == 0));
        assert!(model.responsibilities(&image)?.iter().all(|&r| r == 1.0));
    }
    let (volume, mask, _) = phantom([1, 30, 30], 0.3, 5);
    let image = Image::volume(&volume, &mask)?;
    // a prior that underflows meets a density that underflows
    for coupling in [1e3, 1e6, f64::MAX] {
        match HiddenMarkovRandomField::new(3).coupling(coupling).fit(&image) {
            Ok(model) => {
                let responsibilities = model.responsibilities(&image)?;
                assert!(responsibilities.rows().into_iter().all(|r| (r.sum() - 1.0).abs() < 1e-12));
                assert!(model.external_field().iter().all(|a| a.is_finite()));
            }
            Err(Error::Numerical { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    // of a site infinitely far from every class the neighbours decide
    let model = HiddenMarkovRandomField::new(3).fit(&image)?;
    let mut far = volume.clone();
    far[[0, 15, 15]] = 1e300;
    let image = Image::volume(&far, &mask)?;
    let tissue = image.paint(&model.predict(&image)?)?;
    assert_eq!((tissue[[0, 15, 15]], tissue[[0, 15, 14]]), (3, 3));
    // a label that has no successor
    let labels = ndarray::Array1::from_elem(image.rows().nrows(), usize::MAX);
    assert_eq!(image.paint(&labels)?.iter().max(), Some(&usize::MAX));
    Ok(())
}

#[test]
fn a_file_whose_parts_do_not_fit_is_refused() -> Result<(), Failure> {
    let (volume, mask, _) = phantom([1, 30, 30], 0.3, 5);
    let image = Image::volume(&volume, &mask)?;
    let record = HiddenMarkovRandomField::new(3).fit(&image)?.to_record()?;
    for bad in [
        record.clone().array("shares", &array![0.5, 0.5, 0.5]),
        record.clone().array("log weights", &array![0.0, 0.0]),
        record.clone().array("shift", &array![0.0, 0.0]),
        record.clone().value("spec", &HiddenMarkovRandomField::new(2))?,
        record.clone().value("spec", &HiddenMarkovRandomField::new(3).coupling(-1.0))?,
    ] {
        assert!(matches!(HiddenMarkovRandomFieldModel::from_record(&bad), Err(Error::File { .. })));
    }
    assert!(HiddenMarkovRandomFieldModel::from_record(&record).is_ok());
    Ok(())
}

fn saved(model: &HiddenMarkovRandomFieldModel) -> Result<Vec<u8>, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    model.save(&path)?;
    Ok(std::fs::read(path)?)
}

#[test]
fn bits_do_not_depend_on_threads_and_survive_a_file() -> Result<(), Failure> {
    let slice = data::mni_slice();
    let image = Image::new(&slice.t1, &slice.t1.mapv(|v| v > 0.0))?;
    let spec = HiddenMarkovRandomField::new(3).restarts(1).seed(1);
    let model = spec.fit(&image)?;
    assert!(model.history().converged());
    let (bits, responsibilities) = (saved(&model)?, model.responsibilities(&image)?);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let there = pool.install(|| spec.fit(&image))?;
        assert!(saved(&there)? == bits, "{threads} threads give other bits");
        assert_eq!(pool.install(|| there.responsibilities(&image))?, responsibilities);
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    model.save(&path)?;
    let loaded = HiddenMarkovRandomFieldModel::load(&path)?;
    assert!(saved(&loaded)? == bits);
    assert_eq!(loaded.responsibilities(&image)?, responsibilities);
    std::fs::write(&path, &bits[..bits.len() / 2])?;
    assert!(matches!(HiddenMarkovRandomFieldModel::load(&path), Err(Error::File { .. })));

    // an offset of the intensities moves the means and nothing else
    let far = Image::new(&(&slice.t1 + 1e6), &slice.t1.mapv(|v| v > 0.0))?;
    let moved = spec.fit(&far)?;
    assert_eq!(moved.predict(&far)?, model.predict(&image)?);
    assert_relative_eq!(moved.means() - 1e6, model.means().clone(), epsilon = 1e-5);
    Ok(())
}

#[test]
fn several_channels_tell_apart_what_one_cannot() -> Result<(), Failure> {
    let (first, mask, truth) = phantom([1, 60, 60], 0.3, 5);
    // in the second channel the outer two classes are alike and the inner one is bright
    let second = truth.mapv(|t| if t == 3 { 5.0 } else { 0.0 });
    let mut normals = Seed::new(6).normals(second.len()).into_iter();
    let second = second.mapv(|v| v + 0.3 * normals.next().unwrap_or(0.0));
    let volumes = ndarray::stack(Axis(0), &[first.view(), second.view()])?;
    let image = Image::channels(&volumes, &mask)?;
    let model = HiddenMarkovRandomField::new(3).seed(1).fit(&image)?;
    assert_eq!(model.means().dim(), (3, 2));
    assert!((model.means()[[2, 1]] - 5.0).abs() < 0.1, "{}", model.means());
    let right = accuracy(&image, &model.predict(&image)?, &truth)?;
    assert!(right > 0.97, "{right}\n{}", model.means());
    let one = Image::volume(&first, &mask)?;
    let narrow = model.predict(&one);
    assert!(matches!(narrow, Err(Error::Shape { what: "image", .. })));
    Ok(())
}

#[test]
fn an_observer_that_breaks_gets_a_usable_model() -> Result<(), Failure> {
    let (volume, mask, truth) = phantom([1, 40, 40], 0.3, 5);
    let image = Image::volume(&volume, &mask)?;
    let model =
        HiddenMarkovRandomField::new(3).fit_observed(&image, &mut |event: &Event<'_>| match event {
            Event::Progress { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })?;
    assert_eq!((model.history().stop(), model.history().iterations()), (Stop::Interrupted, 1));
    assert!(accuracy(&image, &model.predict(&image)?, &truth)? > 0.9);
    Ok(())
}

#[test]
fn metrics_and_masks_agree_on_a_slice_of_a_brain() -> Result<(), Failure> {
    let slice = data::mni_slice();
    let image = Image::new(&slice.t1, &slice.t1.mapv(|v| v > 0.0))?;
    let model = HiddenMarkovRandomField::new(3).seed(1).fit(&image)?;
    let tissue = image.paint(&model.predict(&image)?)?.index_axis_move(Axis(0), 0);
    let dice =
        |class: usize, map: &Array2<f64>| metrics::dice(&tissue.mapv(|t| t == class), &map.mapv(|p| p > 0.5));
    assert!(dice(2, &slice.grey)? > 0.8, "{}", dice(2, &slice.grey)?);
    assert!(dice(3, &slice.white)? > 0.85, "{}", dice(3, &slice.white)?);
    Ok(())
}

#[test]
fn bad_input_is_named() -> Result<(), Failure> {
    let (volume, mask, _) = phantom([1, 20, 20], 0.3, 5);
    let image = Image::volume(&volume, &mask)?;
    let parameter = |spec: HiddenMarkovRandomField| match spec.fit(&image) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    let spec = || HiddenMarkovRandomField::new(3);
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        assert_eq!(parameter(spec().coupling(bad)), "coupling");
        assert_eq!(parameter(spec().tolerance(bad)), "tolerance");
    }
    assert_eq!(parameter(spec().max_iterations(0)), "max_iterations");
    assert_eq!(parameter(spec().restarts(0)), "restarts");
    assert_eq!(parameter(HiddenMarkovRandomField::new(0)), "components");
    let few = Image::new(&array![[1.0, 2.0]], &array![[true, true]])?;
    assert!(matches!(spec().fit(&few), Err(Error::TooFewRows { needed: 3, found: 2, .. })));

    let slice = array![[1.0, f64::NAN], [2.0, 3.0]];
    let all = Array2::from_elem((2, 2), true);
    assert!(matches!(Image::new(&slice, &all), Err(Error::NonFinite { what: "image", .. })));
    assert!(Image::new(&slice, &array![[true, false], [true, true]]).is_ok_and(|i| i.rows().nrows() == 3));
    assert!(matches!(
        Image::new(&slice, &Array2::from_elem((2, 3), true)),
        Err(Error::Shape { what: "mask", .. })
    ));
    assert!(matches!(Image::new(&slice, &Array2::from_elem((2, 2), false)), Err(Error::Empty { .. })));
    assert!(matches!(
        Image::<f64>::new(&Array2::zeros((0, 2)), &Array2::default((0, 2))),
        Err(Error::Empty { .. })
    ));
    let none = Array4::<f64>::zeros((0, 1, 20, 20));
    assert!(matches!(Image::channels(&none, &mask), Err(Error::Empty { .. })));
    assert!(matches!(image.paint(&array![1, 2]), Err(Error::Shape { what: "labels", .. })));
    Ok(())
}
