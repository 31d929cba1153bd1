//! How fast the replay server answers one keep-alive connection over loopback.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forecastle_market_data::{
    CandleQuery, Exchange, ReplayParams, ReplaySeries, ReplayServer, Simulator, SimulatorParams,
    sample_markets,
};

/// One request over a connection that stays; the length of the body.
fn ask(stream: &mut BufReader<TcpStream>, target: &str) -> usize {
    let head = format!("GET {target} HTTP/1.1\r\nHost: replay\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    length
}

fn pages(c: &mut Criterion) {
    let params = SimulatorParams { n: 1_000_000, ..Default::default() };
    let candles = Arc::new(Simulator::new(params).unwrap().series().unwrap());
    let middle = candles.view().open_time()[500_000];
    let now = candles.view().open_time()[999_999];
    let mut group = c.benchmark_group("replay");
    for id in ["binance", "bitfinex", "deribit", "upbit"] {
        let exchange = Exchange::find(id).unwrap();
        let markets = sample_markets(&exchange).unwrap().markets;
        let served = |m: &&_| {
            forecastle_market_data::Market::kind(m).is_some_and(|k| exchange.kinds().contains(&k))
        };
        let market = markets.iter().find(served).unwrap().clone();
        let series = ReplaySeries::new(exchange.clone(), market.clone(), candles.clone());
        let params = ReplayParams::new(vec![series], Arc::new(move || now));
        let server = ReplayServer::start(params).unwrap();
        let address = server.base_url().strip_prefix("http://").unwrap().to_owned();
        let there = exchange.with_base_url(&server.base_url()).unwrap();
        let mut stream = BufReader::new(TcpStream::connect(&address).unwrap());
        for rows in [1, 1_000] {
            let query =
                CandleQuery::new(&market, candles.timeframe(), now).since(middle).limit(rows);
            let request = there.candle_request(&query).unwrap();
            let target = request.url.strip_prefix(&server.base_url()).unwrap().to_owned();
            let length = ask(&mut stream, &target);
            group.throughput(Throughput::Bytes(length as u64));
            group.bench_function(format!("{id}/{rows}"), |b| b.iter(|| ask(&mut stream, &target)));
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = pages
}
criterion_main!(benches);
