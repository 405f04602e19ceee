//! The integration tests of the clustering crate.

mod bayesian_mixture;
mod kmeans;
mod kmeans_oracle;
mod mixture;
mod mixture_oracle;
