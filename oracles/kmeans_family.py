"""scikit-learn's mini-batch k-means, batch after batch from given centroids, and bisecting k-means on iris."""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.cluster import BisectingKMeans, MiniBatchKMeans
from sklearn.datasets import load_digits, load_iris

HERE = pathlib.Path(__file__).parent

x = load_digits().data
start_rows = np.random.default_rng(3).choice(len(x), 10, replace=False)
stream = MiniBatchKMeans(10, init=x[start_rows], n_init=1, reassignment_ratio=0.0)
batches = []
for first in range(0, 1600, 200):
    stream.partial_fit(x[first : first + 200])
    batches.append({"centroids": stream.cluster_centers_.tolist(), "counts": stream._counts.tolist()})

iris = load_iris().data
bisecting = []
for strategy in ["biggest_inertia", "largest_cluster"]:
    for k in range(2, 7):
        # many starts a cut: each cut is the best there is
        model = BisectingKMeans(k, init="k-means++", n_init=50, tol=0.0, bisecting_strategy=strategy, random_state=0).fit(iris)
        bisecting.append({"strategy": strategy, "clusters": k, "inertia": model.inertia_,
                          "sizes": sorted(np.bincount(model.labels_).tolist())})

json.dump(
    {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "start_rows": start_rows.tolist(),
     "batches": batches, "bisecting": bisecting},
    open(HERE / "kmeans_family.json", "w"),
)
