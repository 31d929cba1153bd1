//! Many symbols: order, failures and threads.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use forecastle::core::{CandleSeries, Progress, ProgressEvent, Timestamp};
use forecastle::market_data::{
    CacheFormat, CacheKey, CandleCache, ReadOptions, Simulator, SimulatorParams, write_csv,
};
use forecastle::{
    Error, ModelKind, Panel, PanelParams, PanelRow, PanelSource, PanelSummary, Pipeline, Record,
    write_csv as write_table,
};

fn series(seed: u64, n: usize) -> CandleSeries {
    let made = Simulator::new(SimulatorParams { seed, n, ..Default::default() });
    let made = made.unwrap().series().unwrap();
    let symbol = format!("SIMULATED/S{seed}").parse().unwrap();
    CandleSeries::from_candles(symbol, made.timeframe(), made.view().iter()).unwrap()
}

fn pipeline() -> Pipeline {
    let models = [ModelKind::Ridge, ModelKind::Boosting];
    Pipeline::builder().models(models).horizon(3).threads(2).build().unwrap()
}

fn with(threads: usize, limit: Option<usize>) -> PanelParams {
    let mut params = PanelParams::default();
    (params.threads, params.limit) = (Some(threads), limit);
    params
}

fn rows(panel: &Panel) -> (Vec<PanelRow>, PanelSummary) {
    let mut rows = Vec::new();
    let summary = panel.forecast(&pipeline(), &(), |row| {
        rows.push(row);
        Ok(())
    });
    (rows, summary.unwrap())
}

fn table(rows: &[PanelRow]) -> String {
    let mut csv = Vec::new();
    write_table(rows.iter().cloned(), &mut csv).unwrap();
    String::from_utf8(csv).unwrap()
}

#[test]
fn a_folder_gives_one_row_a_file_in_order_whatever_fails_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("deeper")).unwrap();
    write_csv(path("a.csv"), &series(1, 500)).unwrap();
    write_csv(path("deeper/c.csv.gz"), &series(2, 400)).unwrap();
    write_csv(path("e.csv"), &series(3, 60)).unwrap();
    fs::write(path("b.csv"), "this is, no, file\nof, candles, at all\n").unwrap();
    fs::write(path("d.csv"), "").unwrap();
    fs::write(path("notes.md"), "not candles").unwrap();
    fs::write(path(".hidden.csv"), "not candles").unwrap();
    let open = |threads, limit| {
        let panel = Panel::directory(folder.path(), &ReadOptions::default()).unwrap();
        panel.with_params(with(threads, limit)).unwrap()
    };

    let (one, summary) = rows(&open(1, None));
    assert_eq!((summary.symbols, summary.failed, summary.without_models), (5, 2, 1));
    assert_eq!(summary.candles, 960);
    let names: Vec<&str> = one.iter().map(|row| row.key.symbol.as_str()).collect();
    assert_eq!(names, ["a", "b.csv", "d.csv", "c", "e"]);
    let reason = |i: usize| one[i].forecast.reason.clone().unwrap_or_default();
    assert!(reason(1).contains("b.csv") && reason(2).contains("d.csv"), "{}", reason(1));
    assert!(reason(4).contains("the models"), "{}", reason(4));
    assert!(one[0].forecast.row.is_some() && reason(0).is_empty());
    for threads in [2, 3, 16] {
        assert_eq!(table(&rows(&open(threads, None)).0), table(&one), "{threads} threads");
    }

    // The row of a panel is that of the pipeline alone.
    let alone = pipeline().fit(&series(1, 500)).unwrap();
    let report = alone.run(&series(1, 500)).unwrap();
    assert_eq!(one[0].forecast.row, report.forecast());
    let last = series(1, 500).tail(320);
    let limited = &rows(&open(2, Some(320))).0[0].forecast;
    assert_eq!(limited.row, pipeline().fit(&last).unwrap().run(&last).unwrap().forecast());
    assert_eq!(limited.candles, 320);
    assert_eq!(table(&one).lines().next().unwrap(), PanelRow::COLUMNS.join(","));
}

