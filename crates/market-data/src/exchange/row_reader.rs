//! Reads the rows of a JSON text straight into candles.

mod json_scan;
mod plain_rows;

use std::borrow::Cow;
use std::fmt;

use forecastle_core::{RawCandle, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::definition::MAX_POSITION;
use super::record::{Column, Layout, Response, TimeUnit};
use crate::time_field::parse_calendar;

/// Reads rows as a record describes them.
pub(super) struct RowReader<'r> {
    response: &'r Response,
    /// What each position of an array row holds, as bits of the fields.
    positions: [u8; MAX_POSITION],
    /// What each name of an object row holds: name, field, rank among its alternatives.
    names: Vec<(&'r str, usize, u8)>,
    wanted: u8,
    pub(super) price: Shift,
    pub(super) volume: Shift,
    pub(super) candles: Vec<RawCandle>,
    /// Whether the path led to rows.
    pub(super) found: bool,
    row: u64,
    failure: Option<Place>,
}

/// Where an answer is malformed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: Option<u64>,
    pub(super) field: Option<&'static str>,
    pub(super) reason: String,
}

/// How integers that stand for decimals are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shift {
    None,
    /// By a power of ten, exactly.
    Digits(u32),
    By(f64),
}

impl Shift {
    pub(super) fn by(divisor: f64) -> Self {
        match (0..=22_u8).find(|&digits| 10_f64.powi(digits.into()) == divisor) {
            Some(0) => Self::None,
            Some(digits) => Self::Digits(digits.into()),
            None => Self::By(divisor),
        }
    }
}

const FIELDS: [&str; 6] = ["time", "open", "high", "low", "close", "volume"];
const TWICE: &str = "given twice";
const TIME: usize = 0;
const VOLUME: usize = 5;

/// The fields of a row as far as they were seen.
#[derive(Clone, Copy)]
struct Row {
    seen: u8,
    time: i64,
    values: [f64; 6],
    ranks: [u8; 6],
}

impl Row {
    const EMPTY: Self = Self { seen: 0, time: 0, values: [f64::NAN; 6], ranks: [u8::MAX; 6] };
}

impl<'r> RowReader<'r> {
    pub(super) fn new(response: &'r Response) -> Self {
        let columns = [
            Some(&response.time),
            Some(&response.open),
            Some(&response.high),
            Some(&response.low),
            Some(&response.close),
            response.volume.as_ref(),
        ];
        let mut positions = [0_u8; MAX_POSITION];
        let mut names = Vec::new();
        let mut wanted = 0;
        for (field, column) in columns.into_iter().enumerate() {
            let Some(column) = column else { continue };
            wanted |= 1 << field;
            match column {
                Column::Position(position) => {
                    if let Some(fields) = positions.get_mut(*position) {
                        *fields |= 1 << field;
                    }
                }
                Column::Name(name) => names.push((name.as_str(), field, 0)),
                Column::Names(list) => {
                    let ranked = list.iter().zip(0_u8..).map(|(name, rank)| (&**name, field, rank));
                    names.extend(ranked);
                }
            }
        }
        Self {
            response,
            positions,
            names,
            wanted,
            price: Shift::None,
            volume: Shift::None,
            candles: Vec::new(),
            found: false,
            row: 0,
            failure: None,
        }
    }

    /// Follows `path` into `body` and reads the rows there.
    pub(super) fn read(&mut self, path: &[String], body: &[u8]) -> Result<(), Place> {
        if let Some(candles) = plain_rows::plain_rows(self, path, body) {
            self.candles = candles;
            self.found = true;
            return Ok(());
        }
        self.read_any(path, body)
    }

