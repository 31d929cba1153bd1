//! What fills where: each rule of the account on candles made for it.

use forecastle_backtest::{
    Account, Backtest, BacktestParams, Costs, Decision, ExitReason, Side, Sizing, Trade,
};
use forecastle_core::{CandleView, Error};

use crate::series::hourly;

type Row = (f64, f64, f64, f64);

const FLAT: Row = (100.0, 100.0, 100.0, 100.0);

fn free() -> BacktestParams {
    BacktestParams { costs: Costs::FREE, sizing: Sizing::Units(1.0), ..BacktestParams::default() }
}

fn run(params: BacktestParams, rows: &[Row], decisions: &[(usize, Decision)]) -> Backtest {
    let series = hourly(rows);
    let mut all = vec![Decision::KEEP; rows.len()];
    for &(bar, decision) in decisions {
        all[bar] = decision;
    }
    params.run(series.view(), &all).unwrap()
}

/// Bars and prices of entry and exit, and the reason.
fn fills(trades: &[Trade]) -> Vec<(usize, f64, usize, f64, ExitReason)> {
    let fill = |t: &Trade| (t.entry_bar, t.entry_price, t.exit_bar, t.exit_price, t.reason);
    trades.iter().map(fill).collect()
}

#[test]
fn a_decision_fills_at_the_next_open() {
    let rows = [FLAT, (101.0, 106.0, 100.0, 105.0), (107.0, 109.0, 106.0, 108.0), FLAT];
    let backtest = run(free(), &rows, &[(0, Decision::long()), (1, Decision::EXIT)]);
    assert_eq!(fills(&backtest.trades), [(1, 101.0, 2, 107.0, ExitReason::Signal)]);
    assert_eq!(backtest.equity, [10_000.0, 10_004.0, 10_006.0, 10_006.0]);
    assert_eq!((backtest.trades[0].decision_bar, backtest.bars_exposed), (0, 1));
}

#[test]
fn the_last_decision_waits_and_is_handed_back() {
    let backtest = run(free(), &[FLAT, FLAT], &[(1, Decision::short())]);
    assert_eq!(backtest.pending, Some(Decision::short()));
    assert!(backtest.trades.is_empty());
}

#[test]
fn a_touched_level_fills_at_the_level() {
    let stop = Decision::long().with_stop(98.0).with_take_profit(103.0);
    let rows = |bar| [FLAT, FLAT, bar, FLAT];
    let low = run(free(), &rows((100.0, 101.0, 98.0, 99.0)), &[(0, stop)]);
    assert_eq!(fills(&low.trades), [(1, 100.0, 2, 98.0, ExitReason::StopLoss)]);
    let high = run(free(), &rows((100.0, 103.0, 99.0, 99.0)), &[(0, stop)]);
    assert_eq!(fills(&high.trades), [(1, 100.0, 2, 103.0, ExitReason::TakeProfit)]);
    let neither = run(free(), &rows((100.0, 102.99, 98.01, 99.0)), &[(0, stop)]);
    assert_eq!(fills(&neither.trades), [(1, 100.0, 3, 100.0, ExitReason::EndOfData)]);
}

#[test]
fn where_both_levels_are_touched_the_stop_counts_on_both_sides() {
    let wide = (100.0, 110.0, 90.0, 105.0);
    let long = Decision::long().with_stop(98.0).with_take_profit(103.0);
    let short = Decision::short().with_stop(103.0).with_take_profit(98.0);
    for (decision, price) in [(long, 98.0), (short, 103.0)] {
        let later = run(free(), &[FLAT, FLAT, wide], &[(0, decision)]);
        assert_eq!(fills(&later.trades), [(1, 100.0, 2, price, ExitReason::StopLoss)]);
        let at_once = run(free(), &[FLAT, wide, FLAT], &[(0, decision)]);
        assert_eq!(fills(&at_once.trades), [(1, 100.0, 1, price, ExitReason::StopLoss)]);
    }
}

