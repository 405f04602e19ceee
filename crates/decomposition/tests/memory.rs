//! What a fit of PCA adds to the memory of its data, by an allocator that counts. Alone in its process.

use ndarray::Array2;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use unsup_core::Seed;
use unsup_core::estimator::Fit;
use unsup_decomposition::{Pca, Route};

struct Counting;

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

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A table of the size of MNIST, 50 components, by every route that such a table can take.
#[test]
fn pca_works_in_a_fifth_of_the_memory_of_its_data() -> Result<(), Box<dyn std::error::Error>> {
    let (n, d) = (60_000, 784);
    let noise = Seed::new(1).normals(100 * d);
    let x = Array2::from_shape_fn((n, d), |(i, j)| {
        noise[(i % 100) * d + j] as f32 + ((i * (j + 7)) % 977) as f32 * 0.01
    });
    for route in [Route::Auto, Route::Covariance, Route::Randomized { oversamples: 10, iterations: 1 }] {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let model = Pca::new().components(50).route(route).fit(&x)?;
        let working = (PEAK.load(Ordering::Relaxed) - before) as f64 / (x.len() * size_of::<f32>()) as f64;
        println!("{route:?}: {:.1} %", 100.0 * working);
        assert_eq!(model.components().dim(), (50, d));
        assert!(working <= 0.2, "{route:?}: {working} of the data");
    }
    Ok(())
}
