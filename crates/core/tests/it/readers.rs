//! The readers on good files (numpy's own among them) and on bad ones: a mutated file is an error that names
//! it, or a value no larger than the file warrants, and reading it never takes more memory than that.

use crate::memory::peak_of;
use flate2::{Compression, write::GzEncoder};
use ndarray::{Array2, ArrayD, array};
use proptest::prelude::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use unsup_core::data::csv::{Column, Csv};
use unsup_core::data::npy::{self, Npz};
use unsup_core::data::{idx, split};
use unsup_core::{Error, Seed};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn values() -> Array2<f64> {
    array![[0.0, 1.0, 2.0], [3.0, 100.0, 127.0]]
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// The problem that a `File` error about this very path states.
#[track_caller]
fn problem<T: std::fmt::Debug>(result: unsup_core::Result<T>, path: &Path) -> String {
    match result {
        Err(Error::File { path: named, problem }) if named == path => problem,
        other => panic!("expected a file error about {}, found {other:?}", path.display()),
    }
}

#[test]
#[allow(clippy::cast_lossless, reason = "lossless for some of the types of the macro only")]
fn every_element_type_is_read_and_written_as_numpy_does() -> Outcome {
    macro_rules! check {
        ($($name:literal: $type:ty),*) => {$(
            let path = fixture(concat!($name, ".npy"));
            let array = npy::read::<$type>(&path)?;
            assert_eq!(array.mapv(|v| f64::from(v as f32)), values().into_dyn(), $name);
            assert_eq!(npy::read_table::<f32>(&path)?, values().mapv(|v| v as f32), $name);
            let copy = tempfile::NamedTempFile::new()?;
            npy::write(copy.path(), &array)?;
            assert_eq!(std::fs::read(copy.path())?, std::fs::read(&path)?, $name);
        )*};
    }
    check!("i1": i8, "i2": i16, "i4": i32, "i8": i64, "u1": u8, "u2": u16, "u4": u32, "u8": u64, "f4": f32, "f8": f64);
    let flags = npy::read::<bool>(fixture("bool.npy"))?;
    assert_eq!(flags, values().mapv(|v| v != 0.0).into_dyn());
    let copy = tempfile::NamedTempFile::new()?;
    npy::write(copy.path(), &flags)?;
    assert_eq!(std::fs::read(copy.path())?, std::fs::read(fixture("bool.npy"))?);
    Ok(())
}

#[test]
fn orders_versions_and_ranks_are_those_of_numpy() -> Outcome {
    let eighths = (values() / 8.0).into_dyn();
    for name in ["fortran_f8.npy", "version_2.npy", "version_3.npy"] {
        assert_eq!(npy::read::<f64>(fixture(name))?, eighths, "{name}");
    }
    assert_eq!(npy::read::<f32>(fixture("big_endian_f4.npy"))?, eighths.mapv(|v| v as f32));
    assert_eq!(npy::read::<f64>(fixture("scalar_f8.npy"))?, ndarray::arr0(2.5).into_dyn());
    assert_eq!(npy::read::<f32>(fixture("empty_f4.npy"))?.shape(), [0, 3]);
    assert_eq!(npy::read::<i16>(fixture("cube_i2.npy"))?[[1, 2, 3]], 23);
    let fortran = npy::read::<f64>(fixture("fortran_f8.npy"))?;
    let copy = tempfile::NamedTempFile::new()?;
    npy::write(copy.path(), &fortran)?;
    assert_eq!(std::fs::read(copy.path())?, std::fs::read(fixture("fortran_f8.npy"))?);
    let strided = values();
    npy::write(copy.path(), &strided.slice(ndarray::s![..;-1, ..;2]))?;
    assert_eq!(npy::read_table::<f64>(copy.path())?, array![[3.0, 127.0], [0.0, 2.0]]);
    Ok(())
}

#[test]
fn archives_list_and_give_their_arrays() -> Outcome {
    for name in ["stored.npz", "deflated.npz"] {
        let path = fixture(name);
        let mut archive = Npz::open(&path)?;
        assert_eq!(archive.names(), ["x", "labels"]);
        assert_eq!(archive.read::<u8>("labels")?, array![1, 0].into_dyn());
        let x: ArrayD<f64> = archive.read("x")?;
        assert_eq!(x.slice(ndarray::s![..2, ..]), values() / 8.0);
        assert_eq!(archive.read_as::<f32>("x")?, x.mapv(|v| v as f32));
        assert!(problem(archive.read::<f32>("x"), &path).contains("it holds f64, asked for f32"));
        assert!(problem(archive.read::<u8>("y"), &path).contains("there are `x`, `labels`"));
    }
    Ok(())
}

#[test]
fn idx_files_are_read_plain_and_gzipped() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("idx");
    let cases: [(&[u8], &[usize], &[f64]); 4] = [
        (&[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 255], &[1, 2], &[7.0, 255.0]),
        (&[0, 0, 9, 1, 0, 0, 0, 1, 0xff], &[1], &[-1.0]),
        (&[0, 0, 0x0b, 1, 0, 0, 0, 1, 1, 2], &[1], &[258.0]),
        (&[0, 0, 0x0d, 0, 0x3f, 0xc0, 0, 0], &[], &[1.5]),
    ];
    for (bytes, shape, values) in cases {
        for content in [bytes.to_vec(), gzip(bytes)?] {
            std::fs::write(&path, content)?;
            let array = idx::read_as::<f64>(&path)?;
            assert_eq!((array.shape(), array.as_slice()), (shape, Some(values)));
        }
    }
    assert!(problem(idx::read::<u8>(&path), &path).contains("it holds f32, asked for u8"));
    std::fs::write(&path, gzip(&[0, 0, 8, 1, 0, 0, 0, 1, 7, 7])?)?;
    assert_eq!(problem(idx::read::<u8>(&path), &path), "more bytes follow than the header announces");
    Ok(())
}

