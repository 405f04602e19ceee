//! Views: the same bits on any number of threads, nothing shared between images, bad input.

use unsup_core::candle::{DType, Device, Tensor};
use unsup_core::{Error, Seed};
use unsup_selfsup::views::{Affine, Blur, Erase, HorizontalFlip, Intensity, Noise, ResizedCrop, Views};

type Failure = Box<dyn std::error::Error>;

fn images(n: usize) -> Result<Tensor, Failure> {
    let values: Vec<f32> = Seed::new(3).normals(n * 2 * 9 * 7).into_iter().map(|v| v as f32).collect();
    Ok(Tensor::from_vec(values, (n, 2, 9, 7), &Device::Cpu)?)
}

fn all() -> Views {
    Views::digits()
        .then(ResizedCrop::new(0.5, 1.0))
        .then(HorizontalFlip)
        .then(Blur::new(0.5, 0.3, 1.0))
        .then(Erase::new(0.5, 0.2, 0.5))
}

fn values(tensor: &Tensor) -> Result<Vec<f32>, Failure> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

#[test]
fn a_seed_gives_the_same_bits_on_any_number_of_threads() -> Result<(), Failure> {
    let images = images(33)?;
    let on = |threads: usize, seed: u64| -> Result<Vec<f32>, Failure> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        values(&pool.install(|| all().apply(&images, Seed::new(seed)))?)
    };
    assert_eq!(on(1, 5)?, on(2, 5)?);
    assert_ne!(on(1, 5)?, on(1, 6)?);
    assert_eq!(values(&Views::new().apply(&images, Seed::new(5))?)?, values(&images)?);
    Ok(())
}

#[test]
fn a_view_of_an_image_does_not_depend_on_its_batch_mates() -> Result<(), Failure> {
    let images = images(8)?;
    let whole = values(&all().apply(&images, Seed::new(5))?)?;
    let part = values(&all().apply(&images.narrow(0, 0, 3)?, Seed::new(5))?)?;
    assert_eq!(part, whole[..part.len()]);
    Ok(())
}

#[test]
fn a_spec_survives_json_and_bad_parameters_are_named() -> Result<(), Failure> {
    assert_eq!(serde_json::from_str::<Views>(&serde_json::to_string(&all())?)?, all());
    let images = images(2)?;
    let named = |views: Views| match views.apply(&images, Seed::new(1)) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(Views::new().then(Affine::new().rotation(f32::NAN))), "rotation");
    assert_eq!(named(Views::new().then(Affine::new().shift(-0.1))), "shift");
    assert_eq!(named(Views::new().then(Affine::new().scale(0.0, 1.0))), "scale");
    assert_eq!(named(Views::new().then(ResizedCrop::new(0.5, 1.5))), "area");
    assert_eq!(named(Views::new().then(Intensity::new(0.0, 2.0))), "contrast");
    assert_eq!(named(Views::new().then(Noise::new(f32::INFINITY))), "deviation");
    assert_eq!(named(Views::new().then(Blur::new(0.5, 2.0, 1.0))), "sigma");
    assert_eq!(named(Views::new().then(Erase::new(1.5, 0.1, 0.2))), "probability");
    let flat = Tensor::zeros((4, 9), DType::F32, &Device::Cpu)?;
    assert!(matches!(all().apply(&flat, Seed::new(1)), Err(Error::Shape { what: "images", .. })));
    let none = Tensor::zeros((0, 1, 8, 8), DType::F32, &Device::Cpu)?;
    assert_eq!(all().apply(&none, Seed::new(1))?.dims(), [0, 1, 8, 8]);
    Ok(())
}
