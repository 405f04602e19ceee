//! What the examples share: the command line, and a report of figures, pictures and text.

mod failure;
mod report;

pub use failure::Failure;
pub use report::Report;

use std::path::PathBuf;

/// Whether `--quick` was given: the same work in a small form.
///
/// # Errors
/// Names an argument that the example does not know.
pub fn quick() -> Result<bool, String> {
    options(&[]).map(|(quick, _)| quick)
}

/// Whether `--quick` was given, and the value after each of these options, `None` where it was not.
///
/// # Errors
/// Names an argument that the example does not know, or an option without its value.
pub fn options<const N: usize>(names: &[&str; N]) -> Result<(bool, [Option<String>; N]), String> {
    let (mut quick, mut values) = (false, [const { None }; N]);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match names.iter().position(|&name| name == argument) {
            Some(at) => values[at] = Some(arguments.next().ok_or(format!("{argument} needs a value"))?),
            None if argument == "--quick" => quick = true,
            None => {
                return Err(format!("unknown argument {argument}; there are --quick {}", names.join(" ")));
            }
        }
    }
    Ok((quick, values))
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
