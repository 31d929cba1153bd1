//! Intervals around the naive forecast of real candles, and probabilities of their direction.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use flate2::read::GzDecoder;
use forecastle_ensemble::{
    AdaptiveConformalParams, ConformalParams, IntervalScore, ProbabilityCalibrationParams, Sides,
    StepSize,
};

#[path = "support/deciles.rs"]
mod deciles;
use deciles::deciles;

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

/// What a forecast that claims `share` of the last move to go on (or, below 0, to turn) says of its
/// own sign, raw and calibrated on pairs known at the time, and what happened; refitted every 500
/// bars, judged from bar 2,000 on.
fn directions(
    logs: &[f64],
    scales: &[f64],
    horizon: usize,
    share: f64,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let forecast = |t: usize| share * (logs[t] - logs[t - horizon]);
    let label = |t: usize| logs[t + horizon] - logs[t];
    let outcome = |t: usize| 0.5 + 0.5 * (forecast(t) * label(t) / forecast(t).abs()).signum();
    let tie = |t: usize| forecast(t) == 0.0 || label(t) == 0.0;
    let (mut raw, mut calibrated, mut happened) = (Vec::new(), Vec::new(), Vec::new());
    let mut pairs: (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for start in (500..logs.len() - horizon).step_by(500) {
        let known: Vec<usize> = (horizon..=start - horizon).collect();
        let errors: Vec<f64> = known.iter().map(|&t| label(t) - forecast(t)).collect();
        let sizes: Vec<f64> = known.iter().map(|&t| scales[t]).collect();
        let split = ConformalParams::default().fit_scaled(&errors, &sizes).unwrap();
        let end = (start + 500).min(logs.len() - horizon);
        let rows: Vec<usize> = (start..end).filter(|&t| !tie(t)).collect();
        let told: Vec<f64> =
            rows.iter().map(|&t| split.sign_probability_scaled(forecast(t), scales[t])).collect();
        if start >= 2000 {
            let n = pairs.0.len() - horizon;
            let params = ProbabilityCalibrationParams::default();
            let fitted = params.fit(&pairs.0[..n], &pairs.1[..n], horizon).unwrap();
            raw.extend(&told);
            calibrated.extend(told.iter().map(|p| fitted.probability(*p)));
            happened.extend(rows.iter().map(|&t| outcome(t)));
        }
        pairs.0.extend(told);
        pairs.1.extend(rows.iter().map(|&t| outcome(t)));
    }
    (raw, calibrated, happened)
}

#[test]
fn calibrated_probabilities_of_direction_hold_in_every_decile_where_raw_ones_do_not() {
    let mut worst_raw = 0.0_f64;
    for name in MARKETS {
        let Some((logs, scales)) = market(name) else {
            println!("skipped: ../shared/data/{name}.csv.gz is absent");
            return;
        };
        for horizon in [1, 5, 12] {
            for share in [-0.3, 0.3] {
                let (raw, calibrated, happened) = directions(&logs, &scales, horizon, share);
                for bin in deciles(&calibrated, &happened) {
                    println!("{name}, horizon {horizon}, {share}: {bin:?}");
                    let context = format!("{name}, horizon {horizon}, {share}: {bin:?}");
                    // Fewer rows are one stretch of a market whose hit rate drifts, or a tail:
                    // 250 independent rows alone have a standard error of 3.2 points.
                    assert!(bin.n < 3000 || bin.gap().abs() < 0.04, "{context}");
                }
                let table = deciles(&raw, &happened);
                let gaps = table.iter().filter(|bin| bin.n >= 200).map(|bin| bin.gap().abs());
                worst_raw = gaps.fold(worst_raw, f64::max);
            }
        }
    }
    assert!(worst_raw > 0.1, "{worst_raw}");
}
