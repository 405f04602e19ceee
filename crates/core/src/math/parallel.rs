//! Threads of the pool that stay awake between short parallel pieces.
//!
//! A thread of rayon's pool sleeps after a few microseconds without work, and waking it takes tens of them. A training step
//! of a small network is a hundred parallel pieces of that length with serial stretches in between: the other threads
//! look for work a little longer. (That the thread that hands out the pieces waits awake as well brought nothing.)

use rayon::Yield;
use std::cell::Cell;
use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// How long a thread looks for work in vain.
const PATIENCE: Duration = Duration::from_micros(100);

/// Runs f on a thread of rayon's pool, while the others stay awake. Whoever calls the pool from outside waits for a
/// thread to wake up, each time; a training step of a small network, which is a hundred short parallel pieces, goes in
/// once and takes a tenth less time. The trainer does it for each step; in a loop of your own wrap the step.
///
/// ```
/// use unsup_core::math::in_pool;
/// assert_eq!(in_pool(|| 6 * 7), 42);
/// ```
pub fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return f();
    }
    rayon::scope(|_| {
        keep_awake();
        f()
    })
}

/// From here on, until there has been nothing to do for [`PATIENCE`], the other threads do not sleep. Called on a thread
/// of the pool.
fn keep_awake() {
    let here = rayon::current_thread_index();
    rayon::spawn_broadcast(move |thread| {
        if Some(thread.index()) != here {
            look_for_work();
        }
    });
}

fn look_for_work() {
    thread_local!(static LOOKING: Cell<bool> = const { Cell::new(false) });
    // what is found may be a call of this
    if LOOKING.replace(true) {
        return;
    }
    let mut last = Instant::now();
    while last.elapsed() < PATIENCE {
        match rayon::yield_now() {
            Some(Yield::Executed) => last = Instant::now(),
            _ => (0..8).for_each(|_| spin_loop()),
        }
    }
    LOOKING.set(false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn work_is_done_once_within_and_after_the_patience() {
        let count = AtomicUsize::new(0);
        for pause in [0, 0, 300] {
            let inside = in_pool(|| {
                (0..1000).into_par_iter().for_each(|_| _ = count.fetch_add(1, Ordering::Relaxed));
                // called within, it is the function itself
                in_pool(|| rayon::current_thread_index().is_some())
            });
            assert!(inside);
            std::thread::sleep(Duration::from_micros(pause));
        }
        assert_eq!(count.into_inner(), 3000);
    }
}
