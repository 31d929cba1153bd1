"""Writes figures.json, the expected figures of tests/statistics.rs and tests/multiple_comparison.rs.

arch 8.0.0, statsmodels 0.15.0, macroforecast 0.9.5, scikit-learn 1.9.1, SciPy 1.17.1, NumPy 2.4.6,
pandas 3.1.1, Python 3.11. The data are drawn here and rounded to 4 decimals.

    pip install arch==8.0.0 statsmodels==0.15.0 macroforecast==0.9.5 scikit-learn==1.9.1
    python make_figures.py
"""

import json
import pathlib
import warnings

import numpy as np
import statsmodels.api as sm
from arch.bootstrap import MCS, SPA, CircularBlockBootstrap, StationaryBootstrap, optimal_block_length
from macroforecast.tests import pesaran_timmermann_test
from scipy.stats import binom, binomtest, spearmanr
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, mean_pinball_loss

warnings.simplefilter("ignore")
rng = np.random.default_rng(20260101)
figures = {}


def rounded(values):
    return np.round(values, 4)


def floats(values):
    return [float(v) for v in np.ravel(values)]


# Moves and forecasts with some skill, ties and persistence.
n = 150
shocks = rng.standard_normal(n + 4)
actual = rounded(np.convolve(shocks, np.ones(5) / 5, "valid") + 0.1)
predicted = rounded(0.4 * actual + 0.5 * rng.standard_normal(n))
predicted[rng.integers(0, n, 20)] = 0.25
figures["actual"], figures["predicted"] = floats(actual), floats(predicted)
figures["spearman"] = float(spearmanr(actual, predicted).statistic)
figures["pinball"] = {str(q): float(mean_pinball_loss(actual, predicted, alpha=q)) for q in (0.1, 0.5, 0.9)}

# Pesaran-Timmermann: every row, and rows 0, 5, 10, ... and so on.
pt = [pesaran_timmermann_test(actual, predicted)]
pt += [pesaran_timmermann_test(actual[o::5], predicted[o::5]) for o in range(5)]
figures["pesaran_timmermann"] = [[float(t.statistic), float(t.p_value)] for t in pt]
up = [float((actual[o::5] > 0).mean()) for o in range(5)]
hits = [int(((actual[o::5] > 0) == (predicted[o::5] > 0)).sum()) for o in range(5)]
figures["binomial_half"] = [binomtest(h, 30, 0.5, alternative="greater").pvalue for h in hits]
figures["binomial_majority"] = [
    float(binom.sf(h - 1, 30, max(u, 1 - u))) for h, u in zip(hits, up)
]

# t statistics of a mean with Newey-West's variance, without a correction for small samples.
errors_a, errors_b = actual - predicted, actual
difference = errors_a**2 - errors_b**2
constant = sm.OLS(difference, np.ones(n))
for lags in (0, 3, 4, 12):
    fit = constant.fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    figures.setdefault("newey_west_t", {})[str(lags)] = float(fit.tvalues[0])

# Probabilities.
stated = np.clip(rounded(0.5 + 0.25 * rng.standard_normal(n)), 0, 1)
assert not np.isin(stated, np.arange(1, 10) / 10).any()  # a border belongs to another bin there
outcome = (rng.random(n) < 0.2 + 0.6 * stated).astype(int)
observed, forecast = calibration_curve(outcome, stated, n_bins=10)
figures["stated"], figures["outcome"] = floats(stated), outcome.tolist()
figures["calibration_observed"], figures["calibration_forecast"] = floats(observed), floats(forecast)
figures["brier"] = float(brier_score_loss(outcome, stated))

# Block lengths.
figures["block_lengths"] = []
for phi, rows in ((0.0, 100), (0.5, 200), (0.9, 300), (-0.6, 120), (0.3, 20)):
    series = np.zeros(rows)
    for t in range(1, rows):
        series[t] = phi * series[t - 1] + rng.standard_normal()
    series = rounded(series)
    length = optimal_block_length(series).iloc[0]
    figures["block_lengths"].append(
        {
            "series": floats(series),
            "stationary": float(length["stationary"]),
            "circular": float(length["circular"]),
        }
    )

# Losses of six models, the first the benchmark, and the rows that arch resampled.
rows, resamples, block = 60, 64, 4
common = np.convolve(rng.standard_normal(rows + 2), np.ones(3) / 1.7, "valid")
scale = np.array([0.0, -0.15, 0.12, 0.08, 0.5, -0.1])
own = rng.standard_normal((rows, 6)) * np.array([0.5, 0.6, 0.4, 0.7, 1.2, 0.9])
losses = rounded(2.0 + common[:, None] ** 2 + scale + own)
figures["losses"] = [floats(row) for row in losses]
indices = np.array([d[0][0] for d in StationaryBootstrap(block, np.arange(rows), seed=7).bootstrap(resamples)])
figures["indices"] = indices.tolist()


def mcs(method, reps, bootstrap="stationary"):
    test = MCS(losses, 0.1, reps=reps, block_size=block, method=method, bootstrap=bootstrap, seed=7)
    test.compute()
    if reps == resamples and bootstrap == "stationary":
        assert np.array_equal(np.array(test._bootstrap_indices), indices)
    return {"order": [int(i) for i in test.pvalues.index], "p": floats(test.pvalues["Pvalue"])}


for name, method in (("max", "max"), ("range", "R")):
    figures["mcs_" + name] = mcs(method, resamples)
    figures["mcs_many_" + name] = mcs(method, 20_000)
    figures["mcs_circular_" + name] = mcs(method, 20_000, "circular")


def spa(benchmark, models, reps):
    test = SPA(benchmark, models, block_size=block, reps=reps, nested=True, seed=7)
    test.compute()
    if reps == resamples:
        # The last of the three is centred at the mean itself.
        means = (benchmark[:, None] - models)[indices].mean(axis=1)
        drawn = means.T - (benchmark[:, None] - models).mean(axis=0)[:, None]
        assert np.allclose(test._simulated_vals[:, :, 2], drawn)
    return [float(test.pvalues[k]) for k in ("lower", "consistent", "upper")]


def studentized(benchmark, models, reps):
    """arch compares advantages as they are; Hansen's test is the same one on advantages in units of
    their standard errors, which are those of the resampled means here."""
    advantages = benchmark[:, None] - models
    drawn = StationaryBootstrap(block, np.arange(rows), seed=7).bootstrap(reps)
    means = np.array([advantages[d[0][0]].mean(axis=0) for d in drawn]) - advantages.mean(axis=0)
    unit = np.sqrt((means**2).mean(axis=0))
    p_values = spa(np.zeros(rows), -advantages / unit, reps)
    return {"p": p_values, "statistic": float((advantages.mean(axis=0) / unit).max())}


# The others against one of them; against the last, which is the best, there is nothing to find.
for benchmark in (0, 1, 5):
    case = {"benchmark": benchmark}
    models = np.delete(losses, benchmark, axis=1)
    for name, reps in (("given", resamples), ("many", 20_000)):
        case["plain_" + name] = spa(losses[:, benchmark], models, reps)
        case["studentized_" + name] = studentized(losses[:, benchmark], models, reps)
    figures.setdefault("spa", []).append(case)

text = json.dumps(figures, separators=(",", ":"))
pathlib.Path(__file__).with_name("figures.json").write_text(text + "\n")
