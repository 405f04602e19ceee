//! IDX, the format of MNIST: element type, shape, values; plain or gzipped.
//!
//! Layout: two zero bytes, a type code (0x08 u8, 0x09 i8, 0x0B i16, 0x0C i32, 0x0D f32, 0x0E f64), the
//! number of axes, each axis as a 32-bit big-endian number, then the values, big-endian and
//! row-major ([LeCun, Cortes & Burges](https://yann.lecun.com/exdb/mnist/)).
//!
//! Headers are not trusted: memory grows with the bytes that are there, and a file that is truncated, or
//! longer than its header says, is an error. A gzipped file may expand by 1032, the most that deflate reaches.
//!
//! ```
//! use unsup_core::data::idx;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("labels-idx1-ubyte");
//! std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1])?;
//! assert_eq!(idx::read::<u8>(&path)?.into_raw_vec_and_offset().0, [7, 2, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::array_file::Header;
use super::input::Input;
use super::scalar::{Kind, Scalar};
use crate::{Float, Result};
use ndarray::ArrayD;
use std::path::Path;

/// Reads an array of this very element type, of any rank.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the file cannot be read; [`Error::File`](crate::Error::File) when it
/// is truncated, malformed, too long, or of another type.
pub fn read<T: Scalar>(path: impl AsRef<Path>) -> Result<ArrayD<T>> {
    let mut input = Input::open(path.as_ref())?;
    header(&mut input)?.read(input)
}

/// Reads an array of any element type, rounded to `F`.
///
/// # Errors
/// As [`read`], but for the type.
pub fn read_as<F: Float>(path: impl AsRef<Path>) -> Result<ArrayD<F>> {
    let mut input = Input::open(path.as_ref())?;
    header(&mut input)?.read_as(input)
}

fn header(input: &mut Input<'_>) -> Result<Header> {
    let magic = input.bytes(4, "the IDX header")?;
    let kind = match magic[..] {
        [0, 0, 0x08, _] => Kind::U8,
        [0, 0, 0x09, _] => Kind::I8,
        [0, 0, 0x0b, _] => Kind::I16,
        [0, 0, 0x0c, _] => Kind::I32,
        [0, 0, 0x0d, _] => Kind::F32,
        [0, 0, 0x0e, _] => Kind::F64,
        _ => return Err(input.malformed(format!("not an IDX file: it begins with {magic:02x?}"))),
    };
    let axes = input.bytes(4 * usize::from(magic[3]), "the axes of the IDX header")?;
    let axis = |raw: &[u8]| raw.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    Ok(Header { kind, big_endian: true, fortran: false, shape: axes.chunks_exact(4).map(axis).collect() })
}
