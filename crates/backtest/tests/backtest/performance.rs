//! Figures against independently computed ones, and the warnings.

use forecastle_backtest::{
    Backtest, BacktestParams, Costs, Decision, Performance, PerformanceParams, Sizing, Warning,
};

use crate::backtesting_parity::fixture;
use crate::series::hourly;

fn near(value: Option<f64>, expected: f64) -> bool {
    value.is_some_and(|value| (value - expected).abs() <= 1e-10 * expected.abs())
}

fn default(backtest: &Backtest) -> Performance {
    backtest.performance(&PerformanceParams::default()).unwrap()
}

/// Expected figures: `tests/reference/make_performance.py`, NumPy 2.4.6 and `SciPy` 1.17.1, on the
/// candles of `tests/data`.
#[test]
fn figures_agree_with_numpy_and_scipy() {
    let params = BacktestParams { costs: Costs::FREE, ..BacktestParams::default() };
    let backtest = params.buy_and_hold(fixture().view()).unwrap();
    let trials =
        PerformanceParams { n_trials: 50, trial_variance: Some(0.001), ..Default::default() };
    let found = backtest.performance(&trials).unwrap();
    for (name, value, expected) in [
        ("total_return", Some(found.total_return), 0.38866799204771385),
        ("cagr", found.cagr, 121.13526061432283),
        ("volatility", found.volatility, 1.7557646137542227),
        ("sharpe", found.sharpe, 3.5784083991490814),
        ("sortino", found.sortino, 6.680736989997966),
        ("max_drawdown", Some(found.max_drawdown), 0.2781065088757396),
        ("calmar", found.calmar, 435.57146901745875),
        ("skewness", found.skewness, 3.659278530493301),
        ("kurtosis", found.kurtosis, 38.33075033173628),
        ("turnover", found.turnover, 32.25884362881385),
        ("probabilistic_sharpe", found.probabilistic_sharpe, 0.8413112004680885),
        ("expected_maximum_sharpe", found.expected_maximum_sharpe, 0.07198302420095343),
        ("deflated_sharpe", found.deflated_sharpe, 0.18854509933546593),
        ("minimum_track_record", found.minimum_track_record, 1619.363646890957),
        ("periods_per_year", found.periods_per_year, 365.25 * 24.0),
        ("exposure", found.exposure, 599.0 / 600.0),
        ("mean_bars_held", found.mean_bars_held, 598.0),
    ] {
        assert!(near(value, expected), "{name}: {value:?}, expected {expected}");
    }
    assert_eq!((found.max_drawdown_bars, found.n_trades, found.n_trials), (291, 1, 50));
    // Without a variance of the trials, that of as many returns worth nothing.
    let unknown = PerformanceParams { n_trials: 50, ..Default::default() };
    assert_eq!(backtest.performance(&unknown).unwrap().trial_variance, Some(1.0 / 598.0));
}

#[test]
fn hit_rate_and_profit_factor_count_net_results() {
    // Two gains of 10 and 4, a loss of 5, and one trade that only its costs turn into a loss.
    let prices = [100.0, 100.0, 110.0, 110.0, 105.0, 105.0, 109.0, 109.0, 109.0];
    let rows: Vec<_> = prices.iter().map(|&p| (p, p, p, p)).collect();
    let decisions: Vec<Decision> = (0..rows.len())
        .map(|t| if t % 2 == 0 { Decision::long() } else { Decision::EXIT })
        .collect();
    let costs = Costs { fee_bps: 1.0, half_spread_bps: 0.0, slippage_bps: 0.0 };
    let params = BacktestParams { costs, sizing: Sizing::Units(1.0), ..BacktestParams::default() };
    let backtest = params.run(hourly(&rows).view(), &decisions).unwrap();
    let found = default(&backtest);
    let fee = |sum: f64| sum * 1e-4;
    let gains = 10.0 - fee(210.0) + 4.0 - fee(214.0);
    let losses = 5.0 + fee(215.0) + fee(218.0);
    assert_eq!((found.n_trades, found.hit_rate), (4, Some(0.5)));
    assert!(near(found.profit_factor, gains / losses), "{found:?}");
    assert_eq!((found.exposure, found.mean_bars_held), (Some(4.0 / 9.0), Some(1.0)));
    assert!((found.gross - 9.0).abs() < 1e-12 && (found.costs - fee(857.0)).abs() < 1e-12);
    let traded = 210.0 + 215.0 + 214.0 + 218.0;
    let mean = backtest.equity.iter().sum::<f64>() / 9.0;
    assert!(near(found.turnover, traded / mean / (8.0 / (365.25 * 24.0))), "{found:?}");
}

