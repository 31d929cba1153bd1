"""Trades the same signals with forecastle-backtest and vectorbt, compares the trades, prints times.

    python3 -m venv venv && venv/bin/pip install vectorbt==1.2.0
    cargo build --release -p forecastle-backtest --example backtest_file
    venv/bin/python crates/backtest/benches/compare_vectorbt.py target/release/examples/backtest_file

Random flips between long, short and flat, about a trade every 100 bars, a fixed number of units, fees
and slippage; vectorbt gets the signals a bar later with the open as price, which is what "decided at
the close, filled at the next open" means there. It has no spread: ours is added to its slippage.
Our time is that of `BacktestParams::run`, theirs that of `Portfolio.from_signals` after a first run that
compiles it: both give every trade, ours the equity at every close too. One thread each, taking turns.
Exit code 1 where a trade differs.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import vectorbt

parser = argparse.ArgumentParser()
parser.add_argument("binary")
parser.add_argument("--bars", type=int, default=1_000_000)
parser.add_argument("--repeats", type=int, default=7)
arguments = parser.parse_args()

FEE, SLIPPAGE, UNITS, CASH = 10e-4, 6e-4, 1.0, 1e7
random = np.random.default_rng(7)
n = arguments.bars
close = 100.0 * np.exp(np.cumsum(0.0005 * random.standard_normal(n)))
open_ = np.r_[100.0, close[:-1]] * (1.0 + 0.0001 * random.standard_normal(n))
high = np.maximum(open_, close) * 1.0002
low = np.minimum(open_, close) * 0.9998
state = random.choice(["keep", "long", "short", "exit"], n, p=[0.98, 0.007, 0.007, 0.006])
state[-3:] = ["exit", "keep", "keep"]


def later(action):
    return np.r_[False, state[:-1] == action]


def simulate():
    return vectorbt.Portfolio.from_signals(
        close, entries=later("long"), exits=later("exit"), short_entries=later("short"),
        short_exits=later("exit"), price=open_, size=UNITS, size_type="amount", fees=FEE,
        slippage=SLIPPAGE, init_cash=CASH, upon_opposite_entry="reverse", freq="1min",
    )


with tempfile.TemporaryDirectory() as folder:
    paths = [str(pathlib.Path(folder) / name) for name in ("candles", "decisions", "trades", "equity")]
    pd.DataFrame({
        "timestamp": 60_000 * np.arange(n), "open": open_, "high": high, "low": low, "close": close,
        "volume": 1.0,
    }).to_csv(paths[0], index=False)
    bars = np.flatnonzero(state != "keep")
    pd.DataFrame({
        "bar": bars, "action": state[bars], "stop_loss": "", "take_profit": "", "max_bars": "",
    }).to_csv(paths[1], index=False)
    command = [
        arguments.binary, *paths, "--fee_bps", str(FEE * 1e4), "--half_spread_bps", "1",
        "--slippage_bps", str(SLIPPAGE * 1e4 - 1.0), "--capital", str(CASH), "--units", str(UNITS),
        "--repeats", "10",
    ]
    portfolio = simulate()
    ours, theirs = [], []
    for _ in range(arguments.repeats):
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        ours.append(min(float(line.split()[0]) for line in told.splitlines()))
        start = time.perf_counter()
        simulate()
        theirs.append(time.perf_counter() - start)
    mine = pd.read_csv(paths[2])
    equity = pd.read_csv(paths[3]).equity.to_numpy()

other = pd.DataFrame(portfolio.trades.values)
other = other.sort_values(["exit_idx", "entry_idx"], kind="stable").reset_index(drop=True)
differences = 0
if len(mine) != len(other):
    differences += 1
    print(f"{len(mine)} trades here, {len(other)} there")
else:
    for here, there in (("entry_bar", "entry_idx"), ("exit_bar", "exit_idx")):
        differences += int((mine[here] != other[there]).sum())
    short = (mine.side == "short").astype(int)
    differences += int((short != other.direction).sum())
    scale = (mine["size"] * mine.entry_price).to_numpy()
    for here, there, unit in (
        ("size", "size", 1.0), ("entry_fill", "entry_price", scale), ("exit_fill", "exit_price", scale),
        ("net", "pnl", scale),
    ):
        off = np.abs(mine[here] - other[there]) / unit
        print(f"{here}: largest relative difference {off.max():.1e}")
        differences += int((off > 1e-9).sum())
off = np.abs(equity / portfolio.value().to_numpy() - 1.0).max()
print(f"equity: largest relative difference {off:.1e}")
differences += int(off > 1e-9)
print(
    f"vectorbt {vectorbt.__version__}, {n} bars, {len(mine)} trades, minima of {arguments.repeats}: "
    f"ours {1e9 * min(ours) / n:.2f} ns a bar, vectorbt {1e9 * min(theirs) / n:.2f}, "
    f"ratio {min(ours) / min(theirs):.4f}"
)
print("equal" if differences == 0 else f"{differences} differences")
sys.exit(1 if differences else 0)
