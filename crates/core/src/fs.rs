//! Writing files so that nothing already written is ever lost.

use crate::{Error, Result};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file as a whole or not at all: into a temporary file in the same folder, flushed to
/// the disk, then renamed over `path`. A crash, a full disk or an error in `write` leaves what
/// stood at `path` before.
///
/// # Errors
/// [`Error::Io`] naming `path`.
pub fn write_atomic(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || -> io::Result<()> {
        let temporary = temporary_in(folder)?;
        let mut writer = BufWriter::new(temporary.as_file());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    attempt().map_err(|e| Error::io(path, e))
}

/// A temporary file that, once renamed, others may read as they may read any new file.
fn temporary_in(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_temporary() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("model");
        write_atomic(&path, |w| w.write_all(b"first"))?;
        let failed = write_atomic(&path, |w| {
            w.write_all(b"half of the sec")?;
            Err(io::Error::other("disk full"))
        });
        assert!(matches!(failed, Err(Error::Io { path: p, .. }) if p == path));
        assert_eq!(std::fs::read(&path)?, b"first");
        let plain = folder.path().join("plain");
        std::fs::write(&plain, b"")?;
        assert_eq!(std::fs::metadata(&path)?.permissions(), std::fs::metadata(&plain)?.permissions());
        std::fs::remove_file(plain)?;
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }
}
