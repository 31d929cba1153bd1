"""Trains forecastle-models-tree and XGBoost on the same file, taking turns, and prints the ratios.

    python3 -m venv venv && venv/bin/pip install numpy xgboost-cpu
    cargo build --release -p forecastle-models-tree --example boosting_file
    venv/bin/python crates/models-tree/benches/compare_xgboost.py target/release/examples/boosting_file

200 trees, depth 6, eta 0.05, 30 features, 255 bins. Our time has the binning in it; XGBoost's is
that of `train` alone, its DMatrix made before. On a machine with other work, waiting
OpenMP threads burn time: then compare CPU seconds with --threads 1.

The crate hessboost takes part with

    cargo build --release --manifest-path crates/models-tree/benches/hessboost/Cargo.toml
    ... compare_xgboost.py ... \\
        --hessboost crates/models-tree/benches/hessboost/target/release/forecastle-hessboost-bench
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
parser.add_argument("--hessboost")
parser.add_argument("--rows", default="2000,20000,200000")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=5)
arguments = parser.parse_args()

TEST, WIDTH = 100_000, 30
sizes = [int(n) for n in arguments.rows.split(",")]
random = np.random.default_rng(42)
n = max(sizes) + TEST
x = random.standard_normal((n, WIDTH)).astype(np.float32)
x[:, 10:15] = np.round(x[:, 10:15] * 3)
x[:, 15:20] = np.exp(x[:, 15:20])
# Every effect shows by itself: where a first split finds nothing (x0 * x1), greedy trees live on
# luck and two libraries' errors differ by it.
signal = (
    np.sin(1.5 * x[:, 0]) + 0.6 * x[:, 1] * (x[:, 2] > 0) + 0.5 * np.abs(x[:, 3])
    + 0.4 * np.tanh(x[:, 15]) + 0.1 * x[:, 10] + 0.3 * x[:, 4] * (x[:, 5] > -0.5)
)
y = (signal + 0.69 * random.standard_normal(n)).astype(np.float32)
test = slice(n - TEST, n)

params = {
    "eta": 0.05, "max_depth": 6, "max_bin": 255, "lambda": 1.0, "min_child_weight": 1.0,
    "tree_method": "hist", "nthread": arguments.threads,
}


def rmse(predicted):
    return float(np.sqrt(np.mean((predicted - y[test].astype(np.float64)) ** 2)))


with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "data.bin"
    with open(path, "wb") as out:
        np.array([n, TEST, WIDTH], dtype="<u4").tofile(out)
        x.tofile(out)
        y.tofile(out)
    print(f"XGBoost {xgboost.__version__}, {arguments.threads} threads, minima of {arguments.repeats}")
    for rows in sizes:
        ours, theirs, hessboost = [], [], []
        for _ in range(arguments.repeats):
            command = [arguments.binary, str(path), str(rows), str(arguments.threads)]
            ours.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            if arguments.hessboost:
                command[0] = arguments.hessboost
                hessboost.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            data = xgboost.DMatrix(x[:rows], y[:rows], nthread=arguments.threads)
            start, cpu = time.perf_counter(), time.process_time()
            model = xgboost.train(params, data, num_boost_round=200)
            taken, cpu = time.perf_counter() - start, time.process_time() - cpu
            start = time.perf_counter()
            predicted = model.inplace_predict(x[test])
            theirs.append({
                "train_s": taken, "train_cpu_s": cpu, "batch_s": time.perf_counter() - start, "rmse": rmse(predicted),
            })
        least = lambda runs, key: min(run[key] for run in runs)
        a, b = least(ours, "train_s"), least(theirs, "train_s")
        pairs = sorted(o["train_s"] / t["train_s"] for o, t in zip(ours, theirs))
        print(
            f"{rows:>9} rows  ours {a:.3f} s  XGBoost {b:.3f} s  ratio {a / b:.2f} "
            f"(pairs {pairs[0]:.2f} to {pairs[-1]:.2f})  "
            f"CPU {least(ours, 'train_cpu_s'):.2f} / {least(theirs, 'train_cpu_s'):.2f} s  "
            f"rmse {ours[0]['rmse']:.5f} / {theirs[0]['rmse']:.5f} "
            f"({ours[0]['rmse'] / theirs[0]['rmse'] - 1:+.3%})  "
            f"{TEST} rows predicted in {least(ours, 'batch_s'):.3f} / "
            f"{least(theirs, 'batch_s'):.3f} s  one row {least(ours, 'one_row_us'):.2f} us"
        )
        if hessboost:
            pairs = sorted(o["train_s"] / t["train_s"] for o, t in zip(ours, hessboost))
            print(
                f"{'':>9}       hessboost {least(hessboost, 'train_s'):.3f} s  "
                f"ratio {a / least(hessboost, 'train_s'):.2f} (pairs {pairs[0]:.2f} to {pairs[-1]:.2f})  "
                f"CPU {least(hessboost, 'train_cpu_s'):.2f} s  rmse {hessboost[0]['rmse']:.5f}  "
                f"{TEST} rows predicted in {least(hessboost, 'batch_s'):.3f} s"
            )
