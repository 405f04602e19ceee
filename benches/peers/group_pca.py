"""PCA to 50 components by each route, and the projection."""
from common import Workload, blobs, linfa, mnist, timed

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


WORKLOADS = [fit(name, *route) for name in ["mnist", "blobs"] for route in ROUTES] + [transform("mnist"), transform("blobs")]
