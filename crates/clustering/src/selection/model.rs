//! The table of scores: criterion × number of clusters, and what each criterion chooses.

use super::{ClusterCount, Criterion};
use ndarray::Array2;
use std::fmt;
use unsup_core::Result;
use unsup_core::observe::History;
use unsup_core::store::{Persist, Record};

/// The scores of one criterion.
#[derive(Debug, Clone)]
pub struct Scores {
    name: String,
    values: Vec<f64>,
    errors: Vec<f64>,
    chosen: Option<usize>,
}

impl Scores {
    pub(super) fn new(name: &str, values: Vec<f64>, errors: Vec<f64>, chosen: Option<usize>) -> Self {
        Scores { name: name.to_owned(), values, errors, chosen }
    }

    /// The name of the criterion.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One score for each number of clusters, in the criterion's own unit; NaN where it has none.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The standard errors of the gap and of the stability; NaN for the others.
    pub fn standard_errors(&self) -> &[f64] {
        &self.errors
    }

    /// The number of clusters that the criterion chooses; `None` when it chooses none (no knee, no gap large enough).
    pub fn chosen(&self) -> Option<usize> {
        self.chosen
    }
}

/// What [`ClusterCount`] found; see the [module](super). Its `Display` is the table.
#[derive(Debug, Clone)]
pub struct ClusterCountModel {
    spec: ClusterCount,
    clusters: Vec<usize>,
    scores: Vec<Scores>,
    history: History,
}

impl ClusterCountModel {
    pub(super) fn new(
        spec: ClusterCount,
        clusters: Vec<usize>,
        scores: Vec<Scores>,
        history: History,
    ) -> Self {
        ClusterCountModel { spec, clusters, scores, history }
    }

    /// The spec it was fitted with.
    pub fn spec(&self) -> &ClusterCount {
        &self.spec
    }

    /// The numbers of clusters that were compared, ascending.
    pub fn clusters(&self) -> &[usize] {
        &self.clusters
    }

    /// The scores of every criterion in the order of the spec, then those of one's own.
    pub fn scores(&self) -> &[Scores] {
        &self.scores
    }

    /// The scores of one criterion, if it was asked.
    pub fn criterion(&self, criterion: Criterion) -> Option<&Scores> {
        self.scores_named(criterion.name())
    }

    /// The scores of this name, if there are any.
    pub fn scores_named(&self, name: &str) -> Option<&Scores> {
        self.scores.iter().find(|s| s.name == name)
    }

    /// The number of clusters that one criterion chooses.
    pub fn chosen(&self, criterion: Criterion) -> Option<usize> {
        self.criterion(criterion).and_then(Scores::chosen)
    }

    /// The chosen numbers of clusters and how many criteria chose each, most votes first, fewer clusters on a tie.
    pub fn votes(&self) -> Vec<(usize, usize)> {
        let votes = |k: usize| self.scores.iter().filter(|s| s.chosen == Some(k)).count();
        let mut all: Vec<(usize, usize)> =
            self.clusters.iter().map(|&k| (k, votes(k))).filter(|&(_, votes)| votes > 0).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        all
    }

    /// The inertia of k-means after each k, with the scores as terms, and whether the sweep was interrupted.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The scores over k, each from 0 for its least to 1 for its greatest, with what it chooses in the legend. A score that is the
    /// same for every k has no curve.
    #[cfg(feature = "plot")]
    pub fn plot(&self, title: &str) -> unsup_core::plot::Lines {
        let k: Vec<f64> = self.clusters.iter().map(|&k| k as f64).collect();
        let mut plot =
            unsup_core::plot::Lines::new(title).axes("clusters", "score, scaled to its range").dots();
        for scores in &self.scores {
            let finite = || scores.values.iter().copied().filter(|v| v.is_finite());
            let (low, high) =
                (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
            let scaled: Vec<f64> = scores.values.iter().map(|v| (v - low) / (high - low)).collect();
            let chosen = scores.chosen.map_or_else(|| "–".to_owned(), |k| k.to_string());
            plot = plot.curve_over(format!("{}: {chosen}", scores.name), &k, &scaled);
        }
        plot
    }
}

/// Four digits or so, in at most nine characters.
fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "–".to_owned(),
        size if size >= 1e6 => format!("{value:.2e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

impl fmt::Display for ClusterCountModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            self.scores.iter().map(|s| s.name.chars().count()).max().unwrap_or(0).max("criterion".len());
        write!(f, "{:<width$} {:>7}", "criterion", "chosen")?;
        self.clusters.iter().try_for_each(|k| write!(f, " {:>9}", format!("k = {k}")))?;
        for scores in &self.scores {
            let chosen = scores.chosen.map_or_else(|| "–".to_owned(), |k| k.to_string());
            write!(f, "\n{:<width$} {chosen:>7}", scores.name)?;
            scores.values.iter().try_for_each(|&value| write!(f, " {:>9}", number(value)))?;
        }
        Ok(())
    }
}

impl Persist for ClusterCountModel {
    fn kind() -> String {
        "ClusterCountModel".to_owned()
    }

    fn to_record(&self) -> Result<Record> {
        let shape = [self.scores.len(), self.clusters.len()];
        let flat = |of: fn(&Scores) -> &[f64]| self.scores.iter().flat_map(of).copied().collect::<Vec<f64>>();
        let names: Vec<&str> = self.scores.iter().map(Scores::name).collect();
        let chosen: Vec<Option<usize>> = self.scores.iter().map(Scores::chosen).collect();
        Record::new(Self::kind())
            .slice("scores", &shape, &flat(Scores::values))
            .slice("standard errors", &shape, &flat(Scores::standard_errors))
            .value("names", &names)?
            .value("chosen", &chosen)?
            .value("clusters", &self.clusters)?
            .value("spec", &self.spec)?
            .value("history", &self.history)
    }

    fn from_record(record: &Record) -> Result<Self> {
        let clusters: Vec<usize> = record.read_value("clusters")?;
        let names: Vec<String> = record.read_value("names")?;
        let chosen: Vec<Option<usize>> = record.read_value("chosen")?;
        record.require(names.len() == chosen.len(), "`names` and `chosen` differ in length")?;
        record.require(clusters.windows(2).all(|k| k[0] < k[1]), "`clusters` are not ascending")?;
        let known = |k: &usize| clusters.contains(k);
        record.require(chosen.iter().flatten().all(known), "a chosen number is not among `clusters`")?;
        let table = |name: &str| -> Result<Array2<f64>> {
            let array = record.read_array::<f64>(name)?;
            record.require(
                array.shape() == [names.len(), clusters.len()],
                "scores do not fit names and clusters",
            )?;
            Ok(array.into_dimensionality().unwrap_or_default())
        };
        let (values, errors) = (table("scores")?, table("standard errors")?);
        let row = |table: &Array2<f64>, i: usize| table.row(i).to_vec();
        let scores = names.iter().zip(chosen).enumerate();
        let scores = scores
            .map(|(i, (name, chosen))| Scores::new(name, row(&values, i), row(&errors, i), chosen))
            .collect();
        Ok(ClusterCountModel::new(
            record.read_value("spec")?,
            clusters,
            scores,
            record.read_value("history")?,
        ))
    }
}
