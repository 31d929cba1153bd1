//! Empty, short, constant and extreme input: never a panic, never a silent wrong number.

use forecastle_backtest::{
    Account, BacktestParams, Costs, Decision, ExitReason, PerformanceParams, RandomEntryParams,
    Sizing,
};
use forecastle_core::{Candle, CandleSeries, Error, Timestamp};

use crate::series::hourly;

fn figures_of(series: &CandleSeries, decisions: &[Decision]) -> forecastle_backtest::Comparison {
    let params = BacktestParams::default();
    let backtest = params.run(series.view(), decisions).unwrap();
    let random = RandomEntryParams { n_runs: 10, seed: 1 };
    params.compare(series.view(), &backtest, &PerformanceParams::default(), &random).unwrap()
}

#[test]
fn no_candle_and_one_candle_have_figures_that_are_undefined() {
    for n in [0, 1] {
        let series = hourly(&[(100.0, 100.0, 100.0, 100.0)][..n]);
        let found = figures_of(&series, &vec![Decision::long(); n]);
        let strategy = &found.strategy;
        assert_eq!((strategy.n_bars, strategy.final_equity), (n, 10_000.0));
        assert_eq!((strategy.years, strategy.cagr, strategy.sharpe), (None, None, None));
        assert_eq!((strategy.turnover, strategy.max_drawdown), (None, 0.0));
        assert_eq!(found.random_entry, None);
    }
}

#[test]
fn two_candles_hold_one_trade_that_ends_with_them() {
    let series = hourly(&[(100.0, 100.0, 100.0, 100.0), (100.0, 103.0, 99.0, 102.0)]);
    let found = figures_of(&series, &[Decision::long(); 2]);
    assert_eq!((found.strategy.n_trades, found.strategy.sharpe), (1, None));
    let random = found.random_entry.unwrap();
    assert_eq!((random.low_return, random.beaten), (random.total_return, 0.5));
}

#[test]
fn constant_prices_without_volume_cost_what_trading_costs() {
    let flat = (5.0, 5.0, 5.0, 5.0);
    let zero_volume = (0..50)
        .map(|i| Candle::new(Timestamp::from_millis(i * 60_000), 5.0, 5.0, 5.0, 5.0, 0.0).unwrap());
    let empty =
        CandleSeries::from_candles("BTC/USDT".parse().unwrap(), "1m".parse().unwrap(), zero_volume)
            .unwrap();
    let turns: Vec<Decision> =
        (0..50).map(|t| if t % 2 == 0 { Decision::long() } else { Decision::short() }).collect();
    let params = BacktestParams::default();
    let a = params.run(hourly(&[flat; 50]).view(), &turns).unwrap();
    let b = params.run(empty.view(), &turns).unwrap();
    assert_eq!(a.equity, b.equity);
    let paid: f64 = a.trades.iter().map(|trade| trade.costs).sum();
    assert!((a.equity[49] - (10_000.0 - paid)).abs() < 1e-8 && paid > 1_000.0);
}

#[test]
fn tiny_and_huge_prices_and_a_wick_of_ninety_deviations_keep_the_books() {
    for scale in [1e-8, 1.0, 1e12] {
        let rows: Vec<_> = (0..40)
            .map(|t| {
                let price = scale * (100.0 + f64::from(t % 7));
                let low = if t == 20 { price * 0.05 } else { price * 0.99 };
                (price, price * 1.01, low, price)
            })
            .collect();
        let mut decisions = [Decision::KEEP; 40];
        decisions[3] = Decision::long().with_stop(scale * 50.0);
        let params = BacktestParams { costs: Costs::default(), ..BacktestParams::default() };
        let backtest = params.run(hourly(&rows).view(), &decisions).unwrap();
        let trade = backtest.trades[0];
        assert_eq!((trade.exit_bar, trade.reason), (20, ExitReason::StopLoss));
        assert!((backtest.equity[39] - (10_000.0 + trade.net)).abs() < 1e-9);
        assert!((trade.net + 5_200.0).abs() < 200.0, "{trade:?}");
    }
}

#[test]
fn sizes_beyond_the_range_of_numbers_are_an_error() {
    let rows = [(1e200, 1e200, 1e200, 1e200); 4];
    let sizing = Sizing::Units(1e200);
    let params = BacktestParams { sizing, ..BacktestParams::default() };
    let found = params.run(hourly(&rows).view(), &[Decision::long(); 4]);
    assert!(matches!(found, Err(Error::Numerical { what: "position", .. })), "{found:?}");
    // A value that only later candles make too large.
    let mut rows = [(1.0, 1.0, 1.0, 1.0); 4];
    rows[2] = (1.0, 1e200, 1.0, 1e200);
    let params = BacktestParams { initial_capital: 1e250, ..params };
    let series = hourly(&rows);
    let found = params.run(series.view(), &[Decision::long(); 4]);
    assert!(matches!(found, Err(Error::Numerical { what: "equity", .. })), "{found:?}");
    let mut account = Account::new(&params).unwrap();
    let mut update = |row| account.update(&series.view().candle(row).unwrap(), Decision::long());
    assert!(update(0).is_ok() && update(1).is_ok() && update(2).is_err());
}

#[test]
fn lengths_and_parameters_are_checked() {
    let series = hourly(&[(1.0, 1.0, 1.0, 1.0); 3]);
    let default = BacktestParams::default();
    let short = default.run(series.view(), &[Decision::KEEP; 2]);
    let message = "decisions must have 3 rows, one a bar, got 2";
    assert_eq!(short.unwrap_err().to_string(), message);
    for (params, message) in [
        (
            BacktestParams { initial_capital: 0.0, ..default },
            "parameter `initial_capital` must be > 0 and finite, got 0",
        ),
        (
            BacktestParams { periods_per_year: Some(f64::NAN), ..default },
            "parameter `periods_per_year` must be > 0 and finite, got NaN",
        ),
        (
            BacktestParams { costs: Costs { fee_bps: f64::NAN, ..Costs::FREE }, ..default },
            "parameter `fee_bps` must be between 0 and 1000, got NaN",
        ),
        (
            BacktestParams { sizing: Sizing::Fraction(101.0), ..default },
            "parameter `fraction` must be > 0 and at most 100, got 101",
        ),
        (
            BacktestParams {
                sizing: Sizing::VolatilityTarget { annual: 0.1, window: 1, max_leverage: 1.0 },
                ..default
            },
            "parameter `window` must be >= 2, got 1",
        ),
    ] {
        let refused = params.run(series.view(), &[Decision::KEEP; 3]);
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
    let backtest = default.run(series.view(), &[Decision::KEEP; 3]).unwrap();
    let none = RandomEntryParams { n_runs: 0, seed: 7 };
    assert!(default.random_entry(series.view(), &backtest, &none).is_err());
    let other = hourly(&[(1.0, 1.0, 1.0, 1.0); 4]);
    let random = default.random_entry(other.view(), &backtest, &RandomEntryParams::default());
    assert!(matches!(random, Err(Error::Shape { .. })));
}
