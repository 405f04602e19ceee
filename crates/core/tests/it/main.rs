//! The integration tests of the core.

mod memory;
mod metrics;
#[cfg(feature = "plot")]
mod plot;
mod readers;
mod store;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;
