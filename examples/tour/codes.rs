//! What is the code of each row, in few numbers?

use crate::Failure;
use crate::clusters::images;
use ndarray::{Axis, concatenate, s};
use unsup::core::plot::{ImageGrid, Scatter};
use unsup::prelude::*;
use unsup_examples::Report;

/// The digits on their first two principal components, and rebuilt from twenty.
pub(crate) fn two_components(report: &mut Report) -> Result<(), Failure> {
    report.section(
        "Principal components of digits",
        "The two directions of greatest variance among 64 pixels already part some of the digits; twenty rebuild them well.",
    );
    let digits = data::digits();
    let plane = Pca::new().components(2).fit(&digits.x)?;
    let ratio = plane.explained_variance_ratio();
    report.figure("pca_variance_2", "share of the variance on two components", ratio.sum());
    let scatter = Scatter::new("Digits on two principal components")
        .points(&plane.transform(&digits.x)?, &digits.labels)?
        .names(&digits.label_names)
        .axes(
            format!("first component ({:.0} %)", 100.0 * ratio[0]),
            format!("second component ({:.0} %)", 100.0 * ratio[1]),
        );
    report.picture("digits_pca", &scatter, "Each dot is a digit; the colours, its label, were not used.")?;

    let first = digits.x.slice(s![..10, ..]).to_owned();
    let mut rows = vec![first.clone()];
    for k in [2, 5, 10, 20, 40] {
        let model = Pca::new().components(k).fit(&digits.x)?;
        rows.push(model.inverse_transform(&model.transform(&first)?)?);
    }
    let views: Vec<_> = rows.iter().map(|r| r.view()).collect();
    let all = concatenate(Axis(0), &views)?;
    let captions = ["original", "k = 2", "k = 5", "k = 10", "k = 20", "k = 40"];
    let captions: Vec<&str> =
        captions.iter().flat_map(|c| std::iter::once(*c).chain(std::iter::repeat_n("", 9))).collect();
    let grid = ImageGrid::new("")
        .grey(&images(&all))?
        .range(0.0, 16.0)
        .inverted()
        .columns(10)
        .captions(&captions)
        .zoom(6.0);
    report.picture("digits_rebuilt", &grid, "Ten digits (first row) and what k components keep of them.")?;
    Ok(())
}