    /// Reads whatever is JSON, and says what is wrong where it is not.
    fn read_any(&mut self, path: &[String], body: &[u8]) -> Result<(), Place> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let outcome = At { path, reader: self }.deserialize(&mut deserializer);
        let outcome = outcome.and_then(|()| deserializer.end());
        outcome.map_err(|error| {
            let syntax = || Place { row: None, field: None, reason: error.to_string() };
            self.failure.take().unwrap_or_else(syntax)
        })
    }

    fn fail<E: serde::de::Error>(&mut self, field: Option<&'static str>, reason: String) -> E {
        let row = (self.row > 0).then_some(self.row);
        self.failure = Some(Place { row, field, reason });
        E::custom("malformed row")
    }

    /// Reads one field's text into a row.
    fn field<E: serde::de::Error>(
        &mut self,
        row: &mut Row,
        field: usize,
        raw: &RawValue,
    ) -> Result<(), E> {
        let name = FIELDS.get(field).copied().unwrap_or_default();
        let Some(text) = plain(raw.get()) else {
            return Err(self.fail(Some(name), format!("a number expected, got {}", short(raw))));
        };
        let value = if field == TIME {
            match time(&text, self.response.unit) {
                Some(time) => {
                    row.time = time;
                    Some(0.0)
                }
                None => None,
            }
        } else {
            number(&text, if field == VOLUME { self.volume } else { self.price })
        };
        match (value, row.values.get_mut(field)) {
            (Some(value), Some(place)) => {
                *place = value;
                row.seen |= 1 << field;
                Ok(())
            }
            _ => Err(self.fail(Some(name), format!("a number expected, got {}", short(raw)))),
        }
    }

    fn finish<E: serde::de::Error>(&mut self, row: &Row) -> Result<(), E> {
        if row.seen & self.wanted != self.wanted {
            let missing = (0..6).find(|field| (self.wanted & !row.seen) & (1 << field) != 0);
            let name = missing.and_then(|field| FIELDS.get(field)).copied();
            return Err(self.fail(name, "missing".to_owned()));
        }
        let [_, open, high, low, close, volume] = row.values;
        let open_time = Timestamp::from_millis(row.time);
        self.candles.push(RawCandle { open_time, open, high, low, close, volume });
        Ok(())
    }

    fn columns<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        // One column for each wanted name, at the name's first place among them.
        let mut named: Vec<Option<Vec<&'de RawValue>>> = vec![None; self.names.len()];
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let at = self.names.iter().position(|(name, ..)| *name == key);
            let Some((place, at)) = at.and_then(|at| Some((named.get_mut(at)?, at))) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = self.names.get(at).and_then(|name| FIELDS.get(name.1)).copied();
            if place.is_some() {
                return Err(self.fail(field, TWICE.to_owned()));
            }
            *place = map
                .next_value::<Option<Vec<&'de RawValue>>>()
                .map_err(|e| self.fail(field, format!("a list expected: {e}")))?;
        }
        if named.iter().all(Option::is_none) {
            return Ok(());
        }
        self.found = true;
        self.candles.clear();
        let length = named.iter().flatten().map(Vec::len).max().unwrap_or_default();
        let mut columns: [Option<&[&'de RawValue]>; 6] = [None; 6];
        for (field, (name, chosen)) in FIELDS.iter().zip(&mut columns).enumerate() {
            let mut names: Vec<_> = self.names.iter().filter(|name| name.1 == field).collect();
            names.sort_by_key(|name| name.2);
            *chosen = names.into_iter().find_map(|(name, ..)| {
                let at = self.names.iter().position(|(other, ..)| other == name)?;
                named.get(at)?.as_deref()
            });
            let column_length = chosen.map_or(0, <[_]>::len);
            if self.wanted & (1 << field) != 0 && column_length != length {
                let reason = format!("{column_length} rows where other columns have {length}");
                return Err(self.fail(Some(name), reason));
            }
        }
        for index in 0..length {
            self.row += 1;
            let mut row = Row::EMPTY;
            for (field, column) in columns.iter().enumerate() {
                if let Some(raw) = column.and_then(|column| column.get(index)) {
                    self.field::<A::Error>(&mut row, field, raw)?;
                }
            }
            self.finish::<A::Error>(&row)?;
        }
        Ok(())
    }
}

/// A place in the answer on the way to the rows.
struct At<'x, 'r> {
    path: &'x [String],
    reader: &'x mut RowReader<'r>,
}

impl<'de> DeserializeSeed<'de> for At<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows of candles")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.path.split_first() else {
            return match self.reader.response.layout {
                Layout::Columns => self.reader.columns(map),
                Layout::Object if self.reader.response.single => {
                    self.reader.found = true;
                    self.reader.row += 1;
                    OneRow(self.reader).visit_map(map)
                }
                _ => {
                    Err(self.reader.fail(None, "an object where a list of rows is due".to_owned()))
                }
            };
        };
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == step.as_str() {
                map.next_value_seed(At { path: rest, reader: &mut *self.reader })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if let Some((step, rest)) = self.path.split_first() {
            let wanted: Option<usize> = step.parse().ok();
            let mut index = 0;
            loop {
                let more = if wanted == Some(index) {
                    list.next_element_seed(At { path: rest, reader: &mut *self.reader })?.is_some()
                } else {
                    list.next_element::<IgnoredAny>()?.is_some()
                };
                if !more {
                    return Ok(());
                }
                index += 1;
            }
        }
        self.reader.found = true;
        self.reader.candles.clear();
        self.reader.row = 0;
        loop {
            self.reader.row += 1;
            match list.next_element_seed(OneRow(&mut *self.reader)) {
                Ok(Some(())) => {}
                Ok(None) => return Ok(()),
                Err(error) if self.reader.failure.is_some() => return Err(error),
                Err(error) => return Err(self.reader.fail(None, error.to_string())),
            }
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.reader.found |= self.path.is_empty();
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.path.is_empty() && !text.is_empty() {
            return Err(self.reader.fail(None, "a text where rows are due".to_owned()));
        }
        self.reader.found |= self.path.is_empty();
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.visit_f64(0.0)
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.visit_f64(0.0)
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.visit_f64(0.0)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        if self.path.is_empty() {
            return Err(self.reader.fail(None, "a lone value where rows are due".to_owned()));
        }
        Ok(())
    }
}

