//! Seeded splits of rows: train and test, and a few labelled rows among many.
//!
//! All functions return row indices in ascending order, for `x.select(Axis(0), &split.train)`.
//! Use a stratified split when there are classes, so that a rare one is on both sides; use none of these
//! when rows depend on each other (several images of one patient, a time series): split by the
//! thing they share instead. Everything costs O(n log n).

use crate::{Error, Result, Seed};
use ndarray::ArrayRef1;
use std::collections::BTreeMap;

/// Two disjoint sets of rows that together are all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to learn from, ascending.
    pub train: Vec<usize>,
    /// Rows to judge by, ascending.
    pub test: Vec<usize>,
}

/// Splits the rows `0..n` at random; the test set gets `test_fraction` of them, rounded, and each
/// side gets at least one.
///
/// # Errors
/// [`Error::Parameter`] for a fraction outside (0, 1), [`Error::TooFewRows`] for fewer than two rows.
///
/// ```
/// use unsup_core::{Seed, data::split};
/// let split = split::train_test_split(150, 0.2, Seed::new(7))?;
/// assert_eq!((split.train.len(), split.test.len()), (120, 30));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn train_test_split(n: usize, test_fraction: f64, seed: Seed) -> Result<Split> {
    open_unit("test_fraction", test_fraction)?;
    if n < 2 {
        return Err(Error::TooFewRows { method: "a split", needed: 2, found: n });
    }
    let order = seed.named("split").permutation(n);
    let (test, train) = order.split_at(share(n, test_fraction).clamp(1, n - 1));
    Ok(Split { train: sorted(train.to_vec()), test: sorted(test.to_vec()) })
}

/// Splits every class on its own by `test_fraction`, so that classes keep their proportions. A class of
/// two rows or more is on both sides; a class of one row stays in the training set.
///
/// `labels`: one a row, any numbers.
///
/// # Errors
/// [`Error::Parameter`] for a fraction outside (0, 1), [`Error::TooFewRows`] when no class has two rows.
pub fn stratified_split(labels: &ArrayRef1<usize>, test_fraction: f64, seed: Seed) -> Result<Split> {
    open_unit("test_fraction", test_fraction)?;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (class, rows) in shuffled_classes(labels, seed.named("split")) {
        let most = rows.len() - 1;
        let count = share(rows.len(), test_fraction).clamp(most.min(1), most);
        test.extend_from_slice(&rows[..count]);
        train.extend_from_slice(&rows[count..]);
        debug_assert!(rows.iter().all(|&i| labels[i] == class));
    }
    if test.is_empty() {
        let needed = labels.len().max(1) + 1;
        return Err(Error::TooFewRows { method: "a stratified split", needed, found: labels.len() });
    }
    Ok(Split { train: sorted(train), test: sorted(test) })
}

/// The rows that keep their label when only a fraction of each class is labelled (1 % or 10 % in the
/// literature on self-supervision): `fraction` of each class, rounded, but at least
/// `at_least_per_class` or all that the class has.
///
/// # Errors
/// [`Error::Parameter`] for a fraction that is not in (0, 1], [`Error::Empty`] for no labels.
///
/// ```
/// use unsup_core::{Seed, data};
/// let digits = data::digits();
/// let labelled = data::split::label_fraction(&digits.labels, 0.01, 1, Seed::new(7))?;
/// assert_eq!(labelled.len(), 20); // 2 of about 180 images of each digit
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn label_fraction(
    labels: &ArrayRef1<usize>,
    fraction: f64,
    at_least_per_class: usize,
    seed: Seed,
) -> Result<Vec<usize>> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(Error::parameter("fraction", fraction, "a number above 0, at most 1"));
    }
    if labels.is_empty() {
        return Err(Error::Empty { what: "labels", shape: vec![0] });
    }
    let mut chosen = Vec::new();
    for (_, rows) in shuffled_classes(labels, seed.named("labels")) {
        let count = share(rows.len(), fraction).max(at_least_per_class).min(rows.len());
        chosen.extend_from_slice(&rows[..count]);
    }
    Ok(sorted(chosen))
}

/// The rows of each class in random order; one stream a class, so that a change in one class
/// moves nothing in another.
fn shuffled_classes(labels: &ArrayRef1<usize>, seed: Seed) -> BTreeMap<usize, Vec<usize>> {
    let mut classes = BTreeMap::<usize, Vec<usize>>::new();
    for (row, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(row);
    }
    for (&class, rows) in &mut classes {
        let order = seed.indexed(class).permutation(rows.len());
        *rows = order.into_iter().map(|i| rows[i]).collect();
    }
    classes
}

fn share(n: usize, fraction: f64) -> usize {
    (n as f64 * fraction).round() as usize
}

fn sorted(mut rows: Vec<usize>) -> Vec<usize> {
    rows.sort_unstable();
    rows
}

fn open_unit(name: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        Ok(())
    } else {
        Err(Error::parameter(name, value, "a number between 0 and 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};
    use proptest::prelude::*;

    fn parts(split: &Split, n: usize) -> bool {
        sorted([&split.train[..], &split.test[..]].concat()) == (0..n).collect::<Vec<_>>()
    }

    proptest! {
        #[test]
        fn a_split_holds_every_row_once_and_both_sides_hold_some(n in 2_usize..300, f in 0.001..0.999, seed: u64) {
            let split = train_test_split(n, f, Seed::new(seed))?;
            prop_assert!(parts(&split, n) && !split.train.is_empty() && !split.test.is_empty());
            prop_assert!((split.test.len() as f64 - n as f64 * f).abs() <= 1.0);
        }

        #[test]
        fn a_stratified_split_keeps_each_class_within_one_row_of_its_share(
            labels in proptest::collection::vec(0_usize..5, 12..200), f in 0.05..0.95, seed: u64,
        ) {
            let labels = Array1::from(labels);
            let split = stratified_split(&labels, f, Seed::new(seed))?;
            prop_assert!(parts(&split, labels.len()));
            for class in 0..5 {
                let size = labels.iter().filter(|&&l| l == class).count();
                let test = split.test.iter().filter(|&&i| labels[i] == class).count();
                prop_assert!((test as f64 - size as f64 * f).abs() <= 1.0, "{test} of {size}");
                prop_assert!(size < 2 || (1..size).contains(&test));
            }
        }
    }

    #[test]
    fn a_fraction_of_labels_covers_every_class() -> Result<()> {
        let labels = Array1::from_shape_fn(1000, |i| if i < 990 { 7 } else { usize::MAX });
        let chosen = label_fraction(&labels, 0.1, 3, Seed::new(1))?;
        let rare = chosen.iter().filter(|&&i| i >= 990).count();
        assert_eq!((chosen.len(), rare), (99 + 3, 3));
        assert_ne!(chosen, label_fraction(&labels, 0.1, 3, Seed::new(2))?);
        assert_eq!(label_fraction(&array![4, 4], 0.01, 9, Seed::new(1))?, [0, 1]);
        Ok(())
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let seed = Seed::new(1);
        assert!(matches!(train_test_split(1, 0.5, seed), Err(Error::TooFewRows { found: 1, .. })));
        assert!(matches!(train_test_split(9, 1.0, seed), Err(Error::Parameter { .. })));
        assert!(matches!(stratified_split(&array![0, 1, 2], 0.5, seed), Err(Error::TooFewRows { .. })));
        assert!(matches!(stratified_split(&array![0, 0], f64::NAN, seed), Err(Error::Parameter { .. })));
        let none = Array1::from(Vec::new());
        assert!(matches!(label_fraction(&none, 0.5, 1, seed), Err(Error::Empty { what: "labels", .. })));
    }
}
