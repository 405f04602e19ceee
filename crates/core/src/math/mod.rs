//! Products, decompositions and the fused kernels of the classical methods.
//!
//! Decompositions are thin, typed wrappers over [faer](https://docs.rs/faer); what this project
//! exists for (the search of the nearest centroid) is written here. Everything parallel works on
//! fixed chunks that are merged in a fixed order, so that results have the same bits on any
//! number of threads.

mod candidates;
mod chunks;
mod decompose;
mod distance;
mod distances;
pub(crate) mod elementary;
mod fetch;
pub(crate) mod gemm;
pub(crate) mod kernel;
mod lbfgs;
mod moments;
mod nearest;
mod parallel;
mod products;
mod scores;
mod tall;
mod turn;
mod varying;

pub use candidates::{Candidates, Nearest};
pub use chunks::{ROW_TILE, chunks, sum_in_order, tile_rows};
pub use decompose::{Eigen, Svd, cholesky, leading_eigen, orthonormal, right_singular, svd, symmetric_eigen};
pub use distance::squared_distance;
pub use elementary::Elementary;
pub use fetch::fetch;
pub use gemm::{Mat, multiply, multiply_panels};
pub use kernel::{Kernel, Panels};
pub use lbfgs::{Minimum, lbfgs};
pub use moments::{Moments, Scatter, column_means};
pub use parallel::in_pool;
pub use products::{centred_rows, centred_tile, checked_product, following, product, transposed_product};
pub use tall::triangular_factor;
