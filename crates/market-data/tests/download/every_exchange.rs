use std::sync::atomic::{AtomicUsize, Ordering};

use forecastle_core::{Candle, Timeframe};
use forecastle_market_data::{
    CandleQuery, DownloadRequest, Exchange, Faults, MarketKind, Paging, VolumeUnit, WireStyle,
};

use crate::venue::{NOW, Terms, Venue, block_on, candles, market_of, open_exchange};

const WANTED: usize = 2_500;

/// The shortest timeframe from a minute on.
fn timeframe_of(exchange: &Exchange, kind: MarketKind) -> Timeframe {
    let offered = exchange.timeframes(kind);
    *offered.iter().find(|t| t.nominal_millis() >= 60_000).unwrap()
}

/// Pages 2,500 candles of one kind of market in order; gives what differs.
fn page_through(id: &str, kind: MarketKind, seed: u64) -> Result<(), String> {
    let exchange = open_exchange(id);
    let Some(market) = market_of(&exchange, kind) else { return Ok(()) };
    let timeframe = timeframe_of(&exchange, kind);
    let probe = CandleQuery::new(&market, timeframe, NOW);
    let terms = exchange.candle_terms(&probe).map_err(|e| e.to_string())?;
    // Whoever gives its newest rows only has no more than one answer holds.
    let n = match (terms.paging, terms.max_rows) {
        (Paging::Recent, Some(most)) => WANTED.min(most as usize - 1),
        _ => WANTED,
    };
    let series = candles(timeframe, n, |_| false);
    let faults = Faults { seed, slow_pause_ms: 0, ..Faults::some() };
    let venue = Venue::open(&exchange, &market, &series, Terms { faults, ..Terms::default() });
    let expected: Vec<Candle> = series.view().iter().take(n).collect();
    let since = expected.first().map(Candle::open_time);
    let request = DownloadRequest::new(&market.symbol, timeframe).since(since);
    let done = block_on(venue.client.download(&request)).map_err(|e| {
        format!("{e}: {:?}", std::error::Error::source(&e).map(ToString::to_string))
    })?;
    let size = match (done.report.volume_converted, terms.volume) {
        (true, VolumeUnit::Contracts) => market.contract_size.unwrap(),
        _ => 1.0,
    };
    let got: Vec<Candle> = done.series.view().iter().collect();
    if got.len() != expected.len() {
        return Err(format!("{} candles of {n}: {:?}", got.len(), done.report));
    }
    for (got, expected) in got.iter().zip(&expected) {
        let prices = |c: &Candle| (c.open_time(), c.open(), c.high(), c.low(), c.close());
        if prices(got) != prices(expected) || got.volume() != expected.volume() * size {
            return Err(format!("{got:?} where {expected:?} was served"));
        }
    }
    Ok(())
}

#[test]
fn every_exchange_gives_2500_candles_in_order_through_faults() {
    let mut jobs: Vec<(&str, MarketKind)> = Vec::new();
    for id in Exchange::ids() {
        let exchange = open_exchange(id);
        let kinds = exchange.kinds();
        let served: Vec<MarketKind> =
            kinds.iter().copied().filter(|kind| market_of(&exchange, *kind).is_some()).collect();
        assert!(!served.is_empty(), "{id} has no sample of a market");
        jobs.extend(served.iter().map(|kind| (id, *kind)));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failures = Vec::new();
        while let Some((id, kind)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(failure) = page_through(id, *kind, 7) {
                failures.push(format!("{id} {kind}: {failure}"));
            }
        }
        failures
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), jobs.len(), failures.join("\n"));
    assert!(jobs.len() >= 120, "{}", jobs.len());
}

#[test]
fn numbers_as_texts_are_the_same_numbers() {
    use forecastle_market_data::{NumberStyle, RowOrder};
    for numbers in [NumberStyle::Json, NumberStyle::Text] {
        for order in [RowOrder::Ascending, RowOrder::Descending] {
            let exchange = open_exchange("okx");
            let market = market_of(&exchange, MarketKind::Spot).unwrap();
            let series = candles(Timeframe::MINUTE, 700, |_| false);
            let style = WireStyle { numbers, order, ..WireStyle::default() };
            let venue =
                Venue::open(&exchange, &market, &series, Terms { style, ..Terms::default() });
            let request = DownloadRequest::new(&market.symbol, Timeframe::MINUTE)
                .since(series.view().open_time().first().copied());
            let done = block_on(venue.client.download(&request)).unwrap();
            assert_eq!(done.series.view().close(), &series.view().close()[..700]);
        }
    }
}
