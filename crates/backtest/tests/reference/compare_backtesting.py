"""Compares forecastle-backtest with backtesting.py, trade by trade, and fails on any difference.

    python3 -m venv venv && venv/bin/pip install backtesting==0.6.6
    cargo build --release -p forecastle-backtest --example backtest_file
    venv/bin/python crates/backtest/tests/reference/compare_backtesting.py \\
        target/release/examples/backtest_file [candles.csv ...]

Candle files have the columns timestamp (milliseconds), open, high, low, close, volume, and may be
gzipped. Without one, candles are simulated, with gaps, wicks and a rounded price so that levels are
touched exactly; `--fixture FOLDER` writes the small ones that the Rust tests read.

Compared: side, size, bar and price of entry and exit, net result of every trade, and the equity at
every close. Fees are the same; spread and slippage are 0 here, since backtesting.py has no slippage and
charges its spread at the entry alone (`benches/compare_vectorbt.py` compares those).

Scenarios, each with a fixed number of units, and the first with a fraction of equity too:
  flips     long, short, flat at random
  levels    the same with stops and targets, both touched in one bar included, and entries that open
            beyond their level
  trailing  stops that move while a position is held
  stays     left after a number of bars, with levels

What both do: market orders fill at the next open; levels are watched from the bar of the entry on,
a touch counts, the stop before the target; a stop or target that the open has passed fills at the
open; a decision is executed before levels at the same open.
What differs, and how it is dealt with:
  1. An open beyond the target, and a later touch of the stop in the same bar: here the target fills at
     the open, which came first; backtesting.py takes the stop. Such a bar cannot be compared: the
     decisions are changed by leaving that target out, and how often is printed.
  2. Levels on the wrong side of the deciding close: backtesting.py refuses the order. None are given.
  3. The end: backtesting.py closes at the last bar's open. Decisions end flat.
  4. Whole units: backtesting.py trades no others, so that a fraction of equity is compared with its
     FractionalBacktest in units of 1e-8, to that resolution.
  5. A bankrupt account is set to 0 there. None goes bankrupt here.
"""

import argparse
import csv
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
import backtesting
from backtesting import Backtest, Strategy
from backtesting.lib import FractionalBacktest

backtesting.backtesting._tqdm = lambda rows, **_: rows
COLUMNS = ["bar", "action", "stop_loss", "take_profit", "max_bars"]


def simulate(n, seed, digits):
    """Candles of a random walk with gaps between them."""
    random = np.random.default_rng(seed)
    rows, close = [], 100.0
    for i in range(n):
        gap = 0.03 * random.standard_t(3) if random.random() < 0.08 else 0.001 * random.standard_normal()
        path = close * np.exp(np.cumsum(np.r_[np.clip(gap, -0.2, 0.2), 0.004 * random.standard_normal(8)]))
        path = np.round(path, digits)
        close = path[-1]
        rows.append((1_600_000_000_000 + 3_600_000 * i, path[0], path.max(), path.min(), close, 1.0))
    return pd.DataFrame(rows, columns=["timestamp", "open", "high", "low", "close", "volume"])


def decide(candles, scenario, seed):
    """Decisions at random, as {bar: (action, stop_loss, take_profit, max_bars)}; the end is flat."""
    random = np.random.default_rng(seed)
    close = candles.close.to_numpy()
    moves = np.abs(np.diff(np.log(close), prepend=np.log(close[0])))
    unit = pd.Series(moves).rolling(50, min_periods=1).mean().to_numpy() + 1e-5
    found = {}
    for bar in range(2, len(close) - 3):
        if random.random() >= (0.25 if scenario == "trailing" else 0.08):
            continue
        action = random.choice(["long", "short", "exit"], p=[0.4, 0.4, 0.2])
        stop = target = stay = None
        if action != "exit" and scenario != "flips":
            side = 1 if action == "long" else -1
            # Some so near that one bar touches both.
            reach = 0.8 if random.random() < 0.3 else 6.0
            stop = close[bar] * np.exp(-side * unit[bar] * random.uniform(0.05, reach))
            target = close[bar] * np.exp(side * unit[bar] * random.uniform(0.05, reach))
            stop, target = float(f"{stop:.6g}"), float(f"{target:.6g}")
            stop = stop if side * (close[bar] - stop) > 0 and random.random() < 0.8 else None
            target = target if side * (target - close[bar]) > 0 and random.random() < 0.8 else None
            if scenario == "stays":
                stay = int(random.integers(1, 30))
        found[bar] = [action, stop, target, stay]
    found[len(close) - 3] = ["exit", None, None, None]
    return found


