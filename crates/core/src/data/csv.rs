//! Tables of numbers as text: comma- or otherwise separated, plain or gzipped.
//!
//! One line a row, one number a column, with or without a line of names; one column may hold
//! class names instead. Quoting follows RFC 4180. Whatever is not a finite number is an error that names
//! line and column, unless [`Csv::allow_missing`] asks for NaN. Memory is at most a small multiple of
//! the text (of its decompressed size, when it is gzipped).
//!
//! ```
//! use unsup_core::data::csv::{Column, Csv};
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("flowers.csv");
//! std::fs::write(&path, "length;width;species\n5.1;3.5;setosa\n7.0;3.2;versicolor\n")?;
//! let flowers = Csv::new().delimiter(b';').read_labelled::<f32>(&path, Column::Last)?;
//! assert_eq!(flowers.x, ndarray::array![[5.1, 3.5], [7.0, 3.2]]);
//! assert_eq!(flowers.label_names, ["setosa", "versicolor"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::Labelled;
use super::input::Input;
use crate::{Error, Float, Result};
use csv::{ByteRecord, ErrorKind, ReaderBuilder, Trim};
use ndarray::{Array1, Array2};
use std::collections::HashMap;
use std::path::Path;

/// How a file of text is laid out: by default separated by commas, with a header line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csv {
    delimiter: u8,
    header: bool,
    missing: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Csv { delimiter: b',', header: true, missing: false }
    }
}

/// A column of a file, named in whichever way is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column<'a> {
    /// The last one.
    Last,
    /// The one at this position, from 0.
    At(usize),
    /// The one that the header line calls this.
    Named(&'a str),
}

/// A table and the names of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table<F> {
    /// The rows, `[n, d]`.
    pub x: Array2<F>,
    /// One name a column: the header's, or `column_0`, `column_1`, …
    pub feature_names: Vec<String>,
}

impl Csv {
    /// Commas and a header line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another separator: `b';'`, `b'\t'`, `b' '`.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Whether the first line holds names (it does by default).
    #[must_use]
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// Whether an empty field, `NA` or `NaN` is read as NaN instead of being an error.
    #[must_use]
    pub fn allow_missing(mut self, missing: bool) -> Self {
        self.missing = missing;
        self
    }

    /// Reads a table of numbers.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::File`] for a field that is not a finite number,
    /// a row of another width and a file without rows, with line and column.
    pub fn read<F: Float>(&self, path: impl AsRef<Path>) -> Result<Table<F>> {
        let labelled = self.parse(path.as_ref(), None)?;
        Ok(Table { x: labelled.x, feature_names: labelled.feature_names })
    }

    /// Reads a table in which one column holds the class of each row, as any text. Classes are numbered in
    /// order of appearance, except that classes that are all whole numbers are ordered by value.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when there is no such column.
    pub fn read_labelled<F: Float>(&self, path: impl AsRef<Path>, label: Column<'_>) -> Result<Labelled<F>> {
        self.parse(path.as_ref(), Some(label))
    }

    fn parse<F: Float>(&self, path: &Path, label: Option<Column<'_>>) -> Result<Labelled<F>> {
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(Input::open(path)?);
        let mut record = ByteRecord::new();
        let mut names: Option<Vec<String>> = None;
        let (mut width, mut label_at) = (0, None);
        let (mut values, mut classes) = (Vec::new(), Classes::default());
        while reader.read_byte_record(&mut record).map_err(|e| refused(path, e))? {
            let line = record.position().map_or(0, csv::Position::line);
            if width == 0 {
                width = record.len();
                label_at = label
                    .map(|label| locate(path, label, self.header.then_some(&record), width))
                    .transpose()?;
                if self.header {
                    names = Some(record.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect());
                    continue;
                }
            }
            if record.len() != width {
                let problem = format!("line {line} has {} columns, expected {width}", record.len());
                return Err(Error::file(path, problem));
            }
            for (column, field) in record.iter().enumerate() {
                if label_at == Some(column) {
                    classes.add(field);
                } else {
                    values.push(self.number(field).ok_or_else(|| not_a_number(path, line, column, field))?);
                }
            }
        }
        let columns = width - usize::from(label_at.is_some()).min(width);
        let rows = values.len().checked_div(columns).unwrap_or(0);
        if rows == 0 {
            return Err(Error::file(path, "there are no rows of numbers"));
        }
        let mut feature_names = names.unwrap_or_else(|| (0..width).map(|i| format!("column_{i}")).collect());
        label_at.map(|at| feature_names.remove(at));
        let x =
            Array2::from_shape_vec((rows, columns), values).map_err(|e| Error::file(path, e.to_string()))?;
        let (labels, label_names) = classes.finish();
        Ok(Labelled { x, labels, feature_names, label_names })
    }

    fn number<F: Float>(&self, field: &[u8]) -> Option<F> {
        if self.missing && (field.is_empty() || field == b"NA" || field.eq_ignore_ascii_case(b"nan")) {
            return Some(F::nan());
        }
        let value = F::of(std::str::from_utf8(field).ok()?.parse().ok()?);
        value.is_finite().then_some(value)
    }
}

/// The classes of the rows so far.
#[derive(Default)]
struct Classes {
    labels: Vec<usize>,
    names: Vec<String>,
    known: HashMap<Vec<u8>, usize>,
}

impl Classes {
    fn add(&mut self, field: &[u8]) {
        let label = match self.known.get(field) {
            Some(&label) => label,
            None => {
                self.names.push(String::from_utf8_lossy(field).into_owned());
                self.known.insert(field.to_vec(), self.names.len() - 1);
                self.names.len() - 1
            }
        };
        self.labels.push(label);
    }

    fn finish(self) -> (Array1<usize>, Vec<String>) {
        let numbers: Option<Vec<i64>> = self.names.iter().map(|name| name.parse().ok()).collect();
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        if let Some(numbers) = numbers {
            order.sort_by_key(|&i| numbers[i]);
        }
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(position, &i)| rank[i] = position);
        let labels = self.labels.into_iter().map(|label| rank[label]).collect();
        (labels, order.into_iter().map(|i| self.names[i].clone()).collect())
    }
}

fn locate(path: &Path, label: Column<'_>, header: Option<&ByteRecord>, width: usize) -> Result<usize> {
    let position = match label {
        Column::Last => Some(width - 1),
        Column::At(at) => Some(at).filter(|&at| at < width),
        Column::Named(name) => header.and_then(|names| names.iter().position(|n| n == name.as_bytes())),
    };
    position.ok_or_else(|| Error::file(path, format!("no label column {label:?} among its {width} columns")))
}

fn not_a_number(path: &Path, line: u64, column: usize, field: &[u8]) -> Error {
    let shown: String = String::from_utf8_lossy(field).chars().take(40).collect();
    Error::file(path, format!("line {line}, column {}: {shown:?} is not a finite number", column + 1))
}

fn refused(path: &Path, error: csv::Error) -> Error {
    let problem = error.to_string();
    match error.into_kind() {
        ErrorKind::Io(e) if e.raw_os_error().is_some() => Error::io(path, e),
        ErrorKind::Io(e) => Error::file(path, format!("corrupt compressed data: {e}")),
        _ => Error::file(path, problem),
    }
}
