//! The field on one walk, on bundled data: clusters, codes, samples, representations.
//!
//!     cargo run --release --example tour            # under four minutes on two cores
//!     cargo run --release --example tour -- --quick # the same in a small form
//!
//! Writes pictures and a self-contained page to `target/tour/`; the last line is JSON.

mod clusters;
mod codes;
mod representations;
mod samples;

use unsup_examples::{Failure, Report};

// A library must not choose the allocator; a program that trains networks should (docs: performance).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Failure> {
    let quick = unsup_examples::quick()?;
    let mut report = Report::new("tour", "unsup: a tour of learning without labels")?;
    clusters::digits(&mut report, quick)?;
    clusters::mr_slice(&mut report)?;
    codes::two_components(&mut report)?;
    samples::new_digits(&mut report, quick)?;
    representations::few_labels(&mut report, quick)?;
    report.finish()
}
