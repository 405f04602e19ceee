"""The PCA family: PCA to 50 components by each route and the projection, incremental PCA, factor analysis, NMF, dictionaries, FastICA."""
import warnings

import numpy as np

from common import Workload, blobs, linfa, mnist, saved, timed

warnings.filterwarnings("ignore")

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
        n, d = x.shape
        # half of the products of the covariance; a QR factor in f64; the covariance and the codes
        needs = {"covariance": n * d * d, "svd": 2 * 2 * n * d * d, "randomized": n * d * d + 2 * n * d * 60}[route]
        return Workload(f"{route}_{name}", f"PCA {route}, 50 of {n:,} × {d}", job, peers,
                        "FMA peak", less_is_better=False, tolerance=1e-4, operations=needs)

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
                        "FMA peak", less_is_better=False, tolerance=1e-3, operations=2 * x.size * 50)

    make.title = f"PCA transform, {name}"
    return make


def incremental(folder, data):
    from sklearn.decomposition import IncrementalPCA

    x, path = mnist(folder, data)

    def peer():
        seconds, model = timed(lambda: IncrementalPCA(50, batch_size=1000).fit(x))
        return seconds, float(model.explained_variance_.sum())

    job = {"work": "incremental", "x": path, "components": 50, "batch": 1000}
    n, d = x.shape
    return Workload("incremental_mnist", f"incremental PCA, 50 of {n:,} × {d}, batches of 1,000", job, {"scikit-learn": peer}, "FMA peak",
                    less_is_better=False, tolerance=1e-4, operations=n * d * d)


def rows(folder, data, count, double=True):
    """The first rows of MNIST."""
    kind = np.float64 if double else np.float32
    return saved(folder, f"mnist_{count}_{kind.__name__}", lambda: mnist(folder, data)[0][:count].astype(kind))


def factor(folder, data):
    import sklearn
    from sklearn.decomposition import FactorAnalysis

    iterations = 100
    whole, _ = rows(folder, data, 10_000)
    # a column without variance has a density of whatever the floor of its noise is
    x, path = saved(folder, "mnist_10000_varying", lambda: whole[:, whole.var(0) > 0])
    # at 0 its randomized search ends the fit as soon as it misses enough for the likelihood to fall: iterations are what is compared
    spec = FactorAnalysis(20, tol=-np.inf, max_iter=iterations, random_state=0)

    def peer():
        with sklearn.config_context(skip_parameter_validation=True):
            seconds, model = timed(lambda: spec.fit(x))
        return seconds, float(model.score(x))

    n, d = x.shape
    job = {"work": "factor", "x": path, "factors": 20, "iterations": iterations}
    return Workload("factor_analysis", f"factor analysis, 20 factors of {n:,} × {d}, {iterations} iterations, f64", job, {"scikit-learn": peer},
                    "FMA peak, in f64", less_is_better=False, tolerance=1e-3, operations=2 * n * d * d)


def nmf(folder, data):
    from sklearn.decomposition import NMF

    x, path = rows(folder, data, 10_000, double=False)
    components, iterations = 20, 50

    def peer():
        spec = NMF(components, init="nndsvda", tol=0, max_iter=iterations, random_state=0)
        seconds, model = timed(lambda: spec.fit(x))
        return seconds, float(model.reconstruction_err_)

    job = {"work": "nmf", "x": path, "components": components, "iterations": iterations}
    # x·Hᵀ and Wᵀ·x
    return Workload("nmf", f"NMF, {components} of 10,000 × 784, {iterations} iterations", job, {"scikit-learn": peer}, "FMA peak",
                    tolerance=1e-3, operations=iterations * 2 * 2 * x.size * components)


def dictionary(folder, data):
    from sklearn.decomposition import DictionaryLearning

    x, path = rows(folder, data, 2_000)
    atoms, alpha, iterations = 32, 1.0, 10

    def first():
        chosen = x[np.random.default_rng(1).choice(len(x), atoms, False)]
        return chosen / np.linalg.norm(chosen, axis=1, keepdims=True)

    start, start_path = saved(folder, "start_dictionary", first)

    def peer(jobs):
        def run():
            spec = DictionaryLearning(atoms, alpha=alpha, max_iter=iterations, tol=0, fit_algorithm="cd", n_jobs=jobs,
                                      code_init=np.zeros((len(x), atoms)), dict_init=start)
            seconds, model = timed(lambda: spec.fit(x))
            return seconds, float(model.error_[-1])

        return run

    job = {"work": "dictionary", "x": path, "start": start_path, "alpha": alpha, "iterations": iterations}
    return Workload("dictionary", f"dictionary learning, {atoms} atoms of 2,000 × 784, {iterations} iterations, f64", job,
                    {"scikit-learn": peer(None), "scikit-learn, 2 jobs": peer(2)}, "coordinate descent, code by code", tolerance=1e-3)


def ica(folder, data):
    from sklearn.decomposition import FastICA

    n, d, iterations = 100_000, 20, 20

    def mixed():
        rng = np.random.default_rng(0)
        sources = np.where(np.arange(d) % 2, rng.laplace(size=(n, d)), rng.uniform(-2, 2, size=(n, d)))
        return sources @ rng.normal(size=(d, d))

    x, path = saved(folder, f"mixed_{n}_{d}", mixed)

    def peer():
        spec = FastICA(whiten="unit-variance", tol=0, max_iter=iterations, random_state=0)
        seconds, model = timed(lambda: spec.fit(x))
        return seconds, float(((np.log(np.cosh(model.transform(x))).mean(0) - 0.374567207491438) ** 2).sum())

    job = {"work": "ica", "x": path, "iterations": iterations}
    # two products in f64, and a tanh of some 60 operations
    return Workload("fastica", f"FastICA, {n:,} × {d}, {iterations} iterations, f64", job, {"scikit-learn": peer}, "FMA peak, in f64",
                    less_is_better=False, tolerance=1e-3, operations=2 * iterations * n * d * (4 * d + 60))


for make, title in [(incremental, "incremental PCA"), (factor, "factor analysis"), (nmf, "NMF"), (dictionary, "dictionary learning"), (ica, "FastICA")]:
    make.title = title
WORKLOADS = [fit(name, *route) for name in ["mnist", "blobs"] for route in ROUTES]
WORKLOADS += [transform("mnist"), transform("blobs"), incremental, factor, nmf, dictionary, ica]
