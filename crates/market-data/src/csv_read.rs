use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use forecastle_core::{Error, RawCandle, Result, Symbol, Timestamp};

use crate::csv_layout::{Fields, Layout, Role, VALUE_NAMES, VOLUME, looks_like_compact_date};
use crate::failure::{io_failure, quoted, record};
use crate::line_reader::{LineFailure, LineReader};
use crate::loaded::Contents;
use crate::number::parse_number;
use crate::signature::{Signature, read_signature};
use crate::time_field::{Magnitudes, parse_calendar, parse_compact_date, parse_whole};
use crate::{ColumnLayout, FileFormat, LoadedCandles, ReadOptions, TimeEncoding, TimeResolution};

/// Reads candles from a CSV file, plain or gzip.
///
/// - **Columns** by the names in a header, in any order, case and common spelling (`timestamp`,
///   `open_time`, `date`, `unix` …, `open` or `o` …, `volume` or `vol` …), others ignored; or
///   without a header by position: time, open, high, low, close, volume. Without a volume column
///   every volume is 0, which [`LoadInfo`](crate::LoadInfo) says.
/// - **Delimiter** comma, semicolon or tab; a byte order mark and CRLF are taken off.
/// - **Times** in whole seconds, milliseconds, microseconds or nanoseconds, told from the size of
///   all of them (finer than a millisecond is rounded down), `YYYYMMDD`, or a date with or
///   without a time, in UTC unless it has an offset.
/// - **Repaired**, and counted in the report: rows out of order, equal times, missing (`nan`,
///   `null`, empty) or impossible prices and volumes.
/// - **Refused**: text that is no number or time, another number of fields than in the first
///   line, a missing column, more than one market. A wrong guess would be a wrong number.
///
/// # Errors
/// - [`Error::Record`] with file and row for contents that cannot be read, damaged compression, a
///   line or a number of rows over the limit, and a file without candles.
/// - [`Error::Component`] when the file cannot be opened or read.
/// - [`Error::InvalidParameter`] when a limit is outside its range.
///
/// # Examples
/// ```no_run
/// use forecastle_market_data::{ReadOptions, read_csv};
///
/// let loaded = read_csv("BTCUSDT-1h.csv.gz", &ReadOptions::default())?;
/// println!("{} candles; {}", loaded.series.len(), loaded.info);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn read_csv(path: impl AsRef<Path>, options: &ReadOptions) -> Result<LoadedCandles> {
    let origin = path.as_ref().display().to_string();
    let file = File::open(&path).map_err(|e| io_failure("opening candles", &origin, e))?;
    read_csv_from(file, &origin, options)
}

/// Reads candles from CSV bytes, plain or gzip, as [`read_csv`] does.
///
/// `origin` names the bytes in errors, and gives the symbol where nothing else does. Memory is
/// bounded by `max_rows` and `max_line_bytes`; the reader needs no buffer of its own.
///
/// # Errors
/// Those of [`read_csv`].
///
/// # Examples
/// ```
/// use forecastle_market_data::{ReadOptions, read_csv_from};
///
/// let text = "Date;Close;High;Low;Open\n2024-01-01;2;3;1;2\n2024-01-02;nan;3;1;2\n";
/// let loaded = read_csv_from(text.as_bytes(), "memory", &ReadOptions::default())?;
/// assert_eq!((loaded.series.len(), loaded.report.dropped), (1, 1));
///
/// let text = "time,open,high,low,close\n2024-01-01,2,3,1,two\n";
/// let error = read_csv_from(text.as_bytes(), "memory", &ReadOptions::default()).unwrap_err();
/// assert_eq!(error.to_string(), "memory, row 2: close \"two\" is not a number");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn read_csv_from(
    mut reader: impl Read,
    origin: &str,
    options: &ReadOptions,
) -> Result<LoadedCandles> {
    options.validate()?;
    let failed = |e| io_failure("reading candles", origin, e);
    let (signature, head) = read_signature(&mut reader).map_err(failed)?;
    let bytes = io::Cursor::new(head).chain(reader);
    let contents = match signature {
        Signature::Gzip => Parser::new(
            LineReader::new(MultiGzDecoder::new(io::BufReader::new(bytes)), options.max_line_bytes),
            origin,
            options,
        )
        .parse(FileFormat::CsvGzip),
        Signature::Text => {
            Parser::new(LineReader::new(bytes, options.max_line_bytes), origin, options)
                .parse(FileFormat::Csv)
        }
        Signature::Parquet => Err(record(origin, 1, "this is a Parquet file, not CSV")),
        Signature::Foreign(format) => {
            Err(record(origin, 1, format!("this is {format}, not CSV text, plain or gzip")))
        }
    };
    contents?.load(origin, options)
}

