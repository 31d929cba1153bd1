//! The requests that list an exchange's markets, and those that follow from the answers.

use std::collections::BTreeMap;

use forecastle_core::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use super::definition::Exchange;
#[cfg(doc)]
use super::error::ExchangeError;
use super::error::ExchangeResult;
use super::expression::{ExpressionError, Names, Template, Value};
use super::http_request::{HttpRequest, Method};
use super::record::{Body, Each, ListRequest, MarketRule, NextPage, OneOrMany};
use super::request::ListNames;
use super::request_key::RequestKey;

impl Exchange {
    /// Makes the requests that list the markets, each once; a few exchanges want to be told the
    /// time. Answers may ask for more, see
    /// [`following_market_requests`](Self::following_market_requests).
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] when the record is wrong.
    pub fn market_requests(&self, now: Timestamp) -> ExchangeResult<Vec<HttpRequest>> {
        let mut requests: Vec<HttpRequest> = Vec::new();
        for rule in &self.record.markets {
            let first =
                rule.each.as_ref().map_or_else(|| ListCall::of_rule(rule), ListCall::of_each);
            for request in self.expand(&first, Some(now), None)? {
                add(&mut requests, request);
            }
            for request in self.also(rule, Some(now))? {
                add(&mut requests, request);
            }
        }
        Ok(requests)
    }

    /// Makes the requests that follow from one answer: the next page of the list, or one list for
    /// each row.
    ///
    /// # Errors
    /// - [`ExchangeError::Malformed`] when the answer is no JSON.
    pub fn following_market_requests(
        &self,
        request: &HttpRequest,
        body: &[u8],
    ) -> ExchangeResult<Vec<HttpRequest>> {
        let mut following: Vec<HttpRequest> = Vec::new();
        for rule in &self.record.markets {
            if let Some(each) = &rule.each {
                let lists = self.expand(&ListCall::of_each(each), None, None)?;
                if lists.iter().any(|list| list.asks_the_same_as(request)) {
                    for row in self.each_rows(each, &self.json(body)?)? {
                        for request in self.expand(&ListCall::of_rule(rule), None, Some(&row))? {
                            add(&mut following, request);
                        }
                    }
                }
            } else if let Some(next) = &rule.next
                && let Some(request) = self.next_page(rule, next, request, body)?
            {
                add(&mut following, request);
            }
        }
        Ok(following)
    }

    fn next_page(
        &self,
        rule: &MarketRule,
        next: &NextPage,
        request: &HttpRequest,
        body: &[u8],
    ) -> ExchangeResult<Option<HttpRequest>> {
        let name = next.query.as_deref().or(next.body.as_deref()).unwrap_or_default();
        let varying = self.varying(rule)?;
        let asked = RequestKey::of(request);
        let page = asked.given(name);
        let key = asked.without_all(&varying);
        let calls = self.expand(&ListCall::of_rule(rule), None, None)?;
        if !calls.iter().any(|c| RequestKey::of(c).without_all(&varying) == key) {
            return Ok(None);
        }
        let root = self.json(body)?;
        let page = page.as_ref().map_or(Value::Absent, Value::of);
        let names = PageNames { exchange: self, root: &root, page };
        let value = self.evaluate("markets.next.from", &next.from, &names)?;
        let Some(text) = value.to_text().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let mut following = request.clone();
        if next.query.is_some() {
            following.url = without_parameter(&following.url, name);
            let separator = if following.url.contains('?') { '&' } else { '?' };
            // `raw(…)`: some cursors come escaped for the next address.
            let text = match value {
                Value::Raw(_) => text,
                _ => utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string(),
            };
            following.url = format!("{}{separator}{name}={text}", following.url);
        } else if let Some(text) = &following.body {
            let mut fields: Json = self.json(text.as_bytes())?;
            if let (Json::Object(fields), Some(value)) = (&mut fields, value.to_json()) {
                fields.insert(name.to_owned(), value);
            }
            following.body = Some(fields.to_string());
        }
        // A list that points at the same page for ever would never end.
        Ok((!following.asks_the_same_as(request)).then_some(following))
    }

    /// The requests for a rule's own rows, with what each is about; `answer` gives what is known
    /// by now of other lists.
    pub(super) fn main_calls<'j>(
        &self,
        rule: &MarketRule,
        answer: &dyn Fn(&HttpRequest) -> Option<&'j Json>,
    ) -> ExchangeResult<Vec<(HttpRequest, Option<EachRow>)>> {
        let call = ListCall::of_rule(rule);
        let Some(each) = &rule.each else {
            let requests = self.expand(&call, None, None)?;
            return Ok(requests.into_iter().map(|request| (request, None)).collect());
        };
        let mut calls = Vec::new();
        for list in self.expand(&ListCall::of_each(each), None, None)? {
            let Some(root) = answer(&list) else { continue };
            for row in self.each_rows(each, root)? {
                for request in self.expand(&call, None, Some(&row))? {
                    calls.push((request, Some(row.clone())));
                }
            }
        }
        Ok(calls)
    }

    /// The requests for what a rule's rows are completed from.
    pub(super) fn also(
        &self,
        rule: &MarketRule,
        now: Option<Timestamp>,
    ) -> ExchangeResult<Vec<HttpRequest>> {
        let mut requests = Vec::new();
        for ListRequest { method, host, path, query, body } in &rule.also {
            let call = ListCall { method: *method, host, path, query, body: body.as_ref() };
            requests.extend(self.expand(&call, now, None)?);
        }
        Ok(requests)
    }

    /// The parameters that differ from call to call: the page and what depends on the clock.
    pub(super) fn varying<'r>(&self, rule: &'r MarketRule) -> ExchangeResult<Vec<&'r str>> {
        let given = BTreeMap::from([("now", Value::Absent), ("@each", Value::text("each"))]);
        let names = ListNames { exchange: self, given };
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

    fn each_rows(&self, each: &Each, root: &Json) -> ExchangeResult<Vec<EachRow>> {
        let mut rows = root;
        for step in &each.rows {
            let Some(inner) = rows.get(step) else {
                return Err(self.malformed(Some(step), "the list is missing"));
            };
            rows = inner;
        }
        let Json::Array(rows) = rows else {
            return Err(self.malformed(None, "the list is no list"));
        };
        let mut found = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let names = EachNames { exchange: self, row, index };
            if let Some(filter) = &each.filter
                && !self.evaluate("markets.each.where", filter, &names)?.is_true()
            {
                continue;
            }
            if let Some(value) = self.text("markets.each.value", &each.value, &names)? {
                found.push(EachRow { value, index });
            }
        }
        Ok(found)
    }

    /// One request for every combination of values.
    fn expand(
        &self,
        call: &ListCall<'_>,
        now: Option<Timestamp>,
        about: Option<&EachRow>,
    ) -> ExchangeResult<Vec<HttpRequest>> {
        const MOST: usize = 64;
        let now = now.map_or(Value::Absent, |now| Value::Int(now.as_millis().into()));
        let about = about.map_or(Value::Absent, |row| Value::text(&row.value));
        let given = BTreeMap::from([("now", now), ("@each", about)]);
        let names = ListNames { exchange: self, given };
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
}

