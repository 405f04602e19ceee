//! Files, threads, interruption, bad input by name.

use super::{Failure, accuracy, phantom};
use approx::assert_relative_eq;
use ndarray::{Array2, Array4, array};
use std::ops::ControlFlow;
use unsup_clustering::segmentation::Image;
use unsup_clustering::{HiddenMarkovRandomField, HiddenMarkovRandomFieldModel};
use unsup_core::estimator::{Fit, Predict};
use unsup_core::observe::{Event, Stop};
use unsup_core::store::Persist;
use unsup_core::{Error, data};

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