/// How the times of a file are written, once the first is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeKind {
    Whole,
    Compact,
    Calendar,
}

/// One row before its time's unit is known.
struct Fault(String);

struct Parser<'a, R> {
    lines: LineReader<R>,
    origin: &'a str,
    options: &'a ReadOptions,
    rows: Vec<RawCandle>,
    kind: Option<TimeKind>,
    magnitudes: Magnitudes,
    /// The first row's symbol field.
    market: Option<Vec<u8>>,
    /// Date and time of day put together.
    joined: Vec<u8>,
    /// Whether a column beside `date` holds the time of day, the whole time otherwise.
    clock_joins: Option<bool>,
}

impl<'a, R: Read> Parser<'a, R> {
    fn new(lines: LineReader<R>, origin: &'a str, options: &'a ReadOptions) -> Self {
        Self {
            lines,
            origin,
            options,
            rows: Vec::new(),
            kind: None,
            magnitudes: Magnitudes::default(),
            market: None,
            joined: Vec::new(),
            clock_joins: None,
        }
    }

    fn parse(mut self, format: FileFormat) -> Result<Contents> {
        let Some(layout) = self.first_line()? else {
            return Err(record(self.origin, self.lines.row(), "the file holds no rows"));
        };
        let mut first_row = if layout.has_header { None } else { Some(self.lines.row()) };
        loop {
            // The line borrows the reader, so the rest of the parser is borrowed apart from it.
            let line = match self.lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(failure) => return Err(self.line_failure(failure)),
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let state = RowState {
                kind: &mut self.kind,
                market: &mut self.market,
                joined: &mut self.joined,
                clock_joins: &mut self.clock_joins,
            };
            let row = match parse_row(line, &layout, state) {
                Ok(row) => row,
                Err(Fault(reason)) => {
                    return Err(record(self.origin, self.lines.row(), reason));
                }
            };
            let number = self.lines.row();
            self.push(row, number)?;
            first_row.get_or_insert(number);
        }
        let Some(first_row) = first_row else {
            let reason = "the file holds a header and no rows";
            return Err(record(self.origin, self.lines.row(), reason));
        };
        let time = self.settle_times(&layout)?;
        let symbol = self.market.as_deref().and_then(symbol_of_field);
        Ok(Contents {
            rows: self.rows,
            first_row,
            format,
            layout: match layout.has_header {
                true => ColumnLayout::Named,
                false => ColumnLayout::Positional,
            },
            delimiter: Some(char::from(layout.delimiter)),
            time,
            has_volume: layout.has_volume(),
            symbol,
            timeframe: None,
        })
    }

    /// Reads up to the first line with text: the header, or the first row.
    fn first_line(&mut self) -> Result<Option<Layout>> {
        loop {
            let at_start = self.lines.row() == 0;
            let line = match self.lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(None),
                Err(failure) => return Err(self.line_failure(failure)),
            };
            let line = match line.strip_prefix(b"\xef\xbb\xbf") {
                Some(rest) if at_start => rest,
                _ => line,
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let understood = check_text(line).and_then(|()| Layout::detect(line).map_err(Fault));
            let outcome = understood.and_then(|layout| {
                if layout.has_header {
                    return Ok((layout, None));
                }
                let state = RowState {
                    kind: &mut self.kind,
                    market: &mut self.market,
                    joined: &mut self.joined,
                    clock_joins: &mut self.clock_joins,
                };
                parse_row(line, &layout, state).map(|row| (layout, Some(row)))
            });
            let number = self.lines.row();
            return match outcome {
                Ok((layout, None)) => Ok(Some(layout)),
                Ok((layout, Some(row))) => self.push(row, number).map(|()| Some(layout)),
                Err(Fault(reason)) => Err(record(self.origin, number, reason)),
            };
        }
    }

