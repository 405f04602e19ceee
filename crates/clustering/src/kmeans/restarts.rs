//! Several starts, of which the best is kept; side by side when each is small.

use super::lloyd::{Lloyd, Run};
use crate::used::warn_of_unused;
use rayon::prelude::*;
use std::ops::ControlFlow;
use unsup_core::math::Nearest;
use unsup_core::observe::{Event, Observer, Silent, Stop};
use unsup_core::{Error, Result};

/// Multiply-adds of a pass from which on its chunks keep all threads busy.
const SMALL: usize = 1 << 22;
/// How many small starts are made before the observer hears of them.
const WAVE: usize = 32;

/// How to make a start.
pub(super) struct Starts<'a, L, S> {
    pub(super) task: &'static str,
    pub(super) restarts: usize,
    pub(super) max_iterations: usize,
    pub(super) tolerance: f64,
    /// the buffers of one start
    pub(super) lloyd: &'a L,
    /// the first centroids of the start of this number
    pub(super) centroids: &'a S,
}

impl<'a, F, L, S> Starts<'_, L, S>
where
    F: Nearest,
    L: Fn() -> Lloyd<'a, F> + Sync,
    S: Fn(usize) -> Vec<F> + Sync,
{
    /// The start of least inertia, the first on a tie. The same, to the bit, whether starts are made one after the other
    /// or side by side. `work`: multiply-adds of a pass.
    pub(super) fn best(&self, work: usize, observer: &mut dyn Observer) -> Result<Run<F>> {
        let mut best: Option<Run<F>> = None;
        let mut lloyd = (self.lloyd)();
        let wave = if work <= SMALL && rayon::current_num_threads() > 1 { WAVE } else { 1 };
        'starts: for first in (0..self.restarts).step_by(wave) {
            let count = wave.min(self.restarts - first);
            let ahead: Vec<Run<F>> = if count == 1 {
                Vec::new()
            } else {
                let alone = |start| self.run(&mut (self.lloyd)(), start, &mut Silent);
                (first..first + count).into_par_iter().map(alone).collect()
            };
            let mut ahead = ahead.into_iter();
            for start in first..first + count {
                let _ = observer.observe(&Event::Started { task: self.task, total: self.max_iterations });
                let run = match ahead.next() {
                    Some(run) => self.replay(&mut lloyd, start, run, observer),
                    None => self.run(&mut lloyd, start, observer),
                };
                let stop = run.history.stop();
                let _ = observer.observe(&Event::Finished { task: self.task, stop });
                if best.as_ref().is_none_or(|b| run.inertia < b.inertia) {
                    best = Some(run);
                }
                if stop == Stop::Interrupted {
                    break 'starts;
                }
            }
        }
        let best = best.ok_or_else(|| Error::parameter("restarts", 0, "at least 1"))?;
        warn_of_unused(self.task, &best.labels, lloyd.clusters, observer);
        Ok(best)
    }

    fn run(&self, lloyd: &mut Lloyd<'a, F>, start: usize, observer: &mut dyn Observer) -> Run<F> {
        lloyd.run((self.centroids)(start), self.task, self.max_iterations, self.tolerance, observer)
    }

    /// Tells the observer of a start made ahead of time. One that it interrupts is made again, up to there.
    fn replay(
        &self,
        lloyd: &mut Lloyd<'a, F>,
        start: usize,
        run: Run<F>,
        observer: &mut dyn Observer,
    ) -> Run<F> {
        for (done, &objective) in (1..).zip(run.history.objective()) {
            let event = Event::Progress { task: self.task, done, objective, terms: &[] };
            if observer.observe(&event).is_break() {
                let mut there = |event: &Event<'_>| match event {
                    Event::Progress { done: now, .. } if *now >= done => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                };
                return self.run(lloyd, start, &mut there);
            }
        }
        run
    }
}
