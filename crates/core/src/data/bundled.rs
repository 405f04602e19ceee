//! Real data sets small enough to travel inside the crate.
//!
//! Examples, tests and first steps need no download: each function decodes bytes compiled into
//! this crate and returns plain values. Origins, licences and notices stand in
//! `crates/core/data/README.md`, next to the script that packed the files.
//!
//! | function | rows x columns | classes |
//! | --- | --- | --- |
//! | [`iris`] | 150 x 4 | 3 species |
//! | [`wine`] | 178 x 13 | 3 cultivars |
//! | [`breast_cancer`] | 569 x 30 | malignant, benign |
//! | [`digits`] | 1797 x 64 | 10 digits |
//! | [`thousand_genomes`] | 2504 x 55 and 2504 x 127 | 5 super-populations, 26 populations |
//! | [`hands_3d`] | 53 x 22 x 3 | 2 gestures |
//! | [`mni_slice`] | 233 x 197 pixels | grey and white matter |
//!
//! All of it is small: for measurements at scale read your own files with the readers beside this
//! module.

use super::Labelled;
use flate2::read::GzDecoder;
use ndarray::{Array1, Array2, Array3, s};
use std::io::Read;

/// Handwritten digits of 8 x 8 pixels, values `0..=16` with 0 for paper: `[1797, 64]`, row-major
/// pixels, class `i` is the digit `i`.
///
/// ```
/// use unsup_core::data;
/// let digits = data::digits();
/// let first = digits.x.row(0);
/// assert_eq!(first.to_shape((8, 8))?[[0, 3]], 13.0); // the top of a zero
/// assert_eq!(digits.labels[0], 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn digits() -> Labelled {
    let table = bytes(include_bytes!("../../data/digits.u8.gz"), [1797, 65]);
    Labelled {
        x: table.slice(s![.., ..64]).mapv(f64::from),
        labels: table.column(64).mapv(usize::from),
        feature_names: (0..64).map(|i| format!("pixel_{}_{}", i / 8, i % 8)).collect(),
        label_names: (0..10).map(|digit| digit.to_string()).collect(),
    }
}

/// Fisher's iris flowers: sepal and petal length and width in cm, `[150, 4]`, three species.
///
/// ```
/// let iris = unsup_core::data::iris();
/// assert_eq!(iris.label_names, ["setosa", "versicolor", "virginica"]);
/// ```
pub fn iris() -> Labelled {
    csv(include_bytes!("../../data/iris.csv.gz"))
}

/// Chemical analyses of wines from three cultivars: `[178, 13]`, columns of very different scale.
pub fn wine() -> Labelled {
    csv(include_bytes!("../../data/wine.csv.gz"))
}

/// Cell nuclei of breast masses (WDBC): mean, standard error and worst value of ten measures,
/// `[569, 30]`; class 0 is malignant (212), class 1 benign (357).
pub fn breast_cancer() -> Labelled {
    csv(include_bytes!("../../data/breast_cancer.csv.gz"))
}

/// Genotypes of 2504 people of the 1000 Genomes Project at two panels of ancestry-informative
/// single-nucleotide polymorphisms, with where the people come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Genotypes {
    /// Copies of the alternative allele, 0, 1 or 2, at the 55 SNPs of the Kidd panel: `[2504, 55]`.
    pub dosage_55: Array2<f64>,
    /// The same at the 127 SNPs of the Seldin panel: `[2504, 127]`.
    pub dosage_127: Array2<f64>,
    /// The continent-sized group of each person, an index into `superpopulation_names`.
    pub superpopulation: Array1<usize>,
    /// African, admixed American, East Asian, European, South Asian.
    pub superpopulation_names: Vec<String>,
    /// The population of each person, an index into `population_names`.
    pub population: Array1<usize>,
    /// The project's 26 three-letter codes, in alphabetical order.
    pub population_names: Vec<String>,
}