class Follow(Strategy):
    """Does what decisions say: the same meaning as forecastle-backtest gives them."""

    decisions, size = {}, 1
    scale = 1.0

    def init(self):
        self.leave = None

    def next(self):
        bar = len(self.data) - 1
        trade = self.trades[-1] if self.trades else None
        decision = self.decisions.get(bar)
        closing = False
        if decision:
            action, stop, target, stay = decision
            level = lambda price: None if price is None else price * self.scale
            held = None if trade is None else ("long" if trade.is_long else "short")
            if held == action:
                if stop is not None:
                    trade.sl = level(stop)
                if target is not None:
                    trade.tp = level(target)
                if stay is not None:
                    self.leave = bar + 1 + stay
            else:
                if trade:
                    trade.close()
                    closing = True
                if action != "exit":
                    order = self.buy if action == "long" else self.sell
                    order(size=self.size, sl=level(stop), tp=level(target))
                    self.leave = None if stay is None else bar + 1 + stay
                    return
        if trade and not closing and self.leave is not None and bar + 1 >= self.leave:
            trade.close()


def theirs(candles, decisions, fee, size, cash, fractional):
    frame = candles.rename(columns=str.title)
    frame.index = pd.to_datetime(candles.timestamp, unit="ms")
    unit = 1e-8 if fractional else 1.0
    kind = FractionalBacktest if fractional else Backtest
    test = kind(frame, Follow, cash=cash, commission=fee, finalize_trades=False)
    stats = test.run(decisions=decisions, size=size, scale=unit)
    assert not stats._strategy.trades, "a trade is left open"
    trades = stats._trades.sort_values(["ExitBar", "EntryBar"], kind="stable")
    rows = [
        {
            "side": "long" if t.Size > 0 else "short", "size": abs(t.Size), "entry_bar": t.EntryBar,
            "exit_bar": t.ExitBar, "entry_price": t.EntryPrice, "exit_price": t.ExitPrice,
            "net": t.PnL,
        }
        for t in trades.itertuples()
    ]
    return rows, stats._equity_curve.Equity.to_numpy()


