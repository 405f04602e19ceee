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
