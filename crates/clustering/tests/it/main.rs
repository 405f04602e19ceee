//! The integration tests of the clustering crate.

mod kmeans;
mod kmeans_bounds;
mod kmeans_family;
mod kmeans_invariants;
mod kmeans_oracle;
mod kmedoids;
