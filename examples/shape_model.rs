//! How do hands differ in shape? Alignment, the modes of a statistical shape model, and a new hand fitted within plausible limits.
//!
//!     cargo run --release --example shape_model            # the bundled hands: seconds
//!     cargo run --release --example shape_model -- --quick # fewer samples and modes
//!     cargo run --release --example shape_model -- --shapes FILE.npz
//!
//! `FILE` holds one array, `[n, landmarks, 2 or 3]`, whose landmarks correspond. Writes pictures and a self-contained page to
//! `target/shape_model/`; the last line is JSON.

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use unsup::core::data::npy::Npz;
use unsup::core::plot::{Lines, Outlines, Scatter};
use unsup::decomposition::shape::{Procrustes, StatisticalShape, StatisticalShapeModel, quality};
use unsup::prelude::*;
use unsup_examples::{Failure, Report};

/// The bones of the bundled hands: wrist, palm, and four joints of each of five fingers.
const BONES: [[usize; 2]; 21] = [
    [0, 1],
    [0, 2],
    [2, 3],
    [3, 4],
    [4, 5],
    [1, 6],
    [6, 7],
    [7, 8],
    [8, 9],
    [1, 10],
    [10, 11],
    [11, 12],
    [12, 13],
    [1, 14],
    [14, 15],
    [15, 16],
    [16, 17],
    [1, 18],
    [18, 19],
    [19, 20],
    [20, 21],
];

/// Shapes, how their landmarks are joined (`None`: each to the next), and a label of each where there is one.
struct Population {
    shapes: Array3<f64>,
    edges: Option<Vec<[usize; 2]>>,
    labels: Option<(ndarray::Array1<usize>, Vec<String>)>,
}

fn main() -> Result<(), Failure> {
    let (quick, [path]) = unsup_examples::options(&["--shapes"])?;
    let population = match path {
        None => {
            let hands = data::hands_3d();
            let labels = Some((hands.labels, hands.label_names));
            Population { shapes: hands.joints, edges: Some(BONES.to_vec()), labels }
        }
        Some(path) => Population { shapes: read(&path)?, edges: None, labels: None },
    };
    let shapes = &population.shapes;
    let (n, landmarks, dimensions) = shapes.dim();
    let mut report = Report::new("shape_model", "A statistical shape model")?;

    report.section(
        "Alignment",
        &format!(
            "{n} shapes of {landmarks} landmarks in {dimensions} dimensions. Place, orientation and size are taken away by generalized \
             Procrustes alignment; what is left is shape."
        ),
    );
    let aligned = Procrustes::new().fit(shapes)?;
    report.figure("iterations", "iterations of the alignment", aligned.history().iterations() as f64);
    report.figure("spread", "root mean square distance of a landmark from its mean", aligned.spread());
    let view = View::of(aligned.mean());
    let raw = Outlines::new("Before and after").edges(&[]).panel("as they came");
    let raw = shapes.axis_iter(Axis(0)).enumerate().try_fold(raw, |figure, (i, shape)| {
        figure.shape(
            &view.flat(&(&shape - &shape.mean_axis(Axis(0)).unwrap_or_default())),
            colour(&population, i),
        )
    })?;
    let figure = aligned
        .aligned()
        .axis_iter(Axis(0))
        .enumerate()
        .try_fold(raw.panel("aligned"), |figure, (i, shape)| {
            figure.shape(&view.flat(&shape), colour(&population, i))
        })?;
    report.picture(
        "alignment",
        &figure,
        "All shapes about their centres, each group in a colour of its own, seen along the direction in which the mean is flattest.",
    )?;

    report.section(
        "Modes",
        "Principal components of the aligned shapes. Each row is one mode: the mean, moved three standard deviations to either side.",
    );
    let model = StatisticalShape::new().variance(0.99).fit_observed(shapes, &mut ProgressBar::new())?;
    let shares = model.variances() / model.total_variance();
    report.figure("modes_99", "modes that explain 99 % of the variance", shares.len() as f64);
    for (m, share) in shares.iter().take(3).enumerate() {
        report.figure(
            &format!("share_{}", m + 1),
            &format!("share of the variance in mode {}", m + 1),
            *share,
        );
    }
    let figure = modes(&population, &model, &view)?;
    report.picture("modes", &figure, "Mean ± 3 standard deviations along the first modes.")?;
    if let Some((labels, names)) = &population.labels {
        let codes = model.transform(shapes)?;
        let plot = Scatter::new("The shapes in their first two modes")
            .points(&codes.slice(s![.., ..2]), labels)?
            .names(names)
            .axes("mode 1, standard deviations", "mode 2, standard deviations");
        report.picture(
            "codes",
            &plot,
            "Closed hands lie to the right. A grab begins with an open hand, so half of them lie among the hands that expand.",
        )?;
        let kmeans = KMeans::new(names.len()).restarts(10).seed(1).fit(&codes.slice(s![.., ..2]))?;
        let agreement = metrics::adjusted_rand(labels, kmeans.labels())?;
        report.figure(
            "gesture_ari",
            "adjusted Rand index of two clusters of codes with the gestures",
            agreement,
        );
    }

    report.section(
        "A new shape",
        "The last shape is left out, one of its landmarks is moved by the size of the shape, and the model of the others is fitted to it: the \
         plausible shape nearest to it stops short of the landmark, and other landmarks pay for it: squares are minimised.",
    );
    let (rest, last) = (shapes.slice(s![..n - 1, .., ..]), shapes.index_axis(Axis(0), n - 1));
    let spec = StatisticalShape::new().variance(0.95);
    let others = spec.fit(&rest)?;
    let clean = others.fit_shape(&last)?;
    let mut damaged = last.to_owned();
    let extent = clean.shape.std_axis(Axis(0), 0.0).sum();
    damaged.row_mut(landmarks - 1).mapv_inplace(|v| v + extent);
    let fitted = others.fit_shape(&damaged)?;
    let moved = |a: &Array2<f64>, b: ArrayView2<'_, f64>| {
        ((a - &b).slice(s![..landmarks - 1, ..]).mapv(|v| v * v).sum() / (landmarks - 1) as f64).sqrt()
    };
    report.figure("unseen_rms", "root mean square distance of a landmark, unseen shape", clean.rms);
    report.figure(
        "damaged_rms",
        "the same over the landmarks left alone, one other moved",
        moved(&fitted.shape, last),
    );
    let figure =
        drawing(&population, "Fitted within plausible limits").panel("given (blue), fitted (orange)");
    let figure = figure
        .shape(&view.flat(&clean.pose.apply(&last)), 0)?
        .shape(&view.flat(&clean.pose.apply(&clean.shape)), 1)?;
    let figure = figure.panel("one landmark moved");
    let figure = figure
        .shape(&view.flat(&fitted.pose.apply(&damaged)), 0)?
        .shape(&view.flat(&fitted.pose.apply(&fitted.shape)), 1)?;
    report.picture(
        "fitted",
        &figure,
        "A shape that the model has not seen, and the same with one landmark moved.",
    )?;

    report.section(
        "How many modes?",
        "Compactness, generalization to a shape left out, specificity of drawn shapes. Where generalization no longer falls, more modes follow noise.",
    );
    let (most, samples) = if quick { (5, 50) } else { (15, 500) };
    let curves = quality(&StatisticalShape::new(), shapes, most.min(n - 2), samples, 1)?;
    report.picture(
        "quality",
        &Lines::new("Quality of the model")
            .curve("generalization", &curves.generalization.to_vec())
            .curve("specificity", &curves.specificity.to_vec())
            .dots()
            .axes("modes", "distance, units of the shapes"),
        "Generalization falls and specificity rises with the modes.",
    )?;
    report.picture(
        "compactness",
        &Lines::new("Compactness")
            .curve("share of the variance", &curves.compactness.to_vec())
            .dots()
            .axes("modes", "share"),
        "Variance in the first modes.",
    )?;
    let last_of = |values: &ndarray::Array1<f64>| values.last().copied().unwrap_or(f64::NAN);
    report.figure("generalization", "generalization with the most modes", last_of(&curves.generalization));
    report.figure("specificity", "specificity with the most modes", last_of(&curves.specificity));
    report.finish()
}

