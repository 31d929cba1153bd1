"""Writes guards.json: what river's drift detectors and scikit-learn's LedoitWolf say of small streams.

Streams come from SplitMix64, so that the tests make the same ones. Made with Python 3.11.7,
numpy 2.4.6, scikit-learn 1.9.1, river 0.26.1:

    python make_guards.py > guards.json
"""

import json
import sys

import numpy
from river import drift
from river.drift.adwin import AdaptiveWindowing
from sklearn.covariance import LedoitWolf

MASK = (1 << 64) - 1


def uniforms(seed):
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield ((z ^ (z >> 31)) >> 11) / (1 << 53)


def stream(seed, n):
    """Uniform numbers about a level that moves every 700."""
    levels = [0.0, 0.4, 0.4, -0.3, 0.1, 2.0, 2.05]
    draw = uniforms(seed)
    return [next(draw) + levels[t // 700 % len(levels)] for t in range(n)]


def page_hinkley():
    settings = [
        {"threshold": 10.0, "direction": "both"},
        {"threshold": 10.0, "direction": "up", "delta": 0.05, "alpha": 1.0},
        {"threshold": 25.0, "direction": "down", "min_instances": 100},
        {"threshold": 3.0, "direction": "both", "alpha": 0.99},
    ]
    cases = []
    for seed, params in enumerate(settings):
        river = dict(params)
        river["mode"] = river.pop("direction")
        test = drift.PageHinkley(**river)
        found = []
        for t, x in enumerate(stream(seed, 4900)):
            test.update(x)
            if test.drift_detected:
                found.append(t)
        cases.append({"seed": seed, "params": params, "detections": found})
    return cases


def adwin():
    settings = [
        {},
        {"delta": 0.05},
        {"delta": 0.2, "clock": 1},
        {"delta": 0.002, "clock": 8, "max_buckets": 3, "min_window": 10, "grace_period": 50},
    ]
    cases = []
    for seed, params in enumerate(settings):
        river = dict(params)
        if "min_window" in river:
            river["min_window_length"] = river.pop("min_window")
        defaults = dict(delta=0.002, clock=32, max_buckets=5, min_window_length=5, grace_period=10)
        window, restarted = AdaptiveWindowing(**{**defaults, **river}), drift.ADWIN(**river)
        found, found_restarted, states = [], [], []
        for t, x in enumerate(stream(seed, 4900)):
            if window.update(x):
                found.append(t)
            restarted.update(x)
            if restarted.drift_detected:
                found_restarted.append(t)
            if t % 350 == 349:
                states.append([window.get_width(), window.get_total(), window.get_variance()])
        case = {"seed": seed, "params": params, "detections": found}
        cases.append({**case, "restarted": found_restarted, "states": states})
    return cases


def ledoit_wolf():
    cases = []
    for seed, n, p in [(1, 40, 5), (2, 400, 8), (3, 6, 10)]:
        draw = uniforms(seed)
        records = numpy.array([[next(draw) for _ in range(p)] for _ in range(n)])
        # Columns of different spread that go together.
        records = records * numpy.arange(1, p + 1) + records[:, :1]
        fitted = LedoitWolf(store_precision=False).fit(records)
        cases.append(
            {
                "seed": seed,
                "n": n,
                "p": p,
                "shrinkage": fitted.shrinkage_,
                "covariance": fitted.covariance_.tolist(),
            }
        )
    return cases


json.dump(
    {"page_hinkley": page_hinkley(), "adwin": adwin(), "ledoit_wolf": ledoit_wolf()},
    sys.stdout,
)
print()
