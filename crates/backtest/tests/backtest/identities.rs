//! What holds whatever the candles, the decisions and the costs.

use forecastle_backtest::{
    Account, Action, Backtest, BacktestParams, Costs, Decision, ExitReason, Side, Sizing, Trade,
};
use forecastle_core::{Candle, CandleSeries};
use proptest::prelude::*;

use crate::series::{Plan, Shape, decisions, hourly, params, plans, shaped, shapes};

const BARS: usize = 60;

/// Costs of one side of a trade, from its fills.
fn side_costs(trade: &Trade, costs: &Costs, price: f64, fill: f64) -> f64 {
    trade.size * ((fill - price).abs() + costs.fee_bps / 1e4 * fill)
}

/// The equity that the trades alone give at a close.
fn equity_from_trades(trades: &[Trade], params: &BacktestParams, row: usize, close: f64) -> f64 {
    let part = |trade: &Trade| {
        if trade.exit_bar <= row {
            trade.gross - trade.costs
        } else if trade.entry_bar <= row {
            let paid = side_costs(trade, &params.costs, trade.entry_price, trade.entry_fill);
            trade.side.sign() * trade.size * (close - trade.entry_price) - paid
        } else {
            0.0
        }
    };
    params.initial_capital + trades.iter().map(part).sum::<f64>()
}

/// A trade without its money, which depends on sizes.
fn times_and_prices(trade: &Trade) -> (usize, f64, usize, f64, ExitReason) {
    (trade.entry_bar, trade.entry_price, trade.exit_bar, trade.exit_price, trade.reason)
}

fn run(params: &BacktestParams, series: &CandleSeries, plans: &[Plan]) -> Backtest {
    params.run(series.view(), &decisions(series, plans)).unwrap()
}

/// Other candles in front, the same ones behind.
fn with_other_past(series: &CandleSeries, past: &[Shape]) -> CandleSeries {
    let row = |c: Candle| (c.open(), c.high(), c.low(), c.close());
    let mut rows: Vec<_> = shaped(past).view().iter().map(row).collect();
    rows.extend(series.view().iter().skip(past.len()).map(row));
    hourly(&rows)
}

