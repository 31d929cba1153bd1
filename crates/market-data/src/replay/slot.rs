//! The places of a request that may carry something: path segments, parameters, body fields.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use crate::exchange::Method;
use crate::time_field::{parse_calendar, parse_compact_date};

/// A request taken apart: what stands where, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) method: Method,
    /// How many segments the path has.
    pub(super) segments: usize,
    /// `/1` is the second segment of the path, `?name` a parameter, `{name/inner` a body's field.
    pub(super) texts: BTreeMap<String, String>,
}

impl Slots {
    /// Takes a request apart; `target` is the path and the query. `None` when the body is no JSON.
    pub(super) fn of(method: Method, target: &str, body: Option<&[u8]>) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut texts = BTreeMap::new();
        let mut segments = 0;
        for segment in path.trim_matches('/').split('/') {
            texts.insert(format!("/{segments}"), decode(segment));
            segments += 1;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            texts.insert(format!("?{}", decode(name)), decode(&value.replace('+', " ")));
        }
        if let Some(body) = body.filter(|body| !body.trim_ascii().is_empty()) {
            let json: Json = serde_json::from_slice(body).ok()?;
            leaves("{".to_owned(), &json, &mut texts);
        }
        Some(Self { method, segments, texts })
    }

    /// The path and query of an address: what follows its host.
    pub(super) fn target(url: &str) -> &str {
        let after = url.split_once("://").map_or(url, |(_, after)| after);
        after.find('/').and_then(|at| after.get(at..)).unwrap_or("/")
    }
}

fn leaves(place: String, json: &Json, texts: &mut BTreeMap<String, String>) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                leaves(format!("{place}/{name}"), value, texts);
            }
        }
        Json::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                leaves(format!("{place}/{index}"), value, texts);
            }
        }
        Json::String(text) => {
            texts.insert(place, text.clone());
        }
        Json::Null => {}
        Json::Bool(_) | Json::Number(_) => {
            texts.insert(place, json.to_string());
        }
    }
}

/// How a request spells a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeText {
    Millis,
    Seconds,
    Micros,
    Nanos,
    Calendar,
    /// `20240131`: all of that day.
    Day,
    /// `2024`: all of that year.
    Year,
}

impl TimeText {
    pub(super) const ALL: [Self; 7] = [
        Self::Millis,
        Self::Seconds,
        Self::Micros,
        Self::Nanos,
        Self::Calendar,
        Self::Day,
        Self::Year,
    ];

    /// The instant in milliseconds; of a day or year its start.
    pub(super) fn parse(self, text: &str) -> Option<i64> {
        let whole = || text.parse::<i64>().ok();
        match self {
            Self::Millis => whole(),
            Self::Seconds => whole()?.checked_mul(1_000),
            Self::Micros => Some(whole()?.div_euclid(1_000)),
            Self::Nanos => Some(whole()?.div_euclid(1_000_000)),
            // Digits alone are a day to some readers of dates; here they are a day's file.
            Self::Calendar if !text.contains(['-', '/']) => None,
            Self::Calendar => Some(parse_calendar(text.as_bytes())?.as_millis()),
            Self::Day => Some(parse_compact_date(text.as_bytes())?.as_millis()),
            Self::Year => year(text),
        }
    }

    /// Where a day or year ends, exclusive.
    pub(super) fn end_of_file(self, text: &str) -> Option<i64> {
        match self {
            Self::Day => Some(self.parse(text)? + MILLIS_PER_DAY),
            Self::Year => year(&(text.parse::<u32>().ok()?.checked_add(1)?).to_string()),
            _ => None,
        }
    }

    /// The widest span that one spelling stands for.
    pub(super) fn grain(self) -> i64 {
        match self {
            Self::Day => MILLIS_PER_DAY,
            Self::Year => 366 * MILLIS_PER_DAY,
            Self::Seconds => 1_000,
            _ => 1,
        }
    }

    pub(super) fn is_file(self) -> bool {
        matches!(self, Self::Day | Self::Year)
    }
}

const MILLIS_PER_DAY: i64 = 86_400_000;

fn year(text: &str) -> Option<i64> {
    let start =
        (text.len() == 4).then(|| parse_compact_date(format!("{text}0101").as_bytes()))??;
    Some(start.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_apart_whatever_its_escapes() {
        let body = br#"{"req":{"coin":"BTC","startTime":5},"list":[true,null]}"#;
        let slots = Slots::of(Method::Post, "/a%2Fb/c/?q=x%20y&e=", Some(body)).unwrap();
        let expected = [
            ("/0", "a/b"),
            ("/1", "c"),
            ("?e", ""),
            ("?q", "x y"),
            ("{/list/0", "true"),
            ("{/req/coin", "BTC"),
            ("{/req/startTime", "5"),
        ];
        let texts: Vec<(&str, &str)> =
            slots.texts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(texts, expected);
        assert_eq!(slots.segments, 2);
        assert_eq!(Slots::of(Method::Post, "/", Some(b"<html>")), None);
        assert_eq!(Slots::target("https://x.io:1/a/b?c=d"), "/a/b?c=d");
        assert_eq!(Slots::target("https://x.io"), "/");
    }

    #[test]
    fn times_are_read_in_every_spelling() {
        let day = 1_704_067_200_000;
        for (spelling, text) in [
            (TimeText::Millis, "1704067200000"),
            (TimeText::Seconds, "1704067200"),
            (TimeText::Micros, "1704067200000000"),
            (TimeText::Nanos, "1704067200000000000"),
            (TimeText::Calendar, "2024-01-01T00:00:00.000Z"),
            (TimeText::Calendar, "2024-01-01 00:00:00"),
            (TimeText::Day, "20240101"),
            (TimeText::Year, "2024"),
        ] {
            assert_eq!(spelling.parse(text), Some(day), "{text}");
            assert_eq!(spelling.parse("soon"), None);
            let calendars = TimeText::ALL.iter().filter(|other| other.parse(text) == Some(day));
            assert_eq!(calendars.collect::<Vec<_>>(), [&spelling], "{text}");
        }
        assert_eq!(TimeText::Year.end_of_file("2024"), Some(day + 366 * MILLIS_PER_DAY));
        assert_eq!(TimeText::Day.end_of_file("20240101"), Some(day + MILLIS_PER_DAY));
        assert_eq!(TimeText::Millis.end_of_file("1704067200000"), None);
    }
}