/// Bars that go up by turns by more and by less.
fn rising(bars: usize) -> Vec<(f64, f64, f64, f64)> {
    let mut close = 100.0;
    (0..bars)
        .map(|t| {
            let open = close;
            close *= if t % 2 == 0 { 1.002 } else { 1.001 };
            (open, close, open, close)
        })
        .collect()
}

#[test]
fn a_sharpe_ratio_above_4_is_too_good() {
    let rows = rising(200);
    let backtest = BacktestParams::default().buy_and_hold(hourly(&rows).view()).unwrap();
    let found = default(&backtest);
    let warning = found.warnings.first().copied();
    assert_eq!(warning, found.sharpe.map(|sharpe| Warning::HighSharpe { sharpe }));
    assert!(found.is_too_good());
    let text = Warning::HighSharpe { sharpe: 5.125 }.to_string();
    assert!(text.starts_with("too good: a Sharpe ratio of 5.12 is above 4"), "{text}");
}

#[test]
fn costs_below_a_basis_point_are_too_good() {
    let series = fixture();
    let with = |fee_bps| {
        let costs = Costs { fee_bps, ..Costs::FREE };
        let params = BacktestParams { costs, ..BacktestParams::default() };
        default(&params.buy_and_hold(series.view()).unwrap())
    };
    let warning = Warning::CostsNearZero { side_bps: 0.99 };
    assert!(with(0.99).warnings.contains(&warning) && with(0.99).is_too_good());
    assert!(!with(1.0).is_too_good());
    assert_eq!(warning.to_string(), "too good: a side costs 0.99 bps in all, less than 1");
}

#[test]
fn few_trades_a_short_record_and_bankruptcy_are_warned_of() {
    let found = default(&BacktestParams::default().buy_and_hold(fixture().view()).unwrap());
    assert!(found.warnings.contains(&Warning::FewTrades { n_trades: 1 }));
    let short =
        Warning::ShortTrackRecord { needed: found.minimum_track_record.unwrap(), available: 599 };
    assert!(found.warnings.contains(&short), "{found:?}");
    let sizing = Sizing::Fraction(30.0);
    let params = BacktestParams { sizing, ..BacktestParams::default() };
    let mut decisions = vec![Decision::KEEP; 600];
    decisions[0] = Decision::short();
    let ruined = params.run(fixture().view(), &decisions).unwrap();
    let figures = default(&ruined);
    let bar = ruined.bankrupt.unwrap();
    assert!(figures.warnings.contains(&Warning::Bankrupt { bar }));
    assert_eq!(Warning::Bankrupt { bar: 7 }.to_string(), "bankrupt in bar 7");
    assert_eq!(figures.cagr.map(|cagr| cagr < -0.999_999), Some(true));
    assert!(figures.max_drawdown > 0.999_999, "{figures:?}");
}

#[test]
fn equity_that_does_not_vary_has_no_ratios() {
    let backtest = BacktestParams::default().run(fixture().view(), &[Decision::KEEP; 600]).unwrap();
    let found = default(&backtest);
    assert_eq!((found.sharpe, found.sortino, found.calmar), (None, None, None));
    assert_eq!((found.probabilistic_sharpe, found.deflated_sharpe), (None, None));
    assert_eq!((found.hit_rate, found.profit_factor), (None, None));
    assert_eq!((found.cagr, found.volatility, found.exposure), (Some(0.0), Some(0.0), Some(0.0)));
    // The same return in every bar, but for rounding.
    let mut close = 100.0;
    let rows: Vec<_> = (0..300)
        .map(|_| {
            let open = close;
            close *= 1.001;
            (open, close, open, close)
        })
        .collect();
    let params = BacktestParams { costs: Costs::FREE, ..BacktestParams::default() };
    let steady = default(&params.buy_and_hold(hourly(&rows).view()).unwrap());
    assert_eq!((steady.sharpe, steady.max_drawdown), (None, 0.0));
}

#[test]
fn parameters_outside_their_range_are_refused() {
    let backtest = BacktestParams::default().buy_and_hold(fixture().view()).unwrap();
    for (params, message) in [
        (
            PerformanceParams { n_trials: 0, ..Default::default() },
            "parameter `n_trials` must be >= 1, got 0",
        ),
        (
            PerformanceParams { trial_variance: Some(-1.0), ..Default::default() },
            "parameter `trial_variance` must be >= 0 and finite, got -1",
        ),
        (
            PerformanceParams { confidence: 1.0, ..Default::default() },
            "parameter `confidence` must be between 0.5 and 1, got 1",
        ),
    ] {
        assert_eq!(backtest.performance(&params).unwrap_err().to_string(), message);
    }
}
