//! Where rows and images come from, and what happens to them before a fit.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`bundled`] | real data compiled into the crate: [`digits()`], [`iris()`], [`mni_slice()`], … |
//! | [`synthetic`] | blobs, moons, circles, rolls: data whose answer is known |
//! | [`csv`], [`npy`], [`idx`] | readers (and the NPY writer) that take no header on trust |
//! | `images` | folders of PNG, JPEG and PNM images (feature `images`) |
//! | [`sparse`] | tables that are mostly zero |
//! | [`split`] | seeded, stratified splits of rows |
//! | [`scaling`] | columns brought to a common scale |
//!
//! ```
//! use unsup_core::data;
//! let digits = data::digits();
//! assert_eq!(digits.x.dim(), (1797, 64));
//! assert_eq!(digits.labels.len(), 1797);
//! ```

mod array_file;
pub mod bundled;
pub mod csv;
pub mod idx;
#[cfg(feature = "images")]
pub mod images;
mod input;
pub mod npy;
mod scalar;
pub mod scaling;
pub mod sparse;
pub mod split;
pub mod synthetic;

pub use bundled::{breast_cancer, digits, hands_3d, iris, mni_slice, thousand_genomes, wine};
pub use scaling::{MinMaxScaler, StandardScaler};
pub use sparse::Sparse;

use ndarray::{Array1, Array2};

/// A table with one label a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled<F = f64> {
    /// The rows, `[n, d]`.
    pub x: Array2<F>,
    /// One label a row, an index into `label_names`.
    pub labels: Array1<usize>,
    /// One name a column.
    pub feature_names: Vec<String>,
    /// One name a class.
    pub label_names: Vec<String>,
}
