"""scikit-learn's lasso paths by LARS: alphas are per value there (divided by the 64 pixels), here of the whole row."""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.linear_model import lars_path

HERE = pathlib.Path(__file__).parent
digits = load_digits().data / 16.0


def start(k, d):
    t, j = np.arange(k)[:, None], np.arange(d)[None, :]
    atoms = np.cos(1 + 3 * t + j * (t + 1) / k)
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


out = {"scikit-learn": sklearn.__version__, "paths": []}
for name, atoms in [("cosines", start(12, 64)), ("digits", digits[100:250])]:
    for row in [0, 7]:
        alphas, _, codes = lars_path(atoms.T, digits[row], method="lasso", alpha_min=0.05 / 64)
        knots = [*range(0, len(alphas), 10), len(alphas) - 1]
        out["paths"].append({"atoms": name, "row": row, "least": 0.05, "alphas": (alphas * 64).tolist(), "knots": knots,
                             "codes": codes.T[knots].tolist()})
json.dump(out, open(HERE / "lars.json", "w"))