def ours(binary, folder, candles, decisions, options):
    paths = [str(folder / f"{name}.csv") for name in ("candles", "decisions", "trades", "equity")]
    candles.to_csv(paths[0], index=False)
    with open(paths[1], "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for bar, row in decisions.items():
            writer.writerow([bar] + ["" if cell is None else cell for cell in row])
    arguments = [str(cell) for pair in options.items() for cell in pair]
    subprocess.run([binary, *paths, *arguments], check=True)
    return pd.read_csv(paths[2]), pd.read_csv(paths[3]).equity.to_numpy()


def without_ambiguity(binary, folder, candles, decisions, options):
    """Leaves out targets that difference 1 would concern, until there are none."""
    changed = 0
    while True:
        trades, equity = ours(binary, folder, candles, decisions, options)
        found = False
        for trade in trades.itertuples():
            if trade.reason != "take_profit":
                continue
            stop = in_force(decisions, trade, 1)
            bar = candles.iloc[trade.exit_bar]
            if stop is None or bar.open != trade.exit_price:
                continue
            touched = bar.low <= stop if trade.side == "long" else bar.high >= stop
            if touched:
                for b in decisions:
                    if trade.decision_bar <= b < trade.exit_bar:
                        decisions[b][2] = None
                changed, found = changed + 1, True
                break
        if not found:
            return trades, equity, changed


def in_force(decisions, trade, level):
    """The stop (1) or target (2) of a trade when it ended: of the last decision that gave one."""
    bars = [bar for bar in decisions if trade.decision_bar <= bar < trade.exit_bar]
    given = (decisions[bar][level] for bar in reversed(bars))
    return next((price for price in given if price is not None), None)


def covered(candles, decisions, trades):
    """How many of the cases that matter a run held."""
    gaps, beyond, at_once, both = 0, 0, 0, 0
    for trade in trades.itertuples():
        if trade.reason not in ("stop_loss", "take_profit"):
            continue
        bar = candles.iloc[trade.exit_bar]
        gapped = trade.exit_price == bar.open
        gaps += gapped and trade.reason == "stop_loss"
        beyond += gapped and trade.reason == "take_profit"
        at_once += trade.bars_held == 0
        target = in_force(decisions, trade, 2)
        if trade.reason == "stop_loss" and not gapped and target is not None:
            both += bar.high >= target if trade.side == "long" else bar.low <= target
    return (
        f"{gaps} gaps through a stop, {beyond} through a target, {at_once} out in the bar of the "
        f"entry, {both} with both levels touched"
    )


def compare(name, mine, equity, other, their_equity, tolerance):
    """Prints what differs and returns how much."""
    differences = []
    if len(mine) != len(other):
        differences.append(f"{len(mine)} trades here, {len(other)} there")
    worst = 0.0
    for i, (a, b) in enumerate(zip(mine.itertuples(), other)):
        for key in ("side", "entry_bar", "exit_bar"):
            if getattr(a, key) != b[key]:
                differences.append(f"trade {i}: {key} {getattr(a, key)} here, {b[key]} there")
        scale = a.size * a.entry_price
        for key, unit in (("size", a.size), ("entry_price", a.entry_price),
                          ("exit_price", a.exit_price), ("net", scale)):
            off = abs(getattr(a, key) - b[key]) / unit
            worst = max(worst, off)
            if not off <= tolerance:
                differences.append(f"trade {i}: {key} {getattr(a, key)} here, {b[key]} there")
    off = np.max(np.abs(equity / their_equity - 1.0))
    worst = max(worst, off)
    if not off <= tolerance:
        differences.append(f"equity differs by {off:.1e} in bar {np.argmax(np.abs(equity / their_equity - 1.0))}")
    reasons = mine.reason.value_counts().to_dict()
    print(f"{name}: {len(mine)} trades {reasons}, largest relative difference {worst:.1e}")
    for line in differences[:10]:
        print("   ", line)
    return len(differences)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("candles", nargs="*", type=pathlib.Path)
    parser.add_argument("--fixture", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print(f"backtesting {backtesting.__version__}")
    if arguments.fixture:
        series = {"fixture": simulate(600, 1, 1)}
    elif arguments.candles:
        series = {path.name.split(".")[0]: pd.read_csv(path) for path in arguments.candles}
    else:
        series = {"simulated": simulate(6_000, arguments.seed, 6), "rounded": simulate(6_000, 3, 1)}
    differences, fee_bps = 0, 10.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name, candles in series.items():
            candles = candles.reset_index(drop=True)
            top = float(candles.high.max())
            for k, scenario in enumerate(("flips", "levels", "trailing", "stays")):
                for fraction in (None, 0.5) if scenario == "flips" else (None,):
                    decisions = decide(candles, scenario, arguments.seed + k)
                    cash = 1e6 if fraction else float(round(1e4 * top))
                    sizing = {"--fraction": fraction} if fraction else {"--units": 100}
                    options = {"--fee_bps": fee_bps, "--half_spread_bps": 0, "--slippage_bps": 0,
                               "--capital": cash, **sizing}
                    mine, equity, changed = without_ambiguity(
                        arguments.binary, folder, candles, decisions, options)
                    other, their_equity = theirs(
                        candles, decisions, fee_bps / 1e4, fraction or 100, cash, bool(fraction))
                    label = f"{name}/{scenario}/" + (f"fraction {fraction}" if fraction else "units")
                    if changed:
                        label += f" ({changed} targets left out)"
                    # 1e-8 units, of a position of 5e5 in money.
                    tolerance = max(1e-9, 1e-7 * top / 5e5) if fraction else 1e-9
                    differences += compare(label, mine, equity, other, their_equity, tolerance)
                    if scenario != "flips":
                        print("   ", covered(candles, decisions, mine))
                    if arguments.fixture and not fraction:
                        write_fixture(arguments.fixture, scenario, folder, other, their_equity)
            if arguments.fixture:
                candles.to_csv(arguments.fixture / "candles.csv", index=False)
    print("equal" if differences == 0 else f"{differences} differences")
    return 1 if differences else 0


def write_fixture(to, scenario, folder, trades, equity):
    """backtesting.py's trades, and its equity at every 50th close."""
    to.mkdir(parents=True, exist_ok=True)
    (to / f"{scenario}_decisions.csv").write_text((folder / "decisions.csv").read_text())
    pd.DataFrame(trades).to_csv(to / f"{scenario}_trades.csv", index=False)
    rows = [(bar, float(equity[bar])) for bar in range(0, len(equity), 50)]
    pd.DataFrame(rows, columns=["bar", "equity"]).to_csv(to / f"{scenario}_equity.csv", index=False)


if __name__ == "__main__":
    sys.exit(main())
