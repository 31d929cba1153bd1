"""Explains the same rows with forecastle-models-tree and XGBoost, taking turns, and prints times.

    python3 -m venv venv && venv/bin/pip install numpy xgboost-cpu
    cargo build --release -p forecastle-models-tree --example shap_file
    venv/bin/python crates/models-tree/benches/compare_shap.py target/release/examples/shap_file

200 trees, 30 features, 2,000 rows, a model of XGBoost's for both.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import xgboost

parser = argparse.ArgumentParser()
parser.add_argument("binary")
parser.add_argument("--depths", default="3,6")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--repeats", type=int, default=3)
arguments = parser.parse_args()

random = np.random.default_rng(42)
x = random.standard_normal((20_000, 30)).astype(np.float32)
y = np.sin(1.5 * x[:, 0]) + 0.6 * x[:, 1] * (x[:, 2] > 0) + 0.4 * random.standard_normal(len(x))
rows = x[:2_000]

print(f"XGBoost {xgboost.__version__}, {arguments.threads} threads, minima of {arguments.repeats}")
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    rows.astype("<f4").tofile(folder / "rows")
    for depth in arguments.depths.split(","):
        params = {"eta": 0.05, "max_depth": int(depth), "nthread": arguments.threads}
        model = xgboost.train(params, xgboost.DMatrix(x, y), 200)
        model.save_model(folder / "model.json")
        ours, theirs = [], []
        for _ in range(arguments.repeats):
            paths = [str(folder / name) for name in ("model.json", "rows", "out")]
            command = [arguments.binary, *paths[:2], str(arguments.threads), "3", paths[2]]
            ours.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            data = xgboost.DMatrix(rows, nthread=arguments.threads)
            start = time.perf_counter()
            expected = model.predict(data, pred_contribs=True)
            theirs.append(1e6 * (time.perf_counter() - start) / len(rows))
        told = np.fromfile(folder / "out", dtype="<f8").reshape(expected.shape)
        row, one = (min(run[key] for run in ours) for key in ("row_us", "one_row_us"))
        print(
            f"depth {depth}: ours {row:.1f} us a row, XGBoost {min(theirs):.1f}, "
            f"ratio {row / min(theirs):.3f}; one row alone {one:.0f} us; "
            f"largest difference {np.abs(told - expected).max():.1e}"
        )
