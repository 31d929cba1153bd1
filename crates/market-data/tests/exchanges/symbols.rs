//! Unified symbols and the exchanges' own ids, both ways.

use std::collections::BTreeMap;

use forecastle_core::Symbol;
use forecastle_market_data::{
    Exchange, ExchangeError, Market, MarketKind, MarketList, MarketType, Need, sample_markets,
};

fn lists() -> Vec<(Exchange, MarketList)> {
    let exchanges = Exchange::all().unwrap().into_iter();
    exchanges.map(|exchange| (exchange.clone(), sample_markets(&exchange).unwrap())).collect()
}

#[test]
fn every_market_is_found_by_its_symbol_and_by_its_id() {
    let mut checked = 0;
    for (exchange, list) in lists() {
        let id = exchange.id();
        for market in &list.markets {
            let found = list.find(&market.symbol).unwrap();
            assert_eq!(found.symbol, market.symbol, "{id}");
            let same_symbol = list.markets.iter().filter(|m| m.symbol == market.symbol).count();
            if same_symbol == 1 {
                assert_eq!(found, market, "{id}");
            }
            let by_id = list.find(&market.id).unwrap_or_else(|| panic!("{id}: no {}", market.id));
            assert!(by_id.id == market.id || by_id.symbol == market.id, "{id}: {}", market.id);
            checked += 1;
        }
    }
    assert!(checked >= 180, "{checked}");
}

#[test]
fn symbols_are_ccxt_s_and_say_what_the_market_is() {
    for (exchange, list) in lists() {
        // An index has no name but its own.
        let is_traded = |market: &&Market| market.market_type != MarketType::Index;
        for market in list.markets.iter().filter(is_traded) {
            let about = format!("{} {}", exchange.id(), market.symbol);
            let symbol: Symbol = market.symbol.parse().unwrap_or_else(|e| panic!("{about}: {e}"));
            assert_eq!(symbol.to_string(), market.symbol);
            assert_eq!(symbol.base(), market.base, "{about}");
            assert_eq!(symbol.quote(), Some(market.quote.as_str()), "{about}");
            if market.market_type == MarketType::Spot {
                assert_eq!(symbol.contract(), None, "{about}");
            } else if exchange.id() != "zebpay" {
                // CCXT gives zebpay's contracts no settlement currency but in their symbols.
                assert_eq!(symbol.settle(), market.settle.as_deref(), "{about}");
            }
            let flags = (market.linear, market.inverse);
            assert!(flags != (Some(true), Some(true)), "{about}");
            if market.market_type == MarketType::Spot {
                assert_eq!(market.kind(), Some(MarketKind::Spot));
            }
            // What the symbol tells by itself is what the list says.
            let told = Market::from_symbol(&market.id, &market.symbol).unwrap();
            assert_eq!((&told.base, &told.quote), (&market.base, &market.quote), "{about}");
            if matches!(market.market_type, MarketType::Spot | MarketType::Swap)
                && symbol.settle() == market.settle.as_deref()
            {
                assert_eq!(told.market_type, market.market_type, "{about}");
            }
        }
    }
}

#[test]
fn an_active_market_comes_before_one_of_the_same_name_that_is_not() {
    let (_, list) = lists().into_iter().find(|(exchange, _)| exchange.id() == "kraken").unwrap();
    let market = list.markets.iter().find(|market| market.active == Some(true)).unwrap();
    let (symbol, id) = (market.symbol.clone(), market.id.clone());
    let (mut twice, mut old) = (list.clone(), market.clone());
    (old.id, old.active) = ("OLD".to_owned(), Some(false));
    twice.markets.insert(0, old.clone());
    assert_eq!(twice.find(&symbol).unwrap().id, id);
    twice.markets.push(old);
    assert_eq!(twice.find(&symbol).unwrap().id, id);
    assert_eq!(twice.find("OLD").unwrap().active, Some(false));
}

#[test]
fn a_misspelt_symbol_is_answered_with_one_that_differs_little() {
    for (exchange, list) in lists() {
        for market in &list.markets {
            let symbol = &market.symbol;
            let swapped = {
                let mut letters: Vec<char> = symbol.chars().collect();
                let at = letters.len() - 2;
                letters.swap(at, at + 1);
                letters.into_iter().collect::<String>()
            };
            for wrong in
                [symbol.to_lowercase(), symbol.replace('/', "-"), swapped, format!("{symbol}X")]
            {
                if list.find(&wrong).is_some() {
                    continue;
                }
                let hint = list.hint(&wrong).unwrap_or_else(|| panic!("{} {wrong}", exchange.id()));
                assert!(list.find(&hint).is_some(), "{} {wrong}: {hint}", exchange.id());
            }
            // Its own name is the closest to a slip of case.
            let hint = list.hint(&symbol.to_lowercase()).unwrap();
            assert_eq!(hint.to_lowercase(), symbol.to_lowercase(), "{}", exchange.id());
        }
        assert_eq!(list.hint("¿¿¿"), None);
        assert_eq!(list.find(""), None);
    }
}

#[test]
fn a_misspelt_exchange_is_answered_with_the_closest_one() {
    for (wrong, right) in [
        ("krakn", "kraken"),
        ("Binanse", "binance"),
        ("okex", "okx"),
        ("coin-base", "coinbase"),
        ("bitfenix", "bitfinex"),
        ("derbit", "deribit"),
        ("ku coin", "kucoin"),
    ] {
        let error = Exchange::find(wrong).unwrap_err();
        let said = error.to_string();
        let ExchangeError::UnknownExchange { hint, .. } = error else { panic!("{said}") };
        assert_eq!(hint.as_deref(), Some(right), "{wrong}");
        assert!(said.contains(&format!("did you mean {right:?}?")), "{said}");
    }
    for noise in ["", "@@@@", "x".repeat(5_000).as_str()] {
        let error = Exchange::find(noise).unwrap_err();
        assert!(matches!(&error, ExchangeError::UnknownExchange { hint: None, .. }), "{error}");
    }
}

#[test]
fn a_rule_makes_of_a_symbol_what_the_list_would_say() {
    let mut ruled = BTreeMap::new();
    for exchange in Exchange::all().unwrap() {
        let id = exchange.id().to_owned();
        let symbols = ["BTC/USDT", "BTC/USDT:USDT"];
        let mut made = symbols.iter().filter_map(|s| exchange.market_by_rule(s).unwrap());
        let Some(market) = made.next() else {
            assert!(
                !exchange.needs_key().contains(&Need::Markets),
                "{id} has neither list nor rule"
            );
            continue;
        };
        assert!(!market.id.is_empty());
        assert_eq!((market.base.as_str(), market.quote.as_str()), ("BTC", "USDT"), "{id}");
        let error = exchange.market_by_rule("BTC").map(|market| market.is_some());
        assert!(!matches!(error, Err(ExchangeError::Record { .. })), "{id}: {error:?}");
        let list = sample_markets(&exchange).unwrap();
        for listed in &list.markets {
            if let Some(made) = exchange.market_by_rule(&listed.symbol).unwrap() {
                assert_eq!(made.id, listed.id, "{id} {}", listed.symbol);
            }
        }
        ruled.insert(id, market.id);
    }
    assert!(!ruled.is_empty());
}
