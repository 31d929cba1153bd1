//! Writes candles as an exchange does: the inverse of reading its answers.

use std::fmt::Write as _;

use forecastle_core::{RawCandle, Timestamp};
use serde_json::Value as Json;

use super::params::{NumberStyle, RowOrder, WireStyle};
use crate::exchange::{AnswerShape, AnswerTime, Field, RowLayout, RowShape};

/// One row of an answer, perhaps with a damaged field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub(super) candle: RawCandle,
    /// The field (time, open, high, low, close, volume) and what is written in its place.
    pub(super) damage: Option<(usize, &'static str)>,
}

/// Writes a whole answer with these rows, oldest first or in whatever order they were put.
pub(super) fn answer(shape: &AnswerShape, style: &WireStyle, rows: &[Row]) -> String {
    let mut text = String::with_capacity(256 + rows.len() * 112);
    let closing = open_path(shape, &mut text);
    match shape.rows.layout {
        RowLayout::Columns => columns(shape, style, rows, &mut text),
        _ => match rows {
            [row] if shape.single && style.lone_rows => one_row(&shape.rows, style, row, &mut text),
            _ => {
                text.push('[');
                in_order(style, rows, |index, row| {
                    if index > 0 {
                        text.push(',');
                    }
                    one_row(&shape.rows, style, row, &mut text);
                });
                text.push(']');
            }
        },
    }
    text.push_str(&closing);
    text
}

fn in_order(style: &WireStyle, rows: &[Row], mut write: impl FnMut(usize, &Row)) {
    match style.order {
        RowOrder::Ascending => rows.iter().enumerate().for_each(|(i, row)| write(i, row)),
        RowOrder::Descending => rows.iter().rev().enumerate().for_each(|(i, row)| write(i, row)),
    }
}

/// Writes everything before the rows and returns everything after them.
fn open_path(shape: &AnswerShape, text: &mut String) -> String {
    let mut closing = String::new();
    for (depth, step) in shape.path.iter().enumerate() {
        match list_index(step) {
            Some(index) if depth > 0 => {
                text.push('[');
                for _ in 0..index {
                    text.push_str("null,");
                }
                closing.insert(0, ']');
            }
            _ => {
                text.push('{');
                if depth == 0 {
                    envelope(shape, text);
                }
                let _ = write!(text, "{}:", Json::from(step.as_str()));
                closing.insert(0, '}');
            }
        }
    }
    closing
}

fn envelope(shape: &AnswerShape, text: &mut String) {
    for (name, value) in &shape.envelope {
        let _ = write!(text, "{}:{value},", Json::from(name.as_str()));
    }
}

/// The place in a list that a step of a path names.
fn list_index(step: &str) -> Option<usize> {
    (step.len() == 1).then(|| step.parse().ok()).flatten()
}

fn columns(shape: &AnswerShape, style: &WireStyle, rows: &[Row], text: &mut String) {
    text.push('{');
    if shape.path.is_empty() {
        envelope(shape, text);
    }
    for (index, field) in shape.rows.fields.iter().enumerate() {
        let Some(Field::Name(name)) = field else { continue };
        if index > 0 {
            text.push(',');
        }
        let _ = write!(text, "{}:[", Json::from(name.as_str()));
        in_order(style, rows, |at, row| {
            if at > 0 {
                text.push(',');
            }
            value(&shape.rows, style, row, index, text);
        });
        text.push(']');
    }
    text.push('}');
}

/// Writes one row.
pub(super) fn one_row(shape: &RowShape, style: &WireStyle, row: &Row, text: &mut String) {
    let list = shape.layout == RowLayout::Arrays;
    text.push(if list { '[' } else { '{' });
    if list {
        let position = |field: &Option<Field>| match field {
            Some(Field::Position(position)) => Some(*position),
            _ => None,
        };
        let last = shape.fields.iter().filter_map(position).max().unwrap_or_default();
        for at in 0..=last {
            if at > 0 {
                text.push(',');
            }
            match shape.fields.iter().position(|field| position(field) == Some(at)) {
                Some(field) => value(shape, style, row, field, text),
                None if style.numbers == NumberStyle::Text => text.push_str("\"0\""),
                None => text.push('0'),
            }
        }
    } else {
        let mut first = true;
        for (index, field) in shape.fields.iter().enumerate() {
            let Some(Field::Name(name)) = field else { continue };
            if !first {
                text.push(',');
            }
            first = false;
            let _ = write!(text, "{}:", Json::from(name.as_str()));
            value(shape, style, row, index, text);
        }
    }
    text.push(if list { ']' } else { '}' });
}

