//! Agreement of two clusterings of the same rows, whatever their labels are called.

use super::contingency::Contingency;
use crate::Result;
use ndarray::ArrayRef1;

/// The Rand index corrected for chance (Hubert & Arabie 1985): 1 for equal partitions, 0 in expectation
/// for independent ones, at least -0.5.
///
/// `a`, `b`: one label a row. Pairs are counted in 128-bit integers, exactly for any number of rows.
/// Two empty lists, or two of one row, agree perfectly. O(n log n).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
///
/// ```
/// use ndarray::array;
/// use unsup_core::metrics::adjusted_rand;
/// let ari = adjusted_rand(&array![0, 0, 1, 1], &array![0, 0, 1, 2])?;
/// assert!((ari - 0.571_428_571_428_571_4).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn adjusted_rand(a: &ArrayRef1<usize>, b: &ArrayRef1<usize>) -> Result<f64> {
    let table = Contingency::new(a, b)?;
    let pairs = |count: u64| i128::from(count) * (i128::from(count) - 1) / 2;
    let both: i128 = table.cells.iter().map(|&(_, _, count)| pairs(count)).sum();
    let only_a = table.rows.iter().map(|&count| pairs(count)).sum::<i128>() - both;
    let only_b = table.columns.iter().map(|&count| pairs(count)).sum::<i128>() - both;
    if only_a == 0 && only_b == 0 {
        return Ok(1.0);
    }
    let neither = pairs(table.n) - both - only_a - only_b;
    let agreement = 2 * (both * neither - only_a * only_b);
    let largest = (both + only_a) * (only_a + neither) + (both + only_b) * (only_b + neither);
    Ok(agreement as f64 / largest as f64)
}

/// Mutual information of two clusterings over the mean of their entropies (Strehl & Ghosh 2002, with
/// the arithmetic mean): 1 for equal partitions, 0 for independent ones.
///
/// `a`, `b`: one label a row. Not corrected for chance: many small clusters score high by accident. O(n log n).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
pub fn normalized_mutual_info(a: &ArrayRef1<usize>, b: &ArrayRef1<usize>) -> Result<f64> {
    let table = Contingency::new(a, b)?;
    if table.is_perfect() {
        return Ok(1.0);
    }
    let n = table.n as f64;
    let entropy = |counts: &[u64]| counts.iter().map(|&c| c as f64 / n * (n / c as f64).ln()).sum::<f64>();
    // p(a,b) / p(a)p(b) as a ratio of integers is exactly 1 for independent cells.
    let information: f64 = table
        .cells
        .iter()
        .map(|&(row, column, count)| {
            let joint = u128::from(table.n) * u128::from(count);
            let independent = u128::from(table.rows[row]) * u128::from(table.columns[column]);
            count as f64 / n * (joint as f64 / independent as f64).ln()
        })
        .sum();
    let mean_entropy = (entropy(&table.rows) + entropy(&table.columns)) / 2.0;
    // Sums of terms of both signs may leave a rounding error where the information is 0.
    Ok(if information <= f64::EPSILON { 0.0 } else { (information / mean_entropy).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;
    use proptest::prelude::*;

    fn labels(n: usize, k: usize) -> impl Strategy<Value = Array1<usize>> {
        proptest::collection::vec(0..k, n).prop_map(Array1::from)
    }

    type Metric = fn(&ArrayRef1<usize>, &ArrayRef1<usize>) -> Result<f64>;
    const ALL: [Metric; 2] = [adjusted_rand, normalized_mutual_info];

    proptest! {
        #[test]
        fn agreement_is_symmetric_bounded_and_blind_to_names_and_order(
            (a, b) in (1_usize..60).prop_flat_map(|n| (labels(n, 5), labels(n, 7))), seed: u64,
        ) {
            let order = crate::Seed::new(seed).permutation(a.len());
            let shuffled = |l: &Array1<usize>| Array1::from_iter(order.iter().map(|&i| l[i]));
            for metric in ALL {
                let value = metric(&a, &b)?;
                prop_assert!((-0.5..=1.0).contains(&value));
                prop_assert!((value - metric(&b, &a)?).abs() < 1e-14);
                prop_assert!((value - metric(&a.mapv(|l| usize::MAX - 3 * l), &b)?).abs() < 1e-14);
                prop_assert!((value - metric(&shuffled(&a), &shuffled(&b))?).abs() < 1e-14);
                prop_assert_eq!(metric(&a, &a.mapv(|l| l + 4))?, 1.0);
            }
            prop_assert!(normalized_mutual_info(&a, &b)? >= 0.0);
        }
    }

    #[test]
    fn no_rows_one_row_and_one_cluster_agree_perfectly() -> Result<()> {
        for metric in ALL {
            for n in [0, 1, 2, 5] {
                assert_eq!(metric(&Array1::zeros(n), &Array1::zeros(n))?, 1.0);
                assert_eq!(metric(&Array1::from_iter(0..n), &Array1::from_iter(5..5 + n))?, 1.0);
            }
        }
        Ok(())
    }

    #[test]
    fn independent_labels_score_exactly_zero_information() -> Result<()> {
        let (a, b) = (Array1::from_shape_fn(12, |i| i % 3), Array1::from_shape_fn(12, |i| i / 3));
        assert_eq!(normalized_mutual_info(&a, &b)?, 0.0);
        assert_eq!(normalized_mutual_info(&Array1::zeros(9), &Array1::from_iter(0..9))?, 0.0);
        Ok(())
    }

    #[test]
    fn lengths_must_agree() {
        let result = adjusted_rand(&Array1::zeros(3), &Array1::zeros(2));
        assert!(matches!(result, Err(crate::Error::Shape { .. })));
    }
}
