//! Which representation can be learned before there are labels? SimCLR on digits, then a few labels.

use crate::Failure;
use crate::samples::digit_images;
use ndarray::Axis;
use unsup::candle::Tensor;
use unsup::core::data::split::{label_fraction, stratified_split};
use unsup::core::nn::ResNetSpec;
use unsup::core::observe::Silent;
use unsup::core::plot::{ImageGrid, Lines};
use unsup::prelude::*;
use unsup::selfsup::Supervised;
use unsup_examples::Report;

/// Pretrains without labels, then compares a linear probe on 1 % and 10 % of the labels with the same network trained on those
/// labels only. Each figure is the mean over several draws of the labels.
pub(crate) fn few_labels(report: &mut Report, quick: bool) -> Result<(), Failure> {
    report.section(
        "Features before labels",
        "SimCLR learns from two random views of each digit which images belong together. A linear classifier on its frozen features \
         is compared with the same network trained from nothing on the same few labels.",
    );
    let digits = data::digits();
    let split = stratified_split(&digits.labels, 0.25, Seed::new(1))?;
    let rows = |rows: &[usize]| digit_images(&digits.x.select(Axis(0), rows));
    let (train, test) = (rows(&split.train)?, rows(&split.test)?);
    let (train_labels, test_labels) =
        (digits.labels.select(Axis(0), &split.train), digits.labels.select(Axis(0), &split.test));

    let encoder = ResNetSpec::new(1).widths([16, 32, 64]);
    let pretraining =
        SimClr::new(encoder.clone()).epochs(if quick { 25 } else { 100 }).learning_rate(2e-2).seed(3);
    let model = pretraining.fit_observed(&train, &mut ProgressBar::new())?;
    let curve =
        Lines::new("SimCLR on digits").curve("NT-Xent", model.history().objective()).axes("epoch", "nats");
    report.picture("simclr_training", &curve, "The loss of picking each view's partner among all others.")?;
    let shown = train.narrow(0, 0, 10)?;
    let views = [
        shown.clone(),
        Views::digits().apply(&shown, Seed::new(1))?,
        Views::digits().apply(&shown, Seed::new(2))?,
    ];
    let grid =
        ImageGrid::new("").tensor(&Tensor::cat(&views, 0)?)?.range(0.0, 1.0).inverted().columns(10).zoom(6.0);
    report.picture(
        "simclr_views",
        &grid,
        "Ten digits, and two views of each: what the network is told is the same.",
    )?;

    let (features, test_features) = (model.transform(&train)?, model.transform(&test)?);
    let draws = if quick { 3 } else { 5 };
    for (percent, fraction) in [(1, 0.01), (10, 0.1)] {
        let (mut probe, mut scratch) = (0.0, 0.0);
        for draw in 0..draws {
            let labelled = label_fraction(&train_labels, fraction, 1, Seed::new(5).indexed(draw))?;
            let labels = train_labels.select(Axis(0), &labelled);
            let classifier = LinearProbe::new().fit(&features.select(Axis(0), &labelled), &labels)?;
            probe += metrics::accuracy(&test_labels, &classifier.predict(&test_features)?)?;

            let indices = Tensor::from_iter(labelled.iter().map(|&i| i as u32), train.device())?;
            // the baseline at its best learning rate, for as many steps with few labels as with many
            let steps = if quick { 150 } else { 400 };
            let from_nothing = Supervised::new(encoder.clone())
                .views(Views::digits())
                .learning_rate(1e-2)
                .epochs(steps / (labelled.len() / 64).max(1))
                .seed(draw as u64);
            let network = from_nothing.fit(&train.index_select(&indices, 0)?, &labels, &mut Silent)?;
            scratch += metrics::accuracy(&test_labels, &network.predict(&test)?)?;
        }
        let mean = |total: f64| total / draws as f64;
        report.figure(
            &format!("probe_{percent}pct"),
            &format!("accuracy of a probe on {percent} % of the labels"),
            mean(probe),
        );
        report.figure(
            &format!("scratch_{percent}pct"),
            &format!("accuracy of the network trained on {percent} % of the labels alone"),
            mean(scratch),
        );
    }
    Ok(())
}
