"""scikit-learn's FastICA from a given start, on mixed signals and on bundled data."""
import json
import pathlib
import warnings

import numpy as np
import sklearn
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import FastICA

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
t = (np.arange(2000) + 0.5) * 0.004
signals = np.c_[np.sin(2 * t), np.sign(np.sin(3 * t)), t * 1.7 % 1.0]
DATA = {
    "signals": signals @ np.array([[1, 1, 1], [0.5, 2, 1.0], [1.5, 1.0, 2.0]]).T + [3.0, -1.0, 100.0],
    # whose first columns are constant: scikit-learn takes the sign of a direction from the rounding of the first loading
    "digits": load_digits().data[:, 2:], "wine": load_wine().data,
}
cases = []
for name, k, algorithm, fun, alpha, iterations in [
    ("signals", 3, "parallel", "logcosh", 1.0, 200), ("signals", 3, "parallel", "exp", 1.0, 200),
    ("signals", 3, "parallel", "cube", 1.0, 200), ("signals", 3, "deflation", "logcosh", 1.5, 200),
    ("signals", 2, "deflation", "cube", 1.0, 200), ("signals", 3, "deflation", "exp", 1.0, 200),
    ("wine", 4, "parallel", "logcosh", 2.0, 500), ("digits", 8, "parallel", "logcosh", 1.0, 15),
]:
    x = DATA[name]
    i, j = np.arange(k)[:, None], np.arange(k)[None, :]
    start = np.cos(1 + 3 * i + i * j) + (i == j)
    model = FastICA(k, algorithm=algorithm, fun=fun, fun_args={"alpha": alpha}, w_init=start, max_iter=iterations,
                    tol=1e-8 if iterations > 15 else 0.0, whiten="unit-variance", whiten_solver="svd")
    sources = model.fit_transform(x)
    cases.append({"data": name, "components": k, "algorithm": algorithm, "contrast": fun, "alpha": alpha,
                  "iterations": iterations, "tolerance": model.tol, "unmixing": model.components_.tolist(),
                  "mixing": model.mixing_.tolist(), "sources": sources[:20].tolist()})
json.dump({"scikit-learn": sklearn.__version__, "cases": cases}, open(HERE / "fastica.json", "w"))
