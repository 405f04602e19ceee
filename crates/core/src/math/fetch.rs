//! Reading ahead.

/// Asks for the cache lines of a row that will be read soon. Nothing waits for them.
#[inline(always)]
pub fn fetch<F: Copy>(row: &[F]) {
    #[cfg(target_arch = "x86_64")]
    for value in row.iter().step_by((64 / size_of::<F>()).max(1)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    // elsewhere an ordinary read, with which the processor's own reading ahead begins
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(row.first().copied());
}

/// What will be read next, fetched a few lines at a time while something else is computed: more at once than a processor
/// keeps requests for would make it wait.
pub(super) struct Ahead<'a, T> {
    values: &'a [T],
    step: usize,
}

impl<'a, T: Copy> Ahead<'a, T> {
    /// All of it in so many steps.
    pub(super) fn new(values: &'a [T], steps: usize) -> Self {
        Ahead { values, step: values.len().div_ceil(steps.max(1)) }
    }

    /// Whether nothing is left to fetch.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    #[inline(always)]
    pub(super) fn fetch(&mut self, steps: usize) {
        let (now, later) = self.values.split_at((steps * self.step).min(self.values.len()));
        fetch(now);
        self.values = later;
    }
}
