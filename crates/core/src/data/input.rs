//! Reading files that may lie.
//!
//! A length in a header is a claim. [`Input`] takes it as one: values are read in pieces, and memory
//! grows with the bytes that have really arrived, so that no file makes a reader allocate more than a small
//! multiple of what the file holds. Compressed bytes may expand by [`MOST_EXPANSION`], the most that the
//! deflate format can honestly reach, and not further.

use super::scalar::Scalar;
use crate::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// A deflate stream codes at most 258 bytes in 2 bits: 1032 bytes a byte.
pub(super) const MOST_EXPANSION: u64 = 1032;

/// Bytes that are read and decoded at once.
const PIECE: usize = 1 << 16;

/// The bytes of one file, or of one member of an archive, front to back.
pub(super) struct Input<'a> {
    path: &'a Path,
    /// The member of an archive these bytes are of, for messages.
    member: Option<&'a str>,
    reader: Box<dyn Read + 'a>,
    /// Bytes read so far.
    at: u64,
    /// No more bytes than this can follow; exact for plain files.
    remaining: u64,
    exact: bool,
}

impl<'a> Input<'a> {
    /// Opens a file, decompressed when it begins like a gzip file.
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let (file, length) = open(path)?;
        let mut reader = BufReader::new(file);
        let compressed = reader.fill_buf().map_err(|e| Error::io(path, e))?.starts_with(&[0x1f, 0x8b]);
        let (reader, remaining): (Box<dyn Read>, u64) = if compressed {
            (Box::new(MultiGzDecoder::new(reader)), length.saturating_mul(MOST_EXPANSION))
        } else {
            (Box::new(reader), length)
        };
        Ok(Input { path, member: None, reader, at: 0, remaining, exact: !compressed })
    }

    /// A member of an archive, of which at most `remaining` bytes are to be believed.
    pub(super) fn member(path: &'a Path, member: &'a str, reader: impl Read + 'a, remaining: u64) -> Self {
        Input { path, member: Some(member), reader: Box::new(reader), at: 0, remaining, exact: false }
    }

    /// An error that names the file.
    pub(super) fn malformed(&self, problem: impl std::fmt::Display) -> Error {
        match self.member {
            Some(member) => Error::file(self.path, format!("member `{member}`: {problem}")),
            None => Error::file(self.path, problem.to_string()),
        }
    }

    fn failed(&self, error: io::Error, what: &str) -> Error {
        // Only the system's own errors have a number; the others are a decoder's verdict on the bytes.
        if error.raw_os_error().is_some() {
            return Error::io(self.path, error);
        }
        self.malformed(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("truncated: it ends after byte {}, within {what}", self.at)
            }
            _ => format!("corrupt data in {what}, after byte {}: {error}", self.at),
        })
    }

    /// The next few bytes.
    pub(super) fn bytes(&mut self, count: usize, what: &str) -> Result<Vec<u8>> {
        self.believable(count as u64, what)?;
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).map_err(|e| self.failed(e, what))?;
        self.advance(count);
        Ok(bytes)
    }

    /// The next `count` values of type `T`, each passed through `convert`.
    pub(super) fn values<T: Scalar, U>(
        &mut self,
        count: u64,
        big_endian: bool,
        convert: impl Fn(T) -> U,
    ) -> Result<Vec<U>> {
        let size = T::KIND.size();
        let bytes = count.checked_mul(size as u64);
        let total =
            bytes.ok_or_else(|| self.malformed(format!("{count} values are more than any file holds")))?;
        self.believable(total, "the values")?;
        if self.exact && total < self.remaining {
            let extra = self.remaining - total;
            return Err(self.malformed(format!("{extra} bytes more follow than the header announces")));
        }
        // A plain file warrants the whole array; compressed bytes must arrive first.
        let mut values = Vec::with_capacity(if self.exact { count as usize } else { 0 });
        let mut piece = vec![0; PIECE.min(total as usize)];
        let mut left = total;
        while left > 0 {
            let part = &mut piece[..left.min(PIECE as u64) as usize];
            self.reader.read_exact(part).map_err(|e| self.failed(e, "the values"))?;
            for raw in part.chunks_exact(size) {
                match T::decode(raw, big_endian) {
                    Some(value) => values.push(convert(value)),
                    None => {
                        let index = values.len();
                        return Err(self.malformed(format!("value {index} is {raw:?}, not a {}", T::KIND)));
                    }
                }
            }
            let length = part.len();
            self.advance(length);
            left -= length as u64;
        }
        Ok(values)
    }

    /// Checks that nothing follows; for compressed data this also checks its checksum.
    pub(super) fn end(mut self) -> Result<()> {
        let mut byte = [0];
        match self.reader.read(&mut byte) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.malformed("more bytes follow than the header announces")),
            Err(e) => Err(self.failed(e, "its end")),
        }
    }

    fn believable(&self, count: u64, what: &str) -> Result<()> {
        if count <= self.remaining {
            return Ok(());
        }
        let (at, remaining) = (self.at, self.remaining);
        Err(self.malformed(if self.exact {
            format!("truncated: {what} need {count} bytes from byte {at} on, and {remaining} are there")
        } else {
            format!("{what} need {count} bytes from byte {at} on, more than its compressed size can hold ({remaining})")
        }))
    }

    fn advance(&mut self, count: usize) {
        self.at += count as u64;
        self.remaining = self.remaining.saturating_sub(count as u64);
    }
}

/// The raw stream, for a parser of its own; compressed data that is corrupt shows as an I/O error.
impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.advance(count);
        Ok(count)
    }
}

/// Opens a regular file and tells its length.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let metadata = file.metadata().map_err(|e| Error::io(path, e))?;
    if !metadata.is_file() {
        return Err(Error::file(path, "not a regular file"));
    }
    Ok((file, metadata.len()))
}