#[test]
fn a_gap_through_a_level_fills_at_the_open() {
    let long = Decision::long().with_stop(98.0).with_take_profit(103.0);
    let short = Decision::short().with_stop(103.0).with_take_profit(98.0);
    let (below, above) = ((95.0, 96.0, 94.0, 95.0), (107.0, 108.0, 106.0, 107.0));
    for (decision, bar, price, reason) in [
        (long, below, 95.0, ExitReason::StopLoss),
        (long, above, 107.0, ExitReason::TakeProfit),
        (short, above, 107.0, ExitReason::StopLoss),
        (short, below, 95.0, ExitReason::TakeProfit),
    ] {
        let backtest = run(free(), &[FLAT, FLAT, bar], &[(0, decision)]);
        assert_eq!(fills(&backtest.trades), [(1, 100.0, 2, price, reason)]);
    }
    // The open is the first price: beyond the target, it fills there whatever the bar touches later.
    let wild = (107.0, 108.0, 90.0, 95.0);
    let backtest = run(free(), &[FLAT, FLAT, wild], &[(0, long)]);
    assert_eq!(fills(&backtest.trades), [(1, 100.0, 2, 107.0, ExitReason::TakeProfit)]);
}

#[test]
fn an_entry_beyond_its_own_level_leaves_at_that_open_and_pays_for_it() {
    let gapped = (95.0, 99.0, 94.0, 98.0);
    let params = BacktestParams { costs: Costs::default(), ..free() };
    let backtest = run(params, &[FLAT, gapped, FLAT], &[(0, Decision::long().with_stop(97.0))]);
    assert_eq!(fills(&backtest.trades), [(1, 95.0, 1, 95.0, ExitReason::StopLoss)]);
    let trade = backtest.trades[0];
    assert_eq!((trade.gross, trade.bars_held), (0.0, 0));
    assert!((trade.costs - 2.0 * 95.0 * 16e-4).abs() < 1e-6, "{trade:?}");
    assert_eq!(backtest.equity[1], 10_000.0 + trade.net);
}

#[test]
fn a_reversal_closes_and_enters_at_the_same_open() {
    let rows = [FLAT, FLAT, (104.0, 105.0, 103.0, 104.0), (101.0, 102.0, 100.0, 101.0)];
    let backtest = run(free(), &rows, &[(0, Decision::long()), (1, Decision::short())]);
    assert_eq!(
        fills(&backtest.trades),
        [(1, 100.0, 2, 104.0, ExitReason::Reverse), (2, 104.0, 3, 101.0, ExitReason::EndOfData)]
    );
    assert_eq!(
        backtest.trades.iter().map(|t| t.side).collect::<Vec<_>>(),
        [Side::Long, Side::Short]
    );
    assert_eq!(backtest.equity[3], 10_007.0);
}

#[test]
fn without_shorts_a_short_decision_only_leaves() {
    let params = BacktestParams { allow_short: false, ..free() };
    let decisions = [(0, Decision::long()), (1, Decision::short()), (2, Decision::short())];
    let backtest = run(params, &[FLAT; 5], &decisions);
    assert_eq!(fills(&backtest.trades), [(1, 100.0, 2, 100.0, ExitReason::Signal)]);
    assert_eq!(backtest.skipped.short_not_allowed, 2);
}

#[test]
fn levels_move_with_later_decisions_from_the_next_open_on() {
    let rows = [FLAT, FLAT, (100.0, 106.0, 97.0, 105.0), (105.0, 106.0, 102.0, 103.0), FLAT];
    let trail = Decision::KEEP.with_stop(103.0);
    let entry = Decision::long().with_stop(90.0).with_take_profit(120.0);
    // Decided at the close of bar 2, whose low is below the new stop already: it holds from bar 3 on.
    let backtest = run(free(), &rows, &[(0, entry), (2, trail)]);
    assert_eq!(fills(&backtest.trades), [(1, 100.0, 3, 103.0, ExitReason::StopLoss)]);
    let renewed = run(free(), &rows, &[(0, entry), (2, Decision::long().with_stop(103.0))]);
    assert_eq!(renewed.trades, backtest.trades);
    // Levels that are not given stay.
    let kept = run(
        free(),
        &[FLAT, FLAT, FLAT, (125.0, 125.0, 125.0, 125.0)],
        &[(0, entry), (1, Decision::KEEP.with_stop(95.0))],
    );
    assert_eq!(fills(&kept.trades), [(1, 100.0, 3, 125.0, ExitReason::TakeProfit)]);
}

#[test]
fn the_longest_stay_counts_from_the_fill_of_the_decision_that_set_it() {
    let entry = Decision::long().with_max_bars(2);
    let once = run(free(), &[FLAT; 8], &[(0, entry)]);
    assert_eq!(fills(&once.trades), [(1, 100.0, 3, 100.0, ExitReason::MaxBars)]);
    let renewed = run(free(), &[FLAT; 8], &[(0, entry), (1, entry)]);
    assert_eq!(fills(&renewed.trades), [(1, 100.0, 4, 100.0, ExitReason::MaxBars)]);
    let other_side = run(free(), &[FLAT; 8], &[(0, entry), (2, Decision::short())]);
    assert_eq!(other_side.trades[0].reason, ExitReason::Reverse);
    assert_eq!(other_side.trades[1].exit_bar, 7);
}

