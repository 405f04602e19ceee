//! The model file: every mutation of a valid file is an error that names the file, or a record
//! no larger than the file.

use ndarray::{Array2, array};
use proptest::prelude::*;
use unsup_core::store::Record;
use unsup_core::{Error, Result};

fn example() -> Result<Record> {
    Record::new("Example")
        .array("means", &array![[1.0_f64, -2.5], [3.0, 1e300]])
        .array("codes", &array![7_u64, 8, 9])
        .slice("bytes", &[2, 2, 1], &[1_u8, 2, 3, 4])
        .value("history", &vec![3.0, 2.0, 1.0])
}

fn valid_bytes() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    example()?.save(&path)?;
    Ok(std::fs::read(path)?)
}

#[test]
fn a_record_comes_back_with_the_same_bits() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    example()?.save(&path)?;
    let record = Record::load(&path, "Example")?;
    assert_eq!(record.read_table::<f64>("means")?, array![[1.0, -2.5], [3.0, 1e300]]);
    assert_eq!(record.read_array::<u64>("codes")?, array![7, 8, 9].into_dyn());
    assert_eq!(record.read_array::<u8>("bytes")?.shape(), [2, 2, 1]);
    assert_eq!(record.read_value::<Vec<f64>>("history")?, [3.0, 2.0, 1.0]);
    let first = std::fs::read(&path)?;
    record.save(&path)?;
    assert_eq!(first, std::fs::read(&path)?, "saving is deterministic");
    Ok(())
}

#[test]
fn what_is_wrong_is_named() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    let message = |error: Option<Error>| error.map(|e| e.to_string()).unwrap_or_default();
    assert!(matches!(Record::load(&path, "Example"), Err(Error::Io { .. })), "a missing file");

    example()?.array("bad", &array![[1.0_f32, f32::NAN]]).save(&path)?;
    let other = message(Record::load(&path, "Other").err());
    assert!(other.contains("holds a Example, expected a Other") && other.contains("model"), "{other}");
    let record = Record::load(&path, "Example")?;
    for (error, expected) in [
        (record.read_table::<f64>("absent").err(), "no array `absent`"),
        (record.read_table::<f32>("means").err(), "array `means` is F64, expected F32"),
        (record.read_list::<f64>("means").err(), "array `means` is not a list"),
        (record.read_table::<f32>("bad").err(), "not finite"),
        (record.read_value::<String>("history").err(), "value `history`"),
        (record.require(false, "centroids and weights differ").err(), "centroids and weights differ"),
    ] {
        let text = message(error);
        assert!(text.contains(expected) && text.contains("model"), "`{text}` lacks `{expected}`");
    }
    Ok(())
}

#[test]
fn every_truncation_and_every_extension_is_rejected() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = valid_bytes()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model");
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length])?;
        assert!(matches!(Record::load(&path, "Example"), Err(Error::File { .. })), "{length} bytes");
    }
    std::fs::write(&path, [&bytes[..], &[0]].concat())?;
    assert!(matches!(Record::load(&path, "Example"), Err(Error::File { .. })));
    Ok(())
}

proptest! {
    #[test]
    fn a_mutated_file_never_panics_and_never_grows(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in prop::option::of(any::<u64>()),
    ) {
        let mut bytes = valid_bytes().map_err(|e| TestCaseError::fail(e.to_string()))?;
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(length) = length {
            bytes[..8].copy_from_slice(&length.to_le_bytes());
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("model");
        std::fs::write(&path, &bytes)?;
        match Record::load(&path, "Example") {
            Ok(record) => {
                let held: usize = record.array_names().map(|name| record.read_array::<f64>(name).map_or(0, |a| 8 * a.len())).sum();
                prop_assert!(held <= bytes.len());
                let _: Result<Array2<f64>> = record.read_table("means");
            }
            Err(Error::File { path: named, .. }) => prop_assert_eq!(named, path),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
