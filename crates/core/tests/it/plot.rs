//! Every figure in both formats: the PNG decodes to the size that was laid out and is not blank, the SVG is
//! well-formed, and what cannot be drawn is an error. Set UNSUP_GALLERY to a folder to look at the pictures.

use ndarray::{Array1, Array2, Array3, Array4, Axis, s};
use unsup_core::plot::{Figure, ImageGrid, Lines, Overlay, Scatter};
use unsup_core::{Error, Seed, data};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn gallery() -> Outcome<Vec<(&'static str, Box<dyn Figure>)>> {
    let iris = data::iris();
    let digits = data::digits();
    let blobs = data::synthetic::blobs(1500, 10, 2, 0.8, Seed::new(3))?;
    let roll = data::synthetic::swiss_roll(1500, 0.0, Seed::new(1))?;
    let slice = data::mni_slice();
    let tissue = Array2::from_shape_fn(slice.t1.dim(), |at| match (slice.grey[at], slice.white[at]) {
        (grey, white) if grey.max(white) < 0.5 => 0,
        (grey, white) => 1 + usize::from(white > grey),
    });
    let images = digits.x.slice(s![..30, ..]).to_shape((30, 8, 8))?.to_owned();
    let names: Vec<String> = digits.labels.iter().take(30).map(usize::to_string).collect();
    let colors = Array4::from_shape_fn((6, 3, 12, 16), |(i, c, y, x)| {
        ((i + c) as f32 * 0.7 + (x * (c + 1) + y) as f32 / 5.0).sin()
    });
    let falling =
        |rate: f64| -> Vec<f64> { (0..60).map(|i| 2.0 + 40.0 * (-rate * f64::from(i)).exp()).collect() };
    let scores: Vec<f64> =
        (2..=9).map(|k| 0.7 / f64::from(k).sqrt() + if k == 3 { 0.2 } else { 0.0 }).collect();
    Ok(vec![
        (
            "scatter",
            Box::new(
                Scatter::new("Iris: petals")
                    .points(&iris.x.slice(s![.., 2..]), &iris.labels)?
                    .names(&iris.label_names)
                    .axes("petal length (cm)", "petal width (cm)"),
            ),
        ),
        (
            "scatter_ten",
            Box::new(
                Scatter::new("Ten blobs and their centres")
                    .points(&blobs.x, &blobs.labels)?
                    .marks(&blobs.centers)?
                    .equal_units(),
            ),
        ),
        (
            "scatter_values",
            Box::new(
                Scatter::new("Swiss roll, coloured along the roll")
                    .values(&roll.x.select(Axis(1), &[0, 2]), &roll.along)?
                    .axes("x", "z")
                    .equal_units(),
            ),
        ),
        (
            "lines",
            Box::new(
                Lines::new("ELBO terms of β-VAE (β = ½)")
                    .curve("reconstruction", &falling(0.1))
                    .curve("kl", &falling(0.3))
                    .axes("epoch", "nats per image"),
            ),
        ),
        (
            "lines_log",
            Box::new(
                Lines::new("Objective")
                    .curve_over("k-means", &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], &scores)
                    .axes("k", "score")
                    .dots(),
            ),
        ),
        (
            "log",
            Box::new(
                Lines::new("Gradient norm")
                    .curve("norm", &falling(0.05).iter().map(|v| (v - 2.0).powi(3)).collect::<Vec<_>>())
                    .log_y()
                    .axes("step", "norm"),
            ),
        ),
        (
            "grid",
            Box::new(
                ImageGrid::new("Digits, 8 × 8")
                    .grey(&images)?
                    .range(0.0, 16.0)
                    .inverted()
                    .captions(&names)
                    .columns(10),
            ),
        ),
        ("grid_color", Box::new(ImageGrid::new("").rgb(&colors)?)),
        (
            "overlay",
            Box::new(Overlay::new("MNI152, z = +18 mm", &slice.t1, &tissue)?.names(&[
                "",
                "grey matter",
                "white matter",
            ])),
        ),
    ])
}

