//! A recorded case as its file spells it, and the differences that are known.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
pub(super) struct Cases {
    pub(super) id: String,
    pub(super) clock_ms: i64,
    #[serde(default)]
    pub(super) requests: Vec<RequestCase>,
    #[serde(default)]
    pub(super) responses: Vec<ResponseCase>,
    #[serde(default)]
    pub(super) markets: Vec<MarketsCase>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    pub(super) symbol: String,
    pub(super) market_id: Option<String>,
    #[serde(rename = "type")]
    pub(super) market_type: Option<String>,
    pub(super) timeframe: String,
    pub(super) since: Option<i64>,
    pub(super) limit: Option<u32>,
    #[serde(default)]
    pub(super) params: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RequestCase {
    #[serde(flatten)]
    pub(super) query: Query,
    pub(super) expect: Option<ExpectedRequest>,
    pub(super) expect_error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExpectedRequest {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) body: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ResponseCase {
    pub(super) symbol: String,
    pub(super) market_id: Option<String>,
    #[serde(rename = "type")]
    pub(super) market_type: Option<String>,
    pub(super) timeframe: String,
    pub(super) since: Option<i64>,
    pub(super) limit: Option<u32>,
    #[serde(default)]
    pub(super) params: BTreeMap<String, serde_json::Value>,
    pub(super) body: Box<RawValue>,
    pub(super) expect: Vec<[Option<f64>; 6]>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MarketsCase {
    pub(super) responses: Vec<MarketsAnswer>,
    pub(super) expect: Vec<ExpectedMarket>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MarketsAnswer {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) request_body: Option<String>,
    pub(super) body: Box<RawValue>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ExpectedMarket {
    pub(super) id: Option<String>,
    pub(super) symbol: Option<String>,
    pub(super) base: Option<String>,
    pub(super) quote: Option<String>,
    pub(super) settle: Option<String>,
    #[serde(rename = "type")]
    pub(super) market_type: Option<String>,
    pub(super) active: Option<bool>,
    pub(super) linear: Option<bool>,
    pub(super) inverse: Option<bool>,
    #[serde(rename = "contractSize")]
    pub(super) contract_size: Option<f64>,
    pub(super) expiry: Option<i64>,
    pub(super) strike: Option<f64>,
    #[serde(rename = "optionType")]
    pub(super) option_type: Option<String>,
}

/// A case where CCXT is wrong: what it is about and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownDifference {
    pub(super) exchange: String,
    /// `requests`, `responses` or `markets`.
    pub(super) part: String,
    /// `spot`, `swap` …; any when left out.
    #[serde(rename = "type")]
    pub(super) market_type: Option<String>,
    pub(super) timeframes: Option<Vec<String>>,
    /// Whether the query has a `since`; either when left out.
    pub(super) since: Option<bool>,
    /// Whether the query has a `limit`; either when left out.
    pub(super) limit: Option<bool>,
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct KnownDifferences {
    pub(super) difference: Vec<KnownDifference>,
}

impl KnownDifference {
    pub(super) fn covers(&self, exchange: &str, part: &str, query: Option<&Query>) -> bool {
        let of_query = |query: &Query| {
            let same = |want: &Option<String>, is: &Option<String>| want.is_none() || want == is;
            same(&self.market_type, &query.market_type)
                && self.timeframes.as_ref().is_none_or(|t| t.contains(&query.timeframe))
                && self.since.is_none_or(|since| since == query.since.is_some())
                && self.limit.is_none_or(|limit| limit == query.limit.is_some())
        };
        self.exchange == exchange && self.part == part && query.is_none_or(of_query)
    }
}
