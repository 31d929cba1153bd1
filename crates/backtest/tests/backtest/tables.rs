//! Tables read back to the same bits, and settings travel as text.

use forecastle_backtest::{
    Action, Backtest, BacktestParams, Decision, Performance, PerformanceParams, Sizing, Trade,
};
use forecastle_core::Signal;

use crate::backtesting_parity::fixture;

fn backtest() -> Backtest {
    let decisions: Vec<Decision> = (0..600)
        .map(|t| match t % 20 {
            3 => Decision::long().with_stop(80.0),
            11 => Decision::short().with_max_bars(4),
            _ => Decision::KEEP,
        })
        .collect();
    BacktestParams::default().run(fixture().view(), &decisions).unwrap()
}

#[test]
fn trades_read_back_from_csv_to_the_same_bits() {
    let backtest = backtest();
    let mut text = Vec::new();
    backtest.write_trades_csv(&mut text).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_slice());
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), Trade::COLUMNS);
    let trades: Vec<Trade> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(trades, backtest.trades);
    assert!(trades.len() > 50);
}

#[test]
fn equity_reads_back_from_csv_with_its_drawdown() {
    let (backtest, series) = (backtest(), fixture());
    let mut text = Vec::new();
    backtest.write_equity_csv(series.view(), &mut text).unwrap();
    let rows: Vec<(i64, f64, f64)> =
        csv::Reader::from_reader(text.as_slice()).deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), backtest.equity);
    assert_eq!(rows[1].0, series.view().open_time()[1].as_millis());
    let deepest = rows.iter().map(|row| row.2).fold(0.0, f64::max);
    let performance = backtest.performance(&PerformanceParams::default()).unwrap();
    assert_eq!(deepest, performance.max_drawdown);
    let fewer = backtest.write_equity_csv(series.slice(0..599).view(), std::io::sink());
    assert_eq!(fewer.unwrap_err().to_string(), "candles must have 600 rows, got 599");
}

#[test]
fn without_trades_the_table_is_its_header() {
    let backtest = BacktestParams::default().run(fixture().view(), &[Decision::KEEP; 600]).unwrap();
    let mut text = Vec::new();
    backtest.write_trades_csv(&mut text).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), Trade::COLUMNS.join(",") + "\n");
}

#[test]
fn results_and_settings_travel_as_json() {
    let backtest = backtest();
    let performance = backtest.performance(&PerformanceParams::default()).unwrap();
    let text = serde_json::to_string(&performance).unwrap();
    assert_eq!(serde_json::from_str::<Performance>(&text).unwrap(), performance);
    assert!(text.contains(r#""probabilistic_sharpe":0."#), "{text}");
    let text = serde_json::to_string(&backtest).unwrap();
    assert_eq!(serde_json::from_str::<Backtest>(&text).unwrap(), backtest);
    let params: BacktestParams = serde_json::from_str(
        r#"{"costs": {"fee_bps": 4.5}, "sizing": {"volatility_target":
            {"annual": 0.3, "window": 24, "max_leverage": 2.0}}, "allow_short": false}"#,
    )
    .unwrap();
    assert_eq!((params.costs.fee_bps, params.costs.slippage_bps), (4.5, 5.0));
    let sizing = Sizing::VolatilityTarget { annual: 0.3, window: 24, max_leverage: 2.0 };
    assert_eq!((params.sizing, params.allow_short), (sizing, false));
    assert!(serde_json::from_str::<BacktestParams>(r#"{"fee": 1.0}"#).is_err());
    let decision: Decision =
        serde_json::from_str(r#"{"action": "long", "stop_loss": 9.5}"#).unwrap();
    assert_eq!(decision, Decision::long().with_stop(9.5));
}

#[test]
fn signals_name_actions() {
    let actions = [Signal::Buy, Signal::Sell, Signal::Hold].map(Action::from);
    assert_eq!(actions, [Action::Long, Action::Short, Action::Keep]);
}