#[test]
fn text_tables_are_read_with_or_without_header_and_labels() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("table.csv");
    std::fs::write(&path, gzip(b"\xef\xbb\xbfa, kind ,b\r\n1,10,-2e3\r\n\r\n3,9,\"4.5\"\r\n")?)?;
    let table = Csv::new().read_labelled::<f64>(&path, Column::Named("kind"))?;
    assert_eq!(
        (table.x, table.feature_names),
        (array![[1.0, -2e3], [3.0, 4.5]], vec!["a".into(), "b".into()])
    );
    assert_eq!((table.labels, table.label_names), (array![1, 0], vec!["9".into(), "10".into()]));
    std::fs::write(&path, "1\t\n2\tNA\n")?;
    let tabs = Csv::new().delimiter(b'\t').header(false);
    assert_eq!(problem(tabs.read::<f32>(&path), &path), "line 1, column 2: \"\" is not a finite number");
    let table = tabs.allow_missing(true).read::<f32>(&path)?;
    assert!(table.x[[0, 1]].is_nan() && table.x[[1, 1]].is_nan() && table.x[[1, 0]] == 2.0);
    assert_eq!(table.feature_names, ["column_0", "column_1"]);
    for (text, expected) in [
        ("a,b\n1,2\n3\n", "line 3 has 1 columns, expected 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 columns, expected 2"),
        ("a,b\n1,2\n3,inf\n", "line 3, column 2: \"inf\" is not a finite number"),
        ("a,b\n", "there are no rows of numbers"),
        ("", "there are no rows of numbers"),
    ] {
        std::fs::write(&path, text)?;
        assert_eq!(problem(Csv::new().read::<f64>(&path), &path), expected);
    }
    std::fs::write(&path, "a,b\n1,1e39\n")?;
    assert!(problem(Csv::new().read::<f32>(&path), &path).contains("line 2, column 2"));
    assert!(problem(Csv::new().read_labelled::<f64>(&path, Column::At(2)), &path).contains("At(2)"));
    Ok(())
}