#[test]
fn a_cache_gives_the_rows_of_its_series() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(folder.path(), CacheFormat::Csv).unwrap();
    for seed in [1, 2] {
        let series = series(seed, 400);
        let key = CacheKey::new("paper", series.symbol().clone(), series.timeframe()).unwrap();
        let candles: Vec<_> = series.view().iter().collect();
        let end = Timestamp::from_millis(candles[399].open_time().as_millis() + 3_600_000);
        let later = Timestamp::from_millis(end.as_millis() + 30 * 86_400_000);
        cache.append(&key, candles[0].open_time()..end, &candles, later).unwrap();
    }
    let cached = Panel::directory(folder.path(), &ReadOptions::default()).unwrap();
    let memory = Panel::new([1, 2].map(|seed| PanelSource::series(series(seed, 400))));
    let (cached, memory) = (rows(&cached).0, rows(&memory).0);
    assert_eq!(cached.len(), 2);
    for (a, b) in cached.iter().zip(&memory) {
        assert_eq!(a.forecast, b.forecast);
        assert_eq!(a.key.exchange.as_deref(), Some("paper"));
        assert_eq!((&a.key.symbol, &a.key.timeframe), (&b.key.symbol, &b.key.timeframe));
    }
}

#[test]
fn folders_without_candles_and_parameters_out_of_range_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| Panel::directory(path, &ReadOptions::default());
    assert!(open(folder.path()).unwrap_err().is_invalid_input());
    let error = open(&folder.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, Error::Component { .. }), "{error:?}");
    for params in [with(0, None), with(1, Some(0))] {
        assert!(Panel::new([]).with_params(params).is_err());
    }
    assert_eq!(rows(&Panel::new([])).1, PanelSummary::default());
}

#[test]
fn work_that_panics_is_an_error_of_its_symbol_alone() {
    let panel = Panel::new((1..=3).map(|seed| PanelSource::series(series(seed, 50))));
    let mut results = Vec::new();
    let work = |input: forecastle::Result<forecastle::PanelInput>| {
        let symbol = input.unwrap().series.symbol().to_string();
        assert_ne!(symbol, "SIMULATED/S2", "on purpose");
        symbol
    };
    let each = |_, result| {
        results.push(result);
        Ok(())
    };
    panel.map(work, &(), each).unwrap();
    assert_eq!(results[0].as_deref().unwrap(), "SIMULATED/S1");
    assert!(results[1].as_ref().unwrap_err().to_string().contains("the work on a symbol"));
    assert_eq!(results[2].as_deref().unwrap(), "SIMULATED/S3");
}

/// Stops after some symbols.
struct StopAfter(usize, AtomicUsize);

impl Progress for StopAfter {
    fn update(&self, event: &ProgressEvent<'_>) {
        assert_eq!(event.total, Some(200));
        self.1.store(usize::try_from(event.done).unwrap(), Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed) >= self.0
    }
}

#[test]
fn a_panel_ends_early_when_it_is_cancelled_or_its_sink_fails() {
    let panel = Panel::new((0..200).map(|seed| PanelSource::series(series(seed, 20))));
    let panel = panel.with_params(with(2, None)).unwrap();
    let worked = AtomicUsize::new(0);
    let work = |_| {
        worked.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    let progress = StopAfter(10, AtomicUsize::new(0));
    let error = panel.map(work, &progress, |_, _| Ok(())).unwrap_err();
    assert!(error.is_cancelled());
    assert!(worked.swap(0, Ordering::Relaxed) < 100);
    let full = |_, _| Err(Error::numerical("the sink", "full"));
    assert!(matches!(panel.map(work, &(), full), Err(Error::Numerical { .. })));
    assert!(worked.load(Ordering::Relaxed) < 100);
}
