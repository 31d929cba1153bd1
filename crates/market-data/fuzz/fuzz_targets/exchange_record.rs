//! Bytes as an exchange's record: refused by field, or usable without a panic.
#![no_main]

use forecastle_core::{Timeframe, Timestamp};
use forecastle_market_data::{CandleQuery, Exchange, Market};
use libfuzzer_sys::fuzz_target;

const BODIES: [&str; 4] = [
    r#"[[1759996800000,"1","2","0.5","1.5","7"],[1760000400,1,2,0.5,1.5,7]]"#,
    r#"{"data":[{"t":1759996800000,"o":1,"h":"2","l":0.5,"c":1.5,"v":7}],"code":"0","msg":""}"#,
    r#"{"result":{"ticks":[1759996800000],"open":[1],"high":[2],"low":[1],"close":[1],"volume":[0]}}"#,
    r#"{"symbols":[{"symbol":"BTCUSDT","base":"BTC","quote":"USDT","status":"TRADING"}]}"#,
];

fuzz_target!(|text: &str| {
    let Ok(exchange) = Exchange::parse(text) else { return };
    let now = Timestamp::from_millis(1_760_000_000_000);
    for symbol in ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"] {
        let market = Market::from_symbol("BTCUSDT", symbol).expect("it is a symbol");
        for since in [None, Some(Timestamp::from_millis(1_759_000_000_123))] {
            let query = CandleQuery::new(&market, Timeframe::HOUR, now).since(since).limit(9);
            let _ = exchange.candle_request(&query);
            let _ = exchange.candle_terms(&query);
            for body in BODIES {
                if let Ok(candles) = exchange.parse_candles(&query, body.as_bytes()) {
                    let _ = exchange.cut(&query, candles);
                }
            }
        }
        let _ = exchange.market_by_rule(symbol);
    }
    let Ok(requests) = exchange.market_requests(now) else { return };
    for body in BODIES {
        let answers: Vec<_> =
            requests.iter().map(|request| (request.clone(), body.as_bytes().to_vec())).collect();
        let _ = exchange.parse_markets(&answers);
        for request in &requests {
            let _ = exchange.following_market_requests(request, body.as_bytes());
        }
    }
});
