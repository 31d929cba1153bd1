//! Buy-and-hold, random entries and sweeps.

use forecastle_backtest::{
    BacktestParams, Costs, Decision, PerformanceParams, RandomEntryParams, Sizing,
};
use forecastle_core::{Error, Result};
use rayon::ThreadPoolBuilder;

use crate::backtesting_parity::fixture;
use crate::series::hourly;

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Momentum over `window` bars, long or short.
fn momentum(close: &[f64], window: usize, decisions: &mut [Decision]) {
    for (decision, pair) in decisions.iter_mut().skip(window).zip(close.windows(window + 1)) {
        let risen = pair[window] > pair[0];
        *decision = if risen { Decision::long() } else { Decision::short() };
    }
}

#[test]
fn buy_and_hold_pays_two_sides_whatever_the_sizing() {
    let series = fixture();
    let params = BacktestParams { sizing: Sizing::Units(3.0), ..BacktestParams::default() };
    let backtest = params.buy_and_hold(series.view()).unwrap();
    let (open, close) = (series.view().open()[1], series.view().close()[599]);
    let (buy, sell) = (open * 1.0006 * 1.001, close * 0.9994 * 0.999);
    let expected = 10_000.0 * sell / buy;
    assert!((backtest.equity[599] / expected - 1.0).abs() < 1e-12);
}

#[test]
fn random_entries_are_the_same_on_any_number_of_threads_and_differ_by_seed() {
    let series = fixture();
    let mut decisions = vec![Decision::KEEP; series.len()];
    momentum(series.view().close(), 12, &mut decisions);
    let params = BacktestParams::default();
    let backtest = params.run(series.view(), &decisions).unwrap();
    let with = |threads, seed| {
        let random = RandomEntryParams { n_runs: 100, seed };
        on_threads(threads, || params.random_entry(series.view(), &backtest, &random))
            .unwrap()
            .unwrap()
    };
    assert_eq!(with(1, 7), with(2, 7));
    assert_ne!(with(1, 7).mean_return, with(1, 8).mean_return);
    assert_eq!((with(1, 7).n_runs, with(1, 7).n_trades), (100, backtest.trades.len()));
}

/// On a market that never moves every schedule pays the same costs: all tie.
#[test]
fn random_entries_trade_as_often_and_as_much_as_the_strategy() {
    let rows = [(100.0, 100.0, 100.0, 100.0); 200];
    let series = hourly(&rows);
    let mut decisions = [Decision::KEEP; 200];
    for t in (0..180).step_by(9) {
        decisions[t] = if t % 2 == 0 { Decision::long() } else { Decision::short() }
            .with_max_bars(1 + t as u32 % 5);
    }
    let params = BacktestParams { sizing: Sizing::Units(10.0), ..BacktestParams::default() };
    let backtest = params.run(series.view(), &decisions).unwrap();
    let random = params
        .random_entry(series.view(), &backtest, &RandomEntryParams::default())
        .unwrap()
        .unwrap();
    assert_eq!(random.n_trades, 20);
    assert!((random.low_return - random.total_return).abs() < 1e-12, "{random:?}");
    assert!((random.high_return - random.total_return).abs() < 1e-12, "{random:?}");
}

/// A schedule without free bars has one place for its trades: the strategy's own result.
#[test]
fn a_full_schedule_leaves_random_entries_no_choice() {
    let series = fixture();
    let params = BacktestParams::default();
    let held = params.buy_and_hold(series.view()).unwrap();
    let random = RandomEntryParams { n_runs: 20, seed: 1 };
    let found = params.random_entry(series.view(), &held, &random).unwrap().unwrap();
    assert_eq!((found.low_return, found.high_return), (found.total_return, found.total_return));
    assert_eq!(found.beaten, 0.5);
}

#[test]
fn a_rule_that_knows_the_future_beats_random_entries_and_one_that_knows_nothing_does_not() {
    let series = fixture();
    let params = BacktestParams { costs: Costs::FREE, ..BacktestParams::default() };
    let (open, n) = (series.view().open(), series.len());
    // Long over the next bar when it will rise.
    let share = |right: bool| {
        let mut decisions = vec![Decision::EXIT; n];
        for (t, pair) in open.windows(2).enumerate().skip(1) {
            if (pair[1] > pair[0]) == right && t % 3 == 0 {
                decisions[t - 1] = Decision::long();
            }
        }
        let backtest = params.run(series.view(), &decisions).unwrap();
        let random = RandomEntryParams { n_runs: 400, seed: 7 };
        params.random_entry(series.view(), &backtest, &random).unwrap().unwrap().beaten
    };
    assert!(share(true) > 0.999, "{}", share(true));
    assert!(share(false) < 0.001, "{}", share(false));
    // Rules by chance alone beat half of the schedules on average.
    let by_chance: f64 = (0..40)
        .map(|offset| {
            let mut decisions = vec![Decision::KEEP; n];
            for t in (offset..n).step_by(37) {
                decisions[t] = Decision::long().with_max_bars(10);
            }
            let backtest = params.run(series.view(), &decisions).unwrap();
            let random = RandomEntryParams { n_runs: 100, seed: offset as u64 };
            params.random_entry(series.view(), &backtest, &random).unwrap().unwrap().beaten
        })
        .sum::<f64>()
        / 40.0;
    assert!((by_chance - 0.5).abs() < 0.15, "{by_chance}");
}

#[test]
fn a_sweep_is_the_runs_one_by_one_and_knows_how_many_they_were() {
    let series = fixture();
    let close = series.view().close();
    let params = BacktestParams::default();
    let sweep = |threads| {
        on_threads(threads, || {
            params.sweep(series.view(), 40, |set, decisions| {
                momentum(close, set + 1, decisions);
                Ok(())
            })
        })
        .unwrap()
    };
    let found = sweep(2);
    assert_eq!(found, sweep(1));
    let sharpes: Vec<f64> = found.performances.iter().filter_map(|p| p.sharpe_per_bar).collect();
    let mean = sharpes.iter().sum::<f64>() / 40.0;
    let variance = sharpes.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 39.0;
    assert!((found.trial_variance.unwrap() / variance - 1.0).abs() < 1e-12);
    for (set, performance) in found.performances.iter().enumerate() {
        let mut decisions = vec![Decision::KEEP; close.len()];
        momentum(close, set + 1, &mut decisions);
        let trials = PerformanceParams {
            n_trials: 40,
            trial_variance: found.trial_variance,
            ..Default::default()
        };
        let alone = params.run(series.view(), &decisions).unwrap().performance(&trials).unwrap();
        assert_eq!(*performance, alone, "{set}");
    }
    let (set, best) = found.best().unwrap();
    let highest = sharpes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(best.sharpe_per_bar, Some(highest));
    assert_eq!(found.performances[set], *best);
    assert!(best.deflated_sharpe < best.probabilistic_sharpe);
}

#[test]
fn a_sweep_hands_on_the_first_setting_that_fails() {
    let series = fixture();
    let failing = |set: usize, _: &mut [Decision]| -> Result<()> {
        if set >= 3 { Err(Error::invalid_parameter("window", "<= 2", set)) } else { Ok(()) }
    };
    let error = BacktestParams::default().sweep(series.view(), 50, failing).unwrap_err();
    assert_eq!(error.to_string(), "parameter `window` must be <= 2, got 3");
    let none = BacktestParams::default().sweep(series.view(), 0, |_, _| Ok(()));
    assert_eq!(none.unwrap_err().to_string(), "parameter `n_sets` must be >= 1, got 0");
}
