//! What a piece of work adds to the memory of its process, by an allocator that counts.
//!
//! For a test that is alone in its process, since all threads are counted:
//!
//! ```standalone_crate
//! use unsup_core::contract::memory::{self, Counting};
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//!
//! let (list, used) = memory::of(|| {
//!     let wide = vec![1_u8; 1 << 20];
//!     wide[..1 << 10].to_vec()
//! });
//! assert_eq!((used.peak, used.kept), ((1 << 20) + (1 << 10), list.len()));
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting.
#[derive(Debug, Clone, Copy)]
pub struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes beyond those that were held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// At the most, while the work ran.
    pub peak: usize,
    /// By what the work returned.
    pub kept: usize,
}

/// The result of `work`, and what it used; [`Counting`] must be the global allocator.
pub fn of<T>(work: impl FnOnce() -> T) -> (T, Used) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    let beyond = |bytes: &AtomicUsize| bytes.load(Ordering::Relaxed).saturating_sub(before);
    (result, Used { peak: beyond(&PEAK), kept: beyond(&LIVE) })
}
