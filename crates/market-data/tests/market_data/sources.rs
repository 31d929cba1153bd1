use std::task::{Context, Poll, Waker};

use forecastle_core::{
    BoxFuture, Candle, CandleRequest, CandleSource, CandleSourceExt, Result, Timestamp,
};
use forecastle_market_data::{
    FileSource, ReadOptions, SeriesSource, Simulator, SimulatorParams, write_csv,
};

fn run<T>(mut future: BoxFuture<'_, T>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a series is always ready"),
    }
}

fn source() -> SeriesSource {
    let params = SimulatorParams { n: 1_000, gap_probability: 0.05, ..Default::default() };
    SeriesSource::simulated(&Simulator::new(params).unwrap()).unwrap()
}

fn newest(source: &SeriesSource) -> CandleRequest {
    CandleRequest::new(source.series().symbol().clone(), source.series().timeframe())
}

#[test]
fn a_page_keeps_the_contract() {
    let source = source();
    let all: Vec<Candle> = source.series().view().iter().collect();
    let fetch = |request: CandleRequest| -> Result<Vec<Candle>> { run(source.fetch(&request)) };
    assert_eq!(fetch(newest(&source)).unwrap(), all);
    assert_eq!(fetch(newest(&source).limit(7)).unwrap(), all[993..]);
    let (from, to) = (all[100].open_time(), all[200].open_time());
    assert_eq!(fetch(newest(&source).since(from)).unwrap(), all[100..]);
    assert_eq!(fetch(newest(&source).since(from).until(to)).unwrap(), all[100..200]);
    assert_eq!(fetch(newest(&source).since(from).until(to).limit(5)).unwrap(), all[100..105]);
    assert_eq!(fetch(newest(&source).until(to).limit(5)).unwrap(), all[195..200]);
    assert_eq!(fetch(newest(&source).since(to).until(from)).unwrap(), []);
    let end = Timestamp::from_millis(i64::MAX);
    assert_eq!(fetch(newest(&source).since(end)).unwrap(), []);
    // Inside a gap or between candles: the first that exists from there on.
    let between = Timestamp::from_millis(from.as_millis() - 1);
    assert_eq!(fetch(newest(&source).since(between).limit(1)).unwrap(), all[100..101]);
}

#[test]
fn small_pages_add_up_to_everything() {
    let source = source().with_page_limit(64).unwrap();
    let all: Vec<Candle> = source.series().view().iter().collect();
    let request = newest(&source).since(Timestamp::from_millis(0));
    assert_eq!(run(source.fetch(&request)).unwrap().len(), 64);
    assert_eq!(run(source.fetch_all(&request)).unwrap(), all);
    assert!(source.with_page_limit(0).is_err());
}

#[test]
fn another_market_or_timeframe_is_refused() {
    let source = source();
    let frame = source.timeframes()[0];
    let other = CandleRequest::new("BTC/USDT".parse().unwrap(), frame);
    assert_eq!(
        run(source.fetch(&other)).unwrap_err().to_string(),
        "parameter `symbol` must be SIMULATED/USDT, got BTC/USDT"
    );
    let other = CandleRequest::new(source.series().symbol().clone(), "1d".parse().unwrap());
    assert_eq!(
        run(source.fetch(&other)).unwrap_err().to_string(),
        "parameter `timeframe` must be 1h, got 1d"
    );
}

#[test]
fn a_file_is_a_source_named_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sim.csv.gz");
    let simulated = source();
    write_csv(&path, simulated.series()).unwrap();
    let file = FileSource::open(&path, &ReadOptions::default()).unwrap();
    assert_eq!(file.id(), path.display().to_string());
    assert_eq!(file.timeframes(), simulated.timeframes());
    assert_eq!(file.report().rows_out, 1_000);
    assert!(file.info().has_volume);
    let request = CandleRequest::new("sim".parse().unwrap(), file.timeframes()[0]).limit(3);
    let expected: Vec<Candle> = simulated.series().tail(3).view().iter().collect();
    assert_eq!(run(file.fetch(&request)).unwrap(), expected);
}