#[test]
fn a_missing_file_and_a_folder_are_named() -> Outcome {
    let folder = tempfile::tempdir()?;
    let absent = folder.path().join("absent");
    assert!(matches!(npy::read::<f64>(&absent), Err(Error::Io { path, .. }) if path == absent));
    assert_eq!(problem(npy::read::<f64>(folder.path()), folder.path()), "not a regular file");
    Ok(())
}

/// One way to read, as a number of values or the error.
type Reader = fn(&Path) -> unsup_core::Result<usize>;

fn read_npz(path: &Path) -> unsup_core::Result<usize> {
    let mut archive = Npz::open(path)?;
    let (mut largest, names) = (0, archive.names().to_vec());
    for name in names {
        largest = largest.max(archive.read_as::<f64>(&name)?.len());
    }
    Ok(largest)
}

/// Every reader with a valid file of its format.
fn formats() -> Outcome<Vec<(&'static str, Reader, Vec<u8>)>> {
    let digits = unsup_core::data::digits();
    let rows = split::label_fraction(&digits.labels, 0.02, 1, Seed::new(1))?;
    let idx: Vec<u8> = [0, 0, 8, 2, 0, 0, 0, rows.len() as u8, 0, 0, 0, 64]
        .into_iter()
        .chain(rows.iter().flat_map(|&i| digits.x.row(i).mapv(|v| v as u8).to_vec()))
        .collect();
    let csv: String = std::iter::once("a,b,class\n".to_owned())
        .chain(
            rows.iter().map(|&i| format!("{},{},{}\n", digits.x[[i, 3]], digits.x[[i, 4]], digits.labels[i])),
        )
        .collect();
    let read_csv: Reader = |p| Csv::new().read_labelled::<f64>(p, Column::Last).map(|t| t.x.len());
    let read_idx: Reader = |p| idx::read_as::<f64>(p).map(|a| a.len());
    let read_npy: Reader = |p| npy::read_as::<f64>(p).map(|a| a.len());
    Ok(vec![
        ("idx", read_idx, idx.clone()),
        ("idx.gz", read_idx, gzip(&idx)?),
        ("csv", read_csv, csv.clone().into_bytes()),
        ("csv.gz", read_csv, gzip(csv.as_bytes())?),
        ("npy", read_npy, std::fs::read(fixture("cube_i2.npy"))?),
        ("npy v3", read_npy, std::fs::read(fixture("version_3.npy"))?),
        ("npz stored", read_npz, std::fs::read(fixture("stored.npz"))?),
        ("npz deflated", read_npz, std::fs::read(fixture("deflated.npz"))?),
    ])
}

#[derive(Debug, Clone)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
    Extend(Vec<u8>),
    /// A length field made large, in either byte order.
    Splice(prop::sample::Index, [u8; 8], usize),
    Remove(prop::sample::Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let lengths = prop_oneof![
        Just([0xff; 8]),
        Just([0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        Just([0, 0, 0, 0x10, 0, 0, 0, 0]),
        Just(*b"99999999"),
        any::<[u8; 8]>(),
    ];
    prop_oneof![
        (any::<prop::sample::Index>(), 1_u8..).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        any::<prop::sample::Index>().prop_map(Mutation::Truncate),
        proptest::collection::vec(any::<u8>(), 1..40).prop_map(Mutation::Extend),
        (any::<prop::sample::Index>(), lengths, 1_usize..=8)
            .prop_map(|(at, with, n)| Mutation::Splice(at, with, n)),
        (any::<prop::sample::Index>(), 1_usize..20).prop_map(|(at, n)| Mutation::Remove(at, n)),
    ]
}

fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        if bytes.is_empty() {
            return bytes;
        }
        match mutation {
            Mutation::Flip(at, bits) => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Mutation::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Mutation::Extend(more) => bytes.extend(more),
            Mutation::Splice(at, with, n) => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + n);
                bytes[at..end].copy_from_slice(&with[..end - at]);
            }
            Mutation::Remove(at, n) => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + n);
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

