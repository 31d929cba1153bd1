//! From an exchange's own lists to markets with CCXT's names.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::Value as Json;

use super::definition::Exchange;
use super::error::{ExchangeError, ExchangeResult};
use super::hint::closest;
use super::http_request::HttpRequest;
use super::market::Market;
use super::market_calls::EachRow;
use super::market_row::{MarketRowNames, Taken};
use super::message::message_of;
use super::record::{MarketRule, WhenMissing};
use super::request_key::RequestKey;
use super::response::RootNames;

/// Holds the markets of an exchange, and how many rows of its lists named none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MarketList {
    /// The markets, in the order of the exchange's lists.
    pub markets: Vec<Market>,
    /// Rows without an id or a currency, or of a type that is not known.
    pub skipped: usize,
}

impl MarketList {
    /// Finds a market by its unified symbol or, failing that, by the exchange's id; an active one
    /// before others of that name.
    pub fn find(&self, name: &str) -> Option<&Market> {
        let best = |matches: &dyn Fn(&Market) -> bool| {
            let of_name = self.markets.iter().filter(|market| matches(market));
            of_name.max_by_key(|market| (market.active != Some(false), market.kind().is_some()))
        };
        best(&|market| market.symbol == name).or_else(|| best(&|market| market.id == name))
    }

    /// The listed symbol most like a misspelt one.
    pub fn hint(&self, name: &str) -> Option<String> {
        closest(name, self.markets.iter().map(|market| market.symbol.as_str()))
    }
}

impl Exchange {
    /// Reads the markets of all answers, each beside the request it answers.
    ///
    /// # Errors
    /// - [`ExchangeError::Malformed`] when an answer lacks its rows.
    /// - [`ExchangeError::Exchange`] when an answer is the exchange's own error.
    pub fn parse_markets(&self, answers: &[(HttpRequest, Vec<u8>)]) -> ExchangeResult<MarketList> {
        let mut parsed = Vec::with_capacity(answers.len());
        for (request, body) in answers {
            self.refused(200, body, None)?;
            parsed.push((RequestKey::of(request), self.json(body)?));
        }
        let mut list = MarketList::default();
        for (index, rule) in self.record.markets.iter().enumerate() {
            let place = |field: &str| format!("markets[{index}].{field}");
            let varying = self.varying(rule)?;
            let key = |request: &HttpRequest| RequestKey::of(request).without_all(&varying);
            let answered: Vec<(RequestKey, &Json)> = parsed
                .iter()
                .map(|(answered, root)| (answered.clone().without_all(&varying), root))
                .collect();
            let answer = |request: &HttpRequest| {
                let key = key(request);
                answered.iter().find(|(answered, _)| *answered == key).map(|(_, root)| *root)
            };
            let requests = self.also(rule, None)?;
            let also: Vec<&Json> =
                requests.iter().map(|request| answer(request).unwrap_or(&Json::Null)).collect();
            for (request, about) in self.main_calls(rule, &answer)? {
                let key = key(&request);
                for (_, root) in answered.iter().filter(|(answered, _)| *answered == key) {
                    let answer = Answer { root, also: &also, about: about.as_ref() };
                    self.markets_of(rule, &place, &answer, &mut list)?;
                }
            }
        }
        Ok(list)
    }

    /// Forms a market from its symbol alone, for exchanges whose record has a rule for that.
    ///
    /// # Errors
    /// - [`ExchangeError::UnknownSymbol`] when `symbol` is no symbol.
    pub fn market_by_rule(&self, symbol: &str) -> ExchangeResult<Option<Market>> {
        let Some(rule) = &self.record.symbol_rule else {
            return Ok(None);
        };
        let mut market = Market::from_symbol("", symbol).map_err(|_| self.unknown(symbol, None))?;
        let names = super::request::MarketNames { exchange: self, market: &market, query: None };
        let id = self.text("symbol_rule.id", &rule.id, &names)?;
        let mut extra = BTreeMap::new();
        for (name, template) in &rule.extra {
            if let Some(value) = self.text("symbol_rule.extra", template, &names)? {
                extra.insert(name.clone(), value);
            }
        }
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        market.id = id;
        market.extra = extra;
        Ok(Some(market))
    }

    pub(crate) fn unknown(&self, symbol: &str, hint: Option<String>) -> ExchangeError {
        ExchangeError::UnknownSymbol {
            exchange: self.id().to_owned(),
            symbol: symbol.to_owned(),
            hint,
        }
    }

    pub(super) fn json(&self, body: &[u8]) -> ExchangeResult<Json> {
        serde_json::from_slice(body).map_err(|e| {
            let html = body.trim_ascii_start().first() == Some(&b'<');
            self.malformed(None, if html { message_of(body) } else { e.to_string() })
        })
    }

    fn markets_of(
        &self,
        rule: &MarketRule,
        place: &dyn Fn(&str) -> String,
        answer: &Answer<'_>,
        list: &mut MarketList,
    ) -> ExchangeResult<()> {
        let Answer { root, also, about } = *answer;
        let names = RootNames { exchange: self, root };
        let mut rows = root;
        for step in &rule.rows {
            let step = self.text(&place("rows"), step, &names)?.unwrap_or_default();
            let inner = match rows {
                Json::Array(list) => step.parse().ok().and_then(|at: usize| list.get(at)),
                other => other.get(&step),
            };
            let Some(inner) = inner else {
                return match rule.when_missing {
                    WhenMissing::Empty => Ok(()),
                    WhenMissing::Malformed => {
                        Err(self.malformed(Some(&step), "the list of markets is missing"))
                    }
                };
            };
            rows = inner;
        }
        let mut listed: HashSet<String> = if rule.distinct {
            list.markets.iter().map(|market| market.symbol.clone()).collect()
        } else {
            HashSet::new()
        };
        let mut take = |row: &Json, key: Option<&str>, at: usize| -> ExchangeResult<()> {
            let names = MarketRowNames {
                exchange: self,
                rule,
                row,
                key,
                index: at,
                root,
                also,
                about,
                known: RefCell::default(),
            };
            let market =
                names.market().map_err(|(field, e)| self.wrong_record(&place(field), e))?;
            match market {
                Taken::Market(market) if self.record.lists(market.market_type) => {
                    if !rule.distinct || listed.insert(market.symbol.clone()) {
                        list.markets.push(*market);
                    }
                }
                Taken::Market(_) | Taken::Filtered => {}
                Taken::Incomplete => list.skipped += 1,
            }
            Ok(())
        };
        match rows {
            Json::Array(rows) => {
                rows.iter().enumerate().try_for_each(|(at, row)| take(row, None, at))
            }
            Json::Object(rows) if rule.keyed => {
                rows.iter().enumerate().try_for_each(|(at, (key, row))| take(row, Some(key), at))
            }
            Json::Null => Ok(()),
            _ if rule.when_missing == WhenMissing::Empty => Ok(()),
            _ => Err(self.malformed(None, "the list of markets is no list")),
        }
    }
}

/// One answer beside those that complete it.
struct Answer<'a> {
    root: &'a Json,
    also: &'a [&'a Json],
    about: Option<&'a EachRow>,
}
