"""Gaussian mixtures: 20 iterations of EM, and of variational inference, from given means."""
import warnings

import numpy as np

from common import Workload, saved, timed

N, D, K, ITERATIONS = 50_000, 16, 10, 20
# scikit-learn's name of each family
FAMILIES = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}
LIMIT = "FMA peak, in f64"
warnings.filterwarnings("ignore")


def needs(family):
    """The operations that the iterations cannot do without, in f32: of a row and a component its distance and its exponential
    (40 operations), of a row its products, once: most rows belong to one component. One in f64 takes the place of two."""
    triangle = D * (D + 1)
    distance = {"full": triangle + 2 * D, "tied": triangle / K + 4 * D}.get(family, 4 * D)
    products = (triangle if family in ["full", "tied"] else 4 * D) / K
    return 2 * ITERATIONS * N * K * (distance + 40 + products)


def load(folder):
    def blobs():
        rng = np.random.default_rng(0)
        centres = rng.normal(scale=3.0, size=(K, D))
        return centres[rng.integers(K, size=N)] + rng.normal(size=(N, D))

    x, path = saved(folder, f"doubles_{N}_{D}_{K}", blobs)
    start, start_path = saved(folder, f"start_doubles_{N}_{D}_{K}", lambda: x[np.random.default_rng(1).choice(N, K, False)])
    return x, start, path, start_path


def unit_precisions(family):
    return {"full": np.stack([np.eye(D)] * K), "tied": np.eye(D), "diag": np.ones((K, D)), "spherical": np.ones(K)}[family]


def em(family):
    def make(folder, data):
        from sklearn.mixture import GaussianMixture

        x, start, path, start_path = load(folder)
        name = FAMILIES[family]
        spec = GaussianMixture(K, covariance_type=name, tol=0, max_iter=ITERATIONS, weights_init=np.full(K, 1 / K),
                               means_init=start, precisions_init=unit_precisions(name))

        def peer():
            seconds, model = timed(lambda: spec.fit(x))
            return seconds, float(model.score(x))

        job = {"work": "mixture", "x": path, "start": start_path, "iterations": ITERATIONS, "covariance": family, "variational": False}
        return Workload(f"em_{family}", f"EM ×{ITERATIONS}, {family}, {N:,} × {D}, k = {K}, f64", job, {"scikit-learn": peer}, LIMIT,
                        less_is_better=False, tolerance=1e-6, operations=needs(family))

    make.title = f"EM ×{ITERATIONS}, {family}"
    return make


def variational(family):
    def make(folder, data):
        from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

        x, start, path, start_path = load(folder)
        name = FAMILIES[family]
        nearest = np.eye(K)[np.argmin((start**2).sum(1) - 2 * x @ start.T, axis=1)]

        class FromPartition(BayesianGaussianMixture):
            def _initialize_parameters(self, x, *_, **__):
                self._initialize(x, nearest)

        def peer():
            spec = FromPartition(n_components=K, covariance_type=name, tol=0, max_iter=ITERATIONS)
            seconds, model = timed(lambda: spec.fit(x))
            # the likelihood at the expected parameters, since scikit-learn's bound leaves constants out
            plug_in = GaussianMixture(K, covariance_type=name)
            for attribute in ["weights_", "means_", "covariances_", "precisions_cholesky_"]:
                setattr(plug_in, attribute, getattr(model, attribute))
            return seconds, float(plug_in.score(x))

        job = {"work": "mixture", "x": path, "start": start_path, "iterations": ITERATIONS, "covariance": family, "variational": True}
        return Workload(f"variational_{family}", f"variational ×{ITERATIONS}, {family}, {N:,} × {D}, k = {K}, f64", job,
                        {"scikit-learn": peer}, LIMIT, less_is_better=False, tolerance=1e-6, operations=needs(family))

    make.title = f"variational ×{ITERATIONS}, {family}"
    return make


WORKLOADS = [em(f) for f in FAMILIES] + [variational("full"), variational("diagonal")]
