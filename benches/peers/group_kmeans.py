"""k-means: 20 Lloyd iterations from given centroids, runs to convergence, and greedy k-means++ alone."""
import warnings

import numpy as np

from common import Workload, blobs, linfa, mnist, ours, saved, timed

SHAPES = [("mnist", None, 10), ("blobs_200k_32", (200_000, 32), 100), ("blobs_1m_16", (1_000_000, 16), 256),
          ("blobs_100k_128", (100_000, 128), 1000)]
warnings.filterwarnings("ignore")


def load(folder, data, name, shape, k):
    return mnist(folder, data) if shape is None else blobs(folder, *shape, k)


def sklearn_lloyd(x, start, algorithm):
    from sklearn.cluster import KMeans

    spec = KMeans(len(start), init=start, n_init=1, max_iter=20, tol=0, algorithm=algorithm)
    seconds, model = timed(lambda: spec.fit(x))
    return seconds, float(model.inertia_)


def faiss_lloyd(x, start):
    import faiss

    model = faiss.Kmeans(x.shape[1], len(start), niter=20, max_points_per_centroid=len(x), min_points_per_centroid=1)
    seconds, _ = timed(lambda: model.train(x, init_centroids=start))
    distances, _ = model.index.search(x, 1)
    return seconds, float(distances.astype(np.float64).sum())


def lloyd(name, shape, k):
    def make(folder, data):
        x, path = load(folder, data, name, shape, k)
        start, start_path = saved(folder, f"start_{name}", lambda: x[np.random.default_rng(1).choice(len(x), k, False)])
        peers = {"scikit-learn lloyd": lambda: sklearn_lloyd(x, start, "lloyd")}
        if k < 1000:
            peers["scikit-learn elkan"] = lambda: sklearn_lloyd(x, start, "elkan")
        peers["faiss"] = lambda: faiss_lloyd(x, start)
        job = {"work": "lloyd", "x": path, "start": start_path, "iterations": 20}
        if x.size * k < 1e9:  # linfa takes minutes on the others
            peers["linfa"] = linfa(job)
        limit = "memory bandwidth" if k < 32 else "FMA peak"
        # faiss splits a large cluster when one runs empty, scikit-learn and we take the farthest row:
        # near-equal local minima differ by a few per mille
        # twenty iterations and the last assignment of labels; the widest has converged in the seventh
        passes = 7 if k == 1000 else 21
        needs = {"bytes": passes * x.nbytes} if k < 32 else {"operations": passes * 2 * x.size * k}
        title = f"Lloyd ×20, {len(x):,} × {x.shape[1]}, k = {k}"
        return Workload(f"lloyd_{name}", title, job, peers, limit, tolerance=5e-3, **needs)

    make.title = f"Lloyd ×20, {name}, k = {k}"
    return make


def converged(name, shape, k, rival):
    """Ours with the automatic algorithm against our own Lloyd, or against scikit-learn's elkan, to convergence."""

    def make(folder, data):
        x, path = load(folder, data, name, shape, k)
        start, start_path = saved(folder, f"start_{name}", lambda: x[np.random.default_rng(1).choice(len(x), k, False)])
        job = {"work": "converged", "x": path, "start": start_path, "algorithm": "auto"}

        def elkan():
            from sklearn.cluster import KMeans

            spec = KMeans(len(start), init=start, n_init=1, max_iter=1000, tol=0, algorithm="elkan")
            seconds, model = timed(lambda: spec.fit(x))
            return seconds, float(model.inertia_)

        peers = {"ours, Lloyd": ours({**job, "algorithm": "lloyd"})} if rival == "lloyd" else {"scikit-learn elkan": elkan}
        return Workload(f"converged_{name}_{rival}", f"to convergence, automatic algorithm, {len(x):,} × {x.shape[1]}, k = {k}", job,
                        peers, "bounds, row by row; one full pass at the FMA peak", tolerance=5e-3, operations=2 * x.size * k)

    make.title = f"to convergence, {name}, k = {k}, against {rival}"
    return make


def seeding(name, shape, k):
    def make(folder, data):
        from sklearn.cluster import kmeans_plusplus

        x, path = load(folder, data, name, shape, k)

        def peer():
            seconds, (centres, _) = timed(lambda: kmeans_plusplus(x, k, random_state=0))
            inertia = 0.0
            for block in np.array_split(x, 50):
                squares = (block**2).sum(1)[:, None] - 2 * block @ centres.T + (centres**2).sum(1)
                inertia += float(squares.min(1).sum())
            return seconds, inertia

        job = {"work": "seeding", "x": path, "k": k, "seed": 0}
        # the share of the rows that our run reads in a step, counted: bounds rule out other long rows
        read = {10: 0.89, 100: 1, 256: 1, 1000: 0.48}[k]
        return Workload(f"seeding_{name}", f"greedy k-means++, {len(x):,} × {x.shape[1]}, k = {k}", job, {"scikit-learn": peer},
                        "memory bandwidth", tolerance=0.1, bytes=k * read * x.nbytes)

    make.title = f"greedy k-means++, {name}, k = {k}"
    return make


def silhouette(n, d, k):
    """The mean silhouette of the same 20 iterations of Lloyd."""

    def make(folder, data):
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score

        def doubles():
            rng = np.random.default_rng(0)
            return rng.normal(scale=3.0, size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))

        x, path = saved(folder, f"silhouette_{n}_{d}_{k}", doubles)
        start, start_path = saved(folder, f"silhouette_start_{n}_{d}_{k}", lambda: x[np.random.default_rng(1).choice(n, k, False)])
        labels = KMeans(k, init=start, n_init=1, max_iter=20).fit(x).labels_
        return Workload(f"silhouette_{n}_{d}", f"silhouette, {n:,} × {d}, k = {k}, f64", {"work": "silhouette", "x": path, "start": start_path},
                        {"scikit-learn": lambda: timed(lambda: float(silhouette_score(x, labels)))}, "FMA peak, in f64",
                        less_is_better=False, tolerance=1e-6, operations=2 * 2 * n * n * d / 2)

    make.title = f"silhouette, {n} × {d}"
    return make


BLOBS = [s for s in SHAPES if s[1] is not None]
WORKLOADS = (
    [lloyd(*s) for s in SHAPES]
    + [converged(*s, "lloyd") for s in BLOBS]
    + [converged(*s, "elkan") for s in BLOBS if s[2] < 256]  # elkan takes minutes on the others
    + [seeding(*s) for s in SHAPES]
    + [silhouette(10_000, 50, 10)]
)
