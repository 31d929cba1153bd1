//! Cost of the rules and of the text, a row at a time.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forecastle_core::{Direction, Regime};
use forecastle_signals::{ForecastText, RuleInputs, RuleParams, Rules};

/// Rows that wander through all regimes and signals.
fn rows(n: usize) -> Vec<RuleInputs> {
    (0..n)
        .map(|i| {
            let z = 3.0 * (i as f64 * 0.7).sin();
            let (vwap, vwap_sigma) = (100.0, 2.0);
            let close = vwap + z * vwap_sigma;
            RuleInputs {
                close,
                high: close + 1.5,
                low: close - 1.5,
                vwap,
                vwap_sigma,
                vwap_z: z,
                atr: 1.0,
                linreg: close - 0.5,
                linreg_slope: 0.1,
                regime: Some(match z.abs() {
                    d if d <= 1.0 => Regime::MeanReversion,
                    d if d <= 2.0 => Regime::Transition,
                    _ => Regime::Trend,
                }),
                strength: (0.5 + 0.5 * z.abs()).min(2.0),
                direction: Some(if z > 0.0 { Direction::Bullish } else { Direction::Bearish }),
            }
        })
        .collect()
}

fn rules(c: &mut Criterion) {
    let rows = rows(1_000);
    let rules = Rules::new(RuleParams::default()).unwrap();
    let mut group = c.benchmark_group("rules");
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("evaluate/1_000", |b| {
        b.iter(|| {
            for row in &rows {
                black_box(rules.evaluate(black_box(row)));
            }
        });
    });
    let outputs: Vec<_> = rows.iter().map(|row| rules.evaluate(row)).collect();
    let mut text = String::with_capacity(256);
    group.bench_function("text/1_000", |b| {
        b.iter(|| {
            for (row, output) in rows.iter().zip(&outputs) {
                text.clear();
                write!(text, "{}", ForecastText::new(row, output, 5)).unwrap();
                black_box(&text);
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = rules
}
criterion_main!(benches);
