use std::collections::BTreeMap;
use std::fmt;

use forecastle_core::{Result, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

/// Names what is traded, in CCXT's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MarketType {
    /// The asset itself.
    Spot,
    /// A perpetual contract.
    Swap,
    /// A contract with an expiry.
    Future,
    /// A right with an expiry and a strike.
    Option,
    /// An index; not traded.
    Index,
}

impl MarketType {
    /// CCXT's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Swap => "swap",
            Self::Future => "future",
            Self::Option => "option",
            Self::Index => "index",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Spot, Self::Swap, Self::Future, Self::Option, Self::Index]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for MarketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names which candle endpoint of an exchange serves a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MarketKind {
    /// Spot.
    Spot,
    /// Perpetual contracts settled in the quote currency.
    Linear,
    /// Perpetual contracts settled in the base currency.
    Inverse,
    /// Dated contracts settled in the quote currency.
    LinearFuture,
    /// Dated contracts settled in the base currency.
    InverseFuture,
    /// Options.
    Option,
}

impl MarketKind {
    /// The record's word: `spot`, `linear`, `inverse`, `linear_future`, `inverse_future`,
    /// `option`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Linear => "linear",
            Self::Inverse => "inverse",
            Self::LinearFuture => "linear_future",
            Self::InverseFuture => "inverse_future",
            Self::Option => "option",
        }
    }

    /// The kind whose endpoint serves this one too, unless it has its own.
    pub(super) fn fallback(self) -> Option<Self> {
        match self {
            Self::LinearFuture => Some(Self::Linear),
            Self::InverseFuture => Some(Self::Inverse),
            _ => None,
        }
    }
}

impl fmt::Display for MarketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Holds one market of an exchange: its own names beside CCXT's unified ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Market {
    /// The exchange's name of the market.
    pub id: String,
    /// CCXT's name: `BTC/USDT`, `BTC/USDT:USDT`, `BTC/USD:BTC-261225`.
    pub symbol: String,
    /// The asset, after the exchange's aliases.
    pub base: String,
    /// The currency of the price.
    pub quote: String,
    /// The currency a contract settles in.
    pub settle: Option<String>,
    /// The exchange's name of the asset.
    pub base_id: String,
    /// The exchange's name of the quote currency.
    pub quote_id: String,
    /// The exchange's name of the settlement currency.
    pub settle_id: Option<String>,
    /// What is traded.
    #[serde(rename = "type")]
    pub market_type: MarketType,
    /// Whether it settles in the quote currency; `None` for spot.
    pub linear: Option<bool>,
    /// Whether it settles in the base currency; `None` for spot.
    pub inverse: Option<bool>,
    /// Whether it trades now; `None` when the list does not say.
    pub active: Option<bool>,
    /// How much of the base currency (of the quote currency, when inverse) one contract is.
    pub contract_size: Option<f64>,
    /// When a dated contract ends.
    pub expiry: Option<Timestamp>,
    /// An option's strike price.
    pub strike: Option<f64>,
    /// `call` or `put`.
    pub option_type: Option<String>,
    /// What requests and responses need beyond that, as the record says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

impl Market {
    /// Makes a market from the exchange's id and the unified symbol, with everything that follows
    /// from the symbol; for exchanges whose list cannot be had.
    ///
    /// # Errors
    /// - [`Error::Parse`](forecastle_core::Error::Parse) when the symbol is none.
    pub fn from_symbol(id: impl Into<String>, symbol: &str) -> Result<Self> {
        let parsed: Symbol = symbol.parse()?;
        let base = parsed.base().to_owned();
        let quote = parsed.quote().unwrap_or_default().to_owned();
        let settle = parsed.settle().map(str::to_owned);
        let market_type = match (&settle, parsed.contract()) {
            (None, _) => MarketType::Spot,
            (Some(_), None) => MarketType::Swap,
            (Some(_), Some(contract)) if contract.contains('-') => MarketType::Option,
            (Some(_), Some(_)) => MarketType::Future,
        };
        Ok(Self {
            id: id.into(),
            symbol: symbol.to_owned(),
            linear: settle.as_ref().map(|settle| *settle == quote),
            inverse: settle.as_ref().map(|settle| *settle == base),
            base_id: base.clone(),
            quote_id: quote.clone(),
            settle_id: settle.clone(),
            base,
            quote,
            settle,
            market_type,
            active: None,
            contract_size: None,
            expiry: None,
            strike: None,
            option_type: None,
            extra: BTreeMap::new(),
        })
    }

    /// Which candle endpoint serves it; `None` for an index.
    pub fn kind(&self) -> Option<MarketKind> {
        let inverse = self.inverse == Some(true);
        match self.market_type {
            MarketType::Spot => Some(MarketKind::Spot),
            MarketType::Swap if inverse => Some(MarketKind::Inverse),
            MarketType::Swap => Some(MarketKind::Linear),
            MarketType::Future if inverse => Some(MarketKind::InverseFuture),
            MarketType::Future => Some(MarketKind::LinearFuture),
            MarketType::Option => Some(MarketKind::Option),
            MarketType::Index => None,
        }
    }
}
