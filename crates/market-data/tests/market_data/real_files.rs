use std::path::Path;

use forecastle_market_data::{Provenance, ReadOptions, TimeEncoding, TimeResolution, read_candles};

/// Name, timeframe, rows, gaps, missing candles, candles without volume, first and last open time.
type Facts = (&'static str, &'static str, usize, usize, usize, usize, &'static str, &'static str);

/// Counted independently when the files were collected.
const FACTS: [Facts; 9] = [
    ("binance_BTCUSDT_1h", "1h", 23_988, 5, 12, 1, "2021-04-04 20:00:00", "2023-12-30 19:00:00"),
    ("binance_ETHUSDT_1h", "1h", 23_989, 5, 12, 1, "2021-04-04 20:00:00", "2023-12-30 20:00:00"),
    ("binance_EURUSDT_1h", "1h", 23_988, 5, 12, 1, "2021-04-04 21:00:00", "2023-12-30 20:00:00"),
    (
        "binance_USDPUSDT_1h",
        "1h",
        16_204,
        3,
        3_998,
        108,
        "2021-09-10 04:00:00",
        "2023-12-30 21:00:00",
    ),
    ("freqtrade_ETHBTC_5m", "5m", 5_760, 0, 0, 0, "2018-01-10 04:55:00", "2018-01-30 04:50:00"),
    (
        "freqtrade_UNITTESTBTC_1m",
        "1m",
        13_681,
        538,
        717,
        0,
        "2017-11-04 23:02:00",
        "2017-11-14 22:59:00",
    ),
    (
        "fxcm_GBPUSD_1m",
        "1m",
        30_117,
        111,
        11_644,
        30_117,
        "2012-02-01 00:00:00",
        "2012-03-01 00:00:00",
    ),
    (
        "backtestingpy_GOOG_1d",
        "1d",
        2_148,
        463,
        969,
        0,
        "2004-08-19 00:00:00",
        "2013-03-01 00:00:00",
    ),
    (
        "stockindicators_SPX_1d",
        "1d",
        8_111,
        1_755,
        3_645,
        2_215,
        "1990-01-02 00:00:00",
        "2022-03-10 00:00:00",
    ),
];

#[test]
fn real_files_load_as_their_manifest_says() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    if !folder.exists() {
        eprintln!("skipped: the real candles are not part of the project");
        return;
    }
    for (name, timeframe, rows, gaps, missing, zero_volume, first, last) in FACTS {
        let path = folder.join(format!("{name}.csv.gz"));
        let loaded = read_candles(&path, &ReadOptions::default()).unwrap();
        let (series, report, info) = (&loaded.series, loaded.report, &loaded.info);
        assert_eq!(series.symbol().to_string(), name);
        assert_eq!(series.timeframe().to_string(), timeframe, "{name}");
        assert_eq!((report.rows_in, report.rows_out), (rows, rows), "{name}");
        assert_eq!((report.gaps, report.missing), (gaps, missing), "{name}");
        assert!(!report.is_repaired(), "{name}: {report:?}");
        assert_eq!(info.time, TimeEncoding::Number(TimeResolution::Milliseconds), "{name}");
        assert_eq!(info.timeframe, Provenance::Inferred, "{name}");
        let view = series.view();
        let silent = view.volume().iter().filter(|&&v| v == 0.0).count();
        assert_eq!(silent, zero_volume, "{name}");
        assert_eq!(view.open_time().first().copied(), first.parse().ok(), "{name}");
        assert_eq!(view.open_time().last().copied(), last.parse().ok(), "{name}");
    }
}
