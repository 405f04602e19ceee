//! Threads of the pool that look for work a little longer before they sleep.
//!
//! A thread of rayon's pool sleeps after a few microseconds without work, and waking it takes tens of them. A training step
//! of a small network is a hundred parallel pieces with short serial stretches in between: woken for each,
//! the second thread is late for most of them.

use rayon::Yield;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a thread looks for work in vain.
const PATIENCE: Duration = Duration::from_micros(100);

/// From here on, until there has been nothing to do for [`PATIENCE`], the other threads do not sleep. Called on a thread
/// of the pool.
pub(super) fn keep_awake() {
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
            _ => (0..64).for_each(|_| std::hint::spin_loop()),
        }
    }
    LOOKING.set(false);
}