const SUPERPOPULATIONS: &str = "AFR AMR EAS EUR SAS";
const POPULATIONS: &str = "ACB ASW BEB CDX CEU CHB CHS CLM ESN FIN GBR GIH GWD IBS ITU JPT KHV LWK MSL MXL \
                           PEL PJL PUR STU TSI YRI";

/// The 1000 Genomes dosages; see [`Genotypes`].
pub fn thousand_genomes() -> Genotypes {
    let table = bytes(include_bytes!("../../data/thousand_genomes.u8.gz"), [2504, 55 + 127 + 2]);
    Genotypes {
        dosage_55: table.slice(s![.., ..55]).mapv(f64::from),
        dosage_127: table.slice(s![.., 55..182]).mapv(f64::from),
        superpopulation: table.column(182).mapv(usize::from),
        superpopulation_names: SUPERPOPULATIONS.split_whitespace().map(str::to_owned).collect(),
        population: table.column(183).mapv(usize::from),
        population_names: POPULATIONS.split_whitespace().map(str::to_owned).collect(),
    }
}

/// Hands in space, in two gestures.
#[derive(Debug, Clone, PartialEq)]
pub struct Hands {
    /// Joint positions in the coordinates of the depth camera: `[53, 22, 3]`, hand x joint x coordinate.
    pub joints: Array3<f64>,
    /// The gesture of each hand, an index into `label_names`.
    pub labels: Array1<usize>,
    /// `["grab", "expand"]`.
    pub label_names: Vec<String>,
}

/// The 53 hands of geomstats, a part of SHREC 2017; see [`Hands`].
pub fn hands_3d() -> Hands {
    let table = csv(include_bytes!("../../data/hands_3d.csv.gz"));
    let joints =
        Array3::from_shape_fn((table.x.nrows(), 22, 3), |(i, joint, axis)| table.x[[i, 3 * joint + axis]]);
    Hands { joints, labels: table.labels, label_names: table.label_names }
}

/// One axial slice through the average of 152 brains, 1 mm a pixel, drawn upright: row 0 is the
/// front of the head, column 0 the subject's left.
#[derive(Debug, Clone, PartialEq)]
pub struct MrSlice {
    /// T1-weighted intensity, `0..=255`, 0 outside the brain: `[233, 197]`.
    pub t1: Array2<f64>,
    /// Probability of grey matter, `0..=1`: `[233, 197]`.
    pub grey: Array2<f64>,
    /// Probability of white matter, `0..=1`: `[233, 197]`.
    pub white: Array2<f64>,
}

/// The slice z = +18 mm of the ICBM 152 template, through the lateral ventricles: an image to
/// segment whose answer is known. See [`MrSlice`].
pub fn mni_slice() -> MrSlice {
    let planes = bytes(include_bytes!("../../data/mni_slice.u8.gz"), [3 * 233, 197]);
    let plane =
        |i: usize, unit: f64| planes.slice(s![233 * i..233 * (i + 1), ..]).mapv(|v| f64::from(v) / unit);
    MrSlice { t1: plane(0, 1.0), grey: plane(1, 255.0), white: plane(2, 255.0) }
}

const OURS: &str = "the bundled bytes are fixed when this crate is built, and a test decodes each file";

fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut content).expect(OURS);
    content
}

fn bytes(packed: &[u8], shape: [usize; 2]) -> Array2<u8> {
    Array2::from_shape_vec(shape, gunzip(packed)).expect(OURS)
}