const TIME: usize = 0;
const VOLUME: usize = 5;

fn value(shape: &RowShape, style: &WireStyle, row: &Row, field: usize, text: &mut String) {
    if let Some((damaged, instead)) = row.damage
        && damaged == field
    {
        text.push_str(instead);
        return;
    }
    let candle = &row.candle;
    if field == TIME {
        time(shape, style, candle.open_time, text);
        return;
    }
    let [open, high, low, close] = [candle.open, candle.high, candle.low, candle.close];
    let number = match field {
        1 => open,
        2 => high,
        3 => low,
        4 => close,
        _ => candle.volume,
    };
    let as_text = match style.numbers {
        NumberStyle::Json => false,
        NumberStyle::Text => true,
        NumberStyle::Mixed => field != VOLUME,
    };
    if as_text {
        text.push('"');
    }
    let divisor = if field == VOLUME { shape.volume } else { shape.price };
    match divisor {
        None => {
            let _ = write!(text, "{number}");
        }
        Some(divisor) => multiplied(number, divisor, text),
    }
    if as_text {
        text.push('"');
    }
}

fn time(shape: &RowShape, style: &WireStyle, open: Timestamp, text: &mut String) {
    let millis = open.as_millis().saturating_add(shape.time_offset_ms);
    let as_text = style.numbers == NumberStyle::Text || shape.unit == AnswerTime::Calendar;
    if as_text {
        text.push('"');
    }
    let _ = match shape.unit {
        AnswerTime::Millis => write!(text, "{millis}"),
        AnswerTime::Seconds => write!(text, "{}", millis.div_euclid(1_000)),
        AnswerTime::Micros => write!(text, "{}", i128::from(millis) * 1_000),
        AnswerTime::Nanos => write!(text, "{}", i128::from(millis) * 1_000_000),
        AnswerTime::Calendar => {
            let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
            // Offset-less times are UTC to every record.
            let format = match style.numbers {
                NumberStyle::Json => "%Y-%m-%dT%H:%M:%S.%3fZ",
                NumberStyle::Text => "%Y-%m-%dT%H:%M:%SZ",
                NumberStyle::Mixed => "%Y-%m-%d %H:%M:%S",
            };
            write!(text, "{}", instant.strftime(format))
        }
    };
    if as_text {
        text.push('"');
    }
}

/// Writes `number * divisor` such that dividing gives the same bits: by moving the decimal point
/// when the divisor is a power of ten.
fn multiplied(number: f64, divisor: f64, text: &mut String) {
    let Some(digits) = (0..=22_i32).find(|&digits| 10_f64.powi(digits) == divisor) else {
        let near = number * divisor;
        let exact =
            [near, near.next_up(), near.next_down()].into_iter().find(|x| x / divisor == number);
        let _ = write!(text, "{}", exact.unwrap_or(near));
        return;
    };
    let plain = number.to_string();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let digits = usize::try_from(digits).unwrap_or_default();
    let moved = fraction.get(..digits.min(fraction.len())).unwrap_or_default();
    let rest = fraction.get(moved.len()..).unwrap_or_default();
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let joined = format!("{whole}{moved}{}", "0".repeat(digits - moved.len()));
    let leading = joined.len() - joined.trim_start_matches('0').len();
    let leading = leading.min(joined.len() - 1);
    let _ = write!(text, "{sign}{}", joined.get(leading..).unwrap_or("0"));
    if !rest.is_empty() {
        let _ = write!(text, ".{rest}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplying_by_a_power_of_ten_moves_the_point_and_loses_nothing() {
        for (number, divisor, expected) in [
            (1.5, 1e4, "15000"),
            (0.000_123, 1e4, "1.23"),
            (0.1, 1e18, "100000000000000000"),
            (123_456.789, 1.0, "123456.789"),
            (0.0, 1e8, "0"),
            (1e-8, 1e8, "1"),
            (42.0, 1e2, "4200"),
        ] {
            let mut text = String::new();
            multiplied(number, divisor, &mut text);
            assert_eq!(text, expected);
        }
        let mut text = String::new();
        multiplied(1.1, 3.0, &mut text);
        assert_eq!(text.parse::<f64>().unwrap() / 3.0, 1.1);
    }
}
