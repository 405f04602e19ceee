"""The probabilistic linear models: PCA as a density by its definition, and scikit-learn where it follows it.

scikit-learn's PCA divides its variances by n - 1 and, for wide data, its noise by min(n, d) - q: the densities here are those of maximum
likelihood, in all d directions.
"""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA

HERE = pathlib.Path(__file__).parent
iris, digits, wine = load_iris().data, load_digits().data, load_wine().data


def ppca(x, q):
    """Tipping & Bishop 1999, equations 7 and 8: the maximum-likelihood noise, and the log-density of every row, in all d directions."""
    n, d = x.shape
    centred = x - x.mean(0)
    _, s, vt = np.linalg.svd(centred, full_matrices=True)
    values = np.zeros(d)
    values[: len(s)] = s**2 / n
    noise = values[q:].mean()
    variances = np.where(np.arange(d) < q, values, noise)
    codes = centred @ vt.T
    log_density = -0.5 * (d * np.log(2 * np.pi) + np.log(variances).sum() + (codes**2 / variances).sum(1))
    return {"noise": noise, "log_density": log_density.tolist()}


wide = np.random.RandomState(0).randn(20, 50)
out = {
    "scikit-learn": sklearn.__version__, "numpy": np.__version__,
    "wide": wide.tolist(),
    "ppca": [
        {"data": name, "components": q, **ppca(x, q)}
        for name, x, qs in [("iris", iris, [1, 2, 3]), ("wine", wine, [1, 4, 12]), ("wide", wide, [3])]
        for q in qs
    ],
    "scikit_learn_wide_noise": float(PCA(3, svd_solver="full").fit(wide).noise_variance_),
    "mle": {name: int(PCA("mle").fit(x).n_components_) for name, x in [("iris", iris), ("digits", digits), ("wine", wine)]},
}
json.dump(out, open(HERE / "probabilistic.json", "w"))
