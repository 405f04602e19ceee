//! One error type for the whole workspace: what is wrong, where, and what was expected.
//!
//! Input is validated once, at the door of a public function, and becomes one of these variants.
//! Not converging is *not* an error: the model is returned and its history says so.

use std::path::{Path, PathBuf};

/// The result of every fallible function of this workspace.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Every variant names the culprit and what would have been accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A table, tensor or list that must hold something holds nothing.
    #[error("{what} is empty (shape {shape:?}); at least one row and one column are needed")]
    Empty {
        /// The argument's name.
        what: &'static str,
        /// The shape it had.
        shape: Vec<usize>,
    },

    /// NaN or an infinity where only finite numbers are allowed.
    #[error("{what} holds {value} at row {row}, column {column}; every value must be finite")]
    NonFinite {
        /// The argument's name.
        what: &'static str,
        /// Row of the first such value.
        row: usize,
        /// Column of the first such value.
        column: usize,
        /// The value itself.
        value: f64,
    },

    /// One value of a table is finite and yet outside its range (a negative number where only others make sense).
    #[error("{what} holds {value} at row {row}, column {column}; expected {allowed}")]
    Cell {
        /// The argument's name.
        what: &'static str,
        /// Row of the first such value.
        row: usize,
        /// Column of the first such value.
        column: usize,
        /// The value itself.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },

    /// The shape of an argument does not fit the model or another argument.
    #[error("{what} has {found}, expected {expected}")]
    Shape {
        /// The argument's name.
        what: &'static str,
        /// What it should have been, in words.
        expected: String,
        /// What it was.
        found: String,
    },

    /// Fewer rows than the method needs (k-means with more clusters than rows, for instance).
    #[error("{method} needs at least {needed} rows, found {found}")]
    TooFewRows {
        /// The method that asks.
        method: &'static str,
        /// How many it needs.
        needed: usize,
        /// How many there are.
        found: usize,
    },

    /// A hyper-parameter outside its range.
    #[error("{name} = {value} is not allowed; expected {allowed}")]
    Parameter {
        /// The parameter's name as in the builder.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// What is allowed, in words.
        allowed: &'static str,
    },

    /// One value of an argument is outside its range (a negative weight, a label beyond k).
    #[error("{what}[{index}] = {value} is not allowed; expected {allowed}")]
    Value {
        /// The argument's name.
        what: &'static str,
        /// Position of the first offending value.
        index: usize,
        /// The value.
        value: String,
        /// What is allowed, in words.
        allowed: &'static str,
    },

    /// A computation that has no finite answer for this input.
    #[error("{method}: {problem}")]
    Numerical {
        /// The method or the step of it.
        method: &'static str,
        /// What happened, and what to try.
        problem: String,
    },

    /// A loss became NaN or infinite during training.
    #[error(
        "the loss term `{term}` became {value} at step {step}; lower the learning rate or clip the gradients"
    )]
    NonFiniteLoss {
        /// The optimisation step, counted from 0.
        step: usize,
        /// The name of the term.
        term: String,
        /// Its value.
        value: f64,
    },

    /// A file that is truncated, malformed, or not what it says it is.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        problem: String,
    },

    /// The operating system refused a read or a write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },

    /// The tensor library or the device failed.
    #[error("tensor backend: {0}")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A hyper-parameter out of range.
    pub fn parameter(name: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Error::Parameter { name, value: value.to_string(), allowed }
    }

    /// A shape that does not fit.
    pub fn shape(what: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Error::Shape { what, expected: expected.into(), found: found.into() }
    }

    /// A malformed file.
    pub fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().to_owned(), problem: problem.into() }
    }

    /// A read or write that the system refused.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_owned(), source }
    }
}

#[cfg(feature = "nn")]
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Error::Backend(Box::new(error))
    }
}
