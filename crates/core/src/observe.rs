//! Watching a fit, and stopping it.
//!
//! Every iterative fit reports [`Event`]s to an [`Observer`] and returns a [`History`]. An
//! observer that answers [`ControlFlow::Break`] ends the fit, which then returns the best model
//! so far: an interrupted fit is not an error.
//!
//! Observers compose: a closure is one, a pair of observers is one, and [`ProgressBar`],
//! [`Interrupt`], [`JsonLines`] and [`TensorBoard`] are ready to use.
//!
//! ```
//! use std::ops::ControlFlow;
//! use unsup_core::observe::{Event, Observer};
//! let mut iterations = 0;
//! let mut stop_after_ten = |event: &Event<'_>| match event {
//!     Event::Progress { done, .. } if *done >= 10 => ControlFlow::Break(()),
//!     _ => { iterations += 1; ControlFlow::Continue(()) }
//! };
//! let event = Event::Progress { task: "k-means", done: 10, objective: 1.0, terms: &[] };
//! assert!(stop_after_ten.observe(&event).is_break());
//! ```

mod curve;
mod history;
mod json_lines;
mod progress;
mod tensorboard;

pub use curve::Curve;
pub use history::{History, Stop};
pub use json_lines::JsonLines;
pub use progress::ProgressBar;
pub use tensorboard::TensorBoard;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a running fit reports.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A piece of work begins.
    Started {
        /// Its name, for people.
        task: &'a str,
        /// How many iterations there will be at most.
        total: usize,
    },
    /// One step of an iteration of many is done: a chance to show that it moves, and to stop in its midst.
    Step {
        /// The name given at the start.
        task: &'a str,
        /// How many steps are done, over all iterations.
        done: usize,
        /// How many steps there will be at most.
        total: usize,
    },
    /// One iteration is done.
    Progress {
        /// The name given at the start.
        task: &'a str,
        /// How many iterations are done.
        done: usize,
        /// The objective after this iteration, in the method's own unit.
        objective: f64,
        /// The terms the objective is made of, or whatever else is worth watching.
        terms: &'a [(&'a str, f64)],
    },
    /// What the rows that are kept aside say after an iteration.
    Validated {
        /// The name given at the start.
        task: &'a str,
        /// How many iterations are done.
        done: usize,
        /// The objective on those rows.
        objective: f64,
        /// Its terms.
        terms: &'a [(&'a str, f64)],
    },
    /// Something worth knowing that is no error: clusters that no row is in, for instance.
    Warning {
        /// The name given at the start.
        task: &'a str,
        /// What it is, for people.
        message: &'a str,
    },
    /// The piece of work is over.
    Finished {
        /// The name given at the start.
        task: &'a str,
        /// Why it ended.
        stop: Stop,
    },
}

/// Whoever watches a fit.
pub trait Observer {
    /// Told of every event. `Break` asks the fit to end and to return the best so far; the answer
    /// to `Finished`, and to a `Warning` after it, is ignored.
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()>;
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: &Event<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Event<'_>) -> ControlFlow<()>> Observer for F {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self(event)
    }
}

/// Both are told of every event; either can stop the fit.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let first = self.0.observe(event);
        let second = self.1.observe(event);
        if first.is_break() { first } else { second }
    }
}

/// A switch that stops a fit from anywhere: another thread, a signal handler, a button.
///
/// A library must not take a process's signals; a program that wants Ctrl-C to stop its fit safely ties them together, by
/// the crate `ctrlc` for instance (the example `hand_written_loop` does):
///
/// ```ignore
/// let interrupt = Interrupt::new();
/// let switch = interrupt.clone();
/// ctrlc::set_handler(move || switch.stop())?;
/// let model = spec.fit_resumable(&x, "fit.checkpoint", &mut (ProgressBar::new(), interrupt))?;
/// ```
///
/// ```
/// use unsup_core::observe::{Event, Interrupt, Observer};
/// let interrupt = Interrupt::new();
/// let handle = interrupt.clone();
/// std::thread::spawn(move || handle.stop()).join().ok();
/// let event = Event::Started { task: "k-means", total: 300 };
/// assert!(interrupt.clone().observe(&event).is_break());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns it on: every fit that watches it ends after its current step.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is on.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Observer for Interrupt {
    fn observe(&mut self, _: &Event<'_>) -> ControlFlow<()> {
        if self.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
