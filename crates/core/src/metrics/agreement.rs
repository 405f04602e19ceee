//! Agreement of two clusterings of the same rows, whatever their labels are called, by the pairs of rows that each puts together.

use super::contingency::Contingency;
use crate::Result;
use ndarray::ArrayRef1;

/// The share of all pairs of rows that two clusterings agree about: together in both, or apart in both (Rand 1971). 1 for equal
/// partitions, at least 0.
///
/// `a`, `b`: one label a row. Not corrected for chance, as [`adjusted_rand`] is: of many clusters most pairs are apart in both by
/// accident. Pairs are counted in 128-bit integers, exactly for any number of rows. Two empty lists, or two of one row, agree
/// perfectly. O(n log n).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
///
/// ```
/// use ndarray::array;
/// use unsup_core::metrics::rand_index;
/// // only the last pair of rows is together in one and apart in the other
/// let share = rand_index(&array![0, 0, 1, 1], &array![0, 0, 1, 2])?;
/// assert!((share - 5.0 / 6.0).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rand_index(a: &ArrayRef1<usize>, b: &ArrayRef1<usize>) -> Result<f64> {
    let pairs = Pairs::of(&Contingency::new(a, b)?);
    if pairs.is_perfect() {
        return Ok(1.0);
    }
    Ok((pairs.both + pairs.neither) as f64 / pairs.all() as f64)
}

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
    let pairs = Pairs::of(&Contingency::new(a, b)?);
    if pairs.is_perfect() {
        return Ok(1.0);
    }
    let Pairs { both, only_a, only_b, neither } = pairs;
    let agreement = 2 * (both * neither - only_a * only_b);
    let largest = (both + only_a) * (only_a + neither) + (both + only_b) * (only_b + neither);
    Ok(agreement as f64 / largest as f64)
}

/// The geometric mean of the shares of `a`'s pairs that are together in `b` and of `b`'s that are in `a` (Fowlkes & Mallows 1983): 1 for
/// equal partitions, 0 when no pair is together in both.
///
/// `a`, `b`: one label a row. Not corrected for chance. Partitions that are equal and put no two rows together score 1, as any equal ones
/// (scikit-learn says 0). Pairs are counted as in [`rand_index`]. O(n log n).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
///
/// ```
/// use ndarray::array;
/// use unsup_core::metrics::fowlkes_mallows;
/// // one of two pairs, and one of one
/// let mean = fowlkes_mallows(&array![0, 0, 1, 1], &array![0, 0, 1, 2])?;
/// assert!((mean - 0.5_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fowlkes_mallows(a: &ArrayRef1<usize>, b: &ArrayRef1<usize>) -> Result<f64> {
    let pairs = Pairs::of(&Contingency::new(a, b)?);
    if pairs.is_perfect() {
        return Ok(1.0);
    }
    if pairs.both == 0 {
        return Ok(0.0);
    }
    let (in_a, in_b) = (pairs.both + pairs.only_a, pairs.both + pairs.only_b);
    Ok(pairs.both as f64 / (in_a as f64 * in_b as f64).sqrt())
}

/// How many of the n(n − 1)/2 pairs of rows are together in both clusterings, in one of them, and in neither.
struct Pairs {
    both: i128,
    only_a: i128,
    only_b: i128,
    neither: i128,
}

impl Pairs {
    fn of(table: &Contingency) -> Self {
        let pairs = |count: u64| i128::from(count) * (i128::from(count) - 1) / 2;
        let both: i128 = table.cells.iter().map(|&(_, _, count)| pairs(count)).sum();
        let only_a = table.rows.iter().map(|&count| pairs(count)).sum::<i128>() - both;
        let only_b = table.columns.iter().map(|&count| pairs(count)).sum::<i128>() - both;
        Pairs { both, only_a, only_b, neither: pairs(table.n) - both - only_a - only_b }
    }

    fn is_perfect(&self) -> bool {
        self.only_a == 0 && self.only_b == 0
    }

    fn all(&self) -> i128 {
        self.both + self.only_a + self.only_b + self.neither
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        adjusted_mutual_information, completeness, homogeneity, normalized_mutual_info, v_measure,
    };
    use super::*;
    use ndarray::{Array1, array};
    use proptest::prelude::*;

    fn labels(n: usize, k: usize) -> impl Strategy<Value = Array1<usize>> {
        proptest::collection::vec(0..k, n).prop_map(Array1::from)
    }

    type Metric = fn(&ArrayRef1<usize>, &ArrayRef1<usize>) -> Result<f64>;
    const SYMMETRIC: [Metric; 6] = [
        rand_index,
        adjusted_rand,
        fowlkes_mallows,
        normalized_mutual_info,
        adjusted_mutual_information,
        v_measure,
    ];

