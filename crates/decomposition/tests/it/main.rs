//! The integration tests of the decomposition crate.

mod pca;
mod pca_oracle;
mod shape;
