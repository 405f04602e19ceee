//! Figures as PNG and SVG: no display, no system font, no library to install.
//!
//! | figure | shows |
//! | --- | --- |
//! | [`Scatter`] | points in the plane, coloured by label or by value |
//! | [`Lines`] | curves: a loss per epoch, an objective per k |
//! | [`ImageGrid`] | many small images: samples, reconstructions, components |
//! | [`Outlines`] | shapes drawn by their landmarks: a mean and its modes |
//! | [`Overlay`] | a segmentation over a grey image |
//!
//! Each is a builder that ends in one of [`Figure`]'s four methods. PNG files have two pixels for each
//! point of the layout, SVG files are exact. Colours are chosen to be told apart by colour-blind
//! readers: Okabe & Ito's seven, then Petroff's ten (2021).
//!
//! ```
//! use unsup_core::{data, plot::{Figure, Scatter}};
//! let iris = data::iris();
//! let figure = Scatter::new("Iris")
//!     .points(&iris.x.slice(ndarray::s![.., 2..]), &iris.labels)?
//!     .names(&iris.label_names)
//!     .axes("petal length (cm)", "petal width (cm)");
//! assert!(figure.svg_string()?.starts_with("<svg"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! These figures are for looking at results while working and for pages of documentation; a plotting library
//! has more kinds and more knobs.

mod axes;
mod drawing;
mod font;
mod grid;
mod legend;
mod lines;
mod outlines;
mod overlay;
mod palette;
mod png;
mod scatter;
mod svg;

pub use drawing::{Drawing, Figure};
pub use grid::ImageGrid;
pub use lines::Lines;
pub use outlines::Outlines;
pub use overlay::Overlay;
pub use palette::{label_color, ramp_color};
pub use scatter::Scatter;
