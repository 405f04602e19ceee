//! The integration tests of the decomposition crate.

mod dictionary;
mod fastica;
mod kernel_pca;
mod nmf;
mod nmf_oracle;
mod pca;
mod pca_oracle;
mod robust_pca;
mod truncated_svd;