/// Buffers of fixed size: pieces, gzip and zip windows, messages.
const CONSTANT: usize = 512 * 1024;
/// A deflated byte is at most 1032 bytes, each of them an `f64`, in a vector that may double.
const PER_BYTE: usize = 1032 * 8 * 3;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn a_mutated_file_is_an_error_that_names_it_or_a_value_it_warrants(
        mutations in proptest::collection::vec(mutation(), 1..4),
    ) {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("mutated");
        for (name, read, valid) in formats().map_err(|e| TestCaseError::fail(e.to_string()))? {
            let bytes = mutate(valid, &mutations);
            std::fs::write(&path, &bytes)?;
            let (result, peak) = peak_of(|| read(&path));
            let compressed = name.contains("gz") || name.contains("npz");
            let per_byte = if compressed { PER_BYTE } else { 64 };
            prop_assert!(peak <= CONSTANT + per_byte * bytes.len(), "{name}: {peak} bytes held for {}", bytes.len());
            match result {
                Ok(count) => prop_assert!(count <= bytes.len() * if compressed { 1032 } else { 1 }, "{name}: {count} values"),
                Err(Error::File { path: named, problem }) => {
                    prop_assert!(named == path && !problem.is_empty(), "{name}: {problem}");
                }
                Err(other) => prop_assert!(false, "{name}: {other}"),
            }
        }
    }
}

#[test]
fn every_truncation_and_extension_of_an_array_file_is_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cut");
    for (name, read, valid) in formats()?.into_iter().filter(|f| !f.0.contains("csv")) {
        for length in 0..valid.len() {
            std::fs::write(&path, &valid[..length])?;
            assert_ne!(problem(read(&path), &path), "", "{name} cut to {length}");
        }
        std::fs::write(&path, [&valid[..], &[0]].concat())?;
        assert_ne!(problem(read(&path), &path), "", "{name} with a byte more");
        std::fs::write(&path, &valid)?;
        assert!(read(&path)? > 0);
    }
    Ok(())
}

/// A header may announce terabytes: the reader must answer without asking for them.
#[test]
fn a_lying_header_costs_no_memory() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("liar");
    let idx = [0, 0, 0x0e, 2, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff];
    let mut npy = std::fs::read(fixture("f8.npy"))?;
    let text = String::from_utf8_lossy(&npy[10..128]).replace("(2, 3), }", "(2147483648, 8)}");
    npy.splice(10..128, text.bytes().take(117).chain([b'\n']));
    let cases: [(Reader, Vec<u8>); 3] = [
        (|p| idx::read::<f64>(p).map(|a| a.len()), idx.to_vec()),
        (|p| idx::read::<f64>(p).map(|a| a.len()), gzip(&idx)?),
        (|p| npy::read::<f64>(p).map(|a| a.len()), npy),
    ];
    for (read, bytes) in cases {
        std::fs::write(&path, bytes)?;
        let (result, peak) = peak_of(|| read(&path));
        let problem = problem(result, &path);
        assert!(problem.contains("need ") || problem.contains("more than any file"), "{problem}");
        assert!(peak < CONSTANT, "{peak} bytes held");
    }
    Ok(())
}

/// A bomb of zeros behind a modest header: its tail is refused without being kept.
#[test]
fn a_compressed_bomb_is_not_unpacked() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bomb");
    let mut bomb = vec![0, 0, 8, 1, 0, 0, 0, 16];
    bomb.resize(64 << 20, 0);
    std::fs::write(&path, gzip(&bomb)?)?;
    let (result, peak) = peak_of(|| idx::read::<u8>(&path));
    assert_eq!(problem(result, &path), "more bytes follow than the header announces");
    assert!(peak < CONSTANT, "{peak} bytes held");
    Ok(())
}
