"""scikit-learn's TruncatedSVD (ARPACK: exact) of bundled tables, and its PCA of the same as sparse tables."""
import json
import pathlib

import sklearn
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, TruncatedSVD

HERE = pathlib.Path(__file__).parent
cases = []
for name, x, k in [("digits", load_digits().data, 10), ("wine", load_wine().data, 4), ("iris", load_iris().data, 2)]:
    svd = TruncatedSVD(k, algorithm="arpack", random_state=0).fit(csr_matrix(x))
    pca = PCA(k, svd_solver="arpack", random_state=0).fit(csr_matrix(x))
    cases.append({
        "data": name, "components": k, "singular_values": svd.singular_values_.tolist(), "vectors": svd.components_.tolist(),
        # divided by n in scikit-learn
        "explained_variance": (svd.explained_variance_ * len(x) / (len(x) - 1)).tolist(),
        "explained_variance_ratio": svd.explained_variance_ratio_.tolist(),
        "pca_variance": pca.explained_variance_.tolist(), "pca_ratio": pca.explained_variance_ratio_.tolist(),
        "pca_vectors": pca.components_.tolist(),
    })
json.dump({"scikit-learn": sklearn.__version__, "cases": cases}, open(HERE / "truncated_svd.json", "w"))
