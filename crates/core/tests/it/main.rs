//! The integration tests of the core.

mod memory;
mod metrics;
#[cfg(feature = "plot")]
mod plot;
mod readers;
#[cfg(feature = "contract")]
mod scaling;
mod store;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;
