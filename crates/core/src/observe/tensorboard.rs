//! Event files that a stock TensorBoard opens.
//!
//! An event file is a sequence of records (length, its checksum, bytes, their checksum), each a protocol buffer
//! `Event { wall_time, step, summary { value { tag, simple_value } } }`. Both formats are few enough
//! bytes to be written by hand: `tensorboard/compat/proto/{event,summary}.proto` and TensorFlow's `lib/io/record_writer.h`.

use super::{Event, Observer};
use crate::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes the objective and every term of every iteration as scalars, tagged `task/objective` and `task/term`; those of
/// validation rows as `task/validation/objective` and so on.
///
/// Each event is written at once, so TensorBoard shows a fit while it runs: `tensorboard --logdir folder`. An event that
/// cannot be written does not stop the fit; ask [`finish`](Self::finish) afterwards.
///
/// ```
/// use unsup_core::observe::{Event, Observer, TensorBoard};
/// let folder = tempfile::tempdir()?;
/// let mut board = TensorBoard::create(folder.path().join("runs/first"))?;
/// let _ = board.observe(&Event::Progress { task: "vae", done: 1, objective: 20.5, terms: &[("kl", 3.25)] });
/// board.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    file: File,
    path: PathBuf,
    failed: Option<std::io::Error>,
}

impl TensorBoard {
    /// A new event file in `folder`, which is made when there is none. Files of earlier runs stay, and TensorBoard
    /// draws a resumed fit as one curve.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder or the file cannot be made.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        // seconds tell runs apart; a number, runs within one second
        let (seconds, process) = (now() as u64, std::process::id());
        let mut attempt = 0;
        let (path, file) = loop {
            let path = folder.join(format!("events.out.tfevents.{seconds}.unsup.{process}.{attempt}"));
            match File::options().create_new(true).append(true).open(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => attempt += 1,
                opened => break (path.clone(), opened.map_err(|e| Error::io(&path, e))?),
            }
        };
        let mut board = TensorBoard { file, path, failed: None };
        board.write(&event(now(), 0, &field_bytes(3, b"brain.Event:2")));
        Ok(board)
    }

    /// Whether everything was written.
    ///
    /// # Errors
    /// [`Error::Io`] with the first failure.
    pub fn finish(self) -> Result<()> {
        self.failed.map_or(Ok(()), |e| Err(Error::io(&self.path, e)))
    }

    fn scalars(&mut self, tag: &str, done: usize, objective: f64, terms: &[(&str, f64)]) {
        let scalars = std::iter::once(("objective", objective)).chain(terms.iter().copied());
        let values: Vec<u8> = scalars.flat_map(|(name, v)| field_bytes(1, &scalar(tag, name, v))).collect();
        self.write(&event(now(), done as u64, &field_bytes(5, &values)));
    }

    fn write(&mut self, event: &[u8]) {
        if let Err(error) = self.file.write_all(&record(event)) {
            self.failed.get_or_insert(error);
        }
    }
}

impl Observer for TensorBoard {
    fn observe(&mut self, seen: &Event<'_>) -> ControlFlow<()> {
        match *seen {
            Event::Progress { task, done, objective, terms } => self.scalars(task, done, objective, terms),
            Event::Validated { task, done, objective, terms } => {
                self.scalars(&format!("{task}/validation"), done, objective, terms);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}

/// `Event`: wall_time = 1 (double), step = 2 (int64), then `what`.
fn event(wall_time: f64, step: u64, what: &[u8]) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend(wall_time.to_le_bytes());
    out.push(2 << 3);
    varint(step, &mut out);
    out.extend(what);
    out
}

/// `Summary.Value`: tag = 1 (string), simple_value = 2 (float).
fn scalar(task: &str, name: &str, value: f64) -> Vec<u8> {
    let mut out = field_bytes(1, format!("{task}/{name}").as_bytes());
    out.push(2 << 3 | 5);
    out.extend((value as f32).to_le_bytes());
    out
}

/// A field whose bytes follow their length.
fn field_bytes(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    varint(bytes.len() as u64, &mut out);
    out.extend(bytes);
    out
}

/// Seven bits a byte, the lowest first.
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(bytes);
    out.extend(masked_crc(bytes).to_le_bytes());
    out
}

/// CRC-32C (Castagnoli), bit by bit: records are some hundred bytes.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

/// The checksum as the format stores it, so that a checksum of checksums is not a fixed point.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, appendix B.4, and the check value of the algorithm
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_event_has_the_bytes_of_the_format() {
        let found = event(1.5, 300, &field_bytes(5, &field_bytes(1, &scalar("t", "kl", 0.5))));
        let mut expected = vec![0x09];
        expected.extend(1.5_f64.to_le_bytes());
        expected.extend([0x10, 0xac, 0x02]); // step 300
        expected.extend([0x2a, 13, 0x0a, 11]); // summary, value
        expected.extend([0x0a, 4]);
        expected.extend(b"t/kl");
        expected.push(0x15);
        expected.extend(0.5_f32.to_le_bytes());
        assert_eq!(found, expected);
    }

    /// TensorBoard's own writer, byte for byte (`oracles/event_file.py`, which reads them back as TensorBoard does).
    #[test]
    fn records_are_those_that_tensorboard_writes() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/event_file.json");
        let oracle: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let events = oracle["events"].as_array().ok_or("no events")?;
        assert_eq!(events.len(), 3);
        for told in events {
            let task = told["task"].as_str().ok_or("no task")?;
            let scalars = told["scalars"].as_array().ok_or("no scalars")?;
            let values: Vec<u8> = scalars
                .iter()
                .flat_map(|pair| {
                    let (name, value) =
                        (pair[0].as_str().unwrap_or(""), pair[1].as_f64().unwrap_or(f64::NAN));
                    field_bytes(1, &scalar(task, name, value))
                })
                .collect();
            let (time, step) =
                (told["wall_time"].as_f64().ok_or("no time")?, told["step"].as_u64().ok_or("no step")?);
            let hex: String = record(&event(time, step, &field_bytes(5, &values)))
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(Some(hex.as_str()), told["record"].as_str());
        }
        Ok(())
    }

    #[test]
    fn a_file_is_whole_records_with_their_checksums() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for _ in 0..2 {
            let mut board = TensorBoard::create(folder.path())?;
            for done in 1..=3 {
                let _ = board.observe(&Event::Progress {
                    task: "vae",
                    done,
                    objective: 2.0,
                    terms: &[("kl", 1.0)],
                });
            }
            let _ = board.observe(&Event::Step { task: "vae", done: 9, total: 9 });
            let _ = board.observe(&Event::Validated { task: "vae", done: 3, objective: 2.5, terms: &[] });
            board.finish()?;
        }
        let mut files = 0;
        for entry in std::fs::read_dir(folder.path())? {
            let bytes = std::fs::read(entry?.path())?;
            let (mut rest, mut records) = (&bytes[..], 0);
            while !rest.is_empty() {
                let length = u64::from_le_bytes(rest[..8].try_into()?) as usize;
                assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
                let body = &rest[12..12 + length];
                assert_eq!(rest[12 + length..16 + length], masked_crc(body).to_le_bytes());
                assert!(records > 0 || body.ends_with(b"brain.Event:2"));
                (rest, records) = (&rest[16 + length..], records + 1);
            }
            assert_eq!(records, 5);
            assert!(bytes.windows(24).any(|b| b == b"vae/validation/objective"));
            files += 1;
        }
        assert_eq!(files, 2);
        Ok(())
    }
}
