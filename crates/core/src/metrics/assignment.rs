//! One-to-one matching of least cost, and the accuracy of a clustering after it.
//!
//! The Hungarian method in the shortest-augmenting-path form (Kuhn 1955; Jonker & Volgenant 1987):
//! rows enter one at a time, and each takes the cheapest path of reassignments under dual prices that keep all
//! reduced costs non-negative. O(r² c) for r rows and c >= r columns.

use super::classification::confusion_matrix;
use crate::{Error, Result, validate};
use ndarray::{ArrayRef1, ArrayRef2};

/// The matching of rows to columns with the least total cost. Every row gets a column of its own when
/// there are enough columns; otherwise every column gets a row and the other rows get `None`.
///
/// `cost`: `[r, c]`, any finite numbers; negate a gain to maximise it. Returns one column a row.
///
/// # Errors
/// Those of [`validate::table`].
///
/// ```
/// use ndarray::array;
/// use unsup_core::metrics::best_assignment;
/// let cost = array![[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]];
/// assert_eq!(best_assignment(&cost)?, [Some(1), Some(0), Some(2)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn best_assignment(cost: &ArrayRef2<f64>) -> Result<Vec<Option<usize>>> {
    validate::table(cost, "cost")?;
    if cost.nrows() <= cost.ncols() {
        return Ok(augment(cost).into_iter().map(Some).collect());
    }
    let mut column_of = vec![None; cost.nrows()];
    for (column, row) in augment(&cost.t()).into_iter().enumerate() {
        column_of[row] = Some(column);
    }
    Ok(column_of)
}

/// The column of each row, for at least as many columns as rows.
fn augment(cost: &ArrayRef2<f64>) -> Vec<usize> {
    let (rows, columns) = cost.dim();
    let (mut row_price, mut column_price) = (vec![0.0; rows], vec![0.0; columns]);
    let mut row_of: Vec<Option<usize>> = vec![None; columns];
    for start in 0..rows {
        // Dijkstra from the new row over reduced costs, until a free column is reached.
        let mut distance = vec![f64::INFINITY; columns];
        let mut came_from = vec![None; columns];
        let mut done = vec![false; columns];
        let (mut row, mut reached, mut at) = (start, 0.0, None);
        let end = loop {
            for j in (0..columns).filter(|&j| !done[j]) {
                let through = reached + cost[[row, j]] - row_price[row] - column_price[j];
                if through < distance[j] {
                    (distance[j], came_from[j]) = (through, at);
                }
            }
            let nearest =
                (0..columns).filter(|&j| !done[j]).min_by(|&i, &j| distance[i].total_cmp(&distance[j]));
            let Some(nearest) = nearest else { break None };
            (done[nearest], reached, at) = (true, distance[nearest], Some(nearest));
            match row_of[nearest] {
                Some(next) => row = next,
                None => break Some(nearest),
            }
        };
        // Prices of everything inside the tree move so that its edges stay tight.
        row_price[start] += reached;
        for j in (0..columns).filter(|&j| done[j]) {
            if let Some(i) = row_of[j] {
                row_price[i] += reached - distance[j];
            }
            column_price[j] -= reached - distance[j];
        }
        // Walk back, moving each column on the path to the row before it.
        let mut free = end;
        while let Some(column) = free {
            let previous = came_from[column];
            row_of[column] = match previous {
                Some(before) => row_of[before],
                None => Some(start),
            };
            free = previous;
        }
    }
    let mut column_of = vec![0; rows];
    for (column, row) in row_of.iter().enumerate() {
        if let Some(row) = row {
            column_of[*row] = column;
        }
    }
    column_of
}

/// The share of rows whose cluster is matched to their class, under the best one-to-one matching of
/// clusters to classes ("clustering accuracy").
///
/// `truth`, `clusters`: one label a row. Clusters beyond the number of classes stay unmatched and count as errors.
///
/// # Errors
/// [`Error::Empty`] for no rows, [`Error::Shape`] when the lengths differ, and that of
/// [`confusion_matrix`] for very many labels.
pub fn matched_accuracy(truth: &ArrayRef1<usize>, clusters: &ArrayRef1<usize>) -> Result<f64> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "labels", shape: vec![0] });
    }
    let gain = confusion_matrix(truth, clusters)?.counts;
    let columns = best_assignment(&gain.mapv(|count| -(count as f64)))?;
    let matched: usize = columns.iter().enumerate().filter_map(|(i, j)| j.map(|j| gain[[i, j]])).sum();
    Ok(matched as f64 / truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;

    /// The best total over all ways to give each row its own column, by trying them all.
    fn exhaustive(cost: &ArrayRef2<f64>, row: usize, free: &mut Vec<usize>) -> f64 {
        if row == cost.nrows() {
            return 0.0;
        }
        (0..free.len())
            .map(|at| {
                let column = free.swap_remove(at);
                let total = cost[[row, column]] + exhaustive(cost, row + 1, free);
                free.push(column);
                let last = free.len() - 1;
                free.swap(at, last);
                total
            })
            .fold(f64::INFINITY, f64::min)
    }

    proptest! {
        #[test]
        fn the_matching_is_one_to_one_and_as_cheap_as_the_best_of_all(
            (rows, columns, values) in (1_usize..6, 1_usize..6)
                .prop_flat_map(|(r, c)| (Just(r), Just(c), proptest::collection::vec(-9_i32..9, r * c))),
        ) {
            let cost = Array2::from_shape_fn((rows, columns), |(i, j)| f64::from(values[i * columns + j]));
            let matching = best_assignment(&cost)?;
            let mut used: Vec<usize> = matching.iter().flatten().copied().collect();
            prop_assert_eq!(used.len(), rows.min(columns));
            let total: f64 = matching.iter().enumerate().filter_map(|(i, j)| j.map(|j| cost[[i, j]])).sum();
            used.sort_unstable();
            used.dedup();
            prop_assert_eq!(used.len(), rows.min(columns));
            let tall = if rows <= columns { cost.to_owned() } else { cost.t().to_owned() };
            prop_assert_eq!(total, exhaustive(&tall, 0, &mut (0..tall.ncols()).collect()));
        }

        #[test]
        fn matched_accuracy_is_blind_to_cluster_names_and_at_least_plain_accuracy(
            labels in proptest::collection::vec((0_usize..4, 0_usize..6), 1..50),
        ) {
            let truth = Array1::from_iter(labels.iter().map(|l| l.0));
            let found = Array1::from_iter(labels.iter().map(|l| l.1));
            let value = matched_accuracy(&truth, &found)?;
            prop_assert!(value > 0.0 && value <= 1.0 && value >= crate::metrics::accuracy(&truth, &found)?);
            prop_assert_eq!(value, matched_accuracy(&truth, &found.mapv(|l| 1000 - l))?);
            prop_assert_eq!(value, matched_accuracy(&found, &truth)?);
        }
    }

    #[test]
    fn costs_must_be_finite_and_some() {
        let nan = best_assignment(&Array2::from_elem((2, 2), f64::NAN));
        assert!(matches!(nan, Err(Error::NonFinite { what: "cost", row: 0, column: 0, .. })));
        assert!(matches!(best_assignment(&Array2::zeros((0, 3))), Err(Error::Empty { .. })));
        assert!(matches!(matched_accuracy(&Array1::zeros(0), &Array1::zeros(0)), Err(Error::Empty { .. })));
    }
}