    #[inline]
    fn push(&mut self, row: RawCandle, number: u64) -> Result<()> {
        if self.rows.len() >= self.options.max_rows {
            let reason = format!("the file holds more than {} rows", self.options.max_rows);
            return Err(record(self.origin, number, reason));
        }
        if self.kind == Some(TimeKind::Whole) {
            self.magnitudes.see(row.open_time.as_millis(), number);
        }
        self.rows.push(row);
        Ok(())
    }

    /// Turns whole-number times, kept as they stand in the file, into timestamps.
    fn settle_times(&mut self, layout: &Layout) -> Result<TimeEncoding> {
        match self.kind {
            Some(TimeKind::Calendar) => return Ok(TimeEncoding::Calendar),
            Some(TimeKind::Compact) => return Ok(TimeEncoding::CompactDate),
            Some(TimeKind::Whole) | None => {}
        }
        let resolution = match self.options.time_resolution.or(layout.resolution) {
            Some(settled) => settled,
            None => (self.magnitudes.resolution())
                .map_err(|(row, reason)| record(self.origin, row, reason))?,
        };
        if resolution != TimeResolution::Milliseconds {
            for row in &mut self.rows {
                let time = row.open_time.as_millis();
                row.open_time = resolution.to_timestamp(time).ok_or_else(|| {
                    let reason = format!("time {time} in {} is out of range", resolution.name());
                    record(self.origin, self.lines.row(), reason)
                })?;
            }
        }
        Ok(TimeEncoding::Number(resolution))
    }

    #[cold]
    fn line_failure(&self, failure: LineFailure) -> Error {
        let row = self.lines.row();
        match failure {
            LineFailure::TooLong => {
                let limit = self.options.max_line_bytes;
                record(self.origin, row, format!("the line is longer than {limit} bytes"))
            }
            LineFailure::Io(e) => match e.kind() {
                io::ErrorKind::UnexpectedEof => {
                    record(self.origin, row, "the gzip data ends early: the file is cut off")
                }
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    record(self.origin, row, format!("the gzip data is damaged: {e}"))
                }
                _ => io_failure("reading candles", self.origin, e),
            },
        }
    }
}

/// What a parser remembers from row to row.
struct RowState<'a> {
    kind: &'a mut Option<TimeKind>,
    market: &'a mut Option<Vec<u8>>,
    joined: &'a mut Vec<u8>,
    clock_joins: &'a mut Option<bool>,
}

#[inline]
fn parse_row(line: &[u8], layout: &Layout, state: RowState<'_>) -> Result<RawCandle, Fault> {
    let (mut time, mut clock, mut market) = (&b""[..], &b""[..], None);
    let mut values = [f64::NAN; 5];
    if !layout.has_volume() {
        values[VOLUME] = 0.0;
    }
    let mut fields = Fields::new(line, layout.delimiter);
    for role in &layout.roles {
        let Some(field) = fields.next() else { return Err(diagnose(line, layout)) };
        match *role {
            Role::Value(index) => {
                let Some(value) = parse_number(field) else { return Err(diagnose(line, layout)) };
                if let Some(slot) = values.get_mut(index) {
                    *slot = value;
                }
            }
            Role::Time => time = field,
            Role::Clock => clock = field,
            Role::Symbol => market = Some(field),
            Role::Ignored => {}
        }
    }
    if fields.next().is_some() || !line.is_ascii() {
        check_text(line)?;
        if Fields::new(line, layout.delimiter).count() != layout.roles.len() {
            return Err(diagnose(line, layout));
        }
    }
    if let Some(market) = market {
        check_market(market, state.market)?;
    }
    if layout.has_clock() {
        time = with_clock(time, clock, state.joined, state.clock_joins)?;
    }
    let open_time = parse_time(time, state.kind)?;
    let [open, high, low, close, volume] = values;
    Ok(RawCandle { open_time, open, high, low, close, volume })
}

