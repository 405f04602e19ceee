//! A progress bar for people: rate, remaining time and the objective, on standard error.

use super::{Event, Observer, Stop};
use indicatif::{ProgressBar as Bar, ProgressDrawTarget, ProgressStyle};
use std::ops::ControlFlow;

/// What is done, iterations or steps a second, the time that is left, and the objective.
const TEMPLATE: &str = "{msg:24} {bar:30} {pos}/{len} {per_sec:>10} {eta:>4} left  {prefix}";

/// Draws one bar per task, with the rate and the remaining time: in steps where the fit reports them, in iterations
/// where not. A warning is a line above the bar. When standard error is not a terminal nothing is drawn, so logs stay clean.
#[derive(Debug)]
pub struct ProgressBar {
    target: fn() -> ProgressDrawTarget,
    bar: Option<Bar>,
    steps: bool,
}

impl Default for ProgressBar {
    fn default() -> Self {
        ProgressBar { target: ProgressDrawTarget::stderr, bar: None, steps: false }
    }
}

impl ProgressBar {
    /// A bar that appears with the first task.
    pub fn new() -> Self {
        Self::default()
    }

    fn start(&mut self, task: &str, total: usize) {
        let bar = Bar::with_draw_target(Some(total as u64), (self.target)()).with_message(task.to_owned());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        (self.bar, self.steps) = (Some(bar), false);
    }
}

impl Observer for ProgressBar {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        if let Event::Started { task, total } = event {
            self.start(task, *total);
        }
        let Some(bar) = &self.bar else { return ControlFlow::Continue(()) };
        match event {
            Event::Step { done, total, .. } => {
                if !self.steps {
                    // a resumed fit begins in the midst: its rate counts from here
                    bar.set_length(*total as u64);
                    bar.set_position(done.saturating_sub(1) as u64);
                    bar.reset_eta();
                    self.steps = true;
                }
                bar.set_position(*done as u64);
            }
            Event::Progress { done, objective, .. } => {
                if !self.steps {
                    bar.set_position(*done as u64);
                }
                bar.set_prefix(format!("{objective:.6}"));
            }
            Event::Validated { objective, .. } => {
                bar.set_prefix(format!("{}, validation {objective:.6}", bar.prefix()));
            }
            Event::Warning { task, message } => bar.println(format!("{task}: {message}")),
            // the bar stays for a warning that follows
            Event::Finished { stop, .. } => match stop {
                Stop::Interrupted | Stop::EarlyStopping => bar.abandon(),
                _ => bar.finish(),
            },
            Event::Started { .. } => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::io::Result;
    use std::sync::{Mutex, PoisonError};

    static WRITTEN: Mutex<String> = Mutex::new(String::new());

    /// Keeps what is written and ignores where the cursor is.
    #[derive(Debug)]
    struct Paper;

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> Result<()> {
            WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> Result<()> {
            Ok(())
        }
        fn flush(&self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_shows_steps_rate_remaining_time_and_objectives() {
        let target = || ProgressDrawTarget::term_like(Box::new(Paper));
        let mut bar = ProgressBar { target, ..ProgressBar::default() };
        let _ = bar.observe(&Event::Started { task: "vae", total: 3 });
        for done in 1..=20 {
            let _ = bar.observe(&Event::Step { task: "vae", done, total: 60 });
        }
        let _ = bar.observe(&Event::Progress { task: "vae", done: 1, objective: 0.5, terms: &[] });
        let _ = bar.observe(&Event::Validated { task: "vae", done: 1, objective: 0.75, terms: &[] });
        let _ = bar.observe(&Event::Finished { task: "vae", stop: Stop::Interrupted });
        let _ = bar.observe(&Event::Warning { task: "vae", message: "a word" });
        let screen = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for part in ["vae", "20/60", "/s", "left", "0.500000, validation 0.750000", "vae: a word"] {
            assert!(screen.contains(part), "{part} is not in {screen}");
        }
    }
}
