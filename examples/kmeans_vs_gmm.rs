//! The same points in the plane with 3, 5, 9, 13 and 20 components: by k-means, by a Gaussian mixture, and by one that empties what
//! it does not need.
//!
//!     cargo run --release --example kmeans_vs_gmm            # seconds
//!     cargo run --release --example kmeans_vs_gmm -- --quick # the same with fewer points and starts
//!
//! Writes pictures and a self-contained page to `target/kmeans_vs_gmm/`; the last line is JSON.

use ndarray::{Array1, Array2, Axis, array};
use unsup::clustering::BayesianGaussianMixtureModel;
use unsup::core::plot::{Lines, Scatter};
use unsup::prelude::*;
use unsup_examples::{Failure, Report};

/// Where the ellipses lie: two standard deviations hold 86 % of a component.
const DEVIATIONS: f64 = 2.0;

fn main() -> Result<(), Failure> {
    let quick = unsup_examples::quick()?;
    let (n, restarts) = if quick { (1000, 3) } else { (4000, 20) };
    let (x, truth) = five_groups(n);
    let mut report = Report::new("kmeans_vs_gmm", "k-means and a Gaussian mixture on the same points")?;
    report.section(
        "The points",
        "Five groups: two long and narrow that cross, one wide and thin over one small and dense, and one round. Their labels \
         serve only to score the results.",
    );
    let plot = Scatter::new("Five groups").points(&x, &truth)?.equal_units();
    report.picture("truth", &plot, "The groups that the points were drawn from.")?;

    let counts = [3, 5, 9, 13, 20];
    let (mut bics, mut aics) = (Vec::new(), Vec::new());
    for k in counts {
        report.section(
            &format!("{k} components"),
            "k-means cuts the plane along straight lines between centroids; the mixture follows the shape of the groups.",
        );
        let kmeans = KMeans::new(k).restarts(restarts).seed(7).fit(&x)?;
        score(&mut report, &format!("kmeans_{k}"), "k-means", &truth, kmeans.labels())?;
        let plot = Scatter::new(format!("k-means, {k} clusters"))
            .points(&x, kmeans.labels())?
            .marks(kmeans.centroids())?
            .equal_units();
        report.picture(&format!("kmeans_{k}"), &plot, "Clusters and centroids.")?;

        let mixture = GaussianMixture::new(k).restarts(restarts).max_iterations(500).seed(7).fit(&x)?;
        let labels = mixture.predict(&x)?;
        score(&mut report, &format!("mixture_{k}"), "the mixture", &truth, &labels)?;
        bics.push(mixture.bic(&x)?);
        aics.push(mixture.aic(&x)?);
        let bic = bics[bics.len() - 1];
        report.figure(&format!("mixture_{k}_bic"), "Bayesian information criterion, less is better", bic);
        let plot = Scatter::new(format!("Gaussian mixture, {k} components"))
            .points(&x, &labels)?
            .ellipses(mixture.means(), &mixture.covariance_matrices(), DEVIATIONS)?
            .equal_units();
        report.picture(
            &format!("mixture_{k}"),
            &plot,
            "Components as ellipses of two standard deviations.",
        )?;
    }
    let components = counts.map(|k| k as f64);
    let plot = Lines::new("How many components?")
        .curve_over("BIC", &components, &bics)
        .curve_over("AIC", &components, &aics)
        .dots()
        .axes("components", "criterion");
    report.picture("criteria", &plot, "Both criteria charge for parameters; BIC charges more.")?;

    report.section(
        "At most 20",
        "A Dirichlet process over the weights empties the components that the points do not ask for.",
    );
    let bayesian = BayesianGaussianMixture::new(20)
        .weight_concentration(0.01)
        .max_iterations(1000)
        .restarts(restarts.div_ceil(5))
        .seed(7)
        .fit(&x)?;
    let labels = bayesian.predict(&x)?;
    score(&mut report, "bayesian", "the Bayesian mixture", &truth, &labels)?;
    report.figure(
        "bayesian_active",
        "components with a weight above 1 %",
        bayesian.active_components(0.01) as f64,
    );
    let plot = used(&bayesian, Scatter::new("Bayesian mixture, at most 20 components").points(&x, &labels)?)?;
    report.picture("bayesian", &plot.equal_units(), "The components that are left.")?;
    report.finish()
}

fn score(
    report: &mut Report,
    key: &str,
    method: &str,
    truth: &Array1<usize>,
    labels: &Array1<usize>,
) -> Result<(), Failure> {
    let meaning = format!("adjusted Rand index of {method}");
    report.figure(&format!("{key}_ari"), &meaning, metrics::adjusted_rand(truth, labels)?);
    Ok(())
}

/// The plot with the ellipses of the components that are in use.
fn used(model: &BayesianGaussianMixtureModel, plot: Scatter) -> Result<Scatter, Failure> {
    let active: Vec<usize> = (0..model.weights().len()).filter(|&c| model.weights()[c] > 0.01).collect();
    let means = model.means().select(Axis(0), &active);
    Ok(plot.ellipses(&means, &model.covariance_matrices().select(Axis(0), &active), DEVIATIONS)?)
}

/// Five Gaussian groups of different shape and size, in random order.
fn five_groups(n: usize) -> (Array2<f64>, Array1<usize>) {
    let means = array![[0.0, 0.0], [0.5, 0.5], [8.0, 0.0], [8.0, 1.2], [3.0, 7.0]];
    // a standard normal pair is multiplied by these
    let shapes = [
        array![[2.6, 0.0], [2.0, 0.3]],
        array![[2.6, 0.0], [-2.0, 0.3]],
        array![[2.2, 0.0], [0.0, 0.25]],
        array![[0.35, 0.0], [0.0, 0.3]],
        array![[1.0, 0.0], [0.0, 1.0]],
    ];
    let share = [0.25, 0.5, 0.75, 0.85, 1.0];
    let order = Seed::new(3).permutation(n);
    let labels = Array1::from_shape_fn(n, |i| {
        let position = (order[i] as f64 + 0.5) / n as f64;
        share.iter().position(|&s| position < s).unwrap_or(4)
    });
    let noise = Seed::new(4).normals(2 * n);
    let mut x = Array2::zeros((n, 2));
    for (i, mut row) in x.rows_mut().into_iter().enumerate() {
        let c = labels[i];
        row.assign(&(&means.row(c) + &shapes[c].dot(&array![noise[2 * i], noise[2 * i + 1]])));
    }
    (x, labels)
}
