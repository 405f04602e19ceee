//! A log that programs read: one JSON object a line.

use super::{Event, Observer};
use crate::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Writes every event but single steps as a line of JSON, each with one call, so that a fit that dies leaves whole lines.
///
/// ```text
/// {"event":"started","task":"k-means","total":300}
/// {"event":"progress","task":"k-means","done":1,"objective":12.5,"terms":{}}
/// {"event":"validated","task":"vae","done":1,"objective":13.0,"terms":{"kl":2.5}}
/// {"event":"finished","task":"k-means","stop":"Converged"}
/// {"event":"warning","task":"k-means","message":"only 4 of 5 clusters have a row"}
/// ```
///
/// A value that JSON does not have (NaN, an infinity) is `null`. A line that cannot be written does not stop the fit; ask
/// [`finish`](Self::finish) afterwards.
///
/// ```
/// use unsup_core::observe::{Event, JsonLines, Observer};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("fit.jsonl");
/// let mut log = JsonLines::append(&path)?;
/// let _ = log.observe(&Event::Progress { task: "fit", done: 1, objective: 0.5, terms: &[("kl", 0.25)] });
/// log.finish()?;
/// let line = r#"{"done":1,"event":"progress","objective":0.5,"task":"fit","terms":{"kl":0.25}}"#;
/// assert_eq!(std::fs::read_to_string(&path)?.trim(), line);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct JsonLines {
    file: File,
    path: PathBuf,
    failed: Option<std::io::Error>,
}

impl JsonLines {
    /// Appends to the file at `path`, which is made when there is none: a resumed fit goes on with its log.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened.
    pub fn append(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = File::options().create(true).append(true).open(&path);
        Ok(JsonLines { file: file.map_err(|e| Error::io(&path, e))?, path, failed: None })
    }

    /// Whether everything was written.
    ///
    /// # Errors
    /// [`Error::Io`] with the first failure.
    pub fn finish(self) -> Result<()> {
        self.failed.map_or(Ok(()), |e| Err(Error::io(&self.path, e)))
    }
}

impl Observer for JsonLines {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let value = match *event {
            Event::Step { .. } => return ControlFlow::Continue(()),
            Event::Started { task, total } => {
                serde_json::json!({ "event": "started", "task": task, "total": total })
            }
            Event::Progress { task, done, objective, terms } => {
                numbers("progress", task, done, objective, terms)
            }
            Event::Validated { task, done, objective, terms } => {
                numbers("validated", task, done, objective, terms)
            }
            Event::Warning { task, message } => {
                serde_json::json!({ "event": "warning", "task": task, "message": message })
            }
            Event::Finished { task, stop } => {
                serde_json::json!({ "event": "finished", "task": task, "stop": stop })
            }
        };
        if let Err(error) = self.file.write_all(format!("{value}\n").as_bytes()) {
            self.failed.get_or_insert(error);
        }
        ControlFlow::Continue(())
    }
}

fn numbers(event: &str, task: &str, done: usize, objective: f64, terms: &[(&str, f64)]) -> serde_json::Value {
    let terms: serde_json::Map<_, _> =
        terms.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
    serde_json::json!({ "event": event, "task": task, "done": done, "objective": objective, "terms": terms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Stop;

    #[test]
    fn every_line_is_an_object_and_a_second_log_appends()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("log.jsonl");
        for _ in 0..2 {
            let mut log = JsonLines::append(&path)?;
            let _ = log.observe(&Event::Started { task: "t", total: 2 });
            let _ = log.observe(&Event::Progress {
                task: "t",
                done: 1,
                objective: f64::NAN,
                terms: &[("a", 1.5)],
            });
            let _ = log.observe(&Event::Step { task: "t", done: 3, total: 9 });
            let _ = log.observe(&Event::Validated { task: "t", done: 1, objective: 0.25, terms: &[] });
            let _ = log.observe(&Event::Finished { task: "t", stop: Stop::Interrupted });
            let _ = log.observe(&Event::Warning { task: "t", message: "a \"word\"" });
            log.finish()?;
        }
        let text = std::fs::read_to_string(&path)?;
        let lines: Vec<serde_json::Value> =
            text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
        assert_eq!(lines.len(), 10);
        assert_eq!((&lines[2]["event"], &lines[2]["objective"]), (&"validated".into(), &0.25.into()));
        assert!(lines[1]["objective"].is_null() && lines[1]["terms"]["a"] == 1.5);
        assert_eq!((&lines[8]["stop"], &lines[9]["message"]), (&"Interrupted".into(), &"a \"word\"".into()));
        assert!(matches!(JsonLines::append(folder.path()), Err(Error::Io { .. })));
        Ok(())
    }
}
