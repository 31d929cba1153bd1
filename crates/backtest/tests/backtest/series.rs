//! Candles and decisions that the tests share.

use forecastle_backtest::{BacktestParams, Costs, Decision, Sizing};
use forecastle_core::{Candle, CandleSeries, Timestamp};
use proptest::prelude::*;

pub(crate) const HOUR: i64 = 3_600_000;

/// Hourly candles from (open, high, low, close).
pub(crate) fn hourly(rows: &[(f64, f64, f64, f64)]) -> CandleSeries {
    let candle = |(i, &(open, high, low, close)): (usize, &(f64, f64, f64, f64))| {
        Candle::new(Timestamp::from_millis(i as i64 * HOUR), open, high, low, close, 1.0).unwrap()
    };
    let candles: Vec<Candle> = rows.iter().enumerate().map(candle).collect();
    CandleSeries::from_candles("BTC/USDT".parse().unwrap(), "1h".parse().unwrap(), candles).unwrap()
}

/// A candle relative to the close before: gap, body, upper and lower wick.
pub(crate) type Shape = (f64, f64, f64, f64);

/// Candles whose shapes follow each other from a price of 100.
pub(crate) fn shaped(shapes: &[Shape]) -> CandleSeries {
    let mut close = 100.0;
    let rows: Vec<_> = shapes
        .iter()
        .map(|&(gap, body, up, down)| {
            let open = close * (1.0 + gap);
            close = open * (1.0 + body);
            (open, open.max(close) * (1.0 + up), open.min(close) * (1.0 - down), close)
        })
        .collect();
    hourly(&rows)
}

pub(crate) fn shapes(bars: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Shape>> {
    let gap = prop_oneof![3 => Just(0.0), 2 => -0.04..0.04];
    prop::collection::vec((gap, -0.03..0.03, 0.0..0.02, 0.0..0.02), bars)
}

/// A decision relative to a close; levels may be on the wrong side of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) decision: Decision,
    stop: Option<f64>,
    target: Option<f64>,
}

impl Plan {
    pub(crate) fn at(&self, close: f64) -> Decision {
        Decision {
            stop_loss: self.stop.map(|distance| close * (1.0 + distance)),
            take_profit: self.target.map(|distance| close * (1.0 + distance)),
            ..self.decision
        }
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let action = prop_oneof![
        6 => Just(Decision::KEEP),
        1 => Just(Decision::EXIT),
        2 => Just(Decision::long()),
        2 => Just(Decision::short()),
    ];
    let distance = || prop::option::weighted(0.4, prop_oneof![-0.06..0.02, -0.02..0.06]);
    let stay = prop::option::weighted(0.2, 1_u32..8);
    let scale = prop_oneof![Just(1.0), 0.2..1.5];
    (action, distance(), distance(), stay, scale).prop_map(
        |(decision, stop, target, max_bars, scale)| {
            let idle = decision == Decision::KEEP;
            let rarely = |level: Option<f64>| level.filter(|distance| !idle || *distance < -0.03);
            let decision = Decision { max_bars: max_bars.filter(|_| !idle), scale, ..decision };
            Plan { decision, stop: rarely(stop), target: rarely(target).filter(|_| !idle) }
        },
    )
}

pub(crate) fn plans(bars: usize) -> impl Strategy<Value = Vec<Plan>> {
    prop::collection::vec(plan(), bars)
}

/// The plans at a series' closes; where there are more plans than candles, the first ones.
pub(crate) fn decisions(series: &CandleSeries, plans: &[Plan]) -> Vec<Decision> {
    series.view().close().iter().zip(plans).map(|(&close, plan)| plan.at(close)).collect()
}

pub(crate) fn params() -> impl Strategy<Value = BacktestParams> {
    let costs =
        (0.0..40.0, 0.0..10.0, 0.0..20.0).prop_map(|(fee_bps, half_spread_bps, slippage_bps)| {
            Costs { fee_bps, half_spread_bps, slippage_bps }
        });
    let sizing = prop_oneof![
        (0.1..3.0).prop_map(Sizing::Fraction),
        (0.1..150.0).prop_map(Sizing::Units),
        (0.05..3.0, 2_usize..10, 0.5..3.0).prop_map(|(annual, window, max_leverage)| {
            Sizing::VolatilityTarget { annual, window, max_leverage }
        }),
    ];
    (costs, sizing, any::<bool>(), any::<bool>()).prop_map(
        |(costs, sizing, allow_short, close_at_end)| BacktestParams {
            costs,
            sizing,
            allow_short,
            close_at_end,
            ..BacktestParams::default()
        },
    )
}
