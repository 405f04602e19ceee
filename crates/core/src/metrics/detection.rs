//! Scores against a yes or no, and masks against masks.

use super::same_length;
use crate::{Error, Float, Result};
use ndarray::{ArrayRef, ArrayRef1, Dimension};

/// The area under the ROC curve: the probability that a positive row scores higher than a negative
/// one, ties counting half (Hanley & McNeil 1982).
///
/// `scores`: larger is more positive; infinities are allowed. `positive`: one a row, some of each kind.
/// Pairs are counted in integers, so ties are exact. O(n log n).
///
/// # Errors
/// [`Error::Shape`] when the lengths differ, [`Error::Value`] for a NaN, [`Error::Parameter`]
/// when all rows are of one kind.
///
/// ```
/// use ndarray::array;
/// let scores = array![0.1, 0.4, 0.4, 0.8];
/// assert_eq!(unsup_core::metrics::auroc(&scores, &array![false, false, true, true])?, 0.875);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn auroc<F: Float>(scores: &ArrayRef1<F>, positive: &ArrayRef1<bool>) -> Result<f64> {
    same_length("positive", positive.len(), scores.len())?;
    if let Some(index) = scores.iter().position(|s| s.is_nan()) {
        return Err(Error::Value { what: "scores", index, value: "NaN".to_owned(), allowed: "any number" });
    }
    let positives = positive.iter().filter(|&&p| p).count() as u128;
    let negatives = positive.len() as u128 - positives;
    if positives == 0 || negatives == 0 {
        let value = format!("{positives} of {} rows", positive.len());
        return Err(Error::parameter("positive", value, "at least one positive and one negative row"));
    }
    let mut ranked: Vec<(F, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    // Infallible without NaN; unlike total_cmp it makes -0 and 0 a tie.
    ranked.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
    let (mut below, mut twice_won) = (0_u128, 0_u128);
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let wins = tied.iter().filter(|(_, p)| *p).count() as u128;
        let losses = tied.len() as u128 - wins;
        twice_won += wins * (2 * below + losses);
        below += losses;
    }
    Ok(twice_won as f64 / (2 * positives * negatives) as f64)
}

/// The overlap of two masks of the same shape, 2|A ∩ B| / (|A| + |B|) (Dice 1945); 1 when both are empty.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ.
///
/// ```
/// use ndarray::array;
/// let (a, b) = (array![[true, true], [false, false]], array![[true, false], [false, false]]);
/// assert_eq!(unsup_core::metrics::dice(&a, &b)?, 2.0 / 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dice<D: Dimension>(a: &ArrayRef<bool, D>, b: &ArrayRef<bool, D>) -> Result<f64> {
    if a.shape() != b.shape() {
        return Err(Error::shape(
            "the second mask",
            format!("shape {:?}", a.shape()),
            format!("shape {:?}", b.shape()),
        ));
    }
    let size = |mask: &ArrayRef<bool, D>| mask.iter().filter(|&&m| m).count();
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    Ok(match size(a) + size(b) {
        0 => 1.0,
        total => 2.0 * both as f64 / total as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, array};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn auroc_counts_the_pairs_that_positives_win(
            rows in proptest::collection::vec((0_u8..12, any::<bool>()), 2..60),
        ) {
            let scores = Array1::from_iter(rows.iter().map(|r| f32::from(r.0)));
            let positive = Array1::from_iter(rows.iter().map(|r| r.1));
            let mut pairs = Vec::new();
            for p in rows.iter().filter(|r| r.1) {
                pairs.extend(rows.iter().filter(|r| !r.1).map(|n| match p.0.cmp(&n.0) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                }));
            }
            match auroc(&scores, &positive) {
                Ok(value) => {
                    prop_assert!((value - pairs.iter().sum::<f64>() / pairs.len() as f64).abs() < 1e-14);
                    // reversing the scores, or what is positive, mirrors the area
                    prop_assert!((value + auroc(&scores.mapv(|s| -s), &positive)? - 1.0).abs() < 1e-14);
                    prop_assert!((value + auroc(&scores, &positive.mapv(|p| !p))? - 1.0).abs() < 1e-14);
                }
                Err(Error::Parameter { name: "positive", .. }) => prop_assert!(pairs.is_empty()),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }

    #[test]
    fn signed_zeros_tie_and_infinities_rank() -> Result<()> {
        assert_eq!(auroc(&array![-0.0, 0.0], &array![false, true])?, 0.5);
        assert_eq!(auroc(&array![f64::NEG_INFINITY, 1.0, f64::INFINITY], &array![false, false, true])?, 1.0);
        let nan = auroc(&array![1.0, f64::NAN], &array![true, false]);
        assert!(matches!(nan, Err(Error::Value { what: "scores", index: 1, .. })));
        Ok(())
    }

    #[test]
    fn empty_masks_agree_and_shapes_must() -> Result<()> {
        assert_eq!(dice(&Array2::default((3, 4)), &Array2::default((3, 4)))?, 1.0);
        assert!(matches!(dice(&Array2::default((3, 4)), &Array2::default((4, 3))), Err(Error::Shape { .. })));
        Ok(())
    }
}
