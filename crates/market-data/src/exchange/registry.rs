//! The embedded records, parsed one by one when first asked for.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use toml::{Table, Value};

use super::definition::Exchange;
use super::error::{ExchangeError, ExchangeResult};
use super::hint::closest;
use super::market::{MarketKind, MarketType};
use super::record::Record;

include!(concat!(env!("OUT_DIR"), "/records.rs"));

struct Entry {
    text: &'static str,
    parsed: OnceLock<Exchange>,
}

static REGISTRY: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(|| {
    let entry = |&(id, text): &(&'static str, _)| (id, Entry { text, parsed: OnceLock::new() });
    RECORDS.iter().map(entry).collect()
});

/// No record needs more bytes.
const LONGEST_RECORD: usize = 1 << 18;

/// A chain of inheritance longer than this is a circle.
const MAX_ANCESTORS: usize = 4;

impl Exchange {
    /// Lists the ids of all exchanges of the registry, in alphabetical order.
    pub fn ids() -> impl ExactSizeIterator<Item = &'static str> {
        REGISTRY.keys().copied()
    }

    /// Finds an exchange by CCXT's id, in any case.
    ///
    /// # Errors
    /// - [`ExchangeError::UnknownExchange`] with the closest id.
    /// - [`ExchangeError::Record`] when its record is wrong.
    pub fn find(id: &str) -> ExchangeResult<Self> {
        let id = id.to_lowercase();
        let Some(entry) = REGISTRY.get(id.as_str()) else {
            let hint = closest(&id, Self::ids());
            return Err(ExchangeError::UnknownExchange { name: id, hint });
        };
        if let Some(exchange) = entry.parsed.get() {
            return Ok(exchange.clone());
        }
        let exchange = Self::from_record(resolve(&id, entry.text, &embedded)?, &id)?;
        Ok(entry.parsed.get_or_init(|| exchange).clone())
    }

    /// Reads a record of your own: an exchange that the registry lacks, or a changed one. It may
    /// inherit from the registry's.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] with the field and what is wrong with it.
    pub fn parse(text: &str) -> ExchangeResult<Self> {
        Self::from_record(resolve("given", text, &embedded)?, "given")
    }

    /// Every exchange of the registry.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] for the first wrong record.
    pub fn all() -> ExchangeResult<Vec<Self>> {
        Self::ids().map(Self::find).collect()
    }
}

fn embedded(id: &str) -> Option<&'static str> {
    REGISTRY.get(id).map(|entry| entry.text)
}

/// Reads a record and those it inherits from, which `find` gives by id.
fn resolve<'t>(
    file: &str,
    text: &str,
    find: &dyn Fn(&str) -> Option<&'t str>,
) -> ExchangeResult<Record> {
    let wrong = |field: &str, reason: String| ExchangeError::Record {
        file: format!("{file}.toml"),
        field: field.to_owned(),
        reason,
    };
    if text.len() > LONGEST_RECORD {
        return Err(wrong("syntax", format!("longer than {LONGEST_RECORD} bytes")));
    }
    let mut table: Table = toml::from_str(text).map_err(|e| wrong("syntax", one_line(&e)))?;
    let mut inherits = table.get("inherits").cloned();
    for _ in 0..MAX_ANCESTORS {
        let Some(parent) = inherits.take() else {
            let mut record: Record = serde_path_to_error::deserialize(table)
                .map_err(|e| wrong(&e.path().to_string(), one_line(e.inner())))?;
            keep(&mut record);
            return Ok(record);
        };
        let Some(id) = parent.as_str() else {
            return Err(wrong("inherits", format!("an id expected, got {parent}")));
        };
        let parent = find(id).ok_or_else(|| {
            let hint = closest(id, Exchange::ids());
            let hint = hint.map(|hint| format!(", did you mean {hint:?}?")).unwrap_or_default();
            wrong("inherits", format!("no exchange is called {id:?}{hint}"))
        })?;
        let mut inherited: Table =
            toml::from_str(parent).map_err(|e| wrong("inherits", one_line(&e)))?;
        inherits = inherited.get("inherits").cloned();
        merge(&mut inherited, table);
        table = inherited;
    }
    Err(wrong("inherits", "the records inherit from each other in a circle".to_owned()))
}

/// The child's fields win; tables are merged field by field.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Drops what an inheriting record does not offer.
fn keep(record: &mut Record) {
    if let Some(kinds) = &record.kinds {
        let offered = |kind: &MarketKind| kinds.contains(kind);
        for endpoint in &mut record.candles {
            endpoint.kinds.retain(offered);
        }
        record.candles.retain(|endpoint| !endpoint.kinds.is_empty());
        for channel in &mut record.websocket {
            channel.kinds.retain(offered);
        }
        record.websocket.retain(|channel| !channel.kinds.is_empty());
        let lists = |kinds: &Vec<MarketKind>| kinds.iter().any(offered);
        record.markets.retain(|rule| rule.kinds.as_ref().is_none_or(lists));
    }
}

impl Record {
    /// Whether markets of a type are listed.
    pub(super) fn lists(&self, market_type: MarketType) -> bool {
        self.market_types.as_ref().is_none_or(|types| types.contains(&market_type))
    }
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = r#"
        id = "a"
        name = "A"
        rate_limit_ms = 5
        hosts = { rest = "https://a.io", old = "https://old.a.io" }
        timeframes = { 1m = "1", 1h = "60" }
        [[candles]]
        kinds = ["spot"]
        host = "rest"
        path = "/k"
        volume = "base"
        paging = "recent"
        response = { layout = "array", time = 0, open = 1, high = 2, low = 3, close = 4, unit = "s" }
    "#;

    fn resolved(records: &[(&str, &'static str)]) -> ExchangeResult<Record> {
        let find = |id: &str| records.iter().find(|(name, _)| *name == id).map(|found| found.1);
        resolve("first", records[0].1, &find)
    }

    #[test]
    fn tables_are_merged_through_the_generations_and_the_child_wins() {
        let child = "inherits = 'b'\nid = 'c'\nhosts = { rest = 'https://c.io' }";
        let middle = "inherits = 'a'\nid = 'b'\nname = 'B'\ntimeframes = { 1h = '3600', 1d = 'D' }";
        let record = resolved(&[("c", child), ("b", middle), ("a", PARENT)]).unwrap();
        assert_eq!((record.id.as_str(), record.name.as_str()), ("c", "B"));
        let urls: Vec<&String> = record.hosts.values().collect();
        assert_eq!(urls, ["https://old.a.io", "https://c.io"]);
        let codes: Vec<&String> = record.timeframes.values().collect();
        assert_eq!(codes, ["D", "3600", "1"]);
        assert_eq!(record.inherits.as_deref(), Some("b"));
    }

    #[test]
    fn records_that_inherit_in_a_circle_are_refused_in_the_field_that_says_so() {
        let circles: [&[(&str, &str)]; 3] = [
            &[("a", "inherits = 'a'")],
            &[("a", "inherits = 'b'"), ("b", "inherits = 'a'")],
            &[("x", "inherits = 'a'"), ("a", "inherits = 'b'"), ("b", "inherits = 'a'")],
        ];
        for circle in circles {
            let error = resolved(circle).unwrap_err();
            let ExchangeError::Record { file, field, reason } = error else { panic!("{error}") };
            assert_eq!((file.as_str(), field.as_str()), ("first.toml", "inherits"));
            assert!(reason.contains("in a circle"), "{reason}");
        }
    }
}
