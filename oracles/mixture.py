"""scikit-learn's Gaussian mixtures from given parameters, and its variational mixtures from a given partition."""
import json
import pathlib
import warnings

import numpy as np
import scipy
import sklearn
from scipy.special import digamma, gammaln
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

HERE = pathlib.Path(__file__).parent
warnings.simplefilter("ignore", ConvergenceWarning)

rng = np.random.default_rng(0)
centres = rng.normal(scale=1.5, size=(4, 5))
spreads = rng.normal(scale=0.6, size=(4, 5, 5)) + np.eye(5)
group = rng.choice(4, size=400, p=[0.4, 0.3, 0.2, 0.1])
blobs = np.round(centres[group] + np.einsum("nij,nj->ni", spreads[group], rng.normal(size=(400, 5))), 3)
DATA = {"iris": (load_iris().data, [10, 60, 110]), "blobs": (blobs, [3, 77, 150, 222])}
FAMILIES = ["full", "tied", "diag", "spherical"]


def precisions(family, k, d):
    base = np.eye(d) * 2.0 + 0.1
    return {"full": np.stack([base * (1 + c) for c in range(k)]), "tied": base,
            "diag": np.outer(1.0 + np.arange(k), np.linspace(1, 2, d)), "spherical": 1.0 + np.arange(k)}[family]


class FromPartition(BayesianGaussianMixture):
    """Starts from each row with the nearest of `given` means."""

    def _initialize_parameters(self, x, *_, **__):
        nearest = ((x[:, None, :] - self.given[None]) ** 2).sum(2).argmin(1)
        self._initialize(x, np.eye(len(self.given))[nearest])


mixtures, variational = [], []
for name, (x, rows) in DATA.items():
    k, d = len(rows), x.shape[1]
    weights = np.arange(1, k + 1) / np.arange(1, k + 1).sum()
    for family in FAMILIES:
        start = {"weights_init": weights, "means_init": x[rows], "precisions_init": precisions(family, k, d)}
        for iterations in [1, 25]:
            model = GaussianMixture(k, covariance_type=family, tol=0, max_iter=iterations, **start).fit(x)
            mixtures.append({
                "data": name, "family": family, "iterations": iterations, "start_rows": rows,
                "precisions_init": np.ravel(start["precisions_init"]).tolist(),
                "weights": model.weights_.tolist(), "means": model.means_.ravel().tolist(),
                "covariances": model.covariances_.ravel().tolist(),
                "mean_log_likelihood": model.score(x), "lagging_bound": model.lower_bound_,
                "aic": model.aic(x), "bic": model.bic(x), "log_density": model.score_samples(x[:5]).tolist(),
            })
        for prior in ["dirichlet_process", "dirichlet_distribution"]:
            model = FromPartition(n_components=k, covariance_type=family, tol=0, max_iter=40, weight_concentration_prior_type=prior)
            model.given = x[rows]
            model.fit(x)
            variational.append({
                "data": name, "family": family, "prior": prior, "iterations": 40, "start_rows": rows,
                "weights": model.weights_.tolist(), "means": model.means_.ravel().tolist(),
                "covariances": model.covariances_.ravel().tolist(),
                "mean_precision": model.mean_precision_.tolist(),
                "degrees_of_freedom": np.broadcast_to(model.degrees_of_freedom_, k).tolist(),
                "responsibilities": model.predict_proba(x[:5]).ravel().tolist(),
            })

# moved by 10⁶, where three of the four families of scikit-learn lose digits
far = []
for family in FAMILIES:
    x, rows = DATA["iris"]
    weights = np.arange(1, 4) / 6
    start = {"weights_init": weights, "precisions_init": precisions(family, 3, 4)}
    fit = lambda by: GaussianMixture(3, covariance_type=family, tol=0, max_iter=25, means_init=x[rows] + by, **start).fit(x + by)
    near, moved = fit(0.0), fit(1e6)
    far.append({"family": family, "error": float(np.abs(near.covariances_ - moved.covariances_).max())})

arguments = [1e-3, 0.5, 7.3, 1e5]
json.dump(
    {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "scipy": scipy.__version__, "blobs": blobs.tolist(),
     "mixtures": mixtures, "variational": variational, "far": far,
     "gammas": [[a, float(gammaln(a)), float(digamma(a))] for a in arguments]},
    open(HERE / "mixture.json", "w"),
)
