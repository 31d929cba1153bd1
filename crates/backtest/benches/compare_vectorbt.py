"""Trades the same signals with forecastle-backtest and vectorbt, compares what came out, prints times.

    python3 -m venv venv && venv/bin/pip install vectorbt==1.2.0
    cargo build --release -p forecastle-backtest --example backtest_file
    venv/bin/python crates/backtest/benches/compare_vectorbt.py target/release/examples/backtest_file

One strategy: random flips between long, short and flat, about a trade every 100 bars, a fixed number of
units, fees and slippage. Our time is that of `BacktestParams::run`, theirs that of
`Portfolio.from_signals`: both give every trade, ours the equity at every close too. One thread each.

A sweep: settings of one rule, which `examples/backtest_file.rs` describes and `sweep_signals` repeats.
Our time is that of `BacktestParams::sweep` with its decisions and all figures of every set, on each
number of threads given. Theirs is that of `Portfolio.from_signals` and the final equity alone, summed
over chunks of sets, and printed apart, what making the signals and the Sharpe ratios adds. It has one
thread: its loop over the sets is not parallel. Chunks of 50 sets in rows of bars are its fastest layout
of those tried, and its Rust engine (`vectorbt-rust`, taken where installed) was no faster here.

vectorbt gets the signals a bar later with the open as price, which is what "decided at the close, filled
at the next open" means there. It has no spread: ours is added to its slippage. A first run compiles it
and is not counted; the two take turns. Exit code 1 where a trade or an equity differs.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import vectorbt

FEE, SLIPPAGE, UNITS = 10e-4, 6e-4, 1.0


def simulate_candles(random, n):
    close = 100.0 * np.exp(np.cumsum(0.0005 * random.standard_normal(n)))
    open_ = np.r_[100.0, close[:-1]] * (1.0 + 0.0001 * random.standard_normal(n))
    high = np.maximum(open_, close) * 1.0002
    low = np.minimum(open_, close) * 0.9998
    return pd.DataFrame({
        "timestamp": 60_000 * np.arange(n), "open": open_, "high": high, "low": low, "close": close,
        "volume": 1.0,
    })


def ours(binary, paths, cash, repeats, options=(), threads=1):
    """The shortest time of a few."""
    command = [
        binary, *paths, "--fee_bps", str(FEE * 1e4), "--half_spread_bps", "1",
        "--slippage_bps", str(SLIPPAGE * 1e4 - 1.0), "--capital", str(cash), "--units", str(UNITS),
        "--repeats", str(repeats), *options,
    ]
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return min(float(line.split()[0]) for line in told.splitlines())


def theirs(candles, signals, cash):
    column = (slice(None),) if signals["long"].ndim == 1 else (slice(None), None)
    return vectorbt.Portfolio.from_signals(
        candles.close.to_numpy()[column], entries=signals["long"], exits=signals["exit"],
        short_entries=signals["short"], short_exits=signals["exit"],
        price=candles.open.to_numpy()[column], size=UNITS, size_type="amount", fees=FEE,
        slippage=SLIPPAGE, init_cash=cash, upon_opposite_entry="reverse", freq="1min",
    )


def compare_trades(binary, folder, n, repeats):
    """Prints what differs in one strategy, and returns how much."""
    cash = 1e7
    random = np.random.default_rng(7)
    candles = simulate_candles(random, n)
    state = random.choice(["keep", "long", "short", "exit"], n, p=[0.98, 0.007, 0.007, 0.006])
    state[-3:] = ["exit", "keep", "keep"]
    signals = {action: np.r_[False, state[:-1] == action] for action in ("long", "short", "exit")}
    paths = [str(folder / name) for name in ("candles", "decisions", "trades", "equity")]
    candles.to_csv(paths[0], index=False)
    bars = np.flatnonzero(state != "keep")
    pd.DataFrame({
        "bar": bars, "action": state[bars], "stop_loss": "", "take_profit": "", "max_bars": "",
    }).to_csv(paths[1], index=False)
    portfolio = theirs(candles, signals, cash)
    our_seconds, their_seconds = [], []
    for _ in range(repeats):
        our_seconds.append(ours(binary, paths, cash, 10))
        start = time.perf_counter()
        theirs(candles, signals, cash)
        their_seconds.append(time.perf_counter() - start)
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
            differences += int((~(off <= 1e-9)).sum())
    off = np.abs(equity / portfolio.value().to_numpy() - 1.0).max()
    print(f"equity: largest relative difference {off:.1e}")
    differences += int(not off <= 1e-9)
    print(
        f"vectorbt {vectorbt.__version__}, {n} bars, {len(mine)} trades, minima of {repeats}: "
        f"ours {1e9 * min(our_seconds) / n:.2f} ns a bar, vectorbt {1e9 * min(their_seconds) / n:.2f}, "
        f"ratio {min(our_seconds) / min(their_seconds):.4f}"
    )
    return differences


def sweep_signals(close, sets):
    """The rule of `examples/backtest_file.rs`, a column a set, a bar later."""
    n = len(close)
    signals = {action: np.zeros((n, len(sets)), bool) for action in ("long", "short", "exit")}
    for column, i in enumerate(sets):
        window = 100 + i
        bars = np.arange(window, n - 3, 20)
        risen = close[bars] > close[bars - window]
        signals["long"][bars[risen] + 1, column] = True
        signals["short" if i % 2 == 0 else "exit"][bars[~risen] + 1, column] = True
        signals["exit"][n - 2, column] = True
    return signals


def their_sweep(candles, n_sets, chunk, cash):
    """Seconds for signals, simulation and Sharpe ratios; trades and final equity of every set."""
    seconds, n_trades, equity = np.zeros(3), [], []
    close = candles.close.to_numpy()
    for first in range(0, n_sets, chunk):
        times = [time.perf_counter()]
        signals = sweep_signals(close, range(first, min(first + chunk, n_sets)))
        times.append(time.perf_counter())
        portfolio = theirs(candles, signals, cash)
        equity.append(portfolio.final_value().to_numpy())
        times.append(time.perf_counter())
        portfolio.sharpe_ratio()
        times.append(time.perf_counter())
        seconds += np.diff(times)
        n_trades.append(portfolio.trades.count().to_numpy())
    return seconds, np.concatenate(n_trades), np.concatenate(equity)


def compare_sweep(binary, folder, n, n_sets, chunk, threads, repeats):
    """Prints what differs in a sweep, and returns how much."""
    cash = 1e4
    candles = simulate_candles(np.random.default_rng(8), n)
    paths = [str(folder / name) for name in ("sweep_candles", "sets")]
    candles.to_csv(paths[0], index=False)
    # Every width of chunk, since one column alone compiles to other code than several.
    for width in {min(chunk, n_sets), n_sets % chunk} - {0}:
        their_sweep(candles, width, chunk, cash)
    differences, worst, their_seconds = 0, 0.0, []
    our_seconds = {count: [] for count in threads}
    for _ in range(repeats):
        seconds, n_trades, equity = their_sweep(candles, n_sets, chunk, cash)
        their_seconds.append(seconds)
        for count in threads:
            our_seconds[count].append(ours(binary, paths, cash, 3, ["--sweep", str(n_sets)], count))
            mine = pd.read_csv(paths[1])
            if len(mine) != n_sets:
                print(f"{len(mine)} sets here, {n_sets} there")
                return 1
            off = np.abs(mine.final_equity.to_numpy() / equity - 1.0)
            worst = max(worst, off.max())
            differences += int((~(off <= 1e-9) | (mine.n_trades.to_numpy() != n_trades)).sum())
    signals, simulation, sharpe = min(their_seconds, key=lambda seconds: seconds[1])
    print(f"final equity of {n_sets} sets: largest relative difference {worst:.1e}")
    print(
        f"vectorbt {vectorbt.__version__}, {n_sets} sets of {n} bars, {n_trades.sum()} trades "
        f"({n_trades.min()} to {n_trades.max()} a set), minima of {repeats}: vectorbt "
        f"{simulation:.3f} s on 1 thread, signals {signals:.3f} and Sharpe ratios {sharpe:.3f} not counted"
    )
    for count, seconds in our_seconds.items():
        print(
            f"ours {min(seconds):.3f} s on {count} thread{'s' if count > 1 else ''}, "
            f"ratio {min(seconds) / simulation:.4f}"
        )
    return differences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sets", type=int, default=1_000, help="0 leaves the sweep out")
    parser.add_argument("--sweep-bars", type=int, default=100_000)
    parser.add_argument("--sweep-repeats", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=50, help="sets that vectorbt takes at once")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        differences = compare_trades(arguments.binary, folder, arguments.bars, arguments.repeats)
        if arguments.sets:
            differences += compare_sweep(
                arguments.binary, folder, arguments.sweep_bars, arguments.sets, arguments.chunk,
                arguments.threads, arguments.sweep_repeats)
    print("equal" if differences == 0 else f"{differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
