"""Prints the figures that `tests/backtest/performance.rs` expects of buy-and-hold without costs on
`tests/data/candles.csv`, from their definitions with NumPy and SciPy.

    python3 -m venv venv && venv/bin/pip install numpy==2.4 scipy==1.17 pandas
    venv/bin/python crates/backtest/tests/reference/make_performance.py
"""

import pathlib

import numpy as np
import pandas as pd
import scipy
from scipy import stats

candles = pd.read_csv(pathlib.Path(__file__).parents[1] / "data" / "candles.csv")
close, entry = candles.close.to_numpy(), candles.open[1]
equity = 10_000.0 * close / entry
equity[0] = 10_000.0
returns = equity[1:] / equity[:-1] - 1.0
n, periods = len(returns), 365.25 * 24
years = n / periods
growth = equity[-1] / 10_000.0
peaks = np.maximum.accumulate(np.r_[10_000.0, equity])[1:]
drawdowns = 1.0 - equity / peaks
under, longest = 0, 0
for drawdown in drawdowns:
    under = under + 1 if drawdown > 0 else 0
    longest = max(longest, under)
sharpe = returns.mean() / returns.std(ddof=1)
g3, g4 = stats.skew(returns), stats.kurtosis(returns, fisher=False)
spread = 1.0 - g3 * sharpe + (g4 - 1.0) / 4.0 * sharpe**2
trials, variance = 50, 0.001
highest = np.sqrt(variance) * (
    (1 - np.euler_gamma) * stats.norm.ppf(1 - 1 / trials)
    + np.euler_gamma * stats.norm.ppf(1 - 1 / (trials * np.e))
)
figures = {
    "total_return": growth - 1.0,
    "cagr": growth ** (1.0 / years) - 1.0,
    "volatility": returns.std(ddof=1) * np.sqrt(periods),
    "sharpe": sharpe * np.sqrt(periods),
    "sortino": returns.mean() / np.sqrt(np.mean(np.minimum(returns, 0) ** 2)) * np.sqrt(periods),
    "max_drawdown": drawdowns.max(),
    "max_drawdown_bars": longest,
    "calmar": (growth ** (1.0 / years) - 1.0) / drawdowns.max(),
    "skewness": g3,
    "kurtosis": g4,
    "turnover": (10_000.0 + equity[-1]) / equity.mean() / years,
    "probabilistic_sharpe": stats.norm.cdf(sharpe * np.sqrt((n - 1) / spread)),
    "expected_maximum_sharpe": highest,
    "deflated_sharpe": stats.norm.cdf((sharpe - highest) * np.sqrt((n - 1) / spread)),
    "minimum_track_record": 1 + spread * (stats.norm.ppf(0.95) / sharpe) ** 2,
}
print(f"NumPy {np.__version__}, SciPy {scipy.__version__}")
for name, value in figures.items():
    print(f"{name} {float(value)!r}")
