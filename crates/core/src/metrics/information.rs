//! Agreement of two clusterings in nats: what one says of the other.
//!
//! With p the shares of rows, I = Σ p(a, b) ln[p(a, b) / p(a)p(b)] is the information that the clusterings share, and
//! H(a) = −Σ p(a) ln p(a) all there is in one of them. Every function here is I over an entropy or a mean of both.

use super::contingency::Contingency;
use crate::Result;
use ndarray::ArrayRef1;
use std::iter::successors;

/// Mutual information of two clusterings over the mean of their entropies (Strehl & Ghosh 2002, with
/// the arithmetic mean): 1 for equal partitions, 0 for independent ones.
///
/// `a`, `b`: one label a row. Not corrected for chance, as [`adjusted_mutual_information`] is: many small clusters score
/// high by accident. O(n log n).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
pub fn normalized_mutual_info(a: &ArrayRef1<usize>, b: &ArrayRef1<usize>) -> Result<f64> {
    let table = Contingency::new(a, b)?;
    if table.is_perfect() {
        return Ok(1.0);
    }
    let mean_entropy = (entropy(&table.rows, table.n) + entropy(&table.columns, table.n)) / 2.0;
    Ok((information(&table) / mean_entropy).min(1.0))
}

/// Mutual information corrected for chance, (I − E\[I\]) / (H̄ − E\[I\]), with H̄ the arithmetic mean of the entropies: 1 for
/// equal partitions, 0 in expectation for independent ones, below that for clusterings that agree less than by chance.
///
/// E\[I\] is the mean over all clusterings with clusters of these sizes. The rows that two clusters of a and b of n rows
/// have in common are then hypergeometric (Vinh, Epps & Bailey, *Information theoretic measures for clusterings
/// comparison*, JMLR 11 (2010), eq. 24).
///
/// `a`, `b`: one label a row. One clustering that puts every row, or no two rows, together scores 0 against any but its equal.
/// O(n log n), and one step at most for each pair of cluster sizes that differ and each number of rows that such two clusters may
/// have in common: O(n √n) in the worst case, whatever the number of clusters.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
///
/// ```
/// use ndarray::array;
/// use unsup_core::metrics::{adjusted_mutual_information, normalized_mutual_info};
/// // nothing but the number of clusters speaks for the second
/// let (truth, apart) = (array![0, 0, 0, 1, 1, 1], array![0, 1, 2, 3, 4, 5]);
/// assert!(normalized_mutual_info(&truth, &apart)? > 0.5);
/// assert!(adjusted_mutual_information(&truth, &apart)?.abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn adjusted_mutual_information(a: &ArrayRef1<usize>, b: &ArrayRef1<usize>) -> Result<f64> {
    let table = Contingency::new(a, b)?;
    if table.is_perfect() {
        return Ok(1.0);
    }
    let mean_entropy = (entropy(&table.rows, table.n) + entropy(&table.columns, table.n)) / 2.0;
    let by_chance = expected_information(&table);
    Ok((information(&table) - by_chance) / (mean_entropy - by_chance))
}

/// Whether each cluster holds rows of one class only: I / H(truth) (Rosenberg & Hirschberg 2007), 1 when it does, 0 when the
/// clusters say nothing of the classes.
///
/// `truth`, `clusters`: one label a row. Cutting clusters up never lowers it, so that it says something together with
/// [`completeness`] only. Not corrected for chance. O(n log n).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
///
/// ```
/// use ndarray::array;
/// use unsup_core::metrics::{completeness, homogeneity};
/// let (truth, cut) = (array![0, 0, 1, 1], array![0, 1, 2, 2]);
/// assert_eq!(homogeneity(&truth, &cut)?, 1.0);
/// assert!((completeness(&truth, &cut)? - 2.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn homogeneity(truth: &ArrayRef1<usize>, clusters: &ArrayRef1<usize>) -> Result<f64> {
    let table = Contingency::new(truth, clusters)?;
    // one cell a cluster: exactly 1, and no division by the entropy of a single class
    if table.cells.len() == table.columns.len() {
        return Ok(1.0);
    }
    Ok((information(&table) / entropy(&table.rows, table.n)).min(1.0))
}

/// Whether each class lies in one cluster only: I / H(clusters), the [`homogeneity`] of the classes in the clusters.
///
/// `truth`, `clusters`: one label a row. A single cluster has it all. Not corrected for chance. O(n log n).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
pub fn completeness(truth: &ArrayRef1<usize>, clusters: &ArrayRef1<usize>) -> Result<f64> {
    homogeneity(clusters, truth)
}

/// The harmonic mean of [`homogeneity`] and [`completeness`] (Rosenberg & Hirschberg 2007, with β = 1), which is
/// [`normalized_mutual_info`] under another name: 2 / (H(truth)/I + H(clusters)/I).
///
/// `truth`, `clusters`: one label a row. Not corrected for chance. O(n log n).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the lengths differ.
///
/// ```
/// use ndarray::array;
/// use unsup_core::metrics::v_measure;
/// // homogeneity 1, completeness 2/3
/// assert!((v_measure(&array![0, 0, 1, 1], &array![0, 1, 2, 2])? - 0.8).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn v_measure(truth: &ArrayRef1<usize>, clusters: &ArrayRef1<usize>) -> Result<f64> {
    normalized_mutual_info(truth, clusters)
}

