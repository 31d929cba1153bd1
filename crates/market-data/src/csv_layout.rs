//! Which column of a text file is what.

use crate::TimeResolution;
use crate::failure::quoted;
use crate::number::parse_number;
use crate::time_field::{parse_calendar, parse_compact_date, parse_whole};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The open time, or its date where there is a `Clock` too.
    Time,
    /// The time of day beside a date, or the whole time under the name `time`.
    Clock,
    /// A price or the volume: the index into open, high, low, close, volume.
    Value(usize),
    /// The market's name.
    Symbol,
    /// Anything else.
    Ignored,
}

/// The values of a row, in the order of a candle.
pub(crate) const VALUE_NAMES: [&str; 5] = ["open", "high", "low", "close", "volume"];
/// The index of the volume among the values.
pub(crate) const VOLUME: usize = 4;

/// Names of the open time, the most telling first.
const TIME_NAMES: [&str; 24] = [
    "open_time",
    "opentime",
    "time_open",
    "candle_open_time",
    "kline_open_time",
    "start_time",
    "time_period_start",
    "timestamp",
    "unix_timestamp",
    "unix_time",
    "unix",
    "epoch",
    "datetime",
    "date_time",
    "dateutc",
    "date",
    "gmt_time",
    "time",
    "ts",
    "start",
    "begin",
    "t",
    "index_level_0",
    "",
];
const VALUE_ALIASES: [&[&str]; 5] = [
    &["open", "o", "open_price", "price_open", "opening_price"],
    &["high", "h", "high_price", "price_high", "max"],
    &["low", "l", "low_price", "price_low", "min"],
    &["close", "c", "close_price", "price_close", "closing_price", "last"],
    &["volume", "vol", "v", "base_volume", "volume_base", "base_asset_volume", "volume_traded"],
];
const SYMBOL_NAMES: [&str; 3] = ["symbol", "pair", "ticker"];
/// Endings of a time's name that settle its unit.
const RESOLUTIONS: [(&str, TimeResolution); 6] = [
    ("_s", TimeResolution::Seconds),
    ("_sec", TimeResolution::Seconds),
    ("_ms", TimeResolution::Milliseconds),
    ("_millis", TimeResolution::Milliseconds),
    ("_us", TimeResolution::Microseconds),
    ("_ns", TimeResolution::Nanoseconds),
];

/// How a file's lines are cut and what each field is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) delimiter: u8,
    pub(crate) roles: Vec<Role>,
    pub(crate) has_header: bool,
    /// The unit that the time's name settles.
    pub(crate) resolution: Option<TimeResolution>,
}

impl Layout {
    /// Understands a file from its first line.
    ///
    /// # Errors
    /// The reason in words.
    pub(crate) fn detect(line: &[u8]) -> Result<Self, String> {
        let delimiter = delimiter(line);
        let fields: Vec<&[u8]> = Fields::new(line, delimiter).collect();
        let names: Vec<String> = fields.iter().map(|field| normalized(field)).collect();
        let named = names.iter().any(|name| {
            !name.is_empty() && (time_rank(name).is_some() || value_index(name).is_some())
        });
        if named {
            return from_names(&names).map(|(roles, resolution)| Self {
                delimiter,
                roles,
                has_header: true,
                resolution,
            });
        }
        let [time, values @ ..] = fields.as_slice() else {
            return Err("the line is empty".to_owned());
        };
        let is_time = parse_whole(time).is_some() || parse_calendar(time).is_some();
        let n_values = values.len().min(VALUE_NAMES.len());
        let numeric = |field: &&[u8]| parse_number(field).is_some();
        if !is_time || n_values < VOLUME || !values.iter().take(n_values).all(numeric) {
            return Err(format!(
                "{} is neither a header that names time, open, high, low and close nor a row of \
                 these numbers",
                quoted(line)
            ));
        }
        let mut roles = vec![Role::Time];
        roles.extend((0..n_values).map(Role::Value));
        roles.resize(fields.len(), Role::Ignored);
        Ok(Self { delimiter, roles, has_header: false, resolution: None })
    }

    pub(crate) fn has_volume(&self) -> bool {
        self.roles.contains(&Role::Value(VOLUME))
    }

    pub(crate) fn has_clock(&self) -> bool {
        self.roles.contains(&Role::Clock)
    }
}

/// A column's name in one spelling: `<Open Time>` and `open-time` are `open_time`.
pub(crate) fn normalized(name: &[u8]) -> String {
    let mut plain = String::new();
    for c in String::from_utf8_lossy(name).chars() {
        match c {
            '<' | '>' | '(' | ')' | '[' | ']' | '"' | '\'' => {}
            ' ' | '-' | '.' | '/' => plain.push('_'),
            c => plain.extend(c.to_lowercase()),
        }
    }
    plain.trim_matches('_').to_owned()
}

