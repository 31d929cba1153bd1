"""Reference numbers for intervals and calibrated probabilities.

Run from crates/ensemble: python tests/reference/make_intervals.py [confopt's adaptation.py]
Packages: MAPIE 1.6.0, scikit-learn 1.9.1, venn-abers 1.5.4, confopt 2.0.1, numpy 2.4.6.
Writes tests/data/intervals.json and prints the levels in src/adaptive_level.rs.
"""

import importlib.util
import json
import sys
from unittest import mock

import numpy as np
from mapie.conformity_scores import AbsoluteConformityScore
from mapie.regression import ConformalizedQuantileRegressor, TimeSeriesRegressor
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from venn_abers import VennAbers

rng = np.random.default_rng(7)


class Column(RegressorMixin, BaseEstimator):
    """Forecasts one of its input columns."""

    def __init__(self, column=0):
        self.column = column

    def fit(self, X, y):
        self.fitted_ = True
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return np.asarray(X)[:, self.column]


def short(values, digits=4):
    return [round(float(v), digits) for v in np.ravel(values)]


def aci():
    """MAPIE's ACI, 1 % steps, absolute residuals of the forecast 0, the newest 120 kept."""
    n_cal, n = 120, 260
    sizes = np.where(np.arange(n_cal + n) < n_cal + 80, 1.0, 1.8)
    y = np.array(short(rng.standard_t(5, n_cal + n) * sizes))
    X = np.zeros((n_cal + n, 1))
    model = TimeSeriesRegressor(
        Column().fit(X, y), method="aci", cv="prefit", conformity_score=AbsoluteConformityScore()
    )
    model.fit(X[:n_cal], y[:n_cal])
    uppers, levels = [], []
    for t in range(n_cal, n_cal + n):
        x, label = X[t : t + 1], y[t : t + 1]
        _, bounds = model.predict(x, confidence_level=0.9, allow_infinite_bounds=True)
        uppers.append(bounds[0, 1, 0])
        levels.append(model.current_alpha[0.1])
        model.adapt_conformal_inference(x, label, gamma=0.01, confidence_level=0.9)
        model.update(x, label)
    assert np.all(np.isfinite(uppers)) and 0.01 < min(levels) < max(levels) < 0.99
    return {"n_calibration": n_cal, "labels": y.tolist(), "upper": uppers, "level": levels}


def cqr():
    """MAPIE's conformalised quantile regression, one correction and two."""
    n = 150
    scale = rng.uniform(0.5, 2.0, n)
    y = np.array(short(rng.normal(size=n) * scale + 0.3 * scale * rng.exponential(size=n)))
    lower, upper = np.array(short(-1.1 * scale)), np.array(short(1.4 * scale))
    X = np.column_stack([lower, upper, np.zeros(n)])
    models = [Column(i).fit(X, y) for i in range(3)]
    fitted = ConformalizedQuantileRegressor(models, confidence_level=0.8, prefit=True)
    fitted.conformalize(X, y)
    probe = np.array([[-1.0, 2.0, 0.0]])
    _, symmetric = fitted.predict_interval(probe, symmetric_correction=True)
    _, asymmetric = fitted.predict_interval(probe, symmetric_correction=False)
    return {
        "lower": lower.tolist(),
        "upper": upper.tolist(),
        "targets": y.tolist(),
        "symmetric": np.ravel(symmetric).tolist(),
        "asymmetric": np.ravel(asymmetric).tolist(),
    }


def calibration():
    n = 200
    raw = np.array(short(np.clip(rng.beta(2, 2, n), 0.01, 0.99), 2))
    y = (rng.uniform(size=n) < 0.3 + 0.4 * raw).astype(float)
    probe = np.array(short(np.linspace(0.0, 1.0, 21)[1:-1] + 0.003))
    logit = lambda p: np.log(p / (1 - p))
    platt = _SigmoidCalibration().fit(logit(raw), y).predict(logit(probe))
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(raw, y).predict(probe)
    two = lambda p: np.column_stack([1 - p, p])
    model = VennAbers()
    model.fit(two(raw), y)
    merged, pair = model.predict_proba(two(probe))
    return {
        "raw": raw.tolist(),
        "outcomes": y.tolist(),
        "probe": probe.tolist(),
        "platt": platt.tolist(),
        "isotonic": isotonic.tolist(),
        "venn_abers": merged[:, 1].tolist(),
        "pair": pair.tolist(),
    }


def dtaci(path):
    """confopt's DtACI fed with the turning levels of the unit test in src/adaptive_level.rs.

    The module selection/adaptation.py is loaded on its own, without the package's other parts. Two
    things in it are not the paper's and are put right: its learning rate has another power of the
    variance, and it clips levels to [0.001, 0.999].
    """
    spec = importlib.util.spec_from_file_location("adaptation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.DtACI(alpha=0.1)
    a, span, k = 0.1, 500, 8
    variance = (1 - a) ** 2 * a**3 + a**2 * (1 - a) ** 3
    model.eta = np.sqrt(3 / span) * np.sqrt((np.log(2 * span * k) + 1) / variance)
    levels = []
    with mock.patch.object(module.np, "clip", lambda values, *_: values):
        for t in range(301):
            u = ((t * 7919 + 13) % 1009) / 1009
            levels.append(float(model.update(u if t < 100 else u**1.6)))
    return [(t, levels[t]) for t in (0, 9, 99, 150, 300)]


fixture = {"aci": aci(), "cqr": cqr(), "calibration": calibration()}
with open("tests/data/intervals.json", "w") as out:
    json.dump(fixture, out, separators=(",", ":"))
    out.write("\n")
if len(sys.argv) > 1:
    print(*(f"({t}, {level!r})," for t, level in dtaci(sys.argv[1])), sep="\n")
