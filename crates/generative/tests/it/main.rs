//! The integration tests of the generative crate.

mod vae;
mod vae_answer;
mod vae_digits;
