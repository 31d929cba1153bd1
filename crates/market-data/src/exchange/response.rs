//! From an answer to candles, in one pass over the JSON text without a tree in memory.

use forecastle_core::{RawCandle, Timestamp};
use serde_json::Value as Json;

use super::definition::Exchange;
use super::error::{ExchangeError, ExchangeResult};
use super::expression::{ExpressionError, Names, Template, Value};
use super::message::message_of;
use super::query::CandleQuery;
use super::record::WhenMissing;
use super::request::RequestNames;
use super::row_reader::{Place, RowReader, Shift};

impl Exchange {
    /// Reads the candles of an answer, oldest first: all that it holds, before any cut, with the
    /// volume in the exchange's unit.
    ///
    /// Numbers may come as JSON numbers or as texts. A row that says nothing for a field is an
    /// error, never a zero.
    ///
    /// # Errors
    /// - [`ExchangeError::Malformed`] with row and field.
    /// - [`ExchangeError::UnknownSymbol`], [`ExchangeError::RateLimited`] or
    ///   [`ExchangeError::Exchange`] when the answer is the exchange's own error.
    pub fn parse_candles(
        &self,
        query: &CandleQuery<'_>,
        body: &[u8],
    ) -> ExchangeResult<Vec<RawCandle>> {
        let names = self.names(query)?;
        let response = &names.endpoint.response;
        let price = self.shift("response.price_divisor", &response.price_divisor, &names)?;
        let volume = self.shift("response.volume_divisor", &response.volume_divisor, &names)?;
        let read = |path: &[String]| {
            let mut reader = RowReader::new(response);
            (reader.price, reader.volume) = (price, volume);
            let outcome = reader.read(path, body);
            (reader, outcome)
        };
        let path = self.path("response.rows", &response.rows, &names)?;
        let (mut reader, mut outcome) = read(&path);
        for other in &response.or_rows {
            if outcome.is_ok() && reader.found {
                break;
            }
            let other = read(&self.path("response.or_rows", other, &names)?);
            if other.1.is_ok() && other.0.found {
                (reader, outcome) = other;
            }
        }
        if let Err(place) = outcome {
            self.refused(200, body, Some(query))?;
            return Err(self.misread(place, body));
        }
        if reader.candles.is_empty() {
            self.refused(200, body, Some(query))?;
            if !reader.found && response.when_missing == WhenMissing::Malformed {
                let reason = format!("no rows there; it says: {}", message_of(body));
                return Err(self.malformed(Some(&path.join(".")), reason));
            }
        }
        let mut candles = reader.candles;
        if let Some(open_time) = &response.open_time {
            for (index, candle) in candles.iter_mut().enumerate() {
                let row = RowNames { time: candle.open_time, request: names };
                let time = self.evaluate("response.open_time", open_time, &row)?.as_int();
                let time = time.and_then(|time| i64::try_from(time).ok());
                let time = time.ok_or_else(|| ExchangeError::Malformed {
                    exchange: self.id().to_owned(),
                    row: u64::try_from(index + 1).ok(),
                    field: Some("time".to_owned()),
                    reason: "the open time cannot be found".to_owned(),
                })?;
                candle.open_time = Timestamp::from_millis(time);
            }
        }
        sort(&mut candles);
        Ok(candles)
    }

