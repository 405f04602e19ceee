//! Predicted classes against true ones.

use super::contingency::names;
use super::same_length;
use crate::{Error, Result};
use ndarray::{Array2, ArrayRef1};

/// The share of rows whose predicted label is the true one.
///
/// # Errors
/// [`Error::Empty`] for no rows, [`Error::Shape`] when the lengths differ.
pub fn accuracy(truth: &ArrayRef1<usize>, predicted: &ArrayRef1<usize>) -> Result<f64> {
    same_length("the predicted labels", predicted.len(), truth.len())?;
    if truth.is_empty() {
        return Err(Error::Empty { what: "labels", shape: vec![0] });
    }
    let right = truth.iter().zip(predicted).filter(|(t, p)| t == p).count();
    Ok(right as f64 / truth.len() as f64)
}

/// How often each class was predicted as each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// Rows of true class `classes[i]` that were predicted as `classes[j]`: `[k, k]`.
    pub counts: Array2<usize>,
    /// Every label that occurs in either list, ascending.
    pub classes: Vec<usize>,
}

/// The table is dense; this many classes fill 128 MiB.
const MOST_CLASSES: usize = 4096;

/// Counts true against predicted labels, over the labels that occur in either list.
///
/// # Errors
/// [`Error::Shape`] when the lengths differ, [`Error::Parameter`] for more than 4096 distinct labels.
///
/// ```
/// use ndarray::array;
/// let confusion = unsup_core::metrics::confusion_matrix(&array![2, 2, 7], &array![2, 7, 7])?;
/// assert_eq!(confusion.classes, [2, 7]);
/// assert_eq!(confusion.counts, array![[1, 1], [0, 1]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn confusion_matrix(truth: &ArrayRef1<usize>, predicted: &ArrayRef1<usize>) -> Result<Confusion> {
    same_length("the predicted labels", predicted.len(), truth.len())?;
    let classes = names(truth.iter().chain(predicted).copied());
    let k = classes.len();
    if k > MOST_CLASSES {
        return Err(Error::parameter("labels", format!("{k} distinct"), "at most 4096 distinct labels"));
    }
    let mut counts = Array2::zeros((k, k));
    let position = |label: usize| classes.partition_point(|&class| class < label);
    truth.iter().zip(predicted).for_each(|(&t, &p)| counts[[position(t), position(p)]] += 1);
    Ok(Confusion { counts, classes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    #[test]
    fn accuracy_is_the_trace_of_the_confusion_matrix() -> Result<()> {
        let (truth, predicted) = (array![0, 1, 2, 2, 9, 9, 9], array![0, 2, 2, 2, 9, 0, 1]);
        let confusion = confusion_matrix(&truth, &predicted)?;
        assert_eq!(confusion.counts.diag().sum() as f64 / 7.0, accuracy(&truth, &predicted)?);
        assert_eq!(confusion.counts.row(3), array![1, 1, 0, 1]);
        Ok(())
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let many = Array1::from_iter(0..5000);
        assert!(matches!(confusion_matrix(&many, &many), Err(Error::Parameter { name: "labels", .. })));
        assert!(matches!(accuracy(&many, &array![1]), Err(Error::Shape { .. })));
        assert!(matches!(accuracy(&array![], &array![]), Err(Error::Empty { .. })));
    }
}
