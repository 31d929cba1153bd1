"""Makes friedman1.csv.gz and prints the figures that tests/golden.rs expects.

    pip install scikit-learn==1.9.1 xgboost-cpu==3.2.0
    python make_friedman1.py

The data is scikit-learn's friedman1(1200, random_state=0, noise=1.0): 10 features, then the target.
"""

import gzip
import pathlib

import numpy as np
import xgboost
from sklearn.datasets import make_friedman1
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mean_squared_error

x, y = make_friedman1(n_samples=1200, random_state=0, noise=1.0)
path = pathlib.Path(__file__).with_name("friedman1.csv.gz")
with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as out:
    for row in np.column_stack([x, y]):
        out.write((",".join(repr(float(v)) for v in row) + "\n").encode())

train, test = slice(0, 200), slice(200, 1200)
model = GradientBoostingRegressor(n_estimators=100, learning_rate=0.1, max_depth=1, random_state=0)
model.fit(x[train], y[train])
print("scikit-learn, depth 1, test MSE", mean_squared_error(y[test], model.predict(x[test])))



def quantile_stumps(alpha, n_rounds=100, rate=0.1):
    """Gradient boosting of stumps for the pinball loss, by every split of every feature.

    scikit-learn's own takes the lower of two middle values for a median; this takes their mean.
    """
    def best(values):
        return np.quantile(values, alpha, method="averaged_inverted_cdf")

    xt, yt = x[train], y[train]
    n = len(yt)
    fit, out = np.full(n, best(yt)), np.full(len(y), best(yt))
    for _ in range(n_rounds):
        g = np.where(yt > fit, alpha, alpha - 1.0)
        found = (-np.inf, 0, 0.0)
        for j in range(xt.shape[1]):
            order = np.argsort(xt[:, j])
            left, size, v = np.cumsum(g[order])[:-1], np.arange(1, n), xt[order, j]
            gain = left**2 / size + (g.sum() - left) ** 2 / (n - size)
            i = int(np.argmax(gain))
            if gain[i] > found[0] + 1e-9:
                found = (gain[i], j, (v[i] + v[i + 1]) / 2)
        _, j, limit = found
        residual = yt - fit
        for side, every in [(xt[:, j] <= limit, x[:, j] <= limit), (xt[:, j] > limit, x[:, j] > limit)]:
            step = rate * best(residual[side])
            fit[side] += step
            out[every] += step
    error = (y - out)[test]
    return np.mean(np.maximum(alpha * error, (alpha - 1) * error))


print("NumPy, median stumps, test MAE", 2 * quantile_stumps(0.5))
print("NumPy, 0.75 quantile stumps, test pinball loss", quantile_stumps(0.75))

missing = x.copy()
missing[np.add.outer(np.arange(1200) * 7, np.arange(10) * 3) % 11 == 0] = np.nan
weights = 0.25 + (np.arange(1200) % 4)
base = {"eta": 0.1, "max_depth": 4, "lambda": 1.0, "min_child_weight": 1.0, "tree_method": "exact"}
cases = {
    "plain": (x, None, {}),
    "l1": (x, None, {"alpha": 3.0, "lambda": 0.0}),
    "weights": (x, weights, {"min_child_weight": 5.0}),
    "missing": (missing, None, {}),
    "missing and weights": (missing, weights, {"max_depth": 3}),
    "leaf-wise": (
        x,
        None,
        {"tree_method": "hist", "grow_policy": "lossguide", "max_leaves": 7, "max_depth": 0},
    ),
    "depth-wise leaves": (x, None, {"tree_method": "hist", "max_leaves": 7}),
}
for name, (records, weight, change) in cases.items():
    w = None if weight is None else weight[train]
    # A fixed base score, so that the start does not differ.
    data = xgboost.DMatrix(records[train], y[train], weight=w)
    # Few rounds: XGBoost computes in f32, and in the long run takes another of two near-equal splits.
    model = xgboost.train({**base, "base_score": 14.0, **change}, data, num_boost_round=10)
    error = mean_squared_error(y[train], model.predict(data), sample_weight=w)
    print("XGBoost,", name, "train MSE", error)
