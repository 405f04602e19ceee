//! A VAE whose answer is known: linear, Gaussian, on linear-Gaussian data it is probabilistic PCA.

use ndarray::{Array2, Axis};
use unsup_core::candle::{Device, Tensor};
use unsup_core::estimator::{Fit, LogDensity};
use unsup_core::{Seed, math};
use unsup_generative::{Likelihood, Vae, Variance};

type Failure = Box<dyn std::error::Error>;

/// The maximum likelihood of probabilistic PCA with q components (Tipping & Bishop 1999, eq. 8), in nats a row.
fn ppca_log_likelihood(x: &Array2<f64>, q: usize) -> Result<f64, Failure> {
    let (n, d) = x.dim();
    let covariance = math::Scatter::of(x, "x")?.covariance(n as f64);
    let spectrum = math::symmetric_eigen(&covariance)?.values;
    let noise = spectrum.iter().skip(q).sum::<f64>() / (d - q) as f64;
    let log_det = spectrum.iter().take(q).map(|v| v.ln()).sum::<f64>() + (d - q) as f64 * noise.ln();
    Ok(-0.5 * (d as f64 * (2.0 * std::f64::consts::PI).ln() + log_det + d as f64))
}

#[test]
fn a_linear_gaussian_vae_reaches_the_likelihood_of_probabilistic_pca() -> Result<(), Failure> {
    let (n, d, q) = (600, 6, 2);
    let normals = |name: &str, rows: usize, columns: usize| {
        Array2::from_shape_vec((rows, columns), Seed::new(11).named(name).normals(rows * columns))
            .unwrap_or_default()
    };
    let x = normals("codes", n, q).dot(&normals("loadings", q, d)) * 1.5 + normals("noise", n, d) * 0.5;
    let x = &x - &x.mean_axis(Axis(0)).unwrap_or_default();
    let pixels: Vec<f32> = x.iter().map(|&v| v as f32).collect();
    let images = Tensor::from_vec(pixels, (n, d, 1, 1), &Device::Cpu)?;

    let spec = Vae::dense(&[], q)
        .likelihood(Likelihood::Gaussian(Variance::Shared))
        .epochs(300)
        .learning_rate(1e-2)
        .seed(2);
    let model = spec.importance_samples(200).fit(&images)?;
    let known = ppca_log_likelihood(&x, q)?;
    let elbo = model.elbo(&images, Seed::new(1), 50)?.total();
    let density = model.log_density(&images)?.mean().unwrap_or(f64::NAN);
    // a diagonal posterior is exact here up to a rotation of the code, which training finds
    assert!(elbo < known + 0.02 && elbo > known - 0.05, "ELBO {elbo}, maximum likelihood {known}");
    assert!(density < known + 0.02 && density > known - 0.05, "bound {density}, maximum likelihood {known}");
    let variance = model.variance()?.ok_or("no variance")?.flatten_all()?.to_vec1::<f32>()?[0];
    assert!((variance - 0.25).abs() < 0.03, "noise variance {variance}, true 0.25");
    Ok(())
}
