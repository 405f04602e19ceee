//! The integration tests of the clustering crate.

mod kmeans;
mod kmeans_oracle;
