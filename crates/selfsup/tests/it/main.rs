//! The integration tests of the selfsup crate.

mod probe;
mod simclr;
mod views;
