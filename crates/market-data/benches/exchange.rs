//! How fast answers of exchanges are read, in bytes of JSON.
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forecastle_core::{Timeframe, Timestamp};
use forecastle_market_data::{CandleQuery, Exchange, Market, Simulator, SimulatorParams};

/// 1000 candles as an exchange writes them: (exchange, market, rows in its layout).
fn bodies() -> Vec<(&'static str, Market, String)> {
    let parameters = SimulatorParams { n: 1000, seed: 1, ..Default::default() };
    let series = Simulator::new(parameters).unwrap().series().unwrap();
    let rows = |row: &dyn Fn(i64, [String; 5]) -> String| {
        let mut text = String::new();
        for candle in series.view().iter() {
            let numbers =
                [candle.open(), candle.high(), candle.low(), candle.close(), candle.volume()];
            let separator = if text.is_empty() { "" } else { "," };
            let row = row(candle.open_time().as_millis(), numbers.map(|n| format!("{n:.8}")));
            let _ = write!(text, "{separator}{row}");
        }
        text
    };
    let binance = rows(&|t, [o, h, l, c, v]| {
        let close = t + 3_599_999;
        format!(
            r#"[{t},"{o}","{h}","{l}","{c}","{v}",{close},"2434.19055334",308,"1756.87402397","28.46694368","0"]"#
        )
    });
    let hyperliquid = rows(&|t, [o, h, l, c, v]| {
        let close = t + 3_599_999;
        format!(
            r#"{{"t":{t},"T":{close},"s":"BTC","i":"1h","o":"{o}","c":"{c}","h":"{h}","l":"{l}","v":"{v}","n":17}}"#
        )
    });
    let deribit = {
        let column = |pick: &dyn Fn(&forecastle_core::Candle) -> String| {
            let values: Vec<String> = series.view().iter().map(|candle| pick(&candle)).collect();
            format!("[{}]", values.join(","))
        };
        format!(
            r#"{{"usOut":1,"result":{{"volume":{},"ticks":{},"status":"ok","open":{},"low":{},"high":{},"close":{}}}}}"#,
            column(&|c| c.volume().to_string()),
            column(&|c| c.open_time().as_millis().to_string()),
            column(&|c| c.open().to_string()),
            column(&|c| c.low().to_string()),
            column(&|c| c.high().to_string()),
            column(&|c| c.close().to_string()),
        )
    };
    let market = |id: &str, symbol: &str| Market::from_symbol(id, symbol).unwrap();
    vec![
        ("binance", market("BTCUSDT", "BTC/USDT"), format!("[{binance}]")),
        ("hyperliquid", market("0", "BTC/USDC:USDC"), format!("[{hyperliquid}]")),
        ("deribit", market("BTC-PERPETUAL", "BTC/USD:BTC"), deribit),
    ]
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange/parse/1_000");
    for (id, market, body) in bodies() {
        let exchange = Exchange::find(id).unwrap();
        let now = Timestamp::from_millis(1_760_000_000_000);
        let query = CandleQuery::new(&market, Timeframe::HOUR, now).limit(1000);
        assert_eq!(exchange.parse_candles(&query, body.as_bytes()).unwrap().len(), 1000, "{id}");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(id, |bencher| {
            bencher.iter(|| exchange.parse_candles(&query, black_box(body.as_bytes())).unwrap());
        });
    }
    group.finish();
    let exchange = Exchange::find("okx").unwrap();
    let market = Market::from_symbol("BTC-USDT", "BTC/USDT").unwrap();
    let now = Timestamp::from_millis(1_760_000_000_000);
    criterion.bench_function("exchange/request", |bencher| {
        let query = CandleQuery::new(&market, Timeframe::HOUR, now).since(now).limit(300);
        bencher.iter(|| exchange.candle_request(black_box(&query)).unwrap());
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