#[test]
fn spread_and_slippage_worsen_market_orders_and_stops_and_targets_pay_the_spread_alone() {
    let costs = Costs { fee_bps: 10.0, half_spread_bps: 20.0, slippage_bps: 30.0 };
    let params = BacktestParams { costs, ..free() };
    let entry = Decision::long().with_stop(90.0).with_take_profit(110.0);
    let stopped = run(params, &[FLAT, FLAT, (95.0, 95.0, 90.0, 95.0)], &[(0, entry)]).trades[0];
    assert!((stopped.entry_fill - 100.5).abs() < 1e-12, "{stopped:?}");
    assert!((stopped.exit_fill - 90.0 * 0.995).abs() < 1e-12, "{stopped:?}");
    let expected = 0.5 + 0.45 + 1e-3 * (100.5 + 90.0 * 0.995);
    assert!((stopped.costs - expected).abs() < 1e-12, "{stopped:?}");
    assert_eq!((stopped.gross, stopped.net), (-10.0, -10.0 - stopped.costs));
    let target = run(params, &[FLAT, FLAT, (105.0, 110.0, 105.0, 105.0)], &[(0, entry)]).trades[0];
    assert!((target.exit_fill - 110.0 * 0.998).abs() < 1e-12, "{target:?}");
    // A short sells lower and buys back higher.
    let short = run(params, &[FLAT; 3], &[(0, Decision::short())]).trades[0];
    assert!((short.entry_fill - 99.5).abs() < 1e-12 && (short.exit_fill - 100.5).abs() < 1e-12);
    assert!((short.costs - (1.0 + 1e-3 * 200.0)).abs() < 1e-12, "{short:?}");
}

#[test]
fn a_fraction_of_one_spends_all_and_borrows_nothing() {
    let params = BacktestParams { sizing: Sizing::Fraction(1.0), ..BacktestParams::default() };
    let backtest = run(params, &[FLAT; 3], &[(0, Decision::long())]);
    let trade = backtest.trades[0];
    let spent = trade.size * trade.entry_fill * (1.0 + 10e-4);
    assert!((spent - 10_000.0).abs() < 1e-8, "{spent}");
    let half = run(params, &[FLAT; 3], &[(0, Decision::long().with_scale(0.5))]).trades[0];
    assert!((half.size / trade.size - 0.5).abs() < 1e-15 && half.scale == 0.5);
    let none = run(params, &[FLAT; 3], &[(0, Decision::long().with_scale(0.0))]);
    assert_eq!((none.trades.len(), none.skipped.zero_size), (0, 1));
}

#[test]
fn a_volatility_target_sees_the_closes_up_to_the_decision() {
    // Log returns ±0.01 by turns: deviation 0.01·√(4/3) over 4 returns, ddof 1.
    let close = |t: usize| if t.is_multiple_of(2) { 100.0 } else { 100.0 * 0.01_f64.exp() };
    let mut rows: Vec<Row> = (0..10).map(|t| (close(t), close(t), close(t), close(t))).collect();
    rows[7] = (100.0, 300.0, 50.0, 200.0);
    let sizing = Sizing::VolatilityTarget { annual: 0.2, window: 4, max_leverage: 10.0 };
    let params = BacktestParams { sizing, costs: Costs::FREE, ..BacktestParams::default() };
    let backtest = run(params, &rows, &[(3, Decision::long()), (6, Decision::long())]);
    assert_eq!(backtest.skipped.volatility_unknown, 1);
    let trade = backtest.trades[0];
    let annual = 0.01 * (4.0_f64 / 3.0).sqrt() * (365.25_f64 * 24.0).sqrt();
    let expected = 0.2 / annual * 10_000.0 / 100.0;
    assert!((trade.size / expected - 1.0).abs() < 1e-12, "{} {expected}", trade.size);
    let given = BacktestParams { periods_per_year: Some(365.25 * 6.0), ..params };
    let twice = run(given, &rows, &[(6, Decision::long())]).trades[0];
    assert!((twice.size / trade.size - 2.0).abs() < 1e-12);
    // A market that does not move would have infinitely much: the largest leverage.
    let still = run(params, &[FLAT; 8], &[(5, Decision::long().with_scale(0.3))]).trades[0];
    assert_eq!(still.size, 10.0 * 10_000.0 / 100.0);
}