fn read(path: &str) -> Result<Array3<f64>, Failure> {
    let mut file = Npz::open(path)?;
    let name = file.names().first().cloned().ok_or("the archive is empty")?;
    Ok(file
        .read_as::<f64>(&name)?
        .into_dimensionality()
        .map_err(|_| format!("{path}: `{name}` has not three axes"))?)
}

fn drawing(population: &Population, title: &str) -> Outlines {
    let figure = Outlines::new(title);
    match &population.edges {
        Some(edges) => figure.edges(edges),
        None => figure,
    }
}

fn colour(population: &Population, shape: usize) -> usize {
    population.labels.as_ref().map_or(0, |(labels, _)| labels[shape])
}

fn modes(population: &Population, model: &StatisticalShapeModel, view: &View) -> Result<Outlines, Failure> {
    let mut figure = drawing(population, "Modes of variation");
    for m in 0..model.variances().len().min(3) {
        for step in [-3.0, -1.5, 0.0, 1.5, 3.0] {
            let caption =
                if step == 0.0 { "mean".to_owned() } else { format!("mode {}, {step:+} sd", m + 1) };
            figure = figure.panel(caption).shape(&view.flat(&model.mode(m, step)?), m)?;
        }
    }
    Ok(figure)
}

/// The plane in which a shape is widest, to draw it in.
struct View(Array2<f64>);

impl View {
    fn of(mean: &Array2<f64>) -> Self {
        match Pca::new().components(2).fit(mean) {
            Ok(pca) if mean.ncols() > 2 => View(pca.components().t().to_owned()),
            _ => View(Array2::eye(mean.ncols()).slice(s![.., ..2]).to_owned()),
        }
    }

    fn flat(&self, shape: &ndarray::ArrayRef2<f64>) -> Array2<f64> {
        shape.dot(&self.0)
    }
}