struct ListCall<'r> {
    method: Method,
    host: &'r Template,
    path: &'r Template,
    query: &'r BTreeMap<String, OneOrMany>,
    body: Option<&'r Body>,
}

impl<'r> ListCall<'r> {
    fn of_rule(rule: &'r MarketRule) -> Self {
        let MarketRule { method, host, path, query, body, .. } = rule;
        Self { method: *method, host, path, query, body: body.as_ref() }
    }

    fn of_each(each: &'r Each) -> Self {
        let Each { method, host, path, query, body, .. } = each;
        Self { method: *method, host, path, query, body: body.as_ref() }
    }
}

/// A row of one list that another list is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EachRow {
    pub(super) value: String,
    pub(super) index: usize,
}

/// The names of an answer with more pages: its fields and the page it is.
struct PageNames<'a> {
    exchange: &'a Exchange,
    root: &'a Json,
    page: Value<'a>,
}

impl<'a> Names<'a> for PageNames<'a> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        Ok(match name {
            "@root" => Value::of(self.root),
            "@page" => self.page.clone(),
            _ => self.root.get(name).map_or(Value::Absent, Value::of),
        })
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

/// The names of a row that gives a request.
struct EachNames<'a> {
    exchange: &'a Exchange,
    row: &'a Json,
    index: usize,
}

impl<'a> Names<'a> for EachNames<'a> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        Ok(match name {
            "@row" => Value::of(self.row),
            "@index" => i128::try_from(self.index).map_or(Value::Absent, Value::Int),
            _ => self.row.get(name).map_or(Value::Absent, Value::of),
        })
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

