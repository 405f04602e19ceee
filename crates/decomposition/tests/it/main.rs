//! The integration tests of the decomposition crate.

mod factor;
mod incremental;
mod oracle;
mod pca;
mod pca_density;
mod pca_oracle;
mod ppca;
mod ppca_mixture;
mod readings;
mod shape;

use unsup_decomposition::Route;

/// Every route to the principal components.
const ROUTES: [Route; 4] = [Route::Covariance, Route::Gram, Route::Svd, Route::RANDOMIZED];
