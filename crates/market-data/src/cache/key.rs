use std::fmt;
use std::path::PathBuf;

use forecastle_core::{Error, Result, Symbol, Timeframe};

/// Names a cached series: an exchange, a symbol and a timeframe.
///
/// Each series has a folder of its own, laid out as Hive partitions. Values are percent-encoded,
/// which readers of such folders undo, and letters of the rarer case are encoded too, so that
/// `1m` and `1M` stay apart on file systems that ignore case.
///
/// # Examples
/// ```
/// use forecastle_market_data::CacheKey;
///
/// let key = CacheKey::new("okx", "BTC/USDT:USDT".parse()?, "1M".parse()?)?;
/// let folder = key.folder();
/// assert_eq!(
///     folder.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>(),
///     ["exchange=okx", "timeframe=1%4D", "symbol=BTC%2FUSDT%3AUSDT"],
/// );
/// assert_eq!(key.to_string(), "okx BTC/USDT:USDT 1M");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    exchange: String,
    symbol: Symbol,
    timeframe: Timeframe,
}

/// The longest name that the common file systems take.
const LONGEST_NAME: usize = 255;

/// The letters that stand for themselves.
#[derive(Debug, Clone, Copy)]
enum Plain {
    Lower,
    Upper,
}

impl CacheKey {
    /// Makes a key.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `exchange` is empty, or it or `symbol` is longer than a
    ///   folder's name may be.
    pub fn new(exchange: impl Into<String>, symbol: Symbol, timeframe: Timeframe) -> Result<Self> {
        let key = Self { exchange: exchange.into(), symbol, timeframe };
        if key.exchange.is_empty() {
            return Err(Error::invalid_parameter("exchange", "the name of one", "nothing"));
        }
        let [exchange, _, symbol] = key.folder_names();
        for (name, folder, value) in
            [("exchange", exchange, &key.exchange), ("symbol", symbol, &key.symbol.to_string())]
        {
            if folder.len() > LONGEST_NAME {
                let requirement = "at most 255 bytes as the name of a folder";
                return Err(Error::invalid_parameter(name, requirement, value));
            }
        }
        Ok(key)
    }

    /// The exchange's id.
    pub fn exchange(&self) -> &str {
        &self.exchange
    }

    /// The market.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// How long each candle lasts.
    pub fn timeframe(&self) -> Timeframe {
        self.timeframe
    }

    /// The series' folder below the cache's root: `exchange=…/timeframe=…/symbol=…`.
    pub fn folder(&self) -> PathBuf {
        self.folder_names().iter().collect()
    }

    fn folder_names(&self) -> [String; 3] {
        [
            format!("exchange={}", encoded(&self.exchange, Plain::Lower)),
            format!("timeframe={}", encoded(&self.timeframe.to_string(), Plain::Lower)),
            format!("symbol={}", encoded(&self.symbol.to_string(), Plain::Upper)),
        ]
    }

    /// Reads the folder's three names back; `None` for names that no key has.
    pub(crate) fn from_folder_names(names: [&str; 3]) -> Option<Self> {
        let [exchange, timeframe, symbol] = names;
        let exchange = decoded(exchange.strip_prefix("exchange=")?)?;
        let timeframe = decoded(timeframe.strip_prefix("timeframe=")?)?.parse().ok()?;
        let symbol = decoded(symbol.strip_prefix("symbol=")?)?.parse().ok()?;
        let key = Self::new(exchange, symbol, timeframe).ok()?;
        (key.folder_names() == names).then_some(key)
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.exchange, self.symbol, self.timeframe)
    }
}

fn encoded(value: &str, plain: Plain) -> String {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or('0');
    let mut name = String::with_capacity(value.len());
    for byte in value.bytes() {
        let stays = match plain {
            Plain::Lower => byte.is_ascii_lowercase(),
            Plain::Upper => byte.is_ascii_uppercase(),
        };
        if stays || byte.is_ascii_digit() || matches!(byte, b'-' | b'_') {
            name.push(char::from(byte));
        } else {
            name.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    name
}

fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(exchange: &str, symbol: &str, timeframe: &str) -> CacheKey {
        CacheKey::new(exchange, symbol.parse().unwrap(), timeframe.parse().unwrap()).unwrap()
    }

    fn names(key: &CacheKey) -> [String; 3] {
        key.folder_names()
    }

    #[test]
    fn names_that_differ_by_case_alone_give_folders_that_differ_by_more() {
        for (a, b) in [
            (key("x", "BTC/USDT", "1m"), key("x", "BTC/USDT", "1M")),
            (key("x", "kPEPE/USDT", "1h"), key("x", "KPEPE/USDT", "1h")),
            (key("x", "btc/usdt", "1h"), key("x", "BTC/USDT", "1h")),
            (key("OKX", "A/B", "1h"), key("okx", "A/B", "1h")),
        ] {
            let lower = |key: &CacheKey| key.folder().display().to_string().to_lowercase();
            assert_ne!(lower(&a), lower(&b));
        }
    }

    #[test]
    fn names_that_no_file_system_takes_are_refused() {
        assert!(CacheKey::new("", "A/B".parse().unwrap(), Timeframe::HOUR).is_err());
        let long = "€".repeat(42).parse().unwrap();
        assert!(CacheKey::new("x", long, Timeframe::HOUR).is_err());
        assert!(CacheKey::new("x".repeat(300), "A/B".parse().unwrap(), Timeframe::HOUR).is_err());
    }

    #[test]
    fn a_name_never_leaves_its_folder() {
        let key = key("../..", "..", "1h");
        assert_eq!(names(&key)[0], "exchange=%2E%2E%2F%2E%2E");
        assert_eq!(names(&key)[2], "symbol=%2E%2E");
    }

    proptest! {
        #[test]
        fn prop_folders_read_back(
            exchange in "\\PC{1,20}",
            base in "[A-Za-z0-9.$€_-]{1,12}",
            quote in "[A-Za-z0-9.$]{1,8}",
            settle in prop::option::of("[A-Z]{1,5}"),
        ) {
            let settle = settle.map(|s| format!(":{s}")).unwrap_or_default();
            let key = key(&exchange, &format!("{base}/{quote}{settle}"), "1M");
            let [a, b, c] = &names(&key);
            prop_assert_eq!(CacheKey::from_folder_names([a, b, c]), Some(key));
        }
    }

    #[test]
    fn foreign_folders_are_no_keys() {
        for folders in [
            ["exchange=x", "timeframe=1m", "symbol=%4"],
            ["exchange=x", "timeframe=1m", "symbol=%FF"],
            ["exchange=x", "timeframe=1M", "symbol=A"],
            ["exchange=x", "timeframe=1m", "symbol=%42"],
            ["exchange=", "timeframe=1m", "symbol=A"],
            ["x", "timeframe=1m", "symbol=A"],
        ] {
            assert_eq!(CacheKey::from_folder_names(folders), None, "{folders:?}");
        }
    }
}
