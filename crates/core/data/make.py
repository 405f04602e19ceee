"""Makes the files beside this script from the public data sets they are taken from.

    python make.py SOURCE

SOURCE holds tables/{digits.csv.gz,breast_cancer.csv,iris.csv,wine_data.csv} as shipped by
scikit-learn 1.9.1, thousand_genomes.npz, hands_3d/{hands,labels}.txt as shipped by geomstats 2.8.0
and mni152/*.nii.gz as shipped by nilearn 0.14.1. Needs numpy and nibabel. The output is the same
bytes on every run.
"""

import gzip
import sys
from pathlib import Path

import nibabel
import numpy as np

HERE = Path(__file__).parent
SOURCE = Path(sys.argv[1])

# Names that the tables do not carry themselves; spelled as scikit-learn spells them.
MEASURES = "radius texture perimeter area smoothness compactness concavity concave_points symmetry fractal_dimension"
FEATURES = {
    "iris": "sepal_length_cm sepal_width_cm petal_length_cm petal_width_cm".split(),
    "wine": "alcohol malic_acid ash alcalinity_of_ash magnesium total_phenols flavanoids nonflavanoid_phenols "
    "proanthocyanins color_intensity hue od280/od315_of_diluted_wines proline".split(),
    "breast_cancer": [f"{kind}_{m}" for kind in ("mean", "error", "worst") for m in MEASURES.split()],
}

# Millimetres above the anterior commissure: lateral ventricles, caudate, insula and cortex in one slice.
MNI_Z_MM = 18


def write(name, content):
    path = HERE / name
    path.write_bytes(gzip.compress(content, 9, mtime=0))
    print(f"{name}: {path.stat().st_size} bytes")


def table(name, source):
    """The class names stand in the source's first line; the class is the last column."""
    first, *rows = (SOURCE / "tables" / source).read_text().split()
    classes = first.split(",")[2:]
    lines = [",".join([*FEATURES[name], "class"])]
    for row in rows:
        *values, label = row.split(",")
        lines.append(",".join([*values, classes[int(label)]]))
    write(f"{name}.csv.gz", ("\n".join(lines) + "\n").encode())


def digits():
    text = gzip.decompress((SOURCE / "tables/digits.csv.gz").read_bytes()).decode()
    values = np.array([[int(float(v)) for v in row.split(",")] for row in text.split()], dtype=np.uint8)
    assert values.shape == (1797, 65)
    write("digits.u8.gz", values.tobytes())


def thousand_genomes():
    z = np.load(SOURCE / "thousand_genomes.npz")
    columns = [z["dosage_55"], z["dosage_127"], z["superpopulation"][:, None], z["population"][:, None]]
    values = np.hstack([c.astype(np.uint8) for c in columns])
    assert values.shape == (2504, 55 + 127 + 2)
    write("thousand_genomes.u8.gz", values.tobytes())


def mni_slice():
    planes = []
    for kind in ("t1", "gm", "wm"):
        image = nibabel.load(SOURCE / f"mni152/mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz")
        z = round(np.linalg.inv(image.affine)[2] @ [0, 0, MNI_Z_MM, 1])
        # voxels are [x to the right, y to the front, z up]: front on top, the subject's left on the left
        planes.append(np.asanyarray(image.dataobj)[:, ::-1, z].T)
    values = np.stack(planes)
    assert values.shape == (3, 233, 197) and values.dtype == np.uint8
    write("mni_slice.u8.gz", values.tobytes())


def hands():
    x = np.loadtxt(SOURCE / "hands_3d/hands.txt")
    labels = np.loadtxt(SOURCE / "hands_3d/labels.txt")
    assert x.shape[0] == labels.shape[0] and x.shape[1] == 66
    names = [f"{axis}{joint}" for joint in range(22) for axis in "xyz"]
    lines = [",".join([*names, "class"])]
    for row, label in zip(x, labels):
        lines.append(",".join([*map(repr, row.tolist()), ("grab", "expand")[int(label)]]))
    write("hands_3d.csv.gz", ("\n".join(lines) + "\n").encode())


table("iris", "iris.csv")
table("wine", "wine_data.csv")
table("breast_cancer", "breast_cancer.csv")
digits()
thousand_genomes()
mni_slice()
hands()