    /// Cuts candles as CCXT does: with `since` the first ones from there on, without it the last,
    /// as many as the query's limit and the record's default allow.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`] when the record does not fit the query.
    pub fn cut(
        &self,
        query: &CandleQuery<'_>,
        mut candles: Vec<RawCandle>,
    ) -> ExchangeResult<Vec<RawCandle>> {
        let names = self.names(query)?;
        let most = match &names.endpoint.cut {
            Some(cut) => self.evaluate("cut", cut, &names)?.as_int(),
            None => query.limit.map(i128::from),
        };
        let most = most.and_then(|most| usize::try_from(most).ok());
        let cut_since = match &names.endpoint.cut_since {
            Some(cut_since) => self.evaluate("cut_since", cut_since, &names)?.as_int(),
            None => None,
        };
        match cut_since.or(query.since.map(|since| since.as_millis().into())) {
            Some(since) => {
                candles.retain(|candle| i128::from(candle.open_time.as_millis()) >= since);
                candles.truncate(most.unwrap_or(usize::MAX));
            }
            None => {
                let surplus = candles.len().saturating_sub(most.unwrap_or(usize::MAX));
                candles.drain(..surplus);
            }
        }
        Ok(candles)
    }

    /// Whether an answer is the exchange's own error, by its record's rule.
    ///
    /// # Errors
    /// - The error it is.
    pub fn refused(
        &self,
        status: u16,
        body: &[u8],
        query: Option<&CandleQuery<'_>>,
    ) -> ExchangeResult<()> {
        let rules = &self.record.errors;
        let Some(failed) = &rules.failed else {
            return Ok(());
        };
        let Ok(root) = serde_json::from_slice::<Json>(body) else {
            return Ok(());
        };
        let names = RootNames { exchange: self, root: &root };
        if !self.evaluate("errors.failed", failed, &names)?.is_true() {
            return Ok(());
        }
        let own = match &rules.message {
            Some(message) => self.text("errors.message", message, &names)?,
            None => None,
        };
        let own = own.filter(|message| !message.trim().is_empty());
        let message = own.unwrap_or_else(|| message_of(body));
        let exchange = self.id().to_owned();
        let text =
            format!("{message} {}", String::from_utf8_lossy(body.get(..512).unwrap_or(body)));
        let names_any = |words: &[String]| words.iter().any(|word| says(&text, word));
        Err(match query {
            _ if names_any(&rules.rate_limited) => {
                ExchangeError::RateLimited { exchange, retry_after: None, message }
            }
            Some(query) if names_any(&rules.unknown_symbol) => ExchangeError::UnknownSymbol {
                exchange,
                symbol: query.market.symbol.clone(),
                hint: None,
            },
            _ => ExchangeError::Exchange { exchange, status, message },
        })
    }

    fn path<'q>(
        &self,
        field: &str,
        steps: &'q [Template],
        names: &RequestNames<'q>,
    ) -> ExchangeResult<Vec<String>> {
        let mut path = Vec::with_capacity(steps.len());
        for step in steps {
            let step = self.text(field, step, names)?;
            path.push(step.ok_or_else(|| self.wrong_record(field, "a step is absent"))?);
        }
        Ok(path)
    }

    fn shift(
        &self,
        field: &str,
        divisor: &Option<Template>,
        names: &RequestNames<'_>,
    ) -> ExchangeResult<Shift> {
        let Some(divisor) = divisor else {
            return Ok(Shift::None);
        };
        let divisor = self.evaluate(field, divisor, names)?.as_number();
        let divisor = divisor.filter(|divisor| *divisor > 0.0);
        let divisor = divisor.ok_or_else(|| {
            self.wrong_record(field, format!("{} has no scale for it", names.query.market.symbol))
        })?;
        Ok(Shift::by(divisor))
    }

    fn misread(&self, place: Place, body: &[u8]) -> ExchangeError {
        let start = body.trim_ascii_start();
        let reason = if start.first() == Some(&b'<') {
            "HTML instead of JSON".to_owned()
        } else if start.is_empty() {
            "an empty answer".to_owned()
        } else if start.first() == Some(&b'{') && place.row.is_none() && place.field.is_none() {
            format!("{}; it says: {}", place.reason, message_of(body))
        } else {
            place.reason
        };
        ExchangeError::Malformed {
            exchange: self.id().to_owned(),
            row: place.row,
            field: place.field.map(str::to_owned),
            reason,
        }
    }
}

