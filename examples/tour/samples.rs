//! What else could there be? New digits from a variational autoencoder.

use crate::Failure;
use ndarray::Array2;
use unsup::candle::{Device, Tensor};
use unsup::core::plot::{ImageGrid, Lines};
use unsup::generative::vae::Vae;
use unsup::prelude::*;
use unsup_examples::Report;

/// The digits as images with pixels in [0, 1].
pub(crate) fn digit_images(rows: &Array2<f64>) -> Result<Tensor, Failure> {
    let pixels: Vec<f32> = rows.iter().map(|&v| v as f32 / 16.0).collect();
    Ok(Tensor::from_vec(pixels, (rows.nrows(), 1, 8, 8), &Device::Cpu)?)
}

/// Trains a VAE, reports its bound in two terms, and draws from it.
pub(crate) fn new_digits(report: &mut Report, quick: bool) -> Result<(), Failure> {
    report.section(
        "New digits",
        "A variational autoencoder with a code of eight numbers. Its bound on log p(x) has two terms: how well codes explain \
         their images, and how much the codes say.",
    );
    let x = digit_images(&data::digits().x)?;
    let epochs = if quick { 30 } else { 200 };
    let model =
        Vae::dense(&[256, 128], 8).epochs(epochs).seed(7).fit_observed(&x, &mut ProgressBar::new())?;
    let elbo = model.elbo(&x, Seed::new(1), 8)?;
    report.figure("vae_elbo", "evidence lower bound, nats a digit", elbo.total());
    report.figure("vae_reconstruction", "its reconstruction term", elbo.reconstruction);
    report.figure("vae_kl", "its KL term", elbo.kl);

    let terms = |name: &str| model.history().term(name).unwrap_or_default().to_vec();
    let curves = Lines::new("Training of the autoencoder")
        .curve("reconstruction", &terms("reconstruction"))
        .curve("KL", &terms("kl"))
        .axes("epoch", "nats a digit");
    report.picture("vae_training", &curves, "The two terms of the bound over the epochs.")?;
    let samples = ImageGrid::new("")
        .tensor(&model.sample(40, Seed::new(2))?)?
        .range(0.0, 1.0)
        .inverted()
        .columns(10)
        .zoom(6.0);
    report.picture("vae_samples", &samples, "Forty digits nobody wrote: codes from the prior, decoded.")?;
    let first = x.narrow(0, 0, 10)?;
    let pairs = Tensor::cat(&[&first, &model.reconstruct(&first)?], 0)?;
    let pairs = ImageGrid::new("").tensor(&pairs)?.range(0.0, 1.0).inverted().columns(10).zoom(6.0);
    report.picture(
        "vae_reconstructions",
        &pairs,
        "Ten digits, and each again from its code of eight numbers.",
    )?;
    Ok(())
}
