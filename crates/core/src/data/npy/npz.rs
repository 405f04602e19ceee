//! An archive of named arrays.

use super::{Scalar, header};
use crate::data::input::{Input, MOST_EXPANSION, open};
use crate::{Error, Float, Result};
use ndarray::ArrayD;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

/// numpy writes no archive comment, so an archive ends with exactly this many bytes of directory end.
const DIRECTORY_END: u64 = 22;

/// An NPZ archive (`numpy.savez`, `numpy.savez_compressed`), open for reading.
///
/// Only the archive's directory is read at first; each array is read when it is asked for.
///
/// ```no_run
/// use unsup_core::data::npy::Npz;
/// let mut archive = Npz::open("faces.npz")?;
/// println!("{:?}", archive.names());
/// let faces = archive.read::<u8>("faces")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Npz {
    path: PathBuf,
    length: u64,
    names: Vec<String>,
    archive: ZipArchive<BufReader<File>>,
}

impl Npz {
    /// Opens an archive and reads its directory.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is not an archive, is truncated, or
    /// has bytes after its directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, length) = open(path)?;
        let mut end = [0; 4];
        let tail = file.seek(SeekFrom::Start(length.saturating_sub(DIRECTORY_END)));
        let read = tail.and_then(|_| file.read(&mut end)).map_err(|e| Error::io(path, e))?;
        if read < 4 || end != *b"PK\x05\x06" {
            return Err(Error::file(
                path,
                "not an NPZ archive, truncated, or longer than it says: no zip directory at its end",
            ));
        }
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| refused(path, e))?;
        let mut names = Vec::new();
        for name in archive.file_names() {
            let name = name.map_err(|e| refused(path, e))?;
            names.extend(name.strip_suffix(".npy").map(str::to_owned));
        }
        Ok(Npz { path: path.to_owned(), length, names, archive })
    }

    /// The names of the arrays, without `.npy`, in the order of the archive's directory.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads an array of this very element type, of any rank.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`]: no array of that name, truncated, malformed, a wrong checksum,
    /// expanding by more than 1032, of another type.
    pub fn read<T: Scalar>(&mut self, name: &str) -> Result<ArrayD<T>> {
        self.with_member(name, |mut input| header::parse(&mut input)?.read(input))
    }

    /// Reads an array of any element type, rounded to `F`.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for the type.
    pub fn read_as<F: Float>(&mut self, name: &str) -> Result<ArrayD<F>> {
        self.with_member(name, |mut input| header::parse(&mut input)?.read_as(input))
    }

    fn with_member<R>(&mut self, name: &str, read: impl FnOnce(Input<'_>) -> Result<R>) -> Result<R> {
        if !self.names.iter().any(|n| n == name) {
            let known = self.names.join("`, `");
            return Err(Error::file(&self.path, format!("no array `{name}`; there are `{known}`")));
        }
        let member = self.archive.by_name(&format!("{name}.npy")).map_err(|e| refused(&self.path, e))?;
        let compressed = member.compressed_size().min(self.length);
        // The size that the directory declares is a claim as well; the smaller bound counts.
        let most = member.size().min(compressed.saturating_mul(MOST_EXPANSION));
        read(Input::member(&self.path, name, member, most))
    }
}

fn refused(path: &Path, error: ZipError) -> Error {
    match error {
        ZipError::Io(e) if e.raw_os_error().is_some() => Error::io(path, e),
        other => Error::file(path, format!("not a complete NPZ archive: {other}")),
    }
}
