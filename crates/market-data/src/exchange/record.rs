//! The record of one exchange as its file spells it, before any check.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::channel_record::Channel;
use super::expression::Template;
use super::http_request::Method;
use super::market::{MarketKind, MarketType};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) inherits: Option<String>,
    #[serde(default)]
    pub(super) kinds: Option<Vec<MarketKind>>,
    #[serde(default)]
    pub(super) market_types: Option<Vec<MarketType>>,
    pub(super) rate_limit_ms: f64,
    pub(super) hosts: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) needs_key: Vec<Need>,
    #[serde(default)]
    pub(super) note: Option<String>,
    #[serde(default)]
    pub(super) errors: ErrorRules,
    #[serde(default)]
    pub(super) timeframes: BTreeMap<String, String>,
    pub(super) candles: Vec<Endpoint>,
    #[serde(default)]
    pub(super) websocket_hosts: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) websocket: Vec<Channel>,
    #[serde(default)]
    pub(super) markets: Vec<MarketRule>,
    #[serde(default)]
    pub(super) symbol_rule: Option<SymbolRule>,
}

/// Names what an exchange gives only to holders of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Need {
    /// Candles.
    Candles,
    /// The list of markets.
    Markets,
}

/// How an exchange says no.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ErrorRules {
    pub(super) failed: Option<Template>,
    pub(super) message: Option<Template>,
    pub(super) unknown_symbol: Vec<String>,
    pub(super) rate_limited: Vec<String>,
}

/// Where candles of some kinds of markets are asked for, and how they come.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    pub(super) kinds: Vec<MarketKind>,
    #[serde(default)]
    pub(super) when: Option<Template>,
    #[serde(default)]
    pub(super) method: Method,
    pub(super) host: Template,
    pub(super) path: Template,
    #[serde(default)]
    pub(super) rows: Option<Template>,
    #[serde(default)]
    pub(super) cut: Option<Template>,
    #[serde(default)]
    pub(super) cut_since: Option<Template>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, Template>,
    #[serde(default)]
    pub(super) body: Option<Body>,
    #[serde(default)]
    pub(super) timeframes: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) refuse: Vec<Refusal>,
    pub(super) volume: VolumeUnit,
    pub(super) paging: Paging,
    #[serde(default)]
    pub(super) max_rows: Option<u32>,
    #[serde(default)]
    pub(super) depth: Option<u32>,
    #[serde(default)]
    pub(super) span: Option<Template>,
    pub(super) response: Response,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    pub(super) when: Template,
    pub(super) message: String,
}

/// States the unit of a candle's volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum VolumeUnit {
    /// The base currency, as everywhere else in Forecastle.
    Base,
    /// The quote currency.
    Quote,
    /// Contracts.
    Contracts,
}

impl fmt::Display for VolumeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "base",
            Self::Quote => "quote",
            Self::Contracts => "contracts",
        })
    }
}

/// States how an endpoint is walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Paging {
    /// It honours a start.
    Forward,
    /// It honours an end and gives the rows before it.
    Backward,
    /// It gives its newest rows and no others.
    Recent,
}