/// Whether a text holds a word; a number only where no further digit stands beside it.
pub(super) fn says(text: &str, word: &str) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    text.match_indices(word).any(|(at, found)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|text| text.chars().next());
        let begins_inside = digit(word.chars().next()) && digit(before);
        let ends_inside = digit(word.chars().next_back()) && digit(after);
        !begins_inside && !ends_inside
    })
}

/// Most answers are in order, one way or the other; equal times keep their order.
fn sort(candles: &mut [RawCandle]) {
    let descending = candles.windows(2).all(|pair| match pair {
        [earlier, later] => earlier.open_time > later.open_time,
        _ => true,
    });
    if descending {
        candles.reverse();
    } else {
        candles.sort_by_key(|candle| candle.open_time);
    }
}

/// The names of a row: its time beside those of the request.
struct RowNames<'q> {
    time: Timestamp,
    request: RequestNames<'q>,
}

impl<'a> Names<'a> for RowNames<'_> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        match name {
            "time" => Ok(Value::Int(self.time.as_millis().into())),
            _ => self.request.name(name),
        }
    }

    fn currency(&self, code: &str) -> String {
        self.request.exchange.currency(code)
    }
}

/// The names of an answer: its fields.
pub(super) struct RootNames<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) root: &'a Json,
}

impl<'a> Names<'a> for RootNames<'a> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        Ok(match name {
            "@root" => Value::of(self.root),
            _ => self.root.get(name).map_or(Value::Absent, Value::of),
        })
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Market;

    const RECORD: &str = r#"
        id = "x"
        name = "X"
        rate_limit_ms = 1
        hosts = { rest = "https://x.io" }
        timeframes = { 1m = "1m" }
        errors = { failed = "{code == 7}", message = "{msg}" }
        [[candles]]
        kinds = ["spot"]
        host = "rest"
        path = "/k"
        volume = "base"
        paging = "forward"
        [candles.response]
        rows = ["data"]
        or_rows = [["data", "list"], []]
        layout = "array"
        time = 0
        open = 1
        high = 2
        low = 3
        close = 4
        volume = 5
        unit = "ms"
    "#;

    #[test]
    fn a_code_inside_a_longer_number_is_none() {
        assert!(says(r#"{"code":429,"t":1}"#, "429"));
        assert!(says("429 Too Many Requests", "429"));
        assert!(!says(r#"{"code":7,"t":1760429000}"#, "429"));
        assert!(!says(r#"{"code":4290}"#, "429"));
        assert!(says("error -1121: Invalid symbol.", "-1121"));
        assert!(!says("error -11210", "-1121"));
        assert!(says("the symbol: invalid", "symbol: invalid"));
    }

    #[test]
    fn rows_are_found_in_any_of_their_places_and_an_error_stays_one() {
        let exchange = Exchange::parse(RECORD).unwrap();
        let market = Market::from_symbol("AB", "A/B").unwrap();
        let query =
            CandleQuery::new(&market, "1m".parse().unwrap(), Timestamp::from_millis(120_000));
        let rows = "[[60000, 1, 3, 1, 2, 5]]";
        for body in [
            format!("{{\"data\": {rows}}}"),
            format!("{{\"data\": {{\"list\": {rows}}}}}"),
            rows.to_owned(),
        ] {
            let candles = exchange.parse_candles(&query, body.as_bytes()).unwrap();
            assert_eq!(candles.len(), 1, "{body}");
            assert_eq!(candles.first().map(|c| c.close), Some(2.0), "{body}");
        }
        let said = exchange.parse_candles(&query, b"{\"code\": 7, \"msg\": \"no such pair\"}");
        assert!(said.unwrap_err().to_string().contains("no such pair"));
        let malformed = exchange.parse_candles(&query, b"{\"data\": [[60000, 1]]}").unwrap_err();
        assert!(malformed.to_string().contains("row 1"), "{malformed}");
    }
}
