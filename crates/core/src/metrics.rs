//! How good is it? Numbers that compare an answer with the truth, or with the data alone.
//!
//! | function | compares | range |
//! | --- | --- | --- |
//! | [`adjusted_rand`] | two clusterings, corrected for chance | -0.5 to 1 |
//! | [`adjusted_mutual_information`] | two clusterings, corrected for chance | 0 by chance, to 1 |
//! | [`normalized_mutual_info`], [`v_measure`] | two clusterings | 0 to 1 |
//! | [`homogeneity`], [`completeness`] | a clustering with classes, one way and the other | 0 to 1 |
//! | [`rand_index`], [`fowlkes_mallows`] | two clusterings by their pairs | 0 to 1 |
//! | [`matched_accuracy`] | a clustering with classes, after the best one-to-one matching | 0 to 1 |
//! | [`accuracy`], [`confusion_matrix`] | predicted classes with true ones | 0 to 1, counts |
//! | [`silhouette`], [`silhouette_samples`] | a clustering with the data | -1 to 1 |
//! | [`calinski_harabasz`] | a clustering with the data | above 0, larger is better |
//! | [`davies_bouldin`] | a clustering with the data | above 0, less is better |
//! | [`auroc`] | anomaly scores with the truth | 0 to 1, 0.5 by chance |
//! | [`dice`] | two segmentations | 0 to 1 |
//!
//! Labels are any numbers; only whether they are equal matters, except to [`accuracy`]. Judge a clustering by
//! [`adjusted_rand`] first, or by [`adjusted_mutual_information`] where classes are small or of very different size, which pairs
//! hardly see (Romano et al., JMLR 17 (2016)). What is not corrected for chance rises with the number of clusters even by accident,
//! and matched accuracy hides what becomes of clusters without a partner. Silhouette, Calinski–Harabasz and
//! Davies–Bouldin favour round clusters of like size and say little about the others.
//!
//! Values agree with scikit-learn 1.9.1 to 1e-12 (`oracles/metrics.py`).
//!
//! ```
//! use ndarray::array;
//! use unsup_core::metrics;
//! let (truth, found) = (array![0, 0, 1, 1, 2], array![5, 5, 3, 3, 3]);
//! assert_eq!(metrics::adjusted_rand(&truth, &truth.mapv(|l| 9 - l))?, 1.0);
//! assert_eq!(metrics::matched_accuracy(&truth, &found)?, 0.8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agreement;
mod assignment;
mod classification;
mod contingency;
mod detection;
mod dispersion;
mod information;
mod partition;
mod silhouette;

pub use agreement::{adjusted_rand, fowlkes_mallows, rand_index};
pub use assignment::{best_assignment, matched_accuracy};
pub use classification::{Confusion, accuracy, confusion_matrix};
pub use detection::{auroc, dice};
pub use dispersion::{calinski_harabasz, davies_bouldin};
pub use information::{
    adjusted_mutual_information, completeness, homogeneity, normalized_mutual_info, v_measure,
};
pub use silhouette::{silhouette, silhouette_samples};

use crate::{Error, Result};

/// Two arguments that must hold one value a row each.
fn same_length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::shape(what, format!("{expected} values, one a row"), format!("{found} values")))
    }
}
