//! How many of the clusters that were asked for have a row.

use unsup_core::observe::{Event, Observer};

/// How many of k clusters are the label of a row.
pub(crate) fn used<'a>(labels: impl IntoIterator<Item = &'a usize>, clusters: usize) -> usize {
    let mut used = vec![false; clusters];
    labels.into_iter().for_each(|&label| used[label] = true);
    used.into_iter().filter(|&u| u).count()
}

/// Warns of clusters without a row, at the end of a fit. As a rule there are fewer distinct rows than clusters.
pub(crate) fn warn_of_unused<'a>(
    task: &str,
    labels: impl IntoIterator<Item = &'a usize>,
    clusters: usize,
    observer: &mut dyn Observer,
) {
    let used = used(labels, clusters);
    if used < clusters {
        let message = format!("only {used} of {clusters} clusters have a row");
        let _ = observer.observe(&Event::Warning { task, message: &message });
    }
}
