//! From a query to a request.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use forecastle_core::Timeframe;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json};

use super::definition::{CandleTerms, Exchange, Hosts};
use super::error::{ExchangeError, ExchangeResult};
use super::expression::{Encoding, ExpressionError, Names, Template, Value};
use super::http_request::{HttpRequest, Method};
use super::market::Market;
use super::query::CandleQuery;
use super::record::{Body, Endpoint};

/// RFC 3986's unreserved characters stay as they are in a query.
pub(super) const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Exchange {
    /// Makes the request for one page of candles.
    ///
    /// # Errors
    /// - [`ExchangeError::UnsupportedTimeframe`] with those on offer.
    /// - [`ExchangeError::Refused`] when the exchange cannot answer such a query.
    /// - [`ExchangeError::Record`] when the record does not fit the query.
    pub fn candle_request(&self, query: &CandleQuery<'_>) -> ExchangeResult<HttpRequest> {
        let names = self.names(query)?;
        for refusal in &names.endpoint.refuse {
            if self.evaluate("refuse", &refusal.when, &names)?.is_true() {
                return Err(ExchangeError::Refused {
                    exchange: self.id().to_owned(),
                    reason: refusal.message.clone(),
                });
            }
        }
        let endpoint = names.endpoint;
        let mut parameters = Vec::with_capacity(endpoint.query.len());
        for (name, template) in &endpoint.query {
            if let Some(value) = self.text(&format!("query.{name}"), template, &names)? {
                parameters.push((name.as_str(), value));
            }
        }
        let body = match &endpoint.body {
            Some(body) => Some(self.body(body, &names)?.unwrap_or_default().to_string()),
            None => None,
        };
        self.assemble(endpoint.method, &endpoint.host, &endpoint.path, &parameters, body, &names)
    }

    /// How the candles that a query asks for come: their unit, their paging, their bounds.
    ///
    /// # Errors
    /// - [`ExchangeError::Refused`] when it offers no candles of such markets.
    /// - [`ExchangeError::UnsupportedTimeframe`] with those on offer.
    pub fn candle_terms(&self, query: &CandleQuery<'_>) -> ExchangeResult<CandleTerms> {
        let names = self.names(query)?;
        let endpoint = names.endpoint;
        let span = match &endpoint.span {
            Some(span) => self.evaluate("span", span, &names)?.as_int(),
            None => None,
        };
        let rows = names.rows.and_then(|rows| u32::try_from(rows).ok());
        Ok(CandleTerms {
            volume: endpoint.volume,
            paging: endpoint.paging,
            max_rows: endpoint.max_rows,
            depth: endpoint.depth,
            rows,
            span_ms: span.and_then(|span| i64::try_from(span).ok()).filter(|span| *span > 0),
        })
    }

    pub(super) fn names<'q>(
        &'q self,
        query: &'q CandleQuery<'q>,
    ) -> ExchangeResult<RequestNames<'q>> {
        let (endpoint, timeframes) = self.endpoint(query.market, Some(query))?;
        let code = timeframes.iter().find(|(timeframe, _)| *timeframe == query.timeframe);
        let Some((_, code)) = code else {
            let offered: Vec<String> = timeframes.iter().map(|(t, _)| t.to_string()).collect();
            return Err(ExchangeError::UnsupportedTimeframe {
                exchange: self.id().to_owned(),
                timeframe: query.timeframe.to_string(),
                offered: offered.join(" "),
            });
        };
        let mut names = RequestNames { exchange: self, endpoint, query, code, rows: None };
        names.rows = match &endpoint.rows {
            Some(rows) => self.evaluate("rows", rows, &names)?.as_int(),
            None => query.limit.map(i128::from),
        };
        Ok(names)
    }

    /// The endpoint that serves a market, with its timeframes.
    pub(super) fn endpoint<'q>(
        &'q self,
        market: &Market,
        query: Option<&CandleQuery<'_>>,
    ) -> ExchangeResult<(&'q Endpoint, &'q [(Timeframe, String)])> {
        let kind = market.kind();
        let mut wanted = kind;
        while let Some(kind) = wanted {
            for (endpoint, table) in self.record.candles.iter().zip(self.endpoints.iter()) {
                let serves = endpoint.kinds.contains(&kind)
                    && match &endpoint.when {
                        Some(when) => self.chosen(when, market, query)?,
                        None => true,
                    };
                if serves {
                    return Ok((endpoint, table));
                }
            }
            wanted = kind.fallback();
        }
        let what = kind.map_or("index".to_owned(), |kind| kind.to_string());
        Err(ExchangeError::Refused {
            exchange: self.id().to_owned(),
            reason: format!("it offers no candles of {what} markets ({})", market.symbol),
        })
    }

    fn chosen(
        &self,
        when: &Template,
        market: &Market,
        query: Option<&CandleQuery<'_>>,
    ) -> ExchangeResult<bool> {
        let names = MarketNames { exchange: self, market, query };
        Ok(self.evaluate("when", when, &names)?.is_true())
    }

    pub(super) fn assemble<'a>(
        &'a self,
        method: Method,
        host: &'a Template,
        path: &'a Template,
        parameters: &[(&str, String)],
        body: Option<String>,
        names: &dyn Names<'a>,
    ) -> ExchangeResult<HttpRequest> {
        let lacking = |field: &str| self.wrong_record(field, "it has no value for this query");
        let host = self.text("host", host, names)?.ok_or_else(|| lacking("host"))?;
        let mut url = self.host(&host, &self.record.hosts)?;
        let path = path.text(names, Encoding::Path);
        let path = path.map_err(|e| self.wrong_record("path", e))?;
        url.push_str(&path.ok_or_else(|| lacking("path"))?);
        let mut separator = if url.contains('?') { '&' } else { '?' };
        for (name, value) in parameters {
            let (name, value) =
                (utf8_percent_encode(name, QUERY), utf8_percent_encode(value, QUERY));
            let _ = write!(url, "{separator}{name}={value}");
            separator = '&';
        }
        let mut headers: Vec<(String, String)> =
            self.record.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        Ok(HttpRequest { method, url, headers, body })
    }

    fn host(&self, name: &str, hosts: &Hosts) -> ExchangeResult<String> {
        let Some(url) = hosts.get(name) else {
            return Err(self.wrong_record("host", format!("no host is called {name:?}")));
        };
        let Some(base) = &self.base_url else {
            return Ok(url.clone());
        };
        let after = url.split_once("://").map_or(url.as_str(), |(_, after)| after);
        let path = after.find('/').and_then(|at| after.get(at..)).unwrap_or_default();
        Ok(format!("{base}{path}"))
    }

    pub(super) fn body<'a>(
        &'a self,
        body: &'a Body,
        names: &dyn Names<'a>,
    ) -> ExchangeResult<Option<Json>> {
        Ok(match body {
            Body::Constant(json) => Some(json.clone()),
            Body::Text(template) => self.evaluate("body", template, names)?.to_json(),
            Body::List(list) => {
                let mut values = Vec::with_capacity(list.len());
                for element in list {
                    values.extend(self.body(element, names)?);
                }
                Some(Json::Array(values))
            }
            Body::Object(fields) => {
                let mut object = Map::new();
                for (name, field) in fields {
                    if let Some(value) = self.body(field, names)? {
                        object.insert(name.clone(), value);
                    }
                }
                Some(Json::Object(object))
            }
        })
    }

    pub(super) fn evaluate<'a>(
        &self,
        field: &str,
        template: &'a Template,
        names: &dyn Names<'a>,
    ) -> ExchangeResult<Value<'a>> {
        template.value(names).map_err(|e| self.wrong_record(field, e))
    }

    pub(super) fn text<'a>(
        &self,
        field: &str,
        template: &'a Template,
        names: &dyn Names<'a>,
    ) -> ExchangeResult<Option<String>> {
        template.text(names, Encoding::None).map_err(|e| self.wrong_record(field, e))
    }
}

