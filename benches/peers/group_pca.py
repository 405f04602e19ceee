"""PCA to 50 components by each route, the projection, incremental PCA, and factor analysis."""
import numpy as np

from common import Workload, blobs, linfa, mnist, saved, timed

ROUTES = [("covariance", "covariance_eigh"), ("randomized", "randomized"), ("svd", "full")]


def load(folder, data, name):
    return mnist(folder, data) if name == "mnist" else blobs(folder, 100_000, 128, 1000)


def fit(name, route, solver):
    def make(folder, data):
        from sklearn.decomposition import PCA

        x, path = load(folder, data, name)

        def peer():
            seconds, model = timed(lambda: PCA(50, svd_solver=solver, random_state=0).fit(x))
            return seconds, float(model.explained_variance_.sum())

        job = {"work": "pca", "x": path, "components": 50, "route": route}
        peers = {"scikit-learn": peer}
        if route == "svd" and name != "mnist":  # linfa has one route, an iterative SVD in f64: minutes on MNIST
            peers["linfa"] = linfa(job)
        return Workload(f"{route}_{name}", f"PCA {route}, 50 of {len(x):,} × {x.shape[1]}", job, peers,
                        "FMA peak", less_is_better=False, tolerance=1e-4)

    make.title = f"PCA {route}, {name}"
    return make


def transform(name):
    def make(folder, data):
        from sklearn.decomposition import PCA

        x, path = load(folder, data, name)
        model = PCA(50, svd_solver="covariance_eigh").fit(x[:5000])

        def peer():
            seconds, codes = timed(lambda: model.transform(x))
            return seconds, float((codes.astype("f8") ** 2).sum())

        job = {"work": "project", "x": path, "components": 50}
        return Workload(f"transform_{name}", f"PCA transform, {len(x):,} × {x.shape[1]} to 50", job, {"scikit-learn": peer},
                        "memory bandwidth", less_is_better=False, tolerance=1e-3)

    make.title = f"PCA transform, {name}"
    return make


def incremental(folder, data):
    from sklearn.decomposition import IncrementalPCA

    x, path = mnist(folder, data)

    def peer():
        seconds, model = timed(lambda: IncrementalPCA(50, batch_size=1000).fit(x))
        return seconds, float(model.explained_variance_.sum())

    job = {"work": "incremental", "x": path, "components": 50, "batch": 1000}
    return Workload("incremental_mnist", f"incremental PCA, 50 of {len(x):,} × {x.shape[1]}, batches of 1000", job,
                    {"scikit-learn": peer}, "FMA peak", less_is_better=False, tolerance=1e-4)


incremental.title = "incremental PCA, mnist"
ITERATIONS = 20


def factors(folder, data):
    import sklearn
    from sklearn.decomposition import FactorAnalysis

    whole, _ = mnist(folder, data)
    rows = whole[:10_000].astype("f8")
    # a column without variance has a density of whatever the floor of its noise is
    x, path = saved(folder, "mnist_10000_varying", lambda: rows[:, rows.var(0) > 0])
    # at 0 its randomized search ends the fit as soon as it misses enough for the likelihood to fall: iterations are what is compared
    spec = FactorAnalysis(20, tol=-np.inf, max_iter=ITERATIONS)

    def peer():
        with sklearn.config_context(skip_parameter_validation=True):
            seconds, model = timed(lambda: spec.fit(x))
        return seconds, float(model.score(x))

    job = {"work": "factors", "x": path, "factors": 20, "iterations": ITERATIONS}
    return Workload("factors_mnist", f"factor analysis ×{ITERATIONS}, 20 factors, {len(x):,} × {x.shape[1]}, f64", job,
                    {"scikit-learn": peer}, "FMA peak", less_is_better=False, tolerance=1e-3)


factors.title = "factor analysis, mnist"
WORKLOADS = [fit(name, *route) for name in ["mnist", "blobs"] for route in ROUTES] + [transform("mnist"), transform("blobs"), incremental, factors]
