"""scikit-learn's dictionary learning, sparse PCA and sparse coding from given starts, exact codes by LARS."""
import json
import pathlib
import warnings

import numpy as np
import sklearn
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import DictionaryLearning, MiniBatchDictionaryLearning, SparsePCA, dict_learning, sparse_encode

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
digits = load_digits().data[:400] / 16.0
wine = load_wine().data
wine = (wine - wine.mean(0)) / wine.std(0)


def start(k, d):
    t, j = np.arange(k)[:, None], np.arange(d)[None, :]
    atoms = np.cos(1 + 3 * t + j * (t + 1) / k)
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


def objective(x, codes, atoms, alpha):
    return float(0.5 * ((x - codes @ atoms) ** 2).sum() + alpha * np.abs(codes).sum())


out = {"scikit-learn": sklearn.__version__}
atoms = start(12, 64)
lasso = sparse_encode(digits, atoms, algorithm="lasso_lars", alpha=0.3)
out["lasso"] = {"objective": objective(digits, lasso, atoms, 0.3), "first_rows": lasso[:5].tolist()}
out["pursuit"] = {"first_rows": sparse_encode(digits, atoms, algorithm="omp", n_nonzero_coefs=3)[:5].tolist()}

out["batch"] = []
# prices at which every atom is used from the first iteration on: unused ones are drawn anew, at random
for k, alpha, iterations in [(12, 0.3, 10), (8, 0.1, 20)]:
    atoms = start(k, 64)
    _, found, errors = dict_learning(digits, k, alpha=alpha, max_iter=iterations, tol=0, method="lars",
                                     dict_init=atoms.copy(), code_init=np.zeros((len(digits), k)))
    out["batch"].append({"components": k, "alpha": alpha, "iterations": iterations, "objective": [float(e) for e in errors],
                         "atoms": found.tolist()})
model = MiniBatchDictionaryLearning(12, alpha=0.3, batch_size=50, max_iter=3, tol=0, max_no_improvement=None, shuffle=False,
                                    fit_algorithm="lars", dict_init=start(12, 64), random_state=0).fit(digits)
out["online"] = {"components": 12, "alpha": 0.3, "batch": 50, "passes": 3, "atoms": model.components_.tolist()}

out["sparse_pca"] = []
for k, alpha in [(3, 2.0), (5, 0.5)]:
    scores = start(k, len(wine)).T
    model = SparsePCA(k, alpha=alpha, ridge_alpha=0.01, max_iter=5000, tol=1e-12, method="lars", U_init=scores.copy(),
                      V_init=np.zeros((k, 13))).fit(wine)
    out["sparse_pca"].append({"components": k, "alpha": alpha, "objective": float(model.error_[-1]),
                              "vectors": model.components_.tolist(), "scores": model.transform(wine)[:5].tolist()})

# MiniBatchSparsePCA takes no start, so its fit is written out: a dictionary of the transposed table, then the lasso of all columns.
# Loadings are dear enough for zeros and cheap enough for every component to be used in every batch
out["online_sparse_pca"] = []
for k, alpha, batch, passes in [(3, 0.5, 5, 4), (4, 1.0, 6, 4)]:
    model = MiniBatchDictionaryLearning(k, alpha=alpha, batch_size=batch, max_iter=passes, tol=0, max_no_improvement=None, shuffle=False,
                                        fit_algorithm="lars", transform_algorithm="lasso_lars", transform_alpha=alpha,
                                        dict_init=start(k, len(wine)), random_state=0).fit(wine.T)
    vectors = model.transform(wine.T).T
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    out["online_sparse_pca"].append({"components": k, "alpha": alpha, "batch": batch, "passes": passes, "vectors": vectors.tolist()})
json.dump(out, open(HERE / "dictionary.json", "w"))
