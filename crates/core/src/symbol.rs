use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Names a market the way CCXT does: `BTC/USDT`, `BTC/USDT:USDT`, `BTC/USD:BTC-240628`.
///
/// A name without a quote currency (`SPX`, `GOOG`) is a symbol too: candles from a file need not
/// come from an exchange.
///
/// ```
/// use forecastle_core::Symbol;
///
/// let perpetual: Symbol = "BTC/USDT:USDT".parse()?;
/// assert_eq!(perpetual.base(), "BTC");
/// assert_eq!(perpetual.quote(), Some("USDT"));
/// assert_eq!(perpetual.settle(), Some("USDT"));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol {
    base: String,
    quote: Option<String>,
    settle: Option<String>,
    /// What follows the settle currency after `-`: expiry, strike, option kind.
    contract: Option<String>,
}

/// More than any exchange's names need; bounds hostile input.
const MAX_LENGTH: usize = 128;

impl Symbol {
    /// The asset that is bought and sold.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The currency of the price.
    pub fn quote(&self) -> Option<&str> {
        self.quote.as_deref()
    }

    /// The currency a contract settles in, `None` for spot.
    pub fn settle(&self) -> Option<&str> {
        self.settle.as_deref()
    }

    /// Expiry, strike and kind of a dated contract, as CCXT writes them.
    pub fn contract(&self) -> Option<&str> {
        self.contract.as_deref()
    }

    /// Whether this is a spot market.
    pub fn is_spot(&self) -> bool {
        self.settle.is_none()
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)?;
        for (separator, part) in [('/', &self.quote), (':', &self.settle), ('-', &self.contract)] {
            if let Some(part) = part {
                write!(f, "{separator}{part}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Symbol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::parse("symbol such as BTC/USDT or BTC/USDT:USDT", text);
        let clean = |part: &str| {
            let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
            (!part.is_empty() && !part.chars().any(bad)).then(|| part.to_owned()).ok_or_else(refuse)
        };
        if text.len() > MAX_LENGTH {
            return Err(refuse());
        }
        let Some((base, rest)) = text.split_once('/') else {
            return Ok(Self { base: clean(text)?, quote: None, settle: None, contract: None });
        };
        let (quote, settlement) = match rest.split_once(':') {
            Some((quote, settlement)) => (quote, Some(settlement)),
            None => (rest, None),
        };
        let (settle, contract) = match settlement.map(|s| s.split_once('-').ok_or(s)) {
            None => (None, None),
            Some(Err(settle)) => (Some(clean(settle)?), None),
            Some(Ok((settle, contract))) => (Some(clean(settle)?), Some(clean(contract)?)),
        };
        Ok(Self { base: clean(base)?, quote: Some(clean(quote)?), settle, contract })
    }
}

impl TryFrom<String> for Symbol {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ccxt_names_round_trip() {
        for text in [
            "BTC/USDT",
            "BTC/USDT:USDT",
            "BTC/USD:BTC-240628",
            "BTC/USD:BTC-240628-70000-C",
            "SPX",
            "1000PEPE/USDT",
        ] {
            assert_eq!(text.parse::<Symbol>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for text in ["", "/", "BTC/", "/USDT", "BTC/USDT:", "BTC/USD:BTC-", "A B/C", "A/B/C"] {
            assert!(text.parse::<Symbol>().is_err(), "{text:?}");
        }
        assert!("x".repeat(129).parse::<Symbol>().is_err());
    }
}
