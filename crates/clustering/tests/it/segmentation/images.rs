//! Segmentations: phantoms with noise, several channels, a slice of a brain, images at the edge of the possible.

use super::{Failure, accuracy, phantom};
use ndarray::{Array2, Axis, array};
use unsup_clustering::segmentation::Image;
use unsup_clustering::{HiddenMarkovRandomField, HiddenMarkovRandomFieldModel};
use unsup_core::estimator::{Fit, Predict};
use unsup_core::{Error, Seed, data, metrics};

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
