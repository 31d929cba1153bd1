//! From an exchange's own lists to markets with CCXT's names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use forecastle_core::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

use super::definition::Exchange;
use super::error::{ExchangeError, ExchangeResult};
use super::expression::{ExpressionError, Names, Template, Value};
use super::hint::closest;
use super::http_request::{HttpRequest, Method};
use super::market::{Market, MarketType};
use super::message::message_of;
use super::record::{Body, ListRequest, MarketRule, OneOrMany, WhenMissing};
use super::request::ListNames;
use super::request_key::RequestKey;

/// Holds the markets of an exchange, and how many rows of its lists named none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MarketList {
    /// The markets, in the order of the exchange's lists.
    pub markets: Vec<Market>,
    /// Rows without an id, a currency or a type.
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
    /// Makes the requests that list the markets, each once.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] when the record is wrong.
    pub fn market_requests(&self) -> ExchangeResult<Vec<HttpRequest>> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_1970.as_millis()).unwrap_or_default();
        self.market_requests_at(Timestamp::from_millis(now))
    }

    /// Makes the requests that list the markets at a given time: a few exchanges want it told.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] when the record is wrong.
    pub fn market_requests_at(&self, now: Timestamp) -> ExchangeResult<Vec<HttpRequest>> {
        let mut requests: Vec<HttpRequest> = Vec::new();
        for rule in &self.record.markets {
            let calls = self.calls(rule, Some(now))?;
            for request in calls.main.into_iter().chain(calls.also) {
                if !requests.iter().any(|known| known.asks_the_same_as(&request)) {
                    requests.push(request);
                }
            }
        }
        Ok(requests)
    }

    /// The request for the next page of a list, after one of its pages.
    ///
    /// # Errors
    /// - [`ExchangeError::Malformed`] when the answer is no JSON.
    pub fn next_market_request(
        &self,
        request: &HttpRequest,
        body: &[u8],
    ) -> ExchangeResult<Option<HttpRequest>> {
        for rule in &self.record.markets {
            let Some(next) = &rule.next else { continue };
            let name = next.query.as_deref().or(next.body.as_deref()).unwrap_or_default();
            let varying = self.varying(rule)?;
            let key = RequestKey::of(request).without_all(&varying);
            let calls = self.calls(rule, None)?.main;
            if !calls.iter().any(|c| RequestKey::of(c).without_all(&varying) == key) {
                continue;
            }
            let root = self.json(body)?;
            let names = AnswerNames { exchange: self, root: &root };
            let Some(value) = self.text("next.from", &next.from, &names)? else {
                return Ok(None);
            };
            if value.is_empty() {
                return Ok(None);
            }
            let mut following = request.clone();
            if next.query.is_some() {
                following.url = without_parameter(&following.url, name);
                let separator = if following.url.contains('?') { '&' } else { '?' };
                let value = percent_encoding::utf8_percent_encode(
                    &value,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                following.url = format!("{}{separator}{name}={value}", following.url);
            } else if let Some(text) = &following.body {
                let mut fields: Json = self.json(text.as_bytes())?;
                let value = self.evaluate("next.from", &next.from, &names)?.to_json();
                if let (Json::Object(fields), Some(value)) = (&mut fields, value) {
                    fields.insert(name.to_owned(), value);
                }
                following.body = Some(fields.to_string());
            }
            // A list that points at the same page for ever would never end.
            return Ok((!following.asks_the_same_as(request)).then_some(following));
        }
        Ok(None)
    }

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
            let calls = self.calls(rule, None)?;
            let varying = self.varying(rule)?;
            let key = |request: &HttpRequest| RequestKey::of(request).without_all(&varying);
            let main: Vec<RequestKey> = calls.main.iter().map(key).collect();
            let answered: Vec<RequestKey> =
                parsed.iter().map(|(answered, _)| answered.clone().without_all(&varying)).collect();
            let mut also: Vec<&Json> = Vec::with_capacity(calls.also.len());
            for request in &calls.also {
                let key = key(request);
                let answer = answered.iter().zip(&parsed).find(|(answered, _)| **answered == key);
                also.push(answer.map_or(&Json::Null, |(_, (_, root))| root));
            }
            for (answered, (_, root)) in answered.iter().zip(&parsed) {
                if main.contains(answered) {
                    self.markets_of(rule, &place, root, &also, &mut list)?;
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

    fn json(&self, body: &[u8]) -> ExchangeResult<Json> {
        serde_json::from_slice(body).map_err(|e| {
            let html = body.trim_ascii_start().first() == Some(&b'<');
            self.malformed(None, if html { message_of(body) } else { e.to_string() })
        })
    }

    /// The parameters that differ from call to call: the page and what depends on the clock.
    fn varying<'r>(&self, rule: &'r MarketRule) -> ExchangeResult<Vec<&'r str>> {
        let names = ListNames { exchange: self, given: BTreeMap::from([("now", Value::Absent)]) };
        let next = rule.next.as_ref().and_then(|n| n.query.as_deref().or(n.body.as_deref()));
        let mut varying: Vec<&str> = next.into_iter().collect();
        let queries = std::iter::once(&rule.query).chain(rule.also.iter().map(|also| &also.query));
        for (name, OneOrMany(values)) in queries.flatten() {
            for value in values {
                if self.text("markets.query", value, &names)?.is_none() {
                    varying.push(name);
                }
            }
        }
        Ok(varying)
    }

    fn calls(&self, rule: &MarketRule, now: Option<Timestamp>) -> ExchangeResult<Calls> {
        let main = ListCall {
            method: rule.method,
            host: &rule.host,
            path: &rule.path,
            query: &rule.query,
            body: rule.body.as_ref(),
        };
        let mut also = Vec::new();
        for ListRequest { method, host, path, query, body } in &rule.also {
            let call = ListCall { method: *method, host, path, query, body: body.as_ref() };
            also.extend(self.expand(&call, now)?);
        }
        Ok(Calls { main: self.expand(&main, now)?, also })
    }

    /// One request for every combination of values.
    fn expand(
        &self,
        call: &ListCall<'_>,
        now: Option<Timestamp>,
    ) -> ExchangeResult<Vec<HttpRequest>> {
        const MOST: usize = 64;
        let now = now.map_or(Value::Absent, |now| Value::Int(now.as_millis().into()));
        let names = ListNames { exchange: self, given: BTreeMap::from([("now", now)]) };
        let mut combinations: Vec<Vec<(&str, String)>> = vec![Vec::new()];
        for (name, OneOrMany(values)) in call.query {
            let mut longer = Vec::new();
            for combination in &combinations {
                for value in values {
                    let mut combination = combination.clone();
                    let value = self.text("markets.query", value, &names)?;
                    combination.extend(value.map(|value| (name.as_str(), value)));
                    longer.push(combination);
                }
            }
            combinations = longer;
            if combinations.len() > MOST {
                return Err(self.wrong_record("markets.query", "too many combinations"));
            }
        }
        let mut requests = Vec::with_capacity(combinations.len());
        for parameters in &combinations {
            let body = match call.body {
                Some(body) => self.body(body, &names)?.map(|body| body.to_string()),
                None => None,
            };
            let (host, path) = (call.host, call.path);
            requests.push(self.assemble(call.method, host, path, parameters, body, &names)?);
        }
        Ok(requests)
    }

    fn markets_of(
        &self,
        rule: &MarketRule,
        place: &dyn Fn(&str) -> String,
        root: &Json,
        also: &[&Json],
        list: &mut MarketList,
    ) -> ExchangeResult<()> {
        let answer = AnswerNames { exchange: self, root };
        let mut rows = root;
        for step in &rule.rows {
            let step = self.text(&place("rows"), step, &answer)?.unwrap_or_default();
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
        let mut take = |row: &Json, key: Option<&str>, at: usize| -> ExchangeResult<()> {
            let names = MarketRowNames {
                exchange: self,
                rule,
                row,
                key,
                index: at,
                root,
                also,
                known: RefCell::default(),
            };
            let market =
                names.market().map_err(|(field, e)| self.wrong_record(&place(field), e))?;
            match market {
                Taken::Market(market) if self.record.lists(market.market_type) => {
                    list.markets.push(*market);
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

struct Calls {
    main: Vec<HttpRequest>,
    also: Vec<HttpRequest>,
}

struct ListCall<'r> {
    method: Method,
    host: &'r Template,
    path: &'r Template,
    query: &'r BTreeMap<String, OneOrMany>,
    body: Option<&'r Body>,
}

enum Taken {
    Market(Box<Market>),
    Filtered,
    Incomplete,
}

/// The names of an answer: its fields.
struct AnswerNames<'a> {
    exchange: &'a Exchange,
    root: &'a Json,
}

impl<'a> Names<'a> for AnswerNames<'a> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        Ok(match name {
            "@root" => Value::of(self.root),
            _ => self.root.get(name).map_or(Value::Absent, Value::of),
        })
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

/// The names of one row of a list.
struct MarketRowNames<'a> {
    exchange: &'a Exchange,
    rule: &'a MarketRule,
    row: &'a Json,
    key: Option<&'a str>,
    index: usize,
    root: &'a Json,
    also: &'a [&'a Json],
    /// The rule's own names, once they were asked for; `None` while being found.
    known: RefCell<BTreeMap<&'a str, Option<Value<'a>>>>,
}