/// How the rows stand in an answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) rows: Vec<Template>,
    /// Further places where the rows may be.
    #[serde(default)]
    pub(super) or_rows: Vec<Vec<Template>>,
    pub(super) layout: Layout,
    pub(super) time: Column,
    pub(super) open: Column,
    pub(super) high: Column,
    pub(super) low: Column,
    pub(super) close: Column,
    #[serde(default)]
    pub(super) volume: Option<Column>,
    pub(super) unit: TimeUnit,
    #[serde(default)]
    pub(super) open_time: Option<Template>,
    #[serde(default)]
    pub(super) price_divisor: Option<Template>,
    #[serde(default)]
    pub(super) volume_divisor: Option<Template>,
    #[serde(default)]
    pub(super) when_missing: WhenMissing,
    #[serde(default)]
    pub(super) single: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Layout {
    Array,
    Object,
    Columns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WhenMissing {
    #[default]
    Malformed,
    Empty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TimeUnit {
    Ms,
    S,
    Us,
    Ns,
    Iso,
}

/// A field of a row: its position, its name or several names of which the first present counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Column {
    Position(usize),
    Name(String),
    Names(Vec<String>),
}

/// One request for markets and the rule for its rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarketRule {
    /// Which kinds the list holds; a record that inherits only other kinds does without it.
    #[serde(default)]
    pub(super) kinds: Option<Vec<MarketKind>>,
    #[serde(default)]
    pub(super) method: Method,
    pub(super) host: Template,
    pub(super) path: Template,
    #[serde(default)]
    pub(super) query: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    pub(super) body: Option<Body>,
    /// Another list: this rule makes one request for each of its rows.
    #[serde(default)]
    pub(super) each: Option<Each>,
    #[serde(default)]
    pub(super) also: Vec<ListRequest>,
    #[serde(default)]
    pub(super) rows: Vec<Template>,
    /// What a list that is not there means.
    #[serde(default)]
    pub(super) when_missing: WhenMissing,
    #[serde(default)]
    pub(super) keyed: bool,
    #[serde(default)]
    pub(super) next: Option<NextPage>,
    #[serde(default, rename = "where")]
    pub(super) filter: Option<Template>,
    /// Whether a symbol that is listed already is left out.
    #[serde(default)]
    pub(super) distinct: bool,
    #[serde(default, rename = "let")]
    pub(super) names: BTreeMap<String, Template>,
    pub(super) id: Template,
    pub(super) base: Template,
    pub(super) quote: Template,
    #[serde(default)]
    pub(super) settle: Option<Template>,
    #[serde(default)]
    pub(super) base_id: Option<Template>,
    #[serde(default)]
    pub(super) quote_id: Option<Template>,
    #[serde(default)]
    pub(super) settle_id: Option<Template>,
    #[serde(rename = "type")]
    pub(super) market_type: Template,
    #[serde(default)]
    pub(super) linear: Option<Template>,
    #[serde(default)]
    pub(super) inverse: Option<Template>,
    #[serde(default)]
    pub(super) expiry: Option<Template>,
    #[serde(default)]
    pub(super) strike: Option<Template>,
    #[serde(default)]
    pub(super) option_type: Option<Template>,
    #[serde(default)]
    pub(super) contract_size: Option<Template>,
    #[serde(default)]
    pub(super) active: Option<Template>,
    #[serde(default)]
    pub(super) symbol: Option<Template>,
    #[serde(default)]
    pub(super) extra: BTreeMap<String, Template>,
}

/// A list whose rows give one request each.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Each {
    #[serde(default)]
    pub(super) method: Method,
    pub(super) host: Template,
    pub(super) path: Template,
    #[serde(default)]
    pub(super) query: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    pub(super) body: Option<Body>,
    #[serde(default)]
    pub(super) rows: Vec<String>,
    #[serde(default, rename = "where")]
    pub(super) filter: Option<Template>,
    /// What the requests call `@each`.
    pub(super) value: Template,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListRequest {
    #[serde(default)]
    pub(super) method: Method,
    pub(super) host: Template,
    pub(super) path: Template,
    #[serde(default)]
    pub(super) query: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    pub(super) body: Option<Body>,
}

/// A parameter, or several values of it, one request for each.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) struct OneOrMany(pub(super) Vec<Template>);

impl TryFrom<toml::Value> for OneOrMany {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let texts = match value {
            toml::Value::Array(values) => values,
            value => vec![value],
        };
        let template = |value: &toml::Value| match value.as_str() {
            Some(text) => Template::parse(text).map_err(|e| e.to_string()),
            None => Err("a text or a list of texts expected".to_owned()),
        };
        texts.iter().map(template).collect::<Result<_, _>>().map(Self)
    }
}

/// How a list goes on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NextPage {
    pub(super) query: Option<String>,
    pub(super) body: Option<String>,
    pub(super) from: Template,
}

/// How a symbol's market is named where no list can be had.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SymbolRule {
    pub(super) id: Template,
    #[serde(default)]
    pub(super) extra: BTreeMap<String, Template>,
}

/// A JSON body whose texts are templates.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) enum Body {
    Constant(serde_json::Value),
    Text(Template),
    List(Vec<Body>),
    Object(BTreeMap<String, Body>),
}

impl TryFrom<toml::Value> for Body {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        Ok(match value {
            toml::Value::String(text) => {
                Self::Text(Template::parse(&text).map_err(|e| e.to_string())?)
            }
            toml::Value::Boolean(flag) => Self::Constant(flag.into()),
            toml::Value::Integer(int) => Self::Constant(int.into()),
            toml::Value::Float(number) => Self::Constant(number.into()),
            toml::Value::Datetime(_) => return Err("write times as texts".to_owned()),
            toml::Value::Array(values) => {
                Self::List(values.into_iter().map(Self::try_from).collect::<Result<_, _>>()?)
            }
            toml::Value::Table(table) => {
                let field = |(name, value)| Ok((name, Self::try_from(value)?));
                Self::Object(table.into_iter().map(field).collect::<Result<_, String>>()?)
            }
        })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TemplateVisitor;

        impl Visitor<'_> for TemplateVisitor {
            type Value = Template;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text with {expressions}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Template, E> {
                Template::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(TemplateVisitor)
    }
}
