//! The same trades as backtesting.py 0.6.6, on candles of our own making.
//!
//! `tests/reference/compare_backtesting.py --fixture` wrote the files, after it had found no
//! difference; its documentation says what is compared.

use forecastle_backtest::{Action, BacktestParams, Costs, Decision, ExitReason, Side, Sizing};
use forecastle_core::CandleSeries;
use serde::Deserialize;

use crate::series::hourly;

#[derive(Deserialize)]
struct DecisionRow {
    bar: usize,
    action: Action,
    stop_loss: Option<f64>,
    take_profit: Option<f64>,
    max_bars: Option<u32>,
}

#[derive(Deserialize)]
struct TradeRow {
    side: Side,
    size: f64,
    entry_bar: usize,
    exit_bar: usize,
    entry_price: f64,
    exit_price: f64,
    net: f64,
}

fn rows<T: for<'a> Deserialize<'a>>(text: &str) -> Vec<T> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

pub(crate) fn fixture() -> CandleSeries {
    let rows: Vec<(i64, f64, f64, f64, f64, f64)> = rows(include_str!("../data/candles.csv"));
    let prices: Vec<_> = rows.iter().map(|&(_, o, h, l, c, _)| (o, h, l, c)).collect();
    hourly(&prices)
}

/// Compares a scenario; returns how many trades ended for which reason.
fn equal_to_backtesting(
    decision_text: &str,
    trade_text: &str,
    equity_text: &str,
) -> impl Fn(ExitReason) -> usize + use<> {
    let series = fixture();
    let mut decisions = vec![Decision::KEEP; series.len()];
    for DecisionRow { bar, action, stop_loss, take_profit, max_bars } in rows(decision_text) {
        decisions[bar] = Decision { stop_loss, take_profit, max_bars, ..Decision::new(action) };
    }
    let equity: Vec<(usize, f64)> = rows(equity_text);
    let params = BacktestParams {
        initial_capital: equity[0].1,
        costs: Costs { fee_bps: 10.0, half_spread_bps: 0.0, slippage_bps: 0.0 },
        sizing: Sizing::Units(100.0),
        ..BacktestParams::default()
    };
    let backtest = params.run(series.view(), &decisions).unwrap();
    let expected: Vec<TradeRow> = rows(trade_text);
    assert_eq!(backtest.trades.len(), expected.len());
    for (ours, theirs) in backtest.trades.iter().zip(&expected) {
        let bars = (ours.side, ours.entry_bar, ours.exit_bar);
        assert_eq!(bars, (theirs.side, theirs.entry_bar, theirs.exit_bar));
        let prices = (ours.size, ours.entry_price, ours.exit_price);
        assert_eq!(prices, (theirs.size, theirs.entry_price, theirs.exit_price));
        assert!(
            (ours.net - theirs.net).abs() < 1e-9 * ours.traded(),
            "{} {}",
            ours.net,
            theirs.net
        );
    }
    for (bar, theirs) in equity {
        assert!((backtest.equity[bar] / theirs - 1.0).abs() < 1e-12, "{bar}");
    }
    let reasons: Vec<ExitReason> = backtest.trades.iter().map(|trade| trade.reason).collect();
    move |reason| reasons.iter().filter(|r| **r == reason).count()
}

macro_rules! scenario {
    ($name:literal) => {
        equal_to_backtesting(
            include_str!(concat!("../data/", $name, "_decisions.csv")),
            include_str!(concat!("../data/", $name, "_trades.csv")),
            include_str!(concat!("../data/", $name, "_equity.csv")),
        )
    };
}

#[test]
fn flips_between_long_short_and_flat_are_those_of_backtesting() {
    let count = scenario!("flips");
    assert_eq!((count(ExitReason::Reverse), count(ExitReason::Signal)), (15, 9));
}

#[test]
fn stops_and_targets_are_those_of_backtesting() {
    let count = scenario!("levels");
    assert_eq!((count(ExitReason::StopLoss), count(ExitReason::TakeProfit)), (15, 11));
}

#[test]
fn stops_that_move_are_those_of_backtesting() {
    let count = scenario!("trailing");
    assert_eq!((count(ExitReason::StopLoss), count(ExitReason::TakeProfit)), (32, 28));
}

#[test]
fn limited_stays_are_those_of_backtesting() {
    let count = scenario!("stays");
    assert_eq!((count(ExitReason::MaxBars), count(ExitReason::StopLoss)), (3, 7));
}
