//! What the examples share: the command line, and a report of figures, pictures and text.

mod report;

pub use report::Report;

use std::path::PathBuf;

/// Whether `--quick` was given: the same work in a small form.
///
/// # Errors
/// Names an argument that the example does not know.
pub fn quick() -> Result<bool, String> {
    let mut quick = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => quick = true,
            other => return Err(format!("unknown argument {other}; the only one is --quick")),
        }
    }
    Ok(quick)
}

/// `target/NAME/`, made when there is none: where an example writes.
///
/// # Errors
/// When it cannot be made.
pub fn folder(name: &str) -> std::io::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")), PathBuf::from);
    let folder = target.join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