    proptest! {
        #[test]
        fn agreement_is_symmetric_bounded_and_blind_to_names_and_order(
            (a, b) in (1_usize..60).prop_flat_map(|n| (labels(n, 5), labels(n, 7))), seed: u64,
        ) {
            let order = crate::Seed::new(seed).permutation(a.len());
            let shuffled = |l: &Array1<usize>| Array1::from_iter(order.iter().map(|&i| l[i]));
            for metric in SYMMETRIC {
                let value = metric(&a, &b)?;
                // the correction for chance divides rounding errors by what chance leaves
                prop_assert!((-0.5 - 1e-13..=1.0).contains(&value), "{}", value);
                prop_assert!((value - metric(&b, &a)?).abs() < 1e-13);
                prop_assert!((value - metric(&a.mapv(|l| usize::MAX - 3 * l), &b)?).abs() < 1e-13);
                prop_assert!((value - metric(&shuffled(&a), &shuffled(&b))?).abs() < 1e-13);
                prop_assert_eq!(metric(&a, &a.mapv(|l| l + 4))?, 1.0);
            }
            for uncorrected in [rand_index, fowlkes_mallows, normalized_mutual_info] {
                prop_assert!(uncorrected(&a, &b)? >= 0.0);
            }
        }

        #[test]
        fn pairs_are_those_that_a_count_of_all_of_them_finds(
            (a, b) in (2_usize..30).prop_flat_map(|n| (labels(n, 4), labels(n, 4))),
        ) {
            let (mut both, mut in_a, mut in_b, mut agreed, mut all) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for i in 0..a.len() {
                for j in 0..i {
                    let (one, other) = (a[i] == a[j], b[i] == b[j]);
                    both += f64::from(u8::from(one && other));
                    in_a += f64::from(u8::from(one));
                    in_b += f64::from(u8::from(other));
                    agreed += f64::from(u8::from(one == other));
                    all += 1.0;
                }
            }
            prop_assert!((rand_index(&a, &b)? - agreed / all).abs() < 1e-15);
            let by_chance = in_a * in_b / all;
            let adjusted = (both - by_chance) / ((in_a + in_b) / 2.0 - by_chance);
            prop_assert!(agreed == all || (adjusted_rand(&a, &b)? - adjusted).abs() < 1e-13);
            let mean = if both > 0.0 { (both / in_a).sqrt() * (both / in_b).sqrt() } else { 0.0 };
            prop_assert!(agreed == all || (fowlkes_mallows(&a, &b)? - mean).abs() < 1e-15);
        }
    }

    #[test]
    fn no_rows_one_row_and_one_cluster_agree_perfectly() -> Result<()> {
        for metric in SYMMETRIC.into_iter().chain([homogeneity as Metric, completeness]) {
            for n in [0, 1, 2, 5] {
                assert_eq!(metric(&Array1::zeros(n), &Array1::zeros(n))?, 1.0);
                assert_eq!(metric(&Array1::from_iter(0..n), &Array1::from_iter(5..5 + n))?, 1.0);
            }
        }
        Ok(())
    }

    #[test]
    fn no_pair_together_in_both_is_no_agreement_of_pairs() -> Result<()> {
        let (a, b) = (array![0, 0, 1, 1], array![0, 1, 0, 1]);
        assert_eq!((fowlkes_mallows(&a, &b)?, rand_index(&a, &b)?), (0.0, 2.0 / 6.0));
        // one of them has no pair to agree about
        assert_eq!(fowlkes_mallows(&a, &array![0, 1, 2, 3])?, 0.0);
        Ok(())
    }

    #[test]
    fn pair_counts_beyond_64_bits_are_exact() -> Result<()> {
        // scikit-learn's test_adjusted_rand_score_overflow, and the squares of its pair counts
        let n = 200_000;
        let (a, b) = (Array1::from_shape_fn(n, |i| i / (n / 2)), Array1::from_shape_fn(n, |i| i % 2));
        let (half, quarter) = (1e5, 5e4);
        let pairs = |m: f64| m * (m - 1.0) / 2.0;
        let (both, in_one, all) = (4.0 * pairs(quarter), 2.0 * pairs(half), pairs(n as f64));
        assert!((fowlkes_mallows(&a, &b)? - both / in_one).abs() < 1e-15);
        assert!((rand_index(&a, &b)? - (all - 2.0 * (in_one - both)) / all).abs() < 1e-15);
        let by_chance = in_one * in_one / all;
        assert!((adjusted_rand(&a, &b)? - (both - by_chance) / (in_one - by_chance)).abs() < 1e-15);
        Ok(())
    }

    #[test]
    fn lengths_must_agree() {
        for metric in [rand_index, adjusted_rand, fowlkes_mallows] {
            let result = metric(&Array1::zeros(3), &Array1::zeros(2));
            assert!(matches!(result, Err(crate::Error::Shape { .. })));
        }
    }
}
