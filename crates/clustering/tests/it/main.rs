//! The integration tests of the clustering crate.

mod bayesian_mixture;
mod degenerate;
mod kmeans;
mod kmeans_bounds;
mod kmeans_defects;
mod kmeans_family;
mod kmeans_invariants;
mod kmeans_oracle;
mod kmedoids;
mod mixture;
mod mixture_oracle;
mod segmentation;
mod selection;
mod weights;