/// H of the clusters of these sizes, in nats.
fn entropy(sizes: &[u64], n: u64) -> f64 {
    let n = n as f64;
    sizes.iter().map(|&size| size as f64 / n * (n / size as f64).ln()).sum()
}

/// I of the two clusterings, in nats; 0 where it is no more than the rounding of its sum.
fn information(table: &Contingency) -> f64 {
    let n = table.n as f64;
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
    // Sums of terms of both signs may leave a rounding error where the information is 0.
    if information <= f64::EPSILON { 0.0 } else { information }
}

/// The mean of I over all clusterings with clusters of these sizes, in nats.
fn expected_information(table: &Contingency) -> f64 {
    // clusters of one size expect the same, and n rows make no more than √(2n) sizes that differ
    let (rows, columns) = (by_size(&table.rows), by_size(&table.columns));
    let pairs = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
    pairs.map(|(&(a, i), &(b, j))| i * j * expected_cell(a, b, table.n)).sum()
}

/// The sizes that occur, ascending, and how many clusters have each.
fn by_size(sizes: &[u64]) -> Vec<(u64, f64)> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f64)).collect()
}

/// The mean of x/n · ln(n·x / (a·b)) over the hypergeometric number x of rows that a cluster of `a` and one of `b` of `n` rows
/// have in common.
///
/// Log-factorials of n lose the digits of their size, n ln n. Here the probabilities are relative to the largest of them, each
/// the ratio of small integers times its neighbour, and are divided by their sum.
fn expected_cell(a: u64, b: u64, n: u64) -> f64 {
    // what lies farther out adds nothing to a sum that begins at 1
    const NEGLIGIBLE: f64 = 1e-40;
    let mode = (u128::from(a) + 1) * (u128::from(b) + 1) / (u128::from(n) + 2);
    let (a, b, n, mode) = (a as f64, b as f64, n as f64, mode as f64);
    // rows in neither cluster, but for x
    let neither = n - a - b;
    let more =
        |&(x, p): &(f64, f64)| Some((x + 1.0, p * (a - x) * (b - x) / ((x + 1.0) * (neither + x + 1.0))));
    let less =
        |&(x, p): &(f64, f64)| Some((x - 1.0, p * x * (neither + x) / ((a - x + 1.0) * (b - x + 1.0))));
    // beyond the least and the greatest x the probability is exactly 0
    let possible = |&(_, p): &(f64, f64)| p > NEGLIGIBLE;
    let upwards = successors(Some((mode, 1.0)), more).take_while(possible);
    let downwards = successors(Some((mode, 1.0)), less).skip(1).take_while(possible);
    let (sum, mean) = upwards.chain(downwards).fold((0.0, 0.0), |(sum, mean), (x, p)| {
        let information = if x > 0.0 { x / n * (n * x / (a * b)).ln() } else { 0.0 };
        (sum + p, mean + p * information)
    });
    mean / sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;
    use proptest::prelude::*;

    fn labels(n: usize, k: usize) -> impl Strategy<Value = Array1<usize>> {
        proptest::collection::vec(0..k, n).prop_map(Array1::from)
    }

    /// All orders of the values, as often as equal values may be told apart.
    fn orders(values: &[usize]) -> Vec<Vec<usize>> {
        if values.is_empty() {
            return vec![Vec::new()];
        }
        let first = |at: usize| {
            let mut rest = values.to_vec();
            let value = rest.remove(at);
            orders(&rest).into_iter().map(move |mut order| {
                order.push(value);
                order
            })
        };
        (0..values.len()).flat_map(first).collect()
    }

    proptest! {
        #[test]
        fn what_chance_expects_is_the_mean_over_all_orders(
            (a, b) in (2_usize..7).prop_flat_map(|n| (labels(n, 4), labels(n, 4))),
        ) {
            let orders = orders(&b.to_vec());
            let mut sum = 0.0;
            for order in &orders {
                sum += information(&Contingency::new(&a, &Array1::from(order.clone()))?);
            }
            let expected = expected_information(&Contingency::new(&a, &b)?);
            prop_assert!((expected - sum / orders.len() as f64).abs() < 1e-12, "{} {}", expected, sum);
        }

        // eq. 24a as it is printed, where its factorials still have their digits
        #[test]
        fn what_chance_expects_of_a_cell_is_the_formula_in_factorials(
            (n, a, b) in (1_u64..100).prop_flat_map(|n| (Just(n), 1..=n, 1..=n)),
        ) {
            let ln_factorial = |m: u64| (1..=m).map(|i| (i as f64).ln()).sum::<f64>();
            let fixed: f64 = [a, b, n - a, n - b].map(ln_factorial).iter().sum::<f64>() - ln_factorial(n);
            let expected: f64 = (1_u64.max((a + b).saturating_sub(n))..=a.min(b)).map(|x| {
                let free: f64 = [x, a - x, b - x, n + x - a - b].map(ln_factorial).iter().sum();
                x as f64 / n as f64 * ((n * x) as f64 / (a * b) as f64).ln() * (fixed - free).exp()
            }).sum();
            prop_assert!((expected_cell(a, b, n) - expected).abs() < 1e-12, "{} {}", expected_cell(a, b, n), expected);
        }

        #[test]
        fn the_v_measure_is_the_harmonic_mean_and_neither_of_its_parts_depends_on_names(
            (a, b) in (1_usize..60).prop_flat_map(|n| (labels(n, 5), labels(n, 7))),
        ) {
            let (h, c) = (homogeneity(&a, &b)?, completeness(&a, &b)?);
            prop_assert!((0.0..=1.0).contains(&h) && (0.0..=1.0).contains(&c));
            let mean = if h + c > 0.0 { 2.0 * h * c / (h + c) } else { 0.0 };
            prop_assert!((v_measure(&a, &b)? - mean).abs() < 1e-14);
            prop_assert!((h - homogeneity(&a.mapv(|l| 40 - l), &b.mapv(|l| 9 * l))?).abs() < 1e-14);
            // a cluster cut in two is as homogeneous as before, or more so
            let cut = Array1::from_shape_fn(b.len(), |i| 2 * b[i] + i % 2);
            prop_assert!(homogeneity(&a, &cut)? >= h - 1e-14);
        }
    }

    #[test]
    fn independent_labels_score_exactly_zero_information() -> Result<()> {
        let (a, b) = (Array1::from_shape_fn(12, |i| i % 3), Array1::from_shape_fn(12, |i| i / 3));
        let scores = [normalized_mutual_info, homogeneity, completeness, v_measure];
        for score in scores {
            assert_eq!(score(&a, &b)?, 0.0);
        }
        // less than chance expects
        assert!((-0.5..-0.1).contains(&adjusted_mutual_information(&a, &b)?));
        // scikit-learn's test_exactly_zero_info_score
        for n in [9, 10, 100, 1000, 10_000] {
            let (one, apart) = (Array1::zeros(n), Array1::from_iter(0..n));
            for score in [normalized_mutual_info, adjusted_mutual_information, v_measure] {
                assert_eq!((score(&one, &apart)?, score(&apart, &one)?), (0.0, 0.0), "{n}");
            }
        }
        Ok(())
    }

    #[test]
    fn labels_drawn_apart_from_each_other_score_zero_but_for_chance() -> Result<()> {
        let n = 20_000;
        for (k, seed) in [(3, 1), (20, 2), (200, 3)] {
            let a = Array1::from_iter(crate::Seed::new(seed).permutation(n).iter().map(|l| l % k));
            let b = Array1::from_iter((0..n).map(|l| l % (2 * k)));
            let (adjusted, plain) = (adjusted_mutual_information(&a, &b)?, normalized_mutual_info(&a, &b)?);
            assert!(adjusted.abs() < 0.01, "{k}: {adjusted}");
            assert!(k < 200 || plain > 0.2, "{plain}");
        }
        Ok(())
    }

    #[test]
    fn counts_whose_products_and_factorials_overflow_keep_their_digits() -> Result<()> {
        // scikit-learn's test_expected_mutual_info_overflow: a cell of 70 000 rows
        assert_eq!(expected_cell(70_000, 70_000, 70_000), 0.0);
        // two halves and two halves: (2 − 1)(2 − 1) / 2n nats by chance, to first order
        let n = 140_000;
        let (half, other) = (Array1::from_shape_fn(n, |i| i / 70_000), Array1::from_shape_fn(n, |i| i % 2));
        let by_chance = expected_information(&Contingency::new(&half, &other)?);
        assert!((by_chance * 2.0 * n as f64 - 1.0).abs() < 1e-4, "{by_chance}");
        let expected = -by_chance / (2.0_f64.ln() - by_chance);
        assert!((adjusted_mutual_information(&half, &other)? - expected).abs() < 1e-15);
        // the same in cells of 10¹⁰ rows
        let n = 40_000_000_000;
        let by_chance = 4.0 * expected_cell(n / 2, n / 2, n);
        assert!((by_chance * 2.0 * n as f64 - 1.0).abs() < 1e-3, "{by_chance}");
        Ok(())
    }

    #[test]
    fn every_row_apart_costs_no_more_than_a_few_large_clusters() -> Result<()> {
        // 10¹⁰ pairs of clusters, in a handful of pairs of sizes
        let n = 100_000;
        let a = Array1::from_shape_fn(n, |i| i / 2);
        let b = Array1::from_shape_fn(n, |i| i);
        assert!(adjusted_mutual_information(&a, &b)?.abs() < 1e-9);
        Ok(())
    }

    #[test]
    fn lengths_must_agree() {
        for score in
            [normalized_mutual_info, adjusted_mutual_information, homogeneity, completeness, v_measure]
        {
            let result = score(&Array1::zeros(3), &Array1::zeros(2));
            assert!(matches!(result, Err(crate::Error::Shape { .. })));
        }
    }
}
