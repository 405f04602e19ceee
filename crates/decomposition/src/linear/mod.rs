//! Linear methods: the code is a linear function of the row.
//!
//! | method | spec | when |
//! | --- | --- | --- |
//! | [principal component analysis](pca) | [`Pca`](pca::Pca) | linear structure, compression, decorrelation, a first look |

pub(crate) mod gaussian;
pub mod pca;
mod singular;
