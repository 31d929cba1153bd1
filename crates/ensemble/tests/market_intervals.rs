//! Coverage of intervals around the naive forecast of real candles.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use flate2::read::GzDecoder;
use forecastle_ensemble::{AdaptiveConformalParams, IntervalScore, Sides, StepSize};

const MARKETS: [&str; 4] =
    ["binance_BTCUSDT_1h", "binance_ETHUSDT_1h", "binance_EURUSDT_1h", "stockindicators_SPX_1d"];

/// Log closes and, in step, Wilder's ATR of 14 bars over close; `None` without the file.
fn market(name: &str) -> Option<(Vec<f64>, Vec<f64>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let file = File::open(folder.join(format!("{name}.csv.gz"))).ok()?;
    let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
    let column = |names: &csv::StringRecord, name: &str| names.iter().position(|n| n == name);
    let names = reader.headers().unwrap().clone();
    let [high, low, close] = ["high", "low", "close"].map(|n| column(&names, n).unwrap());
    let (mut logs, mut scales) = (Vec::new(), Vec::new());
    let (mut atr, mut before) = (0.0, None);
    for record in reader.records() {
        let record = record.unwrap();
        let [high, low, close] = [high, low, close].map(|i| record[i].parse::<f64>().unwrap());
        let previous = before.unwrap_or(close);
        let range = high.max(previous) - low.min(previous);
        let n = (logs.len() + 1).min(14) as f64;
        atr += (range - atr) / n;
        before = Some(close);
        logs.push(close.ln());
        scales.push((atr / close).max(1e-6));
    }
    Some((logs, scales))
}

/// Walks the bars in order: every label is learnt from when it is known, then the bar's interval is
/// issued. Judges what was issued from bar `from` on.
fn walk(
    params: AdaptiveConformalParams,
    logs: &[f64],
    scales: &[f64],
    from: usize,
) -> IntervalScore {
    let horizon = params.horizon;
    let mut conformal = params.start().unwrap();
    let mut pending = VecDeque::new();
    let (mut targets, mut intervals) = (Vec::new(), Vec::new());
    for t in 0..logs.len() {
        if t >= horizon {
            let label = logs[t] - logs[t - horizon];
            let issued = pending.pop_front().unwrap();
            conformal.observe(&issued, label).unwrap();
            if t - horizon >= from {
                targets.push(label / scales[t - horizon]);
                let (lower, upper) = issued.interval();
                intervals.push((lower / scales[t - horizon], upper / scales[t - horizon]));
            }
        }
        pending.push_back(conformal.issue(0.0, scales[t]).unwrap());
    }
    IntervalScore::of(&targets, &intervals, params.coverage).unwrap()
}

#[test]
fn intervals_of_four_markets_cover_what_they_promise_at_every_horizon() {
    for name in MARKETS {
        let Some((logs, scales)) = market(name) else {
            println!("skipped: ../shared/data/{name}.csv.gz is absent");
            return;
        };
        for horizon in [1, 5, 12] {
            for (step, sides) in [
                (StepSize::Fixed(0.005), Sides::Symmetric),
                (StepSize::Fixed(0.005), Sides::Asymmetric),
                (StepSize::Aggregated, Sides::Symmetric),
            ] {
                let params = AdaptiveConformalParams { step, sides, horizon, ..Default::default() };
                let judged = walk(params, &logs, &scales, 500);
                let context = format!("{name}, horizon {horizon}, {step:?}, {sides:?}: {judged:?}");
                println!("{context}");
                assert!((judged.coverage - 0.9).abs() < 0.015, "{context}");
                // Not bought with width: the normal quantiles for errors of one ATR are 3.3 apart.
                assert!(judged.mean_width < 4.5 * (horizon as f64).sqrt(), "{context}");
            }
        }
    }
}
