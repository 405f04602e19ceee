//! How good a VAE is on images it has not seen, and what its numbers mean.

use ndarray::{Array1, Array2};
use unsup_core::candle::{Device, Tensor};
use unsup_core::estimator::{AnomalyScore, Fit, LogDensity};
use unsup_core::store::Persist;
use unsup_core::{Error, Seed, data, metrics};
use unsup_generative::{Likelihood, Vae, VaeModel, Variance};

type Failure = Box<dyn std::error::Error>;

fn digits(rows: &[usize]) -> Result<Tensor, Failure> {
    let x = data::digits().x;
    let pixels = rows.iter().flat_map(|&i| x.row(i).mapv(|v| v as f32 / 16.0).to_vec());
    Ok(Tensor::from_iter(pixels, &Device::Cpu)?.reshape((rows.len(), 1, 8, 8))?)
}

/// The quick setting of the module's table. All images alike would score about -31.
#[test]
fn unseen_digits_are_likely_and_shuffled_ones_are_not() -> Result<(), Failure> {
    let split = data::split::stratified_split(&data::digits().labels, 0.2, Seed::new(1))?;
    let (train, test) = (digits(&split.train)?, digits(&split.test)?);
    let model = Vae::dense(&[256, 128], 8).epochs(40).learning_rate(3e-3).seed(7).fit(&train)?;
    let elbo = model.elbo(&test, Seed::new(1), 16)?;
    assert!(elbo.total() > -24.8 && elbo.kl > 2.0, "{elbo:?}");
    let density = model.log_density(&test)?.sum() / split.test.len() as f64;
    assert!(density > elbo.total() && density < elbo.total() + 3.0, "{density} above {elbo:?}");

    // pixels shuffled alike in all images keep their values but make no digits
    let order: Vec<u32> = Seed::new(9).permutation(64).into_iter().map(|i| i as u32).collect();
    let order = Tensor::new(order, &Device::Cpu)?;
    let shuffled = test.flatten_from(1)?.index_select(&order, 1)?.reshape(test.shape())?;
    let mut scores = model.anomaly_score(&test)?.to_vec();
    scores.extend(model.anomaly_score(&shuffled)?);
    let positive = Array1::from_shape_fn(scores.len(), |i| i >= split.test.len());
    let auroc = metrics::auroc(&Array1::from(scores), &positive)?;
    assert!(auroc > 0.99, "AUROC {auroc}");
    Ok(())
}

/// A linear decoder with a variance a pixel is factor analysis: it tells the noise of each pixel.
#[test]
fn a_variance_per_pixel_finds_the_noise_of_each_pixel() -> Result<(), Failure> {
    let deviations = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
    let (n, d) = (2000, deviations.len());
    let codes = Seed::new(1).normals(n);
    let noise = Array2::from_shape_vec((n, d), Seed::new(2).normals(n * d))?;
    let pixels = noise.indexed_iter().map(|((i, j), e)| (codes[i] + deviations[j] * e) as f32);
    let images = Tensor::from_iter(pixels, &Device::Cpu)?.reshape((n, 1, 2, 3))?;
    let spec = Vae::dense(&[], 1).likelihood(Likelihood::Gaussian(Variance::PerPixel));
    let model = spec.epochs(80).learning_rate(0.01).fit(&images)?;
    let variance = model.variance()?.ok_or("a learned variance")?.flatten_all()?.to_vec1::<f32>()?;
    for (found, deviation) in variance.iter().zip(deviations) {
        let found = f64::from(*found).sqrt();
        assert!((found - deviation).abs() < 0.03, "{found} instead of {deviation}");
    }
    Ok(())
}

#[test]
fn the_density_of_an_image_does_not_depend_on_its_neighbours() -> Result<(), Failure> {
    let images = digits(&(0..300).collect::<Vec<_>>())?;
    let model = Vae::dense(&[32], 3).epochs(3).fit(&images)?;
    let (alone, among) =
        (model.log_density(&images.narrow(0, 299, 1)?)?[0], model.log_density(&images)?[299]);
    assert!((alone - among).abs() < 1e-4, "{alone} alone, {among} among others");
    Ok(())
}

#[test]
fn images_of_a_single_pixel_row_or_column_work() -> Result<(), Failure> {
    for [c, h, w] in [[1, 1, 1], [2, 1, 9], [1, 16, 1]] {
        let pixels = Seed::new(1).normals(10 * c * h * w).into_iter().map(|v| v as f32);
        let images = Tensor::from_iter(pixels, &Device::Cpu)?.reshape((10, c, h, w))?;
        for spec in [Vae::dense(&[6, 4], 2), Vae::convolutional(&[3, 5], 2), Vae::convolutional(&[], 2)] {
            let spec = spec.likelihood(Likelihood::Gaussian(Variance::Shared)).epochs(2);
            let model = spec.fit(&images)?;
            assert_eq!(model.reconstruct(&images)?.dims(), [10, c, h, w]);
            assert!(model.log_density(&images)?.iter().all(|v| v.is_finite()));
        }
    }
    Ok(())
}

#[test]
fn a_network_too_large_for_any_memory_is_refused_at_fit_and_in_a_file() -> Result<(), Failure> {
    let images = digits(&[0, 1, 2])?;
    for (spec, name) in [
        (Vae::dense(&[usize::MAX], 2), "hidden"),
        (Vae::dense(&[], usize::MAX), "hidden"),
        (Vae::convolutional(&[1 << 40, 1 << 40], 2), "channels"),
        (Vae::convolutional(&[4], usize::MAX / 2), "channels"),
    ] {
        assert!(matches!(spec.fit(&images), Err(Error::Parameter { name: found, .. }) if found == name));
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    let record = || Vae::dense(&[4], 2).epochs(1).fit(&images)?.to_record();
    for (name, record, problem) in [
        ("image", record()?.value("image", &[1, 8, 9])?, "the weights do not fit the settings"),
        ("image", record()?.value("image", &[1_u64, u64::MAX, 9])?, "the network is larger than any file"),
        (
            "spec",
            record()?.value("spec", &Vae::dense(&[4], usize::MAX))?,
            "the network is larger than any file",
        ),
        ("spec", record()?.value("spec", &Vae::dense(&[4], 0))?, "the settings are out of range"),
    ] {
        record.save(&path)?;
        match VaeModel::load(&path) {
            Err(Error::File { path: named, problem: found }) => {
                assert_eq!((&named, found.as_str()), (&path, problem), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    Ok(())
}
