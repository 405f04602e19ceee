"""scikit-learn's KernelPCA (dense eigen-solver) with every kernel, and its pre-images by kernel ridge regression."""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import KernelPCA

HERE = pathlib.Path(__file__).parent
wine = load_wine().data
DATA = {"iris": load_iris().data, "wine": (wine - wine.mean(0)) / wine.std(0)}
cases = []
for name, k, kernel, gamma, degree, offset in [
    ("iris", 3, "linear", None, 3, 1.0), ("iris", 3, "rbf", 0.25, 3, 1.0), ("iris", 3, "rbf", None, 3, 1.0),
    ("iris", 4, "poly", None, 3, 1.0), ("wine", 3, "poly", 0.1, 2, 0.5), ("wine", 3, "sigmoid", 0.01, 3, 0.2),
    ("wine", 5, "cosine", None, 3, 1.0), ("wine", 4, "rbf", 0.05, 3, 1.0),
]:
    x = DATA[name]
    inverse = kernel != "sigmoid"
    model = KernelPCA(k, kernel=kernel, gamma=gamma, degree=degree, coef0=offset, eigen_solver="dense",
                      fit_inverse_transform=inverse, alpha=0.5).fit(x[::2])
    codes = model.transform(x[1::2])
    if inverse:  # rows are regressed about their mean, so that a ridge shrinks to the mean and not to the origin
        model._fit_inverse_transform(model.transform(x[::2]), x[::2] - x[::2].mean(0))
    cases.append({"data": name, "components": k, "kernel": kernel, "gamma": gamma, "degree": degree, "offset": offset,
                  "eigenvalues": model.eigenvalues_.tolist(), "codes": codes[:10].tolist(),
                  "rebuilt": (model.inverse_transform(codes) + x[::2].mean(0))[:10].tolist() if inverse else None})
json.dump({"scikit-learn": sklearn.__version__, "numpy": np.__version__, "cases": cases}, open(HERE / "kernel_pca.json", "w"))
