//! One file per model: safetensors with a typed header.
//!
//! A model becomes a [`Record`]: named arrays, plus its spec and history as JSON. The record is a
//! [safetensors](https://github.com/huggingface/safetensors) file whose metadata holds one entry,
//! `unsup`: `{"version": 1, "kind": "KMeansModel", "values": {…}}`. Any safetensors reader can list
//! and read the arrays; loading never executes anything, and never allocates more than the file's
//! own size warrants. Writing is atomic.
//!
//! ```
//! use ndarray::array;
//! use unsup_core::store::Record;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("a.safetensors");
//! Record::new("Example").array("means", &array![[1.0, 2.0]]).value("spec", &7)?.save(&path)?;
//! let record = Record::load(&path, "Example")?;
//! assert_eq!(record.read_table::<f64>("means")?, array![[1.0, 2.0]]);
//! assert_eq!(record.read_value::<i32>("spec")?, 7);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod element;
mod number;
#[cfg(feature = "nn")]
mod tensor;

pub use element::Element;
pub(crate) use number::Number;

use crate::fs::write_atomic;
use crate::{Error, Float, Result};
use element::{decode, encode};
use ndarray::{Array1, Array2, ArrayD, ArrayRef, Dimension};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

/// A model that can be written to a file and read back with the same bits.
pub trait Persist: Sized {
    /// The name that the file carries, so that a file is never taken for another model's.
    fn kind() -> String;

    /// Everything that was learned.
    ///
    /// # Errors
    /// When a value has no JSON form.
    fn to_record(&self) -> Result<Record>;

    /// The model again, with every shape checked against the others.
    ///
    /// # Errors
    /// [`Error::File`] when something is missing or does not fit.
    fn from_record(record: &Record) -> Result<Self>;

    /// Writes the model to `path`, atomically.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.to_record()?.save(path)
    }

    /// Reads a model from `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is truncated, malformed or
    /// holds another kind of model.
    fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_record(&Record::load(path, &Self::kind())?)
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    kind: String,
    values: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone)]
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl safetensors::View for &Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// What a model file holds: named arrays and named values.
#[derive(Debug, Clone)]
pub struct Record {
    kind: String,
    values: BTreeMap<String, serde_json::Value>,
    arrays: BTreeMap<String, Stored>,
    path: PathBuf,
}

impl Record {
    /// An empty record of a kind.
    pub fn new(kind: impl Into<String>) -> Self {
        Record { kind: kind.into(), values: BTreeMap::new(), arrays: BTreeMap::new(), path: PathBuf::new() }
    }

    /// The same content as a record of another kind: that of a model which is this one and something more.
    #[must_use]
    pub fn renamed(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Adds an array of any rank.
    #[must_use]
    pub fn array<T: Element, D: Dimension>(self, name: &str, array: &ArrayRef<T, D>) -> Self {
        let bytes = encode(array.iter());
        self.insert::<T>(name, array.shape().to_vec(), bytes)
    }

    /// Adds an array given in row-major order.
    #[must_use]
    pub fn slice<T: Element>(self, name: &str, shape: &[usize], values: &[T]) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        self.insert::<T>(name, shape.to_vec(), encode(values.iter()))
    }

    fn insert<T: Element>(mut self, name: &str, shape: Vec<usize>, bytes: Vec<u8>) -> Self {
        self.arrays.insert(name.to_owned(), Stored { dtype: T::DTYPE, shape, bytes });
        self
    }

    /// Adds a value (a spec, a history, a count) as JSON. Its numbers must be finite: JSON has no others
    /// ([`number`](Self::number) has).
    ///
    /// # Errors
    /// [`Error::Numerical`] when the value has no JSON form.
    pub fn value<T: Serialize>(mut self, name: &str, value: &T) -> Result<Self> {
        let json = serde_json::to_value(value).map_err(|e| Error::Numerical {
            method: "saving",
            problem: format!("`{name}` has no JSON form: {e}"),
        })?;
        self.values.insert(name.to_owned(), json);
        Ok(self)
    }

