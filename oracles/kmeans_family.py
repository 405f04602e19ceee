"""scikit-learn's mini-batch k-means, batch after batch from given centroids, and bisecting k-means on iris; both also with weights."""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.cluster import BisectingKMeans, MiniBatchKMeans
from sklearn.datasets import load_digits, load_iris

HERE = pathlib.Path(__file__).parent

x = load_digits().data
start_rows = np.random.default_rng(3).choice(len(x), 10, replace=False)
row_weights = np.arange(len(x)) % 4 / 2


def stream(weights):
    model = MiniBatchKMeans(10, init=x[start_rows], n_init=1, reassignment_ratio=0.0)
    batches = []
    for first in range(0, 1600, 200):
        batch = slice(first, first + 200)
        model.partial_fit(x[batch], sample_weight=None if weights is None else weights[batch])
        batches.append({"centroids": model.cluster_centers_.tolist(), "counts": model._counts.tolist()})
    return batches


iris = load_iris().data
bisecting = []
for strategy, weighted in [("biggest_inertia", False), ("largest_cluster", False), ("biggest_inertia", True)]:
    for k in range(2, 7):
        # many starts a cut: each cut is the best there is
        model = BisectingKMeans(k, init="k-means++", n_init=50, tol=0.0, bisecting_strategy=strategy, random_state=0)
        model.fit(iris, sample_weight=1.0 + np.arange(150) % 3 if weighted else None)
        bisecting.append({"strategy": strategy, "weighted": weighted, "clusters": k, "inertia": model.inertia_,
                          "sizes": sorted(np.bincount(model.labels_).tolist())})

json.dump(
    {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "start_rows": start_rows.tolist(),
     "batches": stream(None), "weighted_batches": stream(row_weights), "bisecting": bisecting},
    open(HERE / "kmeans_family.json", "w"),
)