/// The time of a row: in milliseconds, or the file's own whole number.
#[inline]
fn parse_time(field: &[u8], kind: &mut Option<TimeKind>) -> Result<Timestamp, Fault> {
    let known = match *kind {
        Some(known) => known,
        None => {
            let first = if looks_like_compact_date(field) {
                TimeKind::Compact
            } else if parse_whole(field).is_some() {
                TimeKind::Whole
            } else {
                TimeKind::Calendar
            };
            *kind = Some(first);
            first
        }
    };
    let (parsed, wanted) = match known {
        TimeKind::Whole => (parse_whole(field).map(Timestamp::from_millis), "a whole number"),
        TimeKind::Compact => (parse_compact_date(field), "a date of eight digits"),
        TimeKind::Calendar => (parse_calendar(field), "a time (RFC 3339 or Unix)"),
    };
    parsed.ok_or_else(|| Fault(format!("time {} is not {wanted}", quoted(field))))
}

/// Why a row has no six numbers: too few or too many fields before a field that is none.
#[cold]
fn diagnose(line: &[u8], layout: &Layout) -> Fault {
    if let Err(fault) = check_text(line) {
        return fault;
    }
    let (expected, found) = (layout.roles.len(), Fields::new(line, layout.delimiter).count());
    if found != expected {
        let first = if layout.has_header { "header" } else { "first row" };
        return Fault(format!("the row has {found} fields, the {first} has {expected}"));
    }
    for (field, role) in Fields::new(line, layout.delimiter).zip(&layout.roles) {
        if let Role::Value(index) = *role
            && parse_number(field).is_none()
        {
            let name = VALUE_NAMES.get(index).unwrap_or(&"value");
            return Fault(format!("{name} {} is not a number", quoted(field)));
        }
    }
    Fault("the row cannot be read".to_owned())
}

fn check_text(line: &[u8]) -> Result<(), Fault> {
    let binary = |b: &u8| *b < b' ' && !matches!(*b, b'\t' | b'\r' | 0x0b | 0x0c);
    if let Some(at) = line.iter().position(binary) {
        let byte = line.get(at).copied().unwrap_or_default();
        return Err(Fault(format!("byte {} is 0x{byte:02x}: this is not text", at + 1)));
    }
    match std::str::from_utf8(line) {
        Ok(_) => Ok(()),
        Err(e) => Err(Fault(format!("byte {} is not UTF-8 text", e.valid_up_to() + 1))),
    }
}

fn check_market(field: &[u8], first: &mut Option<Vec<u8>>) -> Result<(), Fault> {
    match first {
        None => *first = Some(field.to_vec()),
        Some(first) if first.as_slice() == field => {}
        Some(first) => {
            return Err(Fault(format!(
                "symbol {} after {}: a file holds one market",
                quoted(field),
                quoted(first)
            )));
        }
    }
    Ok(())
}

fn symbol_of_field(field: &[u8]) -> Option<Symbol> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// The time of a row whose header has `date` and `time`.
fn with_clock<'a>(
    date: &'a [u8],
    clock: &'a [u8],
    joined: &'a mut Vec<u8>,
    joins: &mut Option<bool>,
) -> Result<&'a [u8], Fault> {
    let time_of_day = clock.contains(&b':') && clock.len() <= 12;
    let whole_time = parse_whole(clock).is_some_and(|time| time.unsigned_abs() >= 100_000_000)
        || parse_calendar(clock).is_some();
    match *joins.get_or_insert(time_of_day) {
        true if time_of_day => {
            joined.clear();
            match parse_compact_date(date) {
                Some(_) => {
                    let (year, rest) = date.split_at_checked(4).unwrap_or_default();
                    let (month, day) = rest.split_at_checked(2).unwrap_or_default();
                    [year, b"-", month, b"-", day].iter().for_each(|p| joined.extend_from_slice(p));
                }
                None => joined.extend_from_slice(date),
            }
            joined.push(b' ');
            joined.extend_from_slice(clock);
            Ok(joined)
        }
        false if whole_time => Ok(clock),
        _ => Err(Fault(format!("time {} is neither HH:MM:SS nor a whole time", quoted(clock)))),
    }
}
