//! Where do people come from, as far as 127 genetic variants can tell? Principal components and a mixture, against the five
//! super-populations of the 1000 Genomes Project.
//!
//!     cargo run --release --example population_stratification            # seconds
//!     cargo run --release --example population_stratification -- --quick # fewer references and resamples
//!
//! Writes pictures and a self-contained page to `target/population_stratification/`; the last line is JSON.

use ndarray::{Array1, Array2, s};
use unsup::clustering::{ClusterCount, Criterion};
use unsup::core::plot::{Lines, Scatter};
use unsup::prelude::*;
use unsup_examples::{Failure, Report};

const COMPONENTS: usize = 4;

fn main() -> Result<(), Failure> {
    let quick = unsup_examples::quick()?;
    let people = data::thousand_genomes();
    let mut report = Report::new("population_stratification", "Population structure from 127 variants")?;
    report.section(
        "Principal components",
        "2504 people, copies of the alternative allele (0, 1 or 2) at the 127 ancestry-informative variants of the Seldin panel. Each variant is \
         divided by √(2p(1 − p)), its standard deviation under random mating (Patterson, Price & Reich 2006).",
    );
    let x = standardized(&people.dosage_127);
    let pca = Pca::new().components(10).fit(&x)?;
    let all = pca.transform(&x)?;
    report.picture(
        "variance",
        &Lines::new("Explained variance")
            .curve("share of a component", &pca.explained_variance_ratio().to_vec())
            .dots()
            .axes("component", "share"),
        "Four components stand out: five groups span four dimensions.",
    )?;
    let codes = all.slice(s![.., ..COMPONENTS]).to_owned();
    for (name, pair) in [("truth_12", [0, 1]), ("truth_34", [2, 3])] {
        let plot = plane(&codes, &people.superpopulation, pair, "Super-populations")?
            .names(&people.superpopulation_names);
        report.picture(name, &plot, "Where the people come from.")?;
    }

    report.section(
        "Five components",
        "A Gaussian mixture on four principal components, which knows nothing of populations.",
    );
    let mixture = GaussianMixture::new(5).restarts(10).max_iterations(500).seed(3).fit(&codes)?;
    let labels = mixture.predict(&codes)?;
    score(&mut report, "mixture", "the mixture", &people.superpopulation, &labels)?;
    let kmeans = KMeans::new(5).restarts(10).seed(3).fit(&codes)?;
    score(&mut report, "kmeans", "k-means", &people.superpopulation, kmeans.labels())?;
    let raw = KMeans::new(5).restarts(10).seed(3).fit(&x)?;
    score(
        &mut report,
        "kmeans_raw",
        "k-means without the projection",
        &people.superpopulation,
        raw.labels(),
    )?;
    let without = people.superpopulation.iter().zip(&labels).filter(|(p, _)| **p != 1).map(|(&p, &l)| (p, l));
    let (truth, found): (Vec<usize>, Vec<usize>) = without.unzip();
    score(
        &mut report,
        "mixture_unadmixed",
        "the mixture without the admixed Americans",
        &truth.into(),
        &found.into(),
    )?;
    for (name, pair) in [("mixture_12", [0, 1]), ("mixture_34", [2, 3])] {
        let means = mixture.means().select(ndarray::Axis(1), &pair);
        let covariances = mixture.covariance_matrices();
        let covariances = covariances.select(ndarray::Axis(1), &pair).select(ndarray::Axis(2), &pair);
        let plot = plane(&codes, &labels, pair, "Five components")?.ellipses(&means, &covariances, 2.0)?;
        report.picture(name, &plot, "Components as ellipses of two standard deviations.")?;
    }

    let draws = if quick { 5 } else { 30 };
    let spec = ClusterCount::new(1..=12)
        .restarts(if quick { 2 } else { 10 })
        .references(draws)
        .resamples(draws)
        .seed(3);
    let table = spec.fit_observed(&codes, &mut ProgressBar::new())?;
    eprintln!("{table}");
    report.section(
        "How many groups do the variants support?",
        &format!("Every criterion on the same four components.</p>\n<pre>{table}</pre>\n<p>"),
    );
    report.picture("how_many", &table.plot("How many groups?"), "Each criterion, and what it chooses.")?;
    for criterion in Criterion::ALL {
        let name = criterion.name().split(' ').next().unwrap_or_default().to_lowercase();
        let chosen = table.chosen(criterion).map_or(f64::NAN, |k| k as f64);
        report.figure(&format!("chosen_{name}"), &format!("groups by {criterion}"), chosen);
    }
    report.finish()
}

fn plane(
    codes: &Array2<f64>,
    labels: &Array1<usize>,
    pair: [usize; 2],
    title: &str,
) -> Result<Scatter, Failure> {
    let [a, b] = pair.map(|c| format!("component {}", c + 1));
    Ok(Scatter::new(title).points(&codes.select(ndarray::Axis(1), &pair), labels)?.axes(a, b).equal_units())
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

/// Each variant over √(2p(1 − p)) with p the frequency of its allele; one that nobody or everybody has is left as it is.
fn standardized(dosage: &Array2<f64>) -> Array2<f64> {
    let mut x = dosage.clone();
    for mut variant in x.columns_mut() {
        let p = variant.sum() / (2.0 * variant.len() as f64);
        let deviation = (2.0 * p * (1.0 - p)).sqrt();
        if deviation > 0.0 {
            variant /= deviation;
        }
    }
    x
}
