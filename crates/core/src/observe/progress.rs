//! A progress bar for people: rate, remaining time and the objective, on standard error.

use super::{Event, Observer, Stop};
use indicatif::{ProgressBar as Bar, ProgressStyle};
use std::ops::ControlFlow;

/// Draws one bar per task. When standard error is not a terminal nothing is drawn, so logs stay
/// clean.
#[derive(Debug, Default)]
pub struct ProgressBar {
    bar: Option<Bar>,
}

impl ProgressBar {
    /// A bar that appears with the first task.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Observer for ProgressBar {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Started { task, total } => {
                let bar = Bar::new(*total as u64).with_message((*task).to_owned());
                if let Ok(style) = ProgressStyle::with_template(
                    "{msg:24} {bar:30} {pos}/{len} {per_sec:>10} {eta:>4} left  {prefix}",
                ) {
                    bar.set_style(style);
                }
                self.bar = Some(bar);
            }
            Event::Progress { done, objective, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*done as u64);
                    bar.set_prefix(format!("{objective:.6}"));
                }
            }
            Event::Finished { stop, .. } => {
                if let Some(bar) = self.bar.take() {
                    match stop {
                        Stop::Interrupted => bar.abandon(),
                        _ => bar.finish(),
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}