proptest! {
    #[test]
    fn prop_equity_is_the_start_and_the_trades_less_their_costs_at_every_bar(
        shapes in shapes(BARS..BARS + 1), plans in plans(BARS), params in params()
    ) {
        // What is open at the end has no row in the trades.
        let params = BacktestParams { close_at_end: true, ..params };
        let series = shaped(&shapes);
        let backtest = run(&params, &series, &plans);
        let turnover: f64 = backtest.trades.iter().map(Trade::traded).sum();
        for (row, (&equity, &close)) in
            backtest.equity.iter().zip(series.view().close()).enumerate()
        {
            let expected = equity_from_trades(&backtest.trades, &params, row, close);
            let scale = params.initial_capital.max(1e-3 * turnover);
            prop_assert!((equity - expected).abs() <= 1e-9 * scale, "{row}: {equity} {expected}");
        }
    }

    #[test]
    fn prop_a_trade_is_what_its_prices_and_the_costs_make_it(
        shapes in shapes(BARS..BARS + 1), plans in plans(BARS), params in params()
    ) {
        let series = shaped(&shapes);
        let all = decisions(&series, &plans);
        for trade in params.run(series.view(), &all).unwrap().trades {
            let view = series.view();
            let (entry, exit) = (trade.entry_bar, trade.exit_bar);
            prop_assert_eq!(trade.decision_bar + 1, entry);
            let action = if trade.side == Side::Long { Action::Long } else { Action::Short };
            prop_assert_eq!(all[trade.decision_bar].action, action);
            prop_assert_eq!(trade.entry_price, view.open()[entry]);
            prop_assert!(view.low()[exit] <= trade.exit_price && trade.exit_price <= view.high()[exit]);
            prop_assert_eq!(trade.bars_held, exit - entry);
            let sign = trade.side.sign();
            // Every fill is worse than its price, or equal to it.
            prop_assert!(sign * (trade.entry_fill - trade.entry_price) >= 0.0);
            prop_assert!(sign * (trade.exit_fill - trade.exit_price) <= 0.0);
            let costs = side_costs(&trade, &params.costs, trade.entry_price, trade.entry_fill)
                + side_costs(&trade, &params.costs, trade.exit_price, trade.exit_fill);
            prop_assert!((trade.costs - costs).abs() <= 1e-9 * costs.max(1e-9 * trade.traded()));
            let gross = sign * trade.size * (trade.exit_price - trade.entry_price);
            prop_assert!((trade.gross - gross).abs() <= 1e-12 * trade.traded());
            prop_assert_eq!(trade.net, trade.gross - trade.costs);
        }
    }

    #[test]
    fn prop_candles_up_to_the_decision_change_no_fill(
        shapes in shapes(BARS..BARS + 1),
        past in shapes(1..40),
        plans in plans(BARS),
        params in params(),
    ) {
        // Sizes by volatility depend on the past, and are meant to.
        let sizing = match params.sizing {
            Sizing::VolatilityTarget { max_leverage, .. } => Sizing::Fraction(max_leverage),
            other => other,
        };
        let params = BacktestParams { sizing, ..params };
        let series = shaped(&shapes);
        let other = with_other_past(&series, &past);
        let mut all = decisions(&series, &plans);
        // The first decision is made in the last candle that changes.
        all[..past.len() - 1].fill(Decision::KEEP);
        let (a, b) = (params.run(series.view(), &all).unwrap(), params.run(other.view(), &all).unwrap());
        prop_assert_eq!(&a.trades, &b.trades);
        prop_assert_eq!(a.equity, b.equity);
    }

    #[test]
    fn prop_candles_after_a_bar_change_nothing_up_to_it(
        shapes in shapes(BARS..BARS + 1),
        plans in plans(BARS),
        params in params(),
        k in 1..BARS,
    ) {
        let params = BacktestParams { close_at_end: false, ..params };
        let series = shaped(&shapes);
        let whole = run(&params, &series, &plans);
        let cut = run(&params, &series.slice(0..k), &plans);
        prop_assert_eq!(&cut.equity[..], &whole.equity[..k]);
        let until: Vec<_> = whole.trades.iter().copied().filter(|t| t.exit_bar < k).collect();
        prop_assert_eq!(&cut.trades, &until);
        // Closing at the end touches the last bar alone.
        let closed = run(&BacktestParams { close_at_end: true, ..params }, &series.slice(0..k), &plans);
        prop_assert_eq!(&closed.equity[..k - 1], &whole.equity[..k - 1]);
    }

    #[test]
    fn prop_the_account_driven_bar_by_bar_gives_the_same_bits(
        shapes in shapes(BARS..BARS + 1), plans in plans(BARS), params in params()
    ) {
        let series = shaped(&shapes);
        let batch = run(&params, &series, &plans);
        let mut account = Account::new(&params).unwrap();
        let (mut equity, mut trades) = (Vec::new(), Vec::new());
        for (candle, plan) in series.view().iter().zip(&plans) {
            equity.push(account.update(&candle, plan.at(candle.close())).unwrap());
            prop_assert_eq!(equity.last().copied(), Some(account.equity()));
            trades.extend_from_slice(account.closed());
        }
        if params.close_at_end && let Some(trade) = account.finish().unwrap() {
            trades.push(trade);
            equity.pop();
            equity.push(account.equity());
        }
        prop_assert_eq!(&batch.equity, &equity);
        prop_assert_eq!(&batch.trades, &trades);
        prop_assert_eq!(batch.position.as_ref(), account.position());
        prop_assert_eq!(batch.pending.as_ref(), account.pending());
        prop_assert_eq!(batch.bars_exposed, account.bars_exposed());
        prop_assert_eq!(batch.bankrupt, account.bankrupt());
        prop_assert_eq!(batch.skipped, account.skipped());
    }

    #[test]
    fn prop_doubled_costs_never_raise_the_result(
        shapes in shapes(BARS..BARS + 1), plans in plans(BARS), params in params()
    ) {
        let series = shaped(&shapes);
        let Costs { fee_bps, half_spread_bps, slippage_bps } = params.costs;
        let base = run(&params, &series, &plans);
        for costs in [
            Costs { fee_bps: 2.0 * fee_bps, ..params.costs },
            Costs { half_spread_bps: 2.0 * half_spread_bps, ..params.costs },
            Costs { slippage_bps: 2.0 * slippage_bps, ..params.costs },
        ] {
            let dearer = run(&BacktestParams { costs, ..params }, &series, &plans);
            // An account that ended owes what its last open left, whatever it paid before.
            prop_assume!(base.bankrupt.is_none() && dearer.bankrupt.is_none());
            let (cheap, dear) = (base.equity.last().unwrap(), dearer.equity.last().unwrap());
            prop_assert!(*dear <= cheap + 1e-9 * params.initial_capital, "{cheap} {dear}");
            let prices = |b: &Backtest| b.trades.iter().map(times_and_prices).collect::<Vec<_>>();
            prop_assert_eq!(prices(&base), prices(&dearer));
        }
    }

    #[test]
    fn prop_after_bankruptcy_nothing_is_traded(
        shapes in shapes(BARS..BARS + 1), plans in plans(BARS), leverage in 5.0..50.0
    ) {
        let sizing = Sizing::Fraction(leverage);
        let params = BacktestParams { sizing, ..BacktestParams::default() };
        let backtest = run(&params, &shaped(&shapes), &plans);
        match backtest.bankrupt {
            Some(bar) => {
                let left = backtest.equity[bar];
                prop_assert!(left <= 1e-6, "{left}");
                prop_assert!(backtest.equity[bar..].iter().all(|equity| *equity == left));
                prop_assert!(backtest.trades.iter().all(|trade| trade.entry_bar <= bar));
                prop_assert!(backtest.equity[..bar].iter().all(|equity| *equity > 0.0));
            }
            None => prop_assert!(backtest.equity.iter().all(|equity| *equity > 0.0)),
        }
    }
}