/// The names that a market gives.
pub(super) struct MarketNames<'q> {
    pub(super) exchange: &'q Exchange,
    pub(super) market: &'q Market,
    pub(super) query: Option<&'q CandleQuery<'q>>,
}

/// The names that a query gives to the templates of its endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestNames<'q> {
    pub(super) exchange: &'q Exchange,
    pub(super) endpoint: &'q Endpoint,
    pub(super) query: &'q CandleQuery<'q>,
    pub(super) code: &'q str,
    pub(super) rows: Option<i128>,
}

pub(super) fn market_name(market: &Market, name: &str) -> Option<Value<'static>> {
    let optional = |text: &Option<String>| text.as_ref().map_or(Value::Absent, Value::text);
    let flag = |flag: Option<bool>| flag.map_or(Value::Absent, Value::Bool);
    Some(match name {
        "id" => Value::text(&market.id),
        "symbol" => Value::text(&market.symbol),
        "base" => Value::text(&market.base),
        "quote" => Value::text(&market.quote),
        "settle" => optional(&market.settle),
        "base_id" => Value::text(&market.base_id),
        "quote_id" => Value::text(&market.quote_id),
        "settle_id" => optional(&market.settle_id),
        "type" => Value::text(market.market_type.as_str()),
        "linear" => flag(market.linear),
        "inverse" => flag(market.inverse),
        _ => {
            let extra = name.strip_prefix("extra.")?;
            market.extra.get(extra).map_or(Value::Absent, Value::text)
        }
    })
}

const QUERY_NAMES: [&str; 6] = ["since", "until", "now", "limit", "tf", "unified"];

pub(super) fn query_name(query: &CandleQuery<'_>, name: &str) -> Option<Value<'static>> {
    let time = |time: forecastle_core::Timestamp| Value::Int(time.as_millis().into());
    Some(match name {
        "since" => query.since.map_or(Value::Absent, time),
        "until" => query.until.map_or(Value::Absent, time),
        "now" => time(query.now),
        "limit" => query.limit.map_or(Value::Absent, |limit| Value::Int(limit.into())),
        "tf" => Value::Int(query.timeframe.nominal_millis().into()),
        "unified" => Value::text(query.timeframe.to_string()),
        _ => return None,
    })
}

pub(super) fn unknown<'a>(name: &str) -> Result<Value<'a>, ExpressionError> {
    Err(ExpressionError::new(format!("nothing is called `{name}` here")))
}

impl<'a> Names<'a> for MarketNames<'_> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        let of_query = || match self.query {
            Some(query) => query_name(query, name),
            None => QUERY_NAMES.contains(&name).then_some(Value::Absent),
        };
        market_name(self.market, name).or_else(of_query).map_or_else(|| unknown(name), Ok)
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

impl<'a> Names<'a> for RequestNames<'_> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        match name {
            "timeframe" => return Ok(Value::text(self.code)),
            "rows" => return Ok(self.rows.map_or(Value::Absent, Value::Int)),
            _ => {}
        }
        let query = self.query;
        let value = query_name(query, name).or_else(|| market_name(query.market, name));
        value.map_or_else(|| unknown(name), Ok)
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

/// The names of a request that depends on no query.
pub(super) struct ListNames<'q> {
    pub(super) exchange: &'q Exchange,
    pub(super) given: BTreeMap<&'static str, Value<'q>>,
}

impl<'a> Names<'a> for ListNames<'a> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        self.given.get(name).cloned().map_or_else(|| unknown(name), Ok)
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}
