"""The gap statistic by its definition: exact k-means in one dimension, on data and references that are given."""
import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(0)


def inertias(x, most):
    """The least inertia of 1..most clusters of sorted numbers, by dynamic programming over all cuts."""
    x = np.sort(x)
    cost = lambda a, b: float(((x[a:b] - x[a:b].mean()) ** 2).sum())
    best = [cost(0, j) if j else 0.0 for j in range(len(x) + 1)]
    found = [best[-1]]
    for k in range(2, most + 1):
        best = [min((best[i] + cost(i, j) for i in range(k - 1, j)), default=np.inf) for j in range(len(x) + 1)]
        found.append(best[-1])
    return np.array(found)


MOST, REFERENCES = 6, 8
data = np.round(np.concatenate([rng.normal(c, 0.4, 12) for c in [0, 4, 9]]), 3)
references = np.round(rng.uniform(data.min(), data.max(), (REFERENCES, len(data))), 3)
log_w = np.log(inertias(data, MOST))
logs = np.log([inertias(r, MOST) for r in references])
gap = logs.mean(0) - log_w
error = logs.std(0) * np.sqrt(1 + 1 / REFERENCES)
chosen = next(k for k in range(1, MOST) if gap[k - 1] >= gap[k] - error[k])
json.dump(
    {"numpy": np.__version__, "data": data.tolist(), "references": references.tolist(), "inertias": np.exp(log_w).tolist(),
     "gap": gap.tolist(), "standard_error": error.tolist(), "chosen": chosen},
    open(HERE / "gap.json", "w"),
)
