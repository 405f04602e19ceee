//! A self-contained page: text, pictures and figures, written as the work goes on.

use crate::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;
use unsup::core::fs::write_atomic;
use unsup::core::plot::Figure;

/// Collects what an example finds out. Pictures are written at once, the page at the end.
#[derive(Debug)]
pub struct Report {
    folder: PathBuf,
    title: String,
    body: String,
    rows: Vec<(String, String, String)>,
    figures: Map<String, Value>,
    start: Instant,
}

impl Report {
    /// A report that goes to `target/NAME/`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(name: &str, title: &str) -> Result<Self, Failure> {
        Ok(Report {
            folder: crate::folder(name)?,
            title: title.to_owned(),
            body: String::new(),
            rows: Vec::new(),
            figures: Map::new(),
            start: Instant::now(),
        })
    }

    /// Begins a section with a paragraph of text.
    pub fn section(&mut self, title: &str, text: &str) {
        eprintln!("{:6.1} s  {title}", self.start.elapsed().as_secs_f64());
        let _ = write!(self.body, "<h2>{title}</h2>\n<p>{text}</p>\n");
    }

    /// Adds a figure to the table, the page and the last line.
    pub fn figure(&mut self, key: &str, meaning: &str, value: f64) {
        self.rows.push((key.to_owned(), meaning.to_owned(), format!("{value:.4}")));
        self.figures.insert(key.to_owned(), json!(value));
        let _ = writeln!(self.body, "<p class=figure><b>{value:.4}</b> {meaning} <code>{key}</code></p>");
    }

    /// Writes a picture beside the page, as PNG and as SVG, and shows it on the page.
    ///
    /// # Errors
    /// When it cannot be drawn or written.
    pub fn picture(&mut self, name: &str, figure: &impl Figure, caption: &str) -> Result<(), Failure> {
        let png = figure.png_bytes()?;
        write_atomic(self.folder.join(format!("{name}.png")), |w| w.write_all(&png))?;
        figure.svg(self.folder.join(format!("{name}.svg")))?;
        let _ = writeln!(
            self.body,
            "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{}\"><figcaption>{caption}</figcaption></figure>",
            STANDARD.encode(png)
        );
        Ok(())
    }

    /// Writes `index.html`, prints the table and, as the last line, the figures as JSON.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn finish(mut self) -> Result<(), Failure> {
        let seconds = self.start.elapsed().as_secs_f64();
        self.figure("seconds", "seconds in all", seconds);
        let Report { folder, title, body, rows, figures, .. } = self;
        let table: String =
            rows.iter().map(|(k, m, v)| format!("<tr><td>{m}<td><code>{k}</code><td>{v}\n")).collect();
        let page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\n\
             <title>{title}</title><style>{STYLE}</style>\n<h1>{title}</h1>\n{body}<h2>All figures</h2>\n<table>{table}</table>\n"
        );
        let path = folder.join("index.html");
        write_atomic(&path, |w| w.write_all(page.as_bytes()))?;
        for (key, meaning, value) in &rows {
            println!("{value:>12}  {meaning} [{key}]");
        }
        println!("report: {}", std::fs::canonicalize(&path)?.display());
        println!("{}", Value::Object(figures));
        Ok(())
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-weight:600}h2{margin-top:2.5rem;border-top:1px solid #ddd;padding-top:1rem;font-weight:600}\
figure{margin:1.5rem 0}img{max-width:100%;height:auto}figcaption{color:#555;font-size:.9rem}\
code{color:#777;font-size:.85em}.figure{margin:.2rem 0}.figure b{font-size:1.2em;font-variant-numeric:tabular-nums}\
table{border-collapse:collapse}td{padding:.2rem 1rem .2rem 0;border-bottom:1px solid #eee}";