/// A header line, then rows of numbers that end with the name of a class. Classes are numbered in
/// order of appearance, which is the order of the originals.
fn csv(packed: &[u8]) -> Labelled {
    let text = String::from_utf8(gunzip(packed)).expect(OURS);
    let mut lines = text.lines();
    let mut feature_names: Vec<String> = lines.next().expect(OURS).split(',').map(str::to_owned).collect();
    feature_names.pop();
    let (mut values, mut labels, mut label_names) = (Vec::new(), Vec::new(), Vec::<String>::new());
    for line in lines {
        let (numbers, class) = line.rsplit_once(',').expect(OURS);
        values.extend(numbers.split(',').map(|v| v.parse::<f64>().expect(OURS)));
        let label = label_names.iter().position(|name| name == class).unwrap_or(label_names.len());
        if label == label_names.len() {
            label_names.push(class.to_owned());
        }
        labels.push(label);
    }
    let x = Array2::from_shape_vec((labels.len(), feature_names.len()), values).expect(OURS);
    Labelled { x, labels: Array1::from(labels), feature_names, label_names }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Dimension;

    fn mean<D: Dimension>(x: &ndarray::Array<f64, D>) -> f64 {
        x.iter().sum::<f64>() / x.len() as f64
    }

    fn counts(labels: &Array1<usize>) -> Vec<usize> {
        let mut counts = vec![0; labels.iter().max().map_or(0, |m| m + 1)];
        labels.iter().for_each(|&label| counts[label] += 1);
        counts
    }

    /// Means and class counts by numpy from the original tables of scikit-learn 1.9.1.
    #[test]
    fn tables_decode_to_the_originals() {
        for (table, shape, expected_mean, expected_counts) in [
            (iris(), (150, 4), 3.464_499_999_999_999_7, vec![50, 50, 50]),
            (wine(), (178, 13), 69.133_662_920_916_17, vec![59, 71, 48]),
            (breast_cancer(), (569, 30), 61.890_712_339_519_624, vec![212, 357]),
            (
                digits(),
                (1797, 64),
                4.884_164_579_855_314,
                vec![178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
            ),
        ] {
            assert_eq!(table.x.dim(), shape);
            assert_eq!(counts(&table.labels), expected_counts);
            assert_eq!(table.label_names.len(), expected_counts.len());
            assert_eq!(table.feature_names.len(), shape.1);
            assert!((mean(&table.x) / expected_mean - 1.0).abs() < 1e-13, "{}", mean(&table.x));
        }
        assert_eq!(breast_cancer().label_names, ["malignant", "benign"]);
        assert_eq!(breast_cancer().feature_names[20], "worst_radius");
    }

    #[test]
    fn genotypes_decode_to_the_original() {
        let people = thousand_genomes();
        assert_eq!((people.dosage_55.dim(), people.dosage_127.dim()), ((2504, 55), (2504, 127)));
        assert!((mean(&people.dosage_55) - 0.525_769_677_606_738_3).abs() < 1e-13);
        assert!((mean(&people.dosage_127) - 0.631_458_957_007_371).abs() < 1e-13);
        assert_eq!(counts(&people.superpopulation), [661, 347, 504, 503, 489]);
        assert_eq!(people.population_names[people.population[0]], "GBR");
        assert_eq!(people.superpopulation_names[people.superpopulation[0]], "EUR");
        let populations = counts(&people.population);
        assert_eq!((populations.len(), populations[5], populations[25]), (26, 103, 108));
    }

    #[test]
    fn hands_decode_to_the_original() {
        let hands = hands_3d();
        assert_eq!(hands.joints.dim(), (53, 22, 3));
        assert!((mean(&hands.joints) - 0.220_885_855_061_463_7).abs() < 1e-13);
        assert_eq!(counts(&hands.labels), [26, 27]);
        assert_eq!(hands.label_names, ["grab", "expand"]);
    }

    #[test]
    fn the_brain_slice_is_upright_and_its_tissues_are_where_they_belong() {
        let slice = mni_slice();
        assert_eq!(slice.t1.dim(), (233, 197));
        assert!((mean(&slice.t1) - 78.485_392_475_109_48).abs() < 1e-9);
        assert!((mean(&slice.grey) - 0.186_348_539_546_534_7).abs() < 1e-12);
        assert!((mean(&slice.white) - 0.195_914_224_603_590_6).abs() < 1e-12);
        assert!(slice.grey.iter().chain(&slice.white).all(|p| (0.0..=1.0).contains(p)));
        // a bright voxel is white matter, an intermediate one is grey
        let weighted = |p: &Array2<f64>| (&slice.t1 * p).sum() / p.sum();
        assert!(weighted(&slice.white) > weighted(&slice.grey));
    }
}
