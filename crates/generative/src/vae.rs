//! Variational autoencoders: a code with a prior, so that one can encode, decode, sample and score.
//!
//! An encoder gives a normal distribution q(z | x) for each image, a decoder a distribution p(x | z) for each code;
//! both are trained to raise the evidence lower bound (Kingma & Welling 2014, eq. 3)
//!
//! ELBO(x) = E_q\[log p(x | z)\] − β·KL(q(z | x) ‖ N(0, 1)) ≤ log p(x) for β = 1
//!
//! with one draw of z an image and step, through which gradients pass (reparameterisation). β above 1
//! presses the codes towards independent coordinates (Higgins et al. 2017).
//!
//! **Use it** for a smooth code of images, new images like the old ones, a bound on their likelihood, anomalies. **Do not
//! use it** when samples must be sharp (adversarial networks) or log p(x) exact (flows); for linear
//! structure PCA gives the answer at once. Start with a dense network for images of up to some 30 pixels a side.
//!
//! **Likelihoods.** [`Likelihood::Bernoulli`] wants values in 0..=1 and reads those in between as probabilities.
//! [`Likelihood::Gaussian`] takes any values around 1 in size, with a fixed, a shared or a per-pixel variance; learn the
//! variance rather than guess it, since it sets the balance of reconstruction and code. Learned ones stay above 10⁻⁴.
//! Without hidden layers the Gaussian model is probabilistic PCA (shared) or factor analysis (per pixel), and its bound
//! reaches their likelihood.
//!
//! **What can go wrong.** *Collapse*: the KL is near 0 and all reconstructions are alike; lower β, or learn the
//! variance. *A loss that is not finite* is an error that names term and step; lower the learning rate or rescale the images.
//!
//! **Measured** on the digits (8 x 8, values / 16), 1438 to learn from and 359 to judge by, two cores, `Vae::dense(&[256, 128], 8)` with
//! Bernoulli pixels and a learning rate of 0.003; the ELBO in nats an image, from 16 codes each:
//!
//! | epochs | time | ELBO, seen | ELBO, unseen | KL, unseen |
//! | --: | --: | --: | --: | --: |
//! | 40 | 2.4 s | -24.10 | -24.34 | 3.3 |
//! | 80 | 4.5 s | -23.72 | -24.02 | 3.6 |
//! | 300 | 20 s | -23.17 | -23.58 | 4.0 |
//!
//! Cost: some 6 operations a parameter and image in training, 2 in encoding and decoding.

mod fit;
mod likelihood;
mod model;
mod network;
mod persist;
mod spec;
mod validate;

pub use likelihood::{Likelihood, Variance};
pub use model::{Elbo, Posterior, VaeModel};
pub use spec::{Architecture, Vae};
