"""Where scikit-learn's and faiss's k-means are wrong: the numbers that they give, each beside what shows it."""
import json
import os
import pathlib
import warnings

# sums in single precision depend on how many threads share them
os.environ["OMP_NUM_THREADS"] = "1"

import faiss
import numpy as np
import scipy.sparse
import sklearn
from sklearn.cluster import BisectingKMeans, KMeans, MiniBatchKMeans
from sklearn.datasets import load_digits, load_iris

HERE = pathlib.Path(__file__).parent
warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)

iris, start_rows = load_iris().data, [0, 60, 120]
start = iris[start_rows]


def far():
    """`fit` moves the rows near the origin, `predict` and mini-batches do not."""
    x, offset = iris + 1e8, 1e8
    model = KMeans(3, init=start + offset, n_init=1).fit(x)
    batches = lambda by: MiniBatchKMeans(3, init=start + by, n_init=1, batch_size=50, random_state=0).fit(iris + by)
    return {"offset": offset, "start_rows": start_rows, "labels": model.labels_.tolist(), "predicted": model.predict(x).tolist(),
            "mini_batch_near": batches(0.0).inertia_, "mini_batch_far": batches(offset).inertia_}


def relocation():
    """Issue 34074: of a sparse table, labels and inertia are those before an empty cluster was given a row."""
    x = scipy.sparse.csr_array(np.array([[1.0], [2.0], [3.0]]))
    model = KMeans(3, init=np.array([[4.0], [0.0], [1.0]]), n_init=1).fit(x)
    return {"labels": model.labels_.tolist(), "predicted": model.predict(x).tolist(), "inertia": model.inertia_}


def single():
    """Sums in single precision over a million rows."""
    i, j = np.arange(1_000_000)[:, None], np.arange(2)[None]
    x = ((i * 7919 + j * 31) % 1000).astype(np.float32) / np.float32(1000) + (i % 2).astype(np.float32) * np.float32(50)
    ends = np.array([[0, 0], [50, 50]], dtype=np.float32)
    plain = KMeans(2, init=ends, n_init=1).fit(x)
    other = faiss.Kmeans(2, 2, niter=10, max_points_per_centroid=len(x))
    other.train(x, init_centroids=ends)
    return {"scikit-learn": {"inertia": float(plain.inertia_), "centroids": plain.cluster_centers_.tolist()},
            "faiss": {"inertia": float(other.obj[-1]), "centroids": other.centroids.tolist()}}


def weights():
    """faiss's objective leaves the weights out: it is the same for weights twice as large."""
    def objective(factor):
        model = faiss.Kmeans(4, 3, niter=25, max_points_per_centroid=len(iris))
        w = factor * (1.0 + np.arange(len(iris)) % 3)
        model.train(iris.astype(np.float32), weights=w.astype(np.float32), init_centroids=start.astype(np.float32))
        return float(model.obj[-1])
    return {"start_rows": start_rows, "once": objective(1.0), "twice": objective(2.0)}


def units():
    """The tolerance of a cut is compared with squared distances as they are."""
    x, clusters, scale = load_digits().data, 6, 2.0**-13
    inertia = lambda by: BisectingKMeans(clusters, init="k-means++", random_state=0).fit(x * by).inertia_ / by**2
    return {"clusters": clusters, "scale": scale, "inertia": inertia(1.0), "of_scaled": inertia(scale)}


json.dump(
    {"scikit-learn": sklearn.__version__, "faiss": faiss.__version__, "numpy": np.__version__,
     "far": far(), "relocation": relocation(), "single": single(), "weights": weights(), "units": units()},
    open(HERE / "kmeans_defects.json", "w"),
)
