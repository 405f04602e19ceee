//! scikit-learn 1.9.1's numbers (`oracles/metrics.py`), to 1e-12.

use ndarray::{Array1, array};
use serde::Deserialize;
use unsup_core::{data, metrics};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[derive(Deserialize)]
struct Oracle {
    pairs: Vec<Pair>,
    silhouettes: Vec<Silhouette>,
    detections: Vec<Detection>,
    dice: Overlap,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    a: Option<Vec<usize>>,
    b: Option<Vec<usize>>,
    adjusted_rand: f64,
    normalized_mutual_info: f64,
    adjusted_mutual_information: f64,
    rand_index: f64,
    fowlkes_mallows: f64,
    homogeneity: f64,
    completeness: f64,
    v_measure: f64,
    accuracy: f64,
    matched_accuracy: f64,
}

#[derive(Deserialize)]
struct Silhouette {
    data: String,
    mean: f64,
    samples: Vec<f64>,
    calinski_harabasz: f64,
    davies_bouldin: f64,
}

#[derive(Deserialize)]
struct Detection {
    scores: Vec<f64>,
    positive: Vec<bool>,
    auroc: f64,
}

#[derive(Deserialize)]
struct Overlap {
    a: Vec<bool>,
    b: Vec<bool>,
    dice: f64,
}

fn oracle() -> Result<Oracle, Box<dyn std::error::Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/metrics.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

#[track_caller]
fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-12, "{what}: {found}, scikit-learn has {expected}");
}

#[test]
fn agreement_equals_scikit_learn() -> Outcome {
    for pair in oracle()?.pairs {
        let a = pair.a.map_or_else(|| (0..120_000).map(|i| i % 7).collect(), Array1::from);
        let b = pair.b.map_or_else(|| (0..120_000).map(|i| i * i % 11).collect(), Array1::from);
        close(metrics::adjusted_rand(&a, &b)?, pair.adjusted_rand, &pair.name);
        close(metrics::normalized_mutual_info(&a, &b)?, pair.normalized_mutual_info, &pair.name);
        let adjusted = metrics::adjusted_mutual_information(&a, &b)?;
        close(adjusted, pair.adjusted_mutual_information, &pair.name);
        close(metrics::rand_index(&a, &b)?, pair.rand_index, &pair.name);
        close(metrics::fowlkes_mallows(&a, &b)?, pair.fowlkes_mallows, &pair.name);
        close(metrics::homogeneity(&a, &b)?, pair.homogeneity, &pair.name);
        close(metrics::completeness(&a, &b)?, pair.completeness, &pair.name);
        close(metrics::v_measure(&a, &b)?, pair.v_measure, &pair.name);
        close(metrics::accuracy(&a, &b)?, pair.accuracy, &pair.name);
        close(metrics::matched_accuracy(&a, &b)?, pair.matched_accuracy, &pair.name);
    }
    Ok(())
}

#[test]
fn the_published_17_point_pair_has_its_published_scores() -> Outcome {
    let a = array![1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3];
    let b = array![1, 1, 1, 1, 2, 1, 2, 2, 2, 2, 3, 1, 3, 3, 3, 2, 2];
    let published = [
        (metrics::adjusted_rand(&a, &b)?, 0.266_940),
        (metrics::rand_index(&a, &b)?, 0.691_176),
        (metrics::fowlkes_mallows(&a, &b)?, 0.487_950),
        (metrics::normalized_mutual_info(&a, &b)?, 0.378_350),
        (metrics::adjusted_mutual_information(&a, &b)?, 0.278_210),
        (metrics::homogeneity(&a, &b)?, 0.374_602),
        (metrics::completeness(&a, &b)?, 0.382_173),
        (metrics::v_measure(&a, &b)?, 0.378_350),
    ];
    for (found, expected) in published {
        assert!((found - expected).abs() < 1e-6, "{found}, published {expected}");
    }
    // 110 copies of the rows leave little to chance: test_adjusted_mutual_info_score has 0.38
    let copies = |l: &Array1<usize>| Array1::from_iter((0..110 * 17).map(|i| l[i % 17]));
    let adjusted = metrics::adjusted_mutual_information(&copies(&a), &copies(&b))?;
    assert!((0.375..0.378_350).contains(&adjusted), "{adjusted}");
    Ok(())
}

#[test]
fn clusterings_score_on_the_data_as_in_scikit_learn_on_exact_distances() -> Outcome {
    for case in oracle()?.silhouettes {
        let table = match case.data.as_str() {
            "iris" => data::iris(),
            "wine" => data::wine(),
            "breast_cancer" => data::breast_cancer(),
            _ => data::digits(),
        };
        close(metrics::silhouette(&table.x, &table.labels)?, case.mean, &case.data);
        let ratio = metrics::calinski_harabasz(&table.x, &table.labels)?;
        close(ratio / case.calinski_harabasz, 1.0, &case.data);
        close(metrics::davies_bouldin(&table.x, &table.labels)?, case.davies_bouldin, &case.data);
        let samples = metrics::silhouette_samples(&table.x, &table.labels)?;
        for (found, expected) in samples.iter().step_by(50).zip(&case.samples) {
            close(*found, *expected, &case.data);
        }
    }
    Ok(())
}

/// scikit-learn's Gram trick gives 0.534 here; the truth is 0.503.
#[test]
fn an_offset_of_1e8_moves_the_silhouette_only_by_the_rounding_of_the_data() -> Outcome {
    let iris = data::iris();
    let moved = metrics::silhouette(&(&iris.x + 1e8), &iris.labels)?;
    assert!((moved - 0.503_477).abs() < 1e-6, "{moved}");
    Ok(())
}

/// By distances from a Gram matrix it is 0.399 here; the truth is 0.751.
#[test]
fn an_offset_of_1e8_moves_davies_bouldin_only_by_the_rounding_of_the_data() -> Outcome {
    let iris = data::iris();
    let moved = metrics::davies_bouldin(&(&iris.x + 1e8), &iris.labels)?;
    assert!((moved - 0.751_371).abs() < 1e-6, "{moved}");
    Ok(())
}

#[test]
fn detection_and_overlap_equal_scikit_learn() -> Outcome {
    let oracle = oracle()?;
    for case in oracle.detections {
        let found = metrics::auroc(&Array1::from(case.scores), &Array1::from(case.positive))?;
        close(found, case.auroc, "AUROC");
    }
    let found = metrics::dice(&Array1::from(oracle.dice.a), &Array1::from(oracle.dice.b))?;
    close(found, oracle.dice.dice, "Dice");
    Ok(())
}
