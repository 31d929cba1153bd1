"""Trains small XGBoost models and writes them with rows, predictions and contributions to xgboost/.

    pip install numpy xgboost-cpu==3.2.0
    python make_xgboost_models.py                 # every model
    python make_xgboost_models.py early quantile  # with another XGBoost: those, under its version

`NAME.json.gz` is the model as XGBoost saves it. `NAME.rows.json.gz` holds records in single
precision (missing ones null), the predictions and what `pred_contribs` says of them, the expected
value last. For a model that was stopped early both are of the best iteration.
"""

import gzip
import json
import pathlib
import sys

import numpy as np
import xgboost

FOLDER = pathlib.Path(__file__).with_name("xgboost")
random = np.random.default_rng(5)
NAMES = ["return_1", "return_5", "vwap_z", "atr", "noise"]
x = random.normal(size=(600, 5)).astype(np.float32)
x[:, 3] = np.round(np.exp(x[:, 3]) * 4)
y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] * (x[:, 2] > 0) + 0.1 * x[:, 3] + 0.3 * random.normal(size=600)
holes = x.copy()
holes[random.random(x.shape) < 0.2] = np.nan
y += np.where(np.isnan(holes[:, 1]), 0.7, 0.0)

base = {"eta": 0.3, "max_depth": 4, "nthread": 1, "seed": 3}
CASES = {
    # name: records, target, names, rounds, parameters
    "plain": (x, y, None, 12, {}),
    "missing": (holes, y, NAMES, 12, {}),
    "leafwise": (holes, y, NAMES, 10, {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0}),
    "early": (holes, y, NAMES, 60, {"eta": 0.5, "max_depth": 3}),
    "absolute": (holes, 50 + y, NAMES, 10, {"objective": "reg:absoluteerror"}),
    "quantile": (x, y, NAMES, 10, {"objective": "reg:quantileerror", "quantile_alpha": 0.8}),
    "huber": (x, y, NAMES, 10, {"objective": "reg:pseudohubererror", "huber_slope": 0.7}),
    "forest": (holes, y, NAMES, 3, {"num_parallel_tree": 4, "subsample": 0.5, "max_depth": 3}),
    "pruned": (x, y, NAMES, 6, {"tree_method": "exact", "gamma": 4.0, "max_depth": 5}),
    "deep": (x[:, :2], y, None, 1, {"max_depth": 16, "min_child_weight": 0, "lambda": 0}),
    "stump_free": (x, y, NAMES, 2, {"gamma": 1e9}),
}


def write(name, text):
    with open(FOLDER / name, "wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as out:
            out.write(text.encode())


def plain(table):
    """Numbers that spell their single-precision value."""
    spell = lambda v: None if np.isnan(v) else float(str(np.float32(v)))
    return [[spell(v) for v in row] for row in np.atleast_2d(table)]


wanted = sys.argv[1:]
FOLDER.mkdir(exist_ok=True)
for name, (records, target, names, rounds, change) in CASES.items():
    if wanted and name not in wanted:
        continue
    train = xgboost.DMatrix(records[:400], target[:400], feature_names=names)
    late = xgboost.DMatrix(records[400:500], target[400:500], feature_names=names)
    rows = xgboost.DMatrix(records[540:], feature_names=names)
    stop = {"evals": [(late, "late")], "early_stopping_rounds": 3, "verbose_eval": False}
    stop = stop if name == "early" else {}
    model = xgboost.train({**base, **change}, train, rounds, **stop)
    kept = (0, model.best_iteration + 1) if stop else (0, 0)
    if stop:
        assert model.best_iteration + 1 < model.num_boosted_rounds()
    if wanted:
        name += "_" + "_".join(xgboost.__version__.split(".")[:2])
    predictions = model.predict(rows, iteration_range=kept)
    contributions = model.predict(rows, iteration_range=kept, pred_contribs=True)
    told = {
        "xgboost": xgboost.__version__,
        "records": plain(records[540:]),
        "predictions": plain(predictions)[0],
        "contributions": plain(contributions),
    }
    write(f"{name}.json.gz", model.save_raw("json").decode())
    write(f"{name}.rows.json.gz", json.dumps(told, separators=(",", ":")))
    print(name, len(model.get_dump()), "trees, kept", kept)
