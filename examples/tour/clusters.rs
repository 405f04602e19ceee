//! Which group does each row belong to? Digits without their labels, tissues without an atlas.

use crate::Failure;
use ndarray::{Array1, Array2, Array3, Axis};
use unsup::core::plot::{ImageGrid, Lines, Overlay};
use unsup::prelude::*;
use unsup_examples::Report;

/// k-means on the digits, scored against the labels it never saw.
pub(crate) fn digits(report: &mut Report, quick: bool) -> Result<(), Failure> {
    report.section(
        "Clusters of digits",
        "k-means with ten centroids on 1797 handwritten digits of 8 × 8 pixels. The labels serve only to score the result.",
    );
    let digits = data::digits();
    let restarts = if quick { 3 } else { 20 };
    let model =
        KMeans::new(10).restarts(restarts).seed(7).fit_observed(&digits.x, &mut ProgressBar::new())?;
    let labels = model.labels();
    report.figure(
        "digits_kmeans_ari",
        "adjusted Rand index of the clusters",
        metrics::adjusted_rand(&digits.labels, labels)?,
    );
    report.figure(
        "digits_kmeans_nmi",
        "normalised mutual information",
        metrics::normalized_mutual_info(&digits.labels, labels)?,
    );
    report.figure(
        "digits_kmeans_accuracy",
        "accuracy after the best matching",
        metrics::matched_accuracy(&digits.labels, labels)?,
    );
    report.figure("digits_kmeans_silhouette", "mean silhouette", metrics::silhouette(&digits.x, labels)?);

    let centroids = images(model.centroids());
    let sizes: Vec<String> =
        (0..10).map(|c| format!("{} digits", labels.iter().filter(|&&l| l == c).count())).collect();
    let grid = ImageGrid::new("").grey(&centroids)?.inverted().columns(10).captions(&sizes).zoom(8.0);
    report.picture(
        "digits_centroids",
        &grid,
        "The ten centroids: averages of the digits in each cluster.",
    )?;
    let curve = Lines::new("k-means on digits")
        .curve("inertia", model.history().objective())
        .axes("iteration", "inertia");
    report.picture("digits_inertia", &curve, "The inertia of the best start never rises.")?;
    Ok(())
}

/// Rows of 64 pixels as images.
pub(crate) fn images(rows: &Array2<f64>) -> Array3<f64> {
    Array3::from_shape_fn((rows.nrows(), 8, 8), |(i, y, x)| rows[[i, 8 * y + x]])
}

/// Three tissues from the intensities of one MR slice.
pub(crate) fn mr_slice(report: &mut Report) -> Result<(), Failure> {
    report.section(
        "Segmenting an MR slice",
        "The intensities inside the brain in one axial slice of the MNI152 template, in three clusters: fluid, grey matter, \
         white matter. Compared with the template's own probability maps, which the method never saw.",
    );
    let slice = data::mni_slice();
    let inside: Vec<(usize, usize)> =
        slice.t1.indexed_iter().filter(|(_, v)| **v > 0.0).map(|(at, _)| at).collect();
    let intensities: Array1<f64> = inside.iter().map(|&at| slice.t1[at]).collect();
    let model = KMeans::new(3).restarts(5).seed(1).fit(&intensities.insert_axis(Axis(1)))?;

    // clusters in the order of their intensity: fluid is dark in T1, white matter bright
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| model.centroids()[[a, 0]].total_cmp(&model.centroids()[[b, 0]]));
    // 0 outside the brain, then 1, 2, 3
    let mut tissue = Array2::<usize>::zeros(slice.t1.dim());
    for (&at, &label) in inside.iter().zip(model.labels()) {
        tissue[at] = order.iter().position(|&c| c == label).map_or(0, |p| p + 1);
    }
    let dice = |class: usize, probability: &Array2<f64>| {
        metrics::dice(&tissue.mapv(|t| t == class), &probability.mapv(|p| p > 0.5))
    };
    report.figure("mr_dice_grey", "Dice of grey matter against the template's map", dice(2, &slice.grey)?);
    report.figure("mr_dice_white", "Dice of white matter against the template's map", dice(3, &slice.white)?);
    let overlay = Overlay::new("", &slice.t1, &tissue)?.names(&["", "fluid", "grey matter", "white matter"]);
    report.picture("mr_segmentation", &overlay, "The slice and its three clusters.")?;
    Ok(())
}
