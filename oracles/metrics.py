"""scikit-learn's metrics on label pairs, scores, masks and bundled tables."""
import json
import pathlib

import numpy as np
import sklearn
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn import metrics
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(0)


def matched_accuracy(truth, found):
    labels = np.union1d(truth, found)
    counts = metrics.confusion_matrix(truth, found, labels=labels)
    return counts[linear_sum_assignment(counts, maximize=True)].sum() / len(truth)


def pair(name, a, b):
    a, b = np.asarray(a), np.asarray(b)
    return {
        "name": name, "a": a.tolist(), "b": b.tolist(),
        "adjusted_rand": metrics.adjusted_rand_score(a, b),
        "normalized_mutual_info": metrics.normalized_mutual_info_score(a, b),
        "adjusted_mutual_information": metrics.adjusted_mutual_info_score(a, b),
        "rand_index": metrics.rand_score(a, b),
        "fowlkes_mallows": metrics.fowlkes_mallows_score(a, b),
        "homogeneity": metrics.homogeneity_score(a, b),
        "completeness": metrics.completeness_score(a, b),
        "v_measure": metrics.v_measure_score(a, b),
        "accuracy": metrics.accuracy_score(a, b),
        "matched_accuracy": matched_accuracy(a, b),
    }


truth = rng.integers(0, 6, 300)
noisy = np.where(rng.random(300) < 0.3, rng.integers(0, 9, 300), (truth + 2) % 6)
pairs = [
    # test_adjusted_mutual_info_score of scikit-learn
    pair("17 points", [1] * 6 + [2] * 6 + [3] * 5, [1, 1, 1, 1, 2, 1, 2, 2, 2, 2, 3, 1, 3, 3, 3, 2, 2]),
    pair("noisy", truth, noisy),
    pair("unrelated", rng.integers(0, 4, 200), rng.integers(0, 30, 200)),
    pair("one cluster", np.zeros(20, int), rng.integers(0, 3, 20)),
    pair("all apart", np.arange(20), rng.integers(0, 3, 20)),
    # the pair counts of 120 000 rows exceed 32 bits, their products 64
    {**pair("large", np.arange(120_000) % 7, np.arange(120_000) ** 2 % 11), "a": None, "b": None},
]

silhouettes = []
tables = {"iris": load_iris(), "wine": load_wine(), "breast_cancer": load_breast_cancer(), "digits": load_digits()}
for name, table in tables.items():
    # distances from differences; scikit-learn's own lose digits to cancellation
    distances = cdist(table.data, table.data)
    samples = metrics.silhouette_samples(distances, table.target, metric="precomputed")
    groups = [table.data[table.target == c] for c in np.unique(table.target)]
    centres = np.stack([g.mean(0) for g in groups])
    spreads = np.array([np.linalg.norm(g - c, axis=1).mean() for g, c in zip(groups, centres)])
    apart = cdist(centres, centres) + np.diag(np.full(len(centres), np.inf))
    davies_bouldin = ((spreads[:, None] + spreads) / apart).max(1).mean()
    assert abs(davies_bouldin - metrics.davies_bouldin_score(table.data, table.target)) < 1e-9 * davies_bouldin
    silhouettes.append({
        "data": name, "mean": samples.mean(), "samples": samples[::50].tolist(),
        "calinski_harabasz": metrics.calinski_harabasz_score(table.data, table.target), "davies_bouldin": davies_bouldin,
    })

detections = []
for levels in [4, 50, 10_000]:
    positive = rng.random(400) < 0.2
    scores = np.round(levels * (rng.normal(size=400) + positive)) / levels
    detections.append({
        "scores": scores.tolist(), "positive": positive.tolist(), "auroc": metrics.roc_auc_score(positive, scores),
    })

masks = rng.random((2, 300)) < 0.4
overlap = {"a": masks[0].tolist(), "b": masks[1].tolist(), "dice": metrics.f1_score(masks[0], masks[1])}

json.dump(
    {
        "scikit-learn": sklearn.__version__, "numpy": np.__version__, "pairs": pairs,
        "silhouettes": silhouettes, "detections": detections, "dice": overlap,
    },
    open(HERE / "metrics.json", "w"),
)