    /// The names of the arrays, sorted.
    pub fn array_names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// The array of this name, whatever its rank.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing or has another element type.
    pub fn read_array<T: Element>(&self, name: &str) -> Result<ArrayD<T>> {
        let stored = self.arrays.get(name).ok_or_else(|| self.malformed(format!("no array `{name}`")))?;
        if stored.dtype != T::DTYPE {
            return Err(self.malformed(format!(
                "array `{name}` is {:?}, expected {:?}",
                stored.dtype,
                T::DTYPE
            )));
        }
        ArrayD::from_shape_vec(stored.shape.clone(), decode(&stored.bytes))
            .map_err(|e| self.malformed(format!("array `{name}`: {e}")))
    }

    /// A table of finite numbers.
    ///
    /// # Errors
    /// As [`read_array`](Self::read_array), and when it has not two axes or holds a NaN or an infinity.
    pub fn read_table<F: Float>(&self, name: &str) -> Result<Array2<F>> {
        self.read_finite(name)?
            .into_dimensionality()
            .map_err(|_| self.malformed(format!("array `{name}` is not a table")))
    }

    /// A list of finite numbers.
    ///
    /// # Errors
    /// As [`read_table`](Self::read_table), for one axis.
    pub fn read_list<F: Float>(&self, name: &str) -> Result<Array1<F>> {
        self.read_finite(name)?
            .into_dimensionality()
            .map_err(|_| self.malformed(format!("array `{name}` is not a list")))
    }

    fn read_finite<F: Float>(&self, name: &str) -> Result<ArrayD<F>> {
        let array = self.read_array::<F>(name)?;
        if array.iter().any(|v| !v.is_finite()) {
            return Err(self.malformed(format!("array `{name}` holds a value that is not finite")));
        }
        Ok(array)
    }

    /// The value of this name.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing or has another form.
    pub fn read_value<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let json = self.values.get(name).ok_or_else(|| self.malformed(format!("no value `{name}`")))?;
        T::deserialize(json).map_err(|e| self.malformed(format!("value `{name}`: {e}")))
    }

    /// Checks a condition between the parts of the record.
    ///
    /// # Errors
    /// [`Error::File`] with `problem` when the condition does not hold.
    pub fn require(&self, condition: bool, problem: &str) -> Result<()> {
        if condition { Ok(()) } else { Err(self.malformed(problem.to_owned())) }
    }

    fn malformed(&self, problem: String) -> Error {
        Error::file(&self.path, problem)
    }

    /// Writes the record, atomically.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let header = Header { version: VERSION, kind: self.kind.clone(), values: self.values.clone() };
        let text = serde_json::to_string(&header).map_err(|e| Error::io(path, e.into()))?;
        let metadata = HashMap::from([("unsup".to_owned(), text)]);
        let bytes = safetensors::serialize(&self.arrays, Some(metadata))
            .map_err(|e| Error::io(path, std::io::Error::other(e)))?;
        write_atomic(path, |writer| writer.write_all(&bytes))
    }

    /// Reads a record that must be of this kind.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is truncated, malformed or
    /// of another kind.
    pub fn load(path: impl AsRef<Path>, kind: &str) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let not_safetensors = |e: safetensors::SafeTensorError| {
            Error::file(path, format!("not a complete safetensors file: {e}"))
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(not_safetensors)?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get("unsup"));
        let text =
            text.ok_or_else(|| Error::file(path, "a safetensors file, but not a model written by unsup"))?;
        let header: Header = serde_json::from_str(text)
            .map_err(|e| Error::file(path, format!("malformed model header: {e}")))?;
        if header.version != VERSION {
            return Err(Error::file(
                path,
                format!("model format version {}, this build reads version {VERSION}", header.version),
            ));
        }
        if header.kind != kind {
            return Err(Error::file(path, format!("holds a {}, expected a {kind}", header.kind)));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(not_safetensors)?;
        let store = |view: TensorView<'_>| Stored {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        };
        let arrays = tensors.tensors().into_iter().map(|(name, view)| (name, store(view))).collect();
        Ok(Record { kind: header.kind, values: header.values, arrays, path: path.to_owned() })
    }
}