/// One row, as an array or an object.
struct OneRow<'x, 'r>(&'x mut RowReader<'r>);

impl<'de> DeserializeSeed<'de> for OneRow<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0.response.layout {
            Layout::Array => deserializer.deserialize_seq(self),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for OneRow<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.response.layout {
            Layout::Array => "a row as a list",
            _ => "a row as an object",
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut row = Row::EMPTY;
        let mut position = 0;
        loop {
            let fields = self.0.positions.get(position).copied().unwrap_or_default();
            if fields == 0 {
                if list.next_element::<IgnoredAny>()?.is_none() {
                    break;
                }
            } else {
                let Some(raw) = list.next_element::<&'de RawValue>()? else { break };
                for field in 0..FIELDS.len() {
                    if fields & (1 << field) != 0 {
                        self.0.field::<A::Error>(&mut row, field, raw)?;
                    }
                }
            }
            position += 1;
        }
        self.0.finish(&row)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut row = Row::EMPTY;
        while let Some(key) = map.next_key_seed(Key(&self.0.names))? {
            let Some(at) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let raw = map.next_value::<&'de RawValue>()?;
            // One name may serve several fields.
            let name = self.0.names.get(at).map_or("", |found| found.0);
            for at in at..self.0.names.len() {
                let Some((other, field, rank)) = self.0.names.get(at).copied() else { break };
                let current = row.ranks.get(field).copied().unwrap_or_default();
                let best = rank <= current;
                // A null beside a filled alternative is no value.
                let blank =
                    raw.get() == "null" && self.0.names.iter().any(|n| n.1 == field && n.2 != rank);
                if other == name && rank == current {
                    return Err(self.0.fail(FIELDS.get(field).copied(), TWICE.to_owned()));
                }
                if other == name && best && !blank {
                    self.0.field::<A::Error>(&mut row, field, raw)?;
                    if let Some(current) = row.ranks.get_mut(field) {
                        *current = rank;
                    }
                }
            }
        }
        self.0.finish(&row)
    }
}

/// Looks a key up among the wanted names.
struct Key<'x, 'r>(&'x [(&'r str, usize, u8)]);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|(name, ..)| *name == key))
    }
}

/// The text of a JSON number or string; `None` for anything else.
fn plain(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if inner.contains(&b'\\') => {
            serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
        }
        [b'"', .., b'"'] => raw.get(1..raw.len() - 1).map(Cow::Borrowed),
        [b'-' | b'0'..=b'9', ..] => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// A finite number; words such as `nan` are none.
fn number(text: &str, shift: Shift) -> Option<f64> {
    let text = text.trim();
    let value: f64 = match shift {
        Shift::Digits(digits) if !text.contains(['e', 'E']) => {
            format!("{text}e-{digits}").parse().ok()?
        }
        _ => text.parse().ok()?,
    };
    let value = match shift {
        Shift::Digits(digits) if text.contains(['e', 'E']) => {
            value / 10_f64.powi(i32::try_from(digits).ok()?)
        }
        Shift::By(divisor) => value / divisor,
        _ => value,
    };
    value.is_finite().then_some(value)
}

/// Ten thousand years either way; what lies beyond is no candle.
const FARTHEST: i64 = 315_360_000_000_000;

/// Milliseconds since 1970.
fn time(text: &str, unit: TimeUnit) -> Option<i64> {
    let text = text.trim();
    let millis = match unit {
        TimeUnit::Iso => parse_calendar(text.as_bytes())?.as_millis(),
        _ => match (text.parse::<i64>(), unit) {
            (Ok(whole), TimeUnit::Ms) => whole,
            (Ok(whole), TimeUnit::S) => whole.checked_mul(1_000)?,
            (Ok(whole), TimeUnit::Us) => whole.div_euclid(1_000),
            (Ok(whole), _) => whole.div_euclid(1_000_000),
            (Err(_), _) => {
                let per_millis = match unit {
                    TimeUnit::S => 1e-3,
                    TimeUnit::Us => 1e3,
                    TimeUnit::Ns => 1e6,
                    _ => 1.0,
                };
                let millis = (text.parse::<f64>().ok()? / per_millis).round();
                (millis.abs() <= FARTHEST as f64).then_some(millis as i64)?
            }
        },
    };
    (millis.abs() <= FARTHEST).then_some(millis)
}

fn short(raw: &RawValue) -> String {
    raw.get().chars().take(40).collect()
}
