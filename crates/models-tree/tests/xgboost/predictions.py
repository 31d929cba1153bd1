"""Trains XGBoost by its Python package on the data of tests/xgboost/sample.rs.

    python predictions.py > predictions-3.2.0.json      # with the xgboost of that version
    python predictions.py FOLDER

prints, as JSON, the package's version, where its library is, and for each case some predictions,
importances and the rounds kept. With FOLDER the predictions are those of all rows, the models are
saved there as CASE.json and CASE.ubj, and ours.json and ours.ubj from there are predicted with too;
some cases are trained on from a model of other rows.
"""

import json
import pathlib
import sys

import numpy as np
import xgboost
from xgboost.libpath import find_lib_path

N, LEARNT, WIDTH = 600, 450, 5


def uniform(seed):
    state, mask = seed, (1 << 64) - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield ((z ^ (z >> 31)) >> 11) / (1 << 53)


random = uniform(7)
x = np.array([[next(random) for _ in range(WIDTH)] for _ in range(N)])
noise = np.array([next(random) + next(random) + next(random) - 1.5 for _ in range(N)])
y = 10.0 * x[:, 0] * x[:, 1] + 5.0 * np.abs(x[:, 2] - 0.5) + noise
missing = x.copy()
missing[np.add.outer(np.arange(N) * 7, np.arange(WIDTH) * 3) % 11 == 0] = np.nan
weights = 0.25 + (np.arange(N) % 4)

base = {
    "nthread": 1, "tree_method": "hist", "eta": 0.1, "max_depth": 4, "lambda": 1.0,
    "min_child_weight": 1.0, "max_bin": 255, "seed": 0,
}
sampled = {
    "subsample": 0.6, "colsample_bytree": 0.8, "colsample_bylevel": 0.8, "colsample_bynode": 0.8,
    "seed": 11,
}
# Records, weights, parameters, rounds.
cases = {
    "plain": (x, None, {}, 50),
    "threads": (x, None, {"nthread": 3}, 50),
    "sampled": (x, None, sampled, 50),
    "regularised": (x, None, {"alpha": 0.5, "gamma": 0.1, "max_bin": 16, "lambda": 0.3}, 50),
    "leaf_wise": (x, None, {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0}, 50),
    "leaves": (x, None, {"max_leaves": 6, "base_score": 0.25}, 50),
    "absolute": (x, None, {"objective": "reg:absoluteerror"}, 50),
    "quantile": (x, None, {"objective": "reg:quantileerror", "quantile_alpha": 0.3}, 50),
    "weights": (x, weights, {"min_child_weight": 5.0}, 50),
    "missing": (missing, None, {}, 50),
    "missing_and_weights": (missing, weights, sampled, 50),
    "early": (x, None, {"eta": 0.3}, 500),
}


def train(name):
    records, weight, change, rounds = cases[name]

    def data(rows):
        w = None if weight is None else weight[rows]
        return xgboost.DMatrix(records[rows], y[rows], weight=w, feature_names=names)

    params = {**base, **change}
    if name != "early":
        return xgboost.train(params, data(slice(0, LEARNT)), rounds)
    # The last quarter is held back, and one row before it is purged.
    held = LEARNT - (LEARNT + 3) // 4
    model = xgboost.train(
        params, data(slice(0, held - 1)), rounds, evals=[(data(slice(held, LEARNT)), "held")],
        early_stopping_rounds=5, verbose_eval=False,
    )
    return model[: model.best_iteration + 1]


def continued(change):
    """20 rounds on the learnt rows and 15 more on others, by the seed plus 20."""
    def data(rows):
        return xgboost.DMatrix(missing[rows], y[rows], feature_names=names)

    first = {**base, **change}
    start = xgboost.train(first, data(slice(0, LEARNT)), 20)
    more = {**first, "seed": first["seed"] + 20}
    return xgboost.train(more, data(slice(100, 550)), 15, xgb_model=start)


names = [f"x{i}" for i in range(WIDTH)]
folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
step = 1 if folder else 25
told = {"version": xgboost.__version__, "library": find_lib_path()[0], "cases": {}}
for name in cases:
    model = train(name)
    rows = xgboost.DMatrix(cases[name][0][::step], feature_names=names)
    score = {kind: model.get_score(importance_type=kind) for kind in ("gain", "total_gain")}
    told["cases"][name] = {
        "rounds": model.num_boosted_rounds(),
        "predictions": [float(v) for v in model.predict(rows)],
        **{kind: [value.get(n, 0.0) for n in names] for kind, value in score.items()},
    }
    if folder:
        for form in ("json", "ubj"):
            model.save_model(folder / f"{name}.{form}")
if folder:
    for form in ("json", "ubj"):
        model = xgboost.Booster(model_file=folder / f"ours.{form}")
        rows = xgboost.DMatrix(missing, feature_names=names)
        told[f"ours_{form}"] = [float(v) for v in model.predict(rows)]
    for name, change in [("plain", {}), ("sampled", sampled)]:
        told[f"continued_{name}"] = [float(v) for v in continued(change).predict(rows)]
else:
    del told["library"]
json.dump(told, sys.stdout, indent=None if folder else 1)
