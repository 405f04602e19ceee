//! The integration tests of the core.

mod memory;
mod metrics;
mod readers;
mod store;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;
