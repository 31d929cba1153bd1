//! How fast the download cache stores and reads candles.
#![allow(clippy::expect_used, reason = "a bench that cannot be set up should stop")]

use std::hint::black_box;
use std::ops::Range;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forecastle_core::{Candle, CandleSeries, Timestamp};
use forecastle_market_data::{CacheFormat, CacheKey, CandleCache, Simulator, SimulatorParams};

/// Simulated minutes with the four decimals that exchanges quote.
fn minutes(n: usize) -> CandleSeries {
    let timeframe = "1m".parse().expect("a timeframe");
    let simulator = Simulator::new(SimulatorParams { n, timeframe, ..Default::default() });
    let series = simulator.and_then(|s| s.series()).expect("the parameters are valid");
    let rounded = series.view().iter().map(|candle| {
        let [open, high, low, close, volume] =
            [candle.open(), candle.high(), candle.low(), candle.close(), candle.volume()]
                .map(|value| (value * 1e4).round() / 1e4);
        let rounded = Candle::new(candle.open_time(), open, high, low, close, volume);
        rounded.expect("rounding keeps the order")
    });
    let (symbol, timeframe) = (series.symbol().clone(), series.timeframe());
    CandleSeries::from_candles(symbol, timeframe, rounded).expect("times increase")
}

/// A page's range and candles.
type Page = (Range<Timestamp>, Vec<Candle>);

fn pages(series: &CandleSeries, length: usize) -> Vec<Page> {
    let candles: Vec<Candle> = series.view().iter().collect();
    let close = |candle: &Candle| {
        series.timeframe().next_open(candle.open_time()).expect("within the calendar")
    };
    candles.chunks(length).map(|c| (c[0].open_time()..close(&c[c.len() - 1]), c.to_vec())).collect()
}

fn store(cache: &CandleCache, key: &CacheKey, pages: &[Page]) {
    let now = Timestamp::from_millis(i64::MAX);
    for (covered, candles) in pages {
        cache.append(key, covered.clone(), candles, now).expect("the disk takes it");
    }
}

fn cache(criterion: &mut Criterion) {
    let series = minutes(1_000_000);
    let key = CacheKey::new("simulator", series.symbol().clone(), series.timeframe());
    let key = key.expect("a valid key");
    let everything = Timestamp::from_millis(0)..Timestamp::from_millis(i64::MAX);
    let mut group = criterion.benchmark_group("cache");
    group.sample_size(10);
    for format in [CacheFormat::Csv, CacheFormat::Parquet] {
        if !format.is_supported() {
            continue;
        }
        let name = format.extension();
        let open = || {
            let folder = tempfile::tempdir().expect("a folder");
            let cache = CandleCache::open(folder.path(), format).expect("an empty cache");
            (folder, cache)
        };
        let (_folder, full) = open();
        store(&full, &key, &pages(&series, 1_000_000));
        group.throughput(Throughput::Elements(1_000_000));
        group.bench_function(format!("read/{name}/1_000_000"), |b| {
            b.iter(|| full.read(&key, black_box(everything.clone())));
        });
        for (length, rows) in [(1_000_000, 1_000_000), (1_000, 100_000)] {
            let pages = pages(&series.slice(0..rows), length);
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_function(format!("append/{name}/{rows}/pages_of_{length}"), |b| {
                b.iter_batched(
                    open,
                    |(folder, cache)| {
                        store(&cache, &key, &pages);
                        folder
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        let (wanted, _) = &pages(&series, 1_000)[500];
        group.throughput(Throughput::Elements(1_000));
        group.bench_function(format!("missing/{name}"), |b| {
            b.iter(|| full.missing(&key, black_box(wanted.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, cache);
criterion_main!(benches);
