//! The integration tests of the decomposition crate.

mod dictionary;
mod factor;
mod fastica;
mod incremental;
mod kernel_pca;
mod lars;
mod nmf;
mod nmf_oracle;
mod nmf_sparse;
mod oracle;
mod pca;
mod pca_density;
mod pca_oracle;
mod ppca;
mod ppca_mixture;
mod readings;
mod robust_pca;
mod shape;
mod truncated_svd;

use unsup_decomposition::Route;

/// Every route to the principal components.
const ROUTES: [Route; 4] = [Route::Covariance, Route::Gram, Route::Svd, Route::RANDOMIZED];