/// The roles of columns with these normalised names, and the unit that the time's name settles.
///
/// # Errors
/// The reason in words: a column is missing, or two have one meaning.
pub(crate) fn from_names(names: &[String]) -> Result<(Vec<Role>, Option<TimeResolution>), String> {
    let mut roles = vec![Role::Ignored; names.len()];
    let listed = || names.join(", ").chars().take(200).collect::<String>();
    let mut assign = |at: usize, role: Role| {
        if let Some(slot) = roles.get_mut(at) {
            *slot = role;
        }
    };
    let twice = |meaning: &str, first: &str, second: &str| {
        format!("columns `{first}` and `{second}` both say {meaning}")
    };

    let mut time: Option<(usize, usize, Option<TimeResolution>)> = None;
    for (at, name) in names.iter().enumerate() {
        let Some((rank, resolution)) = time_rank(name) else { continue };
        // A column without a name is the index of a data frame, and that comes first.
        if name.is_empty() && at > 0 {
            continue;
        }
        match time {
            Some((best, first, _)) if best == rank => {
                let first = names.get(first).map_or("", String::as_str);
                return Err(twice("the time", first, name));
            }
            Some((best, ..)) if best < rank => {}
            _ => time = Some((rank, at, resolution)),
        }
    }
    let Some((_, time_at, resolution)) = time else {
        return Err(format!("the header names no time column: {}", listed()));
    };
    assign(time_at, Role::Time);
    if names.get(time_at).is_some_and(|name| name == "date")
        && let Some(clock_at) = names.iter().position(|name| name == "time")
    {
        assign(clock_at, Role::Clock);
    }

    for (index, value) in VALUE_NAMES.iter().enumerate() {
        let mut found: Option<(usize, &String)> = None;
        for (at, name) in names.iter().enumerate() {
            if value_index(name) != Some(index) {
                continue;
            }
            if let Some((_, first)) = found {
                return Err(twice(&format!("the {value}"), first, name));
            }
            found = Some((at, name));
        }
        let found = match found {
            Some((at, _)) => Some(at),
            None if index == VOLUME => volume_of_one_currency(names)?,
            None => return Err(format!("the header names no column `{value}`: {}", listed())),
        };
        if let Some(at) = found {
            assign(at, Role::Value(index));
        }
    }
    if let Some(at) = names.iter().position(|name| SYMBOL_NAMES.contains(&name.as_str())) {
        assign(at, Role::Symbol);
    }
    Ok((roles, resolution))
}

/// `volume_btc`, where it is the only such column.
fn volume_of_one_currency(names: &[String]) -> Result<Option<usize>, String> {
    let is_volume = |name: &str| {
        (name.starts_with("volume_") || name.starts_with("vol_"))
            && !["quote", "currency", "count"].iter().any(|word| name.contains(word))
    };
    let mut found = names.iter().enumerate().filter(|(_, name)| is_volume(name));
    match (found.next(), found.next()) {
        (Some((_, first)), Some((_, second))) => Err(format!(
            "columns `{first}` and `{second}` both may be the volume; name the one in base \
             currency `volume`"
        )),
        (first, _) => Ok(first.map(|(at, _)| at)),
    }
}

fn value_index(name: &str) -> Option<usize> {
    VALUE_ALIASES.iter().position(|aliases| aliases.contains(&name))
}

fn time_rank(name: &str) -> Option<(usize, Option<TimeResolution>)> {
    let rank = |name: &str| TIME_NAMES.iter().position(|known| *known == name);
    if let Some(rank) = rank(name) {
        return Some((rank, None));
    }
    RESOLUTIONS.iter().find_map(|(ending, resolution)| {
        let stem = name.strip_suffix(ending).filter(|stem| !stem.is_empty())?;
        Some((rank(stem)?, Some(*resolution)))
    })
}

/// The most frequent of comma, semicolon and tab.
fn delimiter(line: &[u8]) -> u8 {
    let count = |delimiter: u8| Fields::new(line, delimiter).count();
    let mut best = b',';
    for other in [b';', b'\t'] {
        if count(other) > count(best) {
            best = other;
        }
    }
    best
}

