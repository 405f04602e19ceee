"""scikit-learn's k-means from given centroids, and its behaviour in small cases worked out by hand."""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(0)
centres = rng.normal(scale=3.0, size=(7, 5))
blobs = np.round(centres[rng.integers(7, size=400)] + rng.normal(size=(400, 5)), 3)

cases = []
for name, x, k in [("digits", load_digits().data, 10), ("iris", load_iris().data, 3), ("blobs", blobs, 7)]:
    for tolerance in [1e-4, 0.0]:
        for weighted in [False, True]:
            rows = np.random.default_rng(k).choice(len(x), k, replace=False)
            weights = 1.0 + np.arange(len(x)) % 3 if weighted else None
            model = KMeans(k, init=x[rows], n_init=1, tol=tolerance, algorithm="lloyd").fit(x, sample_weight=weights)
            cases.append({
                "data": name, "tolerance": tolerance, "weighted": weighted, "start_rows": rows.tolist(),
                "labels": model.labels_.tolist(), "inertia": model.inertia_, "iterations": model.n_iter_,
                "centroids": model.cluster_centers_.tolist(),
            })

json.dump(
    {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "blobs": blobs.tolist(), "cases": cases},
    open(HERE / "kmeans.json", "w"),
)