fn add(requests: &mut Vec<HttpRequest>, request: HttpRequest) {
    if !requests.iter().any(|known| known.asks_the_same_as(&request)) {
        requests.push(request);
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_000);

    const RECORD: &str = r#"
id = "given"
name = "Given"
rate_limit_ms = 0
hosts = { rest = "https://x.io" }
timeframes = { 1h = "60" }

[[candles]]
kinds = ["spot"]
host = "rest"
path = "/candles"
volume = "base"
paging = "recent"
response = { layout = "array", time = 0, open = 1, high = 2, low = 3, close = 4, unit = "ms" }

[[markets]]
host = "rest"
path = "/paged"
body = { page = 1 }
method = "POST"
rows = ["list"]
next = { body = "page", from = "{@page*2 < count ? @page + 1 : absent}" }
distinct = true
id = "{id}"
base = "{id}"
quote = "usd"
type = "spot"

[[markets]]
host = "rest"
path = "/options"
each = { host = "rest", path = "/underlyings", rows = ["names"], where = "{@index > 0}", value = "{@row}" }
query.of = "{@each}"
id = "{@each}-{@each_index}-{name}"
base = "{@each}"
quote = "usd"
settle = "usd"
type = "swap"
linear = "{@each == 'b' ? true : absent}"
"#;

    fn following(exchange: &Exchange, request: &HttpRequest, body: &str) -> Vec<HttpRequest> {
        exchange.following_market_requests(request, body.as_bytes()).unwrap()
    }

    #[test]
    fn pages_are_counted_on_until_all_rows_are_there() {
        let exchange = Exchange::parse(RECORD).unwrap();
        let first = exchange.market_requests(NOW).unwrap().remove(0);
        assert_eq!(first.body.as_deref(), Some(r#"{"page":1}"#));
        let second = following(&exchange, &first, r#"{"list": [], "count": 3}"#).remove(0);
        assert_eq!(second.body.as_deref(), Some(r#"{"page":2}"#));
        assert!(following(&exchange, &second, r#"{"list": [], "count": 3}"#).is_empty());
    }

    #[test]
    fn each_row_of_one_list_asks_for_another() {
        let exchange = Exchange::parse(RECORD).unwrap();
        let list = exchange.market_requests(NOW).unwrap().remove(1);
        assert_eq!(list.url, "https://x.io/underlyings");
        let names = r#"{"names": ["a", "b", "c&d"]}"#;
        let more = following(&exchange, &list, names);
        let urls: Vec<&str> = more.iter().map(|request| request.url.as_str()).collect();
        assert_eq!(urls, ["https://x.io/options?of=b", "https://x.io/options?of=c%26d"]);
        let answers = [
            (more[1].clone(), br#"[{"name": "y"}]"#.to_vec()),
            (list, names.as_bytes().to_vec()),
            (more[0].clone(), br#"[{"name": "x"}, {"name": "x"}]"#.to_vec()),
        ];
        let list = exchange.parse_markets(&answers).unwrap();
        let ids: Vec<&str> = list.markets.iter().map(|market| market.id.as_str()).collect();
        assert_eq!(ids, ["b-1-x", "b-1-x", "c&d-2-y"]);
        let linear: Vec<Option<bool>> = list.markets.iter().map(|market| market.linear).collect();
        assert_eq!(linear, [Some(true), Some(true), None]);
    }

    #[test]
    fn a_symbol_listed_twice_counts_once_where_the_record_says_so() {
        let exchange = Exchange::parse(RECORD).unwrap();
        let request = exchange.market_requests(NOW).unwrap().remove(0);
        let body = br#"{"list": [{"id": "btc"}, {"id": "BTC"}, {"id": "eth"}]}"#.to_vec();
        let list = exchange.parse_markets(&[(request, body)]).unwrap();
        let ids: Vec<&str> = list.markets.iter().map(|market| market.id.as_str()).collect();
        assert_eq!(ids, ["btc", "eth"]);
    }

    /// The record's first list asked for by query instead of body.
    fn by_query(query: &str, next: &str) -> Exchange {
        let old = "body = { page = 1 }\nmethod = \"POST\"";
        let mut text = RECORD.replace(old, query);
        let at = text.find("next = ").unwrap();
        let end = at + text[at..].find('\n').unwrap();
        text.replace_range(at..end, next);
        Exchange::parse(&text).unwrap()
    }

    #[test]
    fn cursors_are_escaped_once() {
        let url = |next: &str, cursor: &str| {
            let exchange = by_query("query = { a = \"1\" }", next);
            let first = exchange.market_requests(NOW).unwrap().remove(0);
            let body = format!(r#"{{"list": [], "cursor": "{cursor}"}}"#);
            let second = following(&exchange, &first, &body).remove(0);
            assert!(following(&exchange, &second, r#"{"list": [], "cursor": ""}"#).is_empty());
            second.url
        };
        let plain = r#"next = { query = "c", from = "{cursor}" }"#;
        assert_eq!(url(plain, "x=1&y"), "https://x.io/paged?a=1&c=x%3D1%26y");
        let escaped = r#"next = { query = "c", from = "{raw(cursor)}" }"#;
        assert_eq!(url(escaped, "x%3D1%26y"), "https://x.io/paged?a=1&c=x%3D1%26y");
    }

    #[test]
    fn answers_are_matched_to_requests_whatever_the_clock_says() {
        let exchange = by_query("query = { a = \"1\", t = \"{now}\" }", "");
        let now = Timestamp::from_millis(1_760_000_000_000);
        let request = exchange.market_requests(now).unwrap().remove(0);
        assert_eq!(request.url, "https://x.io/paged?a=1&t=1760000000000");
        let list = |request: HttpRequest| {
            let answer = (request, br#"{"list": [{"id": "btc"}]}"#.to_vec());
            exchange.parse_markets(&[answer]).unwrap().markets.len()
        };
        assert_eq!(list(request), 1);
        assert_eq!(list(HttpRequest::get("https://x.io/paged?a=2&t=1760000000000")), 0);
    }
}