type Failed = (&'static str, ExpressionError);

impl<'a> MarketRowNames<'a> {
    fn market(&'a self) -> Result<Taken, Failed> {
        let rule = self.rule;
        if let Some(filter) = &rule.filter
            && !self.value("where", filter)?.is_true()
        {
            return Ok(Taken::Filtered);
        }
        let id = self.text("id", &rule.id)?;
        let base = self.currency_of("base", Some(&rule.base))?;
        let quote = self.currency_of("quote", Some(&rule.quote))?;
        let (Some(id), Some((base_id, base)), Some((quote_id, quote))) = (id, base, quote) else {
            return Ok(Taken::Incomplete);
        };
        let (settle_id, settle) = self.currency_of("settle", rule.settle.as_ref())?.unzip();
        let Some(market_type) = self.text("type", &rule.market_type)? else {
            return Ok(Taken::Incomplete);
        };
        let Some(market_type) = MarketType::parse(&market_type) else {
            return Err(("type", ExpressionError::new(format!("{market_type:?} is no type"))));
        };
        let expiry = self.whole("expiry", rule.expiry.as_ref())?.filter(|ms| *ms > 0);
        let strike = self.number("strike", rule.strike.as_ref())?;
        let option_type = self.optional("option_type", rule.option_type.as_ref())?;
        let symbol = match self.optional("symbol", rule.symbol.as_ref())? {
            Some(symbol) => symbol,
            None => {
                let mut symbol = format!("{base}/{quote}");
                if let Some(settle) = &settle {
                    symbol = format!("{symbol}:{settle}");
                }
                if let Some(expiry) = expiry.filter(|_| market_type != MarketType::Swap) {
                    symbol = format!("{symbol}-{}", date_of(expiry));
                }
                if let (Some(strike), Some(option_type)) = (strike, &option_type) {
                    let letter = if option_type == "put" { "P" } else { "C" };
                    symbol = format!("{symbol}-{strike}-{letter}");
                }
                symbol
            }
        };
        // A few spot markets name a settlement currency too.
        let contract_settle = settle.as_ref().filter(|_| market_type != MarketType::Spot);
        let linear = self.flag("linear", rule.linear.as_ref())?;
        let inverse = self.flag("inverse", rule.inverse.as_ref())?;
        let mut extra = BTreeMap::new();
        for (name, template) in &rule.extra {
            if let Some(value) = self.text("extra", template)? {
                extra.insert(name.clone(), value);
            }
        }
        Ok(Taken::Market(Box::new(Market {
            id,
            symbol,
            linear: linear.or_else(|| contract_settle.map(|settle| *settle == quote)),
            inverse: inverse.or_else(|| contract_settle.map(|settle| *settle == base)),
            base_id: self.optional("base_id", rule.base_id.as_ref())?.unwrap_or(base_id),
            quote_id: self.optional("quote_id", rule.quote_id.as_ref())?.unwrap_or(quote_id),
            settle_id: self.optional("settle_id", rule.settle_id.as_ref())?.or(settle_id),
            base,
            quote,
            settle,
            market_type,
            active: self.flag("active", rule.active.as_ref())?,
            contract_size: self.number("contract_size", rule.contract_size.as_ref())?,
            expiry: expiry.map(Timestamp::from_millis),
            strike,
            option_type,
            extra,
        })))
    }

    fn value(&'a self, field: &'static str, template: &'a Template) -> Result<Value<'a>, Failed> {
        template.value(self).map_err(|e| (field, e))
    }

    fn text(
        &'a self,
        field: &'static str,
        template: &'a Template,
    ) -> Result<Option<String>, Failed> {
        Ok(self.value(field, template)?.to_text().filter(|text| !text.is_empty()))
    }

    /// A currency's own name and its unified code; `raw(…)` is a unified code already.
    fn currency_of(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<(String, String)>, Failed> {
        let Some(template) = template else { return Ok(None) };
        let value = self.value(field, template)?;
        let Some(id) = value.to_text().filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        let code = match value {
            Value::Raw(code) => code,
            _ => self.exchange.currency(&id),
        };
        Ok(Some((id, code)))
    }

    fn optional(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<String>, Failed> {
        template.map_or(Ok(None), |template| self.text(field, template))
    }

    fn flag(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<bool>, Failed> {
        let Some(template) = template else { return Ok(None) };
        let value = self.value(field, template)?;
        Ok((!value.is_absent()).then(|| value.is_true()))
    }

    fn number(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<f64>, Failed> {
        let Some(template) = template else { return Ok(None) };
        Ok(self.value(field, template)?.as_number())
    }

    fn whole(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<i64>, Failed> {
        let Some(template) = template else { return Ok(None) };
        let whole = self.value(field, template)?.as_int();
        Ok(whole.and_then(|whole| i64::try_from(whole).ok()))
    }

    fn own(&self, name: &str) -> Result<Option<Value<'a>>, ExpressionError> {
        let Some((name, template)) = self.rule.names.get_key_value(name) else {
            return Ok(None);
        };
        if let Some(known) = self.known.borrow().get(name.as_str()) {
            let circle = || ExpressionError::new(format!("`{name}` needs itself"));
            return known.clone().ok_or_else(circle).map(Some);
        }
        self.known.borrow_mut().insert(name, None);
        let value = template.value(self)?;
        self.known.borrow_mut().insert(name, Some(value.clone()));
        Ok(Some(value))
    }
}

impl<'a> Names<'a> for MarketRowNames<'a> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        if let Some(value) = self.own(name)? {
            return Ok(value);
        }
        Ok(match name {
            "@key" => self.key.map_or(Value::Absent, Value::text),
            "@index" => Value::Int(i128::try_from(self.index).unwrap_or_default()),
            "@row" => Value::of(self.row),
            "@root" => Value::of(self.root),
            "@responses" => Value::Absent,
            _ => match name.strip_prefix("@response") {
                Some(number) => {
                    let at: Option<usize> = number.parse().ok();
                    let answer = at.and_then(|at| self.also.get(at));
                    answer.map_or(Value::Absent, |json| Value::of(json))
                }
                None => self.row.get(name).map_or(Value::Absent, Value::of),
            },
        })
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

/// An address without one parameter of its query.
fn without_parameter(url: &str, name: &str) -> String {
    let Some((address, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let is_it = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name) == name;
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_it(pair)).collect();
    if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) }
}

/// `260327` for a time.
fn date_of(millis: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(millis);
    instant.map(|instant| instant.strftime("%y%m%d").to_string()).unwrap_or_default()
}
