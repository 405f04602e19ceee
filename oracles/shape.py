"""scipy's Procrustes disparity and rotations of the bundled hands, and a generalized alignment written in numpy."""
import gzip
import json
import pathlib

import numpy as np
import scipy
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes

HERE = pathlib.Path(__file__).parent

lines = gzip.open(HERE.parent / "crates/core/data/hands_3d.csv.gz", "rt").read().splitlines()[1:]
hands = np.array([[float(v) for v in line.split(",")[:-1]] for line in lines]).reshape(-1, 22, 3)

pairs = []
for i, j in [(0, 1), (0, 30), (5, 52), (17, 40)]:
    a, b = hands[i], hands[j]
    centred = [x - x.mean(0) for x in (a, b)]
    rotation, agreement = orthogonal_procrustes(centred[1], centred[0])
    pairs.append({
        "a": i, "b": j, "disparity": procrustes(a, b)[2], "rotation": rotation.tolist(),
        "scale": agreement / (centred[1] ** 2).sum(),
    })
mirrored = hands[3] * [-1, 1, 1]
pairs_mirrored = procrustes(hands[3], mirrored)[2]


def turn(x, y):
    u, s, vt = np.linalg.svd(x.T @ y)
    d = np.ones(3)
    d[2] = np.sign(np.linalg.det(u @ vt))
    return u * d @ vt, (s * d).sum()


# full Procrustes mean: maximises the sum of squared agreements with shapes of size 1, hence the leading eigenvector of the
# matrix of aligned shapes; iterated to the last digit
units = [x - x.mean(0) for x in hands]
sizes = [np.linalg.norm(x) for x in units]
units = [x / s for x, s in zip(units, sizes)]
mean = units[0]
for _ in range(1000):
    aligned = []
    for x in units:
        rotation, agreement = turn(x, mean)
        aligned.append(agreement * x @ rotation)
    mean = np.mean(aligned, 0)
    mean /= np.linalg.norm(mean)
squares = sum(((x - mean) ** 2).sum() for x in aligned)
rows = np.array(aligned).reshape(len(hands), -1)
rows *= np.mean(sizes) / np.linalg.norm(rows.mean(0))
variances = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2 / (len(rows) - 1)
json.dump({
    "scipy": scipy.__version__, "numpy": np.__version__, "pairs": pairs, "mirrored": pairs_mirrored,
    "generalized": {"squares": squares, "variances": variances[:20].tolist()},
}, open(HERE / "shape.json", "w"))
