//! NPY, numpy's array file, and NPZ, its archive.
//!
//! Reads versions 1, 2 and 3 in C and Fortran order, little- and big-endian, of any rank; writes the bytes
//! that numpy 2 writes. Element types are those of [`Scalar`]; structured, object and string arrays are
//! refused, so that reading never executes anything. The format is specified in numpy's
//! [NEP 1](https://numpy.org/neps/nep-0001-npy-format.html).
//!
//! Headers are not trusted: memory grows with the bytes that are there, and a file that is truncated, or
//! longer than its header says, is an error. A Fortran-order file gives an array in that memory order.
//!
//! ```
//! use ndarray::array;
//! use unsup_core::data::npy;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("x.npy");
//! npy::write(&path, &array![[1.5_f32, 2.0], [3.0, 4.0]])?;
//! assert_eq!(npy::read::<f32>(&path)?, array![[1.5, 2.0], [3.0, 4.0]].into_dyn());
//! assert_eq!(npy::read_table::<f64>(&path)?.dim(), (2, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod header;
mod npz;

pub use super::scalar::{Kind, Scalar};
pub use npz::Npz;

use super::input::Input;
use crate::fs::write_atomic;
use crate::{Error, Float, Result};
use ndarray::{Array2, ArrayD, ArrayRef, Dimension};
use std::path::Path;

/// Reads an array of this very element type, of any rank.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is truncated, malformed, too long,
/// or of another type.
pub fn read<T: Scalar>(path: impl AsRef<Path>) -> Result<ArrayD<T>> {
    let mut input = Input::open(path.as_ref())?;
    header::parse(&mut input)?.read(input)
}

/// Reads an array of any element type, rounded to `F`.
///
/// # Errors
/// As [`read`], but for the type.
pub fn read_as<F: Float>(path: impl AsRef<Path>) -> Result<ArrayD<F>> {
    let mut input = Input::open(path.as_ref())?;
    header::parse(&mut input)?.read_as(input)
}

/// Reads a table of any element type, rounded to `F`.
///
/// # Errors
/// As [`read_as`], and when the array has not two axes.
pub fn read_table<F: Float>(path: impl AsRef<Path>) -> Result<Array2<F>> {
    let path = path.as_ref();
    let array = read_as(path)?;
    let shape = array.shape().to_vec();
    array
        .into_dimensionality()
        .map_err(|_| Error::file(path, format!("shape {shape:?} is not that of a table")))
}

/// Writes an array of any rank, atomically. An array in column-major order is written as one.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
pub fn write<T: Scalar, D: Dimension>(path: impl AsRef<Path>, array: &ArrayRef<T, D>) -> Result<()> {
    let fortran = !array.is_standard_layout() && array.t().is_standard_layout();
    let head = header::format(T::KIND, fortran, array.shape());
    let put = |writer: &mut dyn std::io::Write, values: &mut dyn Iterator<Item = &T>| {
        let mut piece = Vec::new();
        for &value in values {
            value.encode(&mut piece);
            if piece.len() >= 1 << 16 {
                writer.write_all(&piece)?;
                piece.clear();
            }
        }
        writer.write_all(&piece)
    };
    write_atomic(path, |writer| {
        writer.write_all(&head)?;
        if fortran { put(writer, &mut array.t().iter()) } else { put(writer, &mut array.iter()) }
    })
}
