//! What the examples share: the command line, and a report of figures, pictures and text.

mod report;

pub use report::Report;

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
