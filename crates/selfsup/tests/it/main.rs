//! The integration tests of the selfsup crate.

mod probe;
mod views;