#[test]
fn every_figure_renders_in_both_formats() -> Outcome {
    let folder = std::env::var_os("UNSUP_GALLERY");
    for (name, figure) in gallery()? {
        let bytes = figure.png_bytes()?;
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().ok_or("size")?];
        let info = reader.next_frame(&mut pixels)?;
        let svg = figure.svg_string()?;
        let size = format!("width=\"{}\" height=\"{}\"", info.width / 2, info.height / 2);
        assert!(svg.contains(&size), "{name}: {size}");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        let white = pixels.iter().filter(|&&v| v == 255).count() as f64 / pixels.len() as f64;
        assert!(white < 0.97, "{name} is {white} white");
        if let Some(folder) = &folder {
            std::fs::write(std::path::Path::new(folder).join(format!("{name}.png")), bytes)?;
            std::fs::write(std::path::Path::new(folder).join(format!("{name}.svg")), svg)?;
        }
    }
    Ok(())
}

#[test]
fn the_same_figure_is_the_same_bytes() -> Outcome {
    for ((_, a), (_, b)) in gallery()?.iter().zip(gallery()?) {
        assert_eq!(a.png_bytes()?, b.png_bytes()?);
    }
    Ok(())
}

#[test]
fn files_are_what_the_bytes_are() -> Outcome {
    let folder = tempfile::tempdir()?;
    let figure = Lines::new("a < b").curve("", &[1.0, f64::NAN, 3.0, 4.0]);
    figure.png(folder.path().join("a.png"))?;
    figure.svg(folder.path().join("a.svg"))?;
    assert_eq!(std::fs::read(folder.path().join("a.png"))?, figure.png_bytes()?);
    let svg = std::fs::read_to_string(folder.path().join("a.svg"))?;
    assert!(svg.contains("a &lt; b") && svg.contains("<circle"), "the lone value beside the gap is a dot");
    Ok(())
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let labels = Array1::zeros(2);
    let scatter = |xy: Array2<f64>| Scatter::new("").points(&xy, &labels);
    assert!(matches!(scatter(Array2::zeros((2, 3))), Err(Error::Shape { what: "points", .. })));
    assert!(matches!(scatter(Array2::zeros((3, 2))), Err(Error::Shape { what: "points", .. })));
    assert!(matches!(scatter(Array2::from_elem((2, 2), f64::NAN)), Err(Error::NonFinite { .. })));
    assert!(matches!(Scatter::new("").png_bytes(), Err(Error::Empty { what: "points", .. })));
    assert!(matches!(Lines::new("").curve("a", &[]).svg_string(), Err(Error::Empty { what: "curves", .. })));
    let all_nan = Lines::new("").curve("a", &[f64::NAN, f64::INFINITY]);
    assert!(all_nan.png_bytes().is_ok_and(|bytes| bytes.len() > 100), "gaps only: an empty frame");
    assert!(matches!(ImageGrid::new("").png_bytes(), Err(Error::Empty { what: "images", .. })));
    let grid = ImageGrid::new("").grey(&Array3::<f32>::zeros((1, 4, 4)));
    let mixed = grid.and_then(|grid| grid.grey(&Array3::<f32>::zeros((1, 4, 5))));
    assert!(matches!(mixed, Err(Error::Shape { what: "images", .. })));
    let overlay = Overlay::new("", &Array2::<f64>::zeros((4, 4)), &Array2::zeros((4, 5)));
    assert!(matches!(overlay, Err(Error::Shape { what: "labels", .. })));
    let huge = Lines::new("").curve("a", &[1.0, 2.0]).size(1e5, 1e5);
    assert!(matches!(huge.png_bytes(), Err(Error::Parameter { .. })));
}

#[test]
fn extreme_values_are_drawn() -> Outcome {
    for values in [[0.0, 0.0], [f64::MAX, f64::MIN], [1e-300, 2e-300], [1e8, 1e8 + 1e-7]] {
        let xy = Array2::from_shape_fn((2, 2), |(i, _)| values[i]);
        let bytes = Scatter::new("").points(&xy, &Array1::zeros(2))?.png_bytes()?;
        assert!(bytes.starts_with(b"\x89PNG"));
        Lines::new("").curve("a", &values).log_y().png_bytes()?;
        Scatter::new("").values(&xy, &Array1::from_iter(values))?.png_bytes()?;
        ImageGrid::new("").grey(&xy.insert_axis(Axis(0)))?.png_bytes()?;
    }
    Ok(())
}
