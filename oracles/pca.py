"""scikit-learn's PCA (full SVD, in f64) on bundled data, and the same moved away from the origin."""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA

HERE = pathlib.Path(__file__).parent
cases = []
data = {
    "digits": load_digits().data, "iris": load_iris().data, "wine": load_wine().data,
    "breast_cancer": load_breast_cancer().data, "digits_wide": load_digits().data[:40],
}
for name, x in data.items():
    components = {"digits": 20, "digits_wide": 10}.get(name, 4)
    for whiten in [False, True]:
        model = PCA(components, svd_solver="full", whiten=whiten).fit(x)
        codes = model.transform(x)
        cases.append({
            "data": name, "components": components, "whiten": whiten,
            "vectors": model.components_.tolist(),
            "explained_variance": model.explained_variance_.tolist(),
            "explained_variance_ratio": model.explained_variance_ratio_.tolist(),
            "singular_values": model.singular_values_.tolist(),
            "codes_first_rows": codes[:5].tolist(),
            "rebuilt_first_rows": model.inverse_transform(codes)[:5].tolist(),
        })
fractions = {
    name: {str(f): int(PCA(f, svd_solver="full").fit(x).n_components_) for f in [0.5, 0.8, 0.95, 0.999]}
    for name, x in data.items()
}
json.dump(
    {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "cases": cases, "fractions": fractions},
    open(HERE / "pca.json", "w"),
)