/// The fields of a line, trimmed, without the quotes around them.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(line: &'a [u8], delimiter: u8) -> Self {
        Self { rest: Some(line), delimiter }
    }

    #[cold]
    fn quoted_field(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let inner = rest.get(1..).unwrap_or_default();
        let mut end = 0;
        // A doubled quote stands for one inside the field.
        let closed = loop {
            match memchr::memchr(b'"', inner.get(end..).unwrap_or_default()) {
                None => break false,
                Some(at) if inner.get(end + at + 1) == Some(&b'"') => end += at + 2,
                Some(at) => {
                    end += at;
                    break true;
                }
            }
        };
        let tail = inner.get(end + 1..).unwrap_or_default();
        let next = tail.iter().position(|&b| b == self.delimiter);
        let between = tail.get(..next.unwrap_or(tail.len())).unwrap_or_default();
        if !closed || !between.iter().all(u8::is_ascii_whitespace) {
            // The quote does not close, or text follows it: no field of ours, show it whole.
            self.rest = None;
            return rest;
        }
        self.rest = next.and_then(|at| tail.get(at + 1..));
        inner.get(..end).unwrap_or_default().trim_ascii()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        if rest.first() == Some(&b'"') {
            return Some(self.quoted_field(rest));
        }
        let field = match rest.iter().position(|&b| b == self.delimiter) {
            Some(at) => {
                let (field, tail) = rest.split_at_checked(at)?;
                self.rest = tail.get(1..);
                field
            }
            None => {
                self.rest = None;
                rest
            }
        };
        Some(field.trim_ascii())
    }
}

/// Whether a field is a date of eight digits, where nothing else says what it is.
pub(crate) fn looks_like_compact_date(field: &[u8]) -> bool {
    parse_compact_date(field).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Role::{Clock, Ignored, Symbol, Time, Value};

    fn roles(line: &str) -> Vec<Role> {
        Layout::detect(line.as_bytes()).unwrap().roles
    }

    fn refusal(line: &str) -> String {
        Layout::detect(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn headers_are_understood_in_any_order_and_spelling() {
        let all = [Time, Value(0), Value(1), Value(2), Value(3), Value(4)];
        for line in [
            "timestamp,open,high,low,close,volume",
            "Date;Open;High;Low;Close;Volume",
            "t\to\th\tl\tc\tv",
            "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
            "\"Open Time\", \"Open\", \"High\", \"Low\", \"Close\", \"Volume BTC\"",
            ",open,high,low,close,volume",
        ] {
            assert_eq!(roles(line), all, "{line}");
        }
        assert_eq!(
            roles("unix,date,symbol,open,high,low,close,Volume (BTC),Volume (Currency)"),
            [Time, Ignored, Symbol, Value(0), Value(1), Value(2), Value(3), Value(4), Ignored]
        );
        assert_eq!(
            roles("volume,close,low,high,open,close_time,open_time"),
            [Value(4), Value(3), Value(2), Value(1), Value(0), Ignored, Time]
        );
        assert_eq!(roles("date,time,open,high,low,close")[..2], [Time, Clock]);
    }

    #[test]
    fn rows_of_numbers_need_no_header() {
        let binance = "1617566400000,1,2,0.5,1.5,10,1617569999999,3,4,5,6,0";
        let mut expected = vec![Time, Value(0), Value(1), Value(2), Value(3), Value(4)];
        expected.resize(12, Ignored);
        assert_eq!(roles(binance), expected);
        assert!(!Layout::detect(b"2024-01-01,1,2,0.5,1.5").unwrap().has_volume());
    }

    #[test]
    fn what_is_wrong_with_a_header_is_said() {
        assert_eq!(
            refusal("timestamp,open,high,low,price"),
            "the header names no column `close`: timestamp, open, high, low, price"
        );
        assert_eq!(
            refusal("close_time,open,high,low,close"),
            "the header names no time column: close_time, open, high, low, close"
        );
        assert_eq!(
            refusal("time,open,Open,high,low,close"),
            "columns `open` and `open` both say the open"
        );
        assert_eq!(
            refusal("time,open,high,low,close,volume btc,volume usd"),
            "columns `volume_btc` and `volume_usd` both may be the volume; name the one in base \
             currency `volume`"
        );
        assert_eq!(
            refusal("https://example.org"),
            "\"https://example.org\" is neither a header that names time, open, high, low and \
             close nor a row of these numbers"
        );
        assert!(refusal("1,2,3,4").contains("neither a header"));
    }

    #[test]
    fn a_name_may_settle_the_unit() {
        let layout = Layout::detect(b"timestamp_ms,open,high,low,close").unwrap();
        assert_eq!(layout.resolution, Some(TimeResolution::Milliseconds));
    }

    #[test]
    fn quotes_hide_delimiters() {
        let fields: Vec<&[u8]> = Fields::new(b"\"a,b\" ,1,\"say \"\"x\"\"\",", b',').collect();
        assert_eq!(fields, [&b"a,b"[..], b"1", b"say \"\"x\"\"", b""]);
        let open: Vec<&[u8]> = Fields::new(b"1,\"a,b", b',').collect();
        assert_eq!(open, [&b"1"[..], b"\"a,b"]);
    }
}
