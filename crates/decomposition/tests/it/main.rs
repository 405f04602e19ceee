//! The integration tests of the decomposition crate.

mod fastica;
mod nmf;
mod nmf_oracle;
mod pca;
mod pca_oracle;
mod truncated_svd;