#[test]
fn an_account_with_nothing_left_is_closed() {
    let params = BacktestParams { sizing: Sizing::Fraction(4.0), ..BacktestParams::default() };
    let crash = (100.0, 100.0, 60.0, 95.0);
    let again = (3, Decision::long());
    let backtest = run(params, &[FLAT, FLAT, crash, FLAT, FLAT], &[(0, Decision::long()), again]);
    assert_eq!((backtest.bankrupt, backtest.skipped.bankrupt), (Some(2), 1));
    let trade = backtest.trades[0];
    assert_eq!((backtest.trades.len(), trade.reason), (1, ExitReason::Bankrupt));
    assert!(trade.exit_price > 75.0 && trade.exit_price < 76.0, "{trade:?}");
    assert!(backtest.equity[2..].iter().all(|equity| equity.abs() < 1e-8), "{backtest:?}");
    // Where the market opens beyond, more is lost than there was.
    let gap = (50.0, 50.0, 50.0, 50.0);
    let owed = run(params, &[FLAT, FLAT, gap, FLAT], &[(0, Decision::long())]);
    assert_eq!(owed.trades[0].exit_price, 50.0);
    assert!(owed.equity[2] < -9_000.0 && owed.equity[3] == owed.equity[2], "{:?}", owed.equity);
    // A stop before that price saves the account.
    let stopped = run(params, &[FLAT, FLAT, crash], &[(0, Decision::long().with_stop(90.0))]);
    assert_eq!((stopped.trades[0].reason, stopped.bankrupt), (ExitReason::StopLoss, None));
    // A short without leverage loses all when the price doubles.
    let params = BacktestParams { sizing: Sizing::Fraction(1.0), ..params };
    let squeeze =
        run(params, &[FLAT, FLAT, (100.0, 250.0, 100.0, 120.0)], &[(0, Decision::short())]);
    assert_eq!((squeeze.bankrupt, squeeze.trades[0].reason), (Some(2), ExitReason::Bankrupt));
    assert!((squeeze.trades[0].exit_price - 199.4).abs() < 0.5, "{:?}", squeeze.trades[0]);
}

#[test]
fn a_position_may_stay_open_at_the_end() {
    let params = BacktestParams { close_at_end: false, ..free() };
    let rows = [FLAT, FLAT, (102.0, 103.0, 101.0, 103.0)];
    let backtest = run(params, &rows, &[(0, Decision::long())]);
    assert_eq!((backtest.trades.len(), backtest.equity[2]), (0, 10_003.0));
    assert_eq!(backtest.position.map(|p| (p.entry_bar, p.entry_price)), Some((1, 100.0)));
}

#[test]
fn an_account_refuses_what_it_cannot_take_and_stays_as_it_was() {
    let series = hourly(&[FLAT; 3]);
    let candle = |view: CandleView<'_>, row| view.candle(row).unwrap();
    let mut account = Account::new(&free()).unwrap();
    account.update(&candle(series.view(), 1), Decision::long()).unwrap();
    let before = account.clone();
    let again = account.update(&candle(series.view(), 1), Decision::KEEP);
    assert!(matches!(again, Err(Error::OutOfOrder { row: 1, .. })));
    for (decision, message) in [
        (Decision::long().with_stop(0.0), "parameter `stop_loss` must be > 0 and finite, got 0"),
        (
            Decision::KEEP.with_take_profit(f64::NAN),
            "parameter `take_profit` must be > 0 and finite, got NaN",
        ),
        (Decision::long().with_max_bars(0), "parameter `max_bars` must be >= 1, got 0"),
        (Decision::long().with_scale(-1.0), "parameter `scale` must be >= 0 and finite, got -1"),
    ] {
        let refused = account.update(&candle(series.view(), 2), decision);
        assert_eq!(refused.unwrap_err().to_string(), message);
        let batch = free().run(series.view(), &[Decision::KEEP, decision, Decision::KEEP]);
        assert_eq!(batch.unwrap_err().to_string(), message);
    }
    assert_eq!(account, before);
    account.update(&candle(series.view(), 2), Decision::KEEP).unwrap();
    assert_eq!(account.position().map(|p| p.side), Some(Side::Long));
}
