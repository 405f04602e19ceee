"""The probabilistic linear models: PCA as a density by its definition, and scikit-learn where it follows it.

scikit-learn's PCA divides its variances by n - 1 and, for wide data, its noise by min(n, d) - q: the densities here are those of maximum
likelihood, in all d directions.
"""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.decomposition._factor_analysis import _ortho_rotation

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


def factor_analysis(x, q):
    """To the end, by LAPACK: scikit-learn's default tolerance stops far from it."""
    model = FactorAnalysis(q, svd_method="lapack", tol=1e-13, max_iter=50_000).fit(x)
    return {
        "log_density": model.score_samples(x).tolist(), "noise": model.noise_variance_.tolist(),
        "loadings": model.components_.T.tolist(), "codes": model.transform(x)[:5].tolist(), "iterations": model.n_iter_,
        **{method: np.array(_ortho_rotation(model.components_.T, method=method, tol=1e-14, max_iter=10_000)).T.tolist()
           for method in ["varimax", "quartimax"]},
    }


def standard(x):
    return (x - x.mean(0)) / x.std(0)


random = np.random.RandomState(0)
wide = random.randn(20, 50)
two_factors = random.randn(80, 2) @ random.randn(2, 9) + random.randn(80, 9) * np.linspace(0.3, 1.2, 9)
out = {
    "scikit-learn": sklearn.__version__, "numpy": np.__version__,
    "wide": wide.tolist(), "two factors": two_factors.tolist(),
    "ppca": [
        {"data": name, "components": q, **ppca(x, q)}
        for name, x, qs in [("iris", iris, [1, 2, 3]), ("wine", wine, [1, 4, 12]), ("wide", wide, [3])]
        for q in qs
    ],
    "factor_analysis": [
        {"data": name, "factors": q, **factor_analysis(x, q)}
        for name, x, q in [("standard wine", standard(wine), 2), ("standard wine", standard(wine), 3), ("two factors", two_factors, 2)]
    ],
    "scikit_learn_wide_noise": float(PCA(3, svd_solver="full").fit(wide).noise_variance_),
    "mle": {name: int(PCA("mle").fit(x).n_components_) for name, x in [("iris", iris), ("digits", digits), ("wine", wine)]},
}
json.dump(out, open(HERE / "probabilistic.json", "w"))
