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
from sklearn.metrics import mean_absolute_error, mean_squared_error

x, y = make_friedman1(n_samples=1200, random_state=0, noise=1.0)
path = pathlib.Path(__file__).with_name("friedman1.csv.gz")
with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as out:
    for row in np.column_stack([x, y]):
        out.write((",".join(repr(float(v)) for v in row) + "\n").encode())

train, test = slice(0, 200), slice(200, 1200)
model = GradientBoostingRegressor(n_estimators=100, learning_rate=0.1, max_depth=1, random_state=0)
model.fit(x[train], y[train])
print("scikit-learn, depth 1, test MSE", mean_squared_error(y[test], model.predict(x[test])))

for loss, alpha in [("absolute_error", 0.9), ("quantile", 0.8)]:
    model = GradientBoostingRegressor(
        loss=loss, alpha=alpha, n_estimators=100, max_depth=1, random_state=0
    ).fit(x[train], y[train])
    error = y[test] - model.predict(x[test])
    value = np.mean(np.maximum(alpha * error, (alpha - 1) * error))
    print("scikit-learn", loss, "test MAE", np.mean(np.abs(error)), "pinball", value)

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
    model = xgboost.train({**base, "base_score": 14.0, **change}, data, num_boost_round=50)
    predicted = model.predict(data)
    print("XGBoost", name, "train MSE", mean_squared_error(y[train], predicted, sample_weight=w),
          "first", predicted[0], "MAE", mean_absolute_error(y[train], predicted))
