//! The integration tests of the core.

mod metrics;
mod store;
